// For whom a leader that is short of room keeps its log: followers that are about to get it. Who needs a snapshot gets nothing
// from the log; who is dead, or answers while its disk takes nothing, would keep the log for as long as that lasts. Refuses to
// know segments and bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "raft/raft.h"

namespace leto::server {

class AwaitedFollowers {
 public:
  // A follower that has got nothing new for so long is waited for no longer; long enough for a restart.
  static constexpr uint64_t kPatienceUs = 30000000;

  // What every follower that is waited for has, as of now; the end of the log if none lacks anything. To be called often: patience
  // begins with the first call since forget(), and anew with every one that finds the follower to have more than before.
  // REQUIRES: the node leads.
  raft::Index had_through(const raft::Raft& raft, uint64_t now_us);
  void forget() { seen_.clear(); }

 private:
  struct Seen {
    raft::NodeId node = raft::kNobody;
    raft::Index match = 0;
    uint64_t since_us = 0;   // When it had that first, or lacked nothing.
  };
  Seen see(const raft::PeerView& peer, raft::Index last, uint64_t now_us) const;

  std::vector<Seen> seen_;
};

}  // namespace leto::server
