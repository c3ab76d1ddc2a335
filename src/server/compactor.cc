#include "server/compactor.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"

namespace leto::server {
namespace {

constexpr uint64_t kRetryUs = 1000000;
constexpr uint64_t kHadUs = 500000;

}  // namespace

Compactor::Compactor(Replica& replica, const ReplicaParts& parts, const Flusher& flusher,
                     const SnapshotSender& sender)
    : replica_(replica),
      options_(parts.options),
      environment_(parts.environment),
      stats_(parts.stats),
      flusher_(flusher),
      sender_(sender) {}

void Compactor::set_room(Room room) {
  if (room == room_) return;
  room_ = room;
  tried_ = {};
  if (room == Room::kPlenty) followers_.forget();
}

// Nobody is to lack what lies at or before it.
raft::Index Compactor::had_through() {
  if (room_ == Room::kPlenty) return 0;
  const raft::Raft& raft = replica_.raft();
  if (raft.role() == raft::Role::kLeader) return followers_.had_through(raft, environment_.clock.monotonic_us());
  followers_.forget();
  return 0;
}

uint64_t Compactor::bytes_max() const {
  const bool leads = replica_.raft().role() == raft::Role::kLeader;
  if (leads || room_ != Room::kLow) return UINT64_MAX;
  return std::min(kLowFollowerBytes, options_.disk_floor / 2);
}

storage::LogDrop Compactor::wanted() {
  const raft::Index flushed = flusher_.flushed_index();
  storage::LogDrop drop{.through = flushed, .bytes_kept = options_.log_window};
  const bool is_too_much = environment_.log_disk.counters().log_bytes > kPinnedBytesMax;
  const std::optional<raft::Index> pinned = sender_.keeps_log_after();
  if (pinned && !is_too_much) drop.through = std::min(drop.through, *pinned);
  drop.had_through = std::min(had_through(), drop.through);
  drop.bytes_max = bytes_max();
  return drop;
}

bool Compactor::keeps_as_much(const storage::LogDrop& drop) const {
  return drop.bytes_kept == tried_.bytes_kept && drop.bytes_max == tried_.bytes_max;
}

bool Compactor::is_more(const storage::LogDrop& drop) const {
  return drop.through > tried_.through || drop.had_through > tried_.had_through || !keeps_as_much(drop);
}

// With each acknowledgement of a follower that lags there is some more; it waits, as each attempt costs raft.db a job.
bool Compactor::is_worth_a_job(const storage::LogDrop& drop) const {
  const uint64_t now_us = environment_.clock.monotonic_us();
  const bool is_had_alone = drop.through <= tried_.through && keeps_as_much(drop);
  return is_more(drop) && now_us >= retry_us_ && (!is_had_alone || now_us >= had_after_us_);
}

void Compactor::advance() {
  if (compacting_ || replica_.raft().installing()) return;
  const storage::LogDrop drop = wanted();
  if (!is_worth_a_job(drop)) return;
  LETO_ASSERT(drop.through <= flusher_.flushed_index() && drop.through <= replica_.raft().applied_index(),
              base::format("D10: dropping log through %llu, durable in the keys file is %llu",
                           static_cast<unsigned long long>(drop.through),
                           static_cast<unsigned long long>(flusher_.flushed_index())));
  compacting_ = true;
  tried_ = drop;
  had_after_us_ = environment_.clock.monotonic_us() + kHadUs;
  environment_.log_disk.compact(drop, [this](base::Result<raft::EntryId> base) {
    compacting_ = false;
    compacted(std::move(base));
  });
}

void Compactor::compacted(base::Result<raft::EntryId> base) {
  if (!base.is_ok()) {
    LETO_LOG(kWarning, "raft.db: the log was not compacted and will be: %s", base.status().text().c_str());
    tried_ = {};
    retry_us_ = environment_.clock.monotonic_us() + kRetryUs;
    return;
  }
  raft::Raft& raft = replica_.raft();
  if (raft.installing() || base.value().index < raft.first_index()) return;
  LETO_LOG(kVerbose, "raft.db: the log begins behind entry %llu now", static_cast<unsigned long long>(base.value().index));
  ++stats_.compactions;
  raft.compact(base.value().index);
  // A bounded part at a time: there may be more.
  tried_ = {};
  environment_.waker.wake();
}

}  // namespace leto::server
