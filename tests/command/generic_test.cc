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

TEST_CASE("generic: RENAME moves a value and its deadline, over whatever was there") {
  Fixture f;
  f.keyspace.set(0, "a", {keyspace::make_string("1"), {}, 99});
  f.run({"set", "b", "2"});
  CHECK(f.run({"rename", "a", "b"}) == "+OK\r\n");
  CHECK(f.run({"get", "b"}) == "$1\r\n1\r\n");
  CHECK(f.run({"exists", "a"}) == ":0\r\n");
  CHECK(f.keyspace.find(0, "b")->deadline_ms == 99);
  CHECK(f.keyspace.find(0, "b")->version == f.stamp.version);
  CHECK(f.run({"rename", "a", "c"}) == "-ERR no such key\r\n");
  CHECK(f.run({"rename", "a", "a"}) == "-ERR no such key\r\n");
  CHECK(f.run({"rename", "b", "b"}) == "+OK\r\n");
  CHECK(f.run({"rename", "b"}) == "-ERR wrong number of arguments for 'rename' command\r\n");
}

TEST_CASE("generic: RENAMENX does nothing where the new key is there") {
  Fixture f;
  f.run({"set", "a", "1"});
  f.run({"set", "b", "2"});
  CHECK(f.run({"renamenx", "a", "b"}) == ":0\r\n");
  CHECK(f.run({"renamenx", "a", "a"}) == ":0\r\n");
  CHECK(f.run({"get", "b"}) == "$1\r\n2\r\n");
  CHECK(f.run({"renamenx", "a", "c"}) == ":1\r\n");
  CHECK(f.run({"get", "c"}) == "$1\r\n1\r\n");
  CHECK(f.run({"renamenx", "a", "d"}) == "-ERR no such key\r\n");
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
