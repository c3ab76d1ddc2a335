#include "tests/sim/shrink.h"

#include <doctest/doctest.h>

#include "tests/sim/parameters.h"

using namespace leto::sim;

namespace {

// The first seed with three machines, many faults and little else. No upgrades: for those the program must know level 2; no
// damage, for what is asserted after it may be excused.
uint64_t suitable_seed() {
  for (uint64_t seed = 1;; ++seed) {
    const Parameters parameters = make_parameters(seed);
    const bool suits = parameters.machines == 3 && !parameters.faultless && !parameters.upgrade && !parameters.damaged;
    const bool many = parameters.chaos / parameters.between_faults > 25 && parameters.clients.think_high > 100 * kMillisecond;
    if (suits && many && !parameters.clients.mover && parameters.chaos < 12 * kSecond) return seed;
  }
}

// Two of the faults that come to pass in a run of it, neither first nor last.
NumberSet two_of(const Trial& trial) {
  REQUIRE(trial.kind.empty());
  NumberSet came;
  for (const FaultLine& line : trial.faults) came.insert(line.fault);
  REQUIRE(came.size() > 8);
  const auto in_the_middle = [&came](size_t place) { return *std::next(came.begin(), static_cast<std::ptrdiff_t>(place)); };
  return {in_the_middle(came.size() / 4), in_the_middle(came.size() * 3 / 4)};
}

NumberSet set_of(const std::vector<uint64_t>& numbers) { return {numbers.begin(), numbers.end()}; }

// Just these are left of the failure that they are planted to cause.
Shrunk expect_just(const NumberSet& planted, const TrialOptions& options, const std::string& kind) {
  // Runs are what it is bounded by here: how long they take is the machine's affair.
  const Shrunk shrunk = shrink(options, {.runs_max = 200, .seconds_max = 1200});
  REQUIRE(shrunk.failed_again);
  CHECK(shrunk.faults_before > 2);
  CHECK(set_of(shrunk.kept) == planted);
  CHECK(shrunk.minimal);
  // The replay fails the same, and tells of just these.
  TrialOptions replay = options;
  replay.run.without = shrunk.without;
  const Trial again = try_run(replay);
  CHECK(again.kind == kind);
  NumberSet told;
  for (const FaultLine& line : again.faults) told.insert(line.fault);
  CHECK(told == planted);
  // Without either it passes.
  for (const uint64_t number : planted) {
    replay.run.without = shrunk.without;
    replay.run.without.insert(number);
    CHECK(try_run(replay).kind == "");
  }
  return shrunk;
}

// Which faults are left, what they lead to, and how to replay it.
void expect_report(const TrialOptions& options, const Shrunk& shrunk) {
  const std::string text = readable(options.run.seed, shrunk);
  for (const FaultLine& line : shrunk.last.faults) CHECK(text.find("    fault " + readable(line) + "\n") != std::string::npos);
  CHECK(text.find(" 2 of them suffice (") != std::string::npos);
  CHECK(text.find("\n    fails the same: planted: fault ") != std::string::npos);
  CHECK(text.ends_with("    replay: " + replay_line(options.run.seed, shrunk.without) + "\n"));
  NumberSet all = shrunk.without;
  all.insert(options.run.planted.begin(), options.run.planted.end());
  CHECK(all.size() == shrunk.last.decided);
}

}  // namespace

TEST_CASE("shrink: of a violation that two faults together cause just those two are left, and that is reported") {
  TrialOptions options = {.run = {.seed = suitable_seed()}};
  options.run.planted = two_of(try_run(options));
  expect_report(options, expect_just(options.run.planted, options, "planted"));
}

TEST_CASE("shrink: so it is for an assertion, which ends the process") {
  TrialOptions options = {.run = {.seed = suitable_seed()}};
  options.run.planted = two_of(try_run(options));
  options.run.planted_asserts = true;
  const std::string kind = try_run(options).kind;
  CHECK(kind.starts_with("ASSERTION FAILED tests/sim/run.cc:"));
  expect_just(options.run.planted, options, kind);
}

TEST_CASE("shrink: its limits hold, and what is left then still fails the same") {
  TrialOptions options = {.run = {.seed = suitable_seed()}};
  options.run.planted = two_of(try_run(options));
  const Shrunk shrunk = shrink(options, {.runs_max = 4, .seconds_max = 120});
  CHECK(shrunk.runs <= 4);
  CHECK_FALSE(shrunk.minimal);
  CHECK(shrunk.last.kind == "planted");
  CHECK(shrunk.kept.size() > 2);
  CHECK(readable(options.run.seed, shrunk).find("the limit was reached, fewer may do") != std::string::npos);
}

TEST_CASE("shrink: a seed that does not fail is not shrunk, and that is said") {
  const Shrunk shrunk = shrink({.run = {.seed = suitable_seed()}}, {});
  CHECK_FALSE(shrunk.failed_again);
  CHECK(shrunk.runs == 1);
  CHECK(readable(3, shrunk) == "--- seed 3: it did not fail again, so its faults cannot be shrunk\n");
}

TEST_CASE("shrink: a run without some faults is the same each time, and its other faults are those of the run with all") {
  TrialOptions options = {.run = {.seed = suitable_seed()}, .twice = true};
  const Trial all = try_run(options);
  for (uint64_t number = 2; number <= all.decided; number += 3) options.run.without.insert(number);
  const Trial some = try_run(options);
  CHECK(some.kind == "");
  CHECK(some.decided == all.decided);
  for (const FaultLine& line : some.faults) CHECK_FALSE(options.run.without.contains(line.fault));
}

TEST_CASE("shrink: a replay line names what is left out, or nothing") {
  CHECK(replay_line(7, {}) == "make sim SEED=7");
  CHECK(replay_line(7, {3, 7, 8, 9}) == "make sim SEED=7 WITHOUT=3,7-9");
}
