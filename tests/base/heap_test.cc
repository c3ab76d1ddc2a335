#include "base/heap.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "base/random.h"
#include "tests/base/thread_cpu.h"

namespace leto::base {
namespace {

// Of this thread, each of one page.
long faults() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_minflt;
}

// Whether memory for 5000 bytes behind many freed pieces came without all of these being sorted first: glibc sorts at most
// 10000 for one request, an eightieth of what making and freeing them takes; sorting all of them takes half of that.
bool comes_without_sorting() {
  std::vector<std::unique_ptr<char[]>> small(1'000'000);
  const uint64_t began_us = thread_cpu_us();
  for (std::unique_ptr<char[]>& each : small) each = std::make_unique<char[]>(40);
  Random random(1);
  for (size_t i = 0; i < small.size() / 2; ++i) small[random.below(small.size())].reset();
  const uint64_t before_us = thread_cpu_us();
  const std::unique_ptr<char[]> large = std::make_unique_for_overwrite<char[]>(5000);
  const uint64_t spent_us = thread_cpu_us() - before_us;
  CHECK(large != nullptr);
  return 7 * spent_us < before_us - began_us;
}

TEST_CASE("heap: what was freed in small pieces is not put together when memory is asked for next") {
  keep_freed_memory();
  CHECK(is_cheap_in_a_round(comes_without_sorting));
}

TEST_CASE("heap: with room in it, values are written without a fault for each of their pages") {
  constexpr size_t kPageBytes = 4096, kValueBytes = 4 << 20;
  keep_freed_memory();
  HeapRoom room(2 * kValueBytes);
  if (!room.works()) {
    MESSAGE("not run: this build's heap, or this system, cannot");
    return;
  }
  std::vector<std::unique_ptr<char[]>> values(100);
  const long before = faults();
  for (std::unique_ptr<char[]>& value : values) {
    if (room.grow()) std::thread([&room] { room.fetch(); }).join();
    value = std::make_unique_for_overwrite<char[]>(kValueBytes);
    std::memset(value.get(), 'v', kValueBytes);
  }
  // Of what earlier tests left in the heap no page faults either, so this bound is far from both.
  CHECK(faults() - before < static_cast<long>(values.size() * kValueBytes / kPageBytes / 20));
}

}  // namespace
}  // namespace leto::base
