#include "tests/sim/invariants.h"

#include <algorithm>

#include "base/format.h"
#include "server/tick.h"
#include "tests/sim/process.h"

namespace leto::sim {

namespace {

using Number = unsigned long long;

}  // namespace

void Invariants::set_machines(const std::vector<std::unique_ptr<Machine>>& machines) {
  for (const auto& machine : machines) machines_.push_back(machine.get());
  seen_.resize(machines_.size() + 1);
}

const Machine* Invariants::find(raft::NodeId node) const {
  const auto found = std::find_if(machines_.begin(), machines_.end(),
                                  [node](const Machine* each) { return !each->runs_copy && each->node() == node; });
  return found == machines_.end() ? nullptr : *found;
}

const DurableLog* Invariants::log_of(raft::NodeId node) const {
  const Machine* machine = find(node);
  if (machine != nullptr) return &machine->durable;
  const auto retired = retired_.find(node);
  return retired == retired_.end() ? nullptr : &retired->second;
}

std::string Invariants::entry_name(raft::Index index, const DurableEntry& entry) {
  return base::format("entry %llu of term %llu (%016llx)", Number{index}, Number{entry.term}, Number{entry.hash});
}

// --- After an event ----------------------------------------------------------------------------------

void Invariants::on_started(Machine& machine) {
  const raft::Term term = machine.process()->node().raft().term();
  if (term < machine.durable.hard_state().term) {
    world_.fail("I6", base::format("machine %zu came back in term %llu", machine.number, Number{term}));
  }
  seen_[machine.number] = {.term = term};
}

void Invariants::check(Machine& machine) {
  if (machine.process() == nullptr || machine.dying()) return;
  Seen& seen = seen_[machine.number];
  check_term_and_role(machine, seen);
  check_indexes(machine, seen);
  check_states();
  if (std::exchange(machine.touched, false)) check_process(machine);
}

void Invariants::check_process(Machine& machine) {
  check_configurations(machine);
  check_configuration_in_force(machine);
  check_matches(machine);
  machine.process()->node().check_bounds();
}

// I13: what is no key and no digest.
void Invariants::check_states() {
  if (states_.empty()) return;
  for (const auto& [number, header] : std::exchange(states_, {})) {
    if (header.applied_index > replicated_.committed()) continue;
    if (const std::string wrong = replicated_.judge(header); !wrong.empty()) {
      world_.fail("I13", base::format("machine %zu: ", number) + wrong);
    }
  }
}

void Invariants::check_term_and_role(Machine& machine, Seen& seen) {
  const raft::Raft& raft = machine.process()->node().raft();
  if (raft.term() < seen.term) {
    world_.fail("I6", base::format("machine %zu: term %llu after %llu", machine.number, Number{raft.term()}, Number{seen.term}));
  }
  if (raft.role() == raft::Role::kLeader && (seen.role != raft::Role::kLeader || raft.term() != seen.term)) {
    world_.coverage.note(Reached::kElection);
    if (std::exchange(transfer_to_, raft::kNobody) == machine.node()) world_.coverage.note(Reached::kTransferred);
    check_leader(machine);
  }
  if (seen.role == raft::Role::kLeader && raft.role() != raft::Role::kLeader) {
    world_.coverage.note(Reached::kStepDown);
  }
  if (raft.transferring_to() != raft::kNobody) transfer_to_ = raft.transferring_to();
  seen.term = raft.term();
  seen.role = raft.role();
}

// I1, D1 and as much of I3 as the disk of the new leader shows.
void Invariants::check_leader(Machine& machine) {
  const raft::Raft& raft = machine.process()->node().raft();
  const auto [known, first] = leaders_.emplace(raft.term(), machine.node());
  if (!first && known->second != machine.node()) {
    world_.fail("I1", base::format("term %llu has two leaders", Number{raft.term()}));
  }
  const raft::HardState durable = machine.durable.hard_state();
  const bool voted = durable.term == raft.term() && durable.voted_for == machine.node();
  if (!voted) world_.fail("D1", base::format("machine %zu leads term %llu before its own vote is durable", machine.number,
                                             Number{raft.term()}));
  // What was committed in a later term says nothing about a leader that comes late into its own.
  for (raft::Index index = 1; index <= canonical_.size() && canonical_[index - 1].by_term < raft.term(); ++index) {
    const DurableEntry* mine = machine.durable.find(index);
    const bool has = mine == nullptr ? index <= raft.last().index : *mine == canonical_[index - 1].entry;
    if (has) continue;
    return world_.fail("I3", base::format("the leader of term %llu lacks committed %s", Number{raft.term()},
                                          entry_name(index, canonical_[index - 1].entry).c_str()));
  }
}

void Invariants::check_indexes(Machine& machine, Seen& seen) {
  const raft::Raft& raft = machine.process()->node().raft();
  const raft::Index commit = raft.commit_index(), applied = raft.applied_index();
  if (commit == seen.commit && applied == seen.applied && seen.checked == commit) return;
  if (commit < seen.commit || applied < seen.applied) {
    world_.fail("I6", base::format("machine %zu: commit %llu after %llu, applied %llu after %llu", machine.number,
                                   Number{commit}, Number{seen.commit}, Number{applied}, Number{seen.applied}));
  }
  const bool ordered = applied <= commit && commit <= raft.last().index && applied <= machine.durable.last();
  if (!ordered) {
    world_.fail("I8", base::format("machine %zu: applied %llu, commit %llu, last %llu, durable %llu", machine.number,
                                   Number{applied}, Number{commit}, Number{raft.last().index},
                                   Number{machine.durable.last()}));
    return;
  }
  check_compacted(machine);
  if (commit > seen.commit) {
    world_.trace.add({.kind = EventKind::kCommit, .machine = machine.number, .a = commit, .b = raft.term()});
  }
  check_own_term(machine, seen);
  const bool applied_more = applied > seen.applied;
  seen.commit = commit;
  seen.applied = applied;
  check_committed(machine, seen);
  if (applied_more) check_digest(machine);
}

// D5: a leader commits by an entry of its own term, never an older one by counting (Figure 8).
void Invariants::check_own_term(Machine& machine, const Seen& seen) {
  const raft::Raft& raft = machine.process()->node().raft();
  const bool led_before = seen.role == raft::Role::kLeader && raft.role() == raft::Role::kLeader && seen.term == raft.term();
  if (!led_before || raft.commit_index() == seen.commit) return;
  const raft::Term term = machine.durable.term_at(raft.commit_index());
  if (term == raft.term()) return;
  world_.fail("D5", base::format("the leader of term %llu commits entry %llu of term %llu by counting", Number{raft.term()},
                                 Number{raft.commit_index()}, Number{term}));
}

// I8: what the log has no more is durable in the keys file, and that has nothing that is not applied. From the switch
// to a snapshot until it is swapped in the keyspace is behind both.
void Invariants::check_compacted(Machine& machine) {
  const raft::Raft& raft = machine.process()->node().raft();
  const raft::Index compacted = raft.first_index() - 1;
  if (raft.installing() || (compacted <= machine.flushed && machine.flushed <= raft.applied_index())) return;
  world_.fail("I8", base::format("machine %zu: compacted %llu, durable in the keys file %llu, applied %llu", machine.number,
                                 Number{compacted}, Number{machine.flushed}, Number{raft.applied_index()}));
}

// I4: whatever a machine holds as committed is what everyone else does.
void Invariants::check_committed(Machine& machine, Seen& seen) {
  const raft::Raft& raft = machine.process()->node().raft();
  const raft::Index sure = std::min({raft.commit_index(), machine.durable.last(), raft.durable_index()});
  for (raft::Index index = seen.checked + 1; index <= sure && !world_.failed(); ++index) {
    // What a snapshot brought was committed elsewhere; its digest is compared when it is applied.
    if (machine.durable.find(index) == nullptr && index <= canonical_.size()) continue;
    if (index > canonical_.size()) commit_first(machine, index);
    const DurableEntry& mine = *machine.durable.find(index);
    if (mine == canonical_[index - 1].entry) continue;
    world_.fail("I4", base::format("machine %zu has %s, committed is %s", machine.number, entry_name(index, mine).c_str(),
                                   entry_name(index, canonical_[index - 1].entry).c_str()));
  }
  seen.checked = std::max(seen.checked, sure);
}

// I5: by the disks of a quorum of the configuration that the committing node goes by; that is the one in force at
// the entry, if the commit has just called for the next one.
void Invariants::commit_first(Machine& machine, raft::Index index) {
  const raft::Raft& raft = machine.process()->node().raft();
  const DurableEntry entry = *machine.durable.find(index);
  const auto has_it = [&](raft::NodeId node) {
    const DurableLog* other = log_of(node);
    const DurableEntry* theirs = other == nullptr ? nullptr : other->find(index);
    if (theirs == nullptr) return other != nullptr && other->includes(index);
    return *theirs == entry;
  };
  const bool changes = entry.kind == raft::EntryKind::kConfiguration;
  const raft::EntryId id{.term = entry.term, .index = index};
  const raft::Configuration& at_entry = changes ? *replicated_.configuration(id) : members_;
  if (!raft.configuration().has_quorum(has_it) && !at_entry.has_quorum(has_it)) {
    world_.fail("I5", base::format("machine %zu holds %s as committed, but no quorum has it durably", machine.number,
                                   entry_name(index, entry).c_str()));
  }
  canonical_.push_back({.entry = entry, .by_term = raft.term()});
  replicated_.commit(id);
  if (changes) note_members(at_entry);
}

// What came of the operations.
void Invariants::note_members(const raft::Configuration& next) {
  for (const raft::Member& before : members_.members) {
    if (next.find(before.node) != nullptr) continue;
    world_.coverage.note(next.find_id(before.id) == nullptr ? Reached::kRemoved : Reached::kReplaced);
    gone_.insert(before.id);
  }
  for (const raft::Member& now : next.members) {
    const raft::Member* before = members_.find(now.node);
    const bool voted = before != nullptr && members_.is_voter(now.node);
    if (before == nullptr && gone_.contains(now.id)) world_.coverage.note(Reached::kAddedBack);
    if (before != nullptr && !voted && next.is_voter(now.node)) world_.coverage.note(Reached::kPromoted);
  }
  members_ = next;
}

void Invariants::check_digest(Machine& machine) {
  const server::Node& node = machine.process()->node();
  if (node.loading()) return;
  const raft::Index applied = node.raft().applied_index();
  const keyspace::Digest digest = node.keyspace().digest();
  world_.trace.add({.kind = EventKind::kApply, .machine = machine.number, .a = applied, .b = digest.low});
  const uint16_t level = node.semantics_level();
  if (levels_.emplace(applied, level).first->second != level) {
    world_.fail("I13", base::format("machine %zu is at semantics level %u at applied %llu, others are not", machine.number,
                                    level, Number{applied}));
  }
  if (!(databases_.emplace(applied, node.keyspace().databases()).first->second == node.keyspace().databases())) {
    world_.fail("I13", base::format("machine %zu has other namespaces at applied %llu", machine.number, Number{applied}));
  }
  const auto [known, first] = digests_.emplace(applied, digest);
  if (!first && applied == seen_[machine.number].installed) world_.coverage.note(Reached::kSnapshotCompared);
  if (first || known->second == digest) return;
  world_.fail("I13", base::format("machine %zu has another digest at applied %llu", machine.number, Number{applied}));
}

// --- After its own events ------------------------------------------------------------------------------------

void Invariants::check_all() {
  for (Machine* machine : machines_) {
    if (machine->process() != nullptr && !machine->dying()) check_process(*machine);
    else check_configurations(*machine);
  }
}

// I11: a change begins when the one before it is committed.
void Invariants::check_configurations(const Machine& machine) {
  size_t open = 0;
  for (raft::Index index = canonical_.size() + 1; index <= machine.durable.last(); ++index) {
    open += machine.durable.find(index)->kind == raft::EntryKind::kConfiguration;
  }
  if (open <= 1) return;
  world_.fail("I11", base::format("machine %zu has %zu uncommitted configurations", machine.number, open));
}

// I11: the configuration in force is the last one of the log, or of what the log has no more. Looked at while nothing is on its
// way to the disk.
void Invariants::check_configuration_in_force(Machine& machine) {
  const raft::Raft& raft = machine.process()->node().raft();
  Seen& seen = seen_[machine.number];
  const raft::EntryId last = raft.last();
  if (last.index == 0 || last == seen.configured || raft.installing() || world_.unnoticed) return;
  const bool is_durable = raft.durable_index() == last.index && machine.durable.last() == last.index &&
                          machine.durable.term_at(last.index) == last.term;
  if (!is_durable) return;
  seen.configured = last;
  raft::Index index = last.index;
  const raft::Configuration* newest = nullptr;
  for (; newest == nullptr && index > seen.checked && machine.durable.find(index) != nullptr; --index) {
    newest = replicated_.configuration({.term = machine.durable.term_at(index), .index = index});
  }
  if (newest == nullptr) newest = replicated_.configuration_at(index);
  if (newest == nullptr || *newest == raft.configuration()) return;
  world_.fail("I11", base::format("the configuration in force at machine %zu is not the last one of its log to %llu", machine.number,
                                  Number{last.index}));
}

// I10, from the leader's side: what it counts for a peer is on that peer's disk.
void Invariants::check_matches(Machine& machine) {
  const raft::Raft& raft = machine.process()->node().raft();
  if (raft.role() != raft::Role::kLeader) return;
  for (const raft::PeerView& peer : raft.peers()) {
    const Machine* other = find(peer.node);
    if (other == nullptr || other == &machine) continue;
    // What was lost unnoticed the leader finds out with the next answer.
    if (world_.unnoticed) continue;
    if (peer.lost_tail) world_.fail("D16", "a leader counts a peer no more whose disk is sound");
    // One that was deposed and does not know it may count what a newer leader has replaced.
    if (other->durable.hard_state().term > raft.term() || peer.match <= other->durable.last()) continue;
    world_.fail("I10", base::format("machine %zu counts %llu for machine %zu, which has %llu", machine.number,
                                    Number{peer.match}, other->number, Number{other->durable.last()}));
  }
}

// --- Logs --------------------------------------------------------------------------------------------

void Invariants::on_log_handed(Machine& machine, const std::vector<storage::LogWrite>& writes) {
  if (machine.process() == nullptr) return;
  const raft::Raft& raft = machine.process()->node().raft();
  for (const storage::LogWrite& write : writes) {
    if (write.truncate_from && raft.role() == raft::Role::kLeader) {
      world_.fail("I7", base::format("the leader of term %llu truncates at %llu", Number{raft.term()},
                                     Number{*write.truncate_from}));
    }
    if (write.truncate_from) world_.coverage.note(Reached::kTruncation);
    if (write.install && write.install->last.index > canonical_.size()) {
      world_.fail("I8", base::format("machine %zu takes a snapshot at %llu, of which %zu entries are committed",
                                     machine.number, Number{write.install->last.index}, canonical_.size()));
    }
    if (write.truncate_from && *write.truncate_from <= canonical_.size() &&
        machine.durable.find(*write.truncate_from) != nullptr &&
        *machine.durable.find(*write.truncate_from) == canonical_[*write.truncate_from - 1].entry) {
      world_.fail("I4", base::format("machine %zu truncates committed entry %llu", machine.number,
                                     Number{*write.truncate_from}));
    }
  }
}

// Somebody that answers this leader still needs what is going.
bool Invariants::catches_up_from_before(Machine& machine, raft::Index base) const {
  if (machine.process() == nullptr || machine.process()->node().raft().role() != raft::Role::kLeader) return false;
  const std::vector<raft::PeerView> peers = machine.process()->node().raft().peers();
  return std::any_of(peers.begin(), peers.end(), [&](const raft::PeerView& peer) {
    const uint64_t lately = world_.parameters.options.heartbeat_interval_ms * 2 / server::kTickMs;
    return peer.match < base && peer.ticks_since_heard <= lately;
  });
}

// D10: what leaves the log is durable in the keys file.
void Invariants::on_compacted(Machine& machine, raft::EntryId base) {
  world_.coverage.note(Reached::kCompacted);
  if (catches_up_from_before(machine, base.index)) world_.coverage.note(Reached::kCompactedInCatchUp);
  if (base.index <= machine.flushed && base.index <= canonical_.size()) return;
  world_.fail("I8", base::format("machine %zu drops its log up to %llu; durable in its keys file is %llu", machine.number,
                                 Number{base.index}, Number{machine.flushed}));
}

void Invariants::on_log_durable(Machine& machine, const std::vector<storage::LogWrite>& writes) {
  std::map<raft::Index, raft::Term> written;   // By this job, so far.
  for (const storage::LogWrite& write : writes) {
    if (write.hard_state && write.hard_state->voted_for != raft::kNobody) {
      note_vote(machine, write.hard_state->term, write.hard_state->voted_for);
    }
    if (write.install) {
      written[write.install->last.index] = write.install->last.term;
      machine.flushed = std::max(machine.flushed, write.install->last.index);
      machine.keys_lost = 0;
      seen_[machine.number].installed = write.install->last.index;
    }
    for (const raft::Entry& entry : write.append) {
      replicated_.note(entry);
      const auto before = written.find(entry.id.index - 1);
      const raft::Term term_on_disk = machine.durable.term_at(entry.id.index - 1);
      note_log(entry.id.index, durable_entry(entry), before == written.end() ? term_on_disk : before->second);
      written[entry.id.index] = entry.id.term;
    }
  }
}

// I2: an entry of one index and term is the same, and has the same entry before it, wherever it is.
void Invariants::note_log(raft::Index index, const DurableEntry& entry, raft::Term previous_term) {
  const Ancestor mine{.previous_term = previous_term, .hash = entry.hash};
  const auto [known, first] = log_.emplace(std::pair{index, entry.term}, mine);
  if (first) return;
  const bool same = known->second.hash == mine.hash && known->second.previous_term == mine.previous_term;
  if (!same) world_.fail("I2", "two different logs have " + entry_name(index, entry));
}

// --- Messages ----------------------------------------------------------------------------------------

void Invariants::on_send(Machine& machine, const raft::Message& message) {
  const raft::HardState durable = machine.durable.hard_state();
  if (message.from != machine.node()) world_.fail("identity", "a node sends in another's name");
  if (const auto* request = std::get_if<raft::RequestVote>(&message.body); request && !request->pre_vote) {
    check_vote(machine, message.term, machine.node());
  }
  if (const auto* reply = std::get_if<raft::RequestVoteReply>(&message.body)) {
    if (reply->granted && !reply->pre_vote) check_vote(machine, message.term, message.to);
  }
  if (const auto* request = std::get_if<raft::ReadIndexRequest>(&message.body)) check_read_context(machine, request->context);
  if (const auto* append = std::get_if<raft::AppendEntries>(&message.body)) {
    check_entries(message, *append);
    if (durable.term != message.term || durable.voted_for != machine.node()) {
      world_.fail("D1", base::format("machine %zu sends appends of term %llu without its durable vote", machine.number,
                                     Number{message.term}));
    }
  }
  if (const auto* reply = std::get_if<raft::AppendEntriesReply>(&message.body)) {
    if (reply->accepted) check_acknowledgement(machine, message, reply->match);
  }
  if (const auto* reply = std::get_if<raft::InstallSnapshotReply>(&message.body)) {
    check_acknowledgement(machine, message, reply->match);
  }
}

// D13: no two reads of a node, in all its processes, can be taken for each other.
void Invariants::check_read_context(const Machine& machine, uint64_t context) {
  if (contexts_.emplace(machine.node(), context).second) return;
  world_.fail("D13", base::format("machine %zu asks for a second read %llu", machine.number, Number{context}));
}

// I6 and I9: a vote that leaves is durable, and the only one of its term.
void Invariants::check_vote(Machine& machine, raft::Term term, raft::NodeId vote) {
  const raft::HardState durable = machine.durable.hard_state();
  const bool there = durable.term > term || (durable.term == term && durable.voted_for == vote);
  if (!there) {
    world_.fail("I9", base::format("machine %zu sends a vote of term %llu that is not durable", machine.number, Number{term}));
  }
  note_vote(machine, term, vote);
}

void Invariants::note_vote(const Machine& machine, raft::Term term, raft::NodeId vote) {
  const auto [known, first] = votes_.emplace(std::pair{machine.node(), term}, vote);
  if (first || known->second == vote) return;
  world_.fail("I6", base::format("machine %zu votes twice in term %llu", machine.number, Number{term}));
}

// I9 and I10: what is acknowledged is durable, and so is the term in which it is.
void Invariants::check_acknowledgement(Machine& machine, const raft::Message& message, raft::Index match) {
  if (machine.durable.hard_state().term < message.term) {
    world_.fail("I9", base::format("machine %zu acknowledges in term %llu before that is durable", machine.number,
                                   Number{message.term}));
  }
  if (match > machine.durable.last()) {
    world_.fail("I10", base::format("machine %zu acknowledges %llu, durable is %llu", machine.number, Number{match},
                                    Number{machine.durable.last()}));
  }
}

void Invariants::check_entries(const raft::Message& message, const raft::AppendEntries& append) {
  raft::Term previous_term = append.previous.term;
  for (const raft::Entry& entry : append.entries) {
    note_log(entry.id.index, durable_entry(entry), previous_term);
    previous_term = entry.id.term;
    if (entry.id.index > canonical_.size()) continue;
    const Committed& committed = canonical_[entry.id.index - 1];
    if (committed.by_term > message.term || committed.entry == durable_entry(entry)) continue;
    world_.fail("I3", base::format("the leader of term %llu replaces committed %s", Number{message.term},
                                   entry_name(entry.id.index, committed.entry).c_str()));
  }
}

}  // namespace leto::sim
