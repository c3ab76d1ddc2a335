#include "base/format.h"

#include <doctest/doctest.h>

#include <string>

namespace leto::base {
namespace {

TEST_CASE("format: prints what printf prints") {
  CHECK(format("term %llu of %s", 7ULL, "id1") == "term 7 of id1");
  CHECK(format("%s", "").empty());
}

TEST_CASE("format: text of any length comes out whole") {
  for (const size_t size : {254u, 255u, 256u, 257u, 100000u}) {
    const std::string text(size, 'x');
    CHECK(format("%s", text.c_str()) == text);
    CHECK(format("<%s>", text.c_str()) == "<" + text + ">");
  }
}

}  // namespace
}  // namespace leto::base
