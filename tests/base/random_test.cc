#include "base/random.h"

#include <doctest/doctest.h>

#include <limits>

namespace leto::base {
namespace {

TEST_CASE("random: is xoshiro256** seeded by splitmix64") {
  Random random(0);
  CHECK(random.next() == 0x99ec5f36cb75f2b4);
  CHECK(random.next() == 0xbf6e1f784956452a);
  CHECK(random.next() == 0x1a5f849d4933e6e0);
  CHECK(random.next() == 0x6aa594f1262d2d2c);
}

TEST_CASE("random: the same seed gives the same numbers, another one others") {
  Random a(5), b(5), c(6);
  const uint64_t first = a.next();
  CHECK(first == b.next());
  CHECK(first != c.next());
}

TEST_CASE("random: below stays below its bound and reaches every value") {
  Random random(3);
  int seen[10] = {};
  for (int i = 0; i < 10000; ++i) {
    const uint64_t value = random.below(10);
    REQUIRE(value < 10);
    ++seen[value];
  }
  for (const int count : seen) {
    CHECK(count > 850);
    CHECK(count < 1150);
  }
  CHECK(random.below(1) == 0);
  for (int i = 0; i < 100; ++i) {
    CHECK(random.below(std::numeric_limits<uint64_t>::max()) < std::numeric_limits<uint64_t>::max());
  }
}

TEST_CASE("random: between includes both ends") {
  Random random(4);
  bool low = false, high = false;
  for (int i = 0; i < 200; ++i) {
    const uint64_t value = random.between(7, 9);
    REQUIRE(value >= 7);
    REQUIRE(value <= 9);
    low |= value == 7;
    high |= value == 9;
  }
  CHECK(low);
  CHECK(high);
}

TEST_CASE("random: chance is never for 0 and always for 1") {
  Random random(5);
  for (int i = 0; i < 100; ++i) {
    CHECK_FALSE(random.chance(0, 3));
    CHECK(random.chance(3, 3));
  }
}

}  // namespace
}  // namespace leto::base
