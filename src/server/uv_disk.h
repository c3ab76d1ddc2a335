// raft.db beside the loop: at most one job in flight, everything announced on the loop thread. Refuses to
// know SQL and Raft.
//
// Invariants: a store is touched by its job while one is in flight, else by the loop alone; after a write a
// waiting read goes first, after a read a waiting write, so that neither starves; a checkpoint, a compaction
// and a look at the room are jobs of their own, after the write before them was announced, and never before one
// that carries a vote.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "server/environment.h"
#include "server/loop.h"
#include "server/worker.h"

namespace leto::server {

class UvLogDisk final : public LogDisk {
 public:
  // WAL frames past which a checkpoint no longer waits for an idle moment, in checkpoint_frames.
  static constexpr uint64_t kForcedCheckpointFactor = 4;
  // write_now() is for disks this fast, measured over at least so many commits;
  static constexpr uint64_t kFastCommitUs = 1000;
  static constexpr uint64_t kCommitsMeasuredMin = 8;
  // after one commit as slow as this it refuses for a while: the next one may be as slow.
  static constexpr uint64_t kSlowCommitUs = 5000;
  static constexpr uint64_t kSlowPauseUs = 1000000;
  // and what is larger than this always goes to the thread.
  static constexpr uint64_t kLoopWriteBytesMax = 256 << 10;
  // An idle moment: so long without a write.
  static constexpr uint64_t kIdleUs = 20000;

  // `store` outlives this. `checkpoint_frames` is the store's.
  UvLogDisk(Loop& loop, storage::LogStore& store, uint64_t checkpoint_frames);
  // REQUIRES: quiet().
  ~UvLogDisk() override;

  void write(std::vector<storage::LogWrite> writes, bool with_vote, Written done) override;
  void read(const raft::Load& load, Read done) override;
  void compact(const storage::LogDrop& drop, Compacted done) override;
  void look_at_room(const storage::RoomWish& wish, RoomSeen done) override;
  bool busy() const override { return writing_ || waiting_write_.has_value(); }
  storage::LogStoreCounters counters() const override { return counters_; }
  DiskTimes times() const override { return times_; }
  bool write_now(const std::vector<storage::LogWrite>& writes, storage::WriteResult& result) override;

  // Once per turn, after the node's: starts what waits.
  void on_turn_end();
  // Nothing in flight and nothing waits.
  bool quiet() const { return !worker_.busy() && !waiting_write_ && reads_.empty() && !compaction_ && !look_; }
  // From now on no checkpoint is started; what is in flight ends.
  void end_checkpoints() { checkpoints_allowed_ = false; }
  // DEBUG SYNC-DELAY: every commit waits so long first, in the worker. 0 ends it.
  void set_sync_delay(uint64_t milliseconds) { sync_delay_ms_ = milliseconds; }

 private:
  enum class Kind : uint8_t { kNone, kWrite, kRead, kCheckpoint, kCompaction, kLook };
  struct WaitingWrite {
    std::vector<storage::LogWrite> writes;
    Written done;
  };
  struct WaitingRead {
    raft::Load load;
    Read done;
  };
  struct WaitingCompaction {
    storage::LogDrop drop;
    Compacted done;
  };
  struct WaitingLook {
    storage::RoomWish wish;
    RoomSeen done;
  };
  // What a job is given and gives back; the worker alone touches it while the job is in flight.
  struct Job {
    Kind kind = Kind::kNone;
    std::vector<storage::LogWrite> writes = {};
    raft::Load load = {};
    storage::LogDrop drop = {};
    storage::RoomWish wish = {};
    uint64_t sync_delay_ms = 0;
    storage::WriteResult result = storage::WriteResult::kDurable;
    std::optional<base::Result<std::vector<raft::Entry>>> entries = {};
    std::optional<base::Result<raft::EntryId>> base = {};
    std::optional<base::Result<storage::LogRoom>> room = {};
    base::Status status = {};
    uint64_t took_us = 0;
    storage::LogStoreCounters counters = {};
    bool checkpoint_due = false;
  };

  void start_next();
  bool start_upkeep();
  void start(Kind kind);
  void work();
  void work_done();
  void note_commit(uint64_t took_us);
  // Past the limit by far: before the next write. Else, if one is due: in an idle moment.
  bool must_checkpoint() const;
  bool may_checkpoint() const;

  Loop& loop_;
  storage::LogStore& store_;
  const uint64_t checkpoint_frames_;
  Worker worker_;
  Job job_;
  Written written_;        // Of the write in flight.
  Read read_;              // Of the read in flight.
  Compacted compacted_;    // Of the compaction in flight.
  RoomSeen seen_;          // Of the look in flight.
  bool writing_ = false;   // The job in flight is a write.
  Kind last_ = Kind::kNone;
  std::optional<WaitingWrite> waiting_write_;
  std::deque<WaitingRead> reads_;
  std::optional<WaitingCompaction> compaction_;
  std::optional<WaitingLook> look_;
  bool checkpoint_due_ = false;
  bool vote_pending_ = false;   // The last write that was handed over carries a vote: no checkpoint before it.
  bool checkpoints_allowed_ = true;
  uint64_t checkpoint_after_us_ = 0;   // After one that failed.
  uint64_t sync_delay_ms_ = 0;
  uint64_t last_write_us_ = 0;
  uint64_t loop_writes_barred_until_us_ = 0;
  storage::LogStoreCounters counters_;
  DiskTimes times_;
};

}  // namespace leto::server
