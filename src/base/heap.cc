#include "base/heap.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace leto::base {
namespace {

// By how much more than it needs the heap grows.
[[maybe_unused]] constexpr int kGrowthBytes = 1 << 20;
// Fetched by one call: who wants to map memory waits for it.
constexpr size_t kFetchBytes = 256 << 10;

// Where the heap has so many bytes in one piece; it grows if it has not. 0: nowhere.
uintptr_t place_for(size_t bytes) {
  void* volatile room = std::malloc(bytes);   // Volatile: else the compiler leaves the pair out.
  std::free(room);
  return reinterpret_cast<uintptr_t>(room);
}

uintptr_t end_of_heap() { return reinterpret_cast<uintptr_t>(sbrk(0)); }

#if defined(MADV_POPULATE_WRITE)
constexpr int kPopulate = MADV_POPULATE_WRITE;
#else
constexpr int kPopulate = -1;   // No advice: refused.
#endif

}  // namespace

void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_TRIM_THRESHOLD, -1);   // Never.
  mallopt(M_TOP_PAD, kGrowthBytes);
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_MXFAST, 0);
#endif
}

HeapRoom::HeapRoom(size_t bytes) : bytes_(bytes) {
  end_ = fetched_ = end_of_heap();
  const uintptr_t place = place_for(bytes_);
  works_ = place != 0 && place + bytes_ <= end_of_heap();
}

bool HeapRoom::grow() {
  if (!works_) return false;
  place_for(bytes_);
  end_ = end_of_heap();
  return end_ > fetched_;
}

void HeapRoom::fetch() {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  while (works_ && fetched_ < end_) {
    const uintptr_t from = fetched_ / page * page, to = std::min(end_, fetched_ + kFetchBytes);
    works_ = madvise(reinterpret_cast<void*>(from), to - from, kPopulate) == 0;
    fetched_ = to;
  }
}

}  // namespace leto::base
