// One seed, from the founding of a cluster to its last sound end: boot, chaos, healing, judgement. Refuses to
// know of other seeds.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tests/sim/coverage.h"
#include "tests/sim/faults.h"
#include "tests/sim/workload.h"

namespace leto::sim {

struct RunOptions {
  uint64_t seed = 0;
  bool prints = false;       // Every event.
  NumberSet without = {};    // Faults that are left out.
  // For tests of what is done about failures: once all of these faults have come to pass the run fails, or asserts.
  NumberSet planted = {};
  bool planted_asserts = false;
};

struct SeedResult {
  uint64_t seed = 0;
  uint64_t hash = 0;
  uint64_t events = 0;
  Microseconds simulated = 0;
  Tally tally;
  Coverage coverage;
  uint64_t faults = 0;       // So many were decided, left out or not.
  bool faultless = false;
  std::string violation;     // Empty: all is well.
  std::string last_events;   // If not.
};

SeedResult run_seed(const RunOptions& options);
// `told` hears of each fault when it comes to pass, and before all of them how many were decided.
SeedResult run_seed(const RunOptions& options, const std::function<void(uint64_t)>& decided, const Faults::Told& told);
// For a process that is about to end by an assertion: the last events of the seed under way, on stderr.
void print_last_events();
// Whether what it ran into may follow from damage that nobody could notice; see World::unnoticed. Then it ends with this.
bool damage_went_unnoticed();
inline constexpr int kUnnoticedExit = 75;
// The violation of a seed whose second run went otherwise.
inline constexpr char kOtherHash[] = "determinism: the second run has another hash";

}  // namespace leto::sim
