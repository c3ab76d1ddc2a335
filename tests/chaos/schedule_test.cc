#include <doctest/doctest.h>

#include <set>
#include <string>

#include "tests/chaos/schedule.h"

namespace leto::chaos {

namespace {

std::vector<uint64_t> numbers(const std::vector<Round>& rounds) {
  std::vector<uint64_t> all;
  for (const Round& round : rounds) {
    all.insert(all.end(), {round.hold, round.calm});
    for (const Fault& fault : round.faults) all.insert(all.end(), {static_cast<uint64_t>(fault.kind), fault.pick});
  }
  return all;
}

}  // namespace

TEST_CASE("a chaos run's seed decides its faults, and another seed decides others") {
  CHECK(numbers(make_schedule(7, 60'000, true)) == numbers(make_schedule(7, 60'000, true)));
  CHECK(numbers(make_schedule(7, 60'000, true)) != numbers(make_schedule(8, 60'000, true)));
}

TEST_CASE("a chaos run of two minutes has every kind of fault, and its rounds fill it") {
  const std::vector<Round> rounds = make_schedule(3, 120'000, true);
  std::set<FaultKind> met;
  Milliseconds filled = 0;
  for (const Round& round : rounds) {
    for (const Fault& fault : round.faults) met.insert(fault.kind);
    filled += round.hold + round.calm;
  }
  CHECK(met.size() == kFaultKinds);
  CHECK(filled >= 120'000);
}

TEST_CASE("a chaos run without a disk to fill has every kind of fault but that") {
  std::set<FaultKind> met;
  for (const Round& round : make_schedule(3, 120'000, false)) {
    for (const Fault& fault : round.faults) met.insert(fault.kind);
  }
  CHECK(met.size() == kFaultKinds - 1);
  CHECK(!met.contains(FaultKind::kFullDisk));
}

TEST_CASE("a round that is owed has the one fault, and time for it") {
  base::Random random(3);
  for (const FaultKind kind : possible_kinds(true)) {
    const Round round = make_round(kind, random);
    REQUIRE(round.faults.size() == 1);
    CHECK(round.faults[0].kind == kind);
    CHECK(round.hold > 0);
    CHECK(round.calm > 0);
  }
}

TEST_CASE("every kind of fault has a name of its own") {
  std::set<std::string> names;
  for (size_t kind = 0; kind < kFaultKinds; ++kind) names.insert(fault_name(static_cast<FaultKind>(kind)));
  CHECK(names.size() == kFaultKinds);
}

}  // namespace leto::chaos
