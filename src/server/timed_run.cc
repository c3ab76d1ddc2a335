#include "server/timed_run.h"

namespace leto::server {
namespace {

// For how many runs this one counts; 0: it is not timed.
uint64_t weight_of(uint64_t run) {
  if (run <= kRunsAllTimed) return 1;
  return run % kRunsPerTimed == 0 ? kRunsPerTimed : 0;
}

}  // namespace

void run_timed(const command::Command& command, command::Context& context, Stats& stats, Clock& clock) {
  const uint64_t weight = weight_of(++stats.of(command, context.arguments).runs);
  if (weight == 0) return command.handler(context);
  const uint64_t begin_ns = clock.stopwatch_ns();
  command.handler(context);
  // Looked up again: CONFIG RESETSTAT begins all of them anew.
  stats.of(command, context.arguments).nanoseconds += weight * (clock.stopwatch_ns() - begin_ns);
}

}  // namespace leto::server
