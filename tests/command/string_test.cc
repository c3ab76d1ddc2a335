#include <doctest/doctest.h>

#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

TEST_CASE("string: GET answers what SET stored, byte for byte") {
  Fixture f;
  CHECK(f.run({"get", "a"}) == "$-1\r\n");
  CHECK(f.run({"set", "a", "b"}) == "+OK\r\n");
  CHECK(f.run({"GET", "a"}) == "$1\r\nb\r\n");
  const std::string binary("\0\r\n\xff", 4);
  CHECK(f.run({"set", binary, binary}) == "+OK\r\n");
  CHECK(f.run({"get", binary}) == "$4\r\n" + binary + "\r\n");
  CHECK(f.run({"set", "", ""}) == "+OK\r\n");
  CHECK(f.run({"get", ""}) == "$0\r\n\r\n");
  f.client.protocol = 3;
  CHECK(f.run({"get", "missing"}) == "_\r\n");
}

TEST_CASE("string: SET takes the entry's version and drops the deadline") {
  Fixture f;
  f.keyspace.set(0, "a", {.value = keyspace::make_string("old"), .version = {}, .deadline_ms = 99});
  f.stamp.version = {.index = 41, .position = 6};
  CHECK(f.run({"set", "a", "b"}) == "+OK\r\n");
  CHECK(f.keyspace.find(0, "a")->version == keyspace::Version{.index = 42, .position = 6});
  CHECK(f.keyspace.find(0, "a")->deadline_ms == keyspace::kNoDeadline);
}

TEST_CASE("string: SET knows no options yet") {
  Fixture f;
  CHECK(f.run({"set", "a", "b", "c"}) == "-ERR syntax error\r\n");
  CHECK(f.run({"set", "a", "b", "EX", "10"}) == "-ERR syntax error\r\n");
  CHECK(f.run({"set", "a"}) == "-ERR wrong number of arguments for 'set' command\r\n");
  CHECK(f.run({"get", "a"}) == "$-1\r\n");
}

TEST_CASE("string: a SET with options that got into an entry changes nothing") {
  keyspace::Keyspace keyspace;
  std::string out;
  resp::Reply reply(out, 2);
  const std::string_view arguments[] = {"set", "a", "b", "nx"};
  Context context{.keyspace = keyspace, .services = nullptr, .client = nullptr, .arguments = arguments,
                  .reply = reply, .stamp = {}};
  find_command("set")->handler(context);
  CHECK(out == "-ERR syntax error\r\n");
  CHECK(keyspace.size() == 0);
}

TEST_CASE("string: INCR counts from nothing and keeps the deadline") {
  Fixture f;
  CHECK(f.run({"incr", "n"}) == ":1\r\n");
  CHECK(f.run({"incr", "n"}) == ":2\r\n");
  CHECK(f.run({"get", "n"}) == "$1\r\n2\r\n");
  f.keyspace.set(0, "n", {.value = keyspace::make_string("-1"), .version = {}, .deadline_ms = 99});
  CHECK(f.run({"incr", "n"}) == ":0\r\n");
  CHECK(f.keyspace.find(0, "n")->deadline_ms == 99);
  CHECK(f.keyspace.find(0, "n")->version.index == f.stamp.version.index);
}

TEST_CASE("string: INCR refuses what Redis refuses, and changes nothing") {
  Fixture f;
  for (const char* value : {"", " 1", "1 ", "+1", "01", "-0", "1.0", "a", "9223372036854775808", "-"}) {
    CAPTURE(value);
    f.run({"set", "n", value});
    CHECK(f.run({"incr", "n"}) == "-ERR value is not an integer or out of range\r\n");
    CHECK(f.keyspace.find(0, "n")->value->string == value);
  }
  f.run({"set", "n", "9223372036854775807"});
  CHECK(f.run({"incr", "n"}) == "-ERR increment or decrement would overflow\r\n");
  f.run({"set", "n", "9223372036854775806"});
  CHECK(f.run({"incr", "n"}) == ":9223372036854775807\r\n");
  f.run({"set", "n", "-9223372036854775808"});
  CHECK(f.run({"incr", "n"}) == ":-9223372036854775807\r\n");
}

}  // namespace
}  // namespace leto::command
