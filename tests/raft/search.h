// Every order of what may happen to a small cluster, within bounds: messages delivered in any order, lost or doubled,
// disks that sync when they like, deaths with any part of the queue written, restarts, timeouts, proposals, reads.
// After each event the invariants of checker.h and the core's own assertions. A state that was met before, with as much
// left of the bounds, is not entered again.
//
// Refuses to know what it looks for: the cluster it begins with, and the bounds, are the test's.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "raft/harness.h"

namespace leto::raft_test {

// How often each may still happen on one path. A message that is never delivered is a lost one; `in_flight` keeps the bag
// small: of more than so many the oldest are lost.
struct SearchBounds {
  uint8_t depth = 12;
  uint8_t terms = 3;        // No candidacy beyond this term.
  uint8_t timeouts = 1;
  uint8_t ages = 0;         // An election timeout without a leader passes for one node.
  uint8_t heartbeats = 0;
  uint8_t proposals = 1;
  uint8_t reads = 0;
  uint8_t crashes = 0;
  uint8_t duplicates = 0;
  uint8_t pairs = 0;        // Two messages come to one node in one turn.
  uint8_t in_flight = 8;
  bool pre_votes = true;    // False: those of a timeout are asked and answered at once.
  uint64_t states = 1000000;   // Then it stops, and says that it was not all.
};

struct SearchResult {
  uint64_t states = 0;        // Different ones.
  uint64_t transitions = 0;
  uint64_t deepest = 0;
  bool complete = true;       // Nothing within the bounds was left out.
  std::string violation;      // With the events that led to it; empty if there was none.
};

class Search {
 public:
  explicit Search(const SearchBounds& bounds) : bounds_(bounds) {}
  // All that may become of `start`, up to the first violation.
  SearchResult run(const Cluster& start);

 private:
  enum class Kind : uint8_t { kDeliver, kDeliverTwo, kDuplicate, kSync, kCrash, kStart, kTimeout, kAge, kHeartbeat, kPropose, kRead };
  struct Action {
    Kind kind = Kind::kDeliver;
    raft::NodeId node = 0;
    size_t number = 0;     // Of a message in the bag, or of writes that a crash leaves.
    size_t second = 0;     // Of the message that comes with it.
  };

  // True if there is more to look at behind it.
  bool enter(Cluster& cluster, const SearchBounds& left);
  void look(Cluster& cluster, const SearchBounds& left);
  bool is_sound(Cluster& cluster);
  static bool is_loss(Cluster& before, Cluster& after, const Action& action);
  std::vector<Action> actions(Cluster& cluster, const SearchBounds& left) const;
  void add_pairs(Cluster& cluster, size_t first, std::vector<Action>& found) const;
  void add_node_actions(Cluster& cluster, raft::NodeId id, const SearchBounds& left, std::vector<Action>& found) const;
  void carry_out(Cluster& cluster, const Action& action, SearchBounds& left) const;
  void report(const std::string& why);

  const SearchBounds bounds_;
  const Cluster* start_ = nullptr;
  std::vector<Action> path_;
  std::unordered_map<uint64_t, uint8_t> met_;   // By the hash of state and bounds: the depth that was left.
  SearchResult result_;
};

}  // namespace leto::raft_test
