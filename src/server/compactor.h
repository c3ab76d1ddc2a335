// Keeps the log short (D10): drops what is durable in the keys file, but for the window that followers which lag
// get their entries from. Refuses to know segments and files.
//
// Invariant: nothing is dropped that is not durable in the keys file, and nothing that a snapshot being sent, or a
// follower that had one, needs, unless that would keep more than kPinnedBytesMax.
#pragma once

#include <cstdint>

#include "server/environment.h"
#include "server/flusher.h"
#include "server/replica.h"
#include "server/snapshot_sender.h"

namespace leto::server {

class Compactor {
 public:
  // Log kept for snapshots that are being sent. Beyond it they begin anew.
  static constexpr uint64_t kPinnedBytesMax = uint64_t{2} << 30;

  Compactor(Replica& replica, const ReplicaParts& parts, const Flusher& flusher, const SnapshotSender& sender);

  // Once per turn: drops what may go, a bounded part at a time.
  void advance();
  // While set, the disk is short of room and there is no window: only what a follower that answers has not got yet, and
  // what snapshots need, is kept.
  void keep_least(bool is_short) {
    if (is_short != keeps_least_) tried_through_ = 0;
    keeps_least_ = is_short;
  }
  // Nothing more can be dropped just now.
  bool is_done() const { return !compacting_ && may_drop_through() <= tried_through_ && window() == tried_window_; }

 private:
  raft::Index may_drop_through() const;
  raft::Index had_by_followers() const;
  uint64_t window() const { return keeps_least_ ? 0 : options_.log_window; }
  void compacted(base::Result<raft::EntryId> base);

  Replica& replica_;
  const Options& options_;
  Environment environment_;
  Stats& stats_;
  const Flusher& flusher_;
  const SnapshotSender& sender_;
  bool compacting_ = false;
  bool keeps_least_ = false;
  raft::Index tried_through_ = 0;    // With the window of then, there was nothing more to drop.
  uint64_t tried_window_ = 0;
  uint64_t retry_us_ = 0;            // After a failure.
};

}  // namespace leto::server
