// Snapshots and compaction, rule by rule, at one core; the stories are in testdata (T36 on).
#include <doctest/doctest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "raft/solo.h"

namespace leto::raft_test {
namespace {

using raft::AppendEntries;
using raft::AppendEntriesReply;
using raft::EntryId;
using raft::InstallSnapshot;
using raft::InstallSnapshotReply;
using raft::RequestVote;
using raft::RequestVoteReply;
using raft::SnapshotAnswer;

// Whether `action` is stopped by an assertion.
bool is_asserted(const std::function<void()>& action) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    close(STDERR_FILENO);
    action();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

// A log of ten entries of term 1, of which those up to `base` are compacted and all are applied.
SoloOptions compacted_at(Index base) {
  SoloOptions options;
  options.hard_state.term = 1;
  options.log = make_log(1, 10);
  options.base = base;
  options.applied = 10;
  return options;
}

// A follower that has five entries of term 1 and has applied three.
SoloOptions behind() {
  SoloOptions options;
  options.hard_state.term = 1;
  options.log = make_log(1, 5);
  options.applied = 3;
  return options;
}

InstallSnapshot chunk_at(EntryId last, uint64_t number = 7) {
  return {.snapshot = number,
          .last = last,
          .size = 4,
          .checksum = 0,
          .offset = 0,
          .cluster_time_ms = 0,
          .data = make_payload("keys")};
}

raft::SnapshotInstall install_at(EntryId last, Index configuration_index = 0) {
  return {.last = last,
          .configuration = {.index = configuration_index, .configuration = make_configuration({1, 2, 3})},
          .keys_generation = 9};
}

InstallSnapshotReply answer_of(SnapshotAnswer answer, uint64_t number, Index match) {
  return {.snapshot = number, .answer = answer, .offset = 0, .match = match};
}

// Leads term 2 with a log that begins behind `base`; 2 refused an append as it has only three entries.
struct LeaderWithNeedyPeer {
  explicit LeaderWithNeedyPeer(Index base = 8) : solo(compacted_at(base)) {
    solo.lead();
    solo.refuse({2, 2}, 10, {.term = 1, .index = 3});
  }
  Solo solo;
};

// --- The leader ------------------------------------------------------------------------------------------

TEST_CASE("a peer whose next entry lies before the log is named once and gets heartbeats, no appends") {
  LeaderWithNeedyPeer leader;
  Solo& solo = leader.solo;
  CHECK(solo.start_snapshots() == std::vector<NodeId>{2});
  CHECK(solo.peer(2).needs_snapshot);
  CHECK_FALSE(solo.peer(3).needs_snapshot);
  solo.accept(2, 2, 3);
  solo.sent();
  solo.propose("more");
  for (int i = 0; i < 5; ++i) {
    solo.tick();
    solo.step(2, 2, answer_of(SnapshotAnswer::kNeeds, 1, 0));
    solo.accept(3, 2, 11);
  }
  CHECK(solo.start_snapshots().empty());
  const std::vector<Message> sent = solo.sent();
  CHECK(appends_to(sent, 2) == 0);
  CHECK(appends_to(sent, 3) > 0);
  size_t heartbeats = 0;
  for (const Message& message : sent) heartbeats += message.to == 2 && std::holds_alternative<AppendEntries>(message.body);
  CHECK(heartbeats > 0);
  // Nor is one due at each tick because of a commit that it cannot be told.
  CHECK(heartbeats < 4);
  CHECK(solo.loads().empty());
}

TEST_CASE("a peer that is silent is named when it answers") {
  Solo solo(compacted_at(0));
  solo.lead();
  solo.refuse({2, 2}, 10, {.term = 1, .index = 3});
  for (int i = 0; i < 12; ++i) {
    solo.tick();
    solo.accept(3, 2, 11);
  }
  solo.raft().compact(8);
  solo.tick();
  CHECK(solo.peer(2).needs_snapshot);
  CHECK(solo.start_snapshots().empty());
  solo.raft().peer_unreachable(2);
  solo.accept(2, 2, 0);
  CHECK(solo.start_snapshots() == std::vector<NodeId>{2});
}

TEST_CASE("a peer that installed the snapshot goes on by log") {
  LeaderWithNeedyPeer leader;
  Solo& solo = leader.solo;
  solo.raft().send_snapshot(2, chunk_at({.term = 1, .index = 10}));
  solo.take();
  CHECK(solo.last_sent<InstallSnapshot>()->last == EntryId{.term = 1, .index = 10});
  solo.step(2, 2, answer_of(SnapshotAnswer::kInstalled, 7, 10));
  CHECK_FALSE(solo.peer(2).needs_snapshot);
  CHECK(solo.peer(2).match == 10);
  const std::vector<Message> sent = solo.sent();
  CHECK(appends_to(sent, 2) == 1);
  // And counts: the entry of this term is durable at 1, and at 2 once it says so.
  solo.accept(2, 2, 11);
  CHECK(solo.raft().commit_index() == 11);
}

TEST_CASE("what a peer installed counts for commit") {
  Solo solo(compacted_at(8));
  solo.lead();
  solo.refuse({2, 2}, 10, {.term = 1, .index = 3});
  solo.step(2, 2, answer_of(SnapshotAnswer::kInstalled, 7, 11));
  CHECK(solo.raft().commit_index() == 11);
}

TEST_CASE("an append that shows that a peer needs no snapshot ends its need") {
  LeaderWithNeedyPeer leader;
  Solo& solo = leader.solo;
  solo.accept(2, 2, 8);
  CHECK_FALSE(solo.peer(2).needs_snapshot);
  REQUIRE(solo.loads().size() == 1);
  CHECK(solo.loads()[0].from == 9);
  solo.sent();
  solo.raft().send_snapshot(2, chunk_at({.term = 1, .index = 10}));
  solo.take();
  CHECK_FALSE(solo.last_sent<InstallSnapshot>().has_value());
}

TEST_CASE("a peer whose snapshot the log has passed needs another, and is named again once") {
  LeaderWithNeedyPeer leader;
  Solo& solo = leader.solo;
  solo.start_snapshots();
  solo.raft().send_snapshot(2, chunk_at({.term = 1, .index = 9}));
  solo.raft().compact(10);
  solo.step(2, 2, answer_of(SnapshotAnswer::kInstalled, 7, 9));
  CHECK(solo.start_snapshots() == std::vector<NodeId>{2});
  CHECK(solo.peer(2).needs_snapshot);
  CHECK(solo.peer(2).match == 9);
  // The same answer twice, and one of a stream of long ago, name nobody.
  solo.step(2, 2, answer_of(SnapshotAnswer::kInstalled, 7, 9));
  solo.step(2, 2, answer_of(SnapshotAnswer::kInstalled, 6, 9));
  CHECK(solo.start_snapshots().empty());
}

TEST_CASE("a peer that installed no more than it had needs another snapshot all the same") {
  LeaderWithNeedyPeer leader;
  Solo& solo = leader.solo;
  solo.accept(2, 2, 3);
  solo.start_snapshots();
  solo.raft().send_snapshot(2, chunk_at({.term = 1, .index = 9}));
  solo.step(2, 2, answer_of(SnapshotAnswer::kInstalled, 7, 3));
  CHECK(solo.start_snapshots() == std::vector<NodeId>{2});
}

TEST_CASE("a snapshot that failed is asked for again after some heartbeats") {
  LeaderWithNeedyPeer leader;
  Solo& solo = leader.solo;
  solo.start_snapshots();
  solo.raft().snapshot_failed(2);
  solo.take();
  CHECK(solo.start_snapshots().empty());
  uint64_t ticks = 0;
  for (; ticks < 40 && solo.start_snapshots().empty(); ++ticks) {
    solo.tick();
    solo.accept(2, 2, 0);
    solo.accept(3, 2, 11);
  }
  CHECK(ticks == 12);
  CHECK(solo.peer(2).needs_snapshot);
}

TEST_CASE("answers to chunks keep a leader, and end with its leadership") {
  LeaderWithNeedyPeer leader;
  Solo& solo = leader.solo;
  for (int i = 0; i < 30; ++i) {
    solo.tick();
    solo.step(2, 2, answer_of(SnapshotAnswer::kNeeds, 7, 0));
  }
  CHECK(solo.raft().role() == raft::Role::kLeader);
  CHECK(solo.snapshot_messages().size() == 30);
  CHECK(solo.peer(2).ticks_since_heard == 0);
  solo.append({3, 3}, {}, {});
  CHECK(solo.raft().peers().empty());
  solo.step(2, 3, answer_of(SnapshotAnswer::kNeeds, 7, 0));
  CHECK(solo.snapshot_messages().empty());
  solo.sent();
  solo.raft().send_snapshot(2, chunk_at({.term = 1, .index = 10}));
  solo.raft().snapshot_failed(2);
  solo.take();
  CHECK_FALSE(solo.last_sent<InstallSnapshot>().has_value());
}

TEST_CASE("answers of strangers, of other terms and beyond the log are not passed on") {
  LeaderWithNeedyPeer leader;
  Solo& solo = leader.solo;
  solo.step(9, 2, answer_of(SnapshotAnswer::kNeeds, 7, 0));
  solo.step(2, 1, answer_of(SnapshotAnswer::kInstalled, 7, 10));
  solo.step(2, 2, answer_of(SnapshotAnswer::kInstalled, 7, 12));
  solo.step(2, 5, answer_of(SnapshotAnswer::kInstalled, 7, 10));
  CHECK(solo.snapshot_messages().empty());
  CHECK(solo.peer(2).match == 0);
  CHECK(solo.raft().role() == raft::Role::kLeader);
  CHECK(solo.raft().term() == 2);
}

TEST_CASE("a learner that needs a snapshot is not caught up, however short the log is") {
  SoloOptions options = compacted_at(8);
  options.configuration = make_configuration({1, 2, 3}, {4});
  Solo solo(options);
  solo.lead();
  solo.accept(4, 2, 3);
  solo.refuse({4, 2}, 10, {.term = 1, .index = 3});
  solo.accept(2, 2, 11);
  for (int i = 0; i < 3; ++i) {
    solo.tick();
    solo.answer({2, 4});
  }
  CHECK(solo.peer(4).needs_snapshot);
  CHECK(solo.raft().configuration() == options.configuration);
  solo.step(4, 2, answer_of(SnapshotAnswer::kInstalled, 7, 10));
  solo.tick();
  solo.answer({2, 4});
  solo.tick();
  CHECK(solo.raft().configuration().is_joint());
}

TEST_CASE("entries that come back from the log after it was compacted are not sent") {
  SoloOptions options = compacted_at(0);
  options.raft.cache_bytes_max = 1;
  Solo solo(options);
  solo.lead();
  solo.refuse({2, 2}, 10, {.term = 1, .index = 3});
  REQUIRE(solo.loads().size() == 1);
  CHECK(solo.loads()[0].from == 4);
  solo.raft().compact(8);
  solo.sent();
  solo.raft().loaded(2, {make_entry(1, 4, "x"), make_entry(1, 5, "x")});
  solo.take();
  CHECK(appends_to(solo.sent(), 2) == 0);
  CHECK(solo.loads().size() == 1);
  CHECK(solo.start_snapshots() == std::vector<NodeId>{2});
}

// --- The follower ----------------------------------------------------------------------------------------

TEST_CASE("a chunk is a leader's message: it is heard, followed, and passed on") {
  SoloOptions options = behind();
  Solo solo(options);
  solo.step(2, 4, chunk_at({.term = 3, .index = 20}));
  CHECK(solo.raft().term() == 4);
  CHECK(solo.raft().leader() == 2);
  REQUIRE(solo.snapshot_messages().size() == 1);
  for (int i = 0; i < 40; ++i) {
    solo.tick();
    solo.step(2, 4, chunk_at({.term = 3, .index = 20}));
  }
  CHECK(solo.raft().role() == raft::Role::kFollower);
  CHECK(solo.snapshot_messages().size() == 40);
  // It protects its leader as an append does.
  solo.sent();
  solo.step(3, 6, RequestVote{.pre_vote = true, .transfer = false, .last = {.term = 3, .index = 30}});
  CHECK_FALSE(solo.last_sent<RequestVoteReply>()->granted);
  // One of an older term is not.
  solo.step(3, 3, chunk_at({.term = 3, .index = 30}));
  CHECK(solo.snapshot_messages().empty());
  CHECK(solo.raft().leader() == 2);
}

TEST_CASE("a chunk that no honest leader sends is dropped") {
  Solo solo(behind());
  InstallSnapshot chunk = chunk_at({.term = 1, .index = 20});
  const auto send = [&](const InstallSnapshot& bad) {
    solo.step(2, 1, bad);
    return !solo.snapshot_messages().empty();
  };
  CHECK(send(chunk));
  for (const auto& change : std::vector<std::function<void(InstallSnapshot&)>>{
           [](InstallSnapshot& bad) { bad.data = nullptr; },
           [](InstallSnapshot& bad) { bad.size = 3; },
           [](InstallSnapshot& bad) { bad.offset = 1; },
           [](InstallSnapshot& bad) { bad.offset = UINT64_MAX; },
           [](InstallSnapshot& bad) { bad.last = {}; },
           [](InstallSnapshot& bad) { bad.last.index = uint64_t{1} << 62; },
           [](InstallSnapshot& bad) { bad.last.term = 2; },
           [](InstallSnapshot& bad) { bad.last = {.term = 0, .index = 2}; },
           [](InstallSnapshot& bad) {
             bad.size = 1 << 20;
             bad.data = make_payload(std::string(raft::kSnapshotChunkBytesMax + 1, 'x'));
           }}) {
    InstallSnapshot bad = chunk;
    change(bad);
    CHECK_FALSE(send(bad));
  }
  CHECK(solo.raft().last().index == 5);
}

TEST_CASE("D9: a snapshot of what the log has keeps the log, raises the commit index, and is answered at once") {
  Solo solo(behind());
  solo.step(2, 1, chunk_at({.term = 1, .index = 4}));
  CHECK(solo.snapshot_messages().empty());
  CHECK(solo.raft().commit_index() == 4);
  CHECK(solo.raft().last().index == 5);
  CHECK(solo.raft().first_index() == 1);
  const auto reply = solo.last_sent<InstallSnapshotReply>();
  REQUIRE(reply.has_value());
  CHECK(reply->answer == SnapshotAnswer::kInstalled);
  CHECK(reply->match == 4);
  CHECK(reply->snapshot == 7);
  // Of what is committed already it tells all it has.
  solo.step(2, 1, chunk_at({.term = 1, .index = 2}));
  CHECK(solo.last_sent<InstallSnapshotReply>()->match == 4);
  CHECK(solo.raft().commit_index() == 4);
}

TEST_CASE("D9: that the log has a snapshot's last entry is told when the entry is durable") {
  Solo solo(behind());
  solo.append({2, 1}, {.term = 1, .index = 5}, {make_entry(1, 6, "y")});
  solo.sent();
  solo.step(2, 1, chunk_at({.term = 1, .index = 6}));
  CHECK_FALSE(solo.last_sent<InstallSnapshotReply>().has_value());
  solo.sync();
  CHECK(solo.last_sent<InstallSnapshotReply>()->match == 6);
}

TEST_CASE("D9: the switch is one write; nothing is applied, told or campaigned for before the swap") {
  Solo solo(behind());
  solo.step(2, 1, chunk_at({.term = 1, .index = 20}));
  solo.sent();
  REQUIRE(solo.install(install_at({.term = 1, .index = 20}, 15)));
  CHECK(solo.raft().installing());
  solo.take();
  REQUIRE(solo.writes().size() == 1);
  CHECK(solo.writes()[0].install->last.index == 20);
  CHECK(solo.writes()[0].install->keys_generation == 9);
  CHECK_FALSE(solo.writes()[0].truncate_from.has_value());
  CHECK(solo.raft().first_index() == 21);
  CHECK(solo.raft().last() == EntryId{.term = 1, .index = 20});
  CHECK(solo.raft().commit_index() == 20);
  CHECK(solo.raft().applied_index() == 3);
  CHECK(solo.raft().durable_index() < 20);
  // Appends behind it are taken, committed, and answered when durable.
  solo.append({2, 1}, {.term = 1, .index = 20}, {make_entry(1, 21, "y")}, 21);
  CHECK(solo.raft().commit_index() == 21);
  CHECK_FALSE(solo.last_sent<AppendEntriesReply>().has_value());
  solo.sync();
  CHECK(solo.last_sent<AppendEntriesReply>()->match == 21);
  CHECK(solo.raft().durable_index() == 21);
  solo.step(2, 1, chunk_at({.term = 1, .index = 20}));
  solo.tick(60);
  CHECK(solo.raft().role() == raft::Role::kFollower);
  CHECK(solo.applied().empty());
  CHECK(solo.raft().applied_index() == 3);
  CHECK_FALSE(solo.last_sent<InstallSnapshotReply>().has_value());
  solo.append({2, 1}, {.term = 1, .index = 21}, {}, 21);
  solo.sent();
  solo.loaded();
  CHECK_FALSE(solo.raft().installing());
  const auto reply = solo.last_sent<InstallSnapshotReply>();
  REQUIRE(reply.has_value());
  CHECK(reply->answer == SnapshotAnswer::kInstalled);
  CHECK(reply->match == 20);
  CHECK(reply->snapshot == 7);
  REQUIRE(solo.applied().size() == 1);
  CHECK(solo.applied()[0].id.index == 21);
  CHECK(solo.raft().applied_index() == 21);
  solo.tick_to_timeout();
  CHECK(solo.raft().role() == raft::Role::kPreCandidate);
}

TEST_CASE("D9: reads that are confirmed between switch and swap wait for the swap") {
  Solo solo(behind());
  solo.append({2, 1}, {.term = 1, .index = 5}, {}, 3);
  solo.read(1);
  REQUIRE(solo.install(install_at({.term = 1, .index = 20})));
  solo.step(2, 1, raft::ReadIndexReply{.context = 1, .ok = true, .index = 3, .cluster_time_ms = 0});
  REQUIRE(solo.reads().size() == 1);
  CHECK(solo.reads()[0].ok);
  CHECK(solo.reads()[0].index == 20);
}

TEST_CASE("D9: a node that installs a snapshot votes, once that is durable") {
  Solo solo(behind());
  REQUIRE(solo.install(install_at({.term = 1, .index = 20})));
  solo.take();
  solo.step(3, 2, RequestVote{.pre_vote = false, .transfer = false, .last = {.term = 1, .index = 19}});
  solo.sync();
  CHECK_FALSE(solo.last_sent<RequestVoteReply>()->granted);
  solo.step(3, 2, RequestVote{.pre_vote = false, .transfer = false, .last = {.term = 1, .index = 20}});
  CHECK_FALSE(solo.last_sent<RequestVoteReply>().has_value());
  solo.sync();
  CHECK(solo.last_sent<RequestVoteReply>()->granted);
  // But takes over from nobody.
  solo.append({3, 2}, {.term = 1, .index = 20}, {});
  solo.step(3, 2, raft::TimeoutNow{});
  CHECK(solo.raft().role() == raft::Role::kFollower);
}

TEST_CASE("D9: a candidate that switches to a snapshot gives its candidacy up") {
  Solo solo(behind());
  solo.tick_to_timeout();
  for (const NodeId voter : {2u, 3u}) solo.step(voter, 2, kPreVoteGranted);
  REQUIRE(solo.raft().role() == raft::Role::kCandidate);
  REQUIRE(solo.install(install_at({.term = 1, .index = 20})));
  solo.sync(1);
  for (const NodeId voter : {2u, 3u}) solo.step(voter, 2, kVoteGranted);
  CHECK(solo.raft().role() == raft::Role::kFollower);
}

TEST_CASE("D9: a snapshot that is stale, that the log has, or that comes to a leader is not installed") {
  Solo solo(behind());
  CHECK_FALSE(solo.install(install_at({.term = 1, .index = 3})));
  CHECK_FALSE(solo.install(install_at({.term = 1, .index = 4})));
  CHECK(solo.raft().commit_index() == 4);
  CHECK(solo.raft().last().index == 5);
  solo.take();
  CHECK(solo.writes().empty());
  CHECK(solo.install(install_at({.term = 1, .index = 20})));
  CHECK_FALSE(solo.install(install_at({.term = 1, .index = 30})));
  Solo leader(compacted_at(8));
  leader.lead();
  CHECK_FALSE(leader.install(install_at({.term = 1, .index = 20})));
  SoloOptions options = behind();
  options.lost_tail = true;
  Solo silent(options);
  CHECK_FALSE(silent.install(install_at({.term = 1, .index = 20})));
  silent.step(2, 1, chunk_at({.term = 1, .index = 20}));
  CHECK(silent.snapshot_messages().empty());
  CHECK(silent.raft().leader() == 2);
}

TEST_CASE("D9: an entry of another term at the snapshot's index goes with all of the log") {
  SoloOptions options = behind();
  options.hard_state.term = 3;
  Solo solo(options);
  REQUIRE(solo.install(install_at({.term = 3, .index = 4})));
  CHECK(solo.raft().last() == EntryId{.term = 3, .index = 4});
  solo.sync();
  solo.loaded();
  CHECK(solo.applied().empty());
  CHECK(solo.raft().applied_index() == 4);
}

TEST_CASE("scenario 6: the configuration of a snapshot replaces those of the log it replaces") {
  SoloOptions options = behind();
  options.log[4].kind = raft::EntryKind::kConfiguration;
  options.log[4].payload = make_payload(raft::encode_configuration(make_configuration({1, 2, 3, 4, 5})));
  Solo solo(options);
  REQUIRE(solo.raft().configuration().members.size() == 5);
  REQUIRE(solo.install(install_at({.term = 1, .index = 20}, 2)));
  CHECK(solo.raft().configuration() == make_configuration({1, 2, 3}));
  CHECK(solo.raft().committed_configuration() == make_configuration({1, 2, 3}));
  // And truncation behind it finds it again.
  Entry change = make_entry(1, 21, raft::encode_configuration(make_configuration({1, 2})));
  change.kind = raft::EntryKind::kConfiguration;
  solo.append({2, 1}, {.term = 1, .index = 20}, {change});
  CHECK(solo.raft().configuration() == make_configuration({1, 2}));
  solo.append({3, 2}, {.term = 1, .index = 20}, {make_entry(2, 21, "z")});
  CHECK(solo.raft().configuration() == make_configuration({1, 2, 3}));
}

TEST_CASE("D8: completions of writes from before a snapshot raise nothing that it replaces") {
  Solo solo(behind());
  // Of another leader, and not known to be a part of the snapshot.
  solo.append({2, 2}, {.term = 1, .index = 5}, {make_entry(2, 6, "a"), make_entry(2, 7, "b")});
  solo.append({3, 3}, {.term = 1, .index = 5}, {});
  REQUIRE(solo.install(install_at({.term = 3, .index = 20})));
  solo.take();
  REQUIRE(solo.writes().size() == 3);
  solo.sync(2);
  CHECK(solo.raft().durable_index() == 5);
  solo.sync(1);
  CHECK(solo.raft().durable_index() == 20);
}

TEST_CASE("D8: what an older term's leader was shown to share does not count over a snapshot") {
  Solo solo(behind());
  solo.append({2, 2}, {.term = 1, .index = 5}, {make_entry(2, 6, "a"), make_entry(2, 7, "b")});
  solo.sync();
  solo.step(2, 3, chunk_at({.term = 3, .index = 20}));
  REQUIRE(solo.install(install_at({.term = 3, .index = 20})));
  CHECK(solo.raft().durable_index() == 3);
}

TEST_CASE("D3: what this term's leader was shown to share is still acknowledged over a snapshot") {
  Solo solo(behind());
  solo.append({2, 2}, {.term = 1, .index = 5}, {make_entry(2, 6, "a"), make_entry(2, 7, "b")});
  CHECK_FALSE(solo.last_sent<AppendEntriesReply>().has_value());
  REQUIRE(solo.install(install_at({.term = 2, .index = 20})));
  solo.take();
  solo.sync(1);
  CHECK(solo.last_sent<AppendEntriesReply>()->match == 7);
  CHECK(solo.raft().durable_index() == 7);
  solo.sync();
  CHECK(solo.raft().durable_index() == 20);
}

TEST_CASE("D9: loads that were under way when a snapshot came bring nothing to apply") {
  SoloOptions options = behind();
  Solo solo(options);
  solo.append({2, 1}, {.term = 1, .index = 5}, {}, 5);
  REQUIRE(solo.loads().size() == 1);
  REQUIRE(solo.install(install_at({.term = 1, .index = 20})));
  solo.raft().loaded(1, {make_entry(1, 4, "x"), make_entry(1, 5, "x")});
  solo.sync();
  solo.loaded();
  CHECK(solo.applied().empty());
  solo.append({2, 1}, {.term = 1, .index = 20}, {make_entry(1, 21, "y")}, 21);
  solo.sync();
  REQUIRE(solo.applied().size() == 1);
  CHECK(solo.applied()[0].id.index == 21);
}

TEST_CASE("D9: entries that were read back for apply before a snapshot came are not applied after it") {
  Solo solo(behind());
  solo.append({2, 1}, {.term = 1, .index = 5}, {}, 5);
  REQUIRE(solo.loads().size() == 1);
  solo.raft().loaded(1, {make_entry(1, 4, "x"), make_entry(1, 5, "x")});
  REQUIRE(solo.install(install_at({.term = 1, .index = 20})));
  solo.sync();
  solo.append({2, 1}, {.term = 1, .index = 20}, {make_entry(1, 21, "y")}, 21);
  solo.sync();
  solo.loaded();
  REQUIRE(solo.applied().size() == 1);
  CHECK(solo.applied()[0].id.index == 21);
}

TEST_CASE("an answer to a chunk goes to the leader of the present term only") {
  Solo solo(behind());
  solo.step(2, 2, chunk_at({.term = 1, .index = 20}));
  solo.sync();
  solo.sent();
  solo.raft().answer_snapshot(3, answer_of(SnapshotAnswer::kNeeds, 7, 0));
  solo.take();
  CHECK(solo.sent().empty());
  solo.raft().answer_snapshot(2, answer_of(SnapshotAnswer::kNeeds, 7, 0));
  solo.take();
  const std::vector<Message> sent = solo.sent();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].to == 2);
  CHECK(sent[0].term == 2);
  // A new leader knows the stream of the old one by no number.
  REQUIRE(solo.install(install_at({.term = 1, .index = 20})));
  solo.append({3, 3}, {.term = 1, .index = 20}, {});
  solo.sync();
  solo.sent();
  solo.loaded();
  const auto reply = solo.last_sent<InstallSnapshotReply>();
  REQUIRE(reply.has_value());
  CHECK(reply->snapshot == 0);
  CHECK(reply->match == 20);
}

// --- Compaction and a log that does not begin at 1 --------------------------------------------------------

TEST_CASE("D10: compaction forgets entries, keeps what follows, and a second one of less changes nothing") {
  Solo solo(compacted_at(0));
  solo.raft().compact(6);
  CHECK(solo.raft().first_index() == 7);
  CHECK(solo.raft().last().index == 10);
  solo.raft().compact(4);
  CHECK(solo.raft().first_index() == 7);
  solo.raft().compact(10);
  CHECK(solo.raft().first_index() == 11);
  CHECK(solo.raft().last() == EntryId{.term = 1, .index = 10});
  solo.append({2, 1}, {.term = 1, .index = 10}, {make_entry(1, 11, "y")}, 11);
  solo.sync();
  CHECK(solo.applied().size() == 1);
}

TEST_CASE("D10: compaction keeps the configuration in force at its end") {
  SoloOptions options = compacted_at(0);
  options.log[6].kind = raft::EntryKind::kConfiguration;
  options.log[6].payload = make_payload(raft::encode_configuration(make_configuration({1, 2, 3, 4})));
  Solo solo(options);
  solo.raft().compact(10);
  CHECK(solo.raft().configuration() == make_configuration({1, 2, 3, 4}));
  CHECK(solo.raft().committed_configuration() == make_configuration({1, 2, 3, 4}));
}

TEST_CASE("while apply is held nothing is handed out, and all of it afterwards") {
  Solo solo(behind());
  solo.raft().hold_apply(true);
  solo.append({2, 1}, {.term = 1, .index = 5}, {make_entry(1, 6, "y")}, 6);
  solo.sync();
  CHECK(solo.raft().commit_index() == 6);
  CHECK(solo.loads().empty());
  CHECK(solo.applied().empty());
  solo.raft().hold_apply(false);
  CHECK(solo.raft().has_output());
  solo.take();
  REQUIRE(solo.loads().size() == 1);
  solo.raft().loaded(1, {make_entry(1, 4, "x"), make_entry(1, 5, "x")});
  solo.take();
  CHECK(solo.applied().size() == 3);
}

TEST_CASE("an append from before the log's beginning is accepted, as all of it is committed") {
  Solo solo(compacted_at(8));
  solo.append({2, 1}, {.term = 1, .index = 3}, {make_entry(1, 4, "x"), make_entry(1, 5, "x")}, 5);
  CHECK(solo.last_sent<AppendEntriesReply>()->accepted);
  std::vector<Entry> entries = make_log(1, 12);
  entries.erase(entries.begin(), entries.begin() + 5);
  solo.append({2, 1}, {.term = 1, .index = 5}, entries, 12);
  solo.sync();
  CHECK(solo.last_sent<AppendEntriesReply>()->match == 12);
  CHECK(solo.raft().last().index == 12);
  CHECK(solo.applied().size() == 2);
}

TEST_CASE("a follower whose log is empty behind its base refuses what lies beyond and names its base") {
  Solo solo(compacted_at(10));
  solo.append({2, 2}, {.term = 2, .index = 15}, {make_entry(2, 16, "y")});
  solo.sync();
  const auto reply = solo.last_sent<AppendEntriesReply>();
  REQUIRE(reply.has_value());
  CHECK_FALSE(reply->accepted);
  CHECK(reply->hint == EntryId{.term = 1, .index = 10});
}

TEST_CASE("a hint at the base is answered by log, one before it by a snapshot") {
  Solo solo(compacted_at(8));
  solo.lead();
  solo.sent();
  solo.refuse({2, 2}, 10, {.term = 1, .index = 8});
  CHECK_FALSE(solo.peer(2).needs_snapshot);
  REQUIRE(solo.loads().size() == 1);
  CHECK(solo.loads()[0].from == 9);
  solo.raft().loaded(2, {make_entry(1, 9, "x"), make_entry(1, 10, "x")});
  solo.take();
  CHECK(solo.last_sent<AppendEntries>()->previous == EntryId{.term = 1, .index = 8});
  solo.refuse({2, 2}, 8, {.term = 1, .index = 7});
  CHECK(solo.peer(2).needs_snapshot);
}

TEST_CASE("scenario 38: term and vote are those of before a compaction") {
  SoloOptions options = compacted_at(10);
  options.hard_state = {.term = 6, .voted_for = 3};
  Solo solo(options);
  CHECK(solo.raft().term() == 6);
  CHECK(solo.raft().voted_for() == 3);
  CHECK(solo.raft().last() == EntryId{.term = 1, .index = 10});
  solo.step(2, 6, RequestVote{.pre_vote = false, .transfer = false, .last = {.term = 5, .index = 99}});
  CHECK_FALSE(solo.last_sent<RequestVoteReply>()->granted);
}

TEST_CASE("what the caller promises is asserted") {
  Solo solo(behind());
  CHECK(is_asserted([&] { solo.raft().compact(4); }));
  CHECK(is_asserted([&] { solo.loaded(); }));
  CHECK(is_asserted([&] { solo.raft().answer_snapshot(2, answer_of(SnapshotAnswer::kInstalled, 7, 4)); }));
  CHECK(is_asserted([&] { solo.raft().send_snapshot(2, chunk_at({.term = 1, .index = 4})); }));
  CHECK(is_asserted([&] { solo.install(install_at({.term = 2, .index = 20})); }));
  CHECK(is_asserted([&] { solo.install(install_at({.term = 1, .index = 20}, 21)); }));
  CHECK_FALSE(is_asserted([&] { solo.raft().compact(3); }));
  REQUIRE(solo.install(install_at({.term = 1, .index = 20})));
  solo.take();
  CHECK(is_asserted([&] { solo.loaded(); }));
  CHECK(is_asserted([&] { solo.raft().compact(3); }));
  solo.sync();
  CHECK_FALSE(is_asserted([&] { solo.loaded(); }));
}

TEST_CASE("a chunk without bytes behind the last one asks how far the receiver is, and is passed on") {
  Solo solo;
  InstallSnapshot question = chunk_at({.term = 1, .index = 9});
  question.offset = question.size;
  question.data = make_payload("");
  solo.step(2, 1, question);
  CHECK(solo.snapshot_messages().size() == 1);
}

TEST_CASE("a peer that has just what the log has no more is told of the commit a tick later") {
  Solo solo;
  solo.lead();
  solo.propose("x");
  solo.sync();
  solo.accept(2, 1, 2);
  REQUIRE(solo.raft().applied_index() == 2);
  solo.raft().compact(2);
  solo.sent();
  solo.tick();
  bool told = false;
  for (const Message& message : solo.sent()) {
    const auto* append = std::get_if<AppendEntries>(&message.body);
    told = told || (message.to == 2 && append != nullptr && append->leader_commit == 2);
  }
  CHECK(told);
}

}  // namespace
}  // namespace leto::raft_test
