// Handing leadership over (thesis 3.10), on request, because the disk hangs (D17), or because this node has lost its state.
#include <cinttypes>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "raft/state.h"

namespace leto::raft {

TransferResult Raft::State::transfer(NodeId to) {
  if (!leads()) return TransferResult::kNotLeader;
  if (to == self || !stays_voter(to)) return TransferResult::kNotVoter;
  if (leading.transfer_to != kNobody) return TransferResult::kInProgress;
  begin_transfer(to);
  return TransferResult::kAccepted;
}

bool Raft::State::stays_voter(NodeId node) const {
  const Member* member = configuration().find(node);
  return member && (member->role == MemberRole::kVoter || member->role == MemberRole::kIncoming);
}

void Raft::State::begin_transfer(NodeId to) {
  LETO_LOG(kNotice, "raft: hands leadership of term %" PRIu64 " over to %s", term(), name_of(to).c_str());
  leading.transfer_to = leading.transfer_tried = to;
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
  if (leading.transfer_to != kNobody) return;
  if (disk_stalled && !is_only_voter()) return become_follower(term(), kNobody, "its disk is stalled and nobody took over");
  // It leads as nobody else could; from now on somebody may.
  if (lacks_state) hand_over_to_healthy_peer();
}

void Raft::State::on_timeout_now(const Message& message) {
  if (message.from != leader) return drop(message, "it is not the leader's");
  if (!may_campaign() || !configuration().is_voter(self)) return drop(message, "this node may not campaign (D16, D17)");
  if (lacks_state) return drop(message, "D9: this node has lost its state");
  if (transfers_refused && !is_only_voter()) return drop(message, "this node takes no leadership over just now");
  campaign(true);
}

void Raft::State::set_disk_stalled(bool stalled) {
  if (stalled != disk_stalled)
    LETO_LOG(kWarning, "raft: the disk of %s %s", name_of(self).c_str(), stalled ? "is stalled" : "answers again");
  disk_stalled = stalled;
  if (!stalled || is_only_voter() || role == Role::kFollower) return;
  if (!leads()) return become_follower(term(), kNobody, "its disk is stalled");
  if (leading.transfer_to != kNobody || hand_over_to_healthy_peer()) return;
  // The only way to be replaced.
  become_follower(term(), kNobody, "its disk is stalled and no peer is caught up");
}

// Has all of the log, and its state, and answers.
bool Raft::State::could_take_over(const Progress& peer) const {
  // Without its state this node is worse than one that leaves.
  const bool may_lead = stays_voter(peer.node) || (lacks_state && configuration().is_voter(peer.node));
  const bool could_lead = may_lead && !peer.lacks_state && peer.match == log.last().index;
  return could_lead && !peer.awaits_contact && peer.answers_lately(options.election_ticks);
}

// To the first that could take over behind the one that was tried last, which may have refused: they have their turns. False: there
// is none.
bool Raft::State::hand_over_to_healthy_peer() {
  NodeId first = kNobody, next = kNobody;
  for (const Progress& peer : leading.peers) {
    if (!could_take_over(peer)) continue;
    if (first == kNobody) first = peer.node;
    if (next == kNobody && peer.node > leading.transfer_tried) next = peer.node;
  }
  if (first == kNobody) return false;
  begin_transfer(next != kNobody ? next : first);
  return true;
}

}  // namespace leto::raft
