#include "resp/split_line.h"

#include <doctest/doctest.h>

namespace leto::resp {
namespace {

using Words = std::vector<std::string>;

// The words, or "unbalanced".
Words split(std::string_view line) {
  Words words;
  if (!split_line(line, words)) return {"unbalanced"};
  return words;
}

TEST_CASE("split line: words end at white space, of which there may be any amount") {
  CHECK(split("set a b") == Words{"set", "a", "b"});
  CHECK(split("  set\ta \t b \r") == Words{"set", "a", "b"});
  CHECK(split("\vping\f") == Words{"ping\f"});
  CHECK(split("") == Words{});
  CHECK(split(" \t ") == Words{});
}

TEST_CASE("split line: double quotes understand escapes") {
  CHECK(split(R"("a b" "")") == Words{"a b", ""});
  CHECK(split(R"("a\x41\n\tb\q\x4g\"")") == Words{"aA\n\tbqx4g\""});
  CHECK(split(R"("\r\b\a\\")") == Words{"\r\b\a\\"});
  CHECK(split(std::string_view("\"\\x00\"")) == Words{std::string(1, '\0')});
}

TEST_CASE("split line: single quotes understand an escaped quote alone") {
  CHECK(split(R"('a\'b\x41\n')") == Words{R"(a'b\x41\n)"});
  CHECK(split("''") == Words{""});
}

TEST_CASE("split line: a quote may open within a word, but must end it") {
  CHECK(split(R"(foo"bar" baz)") == Words{"foobar", "baz"});
  CHECK(split(R"(foo'b r')") == Words{"foob r"});
  CHECK(split(R"("foo"bar)") == Words{"unbalanced"});
  CHECK(split(R"('foo''bar')") == Words{"unbalanced"});
}

TEST_CASE("split line: what is left open is unbalanced") {
  CHECK(split(R"("foo)") == Words{"unbalanced"});
  CHECK(split(R"('foo)") == Words{"unbalanced"});
  CHECK(split(R"("foo\")") == Words{"unbalanced"});
  CHECK(split(R"(a ")") == Words{"unbalanced"});
  CHECK(split("\"a\\") == Words{"unbalanced"});
}

TEST_CASE("split line: the words of the line before are replaced") {
  Words words{"old", "older"};
  REQUIRE(split_line("new", words));
  CHECK(words == Words{"new"});
}

}  // namespace
}  // namespace leto::resp
