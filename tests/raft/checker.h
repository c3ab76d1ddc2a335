// The invariants I1-I12 of docs/raft.md, judged from outside: from what left the cores, what the simulated
// disks hold, and what was applied. It collects violations and leaves judging to the test.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "raft/coverage.h"
#include "raft/raft.h"

namespace leto::raft_test {

struct Node;
struct Snapshot;

// The disk of one node: what a crash leaves, and what it would lose.
struct Disk {
  raft::HardState hard_state;
  std::vector<raft::Entry> log;     // From index 1 on; those up to `base` are in the keys file only.
  raft::Index base = 0;
  raft::Configuration initial;      // In force before index 1.
  std::deque<raft::Write> queue;    // Handed over, not durable.
};

class Checker {
 public:
  // A message leaves its node (I6 one vote per term, I9, I10, D7).
  void on_send(const Node& node, const raft::Message& message);
  // A write is handed over (I2, I7, D4).
  void on_write(const Node& node, const raft::Write& write);
  // Entries are given to the state machine (I4).
  void on_apply(const Node& node, const raft::Entry& entry);
  // A read was answered, which the node's `read_floors` have still (D13).
  void on_read(const Node& node, const raft::ReadReady& read);
  // After each event, for the node that it concerned (I1, I3, I5, I6, I8, I11).
  void after_event(const std::map<raft::NodeId, Node>& nodes, const Node& node);
  // An append was taken in; its commit index was `commit_before` (D7).
  void on_appended(const Node& node, const raft::AppendEntries& append, raft::Index commit_before);
  // The leader showed a node that it has `acknowledged` no more (D16).
  void on_lost(const Node& node, raft::Index acknowledged);
  void on_restart(const Node& node);
  // A node compacted its log (D10).
  void on_compact(const Node& node);
  // A node's state machine becomes that of `snapshot` (I4, and the configuration in it).
  void on_swap(const Node& node, const Snapshot& snapshot);

  raft::Index highest_committed() const { return committed_.empty() ? 0 : committed_.rbegin()->first; }
  const std::vector<std::string>& violations() const { return violations_; }
  Coverage& coverage() { return coverage_; }
  // Appends what later events are judged by.
  void fingerprint(std::string& bytes) const;
  // All of them in one text; empty if there are none.
  std::string report() const;

 private:
  struct Seen {
    raft::Term term = 0;
    raft::Index commit = 0;
    raft::Index applied = 0;
    raft::Term leads = 0;          // The term it led at the last event, or 0.
  };

  void violated(const std::string& what);
  void note_entries(raft::EntryId previous, const std::vector<raft::Entry>& entries);
  void check_progress(const Node& node, Seen& seen);
  void check_leader(const std::map<raft::NodeId, Node>& nodes, const Node& node, Seen& seen);
  void check_quorum_has(const std::map<raft::NodeId, Node>& nodes, const Node& node, raft::Index index);
  void check_configurations(const Node& node);
  void note_committed(const Node& node, raft::Index from, raft::Index to);

  std::map<raft::NodeId, Seen> seen_;
  std::map<raft::Term, raft::NodeId> leaders_;
  std::map<std::pair<raft::NodeId, raft::Term>, raft::NodeId> votes_;
  std::map<raft::EntryId, std::pair<raft::EntryId, std::string>> entries_;  // Its predecessor and payload.
  std::map<raft::Index, raft::EntryId> committed_;
  std::vector<std::string> violations_;
  Coverage coverage_;
};

}  // namespace leto::raft_test
