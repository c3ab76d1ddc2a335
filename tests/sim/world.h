// What all parts of one run share: time, trace, coverage, parameters, and whether something was found wrong.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "base/hash.h"
#include "base/random.h"
#include "tests/sim/coverage.h"
#include "tests/sim/faults.h"
#include "tests/sim/parameters.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/trace.h"

namespace leto::sim {

// What docs/raft.md does not claim when a node came back with less than it had promised and no trace of that was left. Such a
// node may be found out by its leader at any later time, then ends and joins again, and refuses meanwhile ("availability").
inline bool follows_from_damage(const std::string& invariant) {
  static const std::set<std::string> kOff = {"I1", "I2", "I3", "I4", "I5", "I6", "I8", "I10", "I13", "I14", "I16", "availability"};
  return kOff.contains(invariant);
}

struct World {
  World(const Parameters& chosen, bool prints)
      : parameters(chosen), trace(scheduler, prints), faults(chosen.seed, scheduler, trace) {}

  const Parameters& parameters;
  Scheduler scheduler;
  Trace trace;
  Coverage coverage;
  Faults faults;
  std::string violation;   // The first one; empty: none yet.
  bool healing = false;    // The faults are over: what fails now is a violation.

  // A node lost what it had promised, and nobody could notice: what follows from that is no violation, but the run ends.
  bool unnoticed = false;
  bool excused = false;    // The violation is such a one.

  bool failed() const { return !violation.empty(); }
  void fail(const std::string& invariant, const std::string& text) {
    if (failed()) return;
    violation = invariant + ": " + text;
    excused = unnoticed && follows_from_damage(invariant);
    trace.text(0, (excused ? "follows from unnoticed damage: " : "VIOLATED ") + violation);
    if (excused) coverage.note(Reached::kClaimOff);
  }
  // A fault came to pass at a machine (0: at none).
  void note(Fault& fault, Reached what, size_t machine, const std::string& more = {}) {
    coverage.note(what);
    faults.tell(fault, machine, reached_name(what) + more);
  }
  // A generator of its own for each part, so that a change in one does not shift what the others draw.
  base::Random stream(uint64_t part) const { return base::Random(base::mix64(parameters.seed * 0x9e37 + part)); }
};

}  // namespace leto::sim
