// An environment for unit tests of a node: a log disk that finishes when told, a network that remembers,
// clocks that stand still.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "resp/request_parser.h"
#include "server/environment.h"
#include "server/node.h"
#include "server/options.h"

namespace leto::server::test {

class FakeLogDisk final : public LogDisk {
 public:
  void write(std::vector<storage::LogWrite> writes, bool, Written done) override {
    in_flight = std::move(writes);
    done_ = std::move(done);
  }
  void read(const raft::Load&, Read) override {}
  void compact(const storage::LogDrop& drop, Compacted done) override {
    compactions.push_back({.drop = drop, .done = std::move(done)});
  }
  struct Compaction {
    storage::LogDrop drop;
    Compacted done;
  };
  std::vector<Compaction> compactions;
  void look_at_room(const storage::RoomWish& wish, RoomSeen done) override { look = {.wish = wish, .done = std::move(done)}; }
  struct Look {
    storage::RoomWish wish;
    RoomSeen done;   // Null: none is under way.
  };
  Look look;
  storage::LogStoreCounters counts;
  bool busy() const override { return done_ != nullptr; }
  storage::LogStoreCounters counters() const override { return counts; }
  bool write_now(const std::vector<storage::LogWrite>&, storage::WriteResult&) override { return false; }
  // The job in flight ends.
  void finish(storage::WriteResult result) {
    Written done = std::exchange(done_, nullptr);
    done(result);
  }
  std::vector<storage::LogWrite> in_flight;

 private:
  Written done_;
};

class FakeKeysDisk final : public KeysDisk {
 public:
  void flush(keyspace::Cut cut, storage::Witness given, Flushed done) override {
    witness = given;
    ++flushes;
    cut_ = std::move(cut);
    done_ = std::move(done);
  }
  void write_witness(storage::Witness given, StatusDone done) override {
    if (!witness_refusal.empty()) return done(base::Status::error(witness_refusal));
    witness = given;
    done(base::Status::ok());
  }
  void load(LoadDone done) override { load_done = std::move(done); }
  void switch_to(uint64_t generation, StatusDone done) override {
    switches.push_back(generation);
    switch_done = std::move(done);
  }
  bool busy() const override { return done_ != nullptr || load_done != nullptr || switch_done != nullptr; }
  std::string damage() const override { return checkpoint_damage; }
  void finish_load(base::Result<LoadedKeys> loaded) { std::exchange(load_done, nullptr)(std::move(loaded)); }
  void finish_switch(base::Status status) { std::exchange(switch_done, nullptr)(std::move(status)); }
  void finish(base::Status status) {
    Flushed done = std::exchange(done_, nullptr);
    keyspace::Cut cut = std::move(*cut_);
    cut_.reset();
    done(status, std::move(cut));
  }
  // The keys of the flush under way.
  std::vector<std::string> keys() const {
    std::vector<std::string> result;
    cut_->for_each([&](const keyspace::Cut::Change& change) { result.emplace_back(change.key); });
    return result;
  }
  storage::Witness witness;   // The last one that was written.
  int flushes = 0;
  std::string checkpoint_damage, witness_refusal;
  LoadDone load_done;
  StatusDone switch_done;
  std::vector<uint64_t> switches;   // Generations that were made current.

 private:
  std::optional<keyspace::Cut> cut_;
  Flushed done_;
};

// What is asked for is remembered, and ends when told.
class FakeSnapshotDisk final : public SnapshotDisk {
 public:
  void copy(uint64_t generation, CopyDone done) override {
    copies.push_back(generation);
    copy_done = std::move(done);
  }
  void read(uint64_t offset, size_t bytes_max, ReadDone done) override {
    reads.push_back({.offset = offset, .bytes_max = bytes_max, .done = std::move(done)});
  }
  void drop_copy() override {
    ++copies_dropped;
    copy_done = nullptr;
    reads.clear();
  }
  void verify(uint64_t generation, StatusDone done) override {
    verified.push_back(generation);
    verify_done = std::move(done);
  }
  void receive(uint64_t generation, uint64_t size, StatusDone done) override {
    received.push_back({generation, size});
    step_done = std::move(done);
  }
  void append(raft::Payload bytes, StatusDone done) override {
    content += *bytes;
    step_done = std::move(done);
  }
  void finish(const storage::SnapshotEnd& given, LoadDone done) override {
    end = given;
    finish_done = std::move(done);
  }
  void discard() override {
    ++discarded;
    content.clear();
    step_done = nullptr;
    finish_done = nullptr;
  }
  void forget() override { ++forgotten; }
  void free_keys(LoadedKeys keys) override { keys_freed += keys.keyspace.size(); }
  void finish_step(base::Status status = {}) { std::exchange(step_done, nullptr)(std::move(status)); }

  struct Read {
    uint64_t offset = 0;
    size_t bytes_max = 0;
    ReadDone done;
  };
  std::vector<uint64_t> copies, verified;   // Generations.
  StatusDone verify_done;
  CopyDone copy_done;
  std::vector<Read> reads;
  int copies_dropped = 0, discarded = 0, forgotten = 0;
  uint64_t keys_freed = 0;
  std::vector<std::pair<uint64_t, uint64_t>> received;   // Generation, size.
  std::string content;
  StatusDone step_done;
  storage::SnapshotEnd end;
  LoadDone finish_done;
};

class FakeNetwork final : public Network {
 public:
  void send(raft::Message message) override { sent.push_back(std::move(message)); }
  bool send_forward(const peer::Forward& forward) override {
    if (!forwards_leave) return false;
    forwards.push_back(forward);
    return true;
  }
  void send_forward_reply(const peer::ForwardReply& reply) override { forward_replies.push_back(reply); }
  void set_members(const raft::Configuration& in_force, const raft::Configuration&) override { members = in_force; }
  void adopt(AdoptionWish wish, Dialed done) override {
    dials.push_back({.raft_address = wish.raft_address, .id = wish.id, .takes_in = wish.takes_in, .done = std::move(done)});
  }
  Abilities abilities(raft::NodeId node) const override {
    const auto found = others.find(node);
    return found == others.end() ? usual : found->second;
  }
  std::string machine_of(raft::NodeId node) const override {
    const auto found = machines.find(node);
    return found == machines.end() ? "" : found->second;
  }
  std::string id_of(raft::NodeId node) const override {
    const auto found = ids.find(node);
    return found == ids.end() ? "" : found->second;
  }
  void set_semantics_level(uint16_t level) override { semantics_level = level; }
  struct Dial {
    std::string raft_address;
    std::string id;
    bool takes_in = true;
    Dialed done;
  };
  Abilities usual{.known = true, .semantics = 1, .features = peer::kFeatures};
  std::map<raft::NodeId, Abilities> others;   // Who is not as usual.
  std::map<raft::NodeId, std::string> machines;   // Of those on other machines.
  std::map<raft::NodeId, std::string> ids;        // Of those that said what they are called.
  uint16_t semantics_level = 0;
  std::vector<raft::Message> sent;
  bool forwards_leave = true;
  std::vector<peer::Forward> forwards;
  std::vector<peer::ForwardReply> forward_replies;
  raft::Configuration members;
  std::vector<Dial> dials;
};

class FakeClock final : public Clock {
 public:
  uint64_t monotonic_us() override {
    now_us += step_us;
    if (readings_until_jump > 0 && --readings_until_jump == 0) now_us += jump_us;
    return now_us;
  }
  uint64_t wall_ms() override { return wall; }
  uint64_t stopwatch_ns() override { return stopwatch += stopwatch_step_ns; }
  uint64_t stopwatch = 0, stopwatch_step_ns = 0;   // Whoever looks at it takes so long.
  uint64_t now_us = 1000000;
  uint64_t wall = 1700000000000;
  uint64_t step_us = 0;   // Whoever looks at it takes so long.
  // What was read before so many readings from now took `jump_us`; 0: none did.
  uint64_t readings_until_jump = 0;
  uint64_t jump_us = 0;
};

class FakeWaker final : public Waker {
 public:
  void wake() override { woken = true; }
  void wake_after_us(uint64_t) override {}
  bool woken = false;
};

// How many ticks of the loop come in `milliseconds`.
constexpr int ticks_in(uint64_t milliseconds) { return static_cast<int>(milliseconds / kTickMs); }

// To node 1, behind the entry that every log begins with.
inline raft::Message heartbeat_of(raft::NodeId leader, raft::Term term) {
  raft::AppendEntries heartbeat;
  heartbeat.previous = {.term = 1, .index = 1};
  return {.from = leader, .to = 1, .term = term, .body = heartbeat};
}

// A node on fakes. With `voters` it is one voter of several, node 1.
class NodeUnderTest {
 public:
  explicit NodeUnderTest(size_t voters = 1) : NodeUnderTest(start_of(voters)) {}
  explicit NodeUnderTest(NodeStart start) : NodeUnderTest(std::move(start), snapshots) {}
  // With another disk for snapshots than the fake, which outlives it.
  NodeUnderTest(NodeStart start, SnapshotDisk& snapshot_disk) {
    node.emplace(options, Environment{disk, keys, snapshot_disk, network, clock, waker}, std::move(start));
  }

  static raft::Member member_of(raft::NodeId number) {
    raft::Member member;
    member.node = number;
    member.id = "id" + std::to_string(number);
    member.raft_address = "10.0.0." + std::to_string(number) + ":15379";
    member.client_address = "10.0.0." + std::to_string(number) + ":5379";
    return member;
  }
  static NodeStart start_of(size_t voters) {
    NodeStart start;
    start.identity = {.id = "id1", .node = 1, .cluster_id = "0123456789abcdef", .cluster_secret = "s"};
    raft::Configuration configuration;
    for (raft::NodeId number = 1; number <= voters; ++number) configuration.members.push_back(member_of(number));
    start.recovered.hard_state = {.term = 1, .voted_for = raft::kNobody};
    start.recovered.last = {.term = 1, .index = 1};
    start.recovered.terms = {{.first = 1, .term = 1}};
    start.recovered.configurations = {{.index = 1, .configuration = configuration}};
    start.header.applied_index = 1;
    start.header.applied_term = 1;
    start.header.configuration = raft::encode_configuration(configuration);
    start.header.configuration_index = 1;
    return start;
  }

  void turn() {
    do {
      waker.woken = false;
      node->on_loop_turn();
    } while (waker.woken);
  }
  void finish_disk(storage::WriteResult result = storage::WriteResult::kDurable) {
    disk.finish(result);
    turn();
  }
  void finish_all_disk() {
    turn();
    while (disk.busy()) finish_disk();
  }
  void ticks(int count) {
    for (int tick = 0; tick < count; ++tick) {
      clock.now_us += kTickMs * 1000;
      node->on_tick();
      turn();
    }
  }
  // It hears the leader of `term`.
  void follow(raft::NodeId leader, raft::Term term) {
    node->on_message(heartbeat_of(leader, term));
    finish_all_disk();
  }
  // Whoever led until now, `leader` does in the next term.
  void lose_leadership_to(raft::NodeId leader) { follow(leader, node->raft().term() + 1); }
  // One voter: ticks until it leads and has committed in its term.
  void lead() {
    for (int tick = 0; tick < 200 && !node->raft().leads_and_committed_in_term(); ++tick) {
      ticks(1);
      finish_all_disk();
    }
  }
  // The leader that it hears confirms the reads that were asked of it, at `index`; how many.
  size_t confirm_reads(raft::Index index = 1) {
    turn();
    size_t confirmed = 0;
    for (const raft::Message& message : std::exchange(network.sent, {})) {
      const auto* request = std::get_if<raft::ReadIndexRequest>(&message.body);
      if (request == nullptr) continue;
      ++confirmed;
      node->on_message({.from = message.to, .to = message.from, .term = message.term,
                        .body = raft::ReadIndexReply{.context = request->context, .ok = true, .index = index}});
    }
    turn();
    return confirmed;
  }
  void send(const SessionRef& session, const std::vector<std::string_view>& arguments) {
    node->execute(session, arguments);
  }
  static std::string take(const SessionRef& session) { return std::exchange(session->output(), {}); }

  Options options;
  FakeLogDisk disk;
  FakeKeysDisk keys;
  FakeSnapshotDisk snapshots;
  FakeNetwork network;
  FakeClock clock;
  FakeWaker waker;
  std::optional<Node> node;
};

}  // namespace leto::server::test
