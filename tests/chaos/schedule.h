// The faults of a run, drawn from one seed before it begins: what, to whom, for how long. Refuses to know how they are
// done. Whom they meet depends on who leads then, so a run is not repeated bit for bit; its schedule is.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "tests/chaos/loop.h"

namespace leto::chaos {

enum class FaultKind : uint8_t {
  kKillOne, kKillLeader, kKillMajority, kKillAll,
  kPauseShort, kPauseLong, kPauseLeader,
  kRestart, kReplace, kWipe, kTransfer, kSnapshot,
  kSlowDisk, kStalledDisk, kFullDisk,
  kIsolateLeader, kIsolateSlowLeader, kIsolateOne, kSplit, kOneWay, kDeafLeader, kMuteLeader, kBridge, kReset, kSlowLink,
  kClientsVanish,
  kEnd,
};

inline constexpr size_t kFaultKinds = static_cast<size_t>(FaultKind::kEnd);

const char* fault_name(FaultKind kind);

struct Fault {
  FaultKind kind = FaultKind::kKillOne;
  uint64_t pick = 0;   // Says which node, where there is a choice.
};

// Some faults at once, what they did undone after `hold`, then quiet for `calm`.
struct Round {
  std::vector<Fault> faults;
  Milliseconds hold = 0, calm = 0;
};

// All that can be done: a full disk only where there is a small one to fill.
std::vector<FaultKind> possible_kinds(bool small_disk);

// Rounds that fill `length`. Each possible kind comes before any comes again, so that a short run meets as many as it has
// room for.
std::vector<Round> make_schedule(uint64_t seed, Milliseconds length, bool small_disk);
// One more, of this kind alone.
Round make_round(FaultKind kind, base::Random& random);

}  // namespace leto::chaos
