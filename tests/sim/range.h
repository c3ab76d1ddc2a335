// Many seeds, on all cores, each core a process of its own that may die without taking the others along; and
// the summary of what they reached. What failed is shrunk: the first few of a range. Refuses to know what happens in a seed.
#pragma once

#include <cstdint>

#include "tests/sim/shrink.h"

namespace leto::sim {

struct RangeOptions {
  uint64_t first = 1;
  uint64_t seeds = 100;
  uint64_t jobs = 1;
  bool verify = false;   // Each seed twice: the hashes must be equal. Else one of each kind only, in another process.
  ShrinkLimits shrink;         // Of each seed that is shrunk,
  uint64_t shrink_seeds = 3;   // which are no more than so many.
};

struct OneOptions {
  RunOptions run;
  bool verify = false;
  ShrinkLimits shrink;
};

// The exit status: 0 if every seed passed and what must be reached was.
int run_range(const RangeOptions& options);

// One seed. Prints its hash last, or what was violated, and shrinks it. Unless it may be shrunk it runs in this process.
int run_one(const OneOptions& options);

}  // namespace leto::sim
