#include "tests/sim/operator.h"

#include <algorithm>
#include <utility>

#include "tests/sim/process.h"

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x6f706572;
constexpr Microseconds kAgain = 150 * kMillisecond, kLook = 2 * kMillisecond;
constexpr Microseconds kInviteFor = 6 * kSecond, kWatchFor = 2 * kSecond;
// A request may travel so long, on top of what a node waits with it.
constexpr Microseconds kTravelsFor = 6 * kSecond;

}  // namespace

const Operator::Operation Operator::kOperations[] = {
    {Reached::kLeaveFollower, 2, 3, &Operator::leave_follower},
    {Reached::kLeaveLeader, 2, 3, &Operator::leave_leader},
    {Reached::kLeaveDead, 3, 2, &Operator::leave_dead},
    {Reached::kChangeParted, 3, 3, &Operator::change_parted},
    {Reached::kWiped, 3, 6, &Operator::wipe},
    {Reached::kComesBack, 2, 8, &Operator::come_back},
    {Reached::kTransferAny, 1, 2, &Operator::transfer_any},
    {Reached::kTransferLagging, 2, 2, &Operator::transfer_lagging},
    {Reached::kTransferDead, 2, 1, &Operator::transfer_dead},
    {Reached::kTransferLearner, 2, 2, &Operator::transfer_learner},
    {Reached::kSnapshotInChange, 2, 3, &Operator::snapshot_in_change},
    {Reached::kRollingRestart, 1, 1, &Operator::rolling_restart},
    {Reached::kCompactedInCatchUp, 2, 2, &Operator::compact_in_catch_up},
    {Reached::kCrashReceiving, 2, 4, &Operator::crash_in_snapshot},
};

Operator::Operator(World& world, Cluster& cluster) : world_(world), cluster_(cluster), random_(world.stream(kStream)) {}

void Operator::plan_ambush() {
  if (random_.chance(1, 2)) world_.faults.add(Reached::kCrashReceiving, 0, [this](Fault& fault) { lie_in_wait(fault); });
}

void Operator::plan_one(Microseconds at, base::Random& random) {
  const size_t machines = world_.parameters.machines;
  uint64_t total = 0;
  for (const Operation& each : kOperations) total += each.machines_min <= machines ? each.weight : 0;
  uint64_t drawn = random.below(total);
  for (const Operation& each : kOperations) {
    if (each.machines_min > machines) continue;
    if (drawn >= each.weight) {
      drawn -= each.weight;
      continue;
    }
    world_.faults.add(each.name, at, [this, begin = each.begin](Fault& fault) { (this->*begin)(fault); });
    return;
  }
}

// --- Looking -----------------------------------------------------------------------------------------

bool Operator::is_member(const Machine& machine) const {
  return cluster_.invariants().members().find(machine.node()) != nullptr;
}

Machine* Operator::draw(base::Random& random, const std::function<bool(const Machine&)>& fits) {
  std::vector<Machine*> found;
  for (const auto& machine : cluster_.machines()) {
    if (fits(*machine)) found.push_back(machine.get());
  }
  return found.empty() ? nullptr : found[random.below(found.size())];
}

Machine* Operator::host(Fault& fault) {
  Machine* leader = cluster_.leader();
  if (leader != nullptr && fault.random.chance(4, 5)) return leader;
  return draw(fault.random, [](const Machine& machine) { return machine.ready() && !machine.dying(); });
}

bool Operator::change_is_open() const {
  const raft::Configuration& members = cluster_.invariants().members();
  return members.is_joint() || std::any_of(cluster_.machines().begin(), cluster_.machines().end(), [&](const auto& each) {
    if (!is_member(*each)) return false;
    return each->process() == nullptr || each->paused() || !(each->process()->node().raft().configuration() == members);
  });
}

bool Operator::has_lost_one() const {
  const auto& members = cluster_.invariants().members().members;
  return std::any_of(members.begin(), members.end(), [this](const raft::Member& member) {
    return std::none_of(cluster_.machines().begin(), cluster_.machines().end(),
                        [&member](const auto& each) { return each->node() == member.node; });
  });
}

bool Operator::has_suspect() const {
  return std::any_of(cluster_.machines().begin(), cluster_.machines().end(),
                     [](const auto& each) { return each->suspect || each->runs_copy || each->keys_lost != 0; });
}

bool Operator::may_lose_one() const {
  if (has_suspect()) return false;
  const raft::Configuration& members = cluster_.invariants().members();
  const auto votes = [&members](const auto& each) { return members.is_voter(each->node()); };
  const auto& machines = cluster_.machines();
  if (members.members.size() != machines.size() || !std::all_of(machines.begin(), machines.end(), votes)) return false;
  const Microseconds waits = 2 * world_.parameters.options.request_timeout_ms * kMillisecond + kTravelsFor;
  const bool quiet = asked_at_ == 0 || world_.scheduler.now() > asked_at_ + waits;
  return quiet && machines.size() > 2 && !change_is_open();
}

void Operator::watch_for(Microseconds length, std::function<bool()> look) {
  if (over_ || length < kLook || look()) return;
  world_.scheduler.after(kLook, [this, length, look = std::move(look)] { watch_for(length - kLook, look); });
}

// --- Asking ------------------------------------------------------------------------------------------

bool Operator::ask(Machine& host, const Request& request) {
  if (request.front() == "LEAVE") {
    if (has_lost_one() || has_suspect()) return false;
    asked_at_ = world_.scheduler.now();
  }
  return cluster_.command(host, request);
}

bool Operator::leave(Fault& fault, Machine& machine, bool forced) {
  Machine* asked = host(fault);
  if (asked == nullptr) return false;
  return ask(*asked, forced ? Request{"LEAVE", machine.id, "FORCE"} : Request{"LEAVE", machine.id});
}

// Who was removed is not taken in with what it has.
bool Operator::has_to_begin_anew(const Machine& asked, Machine& machine) {
  const Process& there = *machine.process();
  if (is_member(machine) || !there.node().was_member() || there.cluster_id() != asked.process()->cluster_id()) return false;
  // An entry that makes it a member may be under way.
  if (!change_is_open() && !has_suspect()) machine.wipe();
  return true;
}

void Operator::invite(Fault& fault, Invitation invitation) {
  invitation.end = world_.scheduler.now() + kInviteFor;
  invite_until_end(fault, std::move(invitation));
}

void Operator::invite_until_end(Fault& fault, Invitation invitation) {
  Machine& machine = invitation.machine;
  if (over_ || is_member(machine) || world_.scheduler.now() >= invitation.end) return;
  Machine* asked = host(fault);
  const bool may_ask = asked != nullptr && asked != &machine && asked->ready() && machine.ready();
  if (may_ask && !has_to_begin_anew(*asked, machine)) {
    Request request = {"JOIN", machine.raft_address, machine.id};
    if (invitation.as_learner) request.push_back("LEARNER");
    const bool is_sent = ask(*asked, request);
    if (is_sent && invitation.asked) std::exchange(invitation.asked, {})();
  }
  world_.scheduler.after(kAgain, [this, &fault, invitation = std::move(invitation)] { invite_until_end(fault, invitation); });
}

void Operator::restore() {
  Machine* leader = cluster_.leader();
  const auto votes = [this](const Machine& each) {
    const raft::Member* member = cluster_.invariants().members().find(each.node());
    return member != nullptr && member->role == raft::MemberRole::kVoter;
  };
  Machine* missing = held_ ? nullptr : draw(random_, [&](const Machine& each) { return !votes(each); });
  const bool may_ask = leader != nullptr && missing != nullptr && missing->ready();
  if (may_ask && !has_to_begin_anew(*leader, *missing)) {
    ask(*leader, {"JOIN", missing->raft_address, missing->id});
  }
  world_.scheduler.after(kAgain, [this] { restore(); });
}

// --- Members -----------------------------------------------------------------------------------------

void Operator::leave_follower(Fault& fault) {
  Machine* machine = draw(fault.random, [this](const Machine& each) { return &each != cluster_.leader() && is_member(each); });
  if (machine != nullptr && leave(fault, *machine)) note(fault, Reached::kLeaveFollower, *machine);
}

void Operator::leave_leader(Fault& fault) {
  Machine* leader = cluster_.leader();
  if (leader != nullptr && leave(fault, *leader)) note(fault, Reached::kLeaveLeader, *leader);
}

void Operator::leave_dead(Fault& fault) {
  Machine* machine = draw(fault.random, [this](const Machine& each) { return &each != cluster_.leader() && is_member(each); });
  if (machine == nullptr) return;
  world_.faults.tell(fault, machine->number, "falls, soon LEAVE of it");
  const Death how = fault.random.chance(1, 2) ? Death::kKill : Death::kPowerCut;
  machine->fall(how, fault.random.between(500, 4000) * kMillisecond, fault);
  world_.scheduler.after(fault.random.below(kSecond), [this, &fault, machine] {
    if (!over_) remove_dead(fault, *machine);
  });
}

// With FORCE also if those who are left and live are no majority: the others come back, so that one is there in the end.
void Operator::remove_dead(Fault& fault, Machine& machine) {
  const bool forced = fault.random.chance(1, 2);
  if (!leave(fault, machine, forced) || machine.has_process()) return;
  note(fault, Reached::kLeaveDead, machine);
  if (forced) note(fault, Reached::kLeaveForced, machine);
}

void Operator::cut_off(const Machine& machine, Microseconds length) {
  for (const auto& other : cluster_.machines()) {
    if (other.get() == &machine) continue;
    for (Link* link : {&cluster_.network().link(machine.number, other->number),
                       &cluster_.network().link(other->number, machine.number)}) {
      ++link->cuts;
      world_.scheduler.after(length, [this, link] {
        if (!over_) --link->cuts;
      });
    }
  }
}

// Asked on either side: of who is cut off, or of the others.
void Operator::change_parted(Fault& fault) {
  Machine& apart = fault.random.chance(1, 2) && cluster_.leader() != nullptr ? *cluster_.leader() : any(fault);
  const Microseconds length = fault.random.between(300, 3000) * kMillisecond;
  world_.faults.tell(fault, apart.number, "is cut off, and the members are to change");
  cut_off(apart, length);
  const auto asked = [this, &fault, &apart, end = world_.scheduler.now() + length] {
    if (world_.scheduler.now() < end) note(fault, Reached::kChangeParted, apart);
  };
  Machine* outside = draw(fault.random, [this](const Machine& each) { return !is_member(each); });
  if (outside != nullptr && fault.random.chance(2, 3)) return invite(fault, {.machine = *outside, .asked = asked});
  if (leave_parted(fault, apart)) asked();
}

bool Operator::leave_parted(Fault& fault, Machine& apart) {
  Machine* leaves = draw(fault.random, [this](const Machine& each) { return is_member(each); });
  if (leaves == nullptr || apart.process() == nullptr) return false;
  if (fault.random.chance(1, 2)) return ask(apart, {"LEAVE", leaves->id});
  return leave(fault, *leaves);
}

// Of a member: it is to be replaced. Of who was removed: it begins anew.
void Operator::wipe(Fault& fault) {
  Machine* outside = draw(fault.random, [this](const Machine& each) { return !is_member(each); });
  const bool any_will_do = may_lose_one();
  if (outside == nullptr && !any_will_do) return;
  Machine& machine = outside != nullptr ? *outside : any(fault);
  // An entry that makes it a member may be under way.
  if (outside != nullptr && change_is_open()) return;
  note(fault, Reached::kWiped, machine);
  machine.restart_delay = fault.random.between(20, 1500) * kMillisecond;
  machine.wipe();
  invite(fault, {.machine = machine});
}

void Operator::come_back(Fault& fault) {
  Machine* machine = draw(fault.random, [this](const Machine& each) {
    const raft::Member* member = cluster_.invariants().members().find(each.node());
    return member == nullptr || member->role == raft::MemberRole::kObserver;
  });
  if (machine == nullptr) return;
  const bool as_learner = !is_member(*machine) && fault.random.chance(1, 3);
  const auto asked = [this, &fault, machine, as_learner] {
    note(fault, as_learner ? Reached::kAsksAsLearner : Reached::kComesBack, *machine);
  };
  if (!is_member(*machine)) return invite(fault, {.machine = *machine, .as_learner = as_learner, .asked = asked});
  Machine* host_of_it = host(fault);
  if (host_of_it != nullptr && ask(*host_of_it, {"JOIN", machine->raft_address, machine->id})) asked();
}

// --- Leadership --------------------------------------------------------------------------------------

void Operator::transfer_any(Fault& fault) {
  Machine* leader = cluster_.leader();
  if (leader == nullptr) return;
  Machine& to = any(fault);
  const bool is_sent = ask(*leader, fault.random.chance(1, 3) ? Request{"TRANSFER"} : Request{"TRANSFER", to.id});
  if (is_sent) note(fault, Reached::kTransferAny, to);
}

void Operator::transfer_lagging(Fault& fault) {
  Machine* to = draw(fault.random, [this](const Machine& each) { return &each != cluster_.leader() && is_member(each); });
  if (to == nullptr || cluster_.leader() == nullptr) return;
  world_.faults.tell(fault, to->number, "is cut off, soon TRANSFER to it");
  cut_off(*to, world_.parameters.options.election_timeout_ms * kMillisecond * 3 / 4);
  const Microseconds later = world_.parameters.options.election_timeout_ms * kMillisecond * fault.random.between(50, 85) / 100;
  world_.scheduler.after(later, [this, &fault, to] {
    Machine* leader = cluster_.leader();
    if (over_ || leader == nullptr) return;
    if (ask(*leader, {"TRANSFER", to->id})) note(fault, Reached::kTransferLagging, *to);
  });
}

void Operator::transfer_dead(Fault& fault) {
  Machine* to = draw(fault.random, [this](const Machine& each) { return &each != cluster_.leader() && is_member(each); });
  Machine* leader = cluster_.leader();
  if (to == nullptr || leader == nullptr) return;
  to->fall(Death::kKill, fault.random.between(500, 3000) * kMillisecond, fault);
  if (ask(*leader, {"TRANSFER", to->id})) note(fault, Reached::kTransferDead, *to);
}

// Where all are voters, one leaves first.
void Operator::bring_learner(Fault& fault) {
  const auto is_outside = [this](const Machine& each) { return !is_member(each); };
  if (draw(fault.random, is_outside) == nullptr) leave_follower(fault);
  watch_for(kInviteFor, [this, &fault, is_outside] {
    Machine* outside = draw(fault.random, is_outside);
    if (outside == nullptr) return false;
    invite(fault, {.machine = *outside, .as_learner = true});
    return true;
  });
}

void Operator::transfer_learner(Fault& fault) {
  const auto learns = [this](const Machine& each) {
    return is_member(each) && !cluster_.invariants().members().is_voter(each.node());
  };
  if (draw(fault.random, learns) == nullptr) bring_learner(fault);
  watch_for(kInviteFor, [this, &fault, learns] {
    Machine* to = draw(fault.random, learns);
    Machine* leader = cluster_.leader();
    if (to == nullptr || leader == nullptr || !ask(*leader, {"TRANSFER", to->id})) return false;
    note(fault, Reached::kTransferLearner, *to);
    return true;
  });
}

// --- Snapshots and restarts --------------------------------------------------------------------------

// Whoever has a configuration in its log that is not committed yet.
void Operator::snapshot_in_change(Fault& fault) {
  watch_for(kWatchFor, [this, &fault] {
    Machine* machine = draw(fault.random, [](const Machine& each) {
      if (each.process() == nullptr || each.dying()) return false;
      const raft::Raft& raft = each.process()->node().raft();
      return !(raft.configuration() == raft.committed_configuration());
    });
    if (machine == nullptr || !ask(*machine, {"SNAPSHOT"})) return false;
    note(fault, Reached::kSnapshotInChange, *machine);
    return true;
  });
  fault.random.chance(1, 2) ? leave_follower(fault) : come_back(fault);
}

void Operator::rolling_restart(Fault& fault) {
  if (std::exchange(restarting_, true)) return;
  note(fault, Reached::kRollingRestart, any(fault));
  restart_from(fault, 1);
}

void Operator::restart_from(Fault& fault, size_t number) {
  restarting_ = number <= cluster_.machines().size() && !over_;
  if (!restarting_) return;
  cluster_.machines()[number - 1]->shut_down();
  world_.scheduler.after(fault.random.between(200, 1500) * kMillisecond, [this, &fault, number] { restart_from(fault, number + 1); });
}

// A follower misses something; when it is back the leader's log is to be compacted while it is being caught up.
void Operator::compact_in_catch_up(Fault& fault) {
  Machine* machine = draw(fault.random, [this](const Machine& each) { return &each != cluster_.leader() && is_member(each); });
  if (machine == nullptr) return;
  const Microseconds apart = fault.random.between(200, 2000) * kMillisecond;
  world_.faults.tell(fault, machine->number, "is cut off; SNAPSHOT while it catches up");
  cut_off(*machine, apart);
  for (Microseconds at = apart; at < apart + 100 * kMillisecond; at += fault.random.between(2, 30) * kMillisecond) {
    world_.scheduler.after(at, [this] {
      Machine* leader = cluster_.leader();
      if (!over_ && leader != nullptr) ask(*leader, {"SNAPSHOT"});
    });
  }
}

// Wherever the next snapshot goes: the step at which somebody falls is drawn,
void Operator::lie_in_wait(Fault& fault) {
  static constexpr Ambush kAmbushes[] = {Ambush::kSending, Ambush::kReceiving, Ambush::kInstalling};
  const uint64_t drawn = fault.random.below(3);
  const Ambush step = kAmbushes[drawn];
  for (const auto& machine : cluster_.machines()) machine->lie_in_wait(step, &fault);
  static constexpr const char* kNames[] = {"sends one", "receives one", "installs one"};
  world_.faults.tell(fault, 0, std::string("at the next snapshot that machine falls which ") + kNames[drawn]);
}

// and a follower made to need one.
void Operator::crash_in_snapshot(Fault& fault) {
  lie_in_wait(fault);
  if (fault.random.chance(1, 2)) return wipe(fault);
  compact_in_catch_up(fault);
}

}  // namespace leto::sim
