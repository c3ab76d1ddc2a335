// Replica: the log's disk. One job in flight; what arrives meanwhile goes into the next, in one transaction.
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "server/replica.h"

namespace leto::server {
namespace {

constexpr size_t kJobBytesMax = 8 << 20;
constexpr size_t kJobEntriesMax = 1024;

}  // namespace

void Replica::store(std::vector<raft::Write> writes) {
  for (raft::Write& write : writes) store_queue_.push_back(std::move(write));
  if (job_.empty()) submit_job();
}

// Moves the next writes of the queue into a job, or runs again the one that found the disk full.
void Replica::submit_job() {
  bool with_vote = false;
  size_t bytes = 0;
  size_t entries = 0;
  if (!disk_full_) {
    LETO_ASSERT(job_.empty(), "one job in flight");
    while (!store_queue_.empty() && bytes < kJobBytesMax && entries < kJobEntriesMax) {
      for (const raft::Entry& entry : store_queue_.front().append) bytes += entry.size();
      entries += store_queue_.front().append.size();
      job_.push_back(std::move(store_queue_.front()));
      store_queue_.pop_front();
    }
  }
  if (job_.empty()) return;
  std::vector<storage::LogWrite> writes;
  writes.reserve(job_.size());
  for (const raft::Write& write : job_) {
    with_vote = with_vote || write.hard_state.has_value();
    storage::LogWrite part{.hard_state = write.hard_state,
                           .truncate_from = write.truncate_from,
                           .append = write.append,
                           .install = {}};
    if (write.install) {
      part.install = {.last = write.install->last,
                      .keys_generation = write.install->keys_generation,
                      .keeps_log = write.install->keeps_log};
    }
    writes.push_back(std::move(part));
  }
  run_job(with_vote, std::move(writes));
}

void Replica::run_job(bool with_vote, std::vector<storage::LogWrite> job) {
  job_started_us_ = environment_.clock.monotonic_us();
  const bool alone = raft_.is_only_voter() && raft_.configuration().members.size() == 1;
  storage::WriteResult result = storage::WriteResult::kDurable;
  if (alone && environment_.log_disk.write_now(job, result)) {
    job_done(result);
    return;
  }
  environment_.log_disk.write(std::move(job), with_vote,
                              [this](storage::WriteResult written) { job_done(written); });
}

void Replica::job_done(storage::WriteResult result) {
  if (result == storage::WriteResult::kFull) {
    // D15: rolled back whole, nothing of it was announced; the same job runs again at the next tick.
    if (!disk_full_) LETO_LOG(kWarning, "raft.db: the disk is full; writes wait until there is room");
    disk_full_ = true;
    return;
  }
  if (disk_full_) LETO_LOG(kNotice, "raft.db: the disk has room again");
  disk_full_ = false;
  const uint64_t took_us = environment_.clock.monotonic_us() - job_started_us_;
  commit_average_us_ = commit_average_us_ == 0 ? took_us : (commit_average_us_ * 7 + took_us) / 8;
  stats_.commit_microseconds.add(took_us);
  std::vector<raft::Write> done = std::exchange(job_, {});
  for (raft::Write& write : done) {
    if (write.hard_state) durable_term_ = write.hard_state->term;
    send(std::move(write.after_durable));
  }
  raft_.durable(done.back().seq);
  for (const raft::Write& write : done) {
    if (write.install) on_installed();
  }
  if (!store_queue_.empty()) submit_job();
  environment_.waker.wake();
}

// D17: a job that takes too long makes the disk count as stalled.
void Replica::watch_disk(uint64_t now_us) {
  const bool waits = !job_.empty();
  const bool stalled =
      waits && now_us - job_started_us_ > options_.disk_stall_timeout_ms() * 1000;
  const bool counts_as_stalled = stalled || disk_full_;
  if (counts_as_stalled == disk_stalled_) return;
  disk_stalled_ = counts_as_stalled;
  LETO_LOG(kWarning, "raft.db: %s",
           stalled ? "the disk stalls: a commit takes longer than disk-stall-timeout"
                   : (disk_full_ ? "the disk counts as stalled while it is full"
                                 : "the disk answers again"));
  raft_.disk_stalled(disk_stalled_);
}

void Replica::load(const std::vector<raft::Load>& loads) {
  for (const raft::Load& wanted : loads) {
    environment_.log_disk.read(
        wanted, [this, peer = wanted.peer](base::Result<std::vector<raft::Entry>> read) {
          // Rotten bytes of the log: nothing sound can be served from them.
          if (!read.is_ok()) return on_damage(read.status().text());
          raft_.loaded(peer, std::move(read.value()));
          environment_.waker.wake();
        });
  }
}

}  // namespace leto::server
