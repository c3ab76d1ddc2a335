#include "server/compactor.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "server/tick.h"

namespace leto::server {
namespace {

constexpr uint64_t kRetryUs = 1000000;

}  // namespace

Compactor::Compactor(Replica& replica, const ReplicaParts& parts, const Flusher& flusher,
                     const SnapshotSender& sender)
    : replica_(replica),
      options_(parts.options),
      environment_(parts.environment),
      stats_(parts.stats),
      flusher_(flusher),
      sender_(sender) {}

// What every follower has that was heard within an election timeout. The others would not be back soon.
raft::Index Compactor::had_by_followers() const {
  raft::Index had = replica_.raft().last().index;
  for (const raft::PeerView& peer : replica_.raft().peers()) {
    if (peer.ticks_since_heard <= options_.election_timeout_ms / kTickMs) had = std::min(had, peer.match);
  }
  return had;
}

raft::Index Compactor::may_drop_through() const {
  const raft::Index flushed = flusher_.flushed_index();
  const raft::Index durable = keeps_least_ ? std::min(flushed, had_by_followers()) : flushed;
  const bool too_much = environment_.log_disk.counters().log_bytes > kPinnedBytesMax;
  const std::optional<raft::Index> pinned = sender_.keeps_log_after();
  return pinned && !too_much ? std::min(durable, *pinned) : durable;
}

void Compactor::advance() {
  if (compacting_ || replica_.raft().installing()) return;
  const raft::Index through = may_drop_through();
  const bool is_new = through > tried_through_ || window() != tried_window_;
  if (!is_new || environment_.clock.monotonic_us() < retry_us_) return;
  LETO_ASSERT(through <= flusher_.flushed_index() && through <= replica_.raft().applied_index(),
              base::format("D10: dropping log through %llu, durable in the keys file is %llu",
                           static_cast<unsigned long long>(through),
                           static_cast<unsigned long long>(flusher_.flushed_index())));
  compacting_ = true;
  tried_through_ = through;
  tried_window_ = window();
  environment_.log_disk.compact(through, window(), [this](base::Result<raft::EntryId> base) {
    compacting_ = false;
    compacted(std::move(base));
  });
}

void Compactor::compacted(base::Result<raft::EntryId> base) {
  if (!base.is_ok()) {
    LETO_LOG(kWarning, "raft.db: the log was not compacted and will be: %s", base.status().text().c_str());
    tried_through_ = 0;
    retry_us_ = environment_.clock.monotonic_us() + kRetryUs;
    return;
  }
  raft::Raft& raft = replica_.raft();
  if (raft.installing() || base.value().index < raft.first_index()) return;
  LETO_LOG(kVerbose, "raft.db: the log begins behind entry %llu now", static_cast<unsigned long long>(base.value().index));
  ++stats_.compactions;
  raft.compact(base.value().index);
  // A bounded part at a time: there may be more.
  tried_through_ = 0;
  environment_.waker.wake();
}

}  // namespace leto::server
