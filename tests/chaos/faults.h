// Does to a cluster what the schedule says, and undoes it. Counts what it did. Refuses to know clients' answers.
//
// A disk is emptied only when its node is no member any more, or while all others are there: else a majority could be lost
// for good, and that is no fault of Leto's.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "tests/chaos/cluster.h"
#include "tests/chaos/schedule.h"

namespace leto::chaos {

struct FaultsSetup {
  Loop& loop;
  sim::World& world;
  Cluster& cluster;
  Network& network;
  std::vector<std::unique_ptr<Client>>& clients;
  size_t slow_node = 1;     // Gives up an election, and its leadership, later than the others.
  size_t small_disk = 0;    // The node whose directory is on a small file system of its own; 0: none.
  bool prints = false;      // Each fault, as it is done.
};

class Faults {
 public:
  explicit Faults(const FaultsSetup& setup) : setup_(setup) {}

  // REQUIRES (all): as Loop::run_until(). Whether it could be done, as the cluster is now.
  bool apply(const Fault& fault);
  // Everything is put right: all nodes run, the network is free, disks have room. Who was removed is taken in again.
  void mend();
  // How often each was done.
  const std::array<uint64_t, kFaultKinds>& counts() const { return counts_; }

 private:
  // Whether it could be done.
  bool do_fault(const Fault& fault);
  bool end_or_stop(const Fault& fault);
  bool operate(const Fault& fault);
  bool hurt_disk(const Fault& fault);
  bool cut_network(const Fault& fault);

  bool kill(const std::vector<size_t>& nodes);
  bool replace(size_t node, bool leaves);
  bool fill_disk();
  void free_disk();
  // All are members, nothing is in doubt: a write has gone through since.
  bool is_settled();
  // A leader that clings to its office while the others elect another one.
  bool isolate_slow_leader();
  void isolate(size_t node, bool hears, bool is_heard);
  void divide(const std::vector<size_t>& minority, Cut how, size_t bridge);
  std::vector<size_t> some(uint64_t pick, size_t count) const;
  size_t any(uint64_t pick) const { return 1 + pick % setup_.cluster.nodes(); }
  size_t leader_or_any(uint64_t pick) const;
  size_t other_member(size_t node) const;

  FaultsSetup setup_;
  std::array<uint64_t, kFaultKinds> counts_ = {};
  std::vector<size_t> slow_;   // Whose fsyncs are delayed.
};

}  // namespace leto::chaos
