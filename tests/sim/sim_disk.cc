#include "tests/sim/sim_disk.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "tests/sim/process.h"

namespace leto::sim {

namespace {

// When within its time a job calls the store: at once, somewhere, at the end.
Microseconds draw_moment(base::Random& random, Microseconds time) {
  switch (random.below(3)) {
    case 0: return 0;
    case 1: return random.below(time + 1);
    default: return time;
  }
}

}  // namespace

// --- raft.db -----------------------------------------------------------------------------------------

void SimLogDisk::write(std::vector<storage::LogWrite> writes, bool with_vote, Written done) {
  if (!machine_.comes_to(Step::kQueue)) return;
  LETO_ASSERT(!busy(), "a second write of raft.db before the first is durable");
  waiting_write_ = {.writes = std::move(writes), .with_vote = with_vote, .done = std::move(done)};
  if (machine_.comes_to(Step::kQueued)) start_next();
}

void SimLogDisk::read(const raft::Load& load, Read done) {
  reads_.push_back({.load = load, .done = std::move(done)});
  start_next();
}

void SimLogDisk::compact(const storage::LogDrop& drop, Compacted done) {
  if (machine_.dying()) return;
  LETO_ASSERT(!compaction_, "a second compaction before the first");
  compaction_ = {.drop = drop, .done = std::move(done)};
  start_next();
}

void SimLogDisk::look_at_room(const storage::RoomWish& wish, RoomSeen done) {
  if (machine_.dying()) return;
  LETO_ASSERT(!look_, "a second look at the room before the first");
  look_ = {.wish = wish, .done = std::move(done)};
  start_next();
}

void SimLogDisk::start_look() {
  using Room = base::Result<storage::LogRoom>;
  auto job = std::make_shared<WaitingLook>(std::move(*look_));
  look_.reset();
  write_was_last_ = false;
  auto result = std::make_shared<Room>(storage::LogRoom());
  run_job([this, job, result] { *result = machine_.in_store([&] { return store_.look_at_room(job->wish); }); },
          [this, job, result] {
            if (machine_.room() < machine_.options.disk_floor) machine_.world().coverage.note(Reached::kDiskLow);
            job->done(std::move(*result));
          });
}

void SimLogDisk::start_compaction() {
  using Base = base::Result<raft::EntryId>;
  auto job = std::make_shared<WaitingCompaction>(std::move(*compaction_));
  compaction_.reset();
  write_was_last_ = false;
  auto result = std::make_shared<Base>(raft::EntryId());
  run_job(
      [this, job, result] {
        *result = machine_.in_store([&] { return store_.compact(job->drop); });
        if (machine_.dying() || !result->is_ok()) return;
        if (result->value().index > machine_.durable.base().index) machine_.observer().on_compacted(machine_, result->value());
        machine_.durable.compact(result->value());
        if (store_.counters().segments == 0) machine_.world().coverage.note(Reached::kLogEmptied);
      },
      [job, result] { job->done(std::move(*result)); });
}

void SimLogDisk::run_job(std::function<void()> work, std::function<void()> done) {
  in_flight_ = true;
  const Microseconds time = machine_.draw_job_time(1);
  const Microseconds moment = draw_moment(machine_.random, time);
  machine_.after(moment, [this, rest = time - moment, work = std::move(work), done = std::move(done)] {
    work();
    if (machine_.dying()) return;
    machine_.after(rest, [this, done] {
      in_flight_ = false;
      done();
      start_next();
    });
  });
}

// As the real one: after a write a waiting read goes first, after a read a waiting write.
void SimLogDisk::start_next() {
  if (in_flight_ || machine_.dying()) return;
  const bool read_first = !reads_.empty() && (write_was_last_ || !waiting_write_);
  if (read_first) return start_read();
  const bool upkeep_waits = look_ || compaction_;
  if (upkeep_waits && !vote_pending_ && (!waiting_write_ || machine_.random.chance(1, 4))) {
    return look_ ? start_look() : start_compaction();
  }
  if (waiting_write_) return start_write();
  const bool idle = machine_.random.chance(1, 2);
  if (!vote_pending_ && idle && store_.checkpoint_due()) start_checkpoint();
}

storage::WriteResult SimLogDisk::call_store(const std::vector<storage::LogWrite>& writes) {
  machine_.unfinished = writes;
  const storage::WriteResult result = machine_.in_store([&] { return store_.write(writes); });
  if (machine_.dying()) return result;
  machine_.unfinished.clear();
  if (result == storage::WriteResult::kFull) return result;
  if (!machine_.suspect && !machine_.disk.is_synced("/sim/raft.db-wal")) {
    machine_.world().fail("I9", "raft.db said that a write is durable, and its WAL is not synced");
  }
  machine_.observer().on_log_durable(machine_, writes);
  if (machine_.world().parameters.damaged) {
    machine_.before_last_two = std::exchange(machine_.before_last, machine_.durable);
  }
  machine_.durable.apply(writes);
  return result;
}

void SimLogDisk::start_write() {
  auto job = std::make_shared<WaitingWrite>(std::move(*waiting_write_));
  waiting_write_.reset();
  writing_ = write_was_last_ = true;
  vote_pending_ = job->with_vote;
  auto result = std::make_shared<storage::WriteResult>();
  uint64_t entries = 0;
  for (const storage::LogWrite& write : job->writes) entries += write.append.size();
  machine_.world().trace.add({.kind = EventKind::kWriteBegins, .machine = machine_.number, .a = job->writes.size(),
                              .b = entries, .c = job->with_vote});
  machine_.observer().on_log_handed(machine_, job->writes);
  for (const storage::LogWrite& write : job->writes) {
    if (write.install) machine_.reaches(Ambush::kInstalling);
  }
  if (machine_.dying()) return;
  run_job([this, job, result] { *result = call_store(job->writes); },
          [this, job, result] {
            writing_ = false;
            finish_write(*result);
            job->done(*result);
            vote_pending_ = false;
          });
}

void SimLogDisk::finish_write(storage::WriteResult result) {
  if (result == storage::WriteResult::kFull) machine_.world().coverage.note(Reached::kFullRetried);
  machine_.world().trace.add({.kind = EventKind::kWriteEnds, .machine = machine_.number,
                              .a = static_cast<uint64_t>(result), .b = machine_.durable.last(),
                              .c = machine_.durable.hard_state().term});
}

void SimLogDisk::start_read() {
  using Entries = base::Result<std::vector<raft::Entry>>;
  auto job = std::make_shared<WaitingRead>(std::move(reads_.front()));
  reads_.pop_front();
  write_was_last_ = false;
  auto result = std::make_shared<std::optional<Entries>>();
  run_job(
      [this, job, result] {
        result->emplace(machine_.in_store(
            [&] { return store_.read(job->load.from, job->load.last, job->load.max_bytes); }));
      },
      [this, job, result] {
        Entries& read = **result;
        machine_.world().coverage.note(Reached::kLogLoaded);
        machine_.world().trace.add({.kind = EventKind::kRead, .machine = machine_.number, .a = job->load.from,
                                    .b = read.is_ok() ? read.value().size() : 0});
        job->done(std::move(read));
      });
}

void SimLogDisk::start_checkpoint() {
  run_job(
      [this] {
        const base::Status status = machine_.in_store([&] { return store_.checkpoint(); });
        machine_.world().coverage.note(Reached::kCheckpointed);
        machine_.world().trace.add({.kind = EventKind::kCheckpoint, .machine = machine_.number, .a = status.is_ok()});
      },
      [] {});
}

bool SimLogDisk::write_now(const std::vector<storage::LogWrite>& writes, storage::WriteResult& result) {
  if (machine_.dying()) return false;
  const bool quiet = !in_flight_ && !waiting_write_ && reads_.empty() && !compaction_ && !look_;
  const bool fast = machine_.weather.slow_high == 0 && !machine_.disk_stalls();
  if (!quiet || !fast || !machine_.world().parameters.disk.writes_now || machine_.random.chance(1, 4)) return false;
  machine_.world().coverage.note(Reached::kWriteNow);
  machine_.observer().on_log_handed(machine_, writes);
  result = call_store(writes);
  finish_write(result);
  return true;
}

// --- Other jobs --------------------------------------------------------------------------------------

void SimJobs::run(std::function<void()> work, std::function<void()> done) {
  if (!machine_.comes_to(Step::kQueue)) return;
  jobs_.push_back({.work = std::move(work), .done = std::move(done)});
  if (machine_.comes_to(Step::kQueued)) start_next();
}

void SimJobs::start_next() {
  if (under_way_ || jobs_.empty() || machine_.dying()) return;
  under_way_ = true;
  const Microseconds time = machine_.draw_job_time(2);
  const Microseconds moment = draw_moment(machine_.random, time);
  machine_.after(moment, [this, rest = time - moment] {
    work();
    if (!machine_.dying()) machine_.after(rest, [this] { finish(); });
  });
}

void SimJobs::work() {
  machine_.in_store([this] {
    jobs_.front().work();
    return true;
  });
}

void SimJobs::finish() {
  const Job job = std::move(jobs_.front());
  jobs_.pop_front();
  under_way_ = false;
  job.done();
  start_next();
}

// --- The keys file -----------------------------------------------------------------------------------

SimKeysDisk::SimKeysDisk(Machine& machine, server::JobRunner& jobs, std::unique_ptr<storage::KeyStore> store)
    : KeysFile(jobs, {.directory = kDirectory, .vfs = machine.disk.name()}, std::move(store)), machine_(machine) {}

void SimKeysDisk::flush(keyspace::Cut cut, storage::Witness witness, Flushed done) {
  if (machine_.dying()) return;
  machine_.observer().on_state(machine_, cut.header);
  KeysFile::flush(std::move(cut), witness, [this, done = std::move(done)](const base::Status& status, keyspace::Cut back) {
    machine_.world().coverage.note(status.is_ok() ? Reached::kFlushed : Reached::kFlushFailed);
    machine_.world().trace.add({.kind = EventKind::kFlushEnds, .machine = machine_.number, .a = status.is_ok(),
                                .b = back.header.applied_index});
    if (status.is_ok()) machine_.flushed = std::max(machine_.flushed, back.header.applied_index);
    done(status, std::move(back));
  });
}

void SimKeysDisk::load(server::LoadDone done) {
  KeysFile::load([this, done = std::move(done)](base::Result<server::LoadedKeys> loaded) {
    machine_.world().coverage.note(Reached::kLoaded);
    done(std::move(loaded));
  });
}

void SimKeysDisk::switch_to(uint64_t generation, server::StatusDone done) {
  if (machine_.dying()) return;
  machine_.flushed = std::max(machine_.flushed, machine_.process()->node().raft().applied_index());
  KeysFile::switch_to(generation, std::move(done));
}

// --- Snapshots ---------------------------------------------------------------------------------------

SimSnapshotDisk::SimSnapshotDisk(Machine& machine, server::JobRunner& leaving, server::JobRunner& coming)
    : SnapshotFiles(leaving, coming, {.directory = kDirectory, .vfs = machine.disk.name()}, machine.options), machine_(machine) {}

void SimSnapshotDisk::copy(uint64_t generation, CopyDone done) {
  machine_.copy_is_summed = false;
  SnapshotFiles::copy(generation, [this, done = std::move(done)](base::Result<Copy> result) {
    machine_.copy_is_summed = result.is_ok();
    if (result.is_ok()) machine_.world().coverage.note(Reached::kSnapshotCopied);
    done(std::move(result));
  });
}

void SimSnapshotDisk::append(raft::Payload bytes, server::StatusDone done) {
  machine_.reaches(Ambush::kReceiving);
  if (!machine_.dying()) SnapshotFiles::append(std::move(bytes), std::move(done));
}

void SimSnapshotDisk::finish(const storage::SnapshotEnd& end, server::LoadDone done) {
  if (machine_.random.chance(1, 2)) machine_.reaches(Ambush::kInstalling);
  SnapshotFiles::finish(end, [this, done = std::move(done)](base::Result<server::LoadedKeys> result) {
    machine_.world().coverage.note(result.is_ok() ? Reached::kSnapshotInstalled : Reached::kSnapshotRefused);
    if (result.is_ok()) machine_.observer().on_state(machine_, result.value().header);
    done(std::move(result));
  });
}

}  // namespace leto::sim
