// What a leader knows of one peer: how far its log agrees, what is under way to it, when it answered.
//
// Invariants: match < next; probing means at most one append in flight; in_flight_bytes is their sum; a peer
// that was named for a snapshot has nothing in flight, unless it is its state that it lacks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "raft/raft.h"

namespace leto::raft {

struct InFlightAppend {
  Index previous = 0;
  Index last = 0;
  size_t bytes = 0;
};

// Thesis 4.2.1: a learner is brought up to date in rounds, each of all that the log had when it began.
struct CatchUp {
  Index end = 0;          // The last entry of the round under way; 0: none has begun.
  uint64_t ticks = 0;     // Since it began; counted up to one more than an election timeout.
  bool in_time = false;   // The one before took no longer than an election timeout.
};

struct Progress {
  NodeId node = kNobody;
  Index match = 0;
  Index next = 1;
  bool probing = true;           // One append at a time until one is accepted; else the window is used.
  bool awaits_contact = false;   // Nothing but heartbeats until the peer answers one.
  std::deque<InFlightAppend> in_flight;
  size_t in_flight_bytes = 0;
  uint64_t stalled_ticks = 0;    // Since anything in flight was acknowledged.
  uint32_t stalls = 0;           // In a row; each doubles the patience.
  bool heard = false;            // Answered this leader at least once.
  uint64_t ticks_since_heard = 0;
  uint64_t read_counter = 0;     // The highest that it gave back (D13).
  Index commit_told = 0;         // The highest commit index in an append or heartbeat to it.
  bool heartbeat_due = false;
  bool lost_tail = false;        // It has no more what it acknowledged: heartbeats only, and it counts for nothing (D16).
  bool lacks_state = false;      // It said so: it needs a snapshot, and takes appends all the same.
  Index snapshot_min = 0;        // And needs one at this index or later, as its log begins there.
  bool snapshot_named = false;   // In Output::start_snapshots: it needs log from before the log's beginning, or lacks its state.
  uint64_t snapshot_retry_at = 0;  // The tick before which it is not named again.
  uint64_t snapshot = 0;         // The number of the stream that is under way to it.
  CatchUp catch_up;              // Of a learner.
  Index leaves_at = 0;           // The index of the configuration that drops it; 0 for a member.
  uint64_t leaving_ticks = 0;    // Since that configuration is committed.

  bool answers_lately(uint64_t ticks_max) const { return heard && ticks_since_heard <= ticks_max; }

  void forget_in_flight() {
    in_flight.clear();
    in_flight_bytes = 0;
    stalled_ticks = 0;
  }
  // What was sent is to be sent again, from `from` on, one append at a time until one is accepted.
  void probe(Index from) {
    forget_in_flight();
    probing = true;
    next = std::max(match + 1, from);
  }
  // What it has is not known any more. `match` stays what it acknowledged. REQUIRES: silent_ticks is beyond what counts as heard.
  void lose_tail(uint64_t silent_ticks) {
    probe(match + 1);
    lost_tail = true;
    heard = false;
    ticks_since_heard = std::max(ticks_since_heard, silent_ticks);
    read_counter = 0;
  }
  void sent(const InFlightAppend& append) {
    if (in_flight.empty()) stalled_ticks = 0;
    in_flight.push_back(append);
    in_flight_bytes += append.bytes;
    next = append.last + 1;
  }
  // The peer has everything up to `index` durably. REQUIRES: index > match.
  void acknowledged(Index index) {
    match = index;
    next = std::max(next, match + 1);
    probing = false;
    stalled_ticks = 0;
    stalls = 0;
    while (!in_flight.empty() && in_flight.front().last <= match) {
      in_flight_bytes -= in_flight.front().bytes;
      in_flight.pop_front();
    }
  }
};

}  // namespace leto::raft
