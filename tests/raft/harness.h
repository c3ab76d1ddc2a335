// A whole cluster of cores in one process: nodes with a disk that syncs late and loses what it did not
// sync, and a network as a bag of messages that the test delivers, drops or doubles. Nothing happens but
// by a call, and each call is followed by a check of the invariants of docs/raft.md (checker.h).
//
// Refuses to know what a test wants: scripted traces, unit tests and the randomized test all drive it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "raft/checker.h"
#include "raft/raft.h"

namespace leto::raft_test {

using raft::Configuration;
using raft::Entry;
using raft::HardState;
using raft::Index;
using raft::MemberRole;
using raft::Message;
using raft::NodeId;
using raft::Term;

// While it lives nothing is logged: warnings by the hundred are what random faults call for.
struct Quiet {
  Quiet() { base::set_log_sink([](base::LogLevel, std::string_view) {}); }
  ~Quiet() { base::set_log_sink(nullptr); }
};

// Members get the id "n<node>".
Configuration make_configuration(const std::vector<NodeId>& voters, const std::vector<NodeId>& learners = {},
                                 const std::vector<NodeId>& observers = {});
raft::Payload make_payload(const std::string& text);
Entry make_entry(Term term, Index index, const std::string& text);
// What a log holds and what held before it: entries from index 1 on, those up to `base` compacted.
struct LogContent {
  const std::vector<Entry>& entries;
  const Configuration& initial;   // In force before the first entry.
  Index base = 0;
};
// What storage would find in it.
raft::Recovered make_recovered(const HardState& hard_state, const LogContent& content);
// In force at `index`.
raft::ConfigurationAt configuration_at(const LogContent& content, Index index);

// One line a person can read, for traces.
std::string describe(const Message& message);
std::string describe(const raft::Write& write);
std::string describe(const Configuration& configuration);

// The state machine at some index, and its bytes, which are sent in chunks.
struct Snapshot {
  raft::EntryId last;
  raft::ConfigurationAt configuration;
  std::vector<Entry> entries;     // From index 1 on: all that was applied.
  Configuration initial;
  std::string bytes;
};

// A snapshot on its way to one peer.
struct Sending {
  uint64_t number = 0;
  std::shared_ptr<const Snapshot> snapshot;
  uint64_t silent_ticks = 0;
};

// A snapshot of which the first bytes are here.
struct Receiving {
  NodeId from = 0;
  uint64_t number = 0;
  std::string bytes;
};

// A copy of it has an equal core of its own.
struct OwnedCore : std::unique_ptr<raft::Raft> {
  OwnedCore() = default;
  OwnedCore(const OwnedCore& other) : unique_ptr(other ? std::make_unique<raft::Raft>(*other) : nullptr) {}
  using unique_ptr::operator=;
};

struct Node {
  NodeId id = 0;
  OwnedCore raft;                     // Null while it is down.
  raft::Options options;
  Configuration initial;
  Disk disk;
  bool disk_is_manual = false;        // Writes become durable by sync() only.
  bool loads_are_manual = false;      // Loads are answered by answer_loads() only.
  bool disk_is_stalled = false;       // The core was told so.
  bool keys_are_manual = false;       // A received snapshot waits for install(), its keyspace for load_keys().
  size_t chunk_bytes = 1000;
  std::vector<Entry> log;             // As the core sees it, durable or not.
  std::vector<Entry> applied;         // What the state machine was given, from index 1 on.
  Index applied_durable = 0;          // So much of it survives a crash.
  std::vector<raft::ReadReady> reads; // Every answer since the node started.
  std::deque<raft::Load> loads;
  std::map<uint64_t, Index> read_floors;  // Of contexts not yet answered: what was committed at arrival.
  bool lost_tail = false;
  bool lacks_keys = false;            // Its keys are lost, its log is not; until a snapshot is there.
  bool is_damaged = false;            // Its disk lost synced entries.
  bool founding = false;
  uint64_t snapshots_made = 0;
  std::map<NodeId, Sending> sending;
  std::optional<Receiving> receiving;
  std::optional<raft::SnapshotInstall> received;  // Verified and durable, not yet offered to the core.
  std::optional<uint64_t> switched;               // The generation that is current and not swapped in.
  uint64_t generation = 0;
  std::optional<Configuration> wanted;            // Asked for, while the core asks who lives.
  std::map<uint64_t, std::shared_ptr<const Snapshot>> keys_files;
};

const char* name_of(raft::ChangeResult result);

class Cluster {
 public:
  explicit Cluster(const raft::Options& options);
  Cluster(const Cluster&) = default;

  // A node whose log begins with `initial` in force; empty: it joins.
  void add(NodeId id, const Configuration& initial);
  // Voters 1..n, started, and old enough to vote.
  void add_voters(NodeId count);
  Node& node(NodeId id);
  raft::Raft& raft(NodeId id);
  bool is_up(NodeId id);
  std::vector<NodeId> ids() const;

  // Inputs of one node. Each carries out all output that follows.
  void tick(NodeId id, uint64_t count = 1);
  void tick_all(uint64_t count = 1);
  // Ticks until the node asks for votes; at most four timeouts.
  bool tick_to_timeout(NodeId id);
  raft::ProposeResult propose(NodeId id, const std::string& text);
  void read(NodeId id, uint64_t context);
  raft::TransferResult transfer(NodeId id, NodeId to);
  // While the core asks who lives it is asked again at each turn of the node; what it answers then is an event.
  raft::ChangeResult change(NodeId id, const Configuration& target);
  void stall_disk(NodeId id, bool stalled);
  void unreachable(NodeId id, NodeId peer);
  void step(NodeId id, const Message& message);

  // Snapshots and compaction (harness_snapshots.cc).
  void compact(NodeId id, Index through);   // What it forgets is made durable in the keys first (D10).
  void install(NodeId id);                  // Offers what was received to the core.
  void load_keys(NodeId id);                // Swaps the keyspace in whose switch is durable.
  void fail_snapshot(NodeId id, NodeId peer);

  // Disk. sync() makes the oldest `count` queued writes durable and lets their messages go.
  void sync(NodeId id, size_t count = 1);
  void answer_loads(NodeId id);
  // The node dies; of its queued writes the oldest `writes_kept` were durable, no message of them left.
  void crash(NodeId id, size_t writes_kept = 0);
  void start(NodeId id);
  void restart(NodeId id, size_t writes_kept = 0);
  // Outside the model: between two lives synced entries, from `first` on, vanish.
  void lose(NodeId id, Index first);
  // Between two lives the keys are lost, and nothing else.
  void lose_keys(NodeId id);

  // Network.
  std::deque<Message>& network() { return network_; }
  void deliver_at(size_t position);
  // Two of one turn: the core's output is taken after the second. REQUIRES: both are to one node, which is up.
  void deliver_together(size_t first, size_t second);
  void drop_at(size_t position);
  void duplicate_at(size_t position);
  // What is on the way from `from` to `to`, oldest first and at most `count`; 0 stands for any node. What is
  // sent in answer stays on its way. Returns how many.
  size_t deliver(NodeId from = 0, NodeId to = 0, size_t count = SIZE_MAX);
  size_t drop(NodeId from = 0, NodeId to = 0);
  // Delivers until nothing is on its way.
  void settle();
  // What is lost there is noted as `what`.
  void cut(NodeId from, NodeId to, Reached what = Reached::kLostOneWay) { cut_.emplace(std::pair(from, to), what); }
  void partition(const std::vector<std::vector<NodeId>>& groups);
  void heal();

  // The one that leads in the highest term, or 0.
  NodeId leader();
  // Times `id` out and delivers everything; true if it leads then.
  bool elect(NodeId id);
  // Ticks all and delivers all, `ticks` times.
  void run(uint64_t ticks);

  Checker& checker() { return checker_; }
  // What happened since the last call, in order.
  std::vector<std::string> take_events() { return std::exchange(events_, {}); }
  void set_verbose(bool verbose) { verbose_ = verbose; }

 private:
  void take_in(NodeId id, const Message& message);
  Message take_out(size_t position);
  // Whether who is to get it would, if it were delivered now.
  bool can_arrive(const Message& message);
  bool is_cut_off(const Message& message);
  void pump(NodeId id);
  void change_again(Node& node);
  void carry_out(Node& node, raft::Output output);
  void send(Node& node, const Message& message);
  void store(Node& node, const raft::Write& write);
  void complete_oldest(Node& node);
  void answer_load(Node& node);
  void start_snapshot(Node& node, NodeId peer);
  void send_chunk(Node& node, NodeId peer, uint64_t offset, size_t bytes);
  void tick_snapshots(Node& node);
  void on_snapshot_message(Node& node, const Message& message);
  void on_snapshot_answer(Node& node, NodeId peer, const raft::InstallSnapshotReply& reply);
  void on_chunk(Node& node, NodeId from, const raft::InstallSnapshot& chunk);
  void receive_whole(Node& node, const raft::InstallSnapshot& chunk);
  void offer_snapshot(Node& node);
  void swap_keys(Node& node);
  void switch_keys(Node& node, const raft::SnapshotInstall& install);
  void note(const std::string& event) { events_.push_back(event); }
  // `describe` is called only where somebody will read it.
  template <typename Describe>
  void note_detail(Describe describe) {
    if (verbose_) events_.push_back(describe());
  }

  raft::Options options_;
  std::map<NodeId, Node> nodes_;
  std::deque<Message> network_;
  std::map<std::pair<NodeId, NodeId>, Reached> cut_;  // As what a message lost there is noted.
  Checker checker_;
  std::map<std::string, std::shared_ptr<const Snapshot>> snapshots_;  // By their bytes.
  std::vector<std::string> events_;
  bool verbose_ = true;
};

}  // namespace leto::raft_test
