// Handing leadership over on request. First it waits until the chosen node can win: a node that has just started gives no vote
// for an election timeout (D18), and one that has just joined may be a voter by then. Then everything that was proposed is
// committed, so that no write ends as UNKNOWN; then one voter is told to campaign. Writes that arrive in these two steps
// wait in the replica. Refuses to know who asked for it and what follows.
//
// Invariants: one at a time; writes are held for at most two election timeouts; `done` is called once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "server/environment.h"
#include "server/replica.h"

namespace leto::server {

// Of the voters that were heard within `ticks`, and whose connection was not lost since, the one that has the most of the log,
// or nobody. Those in `passed_over` are left out.
raft::NodeId best_successor(const raft::Raft& raft, raft::NodeId self, uint64_t ticks,
                            const std::set<raft::NodeId>& passed_over = {});

class Handover {
 public:
  // An empty error means that the chosen node leads; one that begins with UNKNOWN that it may lead later.
  using Done = std::function<void(const std::string& error)>;
  Handover(Replica& replica, const ReplicaParts& parts, raft::NodeId self);

  bool under_way() const { return stage_ != Stage::kNone; }
  // kNobody: the best voter. `done` may be called before this returns.
  // REQUIRES: this node leads.
  void begin(raft::NodeId to, Done done);
  // Takes the next step; call it once per turn, after the replica's.
  void advance();

 private:
  enum class Stage : uint8_t { kNone, kAwaitsVotes, kDraining, kTransferring, kAwaitsLeader };

  std::string objection(raft::NodeId to) const;
  std::string name_of(raft::NodeId node) const;
  void note_members();
  bool can_win(raft::NodeId to) const;
  void await_votes();
  void drain();
  void watch_transfer();
  void await_leader();
  void finish(const std::string& error);

  Replica& replica_;
  const Options& options_;
  Environment environment_;
  const raft::NodeId self_;
  Stage stage_ = Stage::kNone;
  raft::NodeId to_ = raft::kNobody;
  uint64_t began_us_ = 0;   // The wait for votes, later the draining: what follows counts from there.
  raft::Term term_ = 0;     // In which `to_` was told to campaign.
  std::map<raft::NodeId, uint64_t> member_since_us_;   // When each member was first seen to be one.
  Done done_;
};

}  // namespace leto::server
