// The log that followers need which were brought back by a snapshot: what was written while it was made, sent and
// installed may be far more than log-window, and if it were dropped they would need another snapshot, and so on for
// as long as writes go on. Refuses to know copies, chunks and segments.
//
// Invariants: at most one pin for a follower; a pin never goes back; it ends when the follower is within log-window
// of the end, is silent, takes nothing, or is a member no more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "server/environment.h"
#include "server/replica.h"

namespace leto::server {

class LogPins {
 public:
  // A follower that was not heard for so long is waited for no longer.
  static constexpr uint64_t kSilentUs = 15000000;
  // Nor one that answers, but has got nothing new for so long: its disk may be full.
  static constexpr uint64_t kStuckUs = 60000000;
  // A pin follows its follower so often: each move may cost raft.db a job.
  static constexpr uint64_t kMoveUs = 1000000;

  LogPins(const Replica& replica, const ReplicaParts& parts);

  // From now on the log behind what the follower has is kept.
  void pin(raft::NodeId peer);
  void unpin(raft::NodeId peer);
  void clear() { pins_.clear(); }
  // Moves and ends pins; call it every tick.
  void on_tick();
  // The log behind this index is needed; nothing if there are no pins.
  std::optional<raft::Index> keeps_log_after() const;
  size_t size() const { return pins_.size(); }

 private:
  // Catching up goes in rounds (Raft thesis, section 4.2.1), here measured in bytes: whoever has all that was there at the
  // beginning of a round is behind by no more than what was applied since.
  struct Pin {
    raft::NodeId peer = raft::kNobody;
    raft::Index keeps_after = 0;
    uint64_t moved_us = 0;
    raft::Index match = 0;           // When it was last seen to have more than before,
    uint64_t advanced_us = 0;        // and when that was.
    raft::Index round_end = 0;       // The end of the log when the round began,
    uint64_t round_bytes = 0;        // and what had been applied by then.
    bool is_near = false;            // Within log-window of the end when its last round was through, or at the end.
  };
  enum class End : uint8_t { kNone, kNear, kSilent, kStuck };

  void begin_round(Pin& pin) const;
  // What the follower got since the last tick.
  void note_progress(Pin& pin, const raft::PeerView& peer) const;
  void move(Pin& pin) const;
  // Why the pin is needed no longer.
  End end_of(const Pin& pin, const raft::PeerView& peer) const;
  static void say(End end);

  const Replica& replica_;
  const Options& options_;
  Clock& clock_;
  std::vector<Pin> pins_;
};

}  // namespace leto::server
