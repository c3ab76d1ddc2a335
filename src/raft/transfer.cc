// Handing leadership over (thesis 3.10), on request or because the disk hangs (D17).
#include <cinttypes>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "raft/state.h"

namespace leto::raft {

TransferResult Raft::State::transfer(NodeId to) {
  if (!leads()) return TransferResult::kNotLeader;
  const Member* member = configuration().find(to);
  const bool stays_voter =
      member && (member->role == MemberRole::kVoter || member->role == MemberRole::kIncoming);
  if (to == self || !stays_voter) return TransferResult::kNotVoter;
  if (leading.transfer_to != kNobody) return TransferResult::kInProgress;
  begin_transfer(to);
  return TransferResult::kAccepted;
}

void Raft::State::begin_transfer(NodeId to) {
  LETO_LOG(kNotice, "raft: hands leadership of term %" PRIu64 " over to %s", term(), name_of(to).c_str());
  leading.transfer_to = to;
  leading.transfer_ticks = 0;
  drop_lease();
  send_timeout_now();
}

// Sent again with each heartbeat until it takes effect or the transfer is given up. The voters will not
// protect this leader against a candidate that was told so, whenever the message arrives: no lease again
// in this term (D18, scenario 19).
void Raft::State::send_timeout_now() {
  const Progress* peer = progress_of(leading.transfer_to);
  if (!peer || peer->match != log.last().index) return;
  leading.lease_given_up = true;
  LETO_ASSERT(!lease_holds(), "D18: a lease outlives TimeoutNow");
  send(to(leading.transfer_to, TimeoutNow{}));
}

void Raft::State::tick_transfer() {
  if (leading.transfer_to != kNobody && ++leading.transfer_ticks >= options.election_ticks) {
    LETO_LOG(kNotice, "raft: %s did not take over: leads on", name_of(leading.transfer_to).c_str());
    leading.transfer_to = kNobody;
  }
  const bool must_leave = disk_stalled && !is_only_voter() && leading.transfer_to == kNobody;
  if (must_leave) become_follower(term(), kNobody, "its disk is stalled and nobody took over");
}

void Raft::State::on_timeout_now(const Message& message) {
  if (message.from != leader) return drop(message, "it is not the leader's");
  if (!may_campaign() || !configuration().is_voter(self)) return drop(message, "this node may not campaign (D16, D17)");
  if (transfers_refused && !is_only_voter()) return drop(message, "this node takes no leadership over just now");
  campaign(true);
}

void Raft::State::set_disk_stalled(bool stalled) {
  if (stalled != disk_stalled)
    LETO_LOG(kWarning, "raft: the disk of %s %s", name_of(self).c_str(), stalled ? "is stalled" : "answers again");
  disk_stalled = stalled;
  if (!stalled || is_only_voter() || role == Role::kFollower) return;
  if (!leads()) return become_follower(term(), kNobody, "its disk is stalled");
  if (leading.transfer_to == kNobody) leave_to_healthy_peer();
}

// To the first voter that has all of the log; without one a step-down is the only way to be replaced.
void Raft::State::leave_to_healthy_peer() {
  for (const Progress& peer : leading.peers) {
    const Member* member = configuration().find(peer.node);
    const bool stays_voter =
        member && (member->role == MemberRole::kVoter || member->role == MemberRole::kIncoming);
    if (!stays_voter || peer.match != log.last().index || !peer.answers_lately(options.election_ticks)) continue;
    return begin_transfer(peer.node);
  }
  become_follower(term(), kNobody, "its disk is stalled and no peer is caught up");
}

}  // namespace leto::raft
