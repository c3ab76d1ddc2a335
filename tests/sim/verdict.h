// Whether a range of seeds says anything: all of it ran, most of it was answered, and what it was to meet it met. Pure:
// refuses to know how seeds are run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/coverage.h"
#include "tests/sim/workload.h"

namespace leto::sim {

// What is known of a range when it is over. A seed that neither passed nor failed did not run.
struct RangeResult {
  uint64_t asked = 0;    // Seeds.
  uint64_t passed = 0;
  uint64_t failed = 0;
  Tally tally;           // Of those that did not die midway, as is the coverage.
  Coverage coverage;
};

// Why the range fails although its seeds may have passed, a sentence each. Empty: it does not.
std::vector<std::string> complaints(const RangeResult& result);

}  // namespace leto::sim
