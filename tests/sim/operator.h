// Who runs the cluster: members leave, come back, are replaced after their disk was wiped; leadership is handed
// over; all machines are restarted one by one; snapshots are asked for at bad moments. One line of a table for each
// operation. Refuses to know Raft's rules, but for one: a disk of a member is wiped only while the others can do
// without it for ever, which no more than one may be at a time.
//
// Invariant: after restore() has had its time every machine is a voter again.
#pragma once

#include <functional>
#include <vector>

#include "tests/sim/cluster.h"

namespace leto::sim {

class Operator {
 public:
  Operator(World& world, Cluster& cluster);

  // In some runs machines fall at their first snapshot, too.
  void begin() {
    if (random_.chance(1, 2)) lie_in_wait();
  }
  // One operation, drawn.
  void act();
  // Nothing is begun any more.
  void end() { over_ = true; }
  // Asks for what is missing until every machine is a voter, for as long as events run.
  void restore();
  // While held, that is not done.
  void hold(bool hold) { held_ = hold; }
  bool is_member(const Machine& machine) const;
  // Every machine is a member, nothing else is, and no change is under way or may still arrive.
  bool may_lose_one() const;
  // Its disk is another's, or empty: asks that it is a member again, if it is none.
  void replace(Machine& machine) { invite(machine, false); }

 private:
  struct Operation {
    Reached name;
    size_t machines_min;
    uint64_t weight;
    void (Operator::*begin)();
  };
  static const Operation kOperations[];

  Machine& any() { return cluster_.random_machine(random_); }
  // Null if there is none such.
  Machine* draw(const std::function<bool(const Machine&)>& fits);
  // Mostly who leads; null if nobody is there.
  Machine* host();
  void note(Reached what, const Machine& machine);
  void ask(Machine& host, const Request& request);
  void leave(Machine& machine);
  // Asks until it is a member, or half a dozen seconds have passed.
  void invite(Machine& machine, bool as_learner);
  void invite_until(Machine& machine, bool as_learner, Microseconds end);
  bool has_suspect() const;
  // A member's disk was wiped, and it was not replaced yet: nobody else may go meanwhile.
  bool has_lost_one() const;
  bool change_is_open() const;
  // Calls `look` every few milliseconds until it gives true.
  void watch_for(Microseconds length, std::function<bool()> look);
  void cut_off(const Machine& machine, Microseconds length);

  void leave_follower();
  void leave_leader();
  void leave_dead();
  void change_parted();
  void wipe();
  void come_back();
  void transfer_any();
  void transfer_lagging();
  void transfer_dead();
  void transfer_learner();
  void snapshot_in_change();
  void rolling_restart();
  void restart_from(size_t number);
  void compact_in_catch_up();
  void crash_in_snapshot();
  void lie_in_wait();

  World& world_;
  Cluster& cluster_;
  base::Random random_;
  bool over_ = false;
  bool restarting_ = false;
  bool held_ = false;
  Microseconds asked_at_ = 0;   // A LEAVE, last.
};

}  // namespace leto::sim
