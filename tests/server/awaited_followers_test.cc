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

constexpr uint64_t kPatienceUs = AwaitedFollowers::kPatienceUs;
constexpr raft::Index kLast = 11;   // Ten of before, and the one of the term it leads.

// The leader of three in term 2; its log begins behind entry 8.
struct AwaitedTest {
  AwaitedTest() {
    SoloOptions options;
    options.hard_state.term = 1;
    options.log = make_log(1, 10);
    options.base = options.applied = 8;
    solo.emplace(options);
    solo->lead();
    solo->accept(3, 2, kLast);
    REQUIRE(solo->raft().last().index == kLast);
  }
  void needs_snapshot(raft::NodeId node) {
    solo->refuse({node, 2}, 10, {.term = 1, .index = 3});
    REQUIRE(solo->peer(node).needs_snapshot);
  }
  // Nothing is heard of anybody but of node 3.
  void pass(uint64_t microseconds) {
    for (uint64_t ticks = microseconds / kTickMs / 1000; ticks > 0; --ticks) {
      solo->tick();
      if (ticks % 4 == 0) solo->accept(3, 2, kLast);
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
  it.solo->accept(2, 2, kLast);
  CHECK(it.had() == kLast);
}

TEST_CASE("nothing is kept for a follower that needs a snapshot, which gets nothing from the log") {
  AwaitedTest it;
  it.needs_snapshot(2);
  CHECK(it.had() == kLast);
}

TEST_CASE("a follower that a restart takes away for a moment is waited for, one that is silent for long is not") {
  AwaitedTest it;
  it.solo->accept(2, 2, 9);
  it.pass(kPatienceUs - 20000);
  CHECK(it.had() == 9);
  it.pass(30000);
  CHECK(it.had() == kLast);
}

TEST_CASE("a follower that answers, but takes nothing for long, is waited for no longer; with what it takes patience begins anew") {
  AwaitedTest it;
  it.solo->accept(2, 2, 9);
  CHECK(it.had() == 9);
  it.answer_for(kPatienceUs - 1000000, 9);
  CHECK(it.had() == 9);
  it.solo->accept(2, 2, 10);
  CHECK(it.had() == 10);
  it.answer_for(kPatienceUs - 1000000, 10);
  CHECK(it.had() == 10);
  it.answer_for(1000000, 10);
  CHECK(it.had() == kLast);
  // What it takes at last brings it back.
  it.solo->propose("more");
  it.solo->accept(2, 2, kLast);
  it.solo->accept(3, 2, kLast + 1);
  CHECK(it.had() == kLast);
  it.followers.forget();
  it.answer_for(kPatienceUs, kLast);
  CHECK(it.had() == kLast);
}

TEST_CASE("patience counts what a follower lacks, not how long all of it was there") {
  AwaitedTest it;
  it.solo->accept(2, 2, kLast);
  CHECK(it.had() == kLast);
  for (int part = 0; part < 3; ++part) {
    it.answer_for(kPatienceUs / 2, kLast);
    CHECK(it.had() == kLast);
  }
  it.solo->propose("more");
  it.solo->accept(3, 2, kLast + 1);
  CHECK(it.had() == kLast);
}

}  // namespace
}  // namespace leto::server::test
