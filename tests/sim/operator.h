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
  void plan_ambush();
  // One operation, drawn by `random`.
  void plan_one(Microseconds at, base::Random& random);
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
  void replace(Fault& fault, Machine& machine) { invite(fault, {.machine = machine}); }

 private:
  struct Operation {
    Reached name;
    size_t machines_min;
    uint64_t weight;
    void (Operator::*begin)(Fault&);
  };
  static const Operation kOperations[];
  // A machine that is to be taken in.
  struct Invitation {
    Machine& machine;
    bool as_learner = false;
    std::function<void()> asked = {};   // Called once, when the first JOIN is sent.
    Microseconds end = 0;
  };

  Machine& any(Fault& fault) { return cluster_.random_machine(fault.random); }
  // Null if there is none such.
  Machine* draw(base::Random& random, const std::function<bool(const Machine&)>& fits);
  // Mostly who leads; null if nobody is there.
  Machine* host(Fault& fault);
  void note(Fault& fault, Reached what, const Machine& machine) { world_.note(fault, what, machine.number); }
  // Both false if nothing was sent.
  bool ask(Machine& host, const Request& request);
  bool leave(Fault& fault, Machine& machine, bool forced = false);
  // Of who was removed from that cluster: then its disk is wiped, if it may be now.
  bool has_to_begin_anew(const Machine& asked, Machine& machine);
  // Asks until it is a member, or half a dozen seconds have passed.
  void invite(Fault& fault, Invitation invitation);
  void invite_until_end(Fault& fault, Invitation invitation);
  bool has_suspect() const;
  // A member's disk was wiped, and it was not replaced yet: nobody else may go meanwhile.
  bool has_lost_one() const;
  bool change_is_open() const;
  // Calls `look` every few milliseconds until it gives true.
  void watch_for(Microseconds length, std::function<bool()> look);
  void cut_off(const Machine& machine, Microseconds length);

  void leave_follower(Fault& fault);
  void leave_leader(Fault& fault);
  void leave_dead(Fault& fault);
  void remove_dead(Fault& fault, Machine& machine);
  void change_parted(Fault& fault);
  bool leave_parted(Fault& fault, Machine& apart);
  void wipe(Fault& fault);
  void come_back(Fault& fault);
  void transfer_any(Fault& fault);
  void transfer_lagging(Fault& fault);
  void transfer_dead(Fault& fault);
  void bring_learner(Fault& fault);
  void transfer_learner(Fault& fault);
  void snapshot_in_change(Fault& fault);
  void rolling_restart(Fault& fault);
  void restart_from(Fault& fault, size_t number);
  void compact_in_catch_up(Fault& fault);
  void crash_in_snapshot(Fault& fault);
  void lie_in_wait(Fault& fault);

  World& world_;
  Cluster& cluster_;
  base::Random random_;         // For what is no fault.
  bool over_ = false;
  bool restarting_ = false;
  bool held_ = false;
  Microseconds asked_at_ = 0;   // A LEAVE, last.
};

}  // namespace leto::sim
