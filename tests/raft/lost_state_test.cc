// A node whose log is sound and whose state machine is lost, at one core; the story is in testdata (T49, T50).
#include <doctest/doctest.h>

#include "raft/solo.h"

namespace leto::raft_test {
namespace {

using raft::EntryId;
using raft::InstallSnapshot;
using raft::InstallSnapshotReply;
using raft::RequestVote;
using raft::RequestVoteReply;
using raft::SnapshotAnswer;

constexpr InstallSnapshotReply kLost{.snapshot = 0, .answer = SnapshotAnswer::kNeeds, .offset = 0, .match = 6};

// Entries 1 to 10 of term 1, those up to 4 compacted; 8 were applied, and nothing is left of that.
SoloOptions without_state() {
  SoloOptions options;
  options.hard_state.term = 1;
  options.log = make_log(1, 10);
  options.base = 4;
  options.applied = 8;
  options.lacks_state = true;
  return options;
}

SoloOptions sound() {
  SoloOptions options = without_state();
  options.applied = 10;
  options.lacks_state = false;
  return options;
}

raft::SnapshotInstall lost_install_at(Index index, Term term = 1) {
  return {.last = {.term = term, .index = index},
          .configuration = {.index = 0, .configuration = make_configuration({1, 2, 3})},
          .keys_generation = 9};
}

InstallSnapshot lost_chunk_at(Index index) {
  return {.snapshot = 7,
          .last = {.term = 1, .index = index},
          .size = 4,
          .checksum = 0,
          .offset = 0,
          .cluster_time_ms = 0,
          .data = make_payload("keys")};
}

// --- Who lost it -----------------------------------------------------------------------------------------

TEST_CASE("D9: who lost its state acknowledges, applies nothing, and asks with each heartbeat") {
  Solo solo(without_state());
  CHECK(solo.raft().commit_index() == 8);
  CHECK(solo.raft().applied_index() == 4);
  solo.append({2, 1}, {.term = 1, .index = 10}, {make_entry(1, 11, "a")}, 10);
  solo.sync();
  CHECK(solo.last_sent<raft::AppendEntriesReply>()->match == 11);
  CHECK(solo.raft().commit_index() == 10);
  CHECK(solo.applied().empty());
  CHECK(solo.loads().empty());
  solo.append({2, 1}, {.term = 1, .index = 11}, {}, 11);
  const std::optional<InstallSnapshotReply> asked = solo.last_sent<InstallSnapshotReply>();
  REQUIRE(asked.has_value());
  CHECK(asked->answer == SnapshotAnswer::kNeeds);
  CHECK(asked->snapshot == 0);
  CHECK(asked->match == 4);
}

TEST_CASE("D9: who lost its state votes by its log") {
  Solo solo(without_state());
  solo.step(3, 2, RequestVote{.pre_vote = false, .transfer = false, .last = {.term = 1, .index = 9}});
  solo.sync();
  CHECK_FALSE(solo.last_sent<RequestVoteReply>()->granted);
  solo.step(3, 2, RequestVote{.pre_vote = false, .transfer = false, .last = {.term = 1, .index = 10}});
  solo.sync();
  CHECK(solo.last_sent<RequestVoteReply>()->granted);
}

TEST_CASE("D9: a snapshot that the log reaches keeps what lies behind it") {
  Solo solo(without_state());
  solo.append({2, 1}, {.term = 1, .index = 10}, {make_entry(1, 11, "a")}, 9);
  solo.sync();
  solo.step(2, 1, lost_chunk_at(6));
  REQUIRE(solo.snapshot_messages().size() == 1);
  REQUIRE(solo.install(lost_install_at(6)));
  CHECK(solo.raft().installing());
  CHECK(solo.raft().last() == EntryId{.term = 1, .index = 11});
  CHECK(solo.raft().first_index() == 5);
  CHECK(solo.raft().durable_index() == 11);
  REQUIRE(solo.writes().size() == 1);
  CHECK(solo.writes()[0].install->keeps_log);
  // What was acknowledged is acknowledged again, before and after the switch.
  solo.append({2, 1}, {.term = 1, .index = 11}, {}, 11);
  CHECK(solo.last_sent<raft::AppendEntriesReply>()->match == 11);
  CHECK(solo.applied().empty());
  solo.sync();
  solo.sent();
  solo.loaded();
  const std::optional<InstallSnapshotReply> told = solo.last_sent<InstallSnapshotReply>();
  REQUIRE(told.has_value());
  CHECK(told->answer == SnapshotAnswer::kInstalled);
  CHECK(told->snapshot == 7);
  CHECK(told->match == 6);
  CHECK_FALSE(solo.raft().lacks_state());
  CHECK(solo.raft().commit_index() == 11);
  REQUIRE(solo.loads().size() == 1);
  CHECK(solo.loads()[0].from == 7);
  // It asks no more.
  solo.append({2, 1}, {.term = 1, .index = 11}, {}, 11);
  CHECK_FALSE(solo.last_sent<InstallSnapshotReply>().has_value());
}

TEST_CASE("D9: what is appended in the turn of a switch beside the log is one write with it") {
  Solo solo(without_state());
  solo.append({2, 1}, {.term = 1, .index = 10}, {}, 9);
  REQUIRE(solo.raft().install_snapshot(lost_install_at(6)));
  solo.append({2, 1}, {.term = 1, .index = 10}, {make_entry(1, 11, "a")}, 9);
  REQUIRE(solo.writes().size() == 1);
  CHECK(solo.writes()[0].install->keeps_log);
  REQUIRE(solo.writes()[0].append.size() == 1);
  CHECK(solo.writes()[0].append[0].id.index == 11);
  CHECK(solo.raft().durable_index() == 10);
  solo.sync();
  solo.loaded();
  CHECK(solo.last_sent<raft::AppendEntriesReply>()->match == 11);
}

TEST_CASE("D9: a snapshot at the log's base, and one beyond its end, will do as well") {
  Solo at_base(without_state());
  REQUIRE(at_base.install(lost_install_at(4)));
  at_base.sync();
  at_base.loaded();
  CHECK(at_base.raft().applied_index() == 4);
  CHECK(at_base.raft().last().index == 10);
  Solo beyond(without_state());
  REQUIRE(beyond.install(lost_install_at(20)));
  REQUIRE(beyond.writes().size() == 1);
  CHECK_FALSE(beyond.writes()[0].install->keeps_log);
  beyond.sync();
  beyond.loaded();
  CHECK(beyond.raft().applied_index() == 20);
  CHECK_FALSE(beyond.raft().lacks_state());
}

TEST_CASE("D9: a snapshot from before the log's base is refused, as entries between are gone") {
  Solo solo(without_state());
  solo.append({2, 1}, {.term = 1, .index = 10}, {}, 9);
  solo.sent();
  solo.step(2, 1, lost_chunk_at(3));
  CHECK(solo.snapshot_messages().empty());
  CHECK(solo.last_sent<InstallSnapshotReply>()->answer == SnapshotAnswer::kRefused);
  CHECK_FALSE(solo.install(lost_install_at(3)));
  CHECK(solo.raft().lacks_state());
}

TEST_CASE("D9: who lost its state takes over from nobody, and campaigns after all others had their turn") {
  Solo solo(without_state());
  solo.append({2, 1}, {.term = 1, .index = 10}, {}, 9);
  solo.step(2, 1, raft::TimeoutNow{});
  CHECK(solo.raft().role() == raft::Role::kFollower);
  solo.tick(20);
  CHECK(solo.raft().role() == raft::Role::kFollower);
  CHECK(solo.raft().leader() == 0);
  solo.tick(19);
  CHECK(solo.raft().role() == raft::Role::kFollower);
  solo.tick(45);
  CHECK(solo.raft().role() == raft::Role::kPreCandidate);
}

// It leads term 2, with 2 and 3 to follow.
struct LeaderWithoutState {
  LeaderWithoutState() : solo(without_state()) {
    solo.tick(80);
    for (const NodeId voter : {2u, 3u}) solo.step(voter, 2, kPreVoteGranted);
    solo.sync();
    for (const NodeId voter : {2u, 3u}) solo.step(voter, 2, kVoteGranted);
    solo.sync();
    REQUIRE(solo.raft().role() == raft::Role::kLeader);
    solo.sent();
  }
  Solo solo;
};

TEST_CASE("D9: who must lead without its state takes nothing on, and hands over to the first that has all of the log") {
  LeaderWithoutState leader;
  Solo& solo = leader.solo;
  CHECK(solo.propose("w") == raft::ProposeResult::kTransferring);
  solo.accept(2, 2, 10);
  solo.tick();
  CHECK_FALSE(solo.last_sent<raft::TimeoutNow>().has_value());
  solo.accept(3, 2, 11);
  CHECK(solo.raft().commit_index() == 11);
  CHECK(solo.applied().empty());
  CHECK(solo.raft().change_config(make_configuration({1, 2}), raft::ChangeCare::kForced) == raft::ChangeResult::kNotReady);
  solo.tick();
  CHECK(solo.raft().transferring_to() == 3);
  CHECK(solo.last_sent<raft::TimeoutNow>().has_value());
}

// Two voters could take over from it, and one of them is asked to.
struct LeaderWithTwoHeirs : LeaderWithoutState {
  LeaderWithTwoHeirs() { tick(1); }
  void tick(int ticks) {
    for (int i = 0; i < ticks; ++i) {
      for (const NodeId voter : {2u, 3u}) solo.accept(voter, 2, 11);
      solo.tick();
    }
  }
};

TEST_CASE("D9: who does not take over from a leader without its state has its next turn behind the others") {
  LeaderWithTwoHeirs leader;
  for (const NodeId heir : {2u, 3u, 2u}) {
    CHECK(leader.solo.raft().transferring_to() == heir);
    leader.tick(10);
  }
}

TEST_CASE("D17: who leads without its state leaves as others do when its disk stalls and nobody takes over") {
  LeaderWithTwoHeirs leader;
  leader.solo.raft().disk_stalled(true);
  leader.tick(9);
  CHECK(leader.solo.raft().role() == raft::Role::kLeader);
  leader.tick(1);
  CHECK(leader.solo.raft().role() == raft::Role::kFollower);
}

TEST_CASE("D9: who must lead without its state has no snapshot to send") {
  LeaderWithoutState leader;
  Solo& solo = leader.solo;
  solo.refuse({2, 2}, 10, {.term = 1, .index = 3});
  solo.step(3, 2, kLost);
  solo.tick();
  CHECK(solo.peer(2).needs_snapshot);
  CHECK(solo.peer(3).needs_snapshot);
  CHECK(solo.start_snapshots().empty());
  // Nor does it hand over to one that is no better.
  solo.accept(3, 2, 11);
  solo.tick();
  CHECK(solo.raft().transferring_to() == raft::kNobody);
}

// Of two voters the second is leaving.
Configuration leaving() {
  Configuration joint = make_configuration({1, 2});
  joint.members[1].role = raft::MemberRole::kOutgoing;
  return joint;
}

TEST_CASE("D9: the last voter that has its state does not leave, but takes over from who lost it") {
  SoloOptions options = without_state();
  options.configuration = leaving();
  Solo solo(options);
  solo.tick(80);
  solo.step(2, 2, kPreVoteGranted);
  solo.sync();
  solo.step(2, 2, kVoteGranted);
  solo.sync();
  solo.accept(2, 2, 11);
  REQUIRE(solo.raft().commit_index() == 11);
  CHECK(solo.raft().configuration().is_joint());
  solo.tick();
  CHECK(solo.raft().transferring_to() == 2);
}

TEST_CASE("D9: who leaves leads until somebody else has its state again") {
  SoloOptions options = sound();
  options.configuration = leaving();
  options.self = 2;
  Solo solo(options);
  solo.tick_to_timeout();
  solo.step(1, 2, kPreVoteGranted);
  solo.sync();
  solo.step(1, 2, kVoteGranted);
  solo.sync();
  solo.step(1, 2, kLost);
  solo.accept(1, 2, 11);
  REQUIRE(solo.raft().commit_index() == 11);
  solo.tick();
  CHECK(solo.raft().configuration().is_joint());
  CHECK(solo.raft().role() == raft::Role::kLeader);
  solo.step(1, 2, InstallSnapshotReply{.snapshot = 0, .answer = SnapshotAnswer::kInstalled, .offset = 0, .match = 10});
  solo.tick();
  CHECK(solo.raft().configuration() == make_configuration({1}));
}

// --- Who leads it ----------------------------------------------------------------------------------------

TEST_CASE("who says that it lost its state is named once, and is sent appends all the same") {
  Solo solo(sound());
  solo.lead();
  solo.accept(2, 2, 11);
  solo.step(2, 2, kLost);
  solo.step(2, 2, kLost);
  CHECK(solo.start_snapshots() == std::vector<NodeId>{2});
  CHECK(solo.snapshot_messages().empty());
  CHECK(solo.peer(2).needs_snapshot);
  CHECK(solo.peer(2).snapshot_min == 6);
  CHECK(solo.peer(3).snapshot_min == 0);
  solo.sent();
  solo.propose("w");
  CHECK(appends_to(solo.sent(), 2) == 1);
  solo.sync();
  // It counts.
  solo.accept(2, 2, 12);
  CHECK(solo.raft().commit_index() == 12);
  CHECK(solo.peer(2).needs_snapshot);
  solo.raft().send_snapshot(2, lost_chunk_at(10));
  solo.take();
  CHECK(solo.last_sent<InstallSnapshot>().has_value());
  solo.step(2, 2, InstallSnapshotReply{.snapshot = 7, .answer = SnapshotAnswer::kInstalled, .offset = 4, .match = 10});
  CHECK_FALSE(solo.peer(2).needs_snapshot);
  CHECK(solo.peer(2).snapshot_min == 0);
  CHECK(solo.peer(2).match == 12);
  // Whoever loses it a second time is named a second time.
  solo.step(2, 2, kLost);
  CHECK(solo.start_snapshots() == std::vector<NodeId>{2});
}

TEST_CASE("who has its state again is not named any more, whatever the log has dropped meanwhile") {
  Solo solo(sound());
  solo.lead();
  solo.step(2, 2, kLost);
  CHECK(solo.start_snapshots() == std::vector<NodeId>{2});
  solo.accept(3, 2, 11);
  solo.raft().compact(8);
  solo.step(2, 2, InstallSnapshotReply{.snapshot = 7, .answer = SnapshotAnswer::kInstalled, .offset = 4, .match = 6});
  solo.raft().check_invariants();
  CHECK_FALSE(solo.peer(2).needs_snapshot);
  CHECK(solo.start_snapshots().empty());
}

TEST_CASE("who lost its state is named again when its snapshot failed") {
  Solo solo(sound());
  solo.lead();
  solo.accept(2, 2, 11);
  solo.step(2, 2, kLost);
  solo.start_snapshots();
  solo.raft().snapshot_failed(2);
  solo.take();
  CHECK(solo.start_snapshots().empty());
  for (int i = 0; i < 13; ++i) {
    solo.tick();
    solo.answer({2, 3});
  }
  CHECK(solo.start_snapshots() == std::vector<NodeId>{2});
}

TEST_CASE("D17: a leader whose disk stalls does not hand over to who lost its state") {
  Solo solo(sound());
  solo.lead();
  solo.accept(2, 2, 11);
  solo.step(2, 2, kLost);
  solo.accept(3, 2, 11);
  solo.raft().disk_stalled(true);
  CHECK(solo.raft().transferring_to() == 3);
}

TEST_CASE("no majority is built on a voter that lost its state") {
  Solo solo(sound());
  solo.lead();
  for (const NodeId voter : {2u, 3u}) solo.accept(voter, 2, 11);
  solo.step(2, 2, kLost);
  CHECK(solo.change(make_configuration({1, 2}), {2, 3}) == raft::ChangeResult::kVotersLag);
  CHECK(solo.change(make_configuration({1, 3}), {2, 3}) == raft::ChangeResult::kAccepted);
}

TEST_CASE("a learner that lost its state is promoted when it has another") {
  SoloOptions options = sound();
  options.configuration = make_configuration({1, 2, 3}, {4});
  Solo solo(options);
  solo.lead();
  solo.step(4, 2, kLost);
  for (const NodeId member : {2u, 4u}) solo.accept(member, 2, 11);
  solo.tick();
  CHECK_FALSE(solo.raft().configuration().is_joint());
  solo.answer({2, 3, 4});
  solo.raft().send_snapshot(4, lost_chunk_at(10));
  solo.step(4, 2, InstallSnapshotReply{.snapshot = 7, .answer = SnapshotAnswer::kInstalled, .offset = 4, .match = 10});
  for (int i = 0; i < 3; ++i) {
    solo.answer({2, 3, 4});
    solo.tick();
  }
  CHECK(solo.raft().configuration().is_joint());
}

}  // namespace
}  // namespace leto::raft_test
