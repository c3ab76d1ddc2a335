// Running a command's handler while INFO commandstats counts what it took.
#pragma once

#include <cstdint>

#include "command/context.h"
#include "server/environment.h"
#include "server/stats.h"

namespace leto::server {

// Runs it. Looking at a clock twice would be some twentieth of a SET: of each command the first kRunsAllTimed runs are timed, then
// one of kRunsPerTimed, which counts for all.
void run_timed(const command::Command& command, command::Context& context, Stats& stats, Clock& clock);

inline constexpr uint64_t kRunsAllTimed = 64;
inline constexpr uint64_t kRunsPerTimed = 64;

}  // namespace leto::server
