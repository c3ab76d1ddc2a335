// How high the level of this build is, and what its level is good for; see the header.
#include "command/semantics.h"

#include <string_view>

#ifndef LETO_SEMANTICS_LEVEL_MAX
#define LETO_SEMANTICS_LEVEL_MAX 1
#endif

namespace leto::command {

namespace {

constexpr uint16_t kBuilt = LETO_SEMANTICS_LEVEL_MAX;
constexpr uint16_t kTestLevel = kSemanticsReleased + 1;
static_assert(kBuilt == kSemanticsReleased || kBuilt == kTestLevel, "LETO_SEMANTICS_LEVEL_MAX is 1, or 2 for tests");

}  // namespace

const uint16_t kSemanticsSupported = kBuilt;

void apply_test_rules(uint16_t level, CommandView& view) {
  if (kBuilt < kTestLevel || level < kTestLevel) return;
  for (std::string_view& argument : view.arguments) {
    if (argument == "@level@") argument = "2";
  }
}

}  // namespace leto::command
