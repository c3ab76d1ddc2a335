// A snapshot on its way to a follower: the receiver, its files and the core around it, on a disk in memory.
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/crc32c.h"
#include "server/snapshot_files.h"
#include "tests/fuzz/sample_files.h"
#include "tests/fuzz/targets.h"
#include "tests/server/fake_environment.h"

namespace leto::fuzz {

namespace {

constexpr size_t kChunkBytesMax = 16 << 10;
constexpr uint64_t kHonestSnapshot = 1000;
// Of the honest leader, at the end: a whole stream that is refused for what came before it, and one that is not.
constexpr int kHonestChunksMax = 40;

// Jobs run when told; what they did may be announced later.
class LateJobs final : public server::JobRunner {
 public:
  void run(std::function<void()> work, std::function<void()> done) override {
    jobs_.push_back({.work = std::move(work), .done = std::move(done)});
  }
  bool is_idle() const { return jobs_.empty(); }
  // The next one runs, or is announced.
  void step() {
    if (jobs_.empty()) return;
    if (jobs_.front().work != nullptr) return std::exchange(jobs_.front().work, nullptr)();
    const std::function<void()> done = std::move(jobs_.front().done);
    jobs_.pop_front();
    done();
  }

 private:
  struct Job {
    std::function<void()> work, done;
  };
  std::deque<Job> jobs_;
};

class Follower {
 public:
  explicit Follower(storage::TestDisk& disk)
      : files_(jobs_, jobs_, {.directory = kDirectory, .vfs = disk.name()}, options_),
        test_(server::test::NodeUnderTest::start_of(3), files_) {
    test_.follow(leader(), term_);
  }
  void act(std::string_view& bytes);
  // A leader that does all as it should brings it up to date.
  void end_well();

 private:
  // One leader a term.
  raft::NodeId leader() const { return 2 + term_ % 2; }
  const std::string& content() const { return golden("keys-v1.db"); }
  bool is_installed() const { return test_.node->raft().applied_index() >= kGoldenApplied.index; }
  raft::InstallSnapshot chunk_at(uint64_t offset, size_t size) const;
  void send(raft::NodeId from, raft::Term term, raft::InstallSnapshot chunk);
  void send_any(std::string_view& bytes);
  void elect();
  void finish_jobs();
  // How far the follower says it has the snapshot of `number`.
  uint64_t wanted(uint64_t number);

  const server::Options options_;
  LateJobs jobs_;
  server::SnapshotFiles files_;
  server::test::NodeUnderTest test_;
  raft::Term term_ = 6;
};

raft::InstallSnapshot Follower::chunk_at(uint64_t offset, size_t size) const {
  const std::string data = offset < content().size() ? content().substr(offset, size) : std::string();
  return {.snapshot = kHonestSnapshot + term_, .last = kGoldenApplied, .size = content().size(), .checksum = base::crc32c(content()),
          .offset = offset, .cluster_time_ms = 1, .data = std::make_shared<const std::string>(data)};
}

void Follower::send(raft::NodeId from, raft::Term term, raft::InstallSnapshot chunk) {
  test_.node->on_message({.from = from, .to = 1, .term = term, .body = std::move(chunk)});
  test_.turn();
}

// Of any sender, any snapshot and any place, and each field may be another than that of the other chunks.
void Follower::send_any(std::string_view& bytes) {
  const size_t kind = take_number(bytes, 1);
  raft::InstallSnapshot chunk = chunk_at(take_number(bytes, 3), take_number(bytes, 2) % kChunkBytesMax);
  if ((kind & 1) != 0) chunk.snapshot = take_number(bytes, 1);
  if ((kind & 2) != 0) chunk.size = take_number(bytes, 8);
  if ((kind & 4) != 0) chunk.checksum = static_cast<uint32_t>(take_number(bytes, 4));
  if ((kind & 8) != 0) chunk.last.index -= take_number(bytes, 1) % 4;
  if ((kind & 16) != 0) chunk.data = std::make_shared<const std::string>(take_number(bytes, 1), 'x');
  const raft::Term term = (kind & 32) != 0 ? term_ - 1 : term_;
  const raft::NodeId from = (kind & 64) != 0 ? 5 - leader() : leader();
  send(from, term, std::move(chunk));
}

void Follower::elect() {
  ++term_;
  test_.follow(leader(), term_);
}

void Follower::act(std::string_view& bytes) {
  enum : size_t { kNext, kAny, kJob, kJobs, kTicks, kElection, kLog, kKeys, kActions };
  const size_t what = take_number(bytes, 1);
  switch (what % kActions) {
    case kNext: return send(leader(), term_, chunk_at(wanted(kHonestSnapshot + term_), kChunkBytesMax));
    case kAny: return send_any(bytes);
    case kJob: jobs_.step(); break;
    case kJobs: return finish_jobs();
    case kTicks: return test_.ticks(static_cast<int>(what / kActions));
    case kElection: return elect();
    case kLog: if (test_.disk.busy()) test_.finish_disk(); break;
    case kKeys: if (test_.keys.switch_done != nullptr) test_.keys.finish_switch({}); break;
  }
  test_.turn();
}

void Follower::finish_jobs() {
  for (test_.turn(); !jobs_.is_idle(); test_.turn()) jobs_.step();
}

uint64_t Follower::wanted(uint64_t number) {
  uint64_t offset = 0;
  for (const raft::Message& message : std::exchange(test_.network.sent, {})) {
    const auto* reply = std::get_if<raft::InstallSnapshotReply>(&message.body);
    if (reply != nullptr && reply->snapshot == number && reply->answer == raft::SnapshotAnswer::kNeeds) offset = reply->offset;
  }
  return offset;
}

void Follower::end_well() {
  test_.finish_all_disk();
  elect();
  finish_jobs();
  uint64_t offset = 0;
  for (int chunks = 0; chunks < kHonestChunksMax && !is_installed(); ++chunks) {
    send(leader(), term_, chunk_at(offset, kChunkBytesMax));
    finish_jobs();
    test_.finish_all_disk();
    offset = wanted(kHonestSnapshot + term_);
  }
  LETO_ASSERT(is_installed(), "an honest leader's snapshot is not taken");
  const keyspace::Keyspace& keyspace = test_.node->keyspace();
  LETO_ASSERT(keyspace.size() > 0 && keyspace.digest() == keyspace.recompute_digest(), "it is installed without its keys");
}

}  // namespace

void receive_stream(std::string_view bytes) {
  Follower follower(fresh_disk());
  while (!bytes.empty()) follower.act(bytes);
  follower.end_well();
}

}  // namespace leto::fuzz
