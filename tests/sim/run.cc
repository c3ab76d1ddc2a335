#include "tests/sim/run.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "storage/fatal.h"
#include "tests/checker/linearizability.h"
#include "tests/checker/local_reads.h"
#include "tests/sim/chaos.h"
#include "tests/sim/check_files.h"
#include "tests/sim/local_reader.h"
#include "tests/sim/mover.h"
#include "tests/sim/process.h"
#include "tests/sim/steady.h"

namespace leto::sim {

namespace {

using Number = unsigned long long;

constexpr Microseconds kBootLength = 30 * kSecond;
constexpr uint64_t kHealingElections = 10;        // I16: election timeouts.
constexpr Microseconds kRestoreLength = 40 * kSecond;
constexpr Microseconds kConvergeLength = 20 * kSecond;
constexpr Microseconds kCalmLength = 500 * kMillisecond;
constexpr Microseconds kEndLength = 30 * kSecond;
constexpr Microseconds kStartAndWrite = 500 * kMillisecond;

const World* present = nullptr;

class Run {
 public:
  Run(const RunOptions& options, const Faults::Told& told)
      : parameters_(make_parameters(options.seed)), world_(parameters_, options.prints), cluster_(world_), workload_(world_),
        steady_(world_, cluster_), planted_left_(options.planted), planted_asserts_(options.planted_asserts) {
    for (uint64_t number = 1; number <= parameters_.clients.count; ++number) {
      clients_.push_back(std::make_unique<Client>(
          ClientSetup{.world = world_, .workload = workload_, .directory = cluster_, .number = number}));
    }
    if (parameters_.clients.local_reader) {
      local_reader_ = std::make_unique<LocalReader>(ClientSetup{
          .world = world_, .workload = workload_, .directory = cluster_, .number = parameters_.clients.count + 1});
    }
    if (parameters_.clients.mover) {
      mover_ = std::make_unique<Mover>(ClientSetup{
          .world = world_, .workload = workload_, .directory = cluster_, .number = parameters_.clients.count + 2});
    }
    plan(options.without, told);
    present = &world_;
  }
  ~Run() { present = nullptr; }

  SeedResult go();
  uint64_t faults() const { return world_.faults.count(); }

 private:
  void plan(const NumberSet& without, const Faults::Told& told);
  void plan_rate(Reached name, uint64_t& rate, const char* what, const char* unit = "in 10000");
  void check_planted(uint64_t fault);
  void boot();
  void disturb();
  void heal();
  void expect_leader(Microseconds bound);
  void pass_until(Microseconds end);
  void stay_steady();
  void calm_down();
  void read_moved();
  void read_everything();
  void end();
  void judge();
  void expect(Microseconds length, const std::function<bool()>& done, const char* what);
  bool clients_idle() const;
  Microseconds converge_length() const;
  void start_clients();
  void stop_clients();

  Parameters parameters_;   // Once all is planned they do not change.
  World world_;
  Cluster cluster_;
  Workload workload_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::unique_ptr<LocalReader> local_reader_;   // Null in most runs.
  std::unique_ptr<Mover> mover_;                // Null in some.
  std::unique_ptr<Chaos> chaos_;
  Steady steady_;
  std::vector<std::pair<Fault*, std::string>> standing_;   // The rates, and what is told of them.
  NumberSet planted_left_;
  const bool planted_asserts_;
};

// The order is that of their numbers.
void Run::plan(const NumberSet& without, const Faults::Told& told) {
  world_.faults.leave_out(without);
  plan_rate(Reached::kDropped, parameters_.network.drop, "messages are lost");
  plan_rate(Reached::kDuplicated, parameters_.network.duplicate, "messages are doubled");
  plan_rate(Reached::kReordered, parameters_.network.reorder, "messages are overtaken");
  plan_rate(Reached::kLateBeyondElection, parameters_.network.late, "messages are late beyond an election");
  plan_rate(Reached::kBitFlipped, parameters_.network.flip, "frames with a bit that was flipped");
  plan_rate(Reached::kOversized, parameters_.network.oversize, "frames with a length beyond the bound");
  plan_rate(Reached::kCutInFrame, parameters_.network.cut_in_frame, "frames in which the connection ends");
  plan_rate(Reached::kRetriedUnknown, parameters_.clients.retries, "unknown outcomes that are asked for again");
  plan_rate(Reached::kLargestEntry, parameters_.clients.huge, "values as large as an entry may be, and larger");
  plan_rate(Reached::kBeyondBound, parameters_.uncommitted_bytes_max, "writes wait beyond few uncommitted bytes", "bytes");
  plan_rate(Reached::kSlowDisk, parameters_.disk.hiccup, "jobs of the disks take 5 to 60 ms more");
  if (parameters_.upgrade) cluster_.plan_upgrade(parameters_.chaos);
  chaos_ = std::make_unique<Chaos>(world_, cluster_, clients_);
  steady_.plan();
  world_.faults.set_told([this, told](const FaultLine& line) {
    told(line);
    check_planted(line.fault);
  });
}

// What befalls messages and jobs one by one is one fault, from the founding to the healing.
void Run::plan_rate(Reached name, uint64_t& rate, const char* what, const char* unit) {
  if (rate == 0) return;
  Fault& fault = world_.faults.add(name, 0, {});
  standing_.emplace_back(&fault, base::format("all the time: %s, %llu %s", what, Number{rate}, unit));
  if (fault.left_out) rate = 0;
}

void Run::check_planted(uint64_t fault) {
  if (planted_left_.erase(fault) == 0 || !planted_left_.empty()) return;
  LETO_ASSERT(!planted_asserts_, "planted");
  world_.fail("planted", base::format("fault %llu was the last of them", Number{fault}));
}

SeedResult Run::go() {
  const std::vector<void (Run::*)()> phases = {&Run::boot,     &Run::disturb,         &Run::heal, &Run::stay_steady,
                                               &Run::calm_down, &Run::read_everything, &Run::end,  &Run::judge};
  for (const auto phase : phases) {
    if (!world_.failed()) (this->*phase)();
  }
  SeedResult result{.seed = parameters_.seed, .hash = world_.trace.hash(), .events = world_.scheduler.events_run(),
                    .simulated = world_.scheduler.now(), .tally = workload_.tally(), .coverage = world_.coverage,
                    .faults = faults(), .faultless = parameters_.faultless, .violation = world_.violation, .last_events = {}};
  if (world_.excused) result.violation.clear();
  if (world_.failed()) result.last_events = world_.trace.last_events();
  return result;
}

void Run::expect(Microseconds length, const std::function<bool()>& done, const char* what) {
  if (!cluster_.run(length, done)) world_.fail("I16", std::string("not in time: ") + what);
}

bool Run::clients_idle() const {
  for (const auto& client : clients_) {
    if (!client->idle()) return false;
  }
  return (local_reader_ == nullptr || local_reader_->idle()) && (mover_ == nullptr || mover_->idle());
}

void Run::start_clients() {
  for (const auto& client : clients_) client->start();
  if (local_reader_) local_reader_->start();
  if (mover_) mover_->start();
}

void Run::stop_clients() {
  for (const auto& client : clients_) client->stop();
  if (local_reader_) local_reader_->stop();
  if (mover_) mover_->stop();
}

void Run::boot() {
  world_.trace.text(0, base::format("seed %llu: %zu machines, %s, %zu clients, election timeout %llu ms%s",
                                    Number{parameters_.seed}, parameters_.machines,
                                    parameters_.founded_by_join ? "joined" : "founded together", parameters_.clients.count,
                                    Number{parameters_.options.election_timeout_ms},
                                    parameters_.faultless ? ", without faults" : ""));
  for (const auto& [fault, text] : standing_) {
    if (!fault->left_out) world_.faults.tell(*fault, 0, text);
  }
  cluster_.begin();
  expect(kBootLength, [this] { return cluster_.is_whole(); }, "the cluster is founded");
}

void Run::disturb() {
  if (parameters_.faultless) workload_.forbid_errors();
  start_clients();
  world_.faults.begin();
  chaos_->begin();
  if (parameters_.upgrade) cluster_.probe();
  const Microseconds end = world_.scheduler.now() + parameters_.chaos;
  cluster_.run(parameters_.chaos, [this, end] { return world_.scheduler.now() >= end; });
}

// All but one may need a snapshot, and they share a rate; a crash in one may have come just before.
Microseconds Run::converge_length() const {
  uint64_t largest = 0;
  for (const auto& machine : cluster_.machines()) {
    for (const std::string& path : machine->disk.paths()) largest = std::max(largest, machine->disk.contents(path).size());
  }
  const uint64_t rate = parameters_.options.snapshot_rate;
  return kConvergeLength + (rate == 0 ? 0 : largest * parameters_.machines * kSecond / rate);
}

// A LEAVE from before the healing may have made one part of every quorum whom the log does not reach: it needs a snapshot first.
void Run::expect_leader(Microseconds bound) {
  const auto led = [this] { return cluster_.is_led(); };
  if (cluster_.run(bound, led)) return;
  expect(cluster_.commit_needs_snapshot() ? converge_length() : 0, led, "a leader after the healing");
}

void Run::pass_until(Microseconds end) {
  cluster_.run(end, [this, end] { return world_.scheduler.now() >= end; });
}

// I16: the faults are over; a leader within ten election timeouts, then everyone agrees.
void Run::heal() {
  world_.healing = true;
  chaos_->end();
  stop_clients();
  const Microseconds settled = chaos_->settled_at();   // Who is started does jobs of its own.
  cluster_.start_all();
  // Who falls with the last fault has not fallen yet: nothing is judged before that.
  pass_until(std::max(settled, world_.scheduler.now() + kMillisecond));
  // One that was told to shut down before goes on with it.
  expect(kEndLength, [this] { return !cluster_.anyone_leaves(); }, "whoever shuts down has done so");
  const Microseconds bound = kHealingElections * parameters_.options.election_timeout_ms * kMillisecond + kStartAndWrite;
  expect_leader(bound);
  chaos_->restore_members();
  expect(kRestoreLength, [this] { return cluster_.is_whole(); }, "every machine is a member again");
  expect(converge_length(), [this] { return cluster_.has_converged(); }, "everyone has applied the same");
  expect(kEndLength, [this] { return clients_idle(); }, "every request is answered");
  if (!parameters_.upgrade || cluster_.leaves_upgrade_out()) return;
  expect(converge_length(), [this] { return cluster_.is_upgraded(); }, "everyone is at the raised level");
}

// I17, and I16 while not everyone sees everyone.
void Run::stay_steady() {
  if (parameters_.faultless) return;
  chaos_->hold_members(true);
  steady_.go();
  chaos_->hold_members(false);
  pass_until(chaos_->settled_at());   // A pause of steady.cc may still go on.
  expect(kRestoreLength, [this] { return cluster_.is_whole(); }, "every machine is a member again");
  expect(converge_length(), [this] { return cluster_.has_converged(); }, "everyone has applied the same again");
}

// Without faults nothing is refused.
void Run::calm_down() {
  workload_.forbid_errors();
  read_moved();
  start_clients();
  const Microseconds end = world_.scheduler.now() + kCalmLength;
  cluster_.run(kCalmLength, [this, end] { return world_.scheduler.now() >= end; });
  stop_clients();
  expect(kEndLength, [this] { return clients_idle(); }, "every request of the calm is answered");
}

// Nothing is under way: what the mover does not know of its writes is settled by now.
void Run::read_moved() {
  if (mover_ == nullptr) return;
  bool done = false;
  mover_->read_all([&done] { done = true; });
  expect(kEndLength, [&done] { return done; }, "every key of the mover is read");
}

void Run::read_everything() {
  read_moved();
  bool done = false;
  clients_.front()->read_all({workload_.keys().begin(), workload_.keys().end()}, [&done] { done = true; });
  expect(kEndLength, [&done] { return done; }, "every key is read");
  expect(converge_length(), [this] { return cluster_.has_converged(); }, "everyone agrees at the end");
}

void Run::end() {
  cluster_.invariants().check_all();
  for (const auto& machine : cluster_.machines()) {
    const keyspace::Keyspace& keyspace = machine->process()->node().keyspace();
    if (!(keyspace.digest() == keyspace.recompute_digest())) world_.fail("I13", "a digest is not that of its keys");
  }
  if (world_.failed()) return;
  std::map<size_t, uint64_t> generations;
  for (const auto& machine : cluster_.machines()) {
    generations[machine->number] = machine->process()->node().identity().keys_generation;
  }
  cluster_.holds_down = true;
  for (const auto& machine : cluster_.machines()) machine->shut_down();
  expect(kEndLength, [this] {
    for (const auto& machine : cluster_.machines()) {
      if (machine->has_process()) return false;
    }
    return true;
  }, "everyone shuts down");
  for (const auto& machine : cluster_.machines()) {
    if (world_.failed()) return;
    if (const std::string wrong = check_files(machine->disk, generations[machine->number]); !wrong.empty()) {
      world_.fail("I13", wrong);
    }
    if (machine->disk.had_two_writers()) world_.fail("storage", "a file had two writers at once");
  }
}

void Run::judge() {
  for (auto& [key, operations] : workload_.history().by_key()) {
    const checker::Judgement judgement = checker::judge(operations);
    if (judgement.verdict == checker::Verdict::kLinearizable) continue;
    const bool undecided = judgement.verdict == checker::Verdict::kUndecided;
    for (const checker::Operation& operation : operations) world_.trace.text(0, "  " + checker::readable(operation));
    return world_.fail("I14", "key " + key + (undecided ? " is undecided" : " is not linearizable, stuck at " + judgement.stuck_at));
  }
  for (auto& [key, operations] : workload_.history().local_by_key()) {
    if (const std::string wrong = checker::judge_local_reads(operations); !wrong.empty()) {
      return world_.fail("I14", "a local read of key " + key + ", " + wrong);
    }
  }
}

}  // namespace

SeedResult run_seed(const RunOptions& options, const std::function<void(uint64_t)>& decided, const Faults::Told& told) {
  storage::seed_sqlite(static_cast<uint32_t>(options.seed));
  storage::set_fatal_handler(Machine::on_fatal);
  Run run(options, told);
  decided(run.faults());
  base::set_log_sink([](base::LogLevel, std::string_view text) { Machine::on_log(text); });
  SeedResult result = run.go();
  base::set_log_sink([](base::LogLevel, std::string_view) {});
  return result;
}

SeedResult run_seed(const RunOptions& options) {
  return run_seed(options, [](uint64_t) {}, [](const FaultLine&) {});
}

void print_last_events() {
  if (present != nullptr) std::fputs(present->trace.last_events().c_str(), stderr);
}

bool damage_went_unnoticed() { return present != nullptr && present->unnoticed; }

}  // namespace leto::sim
