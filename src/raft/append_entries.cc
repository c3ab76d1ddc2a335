// AppendEntries at the receiver (section 5.3): check, store, answer when durable.
#include <algorithm>
#include <cinttypes>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "raft/state.h"

namespace leto::raft {

// Consecutive indexes, terms that neither fall nor exceed the sender's, known kinds, readable
// configurations.
bool Raft::State::is_sane_append(const Message& message) const {
  const AppendEntries& append = std::get<AppendEntries>(message.body);
  EntryId previous = append.previous;
  if (previous.term > message.term || previous.index >= kIndexEnd || append.acknowledged >= kIndexEnd) return false;
  Configuration ignored;
  for (const Entry& entry : append.entries) {
    if (entry.id.index != previous.index + 1 || entry.id.term < previous.term || entry.id.term > message.term)
      return false;
    if (!entry.payload || entry.kind > EntryKind::kConfiguration) return false;
    if (entry.kind == EntryKind::kConfiguration && !decode_configuration(*entry.payload, ignored)) return false;
    previous = entry.id;
  }
  return previous.index < kIndexEnd;
}

// What only the leader of `message.term` says was said. False if it cannot be.
bool Raft::State::hear_leader(const Message& message) {
  if (leads() && message.term == term()) {
    drop(message, "a leader's message in a term that this node leads");
    return false;
  }
  become_follower(message.term, message.from, "a leader appends");
  reset_election_timer();
  const auto* append = std::get_if<AppendEntries>(&message.body);
  promise_silence(append != nullptr ? append->silence_ticks : 0);
  return true;
}

void Raft::State::hear_part(NodeId from, Term of) {
  if (from == leader && leader != self && of == term()) reset_election_timer();
}

void Raft::State::on_append_entries(const Message& message) {
  if (!hear_leader(message)) return;

  const AppendEntries& append = std::get<AppendEntries>(message.body);
  const EntryId previous = append.previous;
  if (contradicts_committed(message)) return drop(message, "it contradicts a committed entry");
  if (lacks_acknowledged(append)) return admit_lost_tail(message);
  if (lost_tail) return drop(message, "D16: the tail of the log was lost, nothing is acknowledged");
  if (previous.index > commit && !log.has(previous)) return refuse_append(message);
  accept_append(message);
}

// Only this leader truncates the log in its term, and never what agrees with its own: what is missing was lost by the disk.
bool Raft::State::lacks_acknowledged(const AppendEntries& append) const {
  if (append.acknowledged > log.last().index) return true;
  return append.previous.index == append.acknowledged && append.acknowledged > commit && !log.has(append.previous);
}

// The leader is told each time it asks, as an answer may be lost; the caller once.
void Raft::State::admit_lost_tail(const Message& message) {
  const Index acknowledged = std::get<AppendEntries>(message.body).acknowledged;
  if (!lost_tail) {
    LETO_LOG(kWarning, "raft: D16: %s has entry %" PRIu64 " from %s, whose log ends at %" PRIu64
             " without it: synced data were lost, it neither votes nor acknowledges any more",
             name_of(message.from).c_str(), acknowledged, name_of(self).c_str(), log.last().index);
    lost_tail = true;
    output.lost_acknowledged = acknowledged;
  }
  refuse_append(message);
}

// No honest leader sends such a thing: what is committed here is the same everywhere.
bool Raft::State::contradicts_committed(const Message& message) const {
  const AppendEntries& append = std::get<AppendEntries>(message.body);
  const auto differs = [this](EntryId id) {
    return id.index <= commit && id.index >= log.base().index && log.id_at(id.index) != id;
  };
  return differs(append.previous) || std::any_of(append.entries.begin(), append.entries.end(),
                                                 [&](const Entry& entry) { return differs(entry.id); });
}

void Raft::State::accept_append(const Message& message) {
  const AppendEntries& append = std::get<AppendEntries>(message.body);
  store_entries(append.entries);
  const Index shown = append.previous.index + append.entries.size();
  LETO_ASSERT(shown <= log.last().index, base::format("D7: shown %" PRIu64 ", last %" PRIu64, shown, log.last().index));
  agreed = {.term = term(), .index = agreed.term == term() ? std::max(agreed.index, shown) : shown};
  // D7: only what this append shows to be equal; behind it old entries of another leader may lie.
  set_commit(std::max(commit, std::min(append.leader_commit, shown)));
  evict();
  ask_for_state(message);
  Message reply = to(message.from, AppendEntriesReply{.accepted = true,
                                                      .match = shown,
                                                      .previous_index = append.previous.index,
                                                      .hint = {},
                                                      .read_counter = append.read_counter});
  // D3: everything up to `match`, and the term, first.
  const bool is_durable = shown <= writes.durable_index();
  if (is_durable) {
    send(std::move(reply));
  } else {
    send_when_durable(std::move(reply));
  }
}

void Raft::State::store_entries(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    if (entry.id.index <= commit) continue;
    if (entry.id.index <= log.last().index) {
      if (log.id_at(entry.id.index) == entry.id) continue;
      truncate_from(entry.id.index);
    }
    append_received(entry);
  }
}

void Raft::State::append_received(const Entry& entry) {
  log.append(entry);
  writes.append(entry);
  if (entry.kind != EntryKind::kConfiguration) return;
  Configuration configuration;
  const bool is_readable = decode_configuration(*entry.payload, configuration);
  LETO_ASSERT(is_readable, base::format("configuration at %" PRIu64 " passed is_sane_append", entry.id.index));
  configurations.append(entry.id.index, std::move(configuration));
}

void Raft::State::truncate_from(Index index) {
  LETO_ASSERT(index > commit, base::format("truncating committed %" PRIu64 " <= %" PRIu64, index, commit));
  LETO_LOG(kVerbose, "raft: entries %" PRIu64 " to %" PRIu64 " are another leader's: dropped", index,
           log.last().index);
  log.truncate_from(index);
  writes.truncate_from(index);
  configurations.truncate_from(index);
}

// Says which entry may still agree, so that the leader goes back by terms, not by entries.
void Raft::State::refuse_append(const Message& message) {
  const AppendEntries& append = std::get<AppendEntries>(message.body);
  send(to(message.from, AppendEntriesReply{.accepted = false,
                                           .match = 0,
                                           .previous_index = append.previous.index,
                                           .hint = log.last_at_most(append.previous.index, append.previous.term),
                                           .acknowledged = append.acknowledged,
                                           .read_counter = append.read_counter}));
}

// To who leads an older term. Its counters are that term's: it may lead this one, too, when the answer comes.
void Raft::State::tell_term(const Message& message) { send(to(message.from, AppendEntriesReply{})); }

}  // namespace leto::raft
