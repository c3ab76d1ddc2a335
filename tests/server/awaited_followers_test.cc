// Whom a leader that is short of room keeps its log for, and for how long.
#include "server/awaited_followers.h"

#include <doctest/doctest.h>

#include "server/tick.h"
#include "tests/raft/solo.h"

namespace leto::server::test {
namespace {

using raft_test::make_log;
using raft_test::Solo;
using raft_test::SoloOptions;

constexpr uint64_t kAwaitedPatienceUs = AwaitedFollowers::kPatienceUs;
constexpr raft::Index kLastEntry = 11;   // Ten of before, and the one of the term it leads.

// The leader of three in term 2; its log begins behind entry 8.
struct AwaitedTest {
  AwaitedTest() {
    SoloOptions options;
    options.hard_state.term = 1;
    options.log = make_log(1, 10);
    options.base = options.applied = 8;
    solo.emplace(options);
    solo->lead();
    solo->accept(3, 2, kLastEntry);
    REQUIRE(solo->raft().last().index == kLastEntry);
  }
  void needs_snapshot(raft::NodeId node) {
    solo->refuse({node, 2}, 10, {.term = 1, .index = 3});
    REQUIRE(solo->peer(node).needs_snapshot);
  }
  // Nothing is heard of anybody but of node 3.
  void pass(uint64_t microseconds) {
    for (uint64_t ticks = microseconds / kTickMs / 1000; ticks > 0; --ticks) {
      solo->tick();
      if (ticks % 4 == 0) solo->accept(3, 2, kLastEntry);
    }
    now_us += microseconds;
  }
  // Time goes by, and both answer that they have what they had.
  void answer_for(uint64_t microseconds, raft::Index match) {
    for (uint64_t ticks = microseconds / kTickMs / 1000; ticks > 0; --ticks) {
      solo->tick();
      if (ticks % 4 == 0) solo->accept(2, 2, match);
    }
    now_us += microseconds;
  }
  raft::Index had() { return followers.had_through(solo->raft(), now_us); }

  std::optional<Solo> solo;
  AwaitedFollowers followers;
  uint64_t now_us = 5000000;
};

TEST_CASE("the log is kept for a follower that lacks some of it") {
  AwaitedTest it;
  it.solo->accept(2, 2, 9);
  CHECK(it.had() == 9);
  it.solo->accept(2, 2, kLastEntry);
  CHECK(it.had() == kLastEntry);
}

TEST_CASE("nothing is kept for a follower that needs a snapshot, which gets nothing from the log") {
  AwaitedTest it;
  it.needs_snapshot(2);
  CHECK(it.had() == kLastEntry);
}

TEST_CASE("a follower that a restart takes away for a moment is waited for, one that is silent for long is not") {
  AwaitedTest it;
  it.solo->accept(2, 2, 9);
  it.pass(kAwaitedPatienceUs - 20000);
  CHECK(it.had() == 9);
  it.pass(30000);
  CHECK(it.had() == kLastEntry);
}

TEST_CASE("a follower that answers, but takes nothing for long, is waited for no longer; with what it takes patience begins anew") {
  AwaitedTest it;
  it.solo->accept(2, 2, 9);
  CHECK(it.had() == 9);
  it.answer_for(kAwaitedPatienceUs - 1000000, 9);
  CHECK(it.had() == 9);
  it.solo->accept(2, 2, 10);
  CHECK(it.had() == 10);
  it.answer_for(kAwaitedPatienceUs - 1000000, 10);
  CHECK(it.had() == 10);
  it.answer_for(1000000, 10);
  CHECK(it.had() == kLastEntry);
  // What it takes at last brings it back.
  it.solo->propose("more");
  it.solo->accept(2, 2, kLastEntry);
  it.solo->accept(3, 2, kLastEntry + 1);
  CHECK(it.had() == kLastEntry);
  it.followers.forget();
  it.answer_for(kAwaitedPatienceUs, kLastEntry);
  CHECK(it.had() == kLastEntry);
}

TEST_CASE("patience counts what a follower lacks, not how long all of it was there") {
  AwaitedTest it;
  it.solo->accept(2, 2, kLastEntry);
  CHECK(it.had() == kLastEntry);
  for (int part = 0; part < 3; ++part) {
    it.answer_for(kAwaitedPatienceUs / 2, kLastEntry);
    CHECK(it.had() == kLastEntry);
  }
  it.solo->propose("more");
  it.solo->accept(3, 2, kLastEntry + 1);
  CHECK(it.had() == kLastEntry);
}

}  // namespace
}  // namespace leto::server::test
