#include "raft/harness.h"

#include <algorithm>
#include <cinttypes>

#include "base/format.h"

namespace leto::raft_test {

using base::format;

namespace {

const char* role_letter(MemberRole role) {
  switch (role) {
    case MemberRole::kVoter: return "";
    case MemberRole::kLearner: return "(learner)";
    case MemberRole::kObserver: return "(observer)";
    case MemberRole::kIncoming: return "(incoming)";
    case MemberRole::kOutgoing: return "(outgoing)";
  }
  return "(?)";
}

std::string text_of(const raft::EntryId& id) { return format("%" PRIu64 "/%" PRIu64, id.term, id.index); }

std::string text_of(const Entry& entry) {
  std::string text = text_of(entry.id);
  if (entry.kind == raft::EntryKind::kNothing) return text + " nothing";
  if (entry.kind == raft::EntryKind::kCommands)
    return text + " '" + (entry.size() > 24 ? format("%zu bytes", entry.size()) : *entry.payload) + "'";
  Configuration configuration;
  raft::decode_configuration(*entry.payload, configuration);
  return text + " " + leto::raft_test::describe(configuration);
}

std::string text_of(const std::vector<Entry>& entries) {
  std::string text;
  for (const Entry& entry : entries) text += (text.empty() ? "" : ", ") + text_of(entry);
  return "[" + text + "]";
}

struct Describer {
  std::string operator()(const raft::RequestVote& body) const {
    return format("%s last %s%s", body.pre_vote ? "PreVote" : "RequestVote", text_of(body.last).c_str(),
                  body.transfer ? " transfer" : "");
  }
  std::string operator()(const raft::RequestVoteReply& body) const {
    return format("%s %s", body.pre_vote ? "PreVoteReply" : "RequestVoteReply", body.granted ? "granted" : "refused");
  }
  std::string operator()(const raft::AppendEntries& body) const {
    return format("AppendEntries previous %s commit %" PRIu64 " ", text_of(body.previous).c_str(), body.leader_commit) +
           text_of(body.entries);
  }
  std::string operator()(const raft::AppendEntriesReply& body) const {
    if (body.accepted) return format("AppendEntriesReply match %" PRIu64, body.match);
    const bool tells = body.acknowledged >= body.previous_index || body.acknowledged > body.hint.index;
    return format("AppendEntriesReply refused %" PRIu64 ", hint ", body.previous_index) + text_of(body.hint) +
           (body.acknowledged > 0 && tells ? format(", %" PRIu64 " was acknowledged", body.acknowledged) : "");
  }
  std::string operator()(const raft::InstallSnapshot& body) const {
    return format("InstallSnapshot %" PRIu64 " at %s, from %" PRIu64 " %zu bytes of %" PRIu64, body.snapshot,
                  text_of(body.last).c_str(), body.offset, body.data->size(), body.size);
  }
  std::string operator()(const raft::InstallSnapshotReply& body) const {
    const std::string start = format("InstallSnapshotReply %" PRIu64, body.snapshot);
    if (body.answer == raft::SnapshotAnswer::kRefused) return start + " refused";
    if (body.answer == raft::SnapshotAnswer::kNeeds) return start + format(" needs from %" PRIu64, body.offset);
    return start + format(" installed, match %" PRIu64, body.match);
  }
  std::string operator()(const raft::TimeoutNow&) const { return "TimeoutNow"; }
  std::string operator()(const raft::ReadIndexRequest& body) const {
    return format("ReadIndexRequest %" PRIu64, body.context);
  }
  std::string operator()(const raft::ReadIndexReply& body) const {
    return format("ReadIndexReply %" PRIu64 " %s", body.context,
                  body.ok ? format("index %" PRIu64, body.index).c_str() : "no");
  }
};

}  // namespace

Configuration make_configuration(const std::vector<NodeId>& voters, const std::vector<NodeId>& learners,
                                 const std::vector<NodeId>& observers) {
  Configuration configuration;
  const auto add = [&](NodeId node, MemberRole role) {
    configuration.members.push_back({.node = node,
                                     .id = format("n%" PRIu64, node),
                                     .role = role,
                                     .raft_address = format("h%" PRIu64 ":1", node),
                                     .client_address = ""});
  };
  for (const NodeId node : voters) add(node, MemberRole::kVoter);
  for (const NodeId node : learners) add(node, MemberRole::kLearner);
  for (const NodeId node : observers) add(node, MemberRole::kObserver);
  std::sort(configuration.members.begin(), configuration.members.end(),
            [](const raft::Member& a, const raft::Member& b) { return a.node < b.node; });
  return configuration;
}

raft::Payload make_payload(const std::string& text) { return std::make_shared<const std::string>(text); }

Entry make_entry(Term term, Index index, const std::string& text) {
  return {.id = {.term = term, .index = index}, .kind = raft::EntryKind::kCommands, .payload = make_payload(text)};
}

raft::ConfigurationAt configuration_at(const LogContent& content, Index index) {
  raft::ConfigurationAt in_force{.index = 0, .configuration = content.initial};
  for (const Entry& entry : content.entries) {
    if (entry.id.index > index || entry.kind != raft::EntryKind::kConfiguration) continue;
    in_force.index = entry.id.index;
    raft::decode_configuration(*entry.payload, in_force.configuration);
  }
  return in_force;
}

raft::Recovered make_recovered(const HardState& hard_state, const LogContent& content) {
  raft::Recovered recovered;
  recovered.hard_state = hard_state;
  recovered.configurations.push_back(configuration_at(content, content.base));
  if (recovered.configurations.front().configuration.members.empty()) recovered.configurations.clear();
  for (const Entry& entry : content.entries) {
    recovered.last = entry.id;
    if (entry.id.index <= content.base) {
      recovered.base = entry.id;
      continue;
    }
    if (recovered.terms.empty() || recovered.terms.back().term != entry.id.term)
      recovered.terms.push_back({.first = entry.id.index, .term = entry.id.term});
    if (entry.kind == raft::EntryKind::kConfiguration)
      recovered.configurations.push_back(configuration_at(content, entry.id.index));
  }
  return recovered;
}

std::string describe(const Message& message) {
  return format("%" PRIu64 " -> %" PRIu64 "  term %" PRIu64 " ", message.from, message.to, message.term) +
         std::visit(Describer{}, message.body);
}

std::string describe(const raft::Write& write) {
  std::string text;
  if (write.hard_state)
    text += format(" term %" PRIu64 " vote %" PRIu64, write.hard_state->term, write.hard_state->voted_for);
  if (write.install) text += " install " + text_of(write.install->last) + (write.install->keeps_log ? " beside the log" : "");
  if (write.truncate_from) text += format(" truncate from %" PRIu64, *write.truncate_from);
  if (!write.append.empty()) text += " append " + text_of(write.append);
  return text;
}

std::string describe(const Configuration& configuration) {
  std::string text;
  for (const raft::Member& member : configuration.members)
    text += (text.empty() ? "" : " ") + format("%" PRIu64, member.node) + role_letter(member.role);
  return "{" + text + "}";
}

Cluster::Cluster(const raft::Options& options) : options_(options) {}

Node& Cluster::node(NodeId id) { return nodes_.at(id); }
raft::Raft& Cluster::raft(NodeId id) { return *nodes_.at(id).raft; }
bool Cluster::is_up(NodeId id) { return nodes_.at(id).raft != nullptr; }

std::vector<NodeId> Cluster::ids() const {
  std::vector<NodeId> ids;
  for (const auto& [id, node] : nodes_) ids.push_back(id);
  return ids;
}

void Cluster::add(NodeId id, const Configuration& initial) {
  Node& node = nodes_[id];
  node.id = id;
  node.initial = initial;
  node.disk.initial = initial;
  node.options = options_;
  node.options.self = id;
  node.options.seed = options_.seed * 1000 + id;
}

void Cluster::add_voters(NodeId count) {
  std::vector<NodeId> voters;
  for (NodeId id = 1; id <= count; ++id) voters.push_back(id);
  for (const NodeId id : voters) add(id, make_configuration(voters));
  for (const NodeId id : voters) {
    start(id);
    // Old enough to vote (D18), and drawn a timeout that is not over just then.
    const auto ages = [&] {
      for (uint32_t i = 0; i < options_.election_ticks; ++i) {
        raft(id).tick();
        if (raft(id).has_output()) return false;
      }
      return true;
    };
    while (count > 1 && !ages()) {
      node(id).options.seed += 100;
      start(id);
    }
  }
}

void Cluster::start(NodeId id) {
  Node& node = this->node(id);
  node.initial = node.disk.initial;
  raft::Recovered recovered = make_recovered(
      node.disk.hard_state, {.entries = node.disk.log, .initial = node.initial, .base = node.disk.base});
  recovered.applied = node.applied_durable;
  recovered.lost_tail = node.lost_tail;
  recovered.founding = node.founding;
  recovered.lacks_state = node.lacks_keys;
  // What was applied is what the log held, compacted or not.
  const Index has = node.lacks_keys ? node.disk.base : node.applied_durable;
  node.applied.assign(node.disk.log.begin(), node.disk.log.begin() + static_cast<ptrdiff_t>(has));
  node.log = node.disk.log;
  node.raft = std::make_unique<raft::Raft>(node.options, std::move(recovered));
  checker_.on_restart(node);
  note(format("%" PRIu64 " starts", id));
  pump(id);
}

void Cluster::crash(NodeId id, size_t writes_kept) {
  Node& node = this->node(id);
  Coverage& coverage = checker_.coverage();
  coverage.note(Reached::kCrashed, is_up(id));
  coverage.note(Reached::kWritesLost, node.disk.queue.size() > writes_kept);
  for (size_t i = 0; i < writes_kept && !node.disk.queue.empty(); ++i) {
    coverage.note(Reached::kUnansweredKept, !node.disk.queue.front().after_durable.empty());
    node.disk.queue.front().after_durable.clear();
    complete_oldest(node);
  }
  node.disk.queue.clear();
  node.loads.clear();
  node.reads.clear();
  node.read_floors.clear();
  node.sending.clear();
  node.receiving.reset();
  node.received.reset();
  node.switched.reset();
  node.wanted.reset();
  node.disk_is_stalled = false;
  node.raft.reset();
  note(format("%" PRIu64 " dies", id));
}

void Cluster::restart(NodeId id, size_t writes_kept) {
  crash(id, writes_kept);
  start(id);
}

void Cluster::lose(NodeId id, Index first) {
  crash(id);
  Node& node = this->node(id);
  node.is_damaged = true;
  node.disk.log.resize(first - 1);
  node.applied_durable = std::min(node.applied_durable, first - 1);
  start(id);
}

void Cluster::lose_keys(NodeId id) {
  crash(id);
  node(id).lacks_keys = true;
  start(id);
}

void Cluster::tick(NodeId id, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    if (!is_up(id)) return;
    node(id).raft->tick();
    tick_snapshots(node(id));
    pump(id);
  }
}

void Cluster::tick_all(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i)
    for (const NodeId id : ids()) tick(id);
}

bool Cluster::tick_to_timeout(NodeId id) {
  for (uint64_t i = 0; i < 8 * uint64_t{options_.election_ticks}; ++i) {
    tick(id);
    if (raft(id).role() != raft::Role::kFollower) return true;
  }
  return false;
}

raft::ProposeResult Cluster::propose(NodeId id, const std::string& text) {
  const raft::ProposeResult result = raft(id).propose(make_payload(text), nullptr);
  checker_.coverage().note(Reached::kWriteRefused, result != raft::ProposeResult::kAccepted);
  pump(id);
  return result;
}

void Cluster::read(NodeId id, uint64_t context) {
  node(id).read_floors[context] = checker_.highest_committed();
  raft(id).read_index(context);
  pump(id);
}

raft::TransferResult Cluster::transfer(NodeId id, NodeId to) {
  const raft::TransferResult result = raft(id).transfer(to);
  checker_.coverage().note(Reached::kTransfer, raft(id).transferring_to() != 0 && result == raft::TransferResult::kAccepted);
  pump(id);
  return result;
}

raft::ChangeResult Cluster::change(NodeId id, const Configuration& target) {
  const raft::ChangeResult result = raft(id).change_config(target);
  node(id).wanted.reset();
  if (result == raft::ChangeResult::kAsksWhoLives) node(id).wanted = target;
  checker_.coverage().note(Reached::kAskedWhoLives, node(id).wanted.has_value());
  pump(id);
  return result;
}

void Cluster::change_again(Node& node) {
  if (!node.wanted) return;
  const raft::ChangeResult result = node.raft->change_config(*node.wanted);
  if (result == raft::ChangeResult::kAsksWhoLives) return;
  node.wanted.reset();
  note(format("the change that %" PRIu64 " is to make: %s", node.id, name_of(result)));
}

const char* name_of(raft::ChangeResult result) {
  constexpr const char* kNames[] = {"accepted",       "nothing to do", "not the leader",     "not ready", "in progress",
                                    "asks who lives", "no live quorum", "voters lag", "removes the leader", "invalid"};
  return kNames[static_cast<size_t>(result)];
}

void Cluster::stall_disk(NodeId id, bool stalled) {
  const bool led = raft(id).role() == raft::Role::kLeader;
  const bool changes = std::exchange(node(id).disk_is_stalled, stalled) != stalled;
  raft(id).disk_stalled(stalled);
  const bool leads_on = raft(id).role() == raft::Role::kLeader && raft(id).transferring_to() == 0;
  checker_.coverage().note(stalled ? Reached::kStalled : Reached::kStallOver, changes);
  checker_.coverage().note(Reached::kStalledLeader, stalled && changes && led && !leads_on);
  pump(id);
}

void Cluster::unreachable(NodeId id, NodeId peer) {
  for (const raft::PeerView& view : raft(id).peers())
    checker_.coverage().note(Reached::kUnreachable, view.node == peer && view.in_flight_messages > 0);
  raft(id).peer_unreachable(peer);
  pump(id);
}

void Cluster::take_in(NodeId id, const Message& message) {
  const Index commit_before = raft(id).commit_index();
  raft(id).step(message);
  if (std::holds_alternative<raft::TimeoutNow>(message.body))
    checker_.coverage().note(Reached::kHandedOver, raft(id).role() == raft::Role::kCandidate);
  if (const auto* append = std::get_if<raft::AppendEntries>(&message.body))
    checker_.on_appended(node(id), *append, commit_before);
}

void Cluster::step(NodeId id, const Message& message) {
  take_in(id, message);
  pump(id);
}

void Cluster::pump(NodeId id) {
  Node& node = this->node(id);
  change_again(node);
  while (node.raft->has_output()) {
    raft::Output output = node.raft->take();
    if (output.empty()) {
      note(format("%" PRIu64 " promised output and gave none", id));
      break;
    }
    carry_out(node, std::move(output));
    if (!node.keys_are_manual && node.switched) swap_keys(node);
  }
  checker_.after_event(nodes_, node);
}

void Cluster::carry_out(Node& node, raft::Output output) {
  if (output.role_change)
    note(format("%" PRIu64 " is %s in term %" PRIu64 ", leader %" PRIu64, node.id, role_name(output.role_change->role),
                output.role_change->term, output.role_change->leader));
  if (output.lost_acknowledged > 0) {
    checker_.on_lost(node, output.lost_acknowledged);
    note(format("%" PRIu64 " has lost %" PRIu64 ", which it acknowledged", node.id, output.lost_acknowledged));
  }
  for (const Message& message : output.send_now) send(node, message);
  for (const raft::Write& write : output.writes) store(node, write);
  checker_.after_event(nodes_, node);
  for (const Entry& entry : output.apply) {
    checker_.on_apply(node, entry);
    node.applied.push_back(entry);
    note(format("%" PRIu64 " applies ", node.id) + text_of(entry));
  }
  if (!output.apply.empty()) node.raft->applied(output.apply.back().id.index);
  for (const raft::ReadReady& read : output.reads) {
    checker_.on_read(node, read);
    node.read_floors.erase(read.context);
    node.reads.push_back(read);
    note(format("%" PRIu64 " read %" PRIu64 " %s", node.id, read.context,
                read.ok ? format("at %" PRIu64, read.index).c_str() : "failed"));
  }
  for (const raft::Load& load : output.loads) {
    note_detail([&] { return format("%" PRIu64 " loads from %" PRIu64 " for %" PRIu64, node.id, load.from, load.peer); });
    node.loads.push_back(load);
  }
  for (const NodeId peer : output.start_snapshots) start_snapshot(node, peer);
  for (const Message& message : output.snapshot_messages) on_snapshot_message(node, message);
  while (!node.loads_are_manual && !node.loads.empty()) answer_load(node);
  while (!node.disk_is_manual && !node.disk.queue.empty()) {
    complete_oldest(node);
  }
}

void Cluster::send(Node& node, const Message& message) {
  checker_.on_send(node, message);
  const bool is_of_snapshot = std::holds_alternative<raft::InstallSnapshot>(message.body) ||
                              std::holds_alternative<raft::InstallSnapshotReply>(message.body);
  const auto text = [&message] { return describe(message); };
  is_of_snapshot ? note(text()) : note_detail(text);
  if (!is_cut_off(message)) network_.push_back(message);
}

void Cluster::store(Node& node, const raft::Write& write) {
  checker_.on_write(node, write);
  const auto text = [&] { return format("%" PRIu64 " writes", node.id) + describe(write); };
  write.install ? note(text()) : note_detail(text);
  if (write.install && !write.install->keeps_log) {
    const Snapshot& snapshot = *node.keys_files.at(write.install->keys_generation);
    node.log = snapshot.entries;
    node.initial = snapshot.initial;
  }
  if (write.truncate_from) node.log.resize(*write.truncate_from - 1);
  node.log.insert(node.log.end(), write.append.begin(), write.append.end());
  node.disk.queue.push_back(write);
}

void Cluster::complete_oldest(Node& node) {
  const raft::Write write = std::move(node.disk.queue.front());
  node.disk.queue.pop_front();
  if (write.hard_state) node.disk.hard_state = *write.hard_state;
  if (write.install) switch_keys(node, *write.install);
  if (write.truncate_from) node.disk.log.resize(*write.truncate_from - 1);
  node.disk.log.insert(node.disk.log.end(), write.append.begin(), write.append.end());
  for (const Message& message : write.after_durable) send(node, message);
  node.raft->durable(write.seq);
}

void Cluster::sync(NodeId id, size_t count) {
  Node& node = this->node(id);
  for (size_t i = 0; i < count && !node.disk.queue.empty(); ++i) complete_oldest(node);
  pump(id);
}

void Cluster::answer_load(Node& node) {
  const raft::Load load = node.loads.front();
  node.loads.pop_front();
  std::vector<Entry> entries;
  size_t bytes = 0;
  const Index from = load.from > node.disk.base ? load.from : load.last + 1;   // Compacted meanwhile: nothing.
  for (Index index = from; index <= load.last && index <= node.disk.log.size(); ++index) {
    bytes += node.disk.log[index - 1].size();
    if (!entries.empty() && bytes > load.max_bytes) break;
    entries.push_back(node.disk.log[index - 1]);
  }
  node.raft->loaded(load.peer, std::move(entries));
}

void Cluster::answer_loads(NodeId id) {
  Node& node = this->node(id);
  checker_.coverage().note(Reached::kLateLoad, node.loads.size());
  while (!node.loads.empty()) answer_load(node);
  pump(id);
}

bool Cluster::can_arrive(const Message& message) {
  const auto receiver = nodes_.find(message.to);
  return receiver != nodes_.end() && receiver->second.raft && !cut_.contains({message.from, message.to});
}

bool Cluster::is_cut_off(const Message& message) {
  const auto cut = cut_.find({message.from, message.to});
  if (cut != cut_.end()) checker_.coverage().note(cut->second);
  return cut != cut_.end();
}

Message Cluster::take_out(size_t position) {
  Message message = std::move(network_[position]);
  network_.erase(network_.begin() + static_cast<ptrdiff_t>(position));
  return message;
}

void Cluster::deliver_at(size_t position) {
  const Message message = take_out(position);
  if (is_cut_off(message)) return;
  if (!can_arrive(message)) return checker_.coverage().note(Reached::kLostAtDead);
  const auto is_earlier = [&](const Message& other) { return other.from == message.from && other.to == message.to; };
  const auto end = network_.begin() + static_cast<ptrdiff_t>(position);
  checker_.coverage().note(Reached::kOvertaken, std::any_of(network_.begin(), end, is_earlier));
  step(message.to, message);
}

void Cluster::deliver_together(size_t first, size_t second) {
  const Message messages[] = {network_[first], network_[second]};
  take_out(std::max(first, second));
  take_out(std::min(first, second));
  for (const Message& message : messages) take_in(message.to, message);
  pump(messages[0].to);
}

void Cluster::drop_at(size_t position) { checker_.coverage().note(Reached::kDropped, can_arrive(take_out(position))); }

void Cluster::duplicate_at(size_t position) {
  const Message copy = network_[position];
  checker_.coverage().note(Reached::kDuplicated, can_arrive(copy));
  network_.push_back(copy);
}

size_t Cluster::deliver(NodeId from, NodeId to, size_t count) {
  std::deque<Message> chosen;
  std::deque<Message> others;
  for (Message& message : network_) {
    const bool is_chosen = chosen.size() < count && (from == 0 || message.from == from) && (to == 0 || message.to == to);
    (is_chosen ? chosen : others).push_back(std::move(message));
  }
  network_ = std::move(others);
  for (Message& message : chosen) {
    network_.push_front(std::move(message));
    deliver_at(0);
  }
  return chosen.size();
}

size_t Cluster::drop(NodeId from, NodeId to) {
  return std::erase_if(network_, [&](const Message& message) {
    return (from == 0 || message.from == from) && (to == 0 || message.to == to);
  });
}

void Cluster::settle() {
  constexpr size_t kRoundsMax = 10000;
  for (size_t round = 0; round < kRoundsMax && !network_.empty(); ++round) deliver();
  if (!network_.empty()) note("the network never becomes quiet");
}

void Cluster::partition(const std::vector<std::vector<NodeId>>& groups) {
  cut_.clear();
  for (const std::vector<NodeId>& side : groups)
    for (const std::vector<NodeId>& other : groups)
      for (const NodeId from : side)
        for (const NodeId to : other)
          if (&side != &other) cut(from, to, Reached::kLostInPartition);
}

void Cluster::heal() {
  checker_.coverage().note(Reached::kHealed, !cut_.empty());
  cut_.clear();
}

NodeId Cluster::leader() {
  NodeId leader = 0;
  for (auto& [id, node] : nodes_) {
    if (!node.raft || node.raft->role() != raft::Role::kLeader) continue;
    if (leader == 0 || node.raft->term() > raft(leader).term()) leader = id;
  }
  return leader;
}

bool Cluster::elect(NodeId id) {
  if (!tick_to_timeout(id)) return false;
  settle();
  return leader() == id;
}

void Cluster::run(uint64_t ticks) {
  for (uint64_t i = 0; i < ticks; ++i) {
    tick_all();
    settle();
  }
}

}  // namespace leto::raft_test
