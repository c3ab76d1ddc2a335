// What must hold between the core's own fields, and what each D rule asserts at the place where it matters.
#include <algorithm>
#include <cinttypes>

#include "base/assert.h"
#include "base/format.h"
#include "raft/state.h"

namespace leto::raft {

// D1. That the vote is durable implies, as writes are FIFO, that the log before it is.
void Raft::State::assert_may_lead() const {
  const HardState& durable = writes.durable_hard_state();
  LETO_ASSERT(role == Role::kCandidate && durable.term == term() && durable.voted_for == self,
              base::format("D1: leading term %" PRIu64 " with durable term %" PRIu64 " and vote %016" PRIx64, term(),
                           durable.term, durable.voted_for));
  LETO_ASSERT(writes.durable_index() == log.last().index,
              base::format("D1: leading with %" PRIu64 " of %" PRIu64 " entries durable", writes.durable_index(),
                           log.last().index));
  LETO_ASSERT(!lost_tail && (!disk_stalled || is_only_voter()), "D16, D17: a node that may not campaign leads");
  LETO_ASSERT(!installing, "D9: a node leads whose keyspace is not there");
}

// For messages of this node's term; D1, D2, D3.
void Raft::State::assert_may_leave_now(const Message& message) const {
  const HardState& durable = writes.durable_hard_state();
  LETO_ASSERT(message.term <= durable.term,
              base::format("a message of term %" PRIu64 ", durable is %" PRIu64, message.term, durable.term));
  if (const auto* request = std::get_if<RequestVote>(&message.body))
    LETO_ASSERT(request->pre_vote || durable.voted_for == self, "D1: asks for votes before its own is durable");
  if (const auto* vote = std::get_if<RequestVoteReply>(&message.body))
    LETO_ASSERT(vote->pre_vote || !vote->granted || durable.voted_for == message.to,
                "D2: a vote leaves before it is durable");
  if (const auto* installed = std::get_if<InstallSnapshotReply>(&message.body))
    LETO_ASSERT(installed->answer != SnapshotAnswer::kInstalled ||
                    (installed->match <= writes.durable_index() && !lost_tail),
                base::format("D9: installed %" PRIu64 ", durable %" PRIu64, installed->match, writes.durable_index()));
  const auto* reply = std::get_if<AppendEntriesReply>(&message.body);
  if (!reply || !reply->accepted) return;
  LETO_ASSERT(reply->match <= writes.durable_index(),
              base::format("D3: match %" PRIu64 ", durable %" PRIu64, reply->match, writes.durable_index()));
  LETO_ASSERT(!lost_tail, "D16: an acknowledgement of a node that lost the tail of its log");
}

void Raft::State::check_indexes() const {
  const Index last = log.last().index;
  LETO_ASSERT(applied <= handed_out && handed_out <= commit && commit <= last,
              base::format("I8: applied %" PRIu64 " handed out %" PRIu64 " commit %" PRIu64 " last %" PRIu64, applied,
                           handed_out, commit, last));
  LETO_ASSERT(handed_out <= writes.durable_index() && writes.durable_index() <= last,
              base::format("I8: handed out %" PRIu64 " durable %" PRIu64 " last %" PRIu64, handed_out,
                           writes.durable_index(), last));
  LETO_ASSERT(log.base().index <= applied || lost_tail || installing,
              base::format("I8: base %" PRIu64 " applied %" PRIu64, log.base().index, applied));
  LETO_ASSERT(!installing || ((*installing == log.base() || (lacks_state && log.has(*installing))) && role == Role::kFollower),
              base::format("D9: a snapshot is being installed, base %" PRIu64 ", as %s", log.base().index,
                           role_name(role)));
  LETO_ASSERT(!lacks_state || installing || lost_tail || handed_out == log.base().index,
              base::format("D9: handed out %" PRIu64 " to a state machine that has nothing", handed_out));
  LETO_ASSERT(log.last().term <= term() || lost_tail,
              base::format("last term %" PRIu64 " term %" PRIu64, log.last().term, term()));
  LETO_ASSERT(writes.durable_hard_state().term <= term(), "the durable term is beyond the term");
  LETO_ASSERT(configurations.latest_index() <= last, base::format("configuration at %" PRIu64 " last %" PRIu64,
                                                                  configurations.latest_index(), last));
  LETO_ASSERT(log.cache_first() >= log.first_index(), "the cache begins before the log");
  LETO_ASSERT(log.cache_first() <= std::max(writes.durable_index(), log.base().index) + 1,
              base::format("cached from %" PRIu64 ", durable %" PRIu64, log.cache_first(), writes.durable_index()));
}

void Raft::State::check_leading() const {
  LETO_ASSERT(leader == self && voted_for() == self, "a leader that did not vote for itself");
  LETO_ASSERT(commit <= writes.durable_index(),
              base::format("D6: commit %" PRIu64 " durable %" PRIu64, commit, writes.durable_index()));
  for (const Progress& peer : leading.peers) {
    LETO_ASSERT(peer.match < peer.next && peer.match <= log.last().index && peer.next <= log.last().index + 1,
                base::format("match %" PRIu64 " next %" PRIu64 " last %" PRIu64, peer.match, peer.next,
                             log.last().index));
    LETO_ASSERT(peer.in_flight.size() <= options.window_messages_max && (!peer.probing || peer.in_flight.size() <= 1),
                base::format("%zu appends in flight", peer.in_flight.size()));
    LETO_ASSERT(!peer.in_flight.empty() || peer.in_flight_bytes == 0, "bytes in flight without messages");
    LETO_ASSERT(!peer.snapshot_named || peer.lacks_state || (peer.in_flight.empty() && peer.next < log.first_index()),
                base::format("appends to a peer that needs a snapshot: next %" PRIu64 ", first %" PRIu64, peer.next,
                             log.first_index()));
    LETO_ASSERT(!peer.lost_tail || (!peer.heard && peer.read_counter == 0 && peer.in_flight.empty()),
                "D16: a peer counts that lost what it had acknowledged");
    LETO_ASSERT(peer.read_counter <= leading.read_counter, "a peer answered a round that was never sent");
  }
  LETO_ASSERT(leading.lease_rounds.empty() || !is_only_voter(), "I15: an only voter waits for answers to its rounds");
  LETO_ASSERT(leading.contexts <= kReadContextsMax, base::format("%zu read contexts", leading.contexts));
  LETO_ASSERT(!disk_stalled || is_only_voter() || leading.transfer_to != kNobody, "D17: a stalled leader stays");
}

void Raft::State::check_invariants() const {
  check_indexes();
  LETO_ASSERT(!lost_tail || role == Role::kFollower, "D16: a node that lost the tail of its log is no follower");
  if (leads()) return check_leading();
  LETO_ASSERT(leading.peers.empty() && leading.contexts == 0 && leading.uncommitted_bytes == 0,
              "D14: something outlives the leadership");
  LETO_ASSERT(leader != self, "a node that does not lead takes itself for the leader");
}

}  // namespace leto::raft
