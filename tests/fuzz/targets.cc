#include "tests/fuzz/targets.h"

#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "tests/fuzz/allocations.h"

namespace leto::fuzz {

namespace {

// What a target makes once and keeps is no run's.
void warm_up(const Target& target) {
  static const Target* warm = nullptr;
  if (std::exchange(warm, &target) != &target) target.run({});
}

}  // namespace

void run_within_bound(const Target& target, std::string_view bytes) {
  base::set_log_sink([](base::LogLevel, std::string_view) {});
  warm_up(target);
  const uint64_t held = most_held([&] { target.run(bytes); });
  base::set_log_sink(nullptr);
  LETO_ASSERT(held <= target.bound(bytes.size()),
              base::format("%s held %llu bytes for %zu of input, its bound is %llu", target.name, static_cast<unsigned long long>(held),
                           bytes.size(), static_cast<unsigned long long>(target.bound(bytes.size()))));
}

}  // namespace leto::fuzz
