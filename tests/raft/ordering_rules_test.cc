// One test or more for each ordering rule of docs/raft.md that concerns the core, named by its number.
#include <doctest/doctest.h>

#include "raft/solo.h"

namespace leto::raft_test {
namespace {

using raft::AppendEntries;
using raft::AppendEntriesReply;
using raft::EntryId;
using raft::RequestVote;
using raft::RequestVoteReply;
using raft::Role;

TEST_CASE("D1 a candidate asks for votes only when its term and own vote are durable") {
  Solo solo;
  solo.tick_to_timeout();
  solo.sent();
  solo.step(2, 1, kPreVoteGranted);
  REQUIRE(solo.raft().role() == Role::kCandidate);
  CHECK(solo.sent().empty());
  REQUIRE(solo.writes().size() == 1);
  CHECK(solo.writes().front().hard_state == HardState{.term = 1, .voted_for = 1});
  CHECK(solo.writes().front().after_durable.size() == 2);
  solo.sync();
  CHECK(solo.last_sent<RequestVote>().has_value());
}

TEST_CASE("D1 a candidate's own vote counts only when it is durable") {
  Solo solo;
  solo.tick_to_timeout();
  solo.step(2, 1, kPreVoteGranted);
  solo.step(2, 1, kVoteGranted);
  CHECK(solo.raft().role() == Role::kCandidate);
  solo.sync();
  CHECK(solo.raft().role() == Role::kLeader);
}

TEST_CASE("D1 the votes of all others make no leader before the own vote is durable") {
  // Its own vote is not needed for the majority of the others, but counts only with it.
  Solo solo({.configuration = make_configuration({1, 2, 3, 4, 5})});
  solo.tick_to_timeout();
  solo.step(2, 1, kPreVoteGranted);
  solo.step(3, 1, kPreVoteGranted);
  solo.step(2, 1, kVoteGranted);
  solo.step(3, 1, kVoteGranted);
  CHECK(solo.raft().role() == Role::kCandidate);
  solo.sync();
  CHECK(solo.raft().role() == Role::kLeader);
}

TEST_CASE("D2 a granted vote leaves only when term and vote are durable") {
  Solo solo;
  solo.step(2, 1, vote_request({}));
  CHECK(solo.sent().empty());
  REQUIRE(solo.writes().size() == 1);
  CHECK(solo.writes().front().hard_state == HardState{.term = 1, .voted_for = 2});
  // Asked again while it is on its way to the disk: still not.
  solo.step(2, 1, vote_request({}));
  CHECK(solo.sent().empty());
  solo.sync();
  CHECK(solo.last_sent<RequestVoteReply>()->granted);
  // Asked again when it is durable: at once.
  solo.step(2, 1, vote_request({}));
  CHECK(solo.last_sent<RequestVoteReply>()->granted);
}

TEST_CASE("D2 a pre-vote writes nothing and is answered at once") {
  Solo solo;
  solo.step(2, 5, RequestVote{.pre_vote = true, .transfer = false, .last = {}});
  CHECK(solo.writes().empty());
  CHECK(solo.raft().term() == 0);
  CHECK(solo.last_sent<RequestVoteReply>()->granted);
}

TEST_CASE("D3 an append is acknowledged only when its entries are durable") {
  Solo solo;
  solo.append({2, 1}, {}, {make_entry(1, 1, "a"), make_entry(1, 2, "b")});
  CHECK(solo.sent().empty());
  REQUIRE(solo.writes().size() == 1);
  CHECK(solo.writes().front().append.size() == 2);
  solo.sync();
  CHECK(solo.last_sent<AppendEntriesReply>()->match == 2);
}

TEST_CASE("D3 entries that came before but are not durable yet are not acknowledged either") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}});
  solo.append({2, 1}, {}, {make_entry(1, 1, "a")});
  solo.append({2, 1}, {}, {make_entry(1, 1, "a")});
  CHECK(solo.sent().empty());
  solo.sync();
  const std::vector<Message> answers = solo.sent();
  CHECK(answers.size() == 2);
  for (const Message& message : answers) CHECK(std::get<AppendEntriesReply>(message.body).match == 1);
}

TEST_CASE("D3 what is acknowledged is what the append showed, not the end of the log") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0},
             .log = {make_entry(1, 1, "a"), make_entry(1, 2, "b"), make_entry(1, 3, "c")}});
  solo.append({2, 2}, {.term = 1, .index = 1}, {make_entry(1, 2, "b")});
  solo.sync();
  CHECK(solo.last_sent<AppendEntriesReply>()->match == 2);
}

TEST_CASE("D3 a heartbeat in a term that is not durable is answered later") {
  Solo solo;
  solo.append({2, 7}, {}, {});
  CHECK(solo.sent().empty());
  solo.sync();
  CHECK(solo.last_sent<AppendEntriesReply>()->accepted);
}

TEST_CASE("D4 a truncation and what replaces the entries are one write") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}, .log = {make_entry(1, 1, "a"), make_entry(1, 2, "b")}});
  solo.append({2, 2}, {.term = 1, .index = 1}, {make_entry(2, 2, "c"), make_entry(2, 3, "d")});
  REQUIRE(solo.writes().size() == 1);
  CHECK(solo.writes().front().truncate_from == 2u);
  CHECK(solo.writes().front().append.size() == 2);
}

TEST_CASE("D4 a truncation of what the same turn appended is a write of its own, behind it") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}});
  const auto message = [](NodeId from, Term term, std::vector<Entry> entries) {
    return Message{.from = from, .to = 1, .term = term,
                   .body = AppendEntries{.previous = {}, .leader_commit = 0, .read_counter = 0, .cluster_time_ms = 0,
                                         .entries = std::move(entries)}};
  };
  solo.raft().step(message(2, 1, {make_entry(1, 1, "a")}));
  solo.raft().step(message(3, 2, {make_entry(2, 1, "b")}));
  solo.take();
  REQUIRE(solo.writes().size() == 2);
  CHECK(solo.writes()[0].append.front().id.term == 1);
  CHECK(solo.writes()[1].truncate_from == 1u);
  CHECK(solo.writes()[1].append.front().id.term == 2);
}

TEST_CASE("D5 a leader sends before its own copy is durable, and counts it only then") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  REQUIRE(solo.raft().commit_index() == 1);
  solo.sent();
  solo.propose("a");
  CHECK(solo.last_sent<AppendEntries>()->entries.size() == 1);
  // Of two nodes that have it the leader is not one yet.
  solo.accept(2, 1, 2);
  CHECK(solo.raft().commit_index() == 1);
  solo.sync();
  CHECK(solo.raft().commit_index() == 2);
}

TEST_CASE("D5 only an entry of the own term is committed by counting") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}, .log = {make_entry(1, 1, "a"), make_entry(1, 2, "b")}});
  solo.lead();
  REQUIRE(solo.raft().last() == EntryId{.term = 2, .index = 3});
  solo.accept(2, 2, 2);
  solo.accept(3, 2, 2);
  CHECK(solo.raft().commit_index() == 0);
  solo.accept(2, 2, 3);
  CHECK(solo.raft().commit_index() == 3);
}

TEST_CASE("D6 a leader commits nothing that is not durable at itself, whoever else has it") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.propose("a");
  solo.accept(2, 1, 2);
  solo.accept(3, 1, 2);
  CHECK(solo.raft().commit_index() == 1);
  solo.sync();
  CHECK(solo.raft().commit_index() == 2);
  CHECK(solo.applied().size() == 2);
}

TEST_CASE("D7 a follower commits no further than the append shows its log to agree") {
  // Entries 2 and 3 are of a leader that is gone; the heartbeat shows nothing of them.
  Solo solo({.hard_state = {.term = 1, .voted_for = 0},
             .log = {make_entry(1, 1, "a"), make_entry(1, 2, "stale"), make_entry(1, 3, "stale")}});
  solo.append({2, 2}, {.term = 1, .index = 1}, {}, 3);
  CHECK(solo.raft().commit_index() == 1);
  solo.append({2, 2}, {.term = 1, .index = 1}, {make_entry(2, 2, "b")}, 3);
  CHECK(solo.raft().commit_index() == 2);
}

TEST_CASE("D7 a heartbeat tells a peer no commit beyond what the peer is known to have") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.propose("a");
  solo.sync();
  solo.accept(2, 1, 2);
  REQUIRE(solo.raft().commit_index() == 2);
  solo.sent();
  solo.tick(3);
  size_t heartbeats = 0;
  for (const Message& message : solo.sent()) {
    const auto* heartbeat = std::get_if<AppendEntries>(&message.body);
    if (!heartbeat || message.to != 3) continue;
    CHECK(heartbeat->previous == EntryId{});
    CHECK(heartbeat->leader_commit == 0);
    ++heartbeats;
  }
  CHECK(heartbeats > 0);
}

TEST_CASE("D8 a truncation lowers the durable index at once, and older writes do not raise it beyond") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}, .log = {make_entry(1, 1, "a"), make_entry(1, 2, "b")}});
  solo.append({2, 1}, {.term = 1, .index = 2}, {make_entry(1, 3, "c"), make_entry(1, 4, "d")});
  solo.append({3, 2}, {.term = 1, .index = 1}, {make_entry(2, 2, "x")});
  CHECK(solo.raft().durable_index() == 1);
  solo.sync(1);
  CHECK(solo.raft().durable_index() == 1);
  solo.sync(1);
  CHECK(solo.raft().durable_index() == 2);
}

TEST_CASE("D8 completions count by their sequence, also when the same entry was written twice") {
  // Entry 1/2 is appended, truncated by a leader of term 2, and appended again by one of term 3.
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}, .log = {make_entry(1, 1, "a")}});
  solo.append({2, 1}, {.term = 1, .index = 1}, {make_entry(1, 2, "b")});
  solo.append({3, 2}, {.term = 1, .index = 1}, {make_entry(2, 2, "x")});
  solo.append({2, 3}, {.term = 1, .index = 1}, {make_entry(1, 2, "b")});
  solo.sent();
  solo.sync(1);
  CHECK(solo.raft().durable_index() == 1);
  solo.sync(1);
  CHECK(solo.raft().durable_index() == 1);
  solo.sync(1);
  CHECK(solo.raft().durable_index() == 2);
}

TEST_CASE("D11 after a start what is committed beyond the applied index is applied again, once and in order") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0},
             .log = {make_entry(1, 1, "a"), make_entry(1, 2, "b"), make_entry(1, 3, "c")},
             .applied = 1});
  CHECK(solo.raft().commit_index() == 1);
  solo.append({2, 1}, {.term = 1, .index = 3}, {}, 3);
  REQUIRE(solo.loads().size() == 1);
  CHECK(solo.loads().front().from == 2);
  solo.raft().loaded(1, {make_entry(1, 2, "b"), make_entry(1, 3, "c")});
  solo.take();
  REQUIRE(solo.applied().size() == 2);
  CHECK(*solo.applied()[0].payload == "b");
  CHECK(*solo.applied()[1].payload == "c");
}

TEST_CASE("D12 nothing is given to the state machine before it is committed") {
  Solo solo;
  solo.append({2, 1}, {}, {make_entry(1, 1, "a")}, 0);
  solo.sync();
  CHECK(solo.applied().empty());
  solo.append({2, 1}, {.term = 1, .index = 1}, {}, 1);
  CHECK(solo.applied().size() == 1);
}

TEST_CASE("D12 a committed entry is given to the state machine only when it is durable here") {
  Solo solo;
  solo.append({2, 1}, {}, {make_entry(1, 1, "a")}, 1);
  CHECK(solo.raft().commit_index() == 1);
  CHECK(solo.applied().empty());
  solo.sync();
  CHECK(solo.applied().size() == 1);
}

TEST_CASE("D13 a read waits for answers to a round that was sent after it arrived") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.tick(3);
  const uint64_t before = counter_of(solo);
  solo.read(7);
  const uint64_t after = counter_of(solo);
  CHECK(after > before);
  solo.accept(2, 1, 1, before);
  solo.accept(3, 1, 1, before);
  CHECK(solo.reads().empty());
  solo.accept(3, 1, 1, after);
  REQUIRE(solo.reads().size() == 1);
  CHECK(solo.reads()[0].ok);
  CHECK(solo.reads()[0].index == 1);
}

TEST_CASE("D13 a new leader reads nothing before an entry of its term is committed") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}, .log = {make_entry(1, 1, "a")}});
  solo.lead();
  solo.read(7);
  solo.tick(3);
  const uint64_t counter = counter_of(solo);
  solo.accept(2, 2, 1, counter);
  CHECK(solo.reads().empty());
  solo.accept(2, 2, 2, counter);
  CHECK(solo.reads().empty());
  solo.accept(2, 2, 2, counter_of(solo));
  REQUIRE(solo.reads().size() == 1);
  CHECK(solo.reads()[0].index == 2);
}

TEST_CASE("D13 a read waits for the commit index, not for the end of the log") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.propose("not committed");
  solo.read(7);
  solo.accept(2, 1, 1, counter_of(solo));
  REQUIRE(solo.reads().size() == 1);
  CHECK(solo.reads()[0].index == 1);
}

TEST_CASE("D13 answers of learners confirm no read") {
  Solo solo({.configuration = make_configuration({1, 2, 3}, {}, {4, 5})});
  solo.lead();
  solo.accept(2, 1, 1);
  solo.read(7);
  const uint64_t counter = counter_of(solo);
  solo.accept(4, 1, 1, counter);
  solo.accept(5, 1, 1, counter);
  CHECK(solo.reads().empty());
  solo.accept(2, 1, 1, counter);
  CHECK(solo.reads().size() == 1);
}

TEST_CASE("D14 a leader that steps down fails its reads, those of followers included") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.read(7);
  solo.step(2, 1, raft::ReadIndexRequest{.context = 8});
  solo.sent();
  solo.append({2, 2}, {}, {});
  CHECK(solo.raft().role() == Role::kFollower);
  REQUIRE(solo.reads().size() == 1);
  CHECK_FALSE(solo.reads()[0].ok);
  const auto reply = solo.last_sent<raft::ReadIndexReply>();
  REQUIRE(reply.has_value());
  CHECK_FALSE(reply->ok);
  // Once only.
  solo.tick(30);
  CHECK(solo.reads().size() == 1);
}

TEST_CASE("D14 a follower's reads fail when the leader changes") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}});
  solo.append({2, 1}, {}, {});
  solo.read(7);
  CHECK(solo.last_sent<raft::ReadIndexRequest>().has_value());
  solo.append({3, 2}, {}, {});
  REQUIRE(solo.reads().size() == 1);
  CHECK_FALSE(solo.reads()[0].ok);
}

raft::AppendEntries heartbeat(raft::EntryId previous, raft::Index acknowledged) {
  return {.previous = previous, .leader_commit = 0, .acknowledged = acknowledged, .read_counter = 0, .cluster_time_ms = 0,
          .entries = {}};
}

TEST_CASE("D16 a node that is shown to have lost what it acknowledged says so, and is silent from then on") {
  const std::vector<Entry> kept = {make_entry(1, 1, "a"), make_entry(1, 2, "b")};
  struct Case {
    const char* what;
    raft::AppendEntries append;
  };
  for (const Case& each : {Case{"the log is shorter", heartbeat({.term = 1, .index = 4}, 4)},
                           Case{"another entry is there", heartbeat({.term = 2, .index = 2}, 2)},
                           Case{"the leader has compacted it", heartbeat({}, 4)}}) {
    CAPTURE(each.what);
    Solo solo({.hard_state = {.term = 2, .voted_for = 0}, .log = kept});
    solo.raft().step({.from = 2, .to = 1, .term = 2, .body = each.append});
    CHECK(solo.raft().take().lost_acknowledged == each.append.acknowledged);
    solo.step(2, 2, each.append);
    const auto refusal = solo.last_sent<AppendEntriesReply>();
    REQUIRE(refusal.has_value());
    CHECK_FALSE(refusal->accepted);
    CHECK(refusal->acknowledged == each.append.acknowledged);
    solo.append({2, 2}, {.term = 1, .index = 1}, {make_entry(1, 2, "b"), make_entry(1, 3, "c")});
    solo.sync();
    solo.step(3, 3, vote_request({.term = 9, .index = 9}));
    solo.tick(100);
    CHECK(solo.raft().role() == Role::kFollower);
    CHECK(solo.sent().empty());
    CHECK(solo.raft().last().index == 2);
  }
}

TEST_CASE("D16 what waits for the disk is not acknowledged once the log is known to have lost its tail") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}});
  solo.append({2, 1}, {}, {make_entry(1, 1, "a")});
  solo.append({2, 1}, {.term = 1, .index = 1}, {});
  solo.step(2, 1, heartbeat({.term = 1, .index = 5}, 5));
  solo.sent();
  REQUIRE(solo.writes().size() == 1);
  solo.sync();
  // What was handed over with its write leaves with it, and is true; what waited for that write does not.
  size_t acknowledgements = 0;
  for (const Message& message : solo.sent()) {
    const auto& reply = std::get<AppendEntriesReply>(message.body);
    if (reply.accepted) CHECK(reply.match == 1);
    acknowledgements += reply.accepted;
  }
  CHECK(acknowledgements == 1);
}

TEST_CASE("D16 a log that has what it acknowledged refuses what lies behind it as ever") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}, .log = {make_entry(1, 1, "a"), make_entry(1, 2, "b")}});
  solo.step(2, 1, heartbeat({.term = 1, .index = 7}, 2));
  const auto refusal = solo.last_sent<AppendEntriesReply>();
  CHECK_FALSE(refusal->accepted);
  CHECK(refusal->hint == raft::EntryId{.term = 1, .index = 2});
  solo.append({2, 1}, {.term = 1, .index = 2}, {make_entry(1, 3, "c")});
  solo.sync();
  CHECK(solo.last_sent<AppendEntriesReply>()->match == 3);
}

// Of node 2 to the leader of term 1.
AppendEntriesReply refusal_of(raft::Index previous, raft::EntryId hint, raft::Index acknowledged, uint64_t counter = 0) {
  return {.accepted = false, .match = 0, .previous_index = previous, .hint = hint, .acknowledged = acknowledged,
          .read_counter = counter};
}

TEST_CASE("D16 a peer that lost what it acknowledged counts for nothing: no commit, no read, no majority") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.accept(3, 1, 1);
  solo.propose("x");
  solo.step(2, 1, refusal_of(1, {.term = 0, .index = 0}, 1));
  CHECK(solo.raft().peers()[0].lost_tail);
  CHECK(solo.raft().peers()[0].match == 1);
  solo.sync();
  solo.accept(2, 1, 2);
  CHECK(solo.raft().commit_index() == 1);
  solo.read(7);
  solo.accept(2, 1, 2, 1000);
  solo.step(2, 1, refusal_of(1, {.term = 0, .index = 0}, 1, 2));
  CHECK(solo.reads().empty());
  // Its answers keep nobody in office.
  for (int i = 0; i < 12; ++i) {
    solo.accept(2, 1, 2);
    solo.tick();
  }
  CHECK(solo.raft().role() == Role::kFollower);
}

TEST_CASE("D16 what a peer had acknowledged before it lost it is not counted for what comes to be committed later") {
  Solo solo;
  solo.lead();
  solo.propose("x");
  solo.propose("y");
  // Not durable at the leader yet, so not committed.
  solo.accept(2, 1, 3);
  CHECK(solo.raft().commit_index() == 1);
  solo.step(2, 1, refusal_of(3, {.term = 1, .index = 1}, 3));
  solo.sync();
  CHECK(solo.raft().commit_index() == 1);
  solo.accept(3, 1, 2);
  CHECK(solo.raft().commit_index() == 2);
}

TEST_CASE("D16 to a peer that lost what it acknowledged go heartbeats, and nothing else") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.accept(3, 1, 1);
  solo.step(2, 1, refusal_of(1, {.term = 0, .index = 0}, 1));
  solo.sent();
  solo.propose("x");
  solo.sync();
  solo.tick(2);
  solo.propose("y");
  solo.tick(2);
  size_t heartbeats = 0;
  for (const Message& message : solo.sent()) {
    const auto* append = std::get_if<raft::AppendEntries>(&message.body);
    if (message.to != 2 || append == nullptr) continue;
    CHECK(append->entries.empty());
    CHECK(append->acknowledged == 1);
    ++heartbeats;
  }
  CHECK(heartbeats > 0);
}

TEST_CASE("D16 a refusal of long ago is not taken for a loss, and none of what was never acknowledged") {
  Solo solo;
  solo.lead();
  solo.propose("x");
  // It was sent when nothing was acknowledged, and comes when all is.
  solo.accept(2, 1, 2);
  solo.step(2, 1, refusal_of(1, {.term = 0, .index = 0}, 0));
  CHECK_FALSE(solo.raft().peers()[0].lost_tail);
  // It was sent when 1 was, and refuses what lay behind that.
  solo.step(2, 1, refusal_of(2, {.term = 1, .index = 1}, 1));
  CHECK_FALSE(solo.raft().peers()[0].lost_tail);
  // Nonsense.
  solo.step(2, 1, refusal_of(3, {.term = 1, .index = 1}, 3));
  CHECK_FALSE(solo.raft().peers()[0].lost_tail);
  CHECK(solo.raft().peers()[0].match == 2);
}

TEST_CASE("D16 a refusal of an older term says nothing about this one") {
  Solo solo({.hard_state = {.term = 5, .voted_for = 0}, .log = {make_entry(1, 1, "a")}});
  solo.step(2, 3, heartbeat({.term = 2, .index = 9}, 9));
  const auto told = solo.last_sent<AppendEntriesReply>();
  REQUIRE(told.has_value());
  CHECK(told->acknowledged == 0);
  CHECK(told->previous_index == 0);
  CHECK(told->read_counter == 0);
}

TEST_CASE("D16 a node that lost the tail of its log neither votes nor acknowledges nor campaigns") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}, .log = {make_entry(1, 1, "a")}, .lost_tail = true});
  solo.tick(100);
  CHECK(solo.raft().role() == Role::kFollower);
  solo.step(2, 2, vote_request({.term = 9, .index = 9}));
  solo.append({2, 2}, {.term = 1, .index = 1}, {make_entry(2, 2, "b")});
  solo.append({2, 2}, {}, {});
  solo.step(2, 2, raft::TimeoutNow{});
  solo.sync();
  CHECK(solo.sent().empty());
  solo.step(2, 3, RequestVote{.pre_vote = true, .transfer = false, .last = {.term = 9, .index = 9}});
  CHECK_FALSE(solo.last_sent<RequestVoteReply>()->granted);
}

TEST_CASE("D17 a node whose disk is stalled asks for no votes and takes no transfer") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}});
  solo.append({2, 1}, {}, {});
  solo.raft().disk_stalled(true);
  solo.sent();
  solo.tick(100);
  solo.step(2, 1, raft::TimeoutNow{});
  CHECK(solo.raft().role() == Role::kFollower);
  CHECK(solo.sent().empty());
  solo.raft().disk_stalled(false);
  solo.tick_to_timeout();
  CHECK(solo.raft().role() == Role::kPreCandidate);
}

TEST_CASE("D17 a candidate whose disk stalls is one no more") {
  Solo solo;
  solo.tick_to_timeout();
  solo.step(2, 1, kPreVoteGranted);
  REQUIRE(solo.raft().role() == Role::kCandidate);
  solo.raft().disk_stalled(true);
  solo.step(2, 1, kVoteGranted);
  solo.sync();
  CHECK(solo.raft().role() == Role::kFollower);
}

TEST_CASE("D17 a leader whose disk stalls hands over to a peer that has everything") {
  Solo solo;
  solo.lead();
  solo.accept(3, 1, 1);
  solo.raft().disk_stalled(true);
  solo.take();
  CHECK(solo.raft().transferring_to() == 3);
  CHECK(solo.last_sent<raft::TimeoutNow>().has_value());
  CHECK(solo.propose("x") == raft::ProposeResult::kTransferring);
  // Nobody takes over: it steps down all the same, and is silent.
  for (int i = 0; i < 10; ++i) {
    solo.tick();
    solo.accept(2, 1, 1);
  }
  CHECK(solo.raft().role() == Role::kFollower);
  solo.sent();
  solo.tick(30);
  CHECK(solo.sent().empty());
}

TEST_CASE("D17 a leader whose disk stalls does not hand over to one whose connection was lost just now") {
  Solo solo;
  solo.lead();
  for (const NodeId peer : {2u, 3u}) solo.accept(peer, 1, 1);
  solo.raft().peer_unreachable(2);
  solo.raft().disk_stalled(true);
  CHECK(solo.raft().transferring_to() == 3);
}

TEST_CASE("D17 a leader whose disk stalls steps down if nobody is caught up") {
  Solo solo;
  solo.lead();
  solo.accept(3, 1, 1);
  solo.propose("x");
  solo.raft().disk_stalled(true);
  CHECK(solo.raft().role() == Role::kFollower);
}

TEST_CASE("D17 a cluster of one voter waits for its disk") {
  Solo solo({.configuration = make_configuration({1})});
  solo.tick();
  solo.sync();
  REQUIRE(solo.raft().role() == Role::kLeader);
  solo.raft().disk_stalled(true);
  solo.tick(50);
  CHECK(solo.raft().role() == Role::kLeader);
}

TEST_CASE("D1 a candidate leads with its own durable vote alone, whatever others say before") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}});
  solo.tick_to_timeout();
  solo.step(2, 2, kPreVoteGranted);
  REQUIRE(solo.raft().role() == Role::kCandidate);
  // Nobody was asked yet.
  solo.step(2, 2, kVoteGranted);
  solo.step(3, 2, kVoteGranted);
  CHECK(solo.raft().role() == Role::kCandidate);
  solo.sync();
  CHECK(solo.raft().role() == Role::kLeader);
}

}  // namespace
}  // namespace leto::raft_test
