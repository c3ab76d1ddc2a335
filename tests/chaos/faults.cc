#include "tests/chaos/faults.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <utility>

#include "base/format.h"
#include "base/random.h"

namespace leto::chaos {

namespace {

constexpr Milliseconds kSlowLow = 20, kSlowHigh = 250, kStalled = 1500;
constexpr Milliseconds kDelayLow = 30, kDelayHigh = 500;
constexpr Milliseconds kOperationPatience = 3000, kTransferPatience = 1000;

}  // namespace

bool Faults::apply(const Fault& fault) {
  if (setup_.world.failed() || setup_.loop.interrupted()) return true;
  const bool done = do_fault(fault);
  counts_[static_cast<size_t>(fault.kind)] += done;
  if (setup_.prints) std::printf("    %s%s\n", fault_name(fault.kind), done ? "" : ": not now");
  return done;
}

bool Faults::do_fault(const Fault& fault) {
  if (fault.kind <= FaultKind::kPauseLeader) return end_or_stop(fault);
  if (fault.kind <= FaultKind::kSnapshot) return operate(fault);
  if (fault.kind <= FaultKind::kFullDisk) return hurt_disk(fault);
  if (fault.kind <= FaultKind::kSlowLink) return cut_network(fault);
  for (const std::unique_ptr<Client>& client : setup_.clients) client->vanish();
  return true;
}

size_t Faults::leader_or_any(uint64_t pick) const {
  const size_t leader = setup_.cluster.leader();
  return leader != 0 ? leader : any(pick);
}

// Another one that runs, the leader if that can be.
size_t Faults::other_member(size_t node) const {
  const Cluster& cluster = setup_.cluster;
  if (cluster.leader() != 0 && cluster.leader() != node) return cluster.leader();
  for (size_t other = 1; other <= cluster.nodes(); ++other) {
    if (other != node && cluster.is_running(other) && !cluster.is_paused(other)) return other;
  }
  return node == 1 ? 2 : 1;
}

std::vector<size_t> Faults::some(uint64_t pick, size_t count) const {
  std::vector<size_t> all;
  for (size_t node = 1; node <= setup_.cluster.nodes(); ++node) all.push_back(node);
  base::Random random(pick);
  for (size_t i = 0; i < count; ++i) std::swap(all[i], all[i + random.below(all.size() - i)]);
  all.resize(count);
  return all;
}

bool Faults::kill(const std::vector<size_t>& nodes) {
  bool any_ran = false;
  for (const size_t node : nodes) {
    any_ran = any_ran || setup_.cluster.is_running(node);
    setup_.cluster.kill_now(node);
  }
  return any_ran;
}

bool Faults::end_or_stop(const Fault& fault) {
  const size_t nodes = setup_.cluster.nodes();
  const auto pause = [this](size_t node) {
    const bool ran = setup_.cluster.is_running(node);
    setup_.cluster.pause(node);
    return ran;
  };
  switch (fault.kind) {
    case FaultKind::kKillOne: return kill({any(fault.pick)});
    case FaultKind::kKillLeader: return kill({leader_or_any(fault.pick)});
    case FaultKind::kKillMajority: return kill(some(fault.pick, nodes / 2 + 1));
    case FaultKind::kKillAll: return kill(some(fault.pick, nodes));
    case FaultKind::kPauseLeader: return pause(leader_or_any(fault.pick));
    default: return pause(any(fault.pick));
  }
}

bool Faults::is_settled() {
  Cluster& cluster = setup_.cluster;
  const size_t leader = cluster.leader();
  return cluster.is_whole() && cluster.answers_ok(leader, {"SET", "settled", "yes"}) && cluster.is_whole() && cluster.leader() == leader;
}

bool Faults::replace(size_t node, bool leaves) {
  Cluster& cluster = setup_.cluster;
  if (!is_settled()) return false;
  if (leaves && !cluster.answers_ok(leader_or_any(node), {"LEAVE", Cluster::id(node)}, kOperationPatience)) return false;
  cluster.kill_now(node);
  cluster.wipe(node, other_member(node));
  cluster.start(node);
  return true;
}

bool Faults::operate(const Fault& fault) {
  Cluster& cluster = setup_.cluster;
  const size_t node = any(fault.pick), asked = leader_or_any(fault.pick);
  if (fault.kind == FaultKind::kReplace || fault.kind == FaultKind::kWipe) return replace(node, fault.kind == FaultKind::kReplace);
  if (fault.kind == FaultKind::kTransfer) {
    const size_t to = node == asked ? node % cluster.nodes() + 1 : node;
    return cluster.answers_ok(asked, {"TRANSFER", Cluster::id(to)}, kOperationPatience);
  }
  if (fault.kind == FaultKind::kSnapshot) return cluster.is_running(node) && cluster.answers_ok(node, {"SNAPSHOT"}, kOperationPatience);
  if (!cluster.is_running(node)) return false;
  cluster.shut_down(node);
  cluster.start(node);
  return true;
}

bool Faults::fill_disk() {
  if (setup_.small_disk == 0) return false;
  std::ofstream file(setup_.cluster.data(setup_.small_disk).parent_path() / "filler", std::ios::binary);
  const std::string block(65536, 'x');
  while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) continue;
  return true;
}

void Faults::free_disk() {
  if (setup_.small_disk == 0) return;
  std::error_code ignored;
  std::filesystem::remove(setup_.cluster.data(setup_.small_disk).parent_path() / "filler", ignored);
}

bool Faults::hurt_disk(const Fault& fault) {
  if (fault.kind == FaultKind::kFullDisk) return fill_disk();
  base::Random random(fault.pick);
  const size_t node = random.chance(1, 2) ? leader_or_any(fault.pick) : any(fault.pick);
  const Milliseconds delay = fault.kind == FaultKind::kStalledDisk ? kStalled : random.between(kSlowLow, kSlowHigh);
  if (!setup_.cluster.is_running(node)) return false;
  slow_.push_back(node);
  return setup_.cluster.answers_ok(node, {"DEBUG", "SYNC-DELAY", std::to_string(delay)}, kOperationPatience);
}

bool Faults::isolate_slow_leader() {
  Cluster& cluster = setup_.cluster;
  const size_t leader = cluster.leader(), slow = setup_.slow_node;
  if (leader == 0 || !cluster.is_running(slow)) return false;
  if (leader != slow) cluster.answers_ok(leader, {"TRANSFER", Cluster::id(slow)}, kOperationPatience);
  if (!setup_.loop.run_until(kTransferPatience, [&] { return cluster.leader() == slow; })) return false;
  isolate(slow, false, false);
  return true;
}

void Faults::isolate(size_t node, bool hears, bool is_heard) {
  for (size_t other = 1; other <= setup_.cluster.nodes(); ++other) {
    if (other != node && !hears) setup_.network.cut(other, node, Cut::kSilent);
    if (other != node && !is_heard) setup_.network.cut(node, other, Cut::kSilent);
  }
}

// The minority and the others do not hear each other; `bridge`, if it is not 0, hears and is heard by all.
void Faults::divide(const std::vector<size_t>& minority, Cut how, size_t bridge) {
  const auto inside = [&minority](size_t node) { return std::find(minority.begin(), minority.end(), node) != minority.end(); };
  for (size_t from = 1; from <= setup_.cluster.nodes(); ++from) {
    for (size_t to = 1; to <= setup_.cluster.nodes(); ++to) {
      if (inside(from) == inside(to) || from == bridge || to == bridge) continue;
      setup_.network.cut(from, to, how);
    }
  }
}

bool Faults::cut_network(const Fault& fault) {
  const size_t nodes = setup_.cluster.nodes(), node = any(fault.pick), leader = leader_or_any(fault.pick);
  const std::vector<size_t> minority = some(fault.pick, 1 + fault.pick / 7 % (nodes / 2));
  const size_t other = node % nodes + 1;
  if (fault.kind == FaultKind::kIsolateSlowLeader) return isolate_slow_leader();
  switch (fault.kind) {
    case FaultKind::kIsolateLeader: isolate(leader, false, false); break;
    case FaultKind::kIsolateOne: isolate(node, false, false); break;
    case FaultKind::kDeafLeader: isolate(leader, false, true); break;
    case FaultKind::kMuteLeader: isolate(leader, true, false); break;
    case FaultKind::kOneWay: setup_.network.cut(node, other, Cut::kSilent); break;
    case FaultKind::kBridge: divide(minority, Cut::kSilent, minority.front() % nodes + 1); break;
    case FaultKind::kReset: divide(minority, Cut::kReset, 0); break;
    case FaultKind::kSlowLink: {
      base::Random random(fault.pick);
      const Milliseconds delay = random.between(kDelayLow, kDelayHigh);
      setup_.network.slow(node, other, delay);
      setup_.network.slow(other, node, random.chance(1, 2) ? delay : kDelayLow);
      break;
    }
    default: divide(minority, Cut::kSilent, 0);
  }
  if (!setup_.network.failure().empty()) setup_.world.fail("network", "this did not work: " + setup_.network.failure());
  return true;
}

void Faults::mend() {
  if (setup_.loop.interrupted()) return;
  Cluster& cluster = setup_.cluster;
  setup_.network.heal();
  free_disk();
  for (size_t node = 1; node <= cluster.nodes(); ++node) {
    cluster.resume(node);
    cluster.start(node);
  }
  for (const size_t node : std::exchange(slow_, {})) cluster.answers_ok(node, {"DEBUG", "SYNC-DELAY", "0"}, kOperationPatience);
  for (size_t node = 1; node <= cluster.nodes(); ++node) {
    if (!cluster.was_removed(node)) continue;
    cluster.kill_now(node);
    cluster.wipe(node, other_member(node));
    cluster.start(node);
  }
}

}  // namespace leto::chaos
