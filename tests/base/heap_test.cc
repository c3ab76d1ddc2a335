#include "base/heap.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <memory>
#include <vector>

#include "base/random.h"

namespace leto::base {
namespace {

uint64_t thread_cpu_us() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<uint64_t>(spent.tv_sec) * 1000000 + static_cast<uint64_t>(spent.tv_nsec) / 1000;
}

TEST_CASE("heap: what was freed in small pieces is not put together when memory is asked for next") {
  keep_freed_memory();
  std::vector<std::unique_ptr<char[]>> small(1'000'000);
  for (std::unique_ptr<char[]>& each : small) each = std::make_unique<char[]>(40);
  Random random(1);
  for (size_t i = 0; i < small.size() / 2; ++i) small[random.below(small.size())].reset();
  const uint64_t before_us = thread_cpu_us();
  const std::unique_ptr<char[]> large = std::make_unique_for_overwrite<char[]>(5000);
  // glibc sorts at most 10000 pieces for one request, some 2 ms; all of them took 72.
  CHECK(thread_cpu_us() - before_us < 20000);
  CHECK(large != nullptr);
}

}  // namespace
}  // namespace leto::base
