// Faults outside the model: synced bytes of one node are lost or changed, by a disk that lies or rots, by a backup that is
// put back, by a directory that is copied. One node at a time, and only while the others can do without it for ever.
// The claim: it is found at start, at a read or by --check, and the node is silenced; here it is then replaced by a new
// one under its old id, as src/server/repair.h does it. Refuses to know how damage is found: machine.cc and process.cc do.
//
// Invariant: as long as one machine is suspect nothing is done to another one, nobody leaves, and no disk is wiped.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "tests/sim/operator.h"

namespace leto::sim {

class Damage {
 public:
  Damage(World& world, Cluster& cluster, Operator& operators);

  // REQUIRES: world.parameters.damaged. Which kinds, in which order, and no sooner than when.
  void plan();
  void begin();
  // Nothing is begun any more; who is suspect still is looked at.
  void end();

 private:
  struct Kind {
    Reached name;
    void (Damage::*inflict)();
  };
  static const Kind kKinds[];

  // Those that are planned, with what they are.
  struct Planned {
    Fault* fault = nullptr;
    const Kind* kind = nullptr;
  };

  void look();
  // Null: none is due.
  const Planned* next_due();
  void inject(const Planned& planned);
  void settle();
  // The victim's process ends in `length`.
  void restart_in(Microseconds length, Death how);
  void fault(storage::Operation kind, storage::Effect effect, bool sticky);
  // Changes some bits of the victim's file between two bytes; nothing if there are none.
  void rot(const std::string& path, uint64_t begin, uint64_t end);
  void rot_frame(bool last);
  void rot_spool();

  void lie_about_sync();
  void lose_write();
  void misdirect();
  void tear_block();
  void rot_log_tail() { rot_frame(true); }
  void rot_log_middle() { rot_frame(false); }
  void rot_hard_state();
  void rot_page();
  void rot_keys();
  void rot_snapshot();
  void restore_backup();
  void clone();
  void run_twice();
  // A copy that nobody found out is ended by who runs the machines.
  void watch_copy();

  World& world_;
  Cluster& cluster_;
  Operator& operators_;
  base::Random random_;               // For what is no fault.
  std::deque<Planned> planned_;       // Those that are left.
  Fault* fault_ = nullptr;            // The last one, and its victim.
  Machine* victim_ = nullptr;
  Microseconds next_at_ = 0;          // No damage before.
  Microseconds strikes_at_ = 0, judged_at_ = 0;
  Death strike_ = Death::kNone;
  Machine* copy_ = nullptr;           // Runs another member's directory, or did; null: none.
  Machine* saved_of_ = nullptr;       // Whose backup that is, and of which node.
  raft::NodeId saved_node_ = raft::kNobody;
  std::map<std::string, std::string> saved_;
  Fault* spool_fault_ = nullptr;      // By which the next snapshot on its way is changed; null: by none.
  bool over_ = false;
};

}  // namespace leto::sim
