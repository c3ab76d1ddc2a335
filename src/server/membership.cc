#include "server/membership.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "base/log.h"

namespace leto::server {
namespace {

constexpr size_t kChangesMax = 64;
constexpr uint64_t kDialAgainUs = 50000;
// A member that was heard so lately, in election timeouts, is alive.
constexpr uint64_t kAliveElections = 2;

// Joint roles as they will be once the change under way is finished.
raft::Configuration settled(const raft::Configuration& configuration) {
  raft::Configuration result;
  for (raft::Member member : configuration.members) {
    if (member.role == raft::MemberRole::kOutgoing) continue;
    if (member.role == raft::MemberRole::kIncoming) member.role = raft::MemberRole::kVoter;
    result.members.push_back(std::move(member));
  }
  return result;
}

}  // namespace

Membership::Membership(Replica& replica, const ReplicaParts& parts, Answer answer)
    : replica_(replica), options_(parts.options), environment_(parts.environment), answer_(std::move(answer)) {}

bool Membership::admits(command::Ticket ticket) {
  if (changes_.size() < kChangesMax) return true;
  answer_(ticket, "ERR too many membership changes are waiting; try again");
  return false;
}

void Membership::join(command::Ticket ticket, const command::JoinRequest& request) {
  if (!admits(ticket)) return;
  Change change{.ticket = ticket,
                .joins = true,
                .stage = Stage::kDialing,
                .arrived_us = environment_.clock.monotonic_us()};
  change.member.node = request.node;
  change.member.id = request.id;
  change.member.raft_address = request.raft_address;
  change.member.client_address = request.client_address;
  changes_.push_back(std::move(change));
  dial(changes_.back());
}

void Membership::dial(Change& change) {
  change.stage = Stage::kDialing;
  environment_.network.adopt(change.member.raft_address, change.member.node, change.member.id,
                             [this, ticket = change.ticket](base::Result<Network::Found> found) {
                               dialed(ticket, std::move(found));
                             });
}

// Nodes that were busy with a write of their own when they were dialed.
void Membership::dial_again() {
  const uint64_t now_us = environment_.clock.monotonic_us();
  for (Change& change : changes_) {
    if (change.stage == Stage::kDialsAgain && now_us >= change.dial_at_us) dial(change);
  }
}

void Membership::leave(command::Ticket ticket, std::string_view id) {
  if (replica_.raft().configuration().find_id(id) == nullptr) {
    answer_(ticket, base::format("ERR no member is called '%.*s'", static_cast<int>(id.size()), id.data()));
    return;
  }
  if (!admits(ticket)) return;
  Change change{.ticket = ticket, .arrived_us = environment_.clock.monotonic_us()};
  change.member.id = std::string(id);
  change.member.node = replica_.raft().configuration().find_id(id)->node;
  changes_.push_back(std::move(change));
  advance();
}

// Why the node that was dialed is not the one to take in; empty if it is.
std::string Membership::objection(const Change& change, base::Result<Network::Found>& found) const {
  if (!found.is_ok()) {
    return "ERR cannot take in " + change.member.raft_address + ": " + found.status().text();
  }
  const raft::Member& there = found.value().member;
  if (there.id == change.member.id) return {};
  return base::format("ERR the node at %s is called %s, not %s", change.member.raft_address.c_str(),
                      there.id.c_str(), change.member.id.c_str());
}

void Membership::dialed(command::Ticket ticket, base::Result<Network::Found> found) {
  const auto change = std::find_if(changes_.begin(), changes_.end(),
                                   [ticket](const Change& each) { return each.ticket == ticket; });
  if (change == changes_.end()) return;
  if (!found.is_ok() && found.status().text().ends_with(Network::kBusy)) {
    change->stage = Stage::kDialsAgain;
    change->dial_at_us = environment_.clock.monotonic_us() + kDialAgainUs;
    return;
  }
  const std::string error = objection(*change, found);
  if (!error.empty()) {
    changes_.erase(change);
    answer_(ticket, error);
    return;
  }
  const raft::Member& there = found.value().member;
  change->member.node = there.node;
  if (change->member.client_address.empty()) change->member.client_address = there.client_address;
  change->stage = Stage::kProposing;
  advance();
}

// In the order of arrival, which is that of the queue.
void Membership::drop_overdue() {
  const uint64_t now_us = environment_.clock.monotonic_us();
  while (!changes_.empty() && now_us - changes_.front().arrived_us >= options_.request_timeout_ms * 1000) {
    finish(changes_.front().stage == Stage::kCommitting
               ? "UNKNOWN outcome: the change was begun, but not finished within request-timeout"
               : "ERR the members are as they were: the change could not begin within request-timeout");
  }
}

void Membership::advance() {
  drop_overdue();
  dial_again();
  while (!changes_.empty()) {
    Change& change = changes_.front();
    if (change.stage == Stage::kDialing || change.stage == Stage::kDialsAgain) return;
    const size_t waiting = changes_.size();
    if (is_done(change)) {
      finish({});
    } else if (change.stage == Stage::kProposing) {
      propose(change);
    }
    if (changes_.size() == waiting) return;
  }
}

// A JOIN is done when the configuration has the node as a voter and is not joint; a LEAVE when it has it no
// more. It must be committed, and no other on its way.
bool Membership::is_done(const Change& change) const {
  const raft::Configuration& committed = replica_.raft().committed_configuration();
  const raft::Member* member = committed.find(change.member.node);
  if (committed.is_joint() || committed != replica_.raft().configuration()) return false;
  if (!change.joins) return member == nullptr;
  return member != nullptr && member->role == raft::MemberRole::kVoter &&
         member->raft_address == change.member.raft_address &&
         (change.member.client_address.empty() || member->client_address == change.member.client_address);
}

std::string Membership::conflict(const Change& change) const {
  if (!change.joins) return {};
  const raft::Member* taken = replica_.raft().configuration().find_id(change.member.id);
  if (taken == nullptr || taken->node == change.member.node) return {};
  return base::format("ERR node %s is %s at %s; choose another -id or LEAVE %s first", taken->id.c_str(),
                      is_alive(taken->node) ? "alive" : "a member, though not heard of,",
                      taken->raft_address.c_str(), taken->id.c_str());
}

bool Membership::is_alive(raft::NodeId node) const {
  const uint64_t ticks = kAliveElections * options_.election_timeout_ms / kTickMs;
  for (const raft::PeerView& peer : replica_.raft().peers()) {
    if (peer.node == node) return peer.ticks_since_heard <= ticks;
  }
  return true;   // This node itself: peers() has the others.
}

bool Membership::target(const Change& change, raft::Configuration& configuration) const {
  configuration = settled(replica_.raft().configuration());
  auto& members = configuration.members;
  const auto at = std::find_if(members.begin(), members.end(), [&change](const raft::Member& member) {
    return member.node == change.member.node;
  });
  if (!change.joins) {
    if (at == members.end()) return false;
    members.erase(at);
    return true;
  }
  raft::Member wanted = change.member;
  wanted.role = raft::MemberRole::kVoter;
  if (at != members.end()) {
    if (wanted.client_address.empty()) wanted.client_address = at->client_address;
    *at = std::move(wanted);
    return true;
  }
  const auto place = std::upper_bound(
      members.begin(), members.end(), wanted,
      [](const raft::Member& a, const raft::Member& b) { return a.node < b.node; });
  members.insert(place, std::move(wanted));
  return true;
}

void Membership::propose(Change& change) {
  if (const std::string error = conflict(change); !error.empty()) {
    finish(error);
    return;
  }
  raft::Configuration configuration;
  if (!target(change, configuration)) return;
  switch (replica_.raft().change_config(configuration)) {
    case raft::ChangeResult::kAccepted:
    case raft::ChangeResult::kNothingToDo:
      change.stage = Stage::kCommitting;
      return;
    case raft::ChangeResult::kNotReady:
    case raft::ChangeResult::kInProgress:
      return;  // Again at the next tick.
    case raft::ChangeResult::kNotLeader:
      finish("not leader");
      return;
    case raft::ChangeResult::kNoLiveQuorum:
      finish("ERR refused: the members that are left and answer would be no majority");
      return;
    case raft::ChangeResult::kRemovesLeader:
      finish(base::format("ERR %s is the leader; let another node lead first", change.member.id.c_str()));
      return;
    case raft::ChangeResult::kInvalid:
      finish("ERR refused: the cluster would have no voter, or too many members");
      return;
  }
}

void Membership::finish(const std::string& error) {
  const command::Ticket ticket = changes_.front().ticket;
  changes_.pop_front();
  answer_(ticket, error);
}

void Membership::leadership_lost() {
  for (const Change& change : std::exchange(changes_, {})) {
    answer_(change.ticket, change.stage == Stage::kCommitting
                               ? "UNKNOWN outcome: this node lost leadership during the change"
                               : "not leader");
  }
}

}  // namespace leto::server
