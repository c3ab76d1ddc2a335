#include "server/uv_disk.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"

namespace leto::server {

namespace {

uint64_t bytes_of(const std::vector<storage::LogWrite>& writes) {
  uint64_t bytes = 0;
  for (const storage::LogWrite& write : writes) {
    for (const raft::Entry& entry : write.append) bytes += entry.size();
  }
  return bytes;
}

}  // namespace

UvLogDisk::UvLogDisk(Loop& loop, storage::LogStore& store, uint64_t checkpoint_frames)
    : loop_(loop), store_(store), checkpoint_frames_(checkpoint_frames), worker_(loop), counters_(store.counters()) {}

UvLogDisk::~UvLogDisk() { LETO_ASSERT(!worker_.busy(), "a job of raft.db outlives its owner"); }

void UvLogDisk::write(std::vector<storage::LogWrite> writes, bool with_vote, Written done) {
  LETO_ASSERT(!busy(), "a second write of raft.db before the first is durable");
  waiting_write_ = {.writes = std::move(writes), .done = std::move(done)};
  vote_pending_ = with_vote;
  start_next();
}

void UvLogDisk::read(const raft::Load& load, Read done) {
  // Started at the end of the turn: a write of this turn goes before it.
  reads_.push_back({.load = load, .done = std::move(done)});
  loop_.wake();
}

void UvLogDisk::compact(const storage::LogDrop& drop, Compacted done) {
  LETO_ASSERT(!compaction_, "a second compaction before the first");
  compaction_ = {.drop = drop, .done = std::move(done)};
  loop_.wake();
}

void UvLogDisk::look_at_room(const storage::RoomWish& wish, RoomSeen done) {
  LETO_ASSERT(!look_, "a second look at the room before the first");
  look_ = {.wish = wish, .done = std::move(done)};
  loop_.wake();
}

bool UvLogDisk::write_now(const std::vector<storage::LogWrite>& writes, storage::WriteResult& result) {
  const uint64_t before_us = loop_.monotonic_us();
  if (!quiet() || sync_delay_ms_ != 0 || must_checkpoint()) return false;
  if (times_.commits < kCommitsMeasuredMin || times_.average_us > kFastCommitUs) return false;
  if (before_us < loop_writes_barred_until_us_ || bytes_of(writes) > kLoopWriteBytesMax) return false;
  result = store_.write(writes);
  last_write_us_ = loop_.monotonic_us();
  note_commit(last_write_us_ - before_us);
  counters_ = store_.counters();
  checkpoint_due_ = store_.checkpoint_due();
  vote_pending_ = false;
  return true;
}

void UvLogDisk::note_commit(uint64_t took_us) {
  ++times_.commits;
  times_.last_us = took_us;
  times_.average_us = times_.commits == 1 ? took_us : (times_.average_us * 7 + took_us) / 8;
  times_.commit_us.add(took_us);
  if (took_us > kSlowCommitUs || times_.average_us > kFastCommitUs) {
    loop_writes_barred_until_us_ = loop_.monotonic_us() + kSlowPauseUs;
  }
}

bool UvLogDisk::may_checkpoint() const {
  if (!checkpoint_due_ || !checkpoints_allowed_ || vote_pending_) return false;
  const uint64_t now_us = loop_.monotonic_us();
  return now_us >= checkpoint_after_us_ && now_us - last_write_us_ > kIdleUs;
}

bool UvLogDisk::must_checkpoint() const {
  if (counters_.wal_frames < checkpoint_frames_ * kForcedCheckpointFactor) return false;
  return checkpoints_allowed_ && !vote_pending_ && loop_.monotonic_us() >= checkpoint_after_us_;
}

void UvLogDisk::on_turn_end() {
  if (!busy()) vote_pending_ = false;
  start_next();
  if (!worker_.busy() && may_checkpoint()) start(Kind::kCheckpoint);
}

void UvLogDisk::start_next() {
  if (worker_.busy()) return;
  if (must_checkpoint()) return start(Kind::kCheckpoint);
  if (start_upkeep()) return;
  const bool read_first = !reads_.empty() && (last_ == Kind::kWrite || !waiting_write_);
  if (read_first) {
    job_ = {.kind = Kind::kRead, .load = reads_.front().load};
    read_ = std::move(reads_.front().done);
    reads_.pop_front();
    start(Kind::kRead);
  } else if (waiting_write_) {
    job_ = {.kind = Kind::kWrite, .writes = std::move(waiting_write_->writes), .sync_delay_ms = sync_delay_ms_};
    written_ = std::move(waiting_write_->done);
    waiting_write_.reset();
    start(Kind::kWrite);
  }
}

// After a write, so that it has its turn under load, or when nothing else waits.
bool UvLogDisk::start_upkeep() {
  const bool others_wait = !reads_.empty() || waiting_write_;
  if (vote_pending_ || (others_wait && last_ != Kind::kWrite)) return false;
  if (look_) {
    job_ = {.kind = Kind::kLook, .wish = look_->wish};
    seen_ = std::move(look_->done);
    look_.reset();
    start(Kind::kLook);
    return true;
  }
  if (!compaction_) return false;
  job_ = {.kind = Kind::kCompaction, .drop = compaction_->drop};
  compacted_ = std::move(compaction_->done);
  compaction_.reset();
  start(Kind::kCompaction);
  return true;
}

void UvLogDisk::start(Kind kind) {
  if (kind == Kind::kCheckpoint) job_ = {.kind = kind};
  writing_ = kind == Kind::kWrite;
  last_ = kind;
  worker_.run([this] { work(); }, [this] { work_done(); });
}

// In the worker thread.
void UvLogDisk::work() {
  if (job_.kind == Kind::kWrite) {
    if (job_.sync_delay_ms != 0) std::this_thread::sleep_for(std::chrono::milliseconds(job_.sync_delay_ms));
    const uint64_t before_ns = uv_hrtime();
    job_.result = store_.write(job_.writes);
    job_.took_us = (uv_hrtime() - before_ns) / 1000;
  } else if (job_.kind == Kind::kRead) {
    job_.entries = store_.read(job_.load.from, job_.load.last, job_.load.max_bytes);
  } else if (job_.kind == Kind::kCompaction) {
    job_.base = store_.compact(job_.drop);
  } else if (job_.kind == Kind::kLook) {
    job_.room = store_.look_at_room(job_.wish);
  } else {
    job_.status = store_.checkpoint();
  }
  job_.counters = store_.counters();
  job_.checkpoint_due = store_.checkpoint_due();
}

void UvLogDisk::work_done() {
  Job job = std::exchange(job_, {});
  writing_ = false;
  counters_ = job.counters;
  checkpoint_due_ = job.checkpoint_due;
  // Each callback may ask for the next job.
  if (job.kind == Kind::kWrite) {
    last_write_us_ = loop_.monotonic_us();
    note_commit(job.took_us + job.sync_delay_ms * 1000);
    std::exchange(written_, nullptr)(job.result);
  } else if (job.kind == Kind::kRead) {
    std::exchange(read_, nullptr)(std::move(*job.entries));
  } else if (job.kind == Kind::kCompaction) {
    std::exchange(compacted_, nullptr)(std::move(*job.base));
  } else if (job.kind == Kind::kLook) {
    std::exchange(seen_, nullptr)(std::move(*job.room));
  } else if (!job.status.is_ok()) {
    LETO_LOG(kWarning, "raft.db: the checkpoint failed and is tried again: %s", job.status.text().c_str());
    checkpoint_after_us_ = loop_.monotonic_us() + kSlowPauseUs;
  }
  // A write that waited behind a read or a checkpoint waits no longer; reads go with the turn's end.
  if (busy()) start_next();
}

}  // namespace leto::server
