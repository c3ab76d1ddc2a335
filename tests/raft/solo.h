// One core with nothing around it: the test is its disk, its network and its peers. What the core says is
// kept until the test asks for it.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "raft/harness.h"

namespace leto::raft_test {

struct SoloOptions {
  NodeId self = 1;
  Configuration configuration = make_configuration({1, 2, 3});
  HardState hard_state = {};
  std::vector<Entry> log = {};
  Index base = 0;          // Entries up to here are compacted.
  Index applied = 0;
  bool lost_tail = false;
  bool lacks_state = false;
  bool founding = false;
  raft::Options raft = {};
  bool is_young = false;   // Not yet through its first election timeout.
};

struct Sender {
  NodeId node = 0;
  Term term = 0;
};

inline constexpr raft::RequestVoteReply kPreVoteGranted{.pre_vote = true, .granted = true};
inline constexpr raft::RequestVoteReply kVoteGranted{.pre_vote = false, .granted = true};

// Entries 1 to `count`, all of one term.
std::vector<Entry> make_log(Term term, Index count);
// How many of them are appends to `to` that carry entries.
size_t appends_to(const std::vector<Message>& messages, NodeId to);

class Solo {
 public:
  explicit Solo(SoloOptions options = {});

  raft::Raft& raft() { return *raft_; }
  // What the leader knows of `node`; of nobody if it is no peer.
  raft::PeerView peer(NodeId node) const;
  void step(NodeId from, Term term, raft::Body body);
  void append(Sender sender, raft::EntryId previous, std::vector<Entry> entries, Index commit = 0);
  void accept(NodeId from, Term term, Index match, uint64_t read_counter = 0);
  void refuse(Sender sender, Index previous, raft::EntryId hint);
  void tick(uint64_t count = 1);
  void tick_to_timeout();
  // Makes it the leader of the next term, by the votes of 2 and 3, with its disk in order.
  void lead();
  raft::ProposeResult propose(const std::string& text);
  // Asks for it, and once more if the core asks who lives: when `living` have answered that.
  raft::ChangeResult change(const Configuration& target, const std::vector<NodeId>& living);
  // They accept what they have, and give back the newest counter that was sent.
  void answer(const std::vector<NodeId>& living);
  void read(uint64_t context);
  bool install(raft::SnapshotInstall install);
  void loaded();
  // Drains the core. Each input above does so by itself.
  void take();
  // Makes the oldest `count` writes durable; their messages leave.
  void sync(size_t count = SIZE_MAX);

  // What left since the last call.
  std::vector<Message> sent() { return std::exchange(sent_, {}); }
  // Of what left, the newest body of this type; empties sent().
  template <typename T>
  std::optional<T> last_sent() {
    std::optional<T> found;
    for (const Message& message : sent())
      if (const T* body = std::get_if<T>(&message.body)) found = *body;
    return found;
  }
  std::deque<raft::Write>& writes() { return writes_; }
  std::vector<Entry>& applied() { return applied_; }
  std::vector<raft::ReadReady>& reads() { return reads_; }
  std::deque<raft::Load>& loads() { return loads_; }
  // Peers that were named, and messages for the replica, since the last call.
  std::vector<NodeId> start_snapshots() { return std::exchange(start_snapshots_, {}); }
  std::vector<Message> snapshot_messages() { return std::exchange(snapshot_messages_, {}); }

 private:
  SoloOptions options_;
  std::unique_ptr<raft::Raft> raft_;
  std::vector<Message> sent_;
  uint64_t counter_sent_ = 0;
  std::deque<raft::Write> writes_;
  std::vector<Entry> applied_;
  std::vector<raft::ReadReady> reads_;
  std::deque<raft::Load> loads_;
  std::vector<NodeId> start_snapshots_;
  std::vector<Message> snapshot_messages_;
};

inline raft::RequestVote vote_request(raft::EntryId last, bool transfer = false) {
  return {.pre_vote = false, .transfer = transfer, .last = last};
}
// Of the append that left last.
inline uint64_t counter_of(Solo& solo) { return solo.last_sent<raft::AppendEntries>()->read_counter; }

}  // namespace leto::raft_test
