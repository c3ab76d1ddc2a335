#include "base/heap.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "base/random.h"
#include "tests/base/thread_cpu.h"

namespace leto::base {
namespace {

TEST_CASE("heap: what was freed in small pieces is not put together when memory is asked for next") {
  keep_freed_memory();
  std::vector<std::unique_ptr<char[]>> small(1'000'000);
  const uint64_t began_us = thread_cpu_us();
  for (std::unique_ptr<char[]>& each : small) each = std::make_unique<char[]>(40);
  Random random(1);
  for (size_t i = 0; i < small.size() / 2; ++i) small[random.below(small.size())].reset();
  const uint64_t before_us = thread_cpu_us();
  const std::unique_ptr<char[]> large = std::make_unique_for_overwrite<char[]>(5000);
  const uint64_t spent_us = thread_cpu_us() - before_us;
  // glibc sorts at most 10000 pieces for one request, an eightieth of what the above takes; all of them took half of it.
  CHECK(7 * spent_us < before_us - began_us);
  CHECK(large != nullptr);
}

}  // namespace
}  // namespace leto::base
