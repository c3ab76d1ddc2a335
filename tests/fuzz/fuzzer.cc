// libFuzzer's entry: LETO_FUZZ names the target. Built by `make fuzz` alone.
// The samples that some targets start from are made with doctest's checks; no test is run.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/targets.h"

namespace {

const leto::fuzz::Target& chosen() {
  const char* name = std::getenv("LETO_FUZZ");
  for (const leto::fuzz::Target& target : leto::fuzz::targets())
    if (name != nullptr && std::strcmp(name, target.name) == 0) return target;
  std::fputs("LETO_FUZZ names no target\n", stderr);
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const leto::fuzz::Target& target = chosen();
  leto::fuzz::run_within_bound(target, {reinterpret_cast<const char*>(data), size});
  return 0;
}
