// Many seeds, on all cores, each core a process of its own that may die without taking the others along; and
// the summary of what they reached. Refuses to know what happens in a seed.
#pragma once

#include <cstdint>

namespace leto::sim {

struct RangeOptions {
  uint64_t first = 1;
  uint64_t seeds = 100;
  uint64_t jobs = 1;
  bool verify = false;   // Each seed twice: the hashes must be equal. Else the first few only.
};

// The exit status: 0 if every seed passed and what must be reached was.
int run_range(const RangeOptions& options);

// One seed, in this process. Prints its hash last, or what was violated.
int run_one(uint64_t seed, bool prints, bool verify);

}  // namespace leto::sim
