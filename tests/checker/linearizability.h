// Judges whether the history of one key is linearizable: whether its operations can be put into one order in
// which each happens between its invocation and its return and answers what the model answers. The search is
// Wing & Gong's with Lowe's memoization ("Testing for linearizability", 2016). Refuses to know where the
// history comes from.
//
// An operation that failed is left out; one whose outcome is unknown may happen at any time after its
// invocation, or never. Operations of one lane happen in the order of their places.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/checker/history.h"

namespace leto::checker {

enum class Verdict : uint8_t { kLinearizable, kNotLinearizable, kUndecided };

struct Judgement {
  Verdict verdict = Verdict::kUndecided;
  uint64_t steps = 0;
  // Of kNotLinearizable: the operation at whose return the longest attempt got stuck, in words.
  std::string stuck_at;
};

inline constexpr uint64_t kStepsMax = 20'000'000;

// `operations` are those of one key, in any order. Gives up, undecided, after `steps_max` steps.
Judgement judge(std::vector<Operation> operations, uint64_t steps_max = kStepsMax);

}  // namespace leto::checker
