// What all parts of one run share: time, trace, coverage, parameters, and whether something was found wrong.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/hash.h"
#include "base/random.h"
#include "tests/sim/coverage.h"
#include "tests/sim/parameters.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/trace.h"

namespace leto::sim {

struct World {
  World(const Parameters& chosen, bool prints) : parameters(chosen), trace(scheduler, prints) {}

  const Parameters& parameters;
  Scheduler scheduler;
  Trace trace;
  Coverage coverage;
  std::string violation;   // The first one; empty: none yet.
  bool healing = false;    // The faults are over: what fails now is a violation.

  bool failed() const { return !violation.empty(); }
  void fail(const std::string& invariant, const std::string& text) {
    if (failed()) return;
    violation = invariant + ": " + text;
    trace.text(0, "VIOLATED " + violation);
  }
  // A generator of its own for each part, so that a change in one does not shift what the others draw.
  base::Random stream(uint64_t part) const { return base::Random(base::mix64(parameters.seed * 0x9e37 + part)); }
};

}  // namespace leto::sim
