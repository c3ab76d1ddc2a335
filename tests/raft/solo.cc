#include "raft/solo.h"

#include <utility>

namespace leto::raft_test {

std::vector<Entry> make_log(Term term, Index count) {
  std::vector<Entry> log;
  for (Index index = 1; index <= count; ++index) log.push_back(make_entry(term, index, "x"));
  return log;
}

size_t appends_to(const std::vector<Message>& messages, NodeId to) {
  size_t count = 0;
  for (const Message& message : messages) {
    const auto* append = std::get_if<raft::AppendEntries>(&message.body);
    count += append && message.to == to && !append->entries.empty();
  }
  return count;
}

Solo::Solo(SoloOptions options) : options_(std::move(options)) {
  options_.raft.self = options_.self;
  if (options_.raft.election_ticks == raft::Options{}.election_ticks) {
    options_.raft.election_ticks = 10;
    options_.raft.heartbeat_ticks = 3;
  }
  raft::Recovered recovered = make_recovered(
      options_.hard_state,
      {.entries = options_.log, .initial = options_.configuration, .base = options_.base});
  recovered.applied = options_.applied;
  recovered.lost_tail = options_.lost_tail;
  recovered.lacks_state = options_.lacks_state;
  recovered.founding = options_.founding;
  // A seed whose first timeout is not over when the node becomes old enough to vote.
  for (options_.raft.seed = 1;; ++options_.raft.seed) {
    raft_ = std::make_unique<raft::Raft>(options_.raft, recovered);
    if (options_.is_young || options_.configuration.voter_count() < 2) break;
    for (uint32_t i = 0; i < options_.raft.election_ticks; ++i) raft_->tick();
    if (raft_->role() == raft::Role::kFollower) break;
  }
  take();
}

void Solo::step(NodeId from, Term term, raft::Body body) {
  raft_->step({.from = from, .to = options_.self, .term = term, .body = std::move(body)});
  take();
}

void Solo::append(Sender sender, raft::EntryId previous, std::vector<Entry> entries, Index commit) {
  step(sender.node, sender.term, raft::AppendEntries{.previous = previous,
                                       .leader_commit = commit,
                                       .read_counter = 0,
                                       .cluster_time_ms = 0,
                                       .entries = std::move(entries)});
}

void Solo::accept(NodeId from, Term term, Index match, uint64_t read_counter) {
  step(from, term, raft::AppendEntriesReply{.accepted = true,
                                            .match = match,
                                            .previous_index = 0,
                                            .hint = {},
                                            .read_counter = read_counter});
}

void Solo::refuse(Sender sender, Index previous, raft::EntryId hint) {
  step(sender.node, sender.term,
       raft::AppendEntriesReply{
           .accepted = false, .match = 0, .previous_index = previous, .hint = hint, .read_counter = 0});
}

raft::PeerView Solo::peer(NodeId node) const {
  for (const raft::PeerView& peer : raft_->peers())
    if (peer.node == node) return peer;
  return {};
}

void Solo::tick(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    raft_->tick();
    take();
  }
}

void Solo::tick_to_timeout() {
  const raft::Role before = raft_->role();
  for (int i = 0; i < 100 && raft_->role() == before; ++i) tick();
}

void Solo::lead() {
  tick_to_timeout();
  const Term term = raft_->term() + 1;
  for (const NodeId voter : {NodeId{2}, NodeId{3}}) step(voter, term, kPreVoteGranted);
  sync();
  for (const NodeId voter : {NodeId{2}, NodeId{3}}) step(voter, term, kVoteGranted);
  sync();
  sent_.clear();
}

raft::ProposeResult Solo::propose(const std::string& text) {
  const raft::ProposeResult result = raft_->propose(make_payload(text), nullptr);
  take();
  return result;
}

raft::ChangeResult Solo::change(const Configuration& target, const std::vector<NodeId>& living) {
  raft::ChangeResult result = raft_->change_config(target);
  take();
  if (result != raft::ChangeResult::kAsksWhoLives) return result;
  answer(living);
  result = raft_->change_config(target);
  take();
  return result;
}

void Solo::answer(const std::vector<NodeId>& living) {
  for (const NodeId node : living) accept(node, raft_->term(), peer(node).match, counter_sent_);
}

void Solo::read(uint64_t context) {
  raft_->read_index(context);
  take();
}

bool Solo::install(raft::SnapshotInstall install) {
  const bool is_taken = raft_->install_snapshot(std::move(install));
  take();
  return is_taken;
}

void Solo::loaded() {
  raft_->snapshot_loaded();
  take();
}

void Solo::take() {
  while (raft_->has_output()) {
    raft::Output output = raft_->take();
    sent_.insert(sent_.end(), output.send_now.begin(), output.send_now.end());
    for (const Message& message : output.send_now)
      if (const auto* append = std::get_if<raft::AppendEntries>(&message.body)) counter_sent_ = append->read_counter;
    writes_.insert(writes_.end(), output.writes.begin(), output.writes.end());
    applied_.insert(applied_.end(), output.apply.begin(), output.apply.end());
    reads_.insert(reads_.end(), output.reads.begin(), output.reads.end());
    start_snapshots_.insert(start_snapshots_.end(), output.start_snapshots.begin(), output.start_snapshots.end());
    snapshot_messages_.insert(snapshot_messages_.end(), output.snapshot_messages.begin(),
                              output.snapshot_messages.end());
    loads_.insert(loads_.end(), output.loads.begin(), output.loads.end());
    if (!output.apply.empty()) raft_->applied(output.apply.back().id.index);
    raft_->check_invariants();
  }
}

void Solo::sync(size_t count) {
  for (size_t i = 0; i < count && !writes_.empty(); ++i) {
    const raft::Write write = std::move(writes_.front());
    writes_.pop_front();
    sent_.insert(sent_.end(), write.after_durable.begin(), write.after_durable.end());
    raft_->durable(write.seq);
    take();
  }
}

}  // namespace leto::raft_test
