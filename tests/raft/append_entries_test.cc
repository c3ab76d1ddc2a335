// What a peer may send: nonsense is dropped, whatever it is, and changes nothing.
#include <doctest/doctest.h>

#include "base/random.h"
#include "raft/solo.h"

namespace leto::raft_test {
namespace {

using raft::AppendEntries;
using raft::AppendEntriesReply;

Entry entry_of_kind(Term term, Index index, raft::EntryKind kind, const std::string& bytes) {
  Entry entry = make_entry(term, index, bytes);
  entry.kind = kind;
  return entry;
}

TEST_CASE("entries that are no log are dropped") {
  const std::vector<std::vector<Entry>> cases = {
      {make_entry(1, 2, "gap")},
      {make_entry(1, 1, "a"), make_entry(1, 3, "gap")},
      {make_entry(1, 1, "a"), make_entry(1, 1, "again")},
      {make_entry(1, 1, "a"), make_entry(0, 2, "term falls")},
      {make_entry(3, 1, "beyond the sender's term")},
      {{.id = {.term = 1, .index = 1}, .kind = raft::EntryKind::kCommands, .payload = nullptr}},
      {entry_of_kind(1, 1, raft::EntryKind::kConfiguration, "no configuration")},
      {entry_of_kind(1, 1, static_cast<raft::EntryKind>(77), "?")},
  };
  for (const std::vector<Entry>& entries : cases) {
    Solo solo({.hard_state = {.term = 2, .voted_for = 0}});
    solo.append({2, 2}, {}, entries);
    CHECK(solo.raft().last().index == 0);
    CHECK(solo.sent().empty());
    CHECK(solo.writes().empty());
  }
}

TEST_CASE("terms and indexes beyond all reason are dropped") {
  Solo solo;
  solo.append({2, raft::Term{1} << 63}, {}, {});
  CHECK(solo.raft().term() == 0);
  solo.append({2, 1}, {.term = 1, .index = UINT64_MAX}, {});
  CHECK(solo.raft().term() == 0);
  solo.step(2, UINT64_MAX, raft::RequestVote{});
  CHECK(solo.raft().term() == 0);
}

TEST_CASE("messages of nobody, of oneself, and for others are dropped") {
  Solo solo;
  solo.append({raft::kNobody, 1}, {}, {});
  solo.append({1, 1}, {}, {});
  solo.raft().step({.from = 2, .to = 3, .term = 1, .body = AppendEntries{}});
  solo.take();
  CHECK(solo.raft().term() == 0);
  CHECK(solo.sent().empty());
}

TEST_CASE("an append that contradicts a committed entry is dropped") {
  Solo solo;
  solo.append({2, 1}, {}, {make_entry(1, 1, "a"), make_entry(1, 2, "b")}, 2);
  solo.sync();
  REQUIRE(solo.raft().commit_index() == 2);
  solo.sent();
  solo.append({3, 2}, {.term = 1, .index = 1}, {make_entry(2, 2, "other")});
  solo.append({3, 2}, {.term = 2, .index = 2}, {make_entry(2, 3, "other")});
  CHECK(solo.raft().last() == raft::EntryId{.term = 1, .index = 2});
  solo.sync();
  for (const Message& message : solo.sent()) CHECK_FALSE(std::holds_alternative<AppendEntriesReply>(message.body));
}

TEST_CASE("an append in a term that this node leads is dropped") {
  Solo solo;
  solo.lead();
  solo.append({2, 1}, {}, {});
  CHECK(solo.raft().role() == raft::Role::kLeader);
}

TEST_CASE("a node that knows of no cluster takes the log of whoever leads, and never campaigns") {
  Solo solo({.configuration = {}});
  solo.tick(200);
  CHECK(solo.raft().role() == raft::Role::kFollower);
  solo.append({7, 3}, {}, {make_entry(1, 1, "a")}, 1);
  solo.sync();
  CHECK(solo.last_sent<AppendEntriesReply>()->match == 1);
  CHECK(solo.raft().leader() == 7);
}

raft::Body random_body(base::Random& random) {
  const auto id = [&] { return raft::EntryId{.term = random.below(6), .index = random.below(8)}; };
  switch (random.below(7)) {
    case 0: return raft::RequestVote{.pre_vote = random.chance(1, 2), .transfer = random.chance(1, 2), .last = id()};
    case 1: return raft::RequestVoteReply{.pre_vote = random.chance(1, 2), .granted = random.chance(1, 2)};
    case 2:
    case 3: {
      AppendEntries append{.previous = id(), .leader_commit = random.below(9),
                           .acknowledged = random.chance(1, 6) ? random.below(9) : 0, .read_counter = random.below(9),
                           .cluster_time_ms = 0, .entries = {}};
      raft::EntryId at = append.previous;
      for (uint64_t i = random.below(4); i > 0; --i) {
        at = {.term = at.term + random.below(2), .index = at.index + 1};
        append.entries.push_back(make_entry(at.term, at.index, "x"));
      }
      return append;
    }
    case 4:
      return AppendEntriesReply{.accepted = random.chance(1, 2), .match = random.below(9),
                                .previous_index = random.below(9), .hint = id(),
                                .acknowledged = random.chance(1, 3) ? random.below(9) : 0, .read_counter = random.below(9)};
    case 5: return raft::TimeoutNow{};
    default:
      return random.chance(1, 2)
                 ? raft::Body(raft::ReadIndexRequest{.context = random.below(5)})
                 : raft::Body(raft::ReadIndexReply{.context = random.below(5), .ok = random.chance(1, 2),
                                                   .index = random.below(9), .cluster_time_ms = 0});
  }
}

TEST_CASE("no message, however dishonest, makes a node fail its own assertions") {
  const Quiet quiet;
  // Peers that lie may break the cluster, but this node must not crash of it.
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    base::Random random(seed);
    Solo solo;
    for (int i = 0; i < 150; ++i) {
      solo.step(1 + random.below(5), random.below(7), random_body(random));
      if (random.chance(1, 3)) solo.sync(1);
      if (random.chance(1, 4)) solo.tick(random.below(12));
      if (random.chance(1, 5)) solo.propose("p");
      if (random.chance(1, 9)) solo.read(static_cast<uint64_t>(i));
      if (random.chance(1, 40)) solo.raft().disk_stalled(random.chance(1, 2));
      if (random.chance(1, 40)) solo.raft().transfer(2);
      solo.take();
    }
    CHECK(solo.raft().term() < 100);
  }
}

}  // namespace
}  // namespace leto::raft_test
