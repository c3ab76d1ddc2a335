// At the leader: raises the cluster's semantics level once every member can apply a higher one. Refuses to know what a
// level changes.
//
// Invariants: a level is proposed only if each member of the configuration in force, learners too, said over the
// connection that is up now that it supports it, and nobody is about to be taken in; one proposal at a time.
#pragma once

#include <cstdint>
#include <functional>

#include "server/environment.h"
#include "server/replica.h"

namespace leto::server {

class SemanticsRaiser {
 public:
  // `changes_wait`: whether a change of the members waits or is under way.
  SemanticsRaiser(Replica& replica, const ReplicaParts& parts, raft::NodeId self, std::function<bool()> changes_wait);

  // Now and then.
  void advance();
  // What was proposed may be lost with the leadership.
  void leadership_lost();
  // The level of the replica is another than before: by an entry, or as the keys were loaded.
  void level_changed();

 private:
  // The highest level that every member supports; 0 while one of them is not connected.
  uint16_t level_of_all() const;

  Replica& replica_;
  Network& network_;
  const raft::NodeId self_;
  const uint16_t supported_;
  const std::function<bool()> changes_wait_;
  uint16_t proposed_ = 0;   // In the log, not applied yet; 0: none.
};

}  // namespace leto::server
