#include "server/cluster_time.h"

#include <algorithm>

namespace leto::server {

ClusterTime::ClusterTime(Clock& clock, uint64_t last_stamp_ms)
    : clock_(clock),
      last_stamp_ms_(last_stamp_ms),
      observed_us_(clock.monotonic_us()),
      base_ms_(last_stamp_ms) {}

uint64_t ClusterTime::elapsed_ms() const { return (clock_.monotonic_us() - observed_us_) / 1000; }

uint64_t ClusterTime::now_ms() const { return base_ms_ + elapsed_ms(); }

void ClusterTime::observe(uint64_t stamp_ms) {
  heard_ = true;
  applied(stamp_ms);
}

void ClusterTime::applied(uint64_t stamp_ms) {
  last_stamp_ms_ = std::max(last_stamp_ms_, stamp_ms);
  if (stamp_ms <= now_ms()) return;
  base_ms_ = stamp_ms;
  observed_us_ = clock_.monotonic_us();
}

uint64_t ClusterTime::stamp() {
  const uint64_t wall_ms = clock_.wall_ms();
  const uint64_t elapsed = elapsed_ms();
  uint64_t now = base_ms_ + elapsed;
  if (!heard_) {
    now = std::max(now, wall_ms);
  } else if (elapsed >= kSlewDivisor) {
    const uint64_t slew = elapsed / kSlewDivisor;
    now = wall_ms > now ? std::min(wall_ms, now + slew) : std::max(wall_ms, now - slew);
  } else {
    // Too little time has passed for a whole millisecond of slewing: keep the base where it is.
    last_stamp_ms_ = std::max(last_stamp_ms_, now);
    return last_stamp_ms_;
  }
  heard_ = true;
  last_stamp_ms_ = std::max(last_stamp_ms_, now);
  base_ms_ = last_stamp_ms_;
  observed_us_ = clock_.monotonic_us();
  return last_stamp_ms_;
}

}  // namespace leto::server
