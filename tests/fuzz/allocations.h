// How much memory a piece of code held at once: what the fuzzers' bounds are held against. Counts every allocation of this
// thread, by whatever library. Refuses to know what was allocated for what.
//
// With a sanitizer its runtime reports each allocation; without one allocations_test.cc, which is part of leto-tests alone,
// stands before the C library's malloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace leto::fuzz {

// The bytes that `run` held at once beyond what was held before it, at the worst moment. What it frees of earlier memory counts
// as room. REQUIRES: no other measurement is under way in this thread.
uint64_t most_held(const std::function<void()>& run);

// So much was allocated or, below zero, freed. Allocates nothing; any thread.
void count_allocation(int64_t bytes) noexcept;

}  // namespace leto::fuzz
