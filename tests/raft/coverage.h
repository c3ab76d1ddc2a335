// How often each fault of the harness befell something, and each rare branch was taken. Refuses to judge: the test does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace leto::raft_test {

// The first part are faults, the rest is what came of them. A fault is noted where it befalls something: a message that is
// dropped could have arrived, a cut way loses one, a node that dies was up.
enum class Reached : uint8_t {
  kDropped, kDuplicated, kOvertaken, kLostInPartition, kLostOneWay, kLostAtDead, kUnreachable, kUnevenTicks,
  kCrashed, kWritesLost, kUnansweredKept, kKeysLost, kStalled, kStalledLeader, kLateLoad,
  kFaultsEnd,
  kHealed = kFaultsEnd, kRestarted, kStallOver, kElected, kHandedOver, kTruncated, kWriteRefused, kRead, kReadFailed,
  kTransfer, kAskedWhoLives, kLearner, kJoint, kCompacted, kSnapshotStarted, kSnapshotGivenUp, kSnapshotDiscarded,
  kInstalled, kSwapped, kKeptLog, kLedWithoutKeys,
  kEnd,
};

inline constexpr size_t kFaults = static_cast<size_t>(Reached::kFaultsEnd);
inline constexpr size_t kReached = static_cast<size_t>(Reached::kEnd);

struct Name {
  const char* text;
  size_t seeds;   // A range of so many of random_cluster_test.cc must have reached it.
};

inline constexpr size_t kUsual = 20;
inline constexpr size_t kRare = 100;      // Some seeds reach it often, and most never.
inline constexpr size_t kRarest = 10000;  // Once in some hundred seeds: a snapshot that is stale when it is there.
inline constexpr std::array<Name, kReached> kReachedNames = {{
    {"dropped", kUsual},
    {"duplicated", kUsual},
    {"overtaken", kUsual},
    {"lost in a partition", kUsual},
    {"lost on a one-way cut", kUsual},
    {"lost at a dead node", kUsual},
    {"peer unreachable", kRare},
    {"uneven ticks", kUsual},
    {"crash", kUsual},
    {"crash with lost writes", kRare},
    {"crash that keeps unanswered writes", kRare},
    {"keys lost", kUsual},
    {"stalled disk", kUsual},
    {"stalled disk of a leader", kRare},
    {"late load", kUsual},
    {"heal", kUsual},
    {"restart", kUsual},
    {"stall over", kUsual},
    {"elected", kUsual},
    {"took over when told", kRare},
    {"truncation", kRare},
    {"write refused", kUsual},
    {"read", kUsual},
    {"read failed", kUsual},
    {"transfer", kRare},
    {"asked who lives", kRare},
    {"learner", kUsual},
    {"joint configuration", kRare},
    {"compaction", kUsual},
    {"snapshot started", kUsual},
    {"snapshot given up", kRare},
    {"snapshot discarded", kRarest},
    {"switch to a snapshot", kUsual},
    {"swapped in", kUsual},
    {"switch to a snapshot beside the log", kUsual},
    {"led without keys", kRare},
}};

class Coverage {
 public:
  void note(Reached what, size_t times = 1) { counts_[static_cast<size_t>(what)] += times; }
  size_t count(Reached what) const { return counts_[static_cast<size_t>(what)]; }
  void add(const Coverage& other) {
    for (size_t i = 0; i < kReached; ++i) counts_[i] += other.counts_[i];
  }

 private:
  std::array<size_t, kReached> counts_ = {};
};

}  // namespace leto::raft_test
