#include "tests/chaos/schedule.h"

#include <utility>

#include "base/hash.h"

namespace leto::chaos {

namespace {

constexpr uint64_t kStream = 0x73636864;

constexpr std::array<const char*, kFaultKinds> kNames = {
    "kill -9 of a node",       "kill -9 of the leader",       "kill -9 of a majority",      "kill -9 of all",
    "SIGSTOP, short",          "SIGSTOP, long",               "SIGSTOP of the leader",      "restart",
    "LEAVE, empty disk, JOIN", "lost disk, JOIN in its place", "TRANSFER",                  "SNAPSHOT",
    "slow disk",               "stalled disk",                "full disk",                  "leader cut off",
    "slow leader cut off",     "node cut off",                "split in two",               "one way lost",
    "leader hears nothing",    "leader is not heard",         "bridge",                     "connections reset",
    "slow link",               "clients vanish",
};

class Deck {
 public:
  Deck(base::Random& random, bool small_disk) : random_(random), possible_(possible_kinds(small_disk)) {}

  FaultKind draw() {
    if (left_.empty()) left_ = possible_;
    std::swap(left_[random_.below(left_.size())], left_.back());
    const FaultKind kind = left_.back();
    left_.pop_back();
    return kind;
  }

 private:
  base::Random& random_;
  const std::vector<FaultKind> possible_;
  std::vector<FaultKind> left_;
};

Milliseconds draw_hold(FaultKind kind, base::Random& random) {
  switch (kind) {
    case FaultKind::kPauseShort: return random.between(50, 300);
    case FaultKind::kClientsVanish:
    case FaultKind::kTransfer:
    case FaultKind::kSnapshot: return random.between(50, 500);
    case FaultKind::kFullDisk:
    case FaultKind::kIsolateSlowLeader:
    case FaultKind::kReplace:
    case FaultKind::kWipe: return random.between(1500, 3000);
    case FaultKind::kKillAll:
    case FaultKind::kKillMajority: return random.between(100, 800);
    default: return random.between(300, 2500);
  }
}

}  // namespace

const char* fault_name(FaultKind kind) { return kNames[static_cast<size_t>(kind)]; }

std::vector<FaultKind> possible_kinds(bool small_disk) {
  std::vector<FaultKind> kinds;
  for (size_t i = 0; i < kFaultKinds; ++i) {
    const FaultKind kind = static_cast<FaultKind>(i);
    if (kind != FaultKind::kFullDisk || small_disk) kinds.push_back(kind);
  }
  return kinds;
}

std::vector<Round> make_schedule(uint64_t seed, Milliseconds length, bool small_disk) {
  base::Random random(base::mix64(seed * 0x9e37 + kStream));
  Deck deck(random, small_disk);
  std::vector<Round> rounds;
  for (Milliseconds filled = 0; filled < length;) {
    Round round;
    do {
      round.faults.push_back({.kind = deck.draw(), .pick = random.next()});
    } while (round.faults.size() < 3 && random.chance(1, 3));
    for (const Fault& fault : round.faults) round.hold = std::max(round.hold, draw_hold(fault.kind, random));
    round.calm = random.chance(1, 4) ? random.between(50, 300) : random.between(500, 1500);
    filled += round.hold + round.calm;
    rounds.push_back(std::move(round));
  }
  return rounds;
}

Round make_round(FaultKind kind, base::Random& random) {
  return {.faults = {{.kind = kind, .pick = random.next()}}, .hold = draw_hold(kind, random), .calm = random.between(500, 1500)};
}

}  // namespace leto::chaos
