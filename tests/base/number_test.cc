#include "base/number.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "base/random.h"

namespace leto::base {
namespace {

TEST_CASE("parse_int64: reads what std::to_string writes, to both ends of the range") {
  constexpr int64_t kLow = std::numeric_limits<int64_t>::min();
  constexpr int64_t kHigh = std::numeric_limits<int64_t>::max();
  for (const int64_t value : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{10}, kHigh, kLow}) {
    CHECK(parse_int64(std::to_string(value)) == value);
  }
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const int64_t value = static_cast<int64_t>(random.next()) >> random.below(64);
    CHECK(parse_int64(std::to_string(value)) == value);
  }
}

TEST_CASE("parse_int64: one beyond the range is refused") {
  CHECK_FALSE(parse_int64("9223372036854775808"));
  CHECK_FALSE(parse_int64("-9223372036854775809"));
  CHECK_FALSE(parse_int64("18446744073709551616"));
  CHECK_FALSE(parse_int64("99999999999999999999999"));
}

TEST_CASE("parse_int64: what string2ll refuses is refused") {
  for (const char* bad :
       {"", "-", "+1", "01", "-0", "-01", "00", " 1", "1 ", "1a", "a", "0x1", "1.0", "--1"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_int64(bad));
  }
}

}  // namespace
}  // namespace leto::base
