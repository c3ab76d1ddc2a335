// How often each class of faults and each named rare branch was reached. Refuses to judge: verdict.cc does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace leto::sim {

// The first part are faults, the rest are rare branches. Each must be reached in a range of many seeds, but for what is never
// demanded. A fault is noted where it befalls something, not where it is decided or armed: one of a disk when an operation or a
// job meets it, one of a process if there is one, a request of the operator once it is sent. But what is done to links and clocks,
// a burst, a rolling restart and a message that may be overtaken are noted when they are set. A branch is noted where it is taken.
enum class Reached : uint8_t {
  kPartition, kOneWay, kBridge, kIsolatedLeader, kSlowLink, kDropped, kDuplicated, kReordered, kLateBeyondElection,
  kEarlierProcess, kUnreachable, kKill, kPowerCut, kCrashLoop, kKillAll, kPowerCutAll, kPause, kPauseLeader,
  kStopInJob, kStopInRecovery, kSlowDisk, kStalledDisk, kDiskFull, kDiskLow, kWriteError, kShortWrite, kSyncError, kForgetfulSync,
  kClockRate,
  kWallJump, kClientGone, kBurst, kShutdown, kSnapshot, kSlowLeaderCutOff,
  // Bytes of the peers' connections; see wire.h.
  kBitFlipped, kOversized, kCutInFrame, kRecycledAddress,
  // What clients ask for beyond the usual.
  kRetriedUnknown, kLargestEntry, kTooLargeEntry, kBeyondBound,
  // A process ends before or after a step; by Step.
  kCrashEncode, kCrashSend, kCrashSent, kCrashQueue, kCrashQueued, kCrashApply, kCrashApplied, kCrashReply, kCrashReplied,
  // Operations.
  kLeaveFollower, kLeaveLeader, kLeaveDead, kLeaveForced, kChangeParted, kWiped, kComesBack, kAsksAsLearner, kTransferAny,
  kTransferLagging, kTransferDead, kTransferLearner, kSnapshotInChange, kRollingRestart, kCompactedInCatchUp,
  kCrashSending, kCrashReceiving, kCrashInstalling,
  // What came of them.
  kRemoved, kReplaced, kAddedBack, kPromoted, kTransferred,
  // Outside the model; see damage.h.
  kLyingSync, kLostWrite, kMisdirected, kTornBlock, kRotLogTail, kRotLogMiddle, kRotHardState, kRotPage, kRotKeys, kLostKeys,
  kRotSnapshot, kOldBackup, kOldLog, kClonedDirectory, kRunsTwice,
  // After the healing; see steady.h.
  kShaken, kShakenByRemoved, kQuorumParted, kFaultsEnd,
  // Branches.
  kJoined = kFaultsEnd, kElection, kStepDown, kTruncation, kUnknown, kRedirected, kNotLeader, kFollowerRead,
  kWriteNow, kFullRetried, kLogLoaded, kDiedInWrite, kKeptUnfinished, kLostUnfinished, kStartFailed, kFlushFailed,
  kFlushed, kCheckpointed, kEndedCleanly, kMixedPipeline, kRestartedWithLog,
  kCompacted, kLogEmptied, kSnapshotCopied, kSnapshotInstalled, kSnapshotRefused, kSnapshotCompared, kLoaded,
  kForwarded, kForwardUnknown, kForwardRetried, kLocalRead, kLeaseRead,
  kUpgraded, kSemanticsRaised, kDatabasesMoved, kMoverJudged, kMoverUndecided, kTransaction, kTransactionUndone, kTransactionForwarded,
  kFlushedAll, kSeveralKeys, kDiscarded, kAborted, kUnwatched, kResets, kHello, kSelected,
  kParted, kPartsCutOff, kStuckFrame, kHandshakeRefused,
  // By what damage was found, and when it was not.
  kFoundOpening, kFoundInWal, kFoundTail, kFoundIdentity, kFoundRunning, kFoundChecking, kFoundByLeader, kHarmless, kUnnoticed,
  kClaimOff, kEnd,
};

inline constexpr size_t kFaults = static_cast<size_t>(Reached::kFaultsEnd);
inline constexpr size_t kReached = static_cast<size_t>(Reached::kEnd);

const char* reached_name(Reached what);
// More seeds than any range has.
inline constexpr uint64_t kNeverDemanded = UINT64_MAX;
// A range of so many seeds must have reached it.
uint64_t seeds_until_reached(Reached what);

class Coverage {
 public:
  void note(Reached what) { ++counts_[static_cast<size_t>(what)]; }
  uint64_t count(Reached what) const { return counts_[static_cast<size_t>(what)]; }
  void add(const Coverage& other) {
    for (size_t i = 0; i < kReached; ++i) counts_[i] += other.counts_[i];
  }

 private:
  std::array<uint64_t, kReached> counts_ = {};
};

}  // namespace leto::sim
