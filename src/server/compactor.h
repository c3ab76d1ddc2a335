// Keeps the log short (D10): drops what is durable in the keys file, but for the window that followers which lag
// get their entries from. Refuses to know segments and files.
//
// Invariant: nothing is dropped that is not durable in the keys file, and nothing that a snapshot being sent, or a
// follower that had one, needs, unless that would keep more than kPinnedBytesMax.
#pragma once

#include <cstdint>

#include "server/awaited_followers.h"
#include "server/environment.h"
#include "server/flusher.h"
#include "server/replica.h"
#include "server/snapshot_sender.h"

namespace leto::server {

// How much room the disk has for the log; disk_floor.h says where each begins.
enum class Room : uint8_t {
  kPlenty,   // The window is kept, whoever may need it.
  kShort,    // A leader knows who lacks what, and keeps no more of the window than that. A follower keeps it: it may lead next.
  kLow,      // The same of a leader. A follower keeps but the end of the window: elected, it has no room for a snapshot's copy.
};

class Compactor {
 public:
  // Log kept for snapshots that are being sent. Beyond it they begin anew.
  static constexpr uint64_t kPinnedBytesMax = uint64_t{2} << 30;
  // Of the window a follower whose disk is low keeps no more than this, nor than half of disk-floor.
  static constexpr uint64_t kLowFollowerBytes = 4 * storage::kShortSegmentBytes;

  Compactor(Replica& replica, const ReplicaParts& parts, const Flusher& flusher, const SnapshotSender& sender);

  // Once per turn: drops what may go, a bounded part at a time.
  void advance();
  void set_room(Room room);
  Room room() const { return room_; }
  // Nothing more can be dropped just now.
  bool is_done() { return !compacting_ && !is_more(wanted()); }

 private:
  // What may be dropped by now.
  storage::LogDrop wanted();
  raft::Index had_through();
  uint64_t bytes_max() const;
  bool keeps_as_much(const storage::LogDrop& drop) const;
  bool is_more(const storage::LogDrop& drop) const;
  bool is_worth_a_job(const storage::LogDrop& drop) const;
  void compacted(base::Result<raft::EntryId> base);

  Replica& replica_;
  const Options& options_;
  Environment environment_;
  Stats& stats_;
  const Flusher& flusher_;
  const SnapshotSender& sender_;
  AwaitedFollowers followers_;
  Room room_ = Room::kPlenty;
  bool compacting_ = false;
  storage::LogDrop tried_;   // There was nothing more to drop.
  uint64_t retry_us_ = 0;    // After a failure.
  uint64_t had_after_us_ = 0;   // Not before, if only followers have more.
};

}  // namespace leto::server
