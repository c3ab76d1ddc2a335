#include "tests/sim/chaos.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "tests/sim/process.h"

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x63686173;
constexpr Microseconds kStallHigh = 5 * kSecond;

}  // namespace

const Chaos::Class Chaos::kClasses[] = {
    {Reached::kPartition, 2, 4, &Chaos::partition},
    {Reached::kOneWay, 2, 3, &Chaos::one_way},
    {Reached::kBridge, 3, 3, &Chaos::bridge},
    {Reached::kIsolatedLeader, 2, 3, &Chaos::isolate_leader},
    {Reached::kSlowLeaderCutOff, 3, 5, &Chaos::cut_off_slow_leader},
    {Reached::kSlowLink, 2, 2, &Chaos::slow_link},
    {Reached::kDropped, 2, 2, &Chaos::lossy},
    {Reached::kKill, 1, 4, &Chaos::kill_one},
    {Reached::kPowerCut, 1, 4, &Chaos::cut_power},
    {Reached::kCrashLoop, 1, 1, &Chaos::crash_loop},
    {Reached::kKillAll, 1, 1, &Chaos::kill_all},
    {Reached::kPowerCutAll, 1, 1, &Chaos::cut_power_of_all},
    {Reached::kPause, 1, 3, &Chaos::pause_one},
    {Reached::kPauseLeader, 1, 2, &Chaos::pause_leader},
    {Reached::kStopInJob, 1, 3, &Chaos::stop_in_job},
    {Reached::kStopInRecovery, 1, 2, &Chaos::stop_in_recovery},
    {Reached::kShutdown, 1, 2, &Chaos::shut_down},
    {Reached::kSlowDisk, 1, 2, &Chaos::slow_disk},
    {Reached::kStalledDisk, 1, 2, &Chaos::stall_disk},
    {Reached::kDiskFull, 1, 2, &Chaos::fill_disk},
    {Reached::kSyncError, 1, 2, &Chaos::fail_sync},
    {Reached::kForgetfulSync, 1, 2, &Chaos::forget_sync},
    {Reached::kClockRate, 1, 2, &Chaos::change_rate},
    {Reached::kWallJump, 1, 2, &Chaos::jump_wall},
    {Reached::kClientGone, 1, 2, &Chaos::lose_client},
    {Reached::kBurst, 1, 1, &Chaos::burst},
    {Reached::kSnapshot, 1, 2, &Chaos::snapshot},
    {Reached::kComesBack, 1, 40, &Chaos::operate},
};

Chaos::Chaos(World& world, Cluster& cluster, std::vector<std::unique_ptr<Client>>& clients)
    : world_(world), cluster_(cluster), clients_(clients), random_(world.stream(kStream)), operator_(world, cluster),
      damage_(world, cluster, operator_) {}

void Chaos::schedule_next() {
  world_.scheduler.after(random_.below(2 * world_.parameters.between_faults), [this] {
    if (over_) return;
    inject_one();
    schedule_next();
  });
}

void Chaos::inject_one() {
  uint64_t total = 0;
  for (const Class& each : kClasses) total += each.machines_min <= world_.parameters.machines ? each.weight : 0;
  uint64_t drawn = random_.below(total);
  for (const Class& each : kClasses) {
    if (each.machines_min > world_.parameters.machines) continue;
    if (drawn < each.weight) return (this->*each.inject)();
    drawn -= each.weight;
  }
}

void Chaos::end() {
  over_ = true;
  operator_.end();
  damage_.end();
  cluster_.network().mend_all();
  for (const auto& machine : cluster_.machines()) {
    machine->disk.clear_faults();
    machine->lie_in_wait(Ambush::kNone);
    machine->weather.slow_low = machine->weather.slow_high = 0;
    machine->clock.set_rate_permille(SimClock::kRateOne);
  }
  world_.trace.text(0, "the faults are over");
}

Microseconds Chaos::settled_at() const {
  Microseconds last = world_.scheduler.now();
  for (const auto& machine : cluster_.machines()) {
    last = std::max({last, machine->paused_until(), machine->weather.stalled_until + kSecond});
  }
  return last + kSecond;   // For the slow jobs under way.
}

Machine& Chaos::leader_or_any() {
  Machine* leader = cluster_.leader();
  return leader == nullptr ? any() : *leader;
}

// Mostly short, sometimes long.
Microseconds Chaos::draw_length() {
  static constexpr Microseconds kHigh[] = {300 * kMillisecond, kSecond, 2 * kSecond, 6 * kSecond};
  return random_.between(50 * kMillisecond, kHigh[random_.below(4)]);
}

void Chaos::note(Reached what, const Machine& machine, const std::string& more) {
  world_.coverage.note(what);
  world_.trace.text(machine.number, std::string("FAULT ") + reached_name(what) + more);
}

void Chaos::undo_after(Microseconds length, std::function<void()> undo) {
  world_.scheduler.after(length, [this, undo = std::move(undo)] {
    if (!over_) undo();
  });
}

// --- Network -----------------------------------------------------------------------------------------

void Chaos::cut(size_t from, size_t to, Microseconds length) {
  ++cluster_.network().link(from, to).cuts;
  undo_after(length, [this, from, to] { --cluster_.network().link(from, to).cuts; });
}

void Chaos::cut_both(size_t a, size_t b, Microseconds length) {
  cut(a, b, length);
  cut(b, a, length);
}

void Chaos::partition() {
  const size_t count = cluster_.machines().size();
  const uint64_t sides = random_.between(1, (uint64_t{1} << count) - 2);
  const Microseconds length = draw_length();
  note(Reached::kPartition, any(), base::format(", sides %llx", static_cast<unsigned long long>(sides)));
  for (size_t a = 1; a <= count; ++a) {
    for (size_t b = a + 1; b <= count; ++b) {
      if (((sides >> (a - 1)) & 1) != ((sides >> (b - 1)) & 1)) cut_both(a, b, length);
    }
  }
}

void Chaos::one_way() {
  Machine& from = leader_or_any();
  Machine& to = any();
  if (&from == &to) return;
  const bool outward = random_.chance(1, 2);
  note(Reached::kOneWay, from, base::format(", %s machine %zu", outward ? "to" : "from", to.number));
  cut(outward ? from.number : to.number, outward ? to.number : from.number, draw_length());
}

// One machine sees everyone; the others are in two groups that do not see each other.
void Chaos::bridge() {
  const size_t count = cluster_.machines().size();
  const size_t middle = random_.between(1, count);
  const uint64_t sides = random_.below(uint64_t{1} << count);
  const Microseconds length = draw_length();
  note(Reached::kBridge, *cluster_.machines()[middle - 1], base::format(", sides %llx", static_cast<unsigned long long>(sides)));
  for (size_t a = 1; a <= count; ++a) {
    for (size_t b = a + 1; b <= count; ++b) {
      const bool apart = ((sides >> (a - 1)) & 1) != ((sides >> (b - 1)) & 1);
      if (apart && a != middle && b != middle) cut_both(a, b, length);
    }
  }
}

void Chaos::isolate_leader() {
  Machine& leader = leader_or_any();
  const Microseconds length = draw_length();
  const uint64_t kind = random_.below(3);   // Both ways, deaf, mute.
  note(Reached::kIsolatedLeader, leader, kind == 0 ? "" : kind == 1 ? ", it hears nobody" : ", nobody hears it");
  for (size_t other = 1; other <= cluster_.machines().size(); ++other) {
    if (other == leader.number) continue;
    if (kind != 2) cut(other, leader.number, length);
    if (kind != 1) cut(leader.number, other, length);
  }
}

// It believes for long that it leads, and some of its clients with it, while the others elect another soon.
void Chaos::cut_off_slow_leader() {
  Machine* leader = cluster_.leader();
  if (leader == nullptr) return;
  note(Reached::kSlowLeaderCutOff, *leader);
  const Microseconds length = world_.parameters.options.election_timeout_ms * kMillisecond * random_.between(2, 5);
  for (const auto& machine : cluster_.machines()) {
    const bool leads = machine.get() == leader;
    machine->clock.set_rate_permille(leads ? world_.parameters.rate_low : world_.parameters.rate_high);
    if (!leads) cut_both(leader->number, machine->number, length);
    undo_after(length, [&machine = *machine] { machine.clock.set_rate_permille(SimClock::kRateOne); });
  }
}

void Chaos::slow_link() {
  Machine& from = any();
  Machine& to = any();
  if (&from == &to) return;
  const Microseconds slow = random_.below(2 * world_.parameters.options.election_timeout_ms * kMillisecond);
  note(Reached::kSlowLink, from, base::format(", to machine %zu by %llu ms", to.number,
                                              static_cast<unsigned long long>(slow / kMillisecond)));
  Link& link = cluster_.network().link(from.number, to.number);
  link.slow += slow;
  undo_after(draw_length(), [&link, slow] { link.slow -= slow; });
}

void Chaos::lossy() {
  Machine& machine = leader_or_any();
  const uint64_t drop = random_.between(500, 6000);
  note(Reached::kDropped, machine, base::format(", %llu in 10000", static_cast<unsigned long long>(drop)));
  for (size_t other = 1; other <= cluster_.machines().size(); ++other) {
    Link& link = cluster_.network().link(machine.number, other);
    link.drop += drop;
    undo_after(draw_length(), [&link, drop] { link.drop -= drop; });
  }
}

// --- Nodes -------------------------------------------------------------------------------------------

void Chaos::kill(Machine& machine, Death how, Microseconds down) {
  machine.restart_delay = down;
  machine.die(how);
}

void Chaos::kill_one() {
  Machine& machine = random_.chance(1, 2) ? leader_or_any() : any();
  note(Reached::kKill, machine);
  kill(machine, Death::kKill, random_.chance(1, 3) ? draw_length() : 0);
}

void Chaos::cut_power() {
  Machine& machine = random_.chance(1, 2) ? leader_or_any() : any();
  note(Reached::kPowerCut, machine);
  kill(machine, Death::kPowerCut, random_.chance(1, 3) ? draw_length() : 0);
}

void Chaos::crash_loop() {
  Machine& machine = any();
  note(Reached::kCrashLoop, machine);
  Microseconds delay = 0;
  for (uint64_t left = random_.between(3, 6); left > 0; --left) {
    undo_after(delay, [this, &machine] {
      if (machine.has_process()) kill(machine, random_.chance(1, 2) ? Death::kKill : Death::kPowerCut, 5 * kMillisecond);
    });
    delay += random_.between(10, 400) * kMillisecond;
  }
}

void Chaos::kill_all() {
  note(Reached::kKillAll, any());
  for (const auto& machine : cluster_.machines()) kill(*machine, Death::kKill, 0);
}

void Chaos::cut_power_of_all() {
  note(Reached::kPowerCutAll, any());
  for (const auto& machine : cluster_.machines()) kill(*machine, Death::kPowerCut, 0);
}

void Chaos::pause_one() {
  Machine& machine = any();
  note(Reached::kPause, machine);
  machine.pause(draw_length());
}

void Chaos::pause_leader() {
  Machine& machine = leader_or_any();
  note(Reached::kPauseLeader, machine);
  machine.pause(draw_length());
}

void Chaos::stop_in_job() {
  Machine& machine = leader_or_any();
  world_.trace.text(machine.number, "FAULT stop in a job, soon");
  machine.arm_stop(random_.between(1, 60));
}

void Chaos::stop_in_recovery() {
  Machine& machine = any();
  world_.trace.text(machine.number, "FAULT stop in recovery, soon");
  kill(machine, random_.chance(1, 2) ? Death::kKill : Death::kPowerCut, 10 * kMillisecond);
  machine.arm_stop(random_.between(1, 12));
}

void Chaos::shut_down() {
  Machine& machine = random_.chance(1, 2) ? leader_or_any() : any();
  if (machine.process() == nullptr) return;
  machine.shut_down();
}

// --- Disks -------------------------------------------------------------------------------------------

void Chaos::slow_disk() {
  Machine& machine = random_.chance(1, 2) ? leader_or_any() : any();
  note(Reached::kSlowDisk, machine);
  machine.weather.slow_low = random_.between(1, 20) * kMillisecond;
  machine.weather.slow_high = machine.weather.slow_low + random_.between(1, 400) * kMillisecond;
  undo_after(draw_length(), [&machine] { machine.weather.slow_low = machine.weather.slow_high = 0; });
}

void Chaos::stall_disk() {
  Machine& machine = random_.chance(1, 2) ? leader_or_any() : any();
  note(Reached::kStalledDisk, machine);
  machine.weather.stalled_until = world_.scheduler.now() + random_.between(100 * kMillisecond, kStallHigh);
}

void Chaos::fill_disk() {
  Machine& machine = random_.chance(1, 2) ? leader_or_any() : any();
  note(Reached::kDiskFull, machine);
  const storage::OperationSet grows =
      storage::operations(storage::Operation::kWrite) | storage::operations(storage::Operation::kTruncate);
  machine.disk.add_fault({.at = random_.between(1, 10), .kinds = grows, .effect = storage::Effect::kFull, .sticky = true,
                          .path_part = {}});
  undo_after(draw_length(), [&machine] { machine.disk.clear_faults(); });
}

void Chaos::fail_sync() {
  Machine& machine = random_.chance(1, 2) ? leader_or_any() : any();
  note(Reached::kSyncError, machine);
  const bool of_sync = random_.chance(1, 2);
  const storage::Operation kind = of_sync ? storage::Operation::kSync : storage::Operation::kWrite;
  const storage::Effect effect = of_sync || random_.chance(1, 2) ? storage::Effect::kIoError : storage::Effect::kShortWrite;
  machine.disk.add_fault({.at = random_.between(1, 20), .kinds = storage::operations(kind), .effect = effect,
                          .sticky = false, .path_part = {}});
}

void Chaos::forget_sync() {
  Machine& machine = random_.chance(1, 2) ? leader_or_any() : any();
  note(Reached::kForgetfulSync, machine);
  machine.disk.add_fault({.at = random_.between(1, 10), .kinds = storage::operations(storage::Operation::kSync),
                          .effect = storage::Effect::kForgetfulSync, .sticky = false, .path_part = {}});
}

// --- Time --------------------------------------------------------------------------------------------

void Chaos::change_rate() {
  Machine& machine = any();
  const uint64_t rate = random_.between(world_.parameters.rate_low, world_.parameters.rate_high);
  note(Reached::kClockRate, machine, base::format(", %llu permille", static_cast<unsigned long long>(rate)));
  machine.clock.set_rate_permille(rate);
}

void Chaos::jump_wall() {
  Machine& machine = any();
  const auto by = static_cast<int64_t>(random_.below(2 * 3600 * 1000)) - 3600 * 1000;
  note(Reached::kWallJump, machine, base::format(", %lld ms", static_cast<long long>(by)));
  machine.clock.jump_wall_ms(by);
}

// --- Clients -----------------------------------------------------------------------------------------

void Chaos::lose_client() { clients_[random_.below(clients_.size())]->vanish(); }

void Chaos::burst() {
  note(Reached::kBurst, any());
  for (const auto& client : clients_) client->burst(random_.between(5, 30));
}

void Chaos::snapshot() {
  Machine& machine = any();
  if (machine.process() == nullptr) return;
  cluster_.command(machine, {"SNAPSHOT"});
}

}  // namespace leto::sim
