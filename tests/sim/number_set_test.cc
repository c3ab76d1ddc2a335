#include "tests/sim/number_set.h"

#include <doctest/doctest.h>

#include "base/random.h"

using leto::sim::NumberSet;
using leto::sim::parse_numbers;
using leto::sim::readable;

TEST_CASE("numbers: lists and ranges are read") {
  NumberSet numbers;
  REQUIRE(parse_numbers("3,7-9,12,8", numbers));
  CHECK(numbers == NumberSet{3, 7, 8, 9, 12});
  REQUIRE(parse_numbers("", numbers));
  CHECK(numbers.size() == 5);
}

TEST_CASE("numbers: what is no list of numbers is refused") {
  for (const char* text : {",", "3,", ",3", "3,,4", "a", "3a", "3-", "-3", "9-7", "0", "0-2", "3 4", "100001", "1-100001",
                           "18446744073709551617", "1--2", "1-2-3", "+1"}) {
    NumberSet numbers;
    CAPTURE(text);
    CHECK_FALSE(parse_numbers(text, numbers));
  }
}

TEST_CASE("numbers: any set is written so that it is read back, as short as can be") {
  CHECK(readable(NumberSet{}) == "");
  CHECK(readable(NumberSet{5}) == "5");
  CHECK(readable(NumberSet{1, 2, 4, 5, 6, 9}) == "1,2,4-6,9");
  leto::base::Random random(1);
  for (int round = 0; round < 200; ++round) {
    NumberSet numbers, again;
    for (uint64_t left = random.below(60); left > 0; --left) numbers.insert(random.between(1, 80));
    REQUIRE(parse_numbers(readable(numbers), again));
    CHECK(again == numbers);
  }
}
