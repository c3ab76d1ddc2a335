// One machine of the cluster: its disk, its clock, its address, and the process that runs on it, or does not.
// What survives the death of a process lives here. Refuses to know Raft.
//
// Invariants: an event of a process never runs after that process ended; nothing of a machine runs while it is
// paused; a process is destroyed only between events.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "keyspace/keyspace.h"
#include "server/options.h"
#include "storage/log_store.h"
#include "tests/sim/durable_log.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/world.h"
#include "tests/storage/test_vfs.h"

namespace leto::sim {

// Of a node, in its own disk.
inline constexpr char kDirectory[] = "/sim";

class Machine;
class Network;
class Process;

// Who looks at what a machine does; called within the event.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_started(Machine& machine) = 0;
  virtual void on_log_handed(Machine& machine, const std::vector<storage::LogWrite>& writes) = 0;
  // `durable` is still as it was before.
  virtual void on_log_durable(Machine& machine, const std::vector<storage::LogWrite>& writes) = 0;
  virtual void on_compacted(Machine& machine, raft::EntryId base) = 0;
  virtual void on_send(Machine& machine, const raft::Message& message) = 0;
  // A state that is about to be flushed, or was received as a snapshot.
  virtual void on_state(Machine& machine, const keyspace::StateHeader& header) = 0;
  // Its disk is empty, or another one, from now on; node() and `durable` are still those before.
  virtual void on_replaced(Machine& machine) = 0;
};

enum class Death : uint8_t { kNone, kKill, kPowerCut };

// At which step of a snapshot a machine is to fall.
enum class Ambush : uint8_t { kNone, kSending, kReceiving, kInstalling };

// What a process does at the edges of the simulation: before which, or behind which, it may end. In the order of the paths
// of a message, a job, and a write.
enum class Step : uint8_t { kEncode, kSend, kSent, kQueue, kQueued, kApply, kApplied, kReply, kReplied };
inline constexpr size_t kSteps = 9;

// How a machine's disk is today; faults change it.
struct DiskWeather {
  Microseconds slow_low = 0, slow_high = 0;   // Added to every job.
  Microseconds stalled_until = 0;             // No job ends before.
  bool slow_was_met = false, stall_was_met = false;   // By a job, since it was set.
};

struct MachineSetup {
  World& world;
  Network& network;
  Observer& observer;
  size_t number = 0;   // From 1.
};

class Machine {
 public:
  explicit Machine(const MachineSetup& setup);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Makes the data directory of a founder, or of a member of `configuration`, before the first start.
  void found(const std::string& cluster_id, const raft::Configuration& configuration);
  raft::Member member() const;

  // A process begins, and is ready after a moment. REQUIRES: none runs.
  void start();
  // It ends at the end of this event.
  void die(Death how) { death_ = death_ == Death::kPowerCut ? death_ : how; }
  // The same, by a fault: away for `down`; what a power cut leaves of its disk is drawn by the fault.
  void fall(Death how, Microseconds down, Fault& fault) {
    restart_delay = down;
    fate_ = fault.random.next();
    die(how);
  }
  bool dying() const { return death_ != Death::kNone; }
  // It ends at the end of this event, and comes back with an empty disk, as another node under the same id.
  void wipe() {
    die(Death::kKill);
    wiped_ = true;
  }
  // SIGTERM; the process ends by itself.
  void shut_down();
  void pause(Microseconds length);
  Microseconds paused_until() const { return paused_until_; }
  bool paused() const { return world_.scheduler.now() < paused_until_; }
  // After so many operations of its disk everything stops, and it dies so.
  void arm_stop(uint64_t operations, Death how);
  // Falls when it next comes to that step, at once or at an operation of its disk soon after. The fault draws how.
  void lie_in_wait(Ambush step, Fault* fault) {
    ambush_ = step;
    ambush_of_ = fault;
  }
  // Falls when it comes to that step for the `count`th time; see comes_to().
  void fall_at(Step step, uint64_t count, Fault& fault) {
    fatal_step_ = step;
    steps_left_ = count;
    step_of_ = &fault;
  }
  void fall_at_no_step() { steps_left_ = 0; }
  // Its disk says that it has so many bytes free, or plenty again.
  void take_room(uint64_t left) { room_ = left; }
  void give_room() {
    if (room_ != kRoomBytes) room_given_ = world_.scheduler.now();
    room_ = kRoomBytes;
  }
  uint64_t room() const { return room_; }
  // When a process has noticed that there is plenty again.
  Microseconds room_seen_by() const { return room_given_ == 0 ? 0 : room_given_ + kRoomSeenAfter; }
  // The process is at a step; false if it goes no further.
  bool comes_to(Step step);
  // So many operations of its disk went wrong, since the beginning.
  uint64_t disk_faults() const;
  // A fault outside the model, until the next death; see damage.h.
  void arm_damage(const storage::Fault& fault) { damage_faults_.push_back(disk.add_fault(fault)); }
  void choose_election_timeout();
  // The damage of this machine was found, by `by`: it ends, and another node takes its place. False: it is not suspect.
  bool find_damage(Reached by, const std::string& what);
  // The leader showed its process that it lost what it had acknowledged: it ends, and another node takes its place. A violation
  // unless damage went unnoticed before.
  void find_loss();
  // It has come to a step.
  void reaches(Ambush step);
  // Between events: buries the dead. True if a process ended.
  bool bury();

  // Null if no process is there, or is not ready.
  Process* process() { return ready() ? process_.get() : nullptr; }
  const Process* process() const { return ready() ? process_.get() : nullptr; }
  // Also one that is still loading.
  bool has_process() const { return process_ != nullptr; }
  bool ready() const;
  uint64_t life() const { return life_; }
  raft::NodeId node() const { return node_; }
  void set_node(raft::NodeId node) { node_ = node; }

  // Runs `action` in the present process, later; never if that ends before. Then the process takes a turn.
  void after(Microseconds delay, std::function<void()> action);
  // Runs a call of the stores: what it breaks breaks this machine.
  template <typename Call>
  auto in_store(Call call) {
    enter_store();
    auto result = call();
    leave_store();
    return result;
  }
  // Of a job that begins now and takes so many times what one of the log takes.
  Microseconds draw_job_time(uint64_t times);
  // When a job that would end at `time` really ends, as the disk is today.
  bool disk_stalls() const { return world_.scheduler.now() < weather.stalled_until; }

  const size_t number;
  const std::string id, raft_address, client_address;
  DiskWeather weather;
  SimClock clock;
  storage::TestDisk disk;
  DurableLog durable;
  raft::Index flushed = 0;   // What the current keys file has durably.
  uint64_t keys_lost = 0;    // The generation of its keys file that is lost, until a snapshot has taken its place.
  // A write that was handed to the store and never came back: it may be there after a restart, or not.
  std::vector<storage::LogWrite> unfinished;
  server::Options options;
  base::Random random;
  uint16_t semantics_supported = 1;   // By the program that is started next.
  // Outside the model; see damage.h.
  bool suspect = false;              // Synced bytes were lost or changed, by `damage`, and nobody has found it yet.
  Reached damage = Reached::kEnd;
  DurableLog before_last, before_last_two;   // `durable`, without the last write, or two. Only in runs with damage.
  bool copy_is_summed = false;       // Of its keys, for others: what changes from now on is noticed.
  bool checked_before_start = false;   // By --check, which then has the last word.
  std::map<std::string, std::string> comes_back_with;   // In the place of its disk, after the next death; unless empty.
  bool runs_copy = false;            // Its directory is a copy of that of a member that runs, too.
  uint64_t start_failures = 0;
  Microseconds restart_delay = 0;   // After the next death; 0: whatever.
  Microseconds down_until = 0;      // No process is started before.
  Microseconds busy_until = 0;      // When the jobs of its disk that were begun are over.
  bool touched = false;             // Something of its process ran since the invariants were looked at.

  World& world() { return world_; }
  Network& network() { return network_; }
  Observer& observer() { return observer_; }

  // What is logged within is logged by this machine.
  void speaks(const std::function<void()>& action);
  // Of the machine whose stores are being called; see storage/fatal.h.
  static void on_fatal(const std::string& text);
  static void on_log(std::string_view text);

 private:
  void run(uint64_t life, const std::function<void()>& action);
  void open_and_run();
  bool finds_damage_before_start();
  void begin_anew();
  void note_disk_fault(storage::Effect effect, storage::Operation operation);
  void befalls(Reached what);
  void meet_weather(bool& was_met, Reached what);
  void take_damage_away();
  void enter_store();
  void leave_store();

  World& world_;
  Network& network_;
  Observer& observer_;
  std::unique_ptr<Process> process_;
  raft::NodeId node_ = raft::kNobody;   // As raft.db says.
  uint64_t life_ = 0;                   // Of the process; another for each.
  static constexpr uint64_t kRoomBytes = uint64_t{1} << 40;
  static constexpr Microseconds kRoomSeenAfter = 2 * kSecond;   // Twice DiskFloor::kLookUs: its clock may be slow.
  uint64_t room_ = kRoomBytes;
  Microseconds room_given_ = 0;         // 0: never.
  Death death_ = Death::kNone;
  bool wiped_ = false;
  uint64_t fate_ = 0;                   // Of a death by a fault; 0: of another.
  Death death_at_stop_ = Death::kKill;
  std::vector<uint64_t> damage_faults_;   // Of its disk, that are armed.
  Ambush ambush_ = Ambush::kNone;
  Fault* ambush_of_ = nullptr;          // Unless there is none.
  Step fatal_step_ = Step::kEncode;
  uint64_t steps_left_ = 0;             // 0: it falls at none.
  Fault* step_of_ = nullptr;
  Microseconds paused_until_ = 0;
};

}  // namespace leto::sim
