// One run of a seed in a process of its own, which may assert, crash or hang: what it failed of, and the faults that had come
// to pass by then. Refuses to know why somebody wants to know that.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/run.h"

namespace leto::sim {

struct Trial {
  // Of what kind its failure is: an invariant, the place of an assertion, a signal. Two runs with one kind fail the same. Empty:
  // it did not fail.
  std::string kind;
  std::string text;                // What was said of it.
  uint64_t decided = 0;            // So many faults there were, left out or not.
  std::vector<FaultLine> faults;   // In the order in which they came to pass.
  double seconds = 0;
};

struct TrialOptions {
  RunOptions run;
  bool twice = false;         // And the hashes are compared.
  double seconds_max = 60;    // Then it is ended, and that is its failure.
};

Trial try_run(const TrialOptions& options);

// The kind of a violation, "I5: machine 2 holds ...": its invariant; with its text where one name stands for several and the
// text has no numbers.
std::string kind_of_violation(const std::string& violation);

// What a process that ended so with this on stderr failed of; both empty: nothing.
void judge_end(int status, std::string_view errors, Trial& trial);

}  // namespace leto::sim
