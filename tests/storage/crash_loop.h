// A workload of storage in foul weather, again and again: with each single operation of the disk failing, and a crash
// there. What the workload is and what must be found afterwards is the caller's, as a class:
//
//   Life(TestDisk&)                        makes what was there before, in fair weather
//   bool run()                             the workload; false if the process ended before it did
//   void end()                             lets go of everything
//   void check_recovery(disk, random) const    what must be found, before and after one more power cut
//   static std::string start(disk)         what a start does; why it refused, empty if it did not
//   static constexpr bool kStartsWhole     no part of a start may fail without its being refused
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "base/random.h"
#include "tests/storage/support.h"

namespace leto::storage {

enum class Crash : uint8_t { kKill, kPowerCut };

// One life with `fault`, which ends in `crash`; false if the fault was not met any more.
template <typename Life>
bool survive(const Fault& fault, Crash crash, uint64_t seed) {
  TestDisk disk("crash");
  base::Random random(seed);
  Life life(disk);
  disk.add_fault(fault);
  const bool finished = life.run();
  const bool met = disk.times_reached(fault.effect) > 0;
  if (!met) CHECK(finished);
  disk.stop();
  life.end();
  if (crash == Crash::kKill) disk.kill();
  else disk.power_cut(random);
  disk.clear_faults();
  life.check_recovery(disk, random);
  return met;
}

// A life for each operation that `fault` may meet, until it is too short for that; how many there were.
template <typename Life>
uint64_t survive_each(Fault fault, Crash crash, uint64_t seed) {
  uint64_t met = 0;
  for (fault.at = 1;; ++fault.at) {
    CAPTURE(fault.at);
    CAPTURE(effect_name(fault.effect));
    CAPTURE(seed);
    if (!survive<Life>(fault, crash, seed + fault.at)) return met;
    ++met;
  }
}

// Each operation fails, alone and with all after it.
template <typename Life>
void fail_each_operation() {
  const FatalThrows throws;
  for (const Effect effect : {Effect::kIoError, Effect::kFull, Effect::kShortWrite}) {
    Fault fault{.at = 1, .kinds = kAnyOperation, .effect = effect};
    CHECK(survive_each<Life>(fault, Crash::kKill, 1) > 100);
    fault.sticky = true;
    CHECK(survive_each<Life>(fault, Crash::kPowerCut, 2) > 100);
  }
}

// The process is killed at each change, and the power cut there, `cuts` times with other sectors that stay.
template <typename Life>
void stop_at_each_change(uint64_t cuts) {
  const FatalThrows throws;
  const Fault fault{.at = 1, .kinds = kAnyChange, .effect = Effect::kStop};
  CHECK(survive_each<Life>(fault, Crash::kKill, 1) > 100);
  for (uint64_t seed = 1; seed <= cuts; ++seed) CHECK(survive_each<Life>(fault, Crash::kPowerCut, seed * 1000) > 100);
}

// The power is cut at each sync, and after each that failed or forgot. There are more than `syncs` of them.
template <typename Life>
void cut_at_each_sync(uint64_t cuts, uint64_t syncs) {
  const FatalThrows throws;
  for (const Effect effect : {Effect::kStop, Effect::kIoError, Effect::kForgetfulSync}) {
    const Fault fault{.at = 1, .kinds = operations(Operation::kSync), .effect = effect};
    for (uint64_t seed = 1; seed <= cuts; ++seed) {
      CHECK(survive_each<Life>(fault, Crash::kPowerCut, seed * 1000) > syncs);
    }
  }
}

// A start that the disk ended, in whichever way.
template <typename Life>
bool is_cut_short(TestDisk& disk) {
  try {
    return !Life::start(disk).empty();
  } catch (const DiskDied&) {
    return true;
  }
}

// The power is cut at the change `at`, and again at the operation `again` of the start that follows. How often that start
// was stopped; nothing if the life was over before.
template <typename Life>
std::optional<uint64_t> survive_twice(uint64_t at, uint64_t again) {
  TestDisk disk("crash");
  base::Random random(at * 1000 + again);
  Life life(disk);
  disk.add_fault({.at = at, .kinds = kAnyChange, .effect = Effect::kStop});
  if (life.run()) return std::nullopt;
  life.end();
  disk.power_cut(random);
  disk.add_fault({.at = again, .kinds = kAnyOperation, .effect = Effect::kStop});
  const bool refused = is_cut_short<Life>(disk);
  const uint64_t met = disk.times_reached(Effect::kStop) - 1;
  if (refused || Life::kStartsWhole) CHECK(refused == (met > 0));
  disk.clear_faults();
  disk.power_cut(random);
  life.check_recovery(disk, random);
  return met;
}

// The power is cut at a change, and again at each operation of the start that follows. At every `stride`-th change from the
// first on, so that all runs try the same; with LETO_LONG=1 at every one, which takes minutes.
template <typename Life>
void cut_each_start_short(uint64_t stride) {
  const FatalThrows throws;
  const uint64_t step = std::getenv("LETO_LONG") != nullptr ? 1 : stride;
  uint64_t starts = 0;
  for (uint64_t at = 1;; at += step) {
    uint64_t met = 1;
    for (uint64_t again = 1; met > 0; ++again, ++starts) {
      CAPTURE(at);
      CAPTURE(again);
      const std::optional<uint64_t> stopped = survive_twice<Life>(at, again);
      if (!stopped) {
        CHECK(at > 100);
        CHECK(starts > 100);
        MESSAGE(starts << " starts were cut short, behind every " << step << "th change from the first on, of " << at);
        return;
      }
      met = *stopped;
    }
  }
}

}  // namespace leto::storage
