#include "tests/fuzz/allocations.h"

#include <algorithm>

#include "base/assert.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LETO_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LETO_SANITIZER 1
#endif
#ifdef LETO_SANITIZER
// As in sanitizer/allocator_interface.h, which does not come with g++.
extern "C" size_t __sanitizer_get_allocated_size(const volatile void* place);
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*, size_t),
                                                         void (*freed)(const volatile void*));
#endif

namespace leto::fuzz {

namespace {

struct Count {
  bool running = false;
  int64_t held = 0;
  int64_t most = 0;
};

constinit thread_local Count count;

#ifdef LETO_SANITIZER
void allocated(const volatile void*, size_t bytes) { count_allocation(static_cast<int64_t>(bytes)); }
void freed(const volatile void* place) {
  if (place != nullptr) count_allocation(-static_cast<int64_t>(__sanitizer_get_allocated_size(place)));
}
#endif

void listen() {
#ifdef LETO_SANITIZER
  static const bool listening = __sanitizer_install_malloc_and_free_hooks(allocated, freed) > 0;
  LETO_ASSERT(listening, "the sanitizer has no room for a listener");
#endif
}

}  // namespace

void count_allocation(int64_t bytes) noexcept {
  if (!count.running) return;
  count.held += bytes;
  count.most = std::max(count.most, count.held);
}

uint64_t most_held(const std::function<void()>& run) {
  listen();
  LETO_ASSERT(!count.running, "one measurement within another");
  count = {.running = true};
  run();
  count.running = false;
  return static_cast<uint64_t>(count.most);
}

}  // namespace leto::fuzz
