// See leaks.h.
#include "tests/sim/leaks.h"

#include "base/sanitizer.h"

// Of the address sanitizer's run-time library. Weak, as no other build has it.
extern "C" [[gnu::weak]] int __lsan_do_recoverable_leak_check(void);

namespace leto::sim {

bool has_leaked() {
  if constexpr (base::kSanitizer != "address") return false;
  return __lsan_do_recoverable_leak_check() != 0;
}

}  // namespace leto::sim
