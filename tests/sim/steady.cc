#include "tests/sim/steady.h"

#include <algorithm>
#include <vector>

#include "base/format.h"
#include "tests/sim/process.h"

namespace leto::sim {

namespace {

using Number = unsigned long long;

constexpr uint64_t kShakenElections = 8, kPartedElections = 10;
constexpr Microseconds kProbeAgain = 50 * kMillisecond;
constexpr Microseconds kStartAndWrite = 500 * kMillisecond;
enum Kind : uint64_t { kCutOff, kDeaf, kKilled, kPaused, kRemoved, kKinds };

}  // namespace

void Steady::plan() {
  if (world_.parameters.faultless || cluster_.machines().size() < 3) return;
  const uint64_t drawn = world_.stream(kStream).below(3);
  if (drawn > 1) return;
  fault_ = &world_.faults.add(drawn == 0 ? Reached::kShaken : Reached::kQuorumParted, 0, {});
}

void Steady::go() {
  if (fault_ == nullptr || fault_->left_out) return;
  if (fault_->name == Reached::kShaken) return shake_one();
  part_all_but_quorum();
}

void Steady::pass(Microseconds length) {
  const Microseconds end = world_.scheduler.now() + length;
  cluster_.run(length, [this, end] { return world_.scheduler.now() >= end; });
}

bool Steady::lost_another_than(const Machine* victim) const {
  const raft::Configuration& members = cluster_.invariants().members();
  return std::any_of(cluster_.machines().begin(), cluster_.machines().end(), [&](const auto& each) {
    return each.get() != victim && !members.is_voter(each->node());
  });
}

// --- I17 ---------------------------------------------------------------------------------------------

// Who lost synced data may be being replaced just now: then the others need each other.
bool Steady::all_vote() {
  const auto done = [this] { return !lost_another_than(nullptr) && cluster_.leader() != nullptr; };
  cluster_.run(kShakenElections * election(), done);
  return done();
}

void Steady::shake_one() {
  if (!all_vote()) return;
  const Machine* leader = cluster_.leader();
  const raft::Term term = leader->process()->node().raft().term();
  Machine* victim = nullptr;
  while (victim == nullptr || victim == leader) victim = &cluster_.random_machine(fault_->random);
  const uint64_t kind = fault_->random.chance(1, 3) ? uint64_t{kRemoved} : fault_->random.below(kKinds);
  static constexpr const char* kNames[] = {"cut off", "deaf", "killed", "paused", "removed"};
  world_.note(*fault_, kind == kRemoved ? Reached::kShakenByRemoved : Reached::kShaken, victim->number,
              std::string(": again and again it is ") + kNames[kind]);
  if (kind == kRemoved) {
    set_links(*victim, true, false);
    cluster_.command(*cluster_.leader(), {"LEAVE", victim->id});
  }
  over_ = false;
  shake(*victim, kind);
  pass(kShakenElections * election());
  over_ = true;
  cluster_.network().mend_all();
  const Machine* now = cluster_.leader();
  const bool same = now == leader && now->process()->node().raft().term() == term;
  if (same || lost_another_than(victim)) return;
  world_.fail("I17", base::format("machine %zu was %s, and the leader of term %llu leads no more", victim->number, kNames[kind],
                                  Number{term}));
}

void Steady::set_links(const Machine& victim, bool cut, bool deaf_only) {
  for (const auto& other : cluster_.machines()) {
    if (other.get() == &victim) continue;
    cluster_.network().link(other->number, victim.number).cuts = cut;
    if (!deaf_only) cluster_.network().link(victim.number, other->number).cuts = cut;
  }
}

// For one to three election timeouts away, then back for a moment.
void Steady::shake(Machine& victim, uint64_t kind) {
  if (over_) return;
  const Microseconds away = election() * fault_->random.between(10, 30) / 10, back = election() * fault_->random.between(2, 15) / 10;
  if (kind == kKilled) {
    victim.restart_delay = away / 2;
    victim.die(Death::kKill);
  } else if (kind == kPaused) {
    victim.pause(away);
  } else {
    set_links(victim, true, kind == kDeaf);
  }
  world_.scheduler.after(away, [this, &victim] {
    if (!over_) set_links(victim, false, false);
  });
  world_.scheduler.after(away + back, [this, &victim, kind] { shake(victim, kind); });
}

// --- I16 ---------------------------------------------------------------------------------------------

void Steady::part_all_but_quorum() {
  const size_t count = cluster_.machines().size();
  std::vector<size_t> order;
  for (size_t number = 1; number <= count; ++number) order.push_back(number);
  for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[fault_->random.below(i)]);
  order.resize(count / 2 + 1);
  const auto keeps = [&order](size_t number) { return std::find(order.begin(), order.end(), number) != order.end(); };
  const uint64_t chance = fault_->random.between(30, 100);
  world_.note(*fault_, Reached::kQuorumParted, 0);
  for (size_t from = 1; from <= count; ++from) {
    for (size_t to = 1; to <= count; ++to) {
      if (from == to || (keeps(from) && keeps(to)) || !fault_->random.chance(chance, 100)) continue;
      world_.faults.tell(*fault_, from, base::format("the link to machine %zu is cut", to));
      cluster_.network().link(from, to).cuts = 1;
    }
  }
  // What was cut is to be noticed first.
  pass(2 * election());
  over_ = answered_ = false;
  probe();
  const bool in_time = cluster_.run(kPartedElections * election() + kStartAndWrite, [this] { return answered_; });
  over_ = true;
  if (!in_time && !lost_another_than(nullptr)) world_.fail("I16", "a quorum whose machines all see each other takes no write");
  cluster_.network().mend_all();
}

// Asks whoever believes to lead, again and again: who leads without a quorum cannot answer.
void Steady::probe() {
  if (over_ || answered_) return;
  for (const auto& machine : cluster_.machines()) {
    if (machine->process() == nullptr || machine->process()->node().raft().role() != raft::Role::kLeader) continue;
    cluster_.command(*machine, {"SET", "probe", "1"}, [this](const checker::Answer& answer) {
      answered_ = answered_ || answer.kind == checker::Answer::Kind::kStatus;
    });
  }
  world_.scheduler.after(kProbeAgain, [this] { probe(); });
}

}  // namespace leto::sim
