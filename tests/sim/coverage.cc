#include "tests/sim/coverage.h"

namespace leto::sim {

const char* reached_name(Reached what) {
  static const char* const names[kReached] = {
      "partition", "one-way link", "bridge", "isolated leader", "slow link", "message dropped", "message duplicated",
      "message reordered", "late beyond election", "message to an earlier process", "peer unreachable", "kill",
      "power cut", "crash loop", "kill of all", "power cut of all", "pause", "pause of the leader", "stop in a job",
      "stop in recovery", "slow disk", "stalled disk", "disk full", "fsync error", "forgetful fsync", "clock rate",
      "wall clock jump", "client gone", "burst", "graceful restart", "snapshot",
      "joined", "election won", "leader stepped down", "log truncated", "unknown outcome", "redirected",
      "read at a follower", "write on the loop", "full job retried", "log loaded from disk", "died in a log write",
      "unfinished write kept", "unfinished write lost", "start failed", "flush failed", "checkpoint",
      "mixed pipeline", "restarted with a log", "log compacted", "snapshot copied", "snapshot installed",
      "snapshot refused", "keys loaded",
      "forwarded", "forwarded, unknown", "forwarded, sent again",
  };
  return names[static_cast<size_t>(what)];
}

}  // namespace leto::sim
