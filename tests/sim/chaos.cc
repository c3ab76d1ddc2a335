#include "tests/sim/chaos.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "tests/sim/process.h"

namespace leto::sim {

namespace {

using Number = unsigned long long;

constexpr uint64_t kStream = 0x63686173;
constexpr Microseconds kStallHigh = 5 * kSecond;
constexpr Microseconds kCrowdHigh = 6 * kSecond;

// Mostly short, sometimes long.
Microseconds draw_length(base::Random& random) {
  static constexpr Microseconds kHigh[] = {300 * kMillisecond, kSecond, 2 * kSecond, 6 * kSecond};
  return random.between(50 * kMillisecond, kHigh[random.below(4)]);
}

std::string milliseconds(Microseconds length) { return base::format("%llu ms", Number{length / kMillisecond}); }

std::string for_length(Microseconds length) { return ", for " + milliseconds(length); }

// The machines on either side: a bit for each.
std::string sides_of(uint64_t sides, size_t count) {
  std::string one, other;
  for (size_t number = 1; number <= count; ++number) ((sides >> (number - 1)) & 1 ? one : other) += base::format(" %zu", number);
  return one + " |" + other;
}

Death draw_death(base::Random& random) { return random.chance(1, 2) ? Death::kKill : Death::kPowerCut; }

}  // namespace

const Chaos::Class Chaos::kClasses[] = {
    {Reached::kPartition, 2, 4, &Chaos::partition},
    {Reached::kOneWay, 2, 3, &Chaos::one_way},
    {Reached::kBridge, 3, 3, &Chaos::bridge},
    {Reached::kIsolatedLeader, 2, 3, &Chaos::isolate_leader},
    {Reached::kSlowLeaderCutOff, 3, 5, &Chaos::cut_off_slow_leader},
    {Reached::kSlowLink, 2, 2, &Chaos::slow_link},
    {Reached::kDropped, 2, 2, &Chaos::lossy},
    {Reached::kRecycledAddress, 3, 3, &Chaos::recycle_address},
    {Reached::kKill, 1, 4, &Chaos::kill_one},
    {Reached::kPowerCut, 1, 4, &Chaos::cut_power},
    {Reached::kCrashLoop, 1, 1, &Chaos::crash_loop},
    {Reached::kKillAll, 1, 1, &Chaos::kill_all},
    {Reached::kPowerCutAll, 1, 1, &Chaos::cut_power_of_all},
    {Reached::kPause, 1, 3, &Chaos::pause_one},
    {Reached::kPauseLeader, 1, 2, &Chaos::pause_leader},
    {Reached::kStopInJob, 1, 3, &Chaos::stop_in_job},
    {Reached::kStopInRecovery, 1, 2, &Chaos::stop_in_recovery},
    {Reached::kCrashEncode, 1, 16, &Chaos::crash_at_step},
    {Reached::kShutdown, 1, 2, &Chaos::shut_down},
    {Reached::kSlowDisk, 1, 2, &Chaos::slow_disk},
    {Reached::kStalledDisk, 1, 2, &Chaos::stall_disk},
    {Reached::kDiskFull, 1, 2, &Chaos::fill_disk},
    {Reached::kDiskLow, 1, 3, &Chaos::crowd_disk},
    {Reached::kWriteError, 1, 2, &Chaos::fail_write},
    {Reached::kShortWrite, 1, 2, &Chaos::cut_write_short},
    {Reached::kSyncError, 1, 2, &Chaos::fail_sync},
    {Reached::kForgetfulSync, 1, 2, &Chaos::forget_sync},
    {Reached::kClockRate, 1, 2, &Chaos::change_rate},
    {Reached::kWallJump, 1, 2, &Chaos::jump_wall},
    {Reached::kClientGone, 1, 2, &Chaos::lose_client},
    {Reached::kBurst, 1, 1, &Chaos::burst},
    {Reached::kSnapshot, 1, 2, &Chaos::snapshot},
    {Reached::kComesBack, 1, 40, nullptr},
};

Chaos::Chaos(World& world, Cluster& cluster, std::vector<std::unique_ptr<Client>>& clients)
    : world_(world), cluster_(cluster), clients_(clients), operator_(world, cluster), damage_(world, cluster, operator_) {
  if (!world_.parameters.faultless) plan();
}

// What happens, and when, does not depend on what came of anything before.
void Chaos::plan() {
  operator_.plan_ambush();
  base::Random random = world_.stream(kStream);
  const uint64_t between = 2 * world_.parameters.between_faults;
  for (Microseconds at = random.below(between); at < world_.parameters.chaos; at += random.below(between)) plan_one(at, random);
  if (world_.parameters.damaged) damage_.plan();
}

void Chaos::plan_one(Microseconds at, base::Random& random) {
  uint64_t total = 0;
  for (const Class& each : kClasses) total += each.machines_min <= world_.parameters.machines ? each.weight : 0;
  uint64_t drawn = random.below(total);
  for (const Class& each : kClasses) {
    if (each.machines_min > world_.parameters.machines) continue;
    if (drawn >= each.weight) {
      drawn -= each.weight;
      continue;
    }
    if (each.inject == nullptr) return operator_.plan_one(at, random);
    world_.faults.add(each.name, at, [this, inject = each.inject](Fault& fault) { (this->*inject)(fault); });
    return;
  }
}

void Chaos::end() {
  over_ = true;
  world_.faults.end();
  operator_.end();
  damage_.end();
  cluster_.network().mend_all();
  for (const auto& machine : cluster_.machines()) {
    machine->disk.clear_faults();
    machine->lie_in_wait(Ambush::kNone, nullptr);
    machine->fall_at_no_step();
    machine->give_room();
    machine->weather.slow_low = machine->weather.slow_high = 0;
    machine->clock.set_rate_permille(SimClock::kRateOne);
  }
  world_.trace.text(0, "the faults are over");
}

Microseconds Chaos::settled_at() const {
  Microseconds last = world_.scheduler.now();
  for (const auto& machine : cluster_.machines()) {
    last = std::max({last, machine->paused_until(), machine->weather.stalled_until, machine->busy_until,
                     machine->room_seen_by()});
  }
  return last;
}

Machine& Chaos::leader_or_any(Fault& fault) {
  Machine* leader = cluster_.leader();
  return leader == nullptr ? any(fault) : *leader;
}

Machine& Chaos::half_leader(Fault& fault) { return fault.random.chance(1, 2) ? leader_or_any(fault) : any(fault); }

void Chaos::note(Fault& fault, const Machine& machine, const std::string& more) {
  world_.note(fault, fault.name, machine.number, more);
}

void Chaos::note(Fault& fault, const std::string& more) { world_.note(fault, fault.name, 0, more); }

void Chaos::note_if(bool befalls, Fault& fault, const Machine& machine, const std::string& more) {
  if (befalls) return note(fault, machine, more);
  world_.faults.tell(fault, machine.number, std::string(reached_name(fault.name)) + more + " (not counted)");
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

void Chaos::partition(Fault& fault) {
  const size_t count = cluster_.machines().size();
  const uint64_t sides = fault.random.between(1, (uint64_t{1} << count) - 2);
  const Microseconds length = draw_length(fault.random);
  note(fault, sides_of(sides, count) + for_length(length));
  for (size_t a = 1; a <= count; ++a) {
    for (size_t b = a + 1; b <= count; ++b) {
      if (((sides >> (a - 1)) & 1) != ((sides >> (b - 1)) & 1)) cut_both(a, b, length);
    }
  }
}

void Chaos::one_way(Fault& fault) {
  Machine& from = leader_or_any(fault);
  Machine& to = any(fault);
  if (&from == &to) return;
  const bool outward = fault.random.chance(1, 2);
  const Microseconds length = draw_length(fault.random);
  note(fault, from, base::format(", %s machine %zu", outward ? "to" : "from", to.number) + for_length(length));
  cut(outward ? from.number : to.number, outward ? to.number : from.number, length);
}

// One machine sees everyone; the others are in two groups that do not see each other.
void Chaos::bridge(Fault& fault) {
  const size_t count = cluster_.machines().size();
  const size_t middle = fault.random.between(1, count);
  const uint64_t sides = fault.random.below(uint64_t{1} << count);
  const Microseconds length = draw_length(fault.random);
  bool any_apart = false;
  for (size_t a = 1; a <= count; ++a) {
    for (size_t b = a + 1; b <= count; ++b) {
      const bool apart = ((sides >> (a - 1)) & 1) != ((sides >> (b - 1)) & 1);
      if (!apart || a == middle || b == middle) continue;
      cut_both(a, b, length);
      any_apart = true;
    }
  }
  note_if(any_apart, fault, *cluster_.machines()[middle - 1], " between" + sides_of(sides, count) + for_length(length));
}

void Chaos::isolate_leader(Fault& fault) {
  Machine& leader = leader_or_any(fault);
  const Microseconds length = draw_length(fault.random);
  const uint64_t kind = fault.random.below(3);   // Both ways, deaf, mute.
  const char* const way = kind == 0 ? "" : kind == 1 ? ", it hears nobody" : ", nobody hears it";
  note_if(&leader == cluster_.leader(), fault, leader, way + for_length(length));
  for (size_t other = 1; other <= cluster_.machines().size(); ++other) {
    if (other == leader.number) continue;
    if (kind != 2) cut(other, leader.number, length);
    if (kind != 1) cut(leader.number, other, length);
  }
}

// It believes for long that it leads, and some of its clients with it, while the others elect another soon.
void Chaos::cut_off_slow_leader(Fault& fault) {
  Machine* leader = cluster_.leader();
  if (leader == nullptr) return;
  const Microseconds length = world_.parameters.options.election_timeout_ms * kMillisecond * fault.random.between(2, 5);
  note(fault, *leader, for_length(length));
  for (const auto& machine : cluster_.machines()) {
    const bool leads = machine.get() == leader;
    machine->clock.set_rate_permille(leads ? world_.parameters.rate_low : world_.parameters.rate_high);
    if (!leads) cut_both(leader->number, machine->number, length);
    undo_after(length, [&machine = *machine] { machine.clock.set_rate_permille(SimClock::kRateOne); });
  }
}

void Chaos::slow_link(Fault& fault) {
  Machine& from = any(fault);
  Machine& to = any(fault);
  if (&from == &to) return;
  const Microseconds slow = fault.random.below(2 * world_.parameters.options.election_timeout_ms * kMillisecond);
  const Microseconds length = draw_length(fault.random);
  note(fault, from, base::format(", to machine %zu by ", to.number) + milliseconds(slow) + for_length(length));
  Link& link = cluster_.network().link(from.number, to.number);
  link.slow += slow;
  undo_after(length, [&link, slow] { link.slow -= slow; });
}

// Counted when a message is lost.
void Chaos::lossy(Fault& fault) {
  Machine& machine = leader_or_any(fault);
  const uint64_t drop = fault.random.between(500, 6000);
  world_.faults.tell(fault, machine.number, base::format("%s, %llu in 10000 of what it sends", reached_name(fault.name), Number{drop}));
  for (size_t other = 1; other <= cluster_.machines().size(); ++other) {
    Link& link = cluster_.network().link(machine.number, other);
    link.drop += drop;
    undo_after(draw_length(fault.random), [&link, drop] { link.drop -= drop; });
  }
}

// As when a host went and another one got its address: who sends to it dials the other one.
void Chaos::recycle_address(Fault& fault) {
  Machine& of = any(fault);
  Machine& by = any(fault);
  if (&of == &by) return;
  const Microseconds length = draw_length(fault.random);
  world_.faults.tell(fault, of.number, base::format("its address leads to machine %zu", by.number) + for_length(length));
  cluster_.network().lead_elsewhere(of, by, fault);
  undo_after(length, [this, &of] { cluster_.network().lead_back(of); });
}

// --- Nodes -------------------------------------------------------------------------------------------

// Mostly it comes back when a process may.
Microseconds Chaos::draw_downtime(Fault& fault) {
  return fault.random.chance(1, 3) ? draw_length(fault.random) : Cluster::draw_downtime(fault.random);
}

void Chaos::kill_one(Fault& fault) {
  Machine& machine = half_leader(fault);
  const Microseconds down = draw_downtime(fault);
  note_if(machine.has_process(), fault, machine, for_length(down));
  machine.fall(Death::kKill, down, fault);
}

// Also where no process is: what the last one left unsynced is lost.
void Chaos::cut_power(Fault& fault) {
  Machine& machine = half_leader(fault);
  const Microseconds down = draw_downtime(fault);
  note(fault, machine, for_length(down));
  machine.fall(Death::kPowerCut, down, fault);
}

void Chaos::crash_loop(Fault& fault) {
  Machine& machine = any(fault);
  const uint64_t times = fault.random.between(3, 6);
  note_if(machine.has_process(), fault, machine, base::format(", %llu times", Number{times}));
  Microseconds delay = 0;
  for (uint64_t left = times; left > 0; --left) {
    undo_after(delay, [&machine, &fault] {
      if (machine.has_process()) machine.fall(draw_death(fault.random), 5 * kMillisecond, fault);
    });
    delay += fault.random.between(10, 400) * kMillisecond;
  }
}

void Chaos::kill_all(Fault& fault) { fell_all(fault, Death::kKill); }

void Chaos::cut_power_of_all(Fault& fault) { fell_all(fault, Death::kPowerCut); }

bool Chaos::anyone_runs() const {
  return std::any_of(cluster_.machines().begin(), cluster_.machines().end(), [](const auto& each) { return each->has_process(); });
}

void Chaos::fell_all(Fault& fault, Death how) {
  if (anyone_runs() || how == Death::kPowerCut) note(fault, "");
  for (const auto& machine : cluster_.machines()) machine->fall(how, Cluster::draw_downtime(fault.random), fault);
}

void Chaos::pause_one(Fault& fault) { pause(fault, any(fault)); }

void Chaos::pause_leader(Fault& fault) { pause(fault, leader_or_any(fault)); }

void Chaos::pause(Fault& fault, Machine& machine) {
  const Microseconds length = draw_length(fault.random);
  const bool is_meant = fault.name == Reached::kPause || &machine == cluster_.leader();
  note_if(is_meant && machine.has_process(), fault, machine, for_length(length));
  machine.pause(length);
}

void Chaos::stop_in_job(Fault& fault) {
  Machine& machine = leader_or_any(fault);
  const uint64_t operations = fault.random.between(1, 60);
  world_.faults.tell(fault, machine.number, base::format("stop in a job, at operation %llu of its disk", Number{operations}));
  machine.arm_stop(operations, draw_death(fault.random));
}

void Chaos::crash_at_step(Fault& fault) {
  Machine& machine = half_leader(fault);
  const uint64_t step = fault.random.below(kSteps), count = fault.random.between(1, 20);
  const auto name = static_cast<Reached>(static_cast<size_t>(Reached::kCrashEncode) + step);
  world_.faults.tell(fault, machine.number, base::format("%s is to come, at time %llu", reached_name(name), Number{count}));
  machine.fall_at(static_cast<Step>(step), count, fault);
}

void Chaos::stop_in_recovery(Fault& fault) {
  Machine& machine = any(fault);
  const uint64_t operations = fault.random.between(1, 12);
  world_.faults.tell(fault, machine.number, base::format("stop in recovery, at operation %llu of its disk", Number{operations}));
  machine.fall(draw_death(fault.random), 10 * kMillisecond, fault);
  machine.arm_stop(operations, draw_death(fault.random));
}

void Chaos::shut_down(Fault& fault) {
  Machine& machine = half_leader(fault);
  if (machine.process() == nullptr) return;
  note(fault, machine, "");
  machine.shut_down();
}

// --- Disks -------------------------------------------------------------------------------------------

// Machine counts these two when a job meets them.
void Chaos::slow_disk(Fault& fault) {
  Machine& machine = half_leader(fault);
  const Microseconds low = fault.random.between(1, 20) * kMillisecond;
  const Microseconds high = low + fault.random.between(1, 400) * kMillisecond;
  const Microseconds length = draw_length(fault.random);
  world_.faults.tell(fault, machine.number, std::string(reached_name(fault.name)) + ", each job by " + milliseconds(low) + " to " +
                                                milliseconds(high) + for_length(length));
  machine.weather.slow_low = low;
  machine.weather.slow_high = high;
  machine.weather.slow_was_met = false;
  undo_after(length, [&machine] { machine.weather.slow_low = machine.weather.slow_high = 0; });
}

void Chaos::stall_disk(Fault& fault) {
  Machine& machine = half_leader(fault);
  const Microseconds length = fault.random.between(100 * kMillisecond, kStallHigh);
  world_.faults.tell(fault, machine.number, reached_name(fault.name) + for_length(length));
  machine.weather.stalled_until = world_.scheduler.now() + length;
  machine.weather.stall_was_met = false;
}

void Chaos::fill_disk(Fault& fault) {
  Machine& machine = half_leader(fault);
  const storage::OperationSet grows =
      storage::operations(storage::Operation::kWrite) | storage::operations(storage::Operation::kTruncate);
  const uint64_t at = fault.random.between(1, 10);
  const Microseconds length = draw_length(fault.random);
  world_.faults.tell(fault, machine.number, base::format("%s, from its operation %llu on", reached_name(fault.name), Number{at}) +
                                                for_length(length));
  const uint64_t armed =
      machine.disk.add_fault({.at = at, .kinds = grows, .effect = storage::Effect::kFull, .sticky = true, .path_part = {}});
  // Sometimes nobody who looks at the room is told of it.
  if (fault.random.chance(1, 2)) machine.take_room(0);
  undo_after(length, [&machine, armed] {
    machine.disk.remove_fault(armed);
    machine.give_room();
  });
}

// Others take up its room: it is short of it, or below its floor, and nothing fails yet.
void Chaos::crowd_disk(Fault& fault) {
  Machine& machine = half_leader(fault);
  const uint64_t floor = machine.options.disk_floor;
  const uint64_t room = fault.random.chance(2, 3) ? fault.random.below(floor) : fault.random.between(floor, 2 * floor - 1);
  const Microseconds length = fault.random.between(kSecond / 2, kCrowdHigh);
  world_.faults.tell(fault, machine.number, base::format("%s: %llu bytes are left", reached_name(fault.name), Number{room}) +
                                                for_length(length));
  machine.take_room(room);
  undo_after(length, [&machine] { machine.give_room(); });
}

void Chaos::fail_write(Fault& fault) { arm(fault, storage::Operation::kWrite, storage::Effect::kIoError); }

void Chaos::cut_write_short(Fault& fault) { arm(fault, storage::Operation::kWrite, storage::Effect::kShortWrite); }

void Chaos::fail_sync(Fault& fault) { arm(fault, storage::Operation::kSync, storage::Effect::kIoError); }

void Chaos::forget_sync(Fault& fault) { arm(fault, storage::Operation::kSync, storage::Effect::kForgetfulSync); }

// One of the next of its operations; Machine counts it when it is met.
void Chaos::arm(Fault& fault, storage::Operation operation, storage::Effect effect) {
  Machine& machine = half_leader(fault);
  const bool of_sync = operation == storage::Operation::kSync;
  const uint64_t at = fault.random.between(1, of_sync ? 10 : 20);
  world_.faults.tell(fault, machine.number, base::format("%s: %s number %llu of its disk", reached_name(fault.name),
                                                         of_sync ? "fsync" : "write", Number{at}));
  machine.disk.add_fault({.at = at, .kinds = storage::operations(operation), .effect = effect, .sticky = false, .path_part = {}});
}

// --- Time --------------------------------------------------------------------------------------------

void Chaos::change_rate(Fault& fault) {
  Machine& machine = any(fault);
  const uint64_t rate = fault.random.between(world_.parameters.rate_low, world_.parameters.rate_high);
  note_if(rate != SimClock::kRateOne, fault, machine, base::format(", %llu permille", Number{rate}));
  machine.clock.set_rate_permille(rate);
}

void Chaos::jump_wall(Fault& fault) {
  Machine& machine = any(fault);
  const auto by = static_cast<int64_t>(fault.random.below(2 * 3600 * 1000)) - 3600 * 1000;
  note(fault, machine, base::format(", %lld ms", static_cast<long long>(by)));
  machine.clock.jump_wall_ms(by);
}

// --- Clients -----------------------------------------------------------------------------------------

void Chaos::lose_client(Fault& fault) {
  const uint64_t index = fault.random.below(clients_.size());
  world_.faults.tell(fault, 0, base::format("%s: number %llu", reached_name(fault.name), Number{index + 1}));
  clients_[index]->vanish();
}

void Chaos::burst(Fault& fault) {
  note(fault, "");
  for (const auto& client : clients_) client->burst(fault.random.between(5, 30));
}

void Chaos::snapshot(Fault& fault) {
  Machine& machine = any(fault);
  if (machine.process() == nullptr) return;
  world_.faults.tell(fault, machine.number, "SNAPSHOT is asked for");
  cluster_.command(machine, {"SNAPSHOT"}, [this](const checker::Answer& answer) {
    if (answer == checker::Answer{.kind = checker::Answer::Kind::kStatus, .text = "OK"}) world_.coverage.note(Reached::kSnapshot);
  });
}

}  // namespace leto::sim
