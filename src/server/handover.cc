#include "server/handover.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/format.h"
#include "base/log.h"

namespace leto::server {
namespace {

// Some ticks: a member counts its own, which may come late.
constexpr uint64_t kYoungSlackUs = 50000;
constexpr const char* kLostBefore = "ERR this node lost its leadership before it could hand it over";

}  // namespace

raft::NodeId best_successor(const raft::Raft& raft, raft::NodeId self, uint64_t ticks,
                            const std::set<raft::NodeId>& passed_over) {
  raft::NodeId best = raft::kNobody;
  raft::Index best_match = 0;
  for (const raft::PeerView& peer : raft.peers()) {
    if (peer.node == self || !raft.configuration().is_voter(peer.node)) continue;
    if (peer.ticks_since_heard > ticks || peer.unreachable || peer.needs_snapshot || passed_over.contains(peer.node)) continue;
    if (best != raft::kNobody && peer.match <= best_match) continue;
    best = peer.node;
    best_match = peer.match;
  }
  return best;
}

Handover::Handover(Replica& replica, const ReplicaParts& parts, raft::NodeId self)
    : replica_(replica), options_(parts.options), environment_(parts.environment), self_(self) {}

std::string Handover::name_of(raft::NodeId node) const {
  const raft::Member* member = replica_.raft().configuration().find(node);
  return member == nullptr ? "a node that is no member" : member->id;
}

// Why `to` is not told to lead; empty if it is.
std::string Handover::objection(raft::NodeId to) const {
  const raft::Raft& raft = replica_.raft();
  if (under_way() || raft.transferring_to() != raft::kNobody) return "ERR leadership is being handed over already";
  if (to == raft::kNobody) return "ERR no other voter answers that could lead";
  const std::string name = name_of(to);
  if (to == self_) return "ERR " + name + " is the leader already";
  if (!raft.configuration().is_voter(to)) return "ERR " + name + " does not vote, so it cannot lead";
  for (const raft::PeerView& peer : raft.peers()) {
    if (peer.node == to && peer.needs_snapshot) return "ERR " + name + " needs a snapshot first; it could not take over";
    if (peer.node != to || peer.ticks_since_heard <= options_.election_timeout_ms / kTickMs) continue;
    return base::format("ERR %s was not heard for %llu ms; it could not take over", name.c_str(),
                        static_cast<unsigned long long>(peer.ticks_since_heard * kTickMs));
  }
  return {};
}

void Handover::note_members() {
  const std::vector<raft::Member>& members = replica_.raft().configuration().members;
  for (const raft::Member& member : members) member_since_us_.try_emplace(member.node, environment_.clock.monotonic_us());
  if (member_since_us_.size() == members.size()) return;
  std::erase_if(member_since_us_, [this](const auto& each) { return replica_.raft().configuration().find(each.first) == nullptr; });
}

// It votes for itself, however young it is; this node may be too young to, if it was handed the leadership itself.
bool Handover::can_win(raft::NodeId to) const {
  const uint64_t now_us = environment_.clock.monotonic_us();
  const uint64_t age_us = std::max(options_.election_timeout_ms, kSilenceMsMax) * 1000 + kYoungSlackUs;
  return replica_.raft().configuration().has_quorum([&](raft::NodeId node) {
    const auto since = member_since_us_.find(node);
    return node == to || (since != member_since_us_.end() && now_us - since->second >= age_us);
  });
}

void Handover::begin(raft::NodeId to, Done done) {
  if (to == raft::kNobody) to = best_successor(replica_.raft(), self_, options_.election_timeout_ms / kTickMs);
  if (const std::string error = objection(to); !error.empty()) return done(error);
  to_ = to;
  done_ = std::move(done);
  began_us_ = environment_.clock.monotonic_us();
  stage_ = Stage::kAwaitsVotes;
  note_members();
  await_votes();
}

void Handover::advance() {
  note_members();
  if (stage_ == Stage::kAwaitsVotes) await_votes();
  if (stage_ == Stage::kDraining) drain();
  if (stage_ == Stage::kTransferring) watch_transfer();
  if (stage_ == Stage::kAwaitsLeader) await_leader();
}

void Handover::await_votes() {
  if (replica_.raft().role() != raft::Role::kLeader) return finish(kLostBefore);
  if (!can_win(to_)) return;
  LETO_LOG(kNotice, "handing leadership over to %s", name_of(to_).c_str());
  began_us_ = environment_.clock.monotonic_us();
  stage_ = Stage::kDraining;
  replica_.hold_writes(true);
  environment_.waker.wake();
}

void Handover::drain() {
  if (replica_.raft().role() != raft::Role::kLeader) return finish(kLostBefore);
  const bool is_late = environment_.clock.monotonic_us() - began_us_ >= options_.election_timeout_ms * 1000;
  if (!replica_.drained()) {
    if (is_late) finish("ERR the writes under way were not committed in time; this node leads on");
    return;
  }
  if (replica_.raft().transfer(to_) != raft::TransferResult::kAccepted) {
    return finish("ERR " + name_of(to_) + " cannot lead now; this node leads on");
  }
  stage_ = Stage::kTransferring;
  term_ = replica_.raft().term();
  environment_.waker.wake();
}

// The core gives it up after an election timeout. Who takes over has a later term; a leader that leads no more within its own
// term has lost its majority, and it may be long until anybody can lead.
void Handover::watch_transfer() {
  if (replica_.raft().role() == raft::Role::kLeader) {
    if (replica_.raft().transferring_to() != raft::kNobody) return;
    // Its disk may be slow, and it may campaign yet.
    return finish("UNKNOWN outcome: " + name_of(to_) + " did not take over within an election timeout; this node leads on, unless " +
                  name_of(to_) + " is elected yet");
  }
  if (replica_.raft().term() == term_) {
    return finish("UNKNOWN outcome: this node lost its majority meanwhile; " + name_of(to_) +
                  " leads as soon as a majority elects it");
  }
  replica_.hold_writes(false);
  stage_ = Stage::kAwaitsLeader;
}

void Handover::await_leader() {
  const raft::NodeId leader = replica_.raft().leader();
  const bool is_late = environment_.clock.monotonic_us() - began_us_ >= options_.request_timeout_ms * 1000;
  if (leader == raft::kNobody && !is_late) return;
  if (leader == to_) return finish({});
  if (leader == raft::kNobody) return finish("UNKNOWN outcome: this node does not lead any more, nor is it known who does");
  finish("ERR " + name_of(leader) + " leads, not " + name_of(to_));
}

void Handover::finish(const std::string& error) {
  stage_ = Stage::kNone;
  replica_.hold_writes(false);
  environment_.waker.wake();
  const Done done = std::exchange(done_, nullptr);
  done(error);
}

}  // namespace leto::server
