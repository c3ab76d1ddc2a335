// What a test goes by that says what something costs: processor time of its thread, whatever else the machine does.
#pragma once

#include <cstdint>
#include <ctime>

namespace leto::base {

inline uint64_t thread_cpu_us() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<uint64_t>(spent.tv_sec) * 1000000 + static_cast<uint64_t>(spent.tv_nsec) / 1000;
}

// Whether what is measured is cheap in one of five rounds: a host that takes the processor away adds to what a thread is said to
// have used, now and then, and what else wants the processor comes and goes; what is looked for costs in each round.
template <typename IsCheap>
bool is_cheap_in_a_round(IsCheap is_cheap) {
  constexpr int kRounds = 5;
  for (int round = 0; round < kRounds; ++round) {
    if (is_cheap()) return true;
  }
  return false;
}

}  // namespace leto::base
