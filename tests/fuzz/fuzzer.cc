// libFuzzer's entry: LETO_FUZZ names the target. Built by `make fuzz` alone.
// The samples that some targets start from are made with doctest's checks; no test is run.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "tests/fuzz/targets.h"

namespace {

void (*chosen())(std::string_view) {
  const char* name = std::getenv("LETO_FUZZ");
  for (const leto::fuzz::Target& target : leto::fuzz::targets())
    if (name != nullptr && std::strcmp(name, target.name) == 0) return target.run;
  std::fputs("LETO_FUZZ names no target\n", stderr);
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static void (*const run)(std::string_view) = chosen();
  static const bool quiet = [] {
    leto::base::set_log_sink([](leto::base::LogLevel, std::string_view) {});
    return true;
  }();
  if (quiet) run({reinterpret_cast<const char*>(data), size});
  return 0;
}
