// Section 5 of the Raft paper (Ongaro, Ousterhout: In Search of an Understandable Consensus Algorithm,
// extended version), rule by rule. Each test is named after the sentence it holds.
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

const RequestVoteReply kVoteRefused{.pre_vote = false, .granted = false};

raft::Options cluster_options() {
  raft::Options options;
  options.election_ticks = 10;
  options.heartbeat_ticks = 3;
  options.seed = 1;
  return options;
}

SoloOptions with_log(Term term, std::vector<Entry> log) {
  SoloOptions options;
  options.hard_state.term = term;
  options.log = std::move(log);
  return options;
}

void become_candidate(Solo& solo) {
  solo.tick_to_timeout();
  solo.step(2, solo.raft().term() + 1, kPreVoteGranted);
  solo.step(3, solo.raft().term() + 1, kPreVoteGranted);
  solo.sync();
  REQUIRE(solo.raft().role() == Role::kCandidate);
}

bool grants(SoloOptions options, EntryId last) {
  Solo solo(std::move(options));
  solo.step(2, 9, RequestVote{.pre_vote = false, .transfer = false, .last = last});
  solo.sync();
  return solo.last_sent<RequestVoteReply>()->granted;
}

TEST_CASE("5.1 if one server's current term is smaller than the other's, it updates it to the larger value") {
  Solo solo;
  solo.append({2, 4}, {}, {});
  CHECK(solo.raft().term() == 4);
  CHECK(solo.raft().leader() == 2);
}

TEST_CASE("5.1 if a candidate or leader discovers that its term is out of date, it reverts to follower") {
  SUBCASE("a leader by an append") {
    Solo solo;
    solo.lead();
    solo.append({2, 5}, {}, {});
    CHECK(solo.raft().role() == Role::kFollower);
    CHECK(solo.raft().leader() == 2);
    CHECK(solo.raft().term() == 5);
  }
  SUBCASE("a leader by an answer") {
    Solo solo;
    solo.lead();
    solo.step(2, 5, AppendEntriesReply{});
    CHECK(solo.raft().role() == Role::kFollower);
    CHECK(solo.raft().term() == 5);
  }
  SUBCASE("a candidate by a refusal") {
    Solo solo;
    become_candidate(solo);
    solo.step(2, 5, kVoteRefused);
    CHECK(solo.raft().role() == Role::kFollower);
    CHECK(solo.raft().term() == 5);
  }
}

TEST_CASE("5.1 if a server receives a request with a stale term number, it rejects the request") {
  Solo solo(with_log(4, {}));
  solo.append({2, 3}, {}, {make_entry(3, 1, "stale")});
  const auto reply = solo.last_sent<AppendEntriesReply>();
  REQUIRE(reply.has_value());
  CHECK_FALSE(reply->accepted);
  CHECK(solo.raft().last().index == 0);
  solo.step(2, 3, RequestVote{.pre_vote = false, .transfer = false, .last = {.term = 9, .index = 9}});
  CHECK_FALSE(solo.last_sent<RequestVoteReply>()->granted);
}

TEST_CASE("5.1 an answer of an older term counts for nothing") {
  Solo solo(with_log(1, {make_entry(1, 1, "a")}));
  solo.lead();
  solo.accept(2, 1, 2);
  CHECK(solo.raft().commit_index() == 0);
  CHECK(solo.raft().peers()[0].match == 0);
}

TEST_CASE("5.2 when servers start up, they begin as followers") {
  Solo solo;
  CHECK(solo.raft().role() == Role::kFollower);
  CHECK(solo.raft().leader() == raft::kNobody);
}

TEST_CASE("5.2 leaders send periodic heartbeats to all followers") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.accept(3, 1, 1);
  solo.tick(1);
  solo.sent();
  solo.tick(3);
  size_t heartbeats = 0;
  for (const Message& message : solo.sent()) {
    const auto* append = std::get_if<AppendEntries>(&message.body);
    heartbeats += append && append->entries.empty();
  }
  CHECK(heartbeats == 2);
}

TEST_CASE("5.2 a follower that receives no communication over the election timeout begins an election") {
  Solo solo;
  solo.append({2, 1}, {}, {});
  solo.sync();
  solo.sent();
  solo.tick(9);
  CHECK(solo.raft().role() == Role::kFollower);
  solo.tick(10);
  CHECK(solo.raft().role() == Role::kPreCandidate);
}

TEST_CASE("5.2 a part of a message of its leader keeps a follower from an election, no other part does") {
  const Term term = 1;
  for (const auto& [from, of] : {std::pair<NodeId, Term>{2, term}, {3, term}, {2, term - 1}, {2, term + 1}, {1, term}}) {
    Solo solo;
    solo.append({2, 1}, {}, {});
    solo.sync();
    solo.sent();
    REQUIRE(solo.raft().leader() == 2);
    REQUIRE(solo.raft().term() == term);
    solo.tick(9);
    solo.raft().hear_part(from, of);
    const bool is_leaders = from == 2 && of == term;
    solo.tick(is_leaders ? 9 : 10);
    CHECK(solo.raft().role() == (is_leaders ? Role::kFollower : Role::kPreCandidate));
  }
}

TEST_CASE("5.2 to begin an election, a follower increments its term, votes for itself and asks all others") {
  Solo solo(with_log(4, {}));
  become_candidate(solo);
  CHECK(solo.raft().term() == 5);
  CHECK(solo.raft().voted_for() == 1);
  std::vector<NodeId> asked;
  for (const Message& message : solo.sent()) {
    const auto* request = std::get_if<RequestVote>(&message.body);
    if (request && !request->pre_vote) asked.push_back(message.to);
  }
  CHECK(asked == std::vector<NodeId>{2, 3});
}

TEST_CASE("5.2 a candidate wins with votes from a majority of the full cluster") {
  Solo solo({.configuration = make_configuration({1, 2, 3, 4, 5})});
  become_candidate(solo);
  solo.step(2, 1, kVoteGranted);
  solo.step(2, 1, kVoteGranted);
  CHECK(solo.raft().role() == Role::kCandidate);
  solo.step(4, 1, kVoteGranted);
  CHECK(solo.raft().role() == Role::kLeader);
}

TEST_CASE("5.2 each server votes for at most one candidate in a given term, first come first served") {
  Solo solo;
  solo.step(2, 1, RequestVote{});
  solo.step(3, 1, RequestVote{});
  solo.sync();
  size_t granted = 0;
  for (const Message& message : solo.sent()) {
    const bool grant = std::get<RequestVoteReply>(message.body).granted;
    granted += grant;
    CHECK(grant == (message.to == 2));
  }
  CHECK(granted == 1);
}

TEST_CASE("5.2 once a candidate wins, it sends heartbeats to all others to establish its authority") {
  Solo solo;
  become_candidate(solo);
  solo.sent();
  solo.step(2, 1, kVoteGranted);
  std::vector<NodeId> told;
  for (const Message& message : solo.sent()) {
    const auto* append = std::get_if<AppendEntries>(&message.body);
    if (append && append->entries.empty()) told.push_back(message.to);
  }
  CHECK(told == std::vector<NodeId>{2, 3});
}

TEST_CASE("5.2 a candidate that hears a leader of its own or a later term returns to follower state") {
  Solo solo;
  become_candidate(solo);
  solo.append({3, 1}, {}, {});
  CHECK(solo.raft().role() == Role::kFollower);
  CHECK(solo.raft().leader() == 3);
  CHECK(solo.raft().voted_for() == 1);
}

TEST_CASE("5.2 a candidate that hears a leader of an earlier term rejects it and stays a candidate") {
  Solo solo(with_log(4, {}));
  become_candidate(solo);
  solo.append({3, 4}, {}, {});
  CHECK(solo.raft().role() == Role::kCandidate);
}

TEST_CASE("5.2 election timeouts are chosen randomly from a fixed interval") {
  // Seeds differ, and so do the timeouts; none is below the shortest one, none reaches twice that.
  std::set<uint64_t> timeouts;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    raft::Options options;
    options.self = 1;
    options.seed = seed;
    options.election_ticks = 10;
    raft::Raft raft(options, make_recovered({}, {.entries = {}, .initial = make_configuration({1, 2, 3})}));
    uint64_t ticks = 0;
    for (; raft.role() == Role::kFollower; ++ticks) raft.tick();
    CHECK(ticks >= 10);
    CHECK(ticks < 20);
    timeouts.insert(ticks);
  }
  CHECK(timeouts.size() >= 6);
}

TEST_CASE("5.3 the leader appends the command to its log and sends it to the others in parallel") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.accept(3, 1, 1);
  solo.sent();
  solo.propose("command");
  CHECK(solo.raft().last() == EntryId{.term = 1, .index = 2});
  std::vector<NodeId> receivers;
  for (const Message& message : solo.sent()) {
    const AppendEntries& append = std::get<AppendEntries>(message.body);
    REQUIRE(append.entries.size() == 1);
    CHECK(append.previous == EntryId{.term = 1, .index = 1});
    CHECK(*append.entries[0].payload == "command");
    receivers.push_back(message.to);
  }
  CHECK(receivers == std::vector<NodeId>{2, 3});
}

TEST_CASE("5.3 an entry is committed once the leader has replicated it on a majority of the servers") {
  for (size_t voters = 1; voters <= 5; ++voters) {
    std::vector<NodeId> ids;
    for (NodeId id = 1; id <= voters; ++id) ids.push_back(id);
    Cluster cluster(cluster_options());
    cluster.add_voters(voters);
    if (voters == 1) cluster.tick(1, 12);
    if (voters > 1) REQUIRE(cluster.elect(1));
    cluster.run(4);
    const Index before = cluster.raft(1).commit_index();
    cluster.propose(1, "command");
    size_t have = 1;
    for (NodeId id = 2; id <= voters; ++id) {
      CHECK(cluster.raft(1).commit_index() == (2 * have > voters ? before + 1 : before));
      cluster.deliver(1, id);
      cluster.deliver(id, 1);
      ++have;
    }
    CHECK(cluster.raft(1).commit_index() == before + 1);
    CHECK(cluster.checker().report() == "");
  }
}

TEST_CASE("5.3 a follower that learns that an entry is committed applies it in log order") {
  Solo solo;
  solo.append({2, 1}, {}, {make_entry(1, 1, "a"), make_entry(1, 2, "b"), make_entry(1, 3, "c")}, 2);
  solo.sync();
  REQUIRE(solo.applied().size() == 2);
  CHECK(*solo.applied()[0].payload == "a");
  CHECK(*solo.applied()[1].payload == "b");
  solo.append({2, 1}, {.term = 1, .index = 3}, {}, 3);
  CHECK(solo.applied().size() == 3);
}

TEST_CASE("5.3 if the follower has no entry with the same index and term before the new ones, it refuses them") {
  Solo solo(with_log(2, {make_entry(1, 1, "a"), make_entry(2, 2, "b")}));
  struct Case {
    EntryId previous;
    bool accepted;
  };
  const Case cases[] = {{{.term = 0, .index = 0}, true},
                        {{.term = 1, .index = 1}, true},
                        {{.term = 2, .index = 2}, true},
                        {{.term = 1, .index = 2}, false},
                        {{.term = 2, .index = 3}, false}};
  for (const Case& one : cases) {
    solo.append({2, 2}, one.previous, {});
    solo.sync();
    CHECK(solo.last_sent<AppendEntriesReply>()->accepted == one.accepted);
  }
}

TEST_CASE("5.3 conflicting entries in followers' logs are overwritten with entries from the leader's log") {
  Solo solo(with_log(2, {make_entry(1, 1, "a"), make_entry(2, 2, "x"), make_entry(2, 3, "y")}));
  solo.append({2, 3}, {.term = 1, .index = 1}, {make_entry(3, 2, "b")});
  CHECK(solo.raft().last() == EntryId{.term = 3, .index = 2});
}

TEST_CASE("5.3 entries that the follower already has are not removed by an append that came late") {
  Solo solo(with_log(1, {make_entry(1, 1, "a"), make_entry(1, 2, "b"), make_entry(1, 3, "c")}));
  solo.append({2, 1}, {}, {make_entry(1, 1, "a")});
  CHECK(solo.raft().last().index == 3);
  for (const raft::Write& write : solo.writes()) CHECK_FALSE(write.truncate_from.has_value());
}

TEST_CASE("5.3 the leader brings the logs of Figure 7 into consistency with its own") {
  // The leader's log, and those of followers a to f of the figure.
  const std::vector<Term> leader_terms = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
  const std::vector<std::vector<Term>> follower_terms = {
      {1, 1, 1, 4, 4, 5, 5, 6, 6}, {1, 1, 1, 4}, {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6}, {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},
      {1, 1, 1, 4, 4, 4, 4},       {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3}};
  const auto make_log = [](const std::vector<Term>& terms) {
    std::vector<Entry> log;
    for (const Term term : terms) log.push_back(make_entry(term, log.size() + 1, "t"));
    return log;
  };
  for (const std::vector<Term>& terms : follower_terms) {
    Cluster cluster(cluster_options());
    for (const NodeId id : {1u, 2u, 3u}) cluster.add(id, make_configuration({1, 2, 3}));
    cluster.node(1).disk.hard_state = {.term = 7, .voted_for = 0};
    cluster.node(1).disk.log = make_log(leader_terms);
    cluster.node(2).disk.hard_state = {.term = 7, .voted_for = 0};
    cluster.node(2).disk.log = make_log(terms);
    cluster.node(3).disk.hard_state = {.term = 7, .voted_for = 0};
    for (const NodeId id : {1u, 2u, 3u}) cluster.start(id);
    cluster.cut(2, 3);
    cluster.tick(3, 10);
    cluster.tick_to_timeout(1);
    cluster.settle();
    REQUIRE(cluster.leader() == 1);
    cluster.settle();
    REQUIRE(cluster.node(2).log.size() == 11);
    for (Index index = 1; index <= 10; ++index)
      CHECK(cluster.node(2).log[index - 1].id.term == leader_terms[index - 1]);
    CHECK(cluster.node(2).log[10].id.term == 8);
    CHECK(cluster.checker().report() == "");
  }
}

TEST_CASE("5.3 with the conflict hint one refusal passes over all entries of a term") {
  // Node 2 has 50 entries of term 2 that nobody else has; the leader has 50 of term 3 in their place.
  std::vector<Entry> own;
  std::vector<Entry> other;
  for (Index index = 1; index <= 50; ++index) {
    own.push_back(make_entry(3, index, "leader"));
    other.push_back(make_entry(2, index, "follower"));
  }
  Solo leader(with_log(3, own));
  leader.lead();
  SoloOptions options = with_log(3, other);
  options.self = 2;
  Solo follower(options);
  follower.append({1, 4}, {.term = 3, .index = 50}, {});
  follower.sync();
  const auto refusal = follower.last_sent<AppendEntriesReply>();
  REQUIRE(refusal.has_value());
  CHECK(refusal->hint == EntryId{.term = 2, .index = 50});
  leader.step(2, 4, *refusal);
  CHECK(leader.raft().peers()[0].next == 1);
}

TEST_CASE("5.4.1 the voter denies its vote if its own log is more up-to-date than that of the candidate") {
  const std::vector<Entry> log = {make_entry(1, 1, "a"), make_entry(2, 2, "b")};
  CHECK(grants(with_log(2, log), {.term = 2, .index = 2}));
  CHECK(grants(with_log(2, log), {.term = 2, .index = 3}));
  CHECK(grants(with_log(2, log), {.term = 3, .index = 1}));
  CHECK_FALSE(grants(with_log(2, log), {.term = 2, .index = 1}));
  CHECK_FALSE(grants(with_log(2, log), {.term = 1, .index = 9}));
  CHECK_FALSE(grants(with_log(2, log), {.term = 0, .index = 0}));
}

TEST_CASE("5.4.2 only log entries from the leader's current term are committed by counting replicas") {
  Solo solo(with_log(2, {make_entry(1, 1, "a"), make_entry(2, 2, "b")}));
  solo.lead();
  for (const NodeId peer : {2u, 3u}) solo.accept(peer, 3, 2);
  CHECK(solo.raft().commit_index() == 0);
  solo.accept(2, 3, 3);
  CHECK(solo.raft().commit_index() == 3);
}

TEST_CASE("5.5 if a server receives an AppendEntries request that it already has, it ignores the entries") {
  Solo solo;
  solo.append({2, 1}, {}, {make_entry(1, 1, "a"), make_entry(1, 2, "b")});
  solo.sync();
  solo.sent();
  solo.append({2, 1}, {}, {make_entry(1, 1, "a"), make_entry(1, 2, "b")});
  CHECK(solo.writes().empty());
  CHECK(solo.last_sent<AppendEntriesReply>()->match == 2);
}

TEST_CASE("5.5 an unanswered append is sent again") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.propose("a");
  solo.sync();
  solo.accept(3, 1, 2);
  solo.sent();
  bool was_sent_again = false;
  for (int i = 0; i < 15; ++i) {
    solo.tick();
    solo.step(2, 1, AppendEntriesReply{.accepted = true, .match = 1, .previous_index = 1, .hint = {}, .read_counter = 0});
    for (const Message& message : solo.sent()) {
      const auto* append = std::get_if<AppendEntries>(&message.body);
      was_sent_again |= append && message.to == 2 && !append->entries.empty();
    }
  }
  CHECK(was_sent_again);
}

}  // namespace
}  // namespace leto::raft_test
