// The clock of one machine: it runs at a rate of its own, and its wall clock jumps. Refuses to know who reads
// it. Invariant: monotonic time never goes back, except when the machine loses power.
#pragma once

#include <cstdint>

#include "tests/sim/scheduler.h"

namespace leto::sim {

class SimClock {
 public:
  explicit SimClock(const Scheduler& scheduler) : scheduler_(scheduler) {}

  uint64_t monotonic_us() const {
    return base_ + (scheduler_.now() - since_) * rate_permille_ / kRateOne;
  }
  uint64_t wall_ms() const {
    const int64_t now = kWallStartMs + wall_offset_ms_ + static_cast<int64_t>(scheduler_.now() / kMillisecond);
    return static_cast<uint64_t>(now);
  }
  // How long in true time the clock takes to show `own` microseconds more.
  Microseconds until(uint64_t own) const { return own * kRateOne / rate_permille_ + 1; }

  static constexpr uint64_t kRateOne = 1000;
  // 500 to 2000.
  void set_rate_permille(uint64_t rate) {
    base_ = monotonic_us();
    since_ = scheduler_.now();
    rate_permille_ = rate;
  }
  void jump_wall_ms(int64_t by) { wall_offset_ms_ += by; }
  void set_wall_offset_ms(int64_t offset) { wall_offset_ms_ = offset; }
  void restart() {
    base_ = kSecond;
    since_ = scheduler_.now();
  }

 private:
  static constexpr int64_t kWallStartMs = 1700000000000;
  const Scheduler& scheduler_;
  uint64_t base_ = kSecond;
  Microseconds since_ = 0;
  uint64_t rate_permille_ = kRateOne;
  int64_t wall_offset_ms_ = 0;
};

}  // namespace leto::sim
