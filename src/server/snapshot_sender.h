// The leader's side of snapshots: one copy of its keys file, sent in chunks to each follower that needs log from
// before the log's beginning. Refuses to know files and sockets, and when a follower needs one (raft/).
//
// Invariants: there is one copy at most, and one as long as a transfer uses it; to each follower at most
// kWindowBytes are under way; all of them together keep to snapshot-rate, and have even shares of it; the log behind a copy that is being
// sent is kept, and behind who installed one until it caught up (keeps_log_after(), server/log_pins.h), so that no
// snapshot is out of date when it arrives, or soon after.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/environment.h"
#include "server/log_pins.h"
#include "server/replica.h"

namespace leto::server {

class SnapshotSender {
 public:
  static constexpr size_t kChunkBytes = raft::kSnapshotChunkBytesMax;
  static constexpr uint64_t kWindowBytes = 4 * kChunkBytes;
  // No answer for so long: what was not acknowledged is sent again,
  static constexpr uint64_t kResendUs = 1000000;
  // and for so long: the transfer is given up. The core asks for another one when the follower is back. Time in which
  // nothing was owed, since the rate was used up by others, does not count.
  static constexpr uint64_t kGiveUpUs = 15000000;
  static constexpr size_t kTransfersMax = 64;
  // Who refused a snapshot is not sent one for so long, and nobody is if this node could not make or read its copy; twice
  // as long each time, at most
  static constexpr uint64_t kRefusedUs = 500000;
  static constexpr uint64_t kRefusedUsMax = 60000000;
  // How often a refusal makes this node read its own keys file, which may be what is wrong.
  static constexpr uint64_t kVerifyUs = 600000000;

  // What a follower gets, for INFO.
  struct View {
    raft::NodeId peer = raft::kNobody;
    uint64_t sent = 0;   // Acknowledged bytes
    uint64_t size = 0;   // of so many.
  };

  // `keys_generation` says which keys file is current, always.
  SnapshotSender(Replica& replica, const ReplicaParts& parts, const uint64_t& keys_generation);

  // The follower needs a snapshot, at entry `least` or later. REQUIRES: the keys file is.
  void want(raft::NodeId peer, raft::Index least);
  void on_answer(const raft::Message& message);
  void leadership_lost();
  // Call it every tick: refills the rate, looks after what takes too long, sends.
  void on_tick();
  // Panics if it holds more than its bounds (I15). Between turns.
  void check_bounds() const;

  // The log behind this index is needed by followers that are being sent a snapshot, or have had one and catch up;
  // nothing if there are none.
  std::optional<raft::Index> keeps_log_after() const;
  std::vector<View> views() const;

 private:
  enum class CopyState : uint8_t { kNone, kBeingMade, kReady };
  struct Transfer {
    raft::NodeId peer = raft::kNobody;
    uint64_t acknowledged = 0;   // Bytes,
    uint64_t next = 0;           // and what is sent next.
    bool reading = false;        // A chunk is being read from the copy.
    uint64_t owes_since_us = 0;  // An answer; 0: it owes none.
    uint64_t moved_us = 0;       // When something was last sent or acknowledged.
    uint64_t served = 0;         // The number of its last read.
  };

  Transfer* find(raft::NodeId peer);
  void make_copy();
  void copied(base::Result<SnapshotDisk::Copy> result);
  void drop_what_is_over();
  bool is_over(const Transfer& transfer, uint64_t now_us);
  void fail_all(const std::string& why);
  void pump();
  Transfer* next_to_serve();
  bool may_read(const Transfer& transfer) const;
  void read(Transfer& transfer);
  void resend_if_silent(Transfer& transfer, uint64_t now_us);
  void read_done(raft::NodeId peer, uint64_t offset, base::Result<std::string> bytes);
  void send_chunk(raft::NodeId peer, uint64_t offset, std::string bytes);
  void refill(uint64_t now_us);
  void installed(raft::NodeId peer);
  void refused(raft::NodeId peer);
  void verify_keys();

  Replica& replica_;
  const Options& options_;
  Environment environment_;
  Stats& stats_;
  const uint64_t& keys_generation_;

  struct Pause {
    uint64_t length_us = 0;
    uint64_t until_us = 0;
  };
  static void lengthen(Pause& pause, uint64_t now_us);

  std::vector<Transfer> transfers_;
  LogPins pins_;   // For who had a snapshot.
  std::map<raft::NodeId, Pause> refusals_;   // Of members that refused since they last installed one.
  Pause own_failure_;                        // Of this node's copy, since somebody last installed one.
  uint64_t reads_ = 0;
  uint64_t verify_after_us_ = 0;
  CopyState copy_state_ = CopyState::kNone;
  bool copy_was_refused_ = false;  // It goes with the last transfer that uses it.
  uint64_t snapshot_;              // The number of the copy; never the same twice, in other processes either.
  SnapshotDisk::Copy copy_;
  int64_t budget_bytes_ = 0;       // May be sent now; below 0: was sent ahead of its time.
  uint64_t budget_rest_ = 0;       // What a refill had left over, in millionths of a byte.
  uint64_t refilled_us_ = 0;
};

}  // namespace leto::server
