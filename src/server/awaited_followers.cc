#include "server/awaited_followers.h"

#include <algorithm>

#include "server/tick.h"

namespace leto::server {

AwaitedFollowers::Seen AwaitedFollowers::see(const raft::PeerView& peer, raft::Index last, uint64_t now_us) const {
  const auto known = std::find_if(seen_.begin(), seen_.end(), [&](const Seen& each) { return each.node == peer.node; });
  const bool waits_still = known != seen_.end() && peer.match <= known->match && peer.match < last;
  return {.node = peer.node, .match = peer.match, .since_us = waits_still ? known->since_us : now_us};
}

raft::Index AwaitedFollowers::had_through(const raft::Raft& raft, uint64_t now_us) {
  const raft::Index last = raft.last().index;
  raft::Index had = last;
  std::vector<Seen> seen;
  for (const raft::PeerView& peer : raft.peers()) {
    seen.push_back(see(peer, last, now_us));
    const bool is_silent = peer.ticks_since_heard * kTickMs * 1000 >= kPatienceUs;
    const bool is_stuck = now_us - seen.back().since_us >= kPatienceUs;
    if (!peer.needs_snapshot && !is_silent && !is_stuck) had = std::min(had, peer.match);
  }
  seen_ = std::move(seen);
  return had;
}

}  // namespace leto::server
