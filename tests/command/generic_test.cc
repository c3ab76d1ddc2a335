#include <doctest/doctest.h>

#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

TEST_CASE("generic: DEL and DELETE count the keys that were there") {
  Fixture f;
  for (const char* name : {"del", "DELETE"}) {
    f.run({"set", "a", "1"});
    f.run({"set", "b", "1"});
    CHECK(f.run({name, "a", "b", "c"}) == ":2\r\n");
    CHECK(f.run({name, "a"}) == ":0\r\n");
    f.run({"set", "a", "1"});
    CHECK(f.run({name, "a", "a"}) == ":1\r\n");
  }
  CHECK(f.run({"del"}) == "-ERR wrong number of arguments for 'del' command\r\n");
  CHECK(f.run({"delete"}) == "-ERR wrong number of arguments for 'delete' command\r\n");
}

TEST_CASE("generic: EXISTS counts a key as often as it is named") {
  Fixture f;
  f.run({"set", "a", "1"});
  f.run({"set", "b", "1"});
  CHECK(f.run({"exists", "a"}) == ":1\r\n");
  CHECK(f.run({"exists", "a", "a", "b", "c"}) == ":3\r\n");
  CHECK(f.run({"exists", "c"}) == ":0\r\n");
  CHECK(f.run({"exists"}) == "-ERR wrong number of arguments for 'exists' command\r\n");
}

TEST_CASE("generic: DBSIZE counts the keys of the database") {
  Fixture f;
  CHECK(f.run({"dbsize"}) == ":0\r\n");
  f.run({"set", "a", "1"});
  f.keyspace.set(1, "b", {keyspace::make_string("1"), {}, 0});
  CHECK(f.run({"dbsize"}) == ":1\r\n");
  CHECK(f.run({"dbsize", "x"}) == "-ERR wrong number of arguments for 'dbsize' command\r\n");
}

TEST_CASE("generic: reads count hits and misses") {
  Fixture f;
  f.run({"set", "a", "1"});
  f.run({"get", "a"});
  f.run({"get", "b"});
  f.run({"exists", "a", "b", "b"});
  CHECK(f.keyspace.hits() == 2);
  CHECK(f.keyspace.misses() == 3);
}

}  // namespace
}  // namespace leto::command
