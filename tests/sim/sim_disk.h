// The job runners in front of the two stores, in virtual time: the real store is called at one moment of the
// job's time, at its beginning, its end, or between, so that a death before, within and after the commit are
// all possible. Refuses to know SQL and Raft. Invariant: at most one job in flight for each file.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "server/environment.h"
#include "server/keys_file.h"
#include "server/snapshot_files.h"
#include "tests/sim/machine.h"

namespace leto::sim {

class SimLogDisk final : public server::LogDisk {
 public:
  SimLogDisk(Machine& machine, storage::LogStore& store) : machine_(machine), store_(store) {}

  void write(std::vector<storage::LogWrite> writes, bool with_vote, Written done) override;
  void read(const raft::Load& load, Read done) override;
  void compact(const storage::LogDrop& drop, Compacted done) override;
  void look_at_room(const storage::RoomWish& wish, RoomSeen done) override;
  bool busy() const override { return waiting_write_.has_value() || writing_; }
  storage::LogStoreCounters counters() const override { return store_.counters(); }
  bool write_now(const std::vector<storage::LogWrite>& writes, storage::WriteResult& result) override;

 private:
  struct WaitingWrite {
    std::vector<storage::LogWrite> writes;
    bool with_vote = false;
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
  void start_next();
  void start_look();
  void start_compaction();
  void start_write();
  void start_read();
  void start_checkpoint();
  storage::WriteResult call_store(const std::vector<storage::LogWrite>& writes);
  void finish_write(storage::WriteResult result);
  // Runs `work` at some moment of a job's time, then `done` at its end.
  void run_job(std::function<void()> work, std::function<void()> done);

  Machine& machine_;
  storage::LogStore& store_;
  bool in_flight_ = false;
  bool writing_ = false;
  bool vote_pending_ = false;
  bool write_was_last_ = false;
  std::optional<WaitingWrite> waiting_write_;
  std::deque<WaitingRead> reads_;
  std::optional<WaitingCompaction> compaction_;
  std::optional<WaitingLook> look_;
};

// Jobs at one moment of their time each, one after the other.
class SimJobs final : public server::JobRunner {
 public:
  explicit SimJobs(Machine& machine) : machine_(machine) {}

  void run(std::function<void()> work, std::function<void()> done) override;
  bool quiet() const { return jobs_.empty(); }

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  void start_next();
  void work();
  void finish();

  Machine& machine_;
  std::deque<Job> jobs_;     // What they hold dies with the process.
  bool under_way_ = false;   // The first one.
};

// The keys file, and what becomes of its jobs, for trace and coverage.
class SimKeysDisk final : public server::KeysFile {
 public:
  SimKeysDisk(Machine& machine, server::JobRunner& jobs, std::unique_ptr<storage::KeyStore> store);
  void flush(keyspace::Cut cut, storage::Witness witness, Flushed done) override;
  void load(server::LoadDone done) override;
  void switch_to(uint64_t generation, server::StatusDone done) override;

 private:
  Machine& machine_;
};

// The same for snapshots.
class SimSnapshotDisk final : public server::SnapshotFiles {
 public:
  SimSnapshotDisk(Machine& machine, server::JobRunner& leaving, server::JobRunner& coming);
  void copy(uint64_t generation, CopyDone done) override;
  void append(raft::Payload bytes, server::StatusDone done) override;
  void finish(const storage::SnapshotEnd& end, server::LoadDone done) override;

 private:
  Machine& machine_;
};

}  // namespace leto::sim
