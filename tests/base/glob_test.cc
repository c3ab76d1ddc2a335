#include "base/glob.h"

#include <doctest/doctest.h>

#include <string>

namespace leto::base {
namespace {

TEST_CASE("glob: stars match any bytes, also none") {
  CHECK(glob_match("*", "anything"));
  CHECK(glob_match("a*", "a"));
  CHECK(glob_match("*a", "a"));
  CHECK(glob_match("a*b*c", "a--b--b--c"));
  CHECK(glob_match("a**c", "abc"));
  CHECK_FALSE(glob_match("a*b*c", "a--b--"));
  CHECK_FALSE(glob_match("*a", "ab"));
}

TEST_CASE("glob: only the empty pattern matches the empty text") {
  CHECK(glob_match("", ""));
  CHECK_FALSE(glob_match("*", ""));
  CHECK_FALSE(glob_match("", "a"));
}

TEST_CASE("glob: a question mark takes exactly one byte") {
  CHECK(glob_match("h?llo", "hello"));
  CHECK_FALSE(glob_match("h?llo", "hllo"));
  CHECK_FALSE(glob_match("h?", "h"));
}

TEST_CASE("glob: classes know ranges in either direction, negation and escapes") {
  CHECK(glob_match("h[ae]llo", "hallo"));
  CHECK_FALSE(glob_match("h[ae]llo", "hillo"));
  CHECK(glob_match("[a-c]", "b"));
  CHECK(glob_match("[c-a]", "b"));
  CHECK_FALSE(glob_match("[^a-c]", "b"));
  CHECK(glob_match("[^a-c]", "d"));
  CHECK(glob_match("[\\]]", "]"));
  CHECK(glob_match("[\\-]", "-"));
  CHECK_FALSE(glob_match("[]", "a"));
}

TEST_CASE("glob: a class that is left open ends with the pattern") {
  CHECK(glob_match("[abc", "b"));
  CHECK_FALSE(glob_match("[abc", "d"));
  CHECK_FALSE(glob_match("[abc", "bx"));
  CHECK(glob_match("a[^", "ax"));
}

TEST_CASE("glob: a backslash takes the next byte as it is, and itself at the end") {
  CHECK(glob_match("\\*", "*"));
  CHECK_FALSE(glob_match("\\*", "a"));
  CHECK(glob_match("a\\", "a\\"));
}

TEST_CASE("glob: case matters unless it is ignored") {
  CHECK_FALSE(glob_match("TIME*", "timeout"));
  CHECK(glob_match("TIME*", "timeout", GlobCase::kIgnored));
  CHECK(glob_match("[T-U]imeout", "timeout", GlobCase::kIgnored));
}

TEST_CASE("glob: a pattern of many stars is answered without going back over all of them") {
  std::string pattern;
  for (int i = 0; i < 1000; ++i) pattern += "a*";
  CHECK_FALSE(glob_match(pattern + "b", std::string(100000, 'a')));
}

TEST_CASE("glob: is_glob tells names from patterns") {
  CHECK(is_glob("time*"));
  CHECK(is_glob("[t]imeout"));
  CHECK(is_glob("tim?out"));
  CHECK_FALSE(is_glob("timeout"));
}

}  // namespace
}  // namespace leto::base
