#include "tests/sim/faults.h"

#include <doctest/doctest.h>

#include <map>
#include <vector>

using leto::base::Random;
using namespace leto::sim;

namespace {

// Twelve faults that draw different amounts, without some; what each that came to pass drew, and when.
std::map<uint64_t, std::vector<uint64_t>> drawn_without(const NumberSet& without) {
  Scheduler scheduler;
  Trace trace(scheduler, false);
  Faults faults(7, scheduler, trace);
  faults.leave_out(without);
  std::map<uint64_t, std::vector<uint64_t>> drawn;
  for (uint64_t i = 1; i <= 12; ++i) {
    faults.add(Reached::kKill, (i * 5) % 13 * kSecond, [&drawn, &scheduler, i](Fault& fault) {
      for (uint64_t left = i; left > 0; --left) drawn[fault.number].push_back(fault.random.next());
      drawn[fault.number].push_back(scheduler.now());
    });
  }
  scheduler.after(3 * kSecond, [&faults] { faults.begin(); });
  while (scheduler.run_next()) {
  }
  return drawn;
}

}  // namespace

TEST_CASE("faults: leaving any out changes neither what the others draw nor when they come to pass") {
  const auto all = drawn_without({});
  REQUIRE(all.size() == 12);
  Random random(1);
  for (int round = 0; round < 100; ++round) {
    NumberSet without;
    for (uint64_t left = random.between(1, 11); left > 0; --left) without.insert(random.between(1, 12));
    auto expected = all;
    for (const uint64_t number : without) expected.erase(number);
    CHECK(drawn_without(without) == expected);
  }
}

TEST_CASE("faults: no two draw the same") {
  const auto all = drawn_without({});
  NumberSet firsts;
  for (const auto& [number, drawn] : all) firsts.insert(drawn.front());
  CHECK(firsts.size() == all.size());
}

TEST_CASE("faults: those that are due after the end do not come to pass") {
  Scheduler scheduler;
  Trace trace(scheduler, false);
  Faults faults(7, scheduler, trace);
  NumberSet came;
  for (uint64_t i = 1; i <= 9; ++i) {
    faults.add(Reached::kKill, i * kSecond, [&came](Fault& fault) { came.insert(fault.number); });
  }
  scheduler.after(5 * kSecond + 1, [&faults] { faults.end(); });
  faults.begin();
  while (scheduler.run_next()) {
  }
  CHECK(came == NumberSet{1, 2, 3, 4, 5});
}

TEST_CASE("faults: each that came to pass is told of once at least, with its number, its time, and the machine") {
  Scheduler scheduler;
  Trace trace(scheduler, false);
  Faults faults(7, scheduler, trace);
  std::vector<std::string> told;
  faults.set_told([&told](const FaultLine& line) { told.push_back(readable(line)); });
  faults.add(Reached::kKill, 1500 * kMillisecond, [&faults](Fault& fault) { faults.tell(fault, 2, "kill, for 20 ms"); });
  faults.add(Reached::kLeaveLeader, 2 * kSecond, [](Fault&) {});
  faults.begin();
  while (scheduler.run_next()) {
  }
  REQUIRE(told.size() == 2);
  CHECK(told[0] == "   1  at   1.500000 n2 kill, for 20 ms");
  CHECK(told[1] == "   2  at   2.000000    LEAVE of the leader: nothing comes of it at once");
}
