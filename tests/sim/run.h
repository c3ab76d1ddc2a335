// One seed, from the founding of a cluster to its last sound end: boot, chaos, healing, judgement. Refuses to
// know of other seeds.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/coverage.h"
#include "tests/sim/workload.h"

namespace leto::sim {

struct SeedResult {
  uint64_t seed = 0;
  uint64_t hash = 0;
  uint64_t events = 0;
  Microseconds simulated = 0;
  Tally tally;
  Coverage coverage;
  bool faultless = false;
  std::string violation;     // Empty: all is well.
  std::string last_events;   // If not.
};

SeedResult run_seed(uint64_t seed, bool prints);
// For a process that is about to end by an assertion: the last events of the seed under way, on stderr.
void print_last_events();
// Whether what it ran into may follow from damage that nobody could notice; see World::unnoticed. Then it ends with this.
bool damage_went_unnoticed();
inline constexpr int kUnnoticedExit = 75;

}  // namespace leto::sim
