// The window, the probing, the loads, and the bounds of the leader's side.
#include <doctest/doctest.h>

#include "raft/solo.h"

namespace leto::raft_test {
namespace {

using raft::AppendEntries;
using raft::AppendEntriesReply;

// Leads term 2 with six entries of term 1, none of them in memory; 2 has two of them and refused what follows the sixth.
Solo leader_of_old_entries() {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}, .log = make_log(1, 6)});
  solo.lead();
  solo.refuse({2, 2}, 6, {.term = 1, .index = 2});
  return solo;
}

TEST_CASE("a peer is probed with one append until one is accepted, then appends are pipelined") {
  Solo solo;
  solo.lead();
  for (int i = 0; i < 5; ++i) solo.propose("x");
  CHECK(solo.peer(2).in_flight_messages == 1);
  solo.accept(2, 1, 1);
  solo.sent();
  for (int i = 0; i < 5; ++i) solo.propose("x");
  CHECK(appends_to(solo.sent(), 2) == 5);
  CHECK(solo.peer(2).next == solo.raft().last().index + 1);
}

TEST_CASE("what is proposed in one turn travels in one append") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.sent();
  for (int i = 0; i < 5; ++i) solo.raft().propose(make_payload("x"), nullptr);
  solo.take();
  const std::vector<Message> sent = solo.sent();
  REQUIRE(appends_to(sent, 2) == 1);
  CHECK(std::get<AppendEntries>(sent[0].body).entries.size() == 5);
  REQUIRE(solo.writes().size() == 1);
  CHECK(solo.writes().front().append.size() == 5);
}

TEST_CASE("an append is cut at its bound, and a larger entry travels alone") {
  Solo solo({.raft = {.append_bytes_max = 1000}});
  solo.lead();
  solo.accept(2, 1, 1);
  solo.sent();
  for (const size_t size : {400u, 400u, 400u, 5000u, 10u}) solo.raft().propose(make_payload(std::string(size, 'x')), nullptr);
  solo.take();
  std::vector<size_t> counts;
  for (const Message& message : solo.sent())
    if (message.to == 2) counts.push_back(std::get<AppendEntries>(message.body).entries.size());
  CHECK(counts == std::vector<size_t>{2, 1, 1, 1});
}

TEST_CASE("the window bounds appends in flight by number") {
  Solo solo({.raft = {.window_messages_max = 3}});
  solo.lead();
  solo.accept(2, 1, 1);
  for (int i = 0; i < 10; ++i) solo.propose("x");
  CHECK(solo.peer(2).in_flight_messages == 3);
  solo.accept(2, 1, 2);
  CHECK(solo.peer(2).in_flight_messages == 3);
  // What waited for the window travels together.
  CHECK(solo.peer(2).next == solo.raft().last().index + 1);
}

TEST_CASE("the window bounds appends in flight by bytes, and one always fits") {
  Solo solo({.raft = {.window_bytes_max = 1000}});
  solo.lead();
  solo.accept(2, 1, 1);
  for (int i = 0; i < 10; ++i) solo.propose(std::string(300, 'x'));
  CHECK(solo.peer(2).in_flight_bytes <= 1000);
  CHECK(solo.peer(2).in_flight_messages == 3);
  solo.accept(2, 1, solo.raft().last().index);
  solo.propose(std::string(5000, 'x'));
  CHECK(solo.peer(2).in_flight_messages == 1);
}

TEST_CASE("a refusal that answers nothing in flight sets nobody back") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.propose("x");
  solo.accept(2, 1, 2);
  solo.sent();
  solo.refuse({2, 1}, 1, {});
  solo.refuse({2, 1}, 7, {});
  CHECK(solo.peer(2).match == 2);
  CHECK(solo.peer(2).next == 3);
  CHECK(solo.sent().empty());
}

TEST_CASE("acknowledgements of what was never sent are dropped") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 99);
  CHECK(solo.peer(2).match == 0);
  solo.accept(2, 1, 1, 9999);
  CHECK(solo.peer(2).match == 0);
}

TEST_CASE("a broken connection makes the leader wait for contact and then send again") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.propose("a");
  solo.propose("b");
  solo.sent();
  solo.raft().peer_unreachable(2);
  solo.take();
  CHECK(appends_to(solo.sent(), 2) == 0);
  CHECK(solo.peer(2).in_flight_messages == 0);
  solo.accept(2, 1, 0);
  const std::vector<Message> sent = solo.sent();
  REQUIRE(appends_to(sent, 2) == 1);
  CHECK(std::get<AppendEntries>(sent[0].body).previous.index == 1);
}

TEST_CASE("a silent peer is sent heartbeats and nothing else") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.propose("a");
  solo.sync();
  size_t appends = 0;
  for (int i = 0; i < 200; ++i) {
    solo.sent();
    solo.tick();
    solo.accept(2, 1, 2);
    solo.propose("more");
    solo.sync();
    appends += appends_to(solo.sent(), 3);
  }
  CHECK(appends <= 2);
  CHECK(solo.peer(3).in_flight_messages <= 1);
}

TEST_CASE("entries that left memory are loaded, one load at a time, and sent within the window") {
  Solo solo = leader_of_old_entries();
  REQUIRE(solo.loads().size() == 1);
  CHECK(solo.loads()[0].peer == 2);
  CHECK(solo.loads()[0].from == 3);
  CHECK(solo.loads()[0].last == 6);
  solo.tick(1);
  CHECK(solo.loads().size() == 1);
  solo.sent();
  solo.raft().loaded(2, {make_entry(1, 3, "old"), make_entry(1, 4, "old")});
  solo.take();
  const std::vector<Message> sent = solo.sent();
  REQUIRE(appends_to(sent, 2) == 1);
  CHECK(std::get<AppendEntries>(sent[0].body).previous.index == 2);
  // It is a probe: the next load waits for its answer.
  CHECK(solo.loads().size() == 1);
  solo.accept(2, 2, 4);
  REQUIRE(solo.loads().size() == 2);
  CHECK(solo.loads()[1].from == 5);
}

TEST_CASE("loaded entries that are not in the log any more are not sent") {
  Solo solo = leader_of_old_entries();
  solo.sent();
  solo.raft().loaded(2, {make_entry(7, 3, "other")});
  solo.take();
  CHECK(appends_to(solo.sent(), 2) == 0);
  // It asks again.
  CHECK(solo.loads().size() == 2);
}

TEST_CASE("a peer that needs what the log has dropped is not probed in vain") {
  raft::Options options;
  options.self = 1;
  options.election_ticks = 10;
  raft::Recovered recovered;
  recovered.hard_state.term = 3;
  recovered.base = {.term = 3, .index = 100};
  recovered.last = {.term = 3, .index = 102};
  recovered.terms = {{.first = 101, .term = 3}};
  recovered.applied = 101;
  recovered.configurations = {{.index = 90, .configuration = make_configuration({1, 2, 3})}};
  raft::Raft raft(options, recovered);
  const auto step = [&](NodeId from, Term term, raft::Body body) {
    raft.step({.from = from, .to = 1, .term = term, .body = std::move(body)});
    raft::Output output = raft.take();
    for (const raft::Write& write : output.writes) raft.durable(write.seq);
    return output.send_now;
  };
  for (int i = 0; i < 20; ++i) raft.tick();
  raft.take();
  step(3, 4, kPreVoteGranted);
  step(3, 4, kVoteGranted);
  REQUIRE(raft.role() == raft::Role::kLeader);
  CHECK(raft.first_index() == 101);
  const AppendEntriesReply refusal{.accepted = false, .match = 0, .previous_index = 102,
                                   .hint = {.term = 1, .index = 7}, .read_counter = 0};
  CHECK(appends_to(step(2, 4, refusal), 2) == 0);
  CHECK(raft.peers()[0].next == 8);
  for (int i = 0; i < 20; ++i) raft.tick();
  CHECK(appends_to(raft.take().send_now, 2) == 0);
}

TEST_CASE("the cache is bounded, and what was evicted is loaded for apply") {
  Solo solo({.configuration = make_configuration({1}), .raft = {.cache_bytes_max = 1000}});
  solo.tick();
  solo.sync();
  for (int i = 0; i < 50; ++i) {
    solo.propose(std::string(100, 'x'));
    solo.sync();
  }
  CHECK(solo.applied().size() == 51);
  CHECK(solo.loads().empty());
}

TEST_CASE("apply is handed out in bounded parts") {
  Solo solo({.configuration = make_configuration({1}), .raft = {.apply_bytes_max = 1000}});
  solo.tick();
  solo.sync();
  for (int i = 0; i < 10; ++i) solo.raft().propose(make_payload(std::string(400, 'x')), nullptr);
  raft::Output output = solo.raft().take();
  solo.raft().durable(output.writes.back().seq);
  std::vector<size_t> parts;
  while (solo.raft().has_output()) parts.push_back(solo.raft().take().apply.size());
  CHECK(parts == std::vector<size_t>{2, 2, 2, 2, 2});
}

TEST_CASE("proposals are bounded by uncommitted bytes, and one always fits") {
  Solo solo({.raft = {.uncommitted_bytes_max = 100}});
  solo.lead();
  solo.accept(2, 1, 1);
  CHECK(solo.propose(std::string(500, 'x')) == raft::ProposeResult::kAccepted);
  CHECK(solo.propose("x") == raft::ProposeResult::kBusy);
  CHECK(solo.raft().uncommitted_bytes() == 500);
  solo.sync();
  solo.accept(2, 1, 2);
  CHECK(solo.raft().uncommitted_bytes() == 0);
  CHECK(solo.propose("x") == raft::ProposeResult::kAccepted);
  solo.append({3, 2}, {}, {});
  CHECK(solo.raft().uncommitted_bytes() == 0);
}

TEST_CASE("a follower learns of a commit within a tick") {
  Solo solo;
  solo.lead();
  for (const NodeId peer : {2u, 3u}) solo.accept(peer, 1, 1);
  solo.sent();
  solo.tick(1);
  size_t told = 0;
  for (const Message& message : solo.sent()) told += std::get<AppendEntries>(message.body).leader_commit == 1;
  CHECK(told == 2);
  solo.tick(1);
  CHECK(solo.sent().empty());
}

}  // namespace
}  // namespace leto::raft_test
