// Every order of events in clusters of three, as far as the bounds go; see search.h. LETO_LONG goes further.
#include "raft/search.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "base/sanitizer.h"

namespace leto::raft_test {
namespace {

raft::Options small_options() {
  raft::Options options;
  options.election_ticks = 4;
  options.heartbeat_ticks = 1;
  options.seed = 6;   // One with which nobody draws the shortest timeout before let_them_forget().
  options.append_bytes_max = 1;   // Each entry travels alone.
  return options;
}

// Three voters whose disks sync when the search says so.
Cluster three() {
  Cluster cluster(small_options());
  cluster.set_verbose(false);
  cluster.add_voters(3);
  return cluster;
}

void make_disks_manual(Cluster& cluster) {
  for (const NodeId id : cluster.ids()) cluster.node(id).disk_is_manual = true;
}

// Node 1 leads in term 1, and all have its first entry.
Cluster led() {
  Cluster cluster = three();
  REQUIRE(cluster.elect(1));
  cluster.tick(1);
  cluster.settle();
  make_disks_manual(cluster);
  return cluster;
}

// Nodes 2 and 3 have heard nothing for so long that they are free to vote; they ask for no votes yet.
void let_them_forget(Cluster& cluster) {
  for (const NodeId id : {NodeId{2}, NodeId{3}}) {
    cluster.tick(id, small_options().election_ticks);
    REQUIRE(cluster.raft(id).role() == raft::Role::kFollower);
  }
}

// Node 1 leads in term 1, and another one may be elected.
Cluster silent() {
  Cluster cluster = led();
  let_them_forget(cluster);
  return cluster;
}

// And it has committed an entry by the answer of node 2, which was not told; nothing is on its way.
Cluster silent_with_a_commit() {
  Cluster cluster = three();
  REQUIRE(cluster.elect(1));
  cluster.tick(1);
  cluster.settle();
  cluster.propose(1, "old");
  cluster.deliver(1, 2);
  cluster.deliver(2, 1);
  cluster.drop();
  REQUIRE(cluster.raft(1).commit_index() == cluster.raft(2).commit_index() + 1);
  make_disks_manual(cluster);
  let_them_forget(cluster);
  return cluster;
}

// `id` is elected by `voter` alone; what it sends as leader is on its way, and nothing else.
void elect_silently(Cluster& cluster, NodeId id, NodeId voter) {
  // Whoever led has given up by then, and whoever heard a leader is free to vote.
  const uint64_t long_enough = 3 * small_options().election_ticks;
  cluster.tick(voter, long_enough);
  cluster.drop();
  const Term before = cluster.raft(voter).term();
  const auto leads = [&] { return cluster.raft(id).role() == raft::Role::kLeader && cluster.raft(id).term() > before; };
  for (uint64_t tick = 0; tick < 3 * long_enough && !leads(); ++tick) {
    cluster.drop();
    cluster.tick(id);
    for (int round = 0; round < 3 && !leads(); ++round) {
      cluster.deliver(id, voter);
      cluster.deliver(voter, id);
    }
  }
  REQUIRE(leads());
}

// Node 1 leads in term 1, with an entry that nobody else has; node 2 leads in term 2.
Cluster two_leaders() {
  Cluster cluster = three();
  REQUIRE(cluster.elect(1));
  cluster.tick(1);
  cluster.settle();
  elect_silently(cluster, 2, 3);
  cluster.propose(1, "old");
  make_disks_manual(cluster);
  return cluster;
}

// To node 3 are on their way an append of node 1, which led in term 1, and one of node 2, which leads in term 2 and has another
// entry in that place.
Cluster overtaken() {
  Cluster cluster = three();
  REQUIRE(cluster.elect(1));
  cluster.tick(1);
  cluster.settle();
  cluster.node(1).disk_is_manual = true;
  cluster.propose(1, "old");
  cluster.drop(1, 2);
  REQUIRE(cluster.network().size() == 1);
  const Message late = cluster.network().front();
  // Node 1 dies before it has that itself, and helps node 2.
  cluster.restart(1);
  cluster.node(1).disk_is_manual = false;
  elect_silently(cluster, 2, 1);
  cluster.network().push_front(late);
  make_disks_manual(cluster);
  return cluster;
}

// Nodes 1 and 2 have committed two entries; node 3 has them, but its answers were lost, and the first of them is on its
// way again.
Cluster sent_again() {
  Cluster cluster = three();
  REQUIRE(cluster.elect(1));
  cluster.tick(1);
  cluster.settle();
  cluster.propose(1, "a");
  cluster.propose(1, "b");
  const auto is_sent = [&] {
    return std::any_of(cluster.network().begin(), cluster.network().end(), [](const Message& message) {
      const auto* append = std::get_if<raft::AppendEntries>(&message.body);
      return append != nullptr && message.to == 3 && !append->entries.empty();
    });
  };
  for (int tick = 0; tick < 8; ++tick) {
    while (cluster.deliver() > 0) cluster.drop(3, 1);
    cluster.tick(1);
    if (is_sent()) break;
  }
  REQUIRE(is_sent());
  make_disks_manual(cluster);
  return cluster;
}

// Figure 8 of the paper, at (c): node 1 leads again and is about to give others its entry of term 1, while node 3 has one
// of term 2 at the same index.
Cluster figure_8() {
  Cluster cluster = three();
  REQUIRE(cluster.elect(1));
  cluster.tick(1);
  cluster.settle();
  cluster.propose(1, "old");
  cluster.drop();
  elect_silently(cluster, 3, 2);
  elect_silently(cluster, 1, 2);
  make_disks_manual(cluster);
  return cluster;
}

// A sanitizer takes ten times as long, and looks for what any path shows.
constexpr uint8_t kFewerUnderSanitizer = 2;

void explore(const Cluster& start, SearchBounds bounds, uint8_t further) {
  if (!base::kSanitizer.empty()) bounds.depth = static_cast<uint8_t>(bounds.depth - kFewerUnderSanitizer);
  if (std::getenv("LETO_LONG") != nullptr) {
    bounds.depth = static_cast<uint8_t>(bounds.depth + further);
    bounds.states = 30000000;
  }
  const SearchResult result = Search(bounds).run(start);
  MESSAGE(result.states << " states, " << result.transitions << " events, " << result.deepest << " deep"
                        << std::string(result.complete ? "" : ", not all"));
  CHECK_MESSAGE(result.violation.empty(), result.violation);
  CHECK(result.complete);
  CHECK(result.states > 1000);
}

}  // namespace

TEST_CASE("every order of two candidacies: one leader a term, whatever dies") {
  Cluster cluster = three();
  make_disks_manual(cluster);
  explore(cluster, {.depth = 13, .terms = 1, .timeouts = 1, .proposals = 0}, 6);
  explore(cluster, {.depth = 9, .terms = 2, .timeouts = 2, .proposals = 0, .crashes = 1}, 3);
}

TEST_CASE("every order of two candidacies with a message doubled, the votes among them") {
  Cluster cluster = three();
  make_disks_manual(cluster);
  explore(cluster, {.depth = 10, .terms = 2, .timeouts = 2, .proposals = 0, .duplicates = 1}, 2);
  explore(cluster, {.depth = 9, .terms = 2, .timeouts = 2, .proposals = 0, .crashes = 1, .duplicates = 1, .pre_votes = false}, 2);
}

TEST_CASE("every order of two proposals on their way to two followers, with a death") {
  explore(led(), {.depth = 8, .timeouts = 0, .proposals = 2, .crashes = 1, .duplicates = 1}, 3);
}

TEST_CASE("every order of two leaders of different terms: one has what nobody else has") {
  explore(two_leaders(), {.depth = 9, .timeouts = 0, .proposals = 1}, 3);
  explore(two_leaders(), {.depth = 7, .timeouts = 0, .heartbeats = 1, .proposals = 0, .crashes = 1}, 3);
}

TEST_CASE("every order of a read at two leaders of different terms") {
  explore(two_leaders(), {.depth = 8, .timeouts = 0, .proposals = 0, .reads = 1}, 3);
}

TEST_CASE("every order of a candidacy and a proposal beside a leader, with a death or a message doubled") {
  for (const Cluster& start : {silent(), silent_with_a_commit()}) {
    explore(start, {.depth = 13, .terms = 2, .timeouts = 1, .proposals = 1, .crashes = 1, .pre_votes = false}, 2);
    explore(start, {.depth = 10, .terms = 2, .timeouts = 1, .proposals = 1, .crashes = 1, .duplicates = 1, .pre_votes = false}, 2);
  }
  explore(silent(), {.depth = 12, .terms = 2, .timeouts = 1, .ages = 1, .proposals = 1, .pre_votes = false}, 2);
}

TEST_CASE("every order of a proposal or a read beside two leaders of different terms, with a death") {
  explore(two_leaders(), {.depth = 7, .timeouts = 0, .proposals = 1, .crashes = 1}, 2);
  explore(two_leaders(), {.depth = 7, .timeouts = 0, .proposals = 0, .reads = 1, .crashes = 1}, 2);
}

TEST_CASE("every order of reads at a leader and its followers, with a death and a message doubled") {
  explore(led(), {.depth = 9, .timeouts = 0, .proposals = 0, .reads = 2, .crashes = 1, .duplicates = 1}, 2);
}

TEST_CASE("every order of a read and a candidacy beside a leader that may die") {
  for (const Cluster& start : {silent(), silent_with_a_commit()})
    explore(start, {.depth = 12, .terms = 2, .timeouts = 1, .proposals = 0, .reads = 1, .crashes = 1, .pre_votes = false}, 2);
  explore(silent(), {.depth = 11, .terms = 2, .timeouts = 1, .proposals = 1, .reads = 1, .pre_votes = false}, 2);
}

TEST_CASE("every order of appends of two terms that come in one turn, or one by one") {
  explore(overtaken(), {.depth = 6, .timeouts = 0, .proposals = 0, .crashes = 1, .pairs = 1}, 3);
}

TEST_CASE("every order of what was acknowledged in vain and is sent again") {
  explore(sent_again(), {.depth = 7, .timeouts = 0, .heartbeats = 1, .proposals = 1, .crashes = 1}, 3);
}

TEST_CASE("every order of Figure 8") {
  explore(figure_8(), {.depth = 10, .timeouts = 0, .heartbeats = 1, .proposals = 0}, 5);
}

}  // namespace leto::raft_test
