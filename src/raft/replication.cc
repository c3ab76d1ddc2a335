// AppendEntries at the leader (section 5.3): what to send to whom, and what the answers mean.
//
// A peer is probed with one append at a time until one is accepted; then appends are pipelined within a
// window of messages and bytes. Anything sent may be lost, doubled or overtaken: an answer counts only
// against what is in flight, and what stays unanswered is sent again with growing patience.
#include <algorithm>
#include <cinttypes>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "raft/state.h"

namespace leto::raft {

namespace {

// An append begins behind what its receiver acknowledged, so that a whole log refuses only what lies behind that, and
// has an entry there that agrees.
bool lost_tail_by(const AppendEntriesReply& reply) {
  const bool has_it = reply.hint.index >= reply.acknowledged && reply.previous_index > reply.acknowledged;
  return !reply.accepted && reply.acknowledged > 0 && !has_it;
}

}  // namespace

const Progress* Raft::State::progress_of(NodeId node) const {
  const auto found = std::lower_bound(leading.peers.begin(), leading.peers.end(), node,
                                      [](const Progress& peer, NodeId wanted) { return peer.node < wanted; });
  return found != leading.peers.end() && found->node == node ? &*found : nullptr;
}

Progress* Raft::State::progress_of(NodeId node) {
  return const_cast<Progress*>(std::as_const(*this).progress_of(node));
}

// A leader only ever appends to its log (I7).
void Raft::State::append_own(EntryKind kind, Payload payload) {
  const Entry entry{.id = {.term = term(), .index = log.last().index + 1}, .kind = kind, .payload = std::move(payload)};
  log.append(entry);
  writes.append(entry);
}

ProposeResult Raft::State::propose(Payload payload, EntryId* id) {
  LETO_ASSERT(payload != nullptr, "a proposal without a payload");
  if (!leads()) return ProposeResult::kNotLeader;
  if (leading.transfer_to != kNobody || lacks_state) return ProposeResult::kTransferring;
  const size_t bytes = payload->size();
  if (leading.uncommitted_bytes > 0 && leading.uncommitted_bytes + bytes > options.uncommitted_bytes_max)
    return ProposeResult::kBusy;
  leading.uncommitted_bytes += bytes;
  append_own(EntryKind::kCommands, std::move(payload));
  if (id) *id = log.last();
  return ProposeResult::kAccepted;
}

// The peer that sent an answer of this term, which is alive; null if the answer is not to be believed.
Progress* Raft::State::hear_peer(const Message& message, Index match) {
  Progress* peer = leads() ? progress_of(message.from) : nullptr;
  if (!peer || match > log.last().index || peer->lost_tail) {
    const char* why = !peer ? "not the leader, or not a member" : "it acknowledges what was never sent";
    drop(message, peer && peer->lost_tail ? "D16: of a peer that lost what it had acknowledged" : why);
    return nullptr;
  }
  const bool was_silent = peer->ticks_since_heard > options.election_ticks;
  peer->heard = true;
  peer->ticks_since_heard = 0;
  peer->awaits_contact = false;
  if (was_silent) {
    peer->stalls = 0;
    if (!peer->in_flight.empty()) peer->probe(peer->in_flight.front().previous + 1);
  }
  return peer;
}

// Never lowers the match: what was counted was counted. But nothing is counted from now on.
void Raft::State::on_lost_tail(const Message& message) {
  const AppendEntriesReply& reply = std::get<AppendEntriesReply>(message.body);
  Progress* peer = leads() ? progress_of(message.from) : nullptr;
  if (!peer || reply.acknowledged > peer->match) return drop(message, "it lost what it never acknowledged");
  if (peer->lost_tail) return;
  LETO_LOG(kWarning, "raft: D16: %s acknowledged entry %" PRIu64 " and has it no more, at most %" PRIu64
           ": it lost synced data, and counts for nothing until it joins again as a new one",
           name_of(peer->node).c_str(), peer->match, reply.hint.index);
  peer->lose_tail(uint64_t{options.election_ticks} + 1);
  drop_lease();
}

void Raft::State::on_append_reply(const Message& message) {
  const AppendEntriesReply& reply = std::get<AppendEntriesReply>(message.body);
  if (lost_tail_by(reply)) return on_lost_tail(message);
  if (reply.read_counter > leading.read_counter) return drop(message, "it answers a round that was never sent");
  Progress* peer = hear_peer(message, reply.match);
  if (!peer) return;
  if (reply.read_counter > peer->read_counter) {
    peer->read_counter = reply.read_counter;
    serve_rounds();
  }
  // Last, as a commit may end the leadership, and `peer` with it.
  if (!reply.accepted) {
    on_refused(*peer, message);
  } else if (reply.match > peer->match) {
    on_accepted(*peer, reply);
  }
}

void Raft::State::on_accepted(Progress& peer, const AppendEntriesReply& reply) {
  peer.acknowledged(reply.match);
  note_catch_up(peer);
  note_snapshot_progress(peer);
  if (leading.transfer_to == peer.node) send_timeout_now();
  advance_commit();
}

// The hint is the last entry that may still agree; behind it the two logs cannot.
void Raft::State::on_refused(Progress& peer, const Message& message) {
  const AppendEntriesReply& reply = std::get<AppendEntriesReply>(message.body);
  const bool is_answer = std::any_of(peer.in_flight.begin(), peer.in_flight.end(), [&](const InFlightAppend& append) {
    return append.previous == reply.previous_index;
  });
  if (!is_answer || reply.previous_index <= peer.match) return drop(message, "it refuses an append of long ago");
  if (reply.hint.index > reply.previous_index) return drop(message, "its hint lies behind what it refuses");
  const Index before = std::min(reply.hint.index, reply.previous_index - 1);
  // Below the log's base nothing can be sent: the peer then waits for a snapshot, and is not probed in vain.
  peer.probe(std::min(before, log.last_at_most(before, reply.hint.term).index) + 1);
}

void Raft::State::tick_leader() {
  for (Progress& peer : leading.peers) tick_peer(peer);
  if (!has_live_quorum()) return become_follower(term(), kNobody, "lost its majority");
  tick_transfer();
  if (!leads()) return;
  if (++leading.heartbeat_elapsed >= options.heartbeat_ticks) heartbeat_all();
  forget_leavers();
  drive_membership();
}

void Raft::State::tick_peer(Progress& peer) {
  ++peer.ticks_since_heard;
  if (peer.catch_up.end != 0 && peer.catch_up.ticks <= options.election_ticks) ++peer.catch_up.ticks;
  const bool can_be_told = peer.match >= log.base().index;
  if (can_be_told && peer.commit_told < std::min(commit, peer.match)) peer.heartbeat_due = true;
  if (peer.in_flight.empty()) return;
  const uint64_t patience = (kStallHeartbeats * options.heartbeat_ticks) << std::min(peer.stalls, kStallDoublingsMax);
  if (++peer.stalled_ticks < patience) return;
  ++peer.stalls;
  LETO_LOG(kDebug, "raft: nothing of %zu appends to %s was acknowledged for %" PRIu64 " ticks: sent again",
           peer.in_flight.size(), name_of(peer.node).c_str(), peer.stalled_ticks);
  peer.probe(peer.in_flight.front().previous + 1);
}

void Raft::State::heartbeat_all() {
  leading.heartbeat_elapsed = 0;
  note_round_sent();
  for (Progress& peer : leading.peers) peer.heartbeat_due = true;
  if (leading.transfer_to != kNobody) send_timeout_now();
}

// Check-quorum: the voters that answered within the shortest election timeout.
bool Raft::State::has_live_quorum() const {
  return configuration().has_quorum([this](NodeId node) {
    const Progress* peer = progress_of(node);
    return node == self || (peer && peer->ticks_since_heard < options.election_ticks);
  });
}

bool Raft::State::window_is_open(const Progress& peer) const {
  if (peer.in_flight.empty()) return true;
  if (peer.probing || peer.in_flight.size() >= options.window_messages_max) return false;
  const Entry* next = log.cached(peer.next);
  return peer.in_flight_bytes + (next ? cost_of(*next) : 1) <= options.window_bytes_max;
}

// A peer that is silent gets heartbeats only, until it answers one: nothing piles up for a dead peer.
bool Raft::State::wants_entries(const Progress& peer) const {
  if (peer.next > log.last().index || waits_for_snapshot(peer)) return false;
  if (peer.awaits_contact || peer.ticks_since_heard > options.election_ticks) return false;
  return window_is_open(peer);
}

bool Raft::State::may_send(const Progress& peer) const { return wants_entries(peer) && log.cached(peer.next); }

bool Raft::State::may_load(const Progress& peer) const {
  return wants_entries(peer) && !log.cached(peer.next) && !load_outstanding(peer.node);
}

void Raft::State::replicate() {
  if (!leads()) return;
  if (round_is_due()) start_round();
  name_snapshot_needs();
  for (Progress& peer : leading.peers) {
    if (peer.heartbeat_due) send_heartbeat(peer);
    while (may_send(peer)) send_append(peer, next_entries(peer));
    if (may_load(peer)) request_load(peer.node, peer.next, log.cache_first() - 1);
  }
}

// As many as one message and the window take; one at least.
std::vector<Entry> Raft::State::next_entries(const Progress& peer) const {
  const size_t window_left = options.window_bytes_max - std::min(options.window_bytes_max, peer.in_flight_bytes);
  const size_t bytes_max = std::min(options.append_bytes_max, window_left);
  std::vector<Entry> entries;
  size_t bytes = 0;
  for (Index index = peer.next; const Entry* entry = log.cached(index); ++index) {
    bytes += cost_of(*entry);
    if (!entries.empty() && bytes > bytes_max) break;
    entries.push_back(*entry);
  }
  return entries;
}

void Raft::State::send_append(Progress& peer, std::vector<Entry> entries) {
  const EntryId previous = log.id_at(peer.next - 1);
  size_t bytes = 0;
  for (const Entry& entry : entries) bytes += cost_of(entry);
  const Index last = previous.index + entries.size();
  peer.sent({.previous = previous.index, .last = last, .bytes = bytes});
  peer.commit_told = std::max(peer.commit_told, std::min(commit, last));
  send(to(peer.node, AppendEntries{.previous = previous,
                                   .leader_commit = commit,
                                   .acknowledged = peer.match,
                                   .read_counter = leading.read_counter,
                                   .cluster_time_ms = 0,
                                   .silence_ticks = silence_relied_on(),
                                   .entries = std::move(entries)}));
}

// Its `previous` is what the peer is known to have, so no overtaking can make it refused (D7).
void Raft::State::send_heartbeat(Progress& peer) {
  peer.heartbeat_due = false;
  const bool is_known = peer.match >= log.base().index;
  const EntryId previous = is_known ? log.id_at(peer.match) : EntryId{};
  const Index told = std::min(previous.index, commit);
  peer.commit_told = std::max(peer.commit_told, told);
  send(to(peer.node, AppendEntries{.previous = previous,
                                   .leader_commit = told,
                                   .acknowledged = peer.match,
                                   .read_counter = leading.read_counter,
                                   .cluster_time_ms = 0,
                                   .silence_ticks = silence_relied_on(),
                                   .entries = {}}));
}

// True if `entries` are what the log has from `from` on: not truncated since they were asked for.
bool Raft::State::follows_log(Index from, const std::vector<Entry>& entries) const {
  for (size_t i = 0; i < entries.size(); ++i)
    if (entries[i].id.index != from + i || !log.has(entries[i].id)) return false;
  return true;
}

void Raft::State::on_loaded_for_peer(NodeId node, std::vector<Entry> entries) {
  Progress* peer = leads() ? progress_of(node) : nullptr;
  if (!peer || entries.empty() || !wants_entries(*peer) || !follows_log(peer->next, entries)) return;
  send_append(*peer, std::move(entries));
}

void Raft::State::set_peer_unreachable(NodeId node) {
  Progress* peer = leads() ? progress_of(node) : nullptr;
  if (!peer) return;
  peer->probe(peer->in_flight.empty() ? peer->next : peer->in_flight.front().previous + 1);
  peer->awaits_contact = true;
}

}  // namespace leto::raft
