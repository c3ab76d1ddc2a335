// Cluster time: the clock that stamps entries and by which keys expire. It goes on from the last stamp
// seen, by this node's monotonic clock, whoever leads; it never stands still and never goes back.
#pragma once

#include <cstdint>

#include "server/environment.h"

namespace leto::server {

class ClusterTime {
 public:
  // `last_stamp_ms`: the last stamp in this node's state; 0 for a new cluster.
  ClusterTime(Clock& clock, uint64_t last_stamp_ms);

  // A stamp that a leader sent.
  void observe(uint64_t stamp_ms);
  // The stamp of an entry that was applied. It may come from this node's own log, so it tells of no leader.
  void applied(uint64_t stamp_ms);
  uint64_t now_ms() const;
  // The stamp of a new entry; leaders only. Slews to the wall clock by at most 1 %; takes the wall clock as it
  // is if no leader was heard since the start.
  uint64_t stamp();
  uint64_t last_stamp_ms() const { return last_stamp_ms_; }

 private:
  static constexpr uint64_t kSlewDivisor = 100;
  uint64_t elapsed_ms() const;

  Clock& clock_;
  uint64_t last_stamp_ms_;
  uint64_t observed_us_;        // Monotonic time when base_ms_ was true.
  uint64_t base_ms_;
  bool heard_ = false;          // A leader's stamp was heard, or one was given, since the start.
};

}  // namespace leto::server
