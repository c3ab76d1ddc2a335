// After the healing: what must not shake a cluster. One machine that is cut off, deaf, killed or paused again and
// again, or removed without being told, leaves the leader alone (I17); with links cut at will, but none within a
// quorum, there is soon a leader that takes writes (I16). Refuses to know clients and other faults.
#pragma once

#include <cstdint>

#include "tests/sim/cluster.h"
#include "tests/sim/operator.h"

namespace leto::sim {

class Steady {
 public:
  Steady(World& world, Cluster& cluster) : world_(world), cluster_(cluster) {}

  // One of the two, as a fault, or nothing.
  void plan();
  // A violation if it does not hold. REQUIRES: the cluster is whole. Afterwards the
  // links are whole, but who was removed is to be taken in again.
  void go();

 private:
  static constexpr uint64_t kStream = 0x73746561;

  bool all_vote();
  void shake_one();
  void shake(Machine& victim, uint64_t kind);
  void set_links(const Machine& victim, bool cut, bool deaf_only);
  void part_all_but_quorum();
  void probe();
  // A LEAVE that was asked for before the healing came into force only now; who left may be on its way back.
  bool lost_another_than(const Machine* victim) const;
  void pass(Microseconds length);
  Microseconds election() const { return world_.parameters.options.election_timeout_ms * kMillisecond; }

  World& world_;
  Cluster& cluster_;
  Fault* fault_ = nullptr;   // Unless nothing is planned.
  bool over_ = false;
  bool answered_ = false;
};

}  // namespace leto::sim
