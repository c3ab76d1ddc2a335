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
    bool (Damage::*inflict)();   // False: there is nothing yet that it could befall.
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
  // False: not yet.
  bool inject(const Planned& planned);
  void save();
  void settle();
  bool has_started_since() const;
  // The victim's process ends in `length`.
  void restart_in(Microseconds length, Death how);
  bool fault(storage::Operation kind, storage::Effect effect, bool sticky);
  // Changes some bits of the victim's file between two bytes, if there are any.
  bool rot(const std::string& path, uint64_t begin, uint64_t end);
  bool rot_frame(bool last);
  void rot_spool();

  bool lie_about_sync();
  bool lose_write();
  bool misdirect();
  bool tear_block();
  bool rot_log_tail() { return rot_frame(true); }
  bool rot_log_middle() { return rot_frame(false); }
  bool rot_hard_state();
  bool rot_page();
  bool rot_keys();
  bool lose_keys();
  bool rot_snapshot();
  bool restore_backup();
  bool restore_log();
  bool clone();
  bool run_twice();
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
  uint64_t struck_life_ = 0;          // Of the victim; what it was at the strike, or when it began if there is none.
  Machine* copy_ = nullptr;           // Runs another member's directory, or did; null: none.
  Machine* saved_of_ = nullptr;       // Whose backup that is, and of which node.
  raft::NodeId saved_node_ = raft::kNobody;
  std::map<std::string, std::string> saved_;
  raft::Index saved_last_ = 0;        // Its log went to there.
  Fault* spool_fault_ = nullptr;      // By which the next snapshot on its way is changed; null: by none.
  bool over_ = false;
};

}  // namespace leto::sim
