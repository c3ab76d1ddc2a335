// What leaves the core: messages now or after durability, writes, entries to apply, loads; and what the
// caller answers to them.
#include <algorithm>
#include <cinttypes>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "raft/state.h"

namespace leto::raft {

bool Output::empty() const {
  return send_now.empty() && writes.empty() && apply.empty() && reads.empty() && loads.empty() &&
         start_snapshots.empty() && snapshot_messages.empty() && !role_change && lost_acknowledged == 0;
}

Message Raft::State::to(NodeId node, Body body) const {
  return {.from = self, .to = node, .term = term(), .body = std::move(body)};
}

// No message carries a term that this node might not remember (D1-D3).
void Raft::State::send(Message message) {
  if (message.term > writes.durable_hard_state().term) return writes.after_durable(std::move(message));
  assert_may_leave_now(message);
  output.send_now.push_back(std::move(message));
}

// D16: what waited for the disk when the tail was found to be lost promises nothing any more.
bool Raft::State::may_still_be_said(const Message& message) const {
  const auto* reply = std::get_if<AppendEntriesReply>(&message.body);
  return !lost_tail || (reply && !reply->accepted);
}

void Raft::State::send_when_durable(Message message) {
  if (writes.all_durable()) return send(std::move(message));
  writes.after_durable(std::move(message));
}

void Raft::State::durable(WriteSeq seq) {
  std::vector<Message> released;
  writes.complete(seq, released);
  LETO_ASSERT(writes.durable_index() <= log.last().index,
              base::format("D8: durable %" PRIu64 ", last %" PRIu64, writes.durable_index(), log.last().index));
  for (Message& message : released) {
    if (!may_still_be_said(message)) continue;
    if (message.term == term()) assert_may_leave_now(message);
    output.send_now.push_back(std::move(message));
  }
  count_own_vote();
  advance_commit();
  evict();
}

void Raft::State::loaded(NodeId peer, std::vector<Entry> entries) {
  const auto asked = std::find_if(loads_outstanding.begin(), loads_outstanding.end(),
                                  [peer](const Load& load) { return load.peer == peer; });
  LETO_ASSERT(asked != loads_outstanding.end(), base::format("loaded for %016" PRIx64 ", which nobody asked for", peer));
  loads_outstanding.erase(asked);
  if (peer != self) return on_loaded_for_peer(peer, std::move(entries));
  if (!follows_log(handed_out + 1, entries)) return;
  loaded_for_apply.assign(std::make_move_iterator(entries.begin()), std::make_move_iterator(entries.end()));
}

void Raft::State::set_applied(Index index) {
  LETO_ASSERT(index >= applied && index <= handed_out,
              base::format("D11: applied %" PRIu64 " after %" PRIu64 ", handed out %" PRIu64, index, applied,
                           handed_out));
  applied = index;
  evict();
}

// Entries that are not durable stay, and so do a leader's own until they are applied.
void Raft::State::evict() {
  if (log.cache_bytes() <= options.cache_bytes_max) return;
  Index keep_from = writes.durable_index() + 1;
  if (leads()) keep_from = std::min(keep_from, std::max(applied + 1, leading.term_start));
  log.evict(keep_from, options.cache_bytes_max);
}

bool Raft::State::load_outstanding(NodeId peer) const {
  return std::any_of(loads_outstanding.begin(), loads_outstanding.end(),
                     [peer](const Load& load) { return load.peer == peer; });
}

void Raft::State::request_load(NodeId peer, Index from, Index last) {
  LETO_ASSERT(from > log.base().index && from <= last,
              base::format("I8: load of %" PRIu64 " to %" PRIu64 ", base %" PRIu64, from, last, log.base().index));
  const Load load{.peer = peer, .from = from, .last = last, .max_bytes = options.load_bytes_max};
  loads_outstanding.push_back(load);
  output.loads.push_back(load);
}

const Entry* Raft::State::next_to_apply() const {
  if (!loaded_for_apply.empty()) return &loaded_for_apply.front();
  return log.cached(handed_out + 1);
}

// D9: between the switch to a snapshot and the swap nothing is applied, nor before there is anything to apply it to.
bool Raft::State::may_hand_out() const {
  return !installing && !lacks_state && !apply_is_held && handed_out < std::min(commit, writes.durable_index());
}

// I8: what is applied is durable here, too.
void Raft::State::hand_out() {
  if (!may_hand_out()) return;
  const Index limit = std::min(commit, writes.durable_index());
  size_t bytes = 0;
  while (handed_out < limit) {
    const Entry* entry = next_to_apply();
    if (!entry) break;
    bytes += cost_of(*entry);
    if (!output.apply.empty() && bytes > options.apply_bytes_max) return;
    LETO_ASSERT(entry->id == log.id_at(handed_out + 1),
                base::format("D11: applying %" PRIu64 " after %" PRIu64, entry->id.index, handed_out));
    output.apply.push_back(*entry);
    ++handed_out;
    if (!loaded_for_apply.empty()) loaded_for_apply.pop_front();
  }
  if (handed_out < limit && !load_outstanding(self))
    request_load(self, handed_out + 1, std::min(limit, log.cache_first() - 1));
}

RoleChange Raft::State::role_now() const { return {.role = role, .term = term(), .leader = leader}; }

Output Raft::State::take() {
  log.free_some();
  replicate();
  hand_out();
  output.writes = writes.take();
  const RoleChange current = role_now();
  if (current.role != reported.role || current.term != reported.term || current.leader != reported.leader)
    output.role_change = reported = current;
  return std::exchange(output, Output{});
}

bool Raft::State::has_output() const {
  const RoleChange current = role_now();
  if (current.role != reported.role || current.term != reported.term || current.leader != reported.leader) return true;
  if (!output.empty() || writes.has_open()) return true;
  if (may_hand_out() && (next_to_apply() || !load_outstanding(self))) return true;
  if (!leads()) return false;
  return round_is_due() || std::any_of(leading.peers.begin(), leading.peers.end(), [this](const Progress& peer) {
           return peer.heartbeat_due || is_to_be_named(peer) || may_send(peer) || may_load(peer);
         });
}

}  // namespace leto::raft
