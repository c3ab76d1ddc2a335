// What a failed seed leaves to be read: of the faults that came to pass in it, those that suffice for the same failure, and the
// line that replays it with them alone. Refuses to know what was violated: the same is what has the same kind.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/trial.h"

namespace leto::sim {

struct ShrinkLimits {
  uint64_t runs_max = 400;      // 0: no seed is shrunk.
  double seconds_max = 30;
};

struct Shrunk {
  bool failed_again = false;    // If not, nothing below means anything.
  uint64_t faults_before = 0;   // Those that came to pass before it failed.
  std::vector<uint64_t> kept;
  bool minimal = false;         // Without any one of them it does not fail so; else the limits ended it.
  NumberSet without;            // All faults but those that are kept.
  Trial last;                   // The run with those alone.
  uint64_t runs = 0;
  double seconds = 0;
};

// Runs it again and again; `options.run.without` stays left out.
Shrunk shrink(const TrialOptions& options, const ShrinkLimits& limits);

// "make sim SEED=7 WITHOUT=3,7-12"
std::string replay_line(uint64_t seed, const NumberSet& without);

// Some lines for people.
std::string readable(uint64_t seed, const Shrunk& shrunk);

}  // namespace leto::sim
