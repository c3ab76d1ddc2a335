#include "tests/sim/machine.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "storage/check.h"
#include "storage/damage.h"
#include "storage/first_look.h"
#include "tests/sim/process.h"

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x6d616368;
constexpr Microseconds kStartLow = 5 * kMillisecond, kStartHigh = 60 * kMillisecond;
Machine* calling = nullptr;    // Whose stores are being called.
Machine* speaking = nullptr;   // Whose process is running.

}  // namespace

Machine::Machine(const MachineSetup& setup)
    : number(setup.number),
      id(base::format("id%zu", setup.number)),
      raft_address(base::format("10.0.0.%zu:15379", setup.number)),
      client_address(base::format("10.0.0.%zu:5379", setup.number)),
      clock(setup.world.scheduler),
      disk(base::format("sim-%zu", setup.number)),
      options(setup.world.parameters.options),
      random(setup.world.stream(kStream + setup.number)),
      world_(setup.world),
      network_(setup.network),
      observer_(setup.observer) {
  clock.set_wall_offset_ms(static_cast<int64_t>(random.below(20000)) - 10000);
  node_ = random.next() | 1;
  disk.on_fault([this](storage::Effect effect, storage::Operation operation) { note_disk_fault(effect, operation); });
}

Machine::~Machine() {
  disk.stop();
  process_.reset();
}

void Machine::found(const std::string& cluster_id, const raft::Configuration& configuration) {
  Process process(*this);
  const base::Status status = process.found(cluster_id, configuration);
  LETO_ASSERT(status.is_ok(), status.text());
}

raft::Member Machine::member() const {
  return {.node = node_, .id = id, .role = raft::MemberRole::kVoter, .raft_address = raft_address,
          .client_address = client_address};
}

bool Machine::ready() const { return process_ != nullptr && process_->ready(); }

void Machine::start() {
  LETO_ASSERT(process_ == nullptr && death_ == Death::kNone, "one process on one machine");
  ++life_;
  if (world_.parameters.timeouts_differ) choose_election_timeout();
  process_ = std::make_unique<Process>(*this);
  world_.trace.text(number, "starts");
  after(random.between(kStartLow, kStartHigh), [this] { open_and_run(); });
}

// As while they are changed node by node: lowered and raised, by a lot.
void Machine::choose_election_timeout() {
  static constexpr uint64_t kParts[] = {1, 4, 16};
  options.election_timeout_ms = world_.parameters.options.election_timeout_ms / kParts[random.below(3)];
}

uint64_t Machine::disk_faults() const {
  uint64_t faults = 0;
  for (size_t i = 0; i < storage::kEffects; ++i) faults += disk.times_reached(static_cast<storage::Effect>(i));
  return faults;
}

void Machine::note_disk_fault(storage::Effect effect, storage::Operation operation) {
  static constexpr Reached kOfEffect[storage::kEffects] = {
      Reached::kWriteError, Reached::kDiskFull,  Reached::kShortWrite,  Reached::kForgetfulSync,
      Reached::kLyingSync,  Reached::kLostWrite, Reached::kMisdirected, Reached::kEnd};
  Reached what = kOfEffect[static_cast<size_t>(effect)];
  if (effect == storage::Effect::kIoError && operation == storage::Operation::kSync) what = Reached::kSyncError;
  if (what != Reached::kEnd) befalls(what);   // A stop is noted once the store has returned.
}

void Machine::befalls(Reached what) {
  world_.coverage.note(what);
  world_.trace.text(number, std::string("of its disk befalls it: ") + reached_name(what));
}

void Machine::meet_weather(bool& was_met, Reached what) {
  if (!std::exchange(was_met, true)) befalls(what);
}

void Machine::take_damage_away() {
  for (const uint64_t armed : std::exchange(damage_faults_, {})) disk.remove_fault(armed);
}

// As the real server, and as somebody who runs --check.
bool Machine::finds_damage_before_start() {
  if (!suspect) return false;
  const base::Status look = storage::look_at_log_files(kDirectory, disk.name());
  if (!look.is_ok()) return find_damage(Reached::kFoundInWal, look.text());
  if (!checked_before_start) return false;
  const storage::CheckReport report = storage::check_directory(kDirectory, disk.name());
  return !report.damages.empty() && find_damage(Reached::kFoundChecking, report.damages.front());
}

bool Machine::find_damage(Reached by, const std::string& what) {
  if (!suspect) return false;
  world_.coverage.note(by);
  world_.trace.text(number, std::string(reached_name(by)) + ": " + what);
  suspect = false;
  wipe();
  return true;
}

void Machine::find_loss() {
  if (!world_.unnoticed) world_.fail("D16", "a node on a sound disk is shown that it lost what it acknowledged");
  world_.coverage.note(Reached::kFoundByLeader);
  world_.trace.text(number, reached_name(Reached::kFoundByLeader));
  wipe();
}

void Machine::open_and_run() {
  if (finds_damage_before_start()) return;
  const uint64_t faults_before = disk_faults();
  const base::Status status = in_store([this] { return process_->open(); });
  const uint64_t faults_after = disk_faults();
  const bool wrong = !status.is_ok() && faults_before == faults_after;
  if (wrong && find_damage(Reached::kFoundOpening, status.text())) return;
  if (status.is_ok() && !dying() && process_->finds_damage()) return;
  if (status.is_ok() && !dying()) {
    process_->begin();
    if (ready() && !dying()) observer_.on_started(*this);
    return;
  }
  if (!status.is_ok()) world_.trace.text(number, "cannot start: " + status.text());
  if (faults_before == faults_after) world_.fail("I12", "a node does not start on a sound disk: " + status.text());
  world_.coverage.note(Reached::kStartFailed);
  ++start_failures;
  die(Death::kKill);
}

void Machine::shut_down() {
  Process* running = process();
  if (running == nullptr) return;
  world_.trace.text(number, "is told to shut down");
  running->shut_down();
}

void Machine::pause(Microseconds length) {
  paused_until_ = std::max(paused_until_, world_.scheduler.now() + length);
  world_.trace.text(number, base::format("is paused for %llu ms", static_cast<unsigned long long>(length / kMillisecond)));
}

void Machine::arm_stop(uint64_t operations, Death how) {
  death_at_stop_ = how;
  disk.add_fault({.at = operations, .kinds = storage::kAnyChange, .effect = storage::Effect::kStop, .sticky = false,
                  .path_part = {}});
}

void Machine::reaches(Ambush step) {
  if (ambush_ != step || dying()) return;
  ambush_ = Ambush::kNone;
  static constexpr Reached kNames[] = {Reached::kCrashSending, Reached::kCrashReceiving, Reached::kCrashInstalling};
  const Reached name = kNames[static_cast<size_t>(step) - 1];
  world_.note(*ambush_of_, name, number);
  base::Random& drawn = ambush_of_->random;
  const bool at_once = drawn.chance(1, 3);
  const Death how = drawn.chance(1, 2) ? Death::kKill : Death::kPowerCut;
  if (at_once) return die(how);
  arm_stop(drawn.between(1, 12), how);
}

bool Machine::comes_to(Step step) {
  if (dying()) return false;
  if (steps_left_ == 0 || step != fatal_step_ || --steps_left_ > 0) return true;
  world_.note(*step_of_, static_cast<Reached>(static_cast<size_t>(Reached::kCrashEncode) + static_cast<size_t>(step)), number);
  die(step_of_->random.chance(1, 2) ? Death::kKill : Death::kPowerCut);
  return false;
}

// As another node: ids are never reused.
void Machine::begin_anew() {
  observer_.on_replaced(*this);
  disk.clear_faults();
  disk.restore({});
  suspect = checked_before_start = runs_copy = false;
  comes_back_with.clear();
  durable.clear();
  unfinished.clear();
  flushed = 0;
  keys_lost = 0;
  node_ = random.next() | 1;
  world_.trace.text(number, "has an empty disk");
  found("", {.members = {member()}});
}

bool Machine::bury() {
  if (death_ == Death::kNone) return false;
  const Death how = std::exchange(death_, Death::kNone);
  // What the dead process leaves to its destructors does nothing any more.
  disk.stop();
  const bool ran = process_ != nullptr;
  if (ran) process_->abandon();
  process_.reset();
  const uint64_t fate = std::exchange(fate_, 0);
  if (how == Death::kPowerCut) {
    base::Random drawn(fate != 0 ? fate : random.next());
    disk.power_cut(drawn);
    clock.restart();
  } else {
    disk.kill();
  }
  world_.trace.text(number, how == Death::kPowerCut ? "loses power" : "is dead");
  paused_until_ = 0;
  busy_until = 0;
  ++life_;
  take_damage_away();
  if (!comes_back_with.empty()) {
    world_.coverage.note(damage);
    observer_.on_replaced(*this);
    disk.restore(std::exchange(comes_back_with, {}));
  }
  if (std::exchange(wiped_, false)) begin_anew();
  return ran;
}

void Machine::after(Microseconds delay, std::function<void()> action) {
  world_.scheduler.after(delay, [this, life = life_, action = std::move(action)] { run(life, action); });
}

void Machine::run(uint64_t life, const std::function<void()>& action) {
  if (life != life_) return;
  if (paused()) {
    world_.scheduler.at(paused_until_, [this, life, action] { run(life, action); });
    return;
  }
  speaks(action);
  if (process_ != nullptr) process_->wake();
}

void Machine::speaks(const std::function<void()>& action) {
  speaking = this;
  touched = true;
  action();
  speaking = nullptr;
}

void Machine::on_log(std::string_view text) {
  if (speaking != nullptr) speaking->world_.trace.text(speaking->number, text);
}

void Machine::enter_store() { calling = this; }

// A stop at an operation of the disk is the end of the machine, whatever the store made of it.
void Machine::leave_store() {
  calling = nullptr;
  if (!disk.stopped()) return;
  world_.coverage.note(ready() ? Reached::kStopInJob : Reached::kStopInRecovery);
  die(death_at_stop_);
}

void Machine::on_fatal(const std::string& text) {
  LETO_ASSERT(calling != nullptr, text);
  calling->world_.trace.text(calling->number, "ends: " + text);
  if (storage::is_damage(text) && calling->find_damage(Reached::kFoundRunning, text)) return;
  calling->world_.coverage.note(Reached::kDiedInWrite);
  calling->die(calling->random.chance(1, 2) ? Death::kKill : Death::kPowerCut);
}

Microseconds Machine::draw_job_time(uint64_t times) {
  const DiskParameters& usual = world_.parameters.disk;
  Microseconds time = random.between(usual.commit_low, usual.commit_high);
  if (random.chance(usual.hiccup, 10000)) time += random.between(5, 60) * kMillisecond;
  if (weather.slow_high > 0) {
    time += random.between(weather.slow_low, weather.slow_high);
    meet_weather(weather.slow_was_met, Reached::kSlowDisk);
  }
  if (disk_stalls()) {
    time += weather.stalled_until - world_.scheduler.now();
    meet_weather(weather.stall_was_met, Reached::kStalledDisk);
  }
  busy_until = std::max(busy_until, world_.scheduler.now() + times * time);
  return times * time;
}

}  // namespace leto::sim
