#include "raft/checker.h"

#include <algorithm>
#include <cinttypes>

#include "base/format.h"
#include "raft/harness.h"

namespace leto::raft_test {

using base::format;
using raft::EntryId;

namespace {

constexpr size_t kViolationsMax = 20;

EntryId id_before(const std::vector<Entry>& log, Index index) {
  return index <= 1 || index - 2 >= log.size() ? EntryId{} : log[index - 2].id;
}

std::string content_of(const Entry& entry) {
  return format("%d:", static_cast<int>(entry.kind)) + *entry.payload;
}

}  // namespace

void Checker::violated(const std::string& what) {
  if (violations_.size() < kViolationsMax) violations_.push_back(what);
}

std::string Checker::report() const {
  std::string text;
  for (const std::string& violation : violations_) text += violation + "\n";
  return text;
}

void Checker::on_send(const Node& node, const Message& message) {
  const HardState& durable = node.disk.hard_state;
  const auto* request = std::get_if<raft::RequestVote>(&message.body);
  const auto* vote = std::get_if<raft::RequestVoteReply>(&message.body);
  const bool is_pre_vote = (request && request->pre_vote) || (vote && vote->pre_vote);
  if (is_pre_vote) return;
  if (message.term > durable.term)
    violated(format("I9: node %" PRIu64 " sends term %" PRIu64 " but has durably %" PRIu64, node.id, message.term,
                    durable.term));
  const bool is_vote = request || (vote && vote->granted);
  if (is_vote) {
    const NodeId choice = request ? node.id : message.to;
    if (message.term == durable.term && durable.voted_for != choice)
      violated(format("I9: node %" PRIu64 " votes in term %" PRIu64 " before it is durable", node.id, message.term));
    const auto [known, is_new] = votes_.insert({{node.id, message.term}, choice});
    if (!is_new && known->second != choice)
      violated(format("I6: node %" PRIu64 " votes twice in term %" PRIu64, node.id, message.term));
  }
  const auto* append = std::get_if<raft::AppendEntries>(&message.body);
  if (append && append->entries.empty() && append->leader_commit > append->previous.index)
    violated(format("D7: node %" PRIu64 " tells of %" PRIu64 ", shown is %" PRIu64, node.id, append->leader_commit,
                    append->previous.index));
  const auto* reply = std::get_if<raft::AppendEntriesReply>(&message.body);
  if (reply && reply->accepted && message.term == durable.term && reply->match > node.disk.log.size())
    violated(format("I10: node %" PRIu64 " acknowledges %" PRIu64 ", durable are %zu", node.id, reply->match,
                    node.disk.log.size()));
  const auto* installed = std::get_if<raft::InstallSnapshotReply>(&message.body);
  // An answer about an earlier one may have waited for the disk when the next one came.
  const bool is_early = node.switched || (installed && node.raft && node.raft->installing() &&
                                          installed->match >= node.keys_files.at(node.generation)->last.index);
  if (installed && installed->answer == raft::SnapshotAnswer::kInstalled && message.term == durable.term &&
      (installed->match > node.disk.log.size() || is_early))
    violated(format("D9: node %" PRIu64 " tells that %" PRIu64 " is installed, durable are %zu", node.id,
                    installed->match, node.disk.log.size()));
  if (reply && reply->accepted && node.lost_tail)
    violated(format("D16: node %" PRIu64 " lost its tail and acknowledges", node.id));
}

void Checker::on_appended(const Node& node, const raft::AppendEntries& append, Index commit_before) {
  const Index shown = append.previous.index + append.entries.size();
  if (node.raft->role() != raft::Role::kLeader && node.raft->commit_index() > std::max(commit_before, shown))
    violated(format("D7: node %" PRIu64 " commits %" PRIu64 ", shown was %" PRIu64, node.id, node.raft->commit_index(), shown));
}

void Checker::on_lost(const Node& node, Index acknowledged) {
  if (!node.is_damaged)
    violated(format("D16: node %" PRIu64 " believes that it lost %" PRIu64 ", and its disk is sound", node.id, acknowledged));
}

void Checker::on_write(const Node& node, const raft::Write& write) {
  const Seen& seen = seen_[node.id];
  if (write.truncate_from && seen.leads != 0 && seen.leads == node.raft->term())
    violated(format("I7: node %" PRIu64 " leads term %" PRIu64 " and truncates", node.id, seen.leads));
  if (write.truncate_from && (write.append.empty() || write.append.front().id.index != *write.truncate_from))
    violated(format("D4: node %" PRIu64 " truncates from %" PRIu64 " apart from the append", node.id, *write.truncate_from));
  for (size_t i = 1; i < write.append.size(); ++i)
    if (write.append[i].id.index != write.append[0].id.index + i)
      violated(format("D4: node %" PRIu64 " appends %" PRIu64 " behind %" PRIu64 " in one write", node.id,
                      write.append[i].id.index, write.append[i - 1].id.index));
  coverage_.note(Reached::kInstalled, write.install.has_value());
  coverage_.note(Reached::kKeptLog, write.install && write.install->keeps_log);
  coverage_.note(Reached::kTruncated, write.truncate_from.has_value());
  for (const Entry& entry : write.append) {
    Configuration configuration;
    if (entry.kind != raft::EntryKind::kConfiguration || !raft::decode_configuration(*entry.payload, configuration))
      continue;
    const auto is_learner = [](const raft::Member& member) { return member.role == raft::MemberRole::kLearner; };
    coverage_.note(Reached::kJoint, configuration.is_joint());
    coverage_.note(Reached::kLearner, std::any_of(configuration.members.begin(), configuration.members.end(), is_learner));
  }
  note_entries(write.append.empty() ? EntryId{} : id_before(node.log, write.append.front().id.index), write.append);
}

void Checker::note_entries(EntryId previous, const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    const auto [known, is_new] = entries_.insert({entry.id, {previous, content_of(entry)}});
    if (!is_new && (known->second.first != previous || known->second.second != content_of(entry)))
      violated(format("I2: two entries %" PRIu64 "/%" PRIu64, entry.id.term, entry.id.index));
    previous = entry.id;
  }
}

void Checker::on_apply(const Node& node, const Entry& entry) {
  if (node.switched || node.raft->installing() || node.raft->lacks_state())
    violated(format("D9: node %" PRIu64 " applies %" PRIu64 " before the snapshot was swapped in", node.id,
                    entry.id.index));
  if (entry.id.index != node.applied.size() + 1)
    violated(format("D11: node %" PRIu64 " applies %" PRIu64 " after %zu", node.id, entry.id.index, node.applied.size()));
  const auto known = committed_.find(entry.id.index);
  if (known == committed_.end() || known->second != entry.id)
    violated(format("I4: node %" PRIu64 " applies %" PRIu64 "/%" PRIu64, node.id, entry.id.term, entry.id.index));
  const auto content = entries_.find(entry.id);
  if (content == entries_.end() || content->second.second != content_of(entry))
    violated(format("I4: node %" PRIu64 " applies other bytes at %" PRIu64, node.id, entry.id.index));
  if (entry.id.index > node.disk.log.size())
    violated(format("I8: node %" PRIu64 " applies %" PRIu64 ", durable are %zu", node.id, entry.id.index,
                    node.disk.log.size()));
}

void Checker::on_compact(const Node& node) {
  coverage_.note(Reached::kCompacted);
  if (node.disk.base > node.applied_durable)
    violated(format("D10: node %" PRIu64 " compacts through %" PRIu64 ", its keys are durable at %" PRIu64, node.id,
                    node.disk.base, node.applied_durable));
}

void Checker::on_swap(const Node& node, const Snapshot& snapshot) {
  coverage_.note(Reached::kSwapped);
  EntryId last;
  for (const Entry& entry : snapshot.entries) {
    const auto known = committed_.find(entry.id.index);
    if (known == committed_.end() || known->second != entry.id || entry.id.index != last.index + 1)
      violated(format("I4: node %" PRIu64 " installs %" PRIu64 "/%" PRIu64, node.id, entry.id.term, entry.id.index));
    last = entry.id;
  }
  const raft::ConfigurationAt expected =
      configuration_at({.entries = snapshot.entries, .initial = snapshot.initial}, last.index);
  const raft::ConfigurationAt& given = snapshot.configuration;
  if (last != snapshot.last || expected.index != given.index || !(expected.configuration == given.configuration))
    violated(format("I11: node %" PRIu64 " installs another configuration than that at %" PRIu64, node.id, last.index));
  if (node.raft->applied_index() != last.index || node.raft->commit_index() < last.index)
    violated(format("D9: node %" PRIu64 " swapped %" PRIu64 " in and has applied %" PRIu64, node.id, last.index,
                    node.raft->applied_index()));
}

void Checker::on_read(const Node& node, const raft::ReadReady& read) {
  coverage_.note(read.ok ? Reached::kRead : Reached::kReadFailed);
  const auto floor = node.read_floors.find(read.context);
  if (floor == node.read_floors.end())
    return violated(format("D13: node %" PRIu64 " answers read %" PRIu64 ", for which nobody waits", node.id, read.context));
  if (!read.ok) return;
  if (node.raft->installing() && read.index + 1 < node.raft->first_index())
    violated(format("D9: node %" PRIu64 " reads at %" PRIu64 " before the snapshot was swapped in", node.id, read.index));
  if (read.index < floor->second)
    violated(format("D13: node %" PRIu64 " reads at %" PRIu64 " though %" PRIu64 " was committed before", node.id,
                    read.index, floor->second));
}

void Checker::on_restart(const Node& node) {
  if (seen_.contains(node.id)) coverage_.note(Reached::kRestarted);
  Seen& seen = seen_[node.id];
  note_entries({}, node.disk.log);
  if (node.raft->term() != node.disk.hard_state.term || node.raft->voted_for() != node.disk.hard_state.voted_for ||
      node.raft->last().index != node.disk.log.size() || node.raft->first_index() != node.disk.base + 1)
    violated(format("I12: node %" PRIu64 " started as another than its disk says", node.id));
  seen = Seen{.term = node.raft->term(), .commit = node.raft->commit_index(), .applied = node.raft->applied_index(), .leads = 0};
}

void Checker::after_event(const std::map<NodeId, Node>& nodes, const Node& node) {
  node.raft->check_invariants();
  Seen& seen = seen_[node.id];
  const Index committed_before = seen.commit;
  check_progress(node, seen);
  note_committed(node, committed_before + 1, seen.commit);
  if (node.raft->role() != raft::Role::kLeader) {
    seen.leads = 0;
    return;
  }
  check_leader(nodes, node, seen);
  for (const raft::PeerView& peer : node.raft->peers())
    if (peer.lost_tail && !nodes.at(peer.node).is_damaged)
      violated(format("D16: node %" PRIu64 " counts %" PRIu64 " no more, whose disk is sound", node.id, peer.node));
  check_configurations(node);
  if (seen.commit > committed_before) check_quorum_has(nodes, node, seen.commit);
}

void Checker::check_progress(const Node& node, Seen& seen) {
  const raft::Raft& raft = *node.raft;
  if (raft.term() < seen.term || raft.commit_index() < seen.commit || raft.applied_index() < seen.applied)
    violated(format("I6: node %" PRIu64 " falls back: term %" PRIu64 " commit %" PRIu64 " applied %" PRIu64, node.id,
                    raft.term(), raft.commit_index(), raft.applied_index()));
  if (!raft.installing() && !node.lost_tail && raft.first_index() > node.applied_durable + 1)
    violated(format("I8: node %" PRIu64 " has a log from %" PRIu64 ", its keys are durable at %" PRIu64, node.id,
                    raft.first_index(), node.applied_durable));
  const bool raised_as_leader = raft.role() == raft::Role::kLeader && seen.leads == raft.term() && raft.commit_index() > seen.commit;
  if (raised_as_leader && node.log[raft.commit_index() - 1].id.term != raft.term())
    violated(format("D5: node %" PRIu64 " commits %" PRIu64 " of term %" PRIu64 " by counting in term %" PRIu64, node.id,
                    raft.commit_index(), node.log[raft.commit_index() - 1].id.term, raft.term()));
  seen.term = raft.term();
  seen.commit = raft.commit_index();
  seen.applied = raft.applied_index();
}

void Checker::note_committed(const Node& node, Index from, Index to) {
  for (Index index = from; index <= to && index <= node.log.size(); ++index) {
    const EntryId id = node.log[index - 1].id;
    const auto [known, is_new] = committed_.insert({index, id});
    if (!is_new && known->second != id)
      violated(format("I4: node %" PRIu64 " commits %" PRIu64 "/%" PRIu64 ", committed was %" PRIu64, node.id, id.term,
                      index, known->second.term));
  }
}

void Checker::check_leader(const std::map<NodeId, Node>&, const Node& node, Seen& seen) {
  const Term term = node.raft->term();
  if (seen.leads == term) return;
  seen.leads = term;
  coverage_.note(Reached::kElected);
  coverage_.note(Reached::kLedWithoutKeys, node.raft->lacks_state());
  const auto [known, is_new] = leaders_.insert({term, node.id});
  if (!is_new && known->second != node.id)
    violated(format("I1: nodes %" PRIu64 " and %" PRIu64 " lead term %" PRIu64, known->second, node.id, term));
  if (!is_new && known->second == node.id)
    violated(format("I1: node %" PRIu64 " leads term %" PRIu64 " a second time", node.id, term));
  for (const auto& [index, id] : committed_) {
    if (id.term >= term) continue;
    if (index > node.log.size() || node.log[index - 1].id != id)
      return violated(format("I3: node %" PRIu64 " leads term %" PRIu64 " without committed %" PRIu64 "/%" PRIu64,
                             node.id, term, id.term, index));
  }
}

// A commit may append the next configuration at once, so any one from the one in force there on will do.
void Checker::check_quorum_has(const std::map<NodeId, Node>& nodes, const Node& node, Index index) {
  const EntryId id = node.log[index - 1].id;
  const auto has = [&](NodeId member) {
    const auto found = nodes.find(member);
    return found != nodes.end() && found->second.disk.log.size() >= index && found->second.disk.log[index - 1].id == id;
  };
  Configuration in_force = node.initial;
  bool is_held = false;
  for (const Entry& entry : node.log) {
    if (entry.id.index > index) is_held |= in_force.has_quorum(has);
    if (entry.kind == raft::EntryKind::kConfiguration) raft::decode_configuration(*entry.payload, in_force);
  }
  is_held |= in_force.has_quorum(has);
  if (!is_held || !(node.disk.log.size() >= index))
    violated(format("I5: node %" PRIu64 " commits %" PRIu64 "/%" PRIu64 " without a durable quorum", node.id, id.term,
                    index));
}

void Checker::check_configurations(const Node& node) {
  size_t uncommitted = 0;
  // By what was ever committed: a node that was just started knows less.
  for (Index index = highest_committed() + 1; index <= node.log.size(); ++index)
    uncommitted += node.log[index - 1].kind == raft::EntryKind::kConfiguration;
  if (uncommitted > 1) violated(format("I11: node %" PRIu64 " has %zu uncommitted configurations", node.id, uncommitted));
  Configuration newest = node.initial;
  for (const Entry& entry : node.log)
    if (entry.kind == raft::EntryKind::kConfiguration) raft::decode_configuration(*entry.payload, newest);
  if (!(newest == node.raft->configuration()))
    violated(format("I11: node %" PRIu64 " has a configuration that its log does not have", node.id));
}

void Checker::fingerprint(std::string& bytes) const {
  for (const auto& [term, leader] : leaders_) bytes += format("L%" PRIu64 ",%" PRIu64, term, leader);
  for (const auto& [voter, vote] : votes_) bytes += format("V%" PRIu64 ",%" PRIu64 ",%" PRIu64, voter.first, voter.second, vote);
  for (const auto& [index, id] : committed_) bytes += format("C%" PRIu64 ",%" PRIu64, index, id.term);
}

}  // namespace leto::raft_test
