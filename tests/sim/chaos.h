// Faults: one after the other, and several at once, drawn from the seed. One line of a table for each class.
// Refuses to know what they lead to. Invariant: after end() no fault is in force but those that end by
// themselves before settled_at().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/client.h"
#include "tests/sim/cluster.h"
#include "tests/sim/damage.h"
#include "tests/sim/operator.h"

namespace leto::sim {

class Chaos {
 public:
  Chaos(World& world, Cluster& cluster, std::vector<std::unique_ptr<Client>>& clients);

  void begin() {
    operator_.begin();
    if (world_.parameters.damaged) damage_.begin();
    schedule_next();
  }
  void end();
  // When the last pause and the last stalled job are over.
  Microseconds settled_at() const;
  // See Operator::restore().
  void restore_members() { operator_.restore(); }
  void hold_members(bool hold) { operator_.hold(hold); }

 private:
  struct Class {
    Reached name;
    size_t machines_min;
    uint64_t weight;
    void (Chaos::*inject)();
  };
  static const Class kClasses[];

  void schedule_next();
  void inject_one();
  Machine& any() { return cluster_.random_machine(random_); }
  Machine& leader_or_any();
  Microseconds draw_length();
  void note(Reached what, const Machine& machine, const std::string& more = {});
  // Undone after `length`, unless the chaos ended before.
  void undo_after(Microseconds length, std::function<void()> undo);
  void cut_both(size_t a, size_t b, Microseconds length);
  void cut(size_t from, size_t to, Microseconds length);
  void kill(Machine& machine, Death how, Microseconds down);

  // net
  void partition();
  void one_way();
  void bridge();
  void isolate_leader();
  void cut_off_slow_leader();
  void slow_link();
  void lossy();
  // node
  void kill_one();
  void cut_power();
  void crash_loop();
  void kill_all();
  void cut_power_of_all();
  void pause_one();
  void pause_leader();
  void stop_in_job();
  void stop_in_recovery();
  void shut_down();
  // disk
  void slow_disk();
  void stall_disk();
  void fill_disk();
  void fail_sync();
  void forget_sync();
  // time
  void change_rate();
  void jump_wall();
  // clients
  void lose_client();
  void burst();
  void snapshot();
  // operations
  void operate() { operator_.act(); }

  World& world_;
  Cluster& cluster_;
  std::vector<std::unique_ptr<Client>>& clients_;
  base::Random random_;
  Operator operator_;
  Damage damage_;
  bool over_ = false;
};

}  // namespace leto::sim
