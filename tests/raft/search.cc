#include "raft/search.h"

#include <algorithm>

#include "base/coding.h"
#include "base/format.h"
#include "base/hash.h"
#include "peer/codec.h"

namespace leto::raft_test {

namespace {

void append_bytes(const Message& message, std::string& bytes) {
  const peer::Encoded encoded = peer::encode(message);
  bytes.push_back(static_cast<char>(encoded.type));
  base::put_varint(bytes, message.from);
  base::put_varint(bytes, message.to);
  base::put_varint(bytes, message.term);
  bytes += encoded.head;
  for (const raft::Payload& payload : encoded.body) base::put_string(bytes, *payload);
}

uint64_t hash_of(const Message& message) {
  std::string bytes;
  append_bytes(message, bytes);
  return base::hash64(bytes, 1);
}

void append_write(const raft::Write& write, std::string& bytes) {
  base::put_varint(bytes, write.hard_state ? write.hard_state->term + 1 : 0);
  base::put_varint(bytes, write.hard_state ? write.hard_state->voted_for : 0);
  base::put_varint(bytes, write.truncate_from.value_or(0));
  for (const Entry& entry : write.append) base::put_varint(bytes, entry.id.term);
  for (const Message& message : write.after_durable) append_bytes(message, bytes);
}

void append_node(const Node& node, std::string& bytes) {
  base::put_varint(bytes, node.raft != nullptr);
  if (node.raft) node.raft->fingerprint(bytes);
  base::put_varint(bytes, node.disk.hard_state.term);
  base::put_varint(bytes, node.disk.hard_state.voted_for);
  base::put_varint(bytes, node.disk.log.size());
  for (const Entry& entry : node.disk.log) base::put_varint(bytes, entry.id.term);
  base::put_varint(bytes, node.disk.queue.size());
  for (const raft::Write& write : node.disk.queue) append_write(write, bytes);
  base::put_varint(bytes, node.applied.size());
  base::put_varint(bytes, node.applied_durable);
  base::put_varint(bytes, node.loads.size());
  for (const auto& [context, floor] : node.read_floors) {
    base::put_varint(bytes, context);
    base::put_varint(bytes, floor);
  }
}

std::vector<uint64_t> hashes_of(const std::deque<Message>& network) {
  std::vector<uint64_t> hashes;
  for (const Message& message : network) hashes.push_back(hash_of(message));
  return hashes;
}

// Of state, bag (in any order) and what is left of the bounds, the depth excepted.
uint64_t hash_of(Cluster& cluster, const SearchBounds& left) {
  std::string bytes;
  bytes.reserve(1024);
  for (const NodeId id : cluster.ids()) append_node(cluster.node(id), bytes);
  uint64_t bag = 0;
  for (const uint64_t hash : hashes_of(cluster.network())) bag += base::mix64(hash);
  base::put_u64(bytes, bag);
  for (const uint8_t number : {left.timeouts, left.ages, left.heartbeats, left.proposals, left.reads, left.crashes, left.duplicates,
                               left.pairs})
    base::put_u8(bytes, number);
  cluster.checker().fingerprint(bytes);
  return base::hash64(bytes, 2);
}

std::string bytes_of(const Node& node) {
  std::string bytes;
  append_node(node, bytes);
  return bytes;
}

bool is_pre_vote(const Message& message) {
  const auto* request = std::get_if<raft::RequestVote>(&message.body);
  const auto* reply = std::get_if<raft::RequestVoteReply>(&message.body);
  return (request != nullptr && request->pre_vote) || (reply != nullptr && reply->pre_vote);
}

// Ticks until the node asks for pre-votes, also one that has asked before or is a candidate; at most four timeouts.
void time_out(Cluster& cluster, NodeId id) {
  const size_t before = cluster.network().size();
  const uint64_t four_timeouts = 8 * uint64_t{cluster.node(id).options.election_ticks};
  for (uint64_t tick = 0; tick < four_timeouts && cluster.network().size() == before; ++tick) cluster.tick(id);
}

// The pre-votes that `node` asked for reach everybody, and the answers reach it.
void answer_pre_votes(Cluster& cluster, NodeId node) {
  const std::deque<Message>& network = cluster.network();
  const auto concerns_it = [node](const Message& message) {
    return is_pre_vote(message) && (message.from == node || message.to == node);
  };
  for (;;) {
    const auto found = std::find_if(network.begin(), network.end(), concerns_it);
    if (found == network.end()) return;
    cluster.deliver_at(static_cast<size_t>(found - network.begin()));
  }
}

}  // namespace

SearchResult Search::run(const Cluster& start) {
  start_ = &start;
  met_.clear();
  path_.clear();
  result_ = {};
  Cluster copy = start;
  copy.set_verbose(false);
  if (is_sound(copy) && enter(copy, bounds_)) look(copy, bounds_);
  return result_;
}

bool Search::enter(Cluster& cluster, const SearchBounds& left) {
  while (cluster.network().size() > bounds_.in_flight) cluster.drop_at(0);
  result_.deepest = std::max<uint64_t>(result_.deepest, path_.size());
  const auto [known, is_new] = met_.try_emplace(hash_of(cluster, left), left.depth);
  if (is_new) ++result_.states;
  if (!is_new && known->second >= left.depth) return false;
  known->second = left.depth;
  return left.depth > 0;
}

bool Search::is_sound(Cluster& cluster) {
  if (!cluster.checker().violations().empty()) report(cluster.checker().report());
  return result_.violation.empty();
}

void Search::look(Cluster& cluster, const SearchBounds& left) {
  for (const Action& action : actions(cluster, left)) {
    if (!result_.violation.empty()) return;
    if (result_.states >= bounds_.states) {
      result_.complete = false;
      return;
    }
    Cluster next = cluster;
    SearchBounds left_then = left;
    --left_then.depth;
    path_.push_back(action);
    carry_out(next, action, left_then);
    next.take_events();
    ++result_.transitions;
    if (is_sound(next) && !is_loss(cluster, next, action) && enter(next, left_then)) look(next, left_then);
    path_.pop_back();
  }
}

// A message that changed nothing and was not answered might as well be on its way still: all that may come of it without that
// message may come of it with one that never arrives.
bool Search::is_loss(Cluster& before, Cluster& after, const Action& action) {
  size_t taken = 0;
  switch (action.kind) {
    case Kind::kDeliver: taken = 1; break;
    case Kind::kDeliverTwo: taken = 2; break;
    case Kind::kDuplicate: break;
    default: return false;
  }
  return after.network().size() + taken == before.network().size() &&
         bytes_of(after.node(action.node)) == bytes_of(before.node(action.node));
}

std::vector<Search::Action> Search::actions(Cluster& cluster, const SearchBounds& left) const {
  std::vector<Action> found;
  const std::deque<Message>& network = cluster.network();
  const std::vector<uint64_t> hashes = hashes_of(network);
  for (size_t at = 0; at < network.size(); ++at) {
    const auto here = hashes.begin() + static_cast<ptrdiff_t>(at);
    const bool is_first_of_its_kind = std::find(hashes.begin(), here, *here) == here;
    // What comes to a dead node is lost, and so is what never comes.
    if (!is_first_of_its_kind || !cluster.is_up(network[at].to)) continue;
    found.push_back({.kind = Kind::kDeliver, .node = network[at].to, .number = at});
    if (left.pairs > 0) add_pairs(cluster, at, found);
    if (left.duplicates > 0) found.push_back({.kind = Kind::kDuplicate, .node = network[at].to, .number = at});
  }
  for (const NodeId id : cluster.ids()) add_node_actions(cluster, id, left, found);
  return found;
}

void Search::add_pairs(Cluster& cluster, size_t first, std::vector<Action>& found) const {
  const std::deque<Message>& network = cluster.network();
  const NodeId to = network[first].to;
  for (size_t second = 0; second < network.size(); ++second) {
    if (second != first && network[second].to == to)
      found.push_back({.kind = Kind::kDeliverTwo, .node = to, .number = first, .second = second});
  }
}

void Search::add_node_actions(Cluster& cluster, NodeId id, const SearchBounds& left, std::vector<Action>& found) const {
  const auto add = [&](Kind kind, bool possible, size_t number = 0) {
    if (possible) found.push_back({.kind = kind, .node = id, .number = number});
  };
  const Node& node = cluster.node(id);
  if (!node.raft) return add(Kind::kStart, true);
  const bool leads = node.raft->role() == raft::Role::kLeader;
  const bool follows = node.raft->role() == raft::Role::kFollower;
  add(Kind::kSync, !node.disk.queue.empty());
  for (size_t kept = 0; left.crashes > 0 && kept <= node.disk.queue.size(); ++kept) add(Kind::kCrash, true, kept);
  add(Kind::kTimeout, left.timeouts > 0 && !leads && node.raft->term() < left.terms);
  add(Kind::kAge, left.ages > 0 && follows);
  add(Kind::kHeartbeat, left.heartbeats > 0 && leads);
  add(Kind::kPropose, left.proposals > 0 && leads);
  add(Kind::kRead, left.reads > 0);
}

void Search::carry_out(Cluster& cluster, const Action& action, SearchBounds& left) const {
  const raft::Options& options = cluster.node(action.node).options;
  switch (action.kind) {
    case Kind::kDeliver: return cluster.deliver_at(action.number);
    case Kind::kDeliverTwo:
      --left.pairs;
      return cluster.deliver_together(action.number, action.second);
    case Kind::kDuplicate:
      --left.duplicates;
      cluster.duplicate_at(action.number);
      return cluster.deliver_at(action.number);
    case Kind::kSync: return cluster.sync(action.node);
    case Kind::kCrash:
      --left.crashes;
      return cluster.crash(action.node, action.number);
    case Kind::kStart:
      cluster.start(action.node);
      // Old enough to vote (D18): what it must not do before is the subject of tests of its own.
      return cluster.tick(action.node, options.election_ticks);
    case Kind::kTimeout:
      --left.timeouts;
      time_out(cluster, action.node);
      if (!bounds_.pre_votes) answer_pre_votes(cluster, action.node);
      return;
    case Kind::kAge:
      --left.ages;
      return cluster.tick(action.node, options.election_ticks);
    case Kind::kHeartbeat:
      --left.heartbeats;
      return cluster.tick(action.node, options.heartbeat_ticks);
    case Kind::kPropose:
      --left.proposals;
      cluster.propose(action.node, base::format("p%u", left.proposals));
      return;
    case Kind::kRead:
      --left.reads;
      return cluster.read(action.node, 100 + left.reads);
  }
}

// Once more along the path, and this time every event is told.
void Search::report(const std::string& why) {
  Cluster replay = *start_;
  replay.set_verbose(true);
  replay.take_events();
  SearchBounds left = bounds_;
  for (const Action& action : path_) {
    carry_out(replay, action, left);
    while (replay.network().size() > bounds_.in_flight) replay.drop_at(0);
    for (const std::string& event : replay.take_events()) result_.violation += "  " + event + "\n";
  }
  result_.violation += why;
}

}  // namespace leto::raft_test
