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

}  // namespace leto::base
