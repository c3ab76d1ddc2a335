// Faults: one after the other, and several at once, drawn from the seed before they begin. One line of a table for each class.
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
    if (world_.parameters.damaged) damage_.begin();
  }
  void end();
  // When the last pause, the last stall and the jobs under way are over.
  Microseconds settled_at() const;
  // See Operator::restore().
  void restore_members() { operator_.restore(); }
  void hold_members(bool hold) { operator_.hold(hold); }

 private:
  struct Class {
    Reached name;
    size_t machines_min;
    uint64_t weight;
    void (Chaos::*inject)(Fault&);   // Null: what the operator does.
  };
  static const Class kClasses[];

  void plan();
  void plan_one(Microseconds at, base::Random& random);
  Machine& any(Fault& fault) { return cluster_.random_machine(fault.random); }
  Machine& leader_or_any(Fault& fault);
  Machine& half_leader(Fault& fault);
  void note(Fault& fault, const Machine& machine, const std::string& more);
  void note(Fault& fault, const std::string& more);
  // Counted only if it befalls what its name says.
  void note_if(bool befalls, Fault& fault, const Machine& machine, const std::string& more);
  // Undone after `length`, unless the chaos ended before.
  void undo_after(Microseconds length, std::function<void()> undo);
  void cut_both(size_t a, size_t b, Microseconds length);
  void cut(size_t from, size_t to, Microseconds length);
  Microseconds draw_downtime(Fault& fault);
  void fell_all(Fault& fault, Death how);
  bool anyone_runs() const;
  void pause(Fault& fault, Machine& machine);

  // net
  void partition(Fault& fault);
  void one_way(Fault& fault);
  void bridge(Fault& fault);
  void isolate_leader(Fault& fault);
  void cut_off_slow_leader(Fault& fault);
  void slow_link(Fault& fault);
  void lossy(Fault& fault);
  void recycle_address(Fault& fault);
  // node
  void kill_one(Fault& fault);
  void cut_power(Fault& fault);
  void crash_loop(Fault& fault);
  void kill_all(Fault& fault);
  void cut_power_of_all(Fault& fault);
  void pause_one(Fault& fault);
  void pause_leader(Fault& fault);
  void stop_in_job(Fault& fault);
  void stop_in_recovery(Fault& fault);
  void crash_at_step(Fault& fault);
  void shut_down(Fault& fault);
  // disk
  void slow_disk(Fault& fault);
  void stall_disk(Fault& fault);
  void fill_disk(Fault& fault);
  void crowd_disk(Fault& fault);
  void fail_write(Fault& fault);
  void cut_write_short(Fault& fault);
  void fail_sync(Fault& fault);
  void forget_sync(Fault& fault);
  void arm(Fault& fault, storage::Operation operation, storage::Effect effect);
  // time
  void change_rate(Fault& fault);
  void jump_wall(Fault& fault);
  // clients
  void lose_client(Fault& fault);
  void burst(Fault& fault);
  void snapshot(Fault& fault);

  World& world_;
  Cluster& cluster_;
  std::vector<std::unique_ptr<Client>>& clients_;
  Operator operator_;
  Damage damage_;
  bool over_ = false;
};

}  // namespace leto::sim
