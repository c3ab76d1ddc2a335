// All that a core's future depends on, as bytes, so that a search of all runs does not go twice through one state. Left
// out are the random numbers to come and how old the process is; times are ages, and those that make no difference any
// more are one.
#include <algorithm>

#include "base/coding.h"
#include "base/hash.h"
#include "raft/state.h"

namespace leto::raft {

namespace {

using base::put_varint;

void put(std::string& bytes, const EntryId& id) {
  put_varint(bytes, id.term);
  put_varint(bytes, id.index);
}

void put(std::string& bytes, const HardState& hard_state) {
  put_varint(bytes, hard_state.term);
  put_varint(bytes, hard_state.voted_for);
}

void put(std::string& bytes, const Progress& peer) {
  for (const uint64_t number : {peer.node, peer.match, peer.next, uint64_t{peer.in_flight.size()}, peer.stalled_ticks,
                                uint64_t{peer.stalls}, peer.ticks_since_heard, peer.read_counter, peer.commit_told,
                                peer.snapshot, peer.snapshot_min, peer.leaves_at, peer.leaving_ticks, peer.catch_up.end,
                                peer.catch_up.ticks, uint64_t{peer.catch_up.in_time}}) {
    put_varint(bytes, number);
  }
  for (const InFlightAppend& append : peer.in_flight) {
    put_varint(bytes, append.previous);
    put_varint(bytes, append.last);
  }
  for (const bool flag : {peer.probing, peer.awaits_contact, peer.heard, peer.heartbeat_due, peer.snapshot_named,
                          peer.lacks_state, peer.lost_tail})
    put_varint(bytes, flag);
}

void put(std::string& bytes, const std::vector<ReadContext>& contexts) {
  put_varint(bytes, contexts.size());
  for (const ReadContext& context : contexts) {
    put_varint(bytes, context.from);
    put_varint(bytes, context.context);
  }
}

void put(std::string& bytes, const LiveRound& round, uint64_t now) {
  put_varint(bytes, round.counter);
  if (round.counter == 0) return;
  bytes += encode_configuration(round.wanted);
  put_varint(bytes, now - round.sent_at);
  put_varint(bytes, now - round.asked_at);
}

void put(std::string& bytes, const Leading& leading, uint64_t now) {
  put_varint(bytes, leading.term_start);
  for (const Progress& peer : leading.peers) put(bytes, peer);
  for (const uint64_t number : {leading.heartbeat_elapsed, uint64_t{leading.uncommitted_bytes}, leading.read_counter,
                                leading.lease_counter_min, uint64_t{leading.lease_given_up}, leading.transfer_to, leading.transfer_tried,
                                leading.transfer_ticks, uint64_t{leading.rounds.size()}}) {
    put_varint(bytes, number);
  }
  put(bytes, leading.waiting);
  for (const ReadRound& round : leading.rounds) {
    put_varint(bytes, round.counter);
    put_varint(bytes, round.index);
    put(bytes, round.contexts);
  }
  for (const CounterSent& sent : leading.lease_rounds) {
    put_varint(bytes, sent.counter);
    put_varint(bytes, now - sent.tick);
  }
  put_varint(bytes, leading.lease_from ? now - *leading.lease_from + 1 : 0);
  for (const LiveRound* round : {&leading.change_round, &leading.promotion_round}) put(bytes, *round, now);
}

}  // namespace

void WriteQueue::fingerprint(std::string& bytes) const {
  put(bytes, hard_state_);
  put(bytes, durable_hard_state_);
  put_varint(bytes, durable_index_);
  put_varint(bytes, in_flight_.size());
  for (const InFlight& write : in_flight_) {
    put_varint(bytes, write.raises_to);
    put(bytes, write.hard_state.value_or(HardState()));
  }
  // What the messages say is seen once they leave.
  for (const Deferred& deferred : deferred_) {
    put_varint(bytes, next_seq_ - deferred.seq);
    put_varint(bytes, deferred.message.to);
    put_varint(bytes, deferred.message.body.index());
    put_varint(bytes, deferred.message.term);
  }
}

void Raft::State::fingerprint(std::string& bytes) const {
  writes.fingerprint(bytes);
  put(bytes, log.base());
  put(bytes, log.last());
  for (Index index = log.first_index(); index <= log.last().index; ++index) put_varint(bytes, log.id_at(index).term);
  put_varint(bytes, log.cache_first());
  put_varint(bytes, configurations.latest_index());
  put(bytes, agreed);
  put(bytes, installing.value_or(EntryId()));
  const uint64_t age_max = 2 * uint64_t{options.election_ticks};
  for (const uint64_t number : {commit, handed_out, applied, leader, election_timeout, std::min(election_elapsed, age_max),
                                std::min(now, age_max), silent_until > now ? silent_until - now : 0,
                                uint64_t{loads_outstanding.size()}, uint64_t{loaded_for_apply.size()},
                                uint64_t{granted.size()}}) {
    put_varint(bytes, number);
  }
  for (const NodeId node : granted) put_varint(bytes, node);
  base::put_u8(bytes, static_cast<uint8_t>(role));
  for (const bool flag : {apply_is_held, disk_stalled, transfers_refused, removed_elsewhere, lost_tail, lacks_state})
    put_varint(bytes, flag);
  for (const ForwardedRead& read : forwarded_reads) put_varint(bytes, read.context);
  if (leads()) put(bytes, leading, now);
}

}  // namespace leto::raft
