#include "tests/sim/verdict.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace leto::sim;

namespace {

// Everything ran, was answered and was met.
RangeResult sound_range(uint64_t seeds) {
  RangeResult result{.asked = seeds, .passed = seeds, .failed = 0, .tally = {.asked = 1000, .answered = 900}, .coverage = {}};
  for (size_t i = 0; i < kReached; ++i) result.coverage.note(static_cast<Reached>(i));
  return result;
}

bool has(const std::vector<std::string>& all, const std::string& sentence) {
  return std::find(all.begin(), all.end(), sentence) != all.end();
}

}  // namespace

TEST_CASE("a range in which all ran, was answered and was met has no complaint") {
  CHECK(complaints(sound_range(1)).empty());
  CHECK(complaints(sound_range(100000)).empty());
}

TEST_CASE("a range of which not every seed ran fails") {
  RangeResult result = sound_range(50);
  result.passed = 49;
  CHECK(has(complaints(result), "49 seeds ran, 50 were asked for"));
  result.passed = 0;
  CHECK(has(complaints(result), "0 seeds ran, 50 were asked for"));
  result.passed = 40;
  result.failed = 10;
  CHECK(complaints(result).empty());   // What failed is counted by itself.
}

TEST_CASE("a range of no seeds, or in which nobody asked for anything, fails") {
  CHECK(has(complaints(sound_range(0)), "no seed was asked for"));
  RangeResult result = sound_range(50);
  result.tally = {};
  CHECK(has(complaints(result), "no operation was asked for"));
}

TEST_CASE("a range in which less than 60 % was answered fails") {
  RangeResult result = sound_range(50);
  result.tally.answered = 600;
  CHECK(complaints(result).empty());
  result.tally.answered = 599;
  CHECK(has(complaints(result), "less than 60 % of the operations were answered"));
}

TEST_CASE("a range in which the mover was always judged has no complaint") {
  RangeResult result = sound_range(100000);
  result.coverage = {};
  for (size_t i = 0; i < kReached; ++i) {
    if (static_cast<Reached>(i) != Reached::kMoverUndecided) result.coverage.note(static_cast<Reached>(i));
  }
  CHECK(complaints(result).empty());
}

TEST_CASE("a range that is long enough for something fails if it was not reached") {
  for (size_t i = 0; i < kReached; ++i) {
    const auto what = static_cast<Reached>(i);
    const uint64_t seeds = seeds_until_reached(what);
    if (seeds == kNeverDemanded) continue;
    if (i < kFaults) REQUIRE(seeds <= 300);
    RangeResult result = sound_range(seeds);
    result.coverage = {};
    for (size_t other = 0; other < kReached; ++other) {
      if (other != i) result.coverage.note(static_cast<Reached>(other));
    }
    const std::string fault = i < kFaults ? "the fault " : "";
    CHECK(complaints(result) == std::vector<std::string>{"no seed reached " + fault + "'" + reached_name(what) + "'"});
    result.asked = result.passed = seeds - 1;
    CHECK(complaints(result).empty());
  }
}
