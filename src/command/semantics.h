// The semantics level: the rules by which entries are applied, as a number. A cluster begins at the first one, has it
// in its replicated state, and goes to a higher one by an entry of its log once all members can. Refuses to know who
// can and when that is.
//
// Invariant: only semantics.cc depends on how high the level of a build is, so that two builds differ in one object.
#pragma once

#include <cstdint>

#include "command/entry.h"

namespace leto::command {

// The highest level that is meant for clusters.
inline constexpr uint16_t kSemanticsReleased = 1;
// The highest level that this program can apply; above kSemanticsReleased it is a build for tests.
extern const uint16_t kSemanticsSupported;

// What a build for tests does from level 2 on, so that it can be seen by which level a command was applied: an argument
// `@level@` is `2`. Every other build leaves the command as it is.
void apply_test_rules(uint16_t level, CommandView& view);

}  // namespace leto::command
