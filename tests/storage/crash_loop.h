// A workload of storage in foul weather, again and again: with each single operation of the disk failing, and a crash
// there. What the workload is and what must be found afterwards is the caller's.
#pragma once

#include <doctest/doctest.h>

#include "base/random.h"
#include "tests/storage/support.h"

namespace leto::storage {

enum class Crash : uint8_t { kKill, kPowerCut };

inline void crash_disk(TestDisk& disk, Crash crash, base::Random& random) {
  if (crash == Crash::kKill) disk.kill();
  else disk.power_cut(random);
}

// What `fault` has met so far. A workload that it did not meet must have `finished`.
inline bool was_met(const TestDisk& disk, const Fault& fault, bool finished) {
  const bool met = disk.times_reached(fault.effect) > 0;
  if (!met) CHECK(finished);
  return met;
}

// Calls survive(fault, crash, seed), which says whether the fault was met, with `at` = 1, 2, 3 ... until the workload is
// too short; how many there were.
template <typename Survive>
uint64_t survive_each(Survive survive, Fault fault, Crash crash, uint64_t seed) {
  uint64_t met = 0;
  for (fault.at = 1;; ++fault.at) {
    CAPTURE(fault.at);
    CAPTURE(effect_name(fault.effect));
    CAPTURE(seed);
    if (!survive(fault, crash, seed + fault.at)) return met;
    ++met;
  }
}

}  // namespace leto::storage
