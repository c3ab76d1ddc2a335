// Section 8 of the Raft paper: what a leader owes its clients. Exactly-once by client serial numbers is the
// state machine's.
#include <doctest/doctest.h>

#include "raft/solo.h"

namespace leto::raft_test {
namespace {

using raft::AppendEntries;
using raft::Role;

TEST_CASE("8 each leader commits a blank no-op entry at the start of its term") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}, .log = {make_entry(1, 1, "a")}});
  solo.lead();
  solo.accept(2, 2, 2);
  solo.accept(3, 2, 2);
  REQUIRE(solo.raft().commit_index() == 2);
  REQUIRE(solo.loads().size() == 1);
  solo.raft().loaded(1, {make_entry(1, 1, "a")});
  solo.take();
  REQUIRE(solo.applied().size() == 2);
  CHECK(solo.applied()[1].kind == raft::EntryKind::kNothing);
  CHECK(solo.raft().leads_and_committed_in_term());
}

TEST_CASE("8 a read-only request writes nothing into the log") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.read(1);
  CHECK(solo.writes().empty());
  CHECK(solo.raft().last().index == 1);
}

TEST_CASE("8 a leader exchanges heartbeats with a majority before it responds to a read-only request") {
  Solo solo({.configuration = make_configuration({1, 2, 3, 4, 5})});
  solo.lead();
  for (const NodeId peer : {2u, 3u}) solo.accept(peer, 1, 1);
  solo.sent();
  solo.read(1);
  const uint64_t counter = solo.last_sent<AppendEntries>()->read_counter;
  solo.accept(2, 1, 1, counter);
  solo.accept(2, 1, 1, counter);
  CHECK(solo.reads().empty());
  solo.accept(5, 1, 0, counter);
  REQUIRE(solo.reads().size() == 1);
  CHECK(solo.reads()[0].ok);
}

TEST_CASE("8 a leader that has been deposed answers no read") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.read(1);
  solo.tick(10);
  CHECK(solo.raft().role() == Role::kFollower);
  REQUIRE(solo.reads().size() == 1);
  CHECK_FALSE(solo.reads()[0].ok);
}

TEST_CASE("8 a server that is not the leader takes no command") {
  Solo solo;
  solo.append({2, 1}, {}, {});
  CHECK(solo.propose("x") == raft::ProposeResult::kNotLeader);
  CHECK(solo.raft().leader() == 2);
}

TEST_CASE("8 a read at a server that knows no leader fails at once") {
  Solo solo;
  solo.read(1);
  REQUIRE(solo.reads().size() == 1);
  CHECK_FALSE(solo.reads()[0].ok);
}

}  // namespace
}  // namespace leto::raft_test
