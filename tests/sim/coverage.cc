#include "tests/sim/coverage.h"

#include <algorithm>
#include <iterator>

namespace leto::sim {

const char* reached_name(Reached what) {
  static const char* const names[kReached] = {
      "partition", "one-way link", "bridge", "isolated leader", "slow link", "message dropped", "message duplicated",
      "message reordered", "late beyond election", "message of an earlier process", "peer unreachable", "kill",
      "power cut", "crash loop", "kill of all", "power cut of all", "pause", "pause of the leader", "stop in a job",
      "stop in recovery", "slow disk", "stalled disk", "disk full", "disk below its floor", "write error", "short write", "fsync error",
      "forgetful fsync", "clock rate",
      "wall clock jump", "client gone", "burst", "graceful restart", "snapshot", "slow leader cut off",
      "flipped bit", "oversized frame", "reset in mid-frame", "recycled address",
      "retried unknown outcome", "largest entry", "entry beyond the largest", "writes beyond the bound",
      "crash before encoding", "crash before sending", "crash after sending", "crash before a job is queued",
      "crash behind a queued job", "crash before applying", "crash after applying", "crash before replying",
      "crash after replying",
      "LEAVE of a follower", "LEAVE of the leader", "LEAVE of a dead node", "LEAVE with FORCE", "change while partitioned",
      "disk wiped", "JOIN again", "JOIN as learner", "TRANSFER", "TRANSFER to one that lags", "TRANSFER to a dead node",
      "TRANSFER to a learner", "SNAPSHOT during a change", "rolling restart", "compaction during catch-up",
      "crash while sending a snapshot", "crash while receiving one", "crash while installing one",
      "member removed", "member replaced", "member added again", "learner promoted", "leadership handed over",
      "lying fsync", "lost write", "misdirected write", "torn block", "rot in the log's tail", "rot in the log's middle",
      "rot in the hard state", "rot in a page", "rot in the keys", "keys lost beside a sound log",
      "rot in a snapshot", "old backup", "old backup of raft.db alone",
      "cloned directory",
      "directory that runs twice",
      "flapping beside a leader", "removed beside a leader", "all parted but a quorum",
      "joined", "election won", "leader stepped down", "log truncated", "unknown outcome", "redirected",
      "refused by who does not lead", "read at a follower", "write on the loop", "full job retried", "log loaded from disk",
      "died in a log write", "unfinished write kept", "unfinished write lost", "start failed", "flush failed", "flush", "checkpoint",
      "clean end", "mixed pipeline", "restarted with a log", "log compacted", "log dropped to its end", "snapshot copied",
      "snapshot installed", "snapshot refused", "snapshot's digest compared", "keys loaded",
      "forwarded", "forwarded, unknown", "forwarded, sent again", "local read",
      "read under a lease", "upgraded", "semantics raised", "databases moved",
      "mover judged", "mover undecided",
      "transaction", "transaction undone", "transaction at a follower",
      "FLUSHALL", "several keys", "DISCARD", "EXECABORT", "UNWATCH", "RESET", "HELLO 3", "SELECT in MULTI",
      "message in parts", "parts cut off", "frame that does not end", "handshake refused",
      "damage found opening", "found in the WAL", "found by a lost tail", "found by another's identity", "found running",
      "found by --check", "found by the leader", "harmless damage", "unnoticed damage", "ended by unnoticed damage",
  };
  return names[static_cast<size_t>(what)];
}

namespace {

constexpr uint64_t kSeedsForFaults = 100;
constexpr uint64_t kSeedsForTheRest = 300;   // Only one seed of eight has faults outside the model, and branches are rare.
constexpr uint64_t kSeedsForRare = 3000;

// Branches that may not be taken in some hundred seeds.
constexpr Reached kRare[] = {
    Reached::kPartsCutOff,    // Few messages come in parts, and a link is rarely cut between two.
    Reached::kFoundRunning,   // SQLite holds the few pages in its cache: who rots is read only by who lags.
    Reached::kFoundChecking,  // Almost all is found by the start before it.
    Reached::kFoundByLeader,  // It takes a loss without a trace.
    Reached::kClaimOff,       // It takes the vote or the acknowledgement of the one node that lost something to be decisive.
};

}  // namespace

uint64_t seeds_until_reached(Reached what) {
  // Nothing to aim for: it is counted to show how much of the mover was not judged.
  if (what == Reached::kMoverUndecided) return kNeverDemanded;
  if (std::find(std::begin(kRare), std::end(kRare), what) != std::end(kRare)) return kSeedsForRare;
  const bool is_damage = what >= Reached::kLyingSync && what <= Reached::kRunsTwice;
  // Of an earlier process only what is very late can arrive after the next one began; and FORCE is said in a part of the LEAVEs
  // of dead nodes alone.
  const bool is_rarer = what == Reached::kEarlierProcess || what == Reached::kLeaveForced;
  return what < Reached::kFaultsEnd && !is_damage && !is_rarer ? kSeedsForFaults : kSeedsForTheRest;
}

}  // namespace leto::sim
