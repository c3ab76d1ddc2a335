#include "server/membership.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "server/address.h"
#include "server/own_address.h"

namespace leto::server {
namespace {

constexpr size_t kChangesMax = 64;
constexpr uint64_t kDialAgainUs = 50000;
// A member that was heard so lately, in election timeouts, is alive.
constexpr uint64_t kAliveElections = 2;
// Who lags is given so many election timeouts to catch up before a LEAVE is refused.
constexpr uint64_t kCatchUpElections = 3;

// Of a LEAVE: nobody was asked to remove the leader, whether its successor is elected yet or not.
constexpr const char* kNotHandedOver =
    "ERR the members are as they were: nobody took over within an election timeout; this node leads on";

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

// A loopback address that was said on another machine is meant there.
std::string as_seen_here(const std::string& text, const std::string& forwarding_host) {
  base::Result<Address> address = parse_address(text);
  if (forwarding_host.empty() || !address.is_ok() || is_real_host(address.value().host)) return text;
  address.value().host = forwarding_host;
  return address.value().text();
}

}  // namespace

Membership::Membership(Replica& replica, const ReplicaParts& parts, raft::NodeId self, Answer answer)
    : replica_(replica),
      options_(parts.options),
      environment_(parts.environment),
      self_(self),
      answer_(std::move(answer)),
      handover_(replica, parts, self) {}

bool Membership::admits(command::Ticket ticket) {
  if (changes_.size() + departures_.size() < kChangesMax) return true;
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
  change.member.raft_address = as_seen_here(request.raft_address, request.forwarding_host);
  change.member.client_address = as_seen_here(request.client_address, request.forwarding_host);
  change.member.role = request.learner ? raft::MemberRole::kObserver : raft::MemberRole::kVoter;
  // Before it is dialed, which would take it in; who says no uid is known only then.
  if (const std::string error = conflict(change); request.node != raft::kNobody && !error.empty()) {
    return answer_(ticket, error);
  }
  changes_.push_back(std::move(change));
  if (const raft::Member* member = as_asked(changes_.back()); member == nullptr || member->node != self_) {
    return dial(changes_.back());
  }
  changes_.back().member.node = self_;
  changes_.back().stage = Stage::kProposing;
  advance();
}

void Membership::dial(Change& change) {
  change.stage = Stage::kDialing;
  // A node of the cluster is found again wherever it is; one that comes from elsewhere under an id that is taken is refused, and is not
  // to give up for that what it is.
  environment_.network.adopt({.raft_address = change.member.raft_address, .expected = change.member.node, .id = change.member.id,
                              .takes_in = conflict(change).empty()},
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

void Membership::leave(command::Ticket ticket, const command::LeaveRequest& request) {
  const raft::Raft& raft = replica_.raft();
  // Who is being removed is a member yet: this LEAVE ends as that one does.
  if (raft.configuration().find_id(request.id) == nullptr && raft.committed_configuration().find_id(request.id) == nullptr) {
    answer_(ticket, base::format("ERR no member is called '%s'", request.id.c_str()));
    return;
  }
  if (!admits(ticket)) return;
  Change change{.ticket = ticket, .forced = request.force, .arrived_us = environment_.clock.monotonic_us()};
  change.member.id = request.id;
  changes_.push_back(std::move(change));
  advance();
}

void Membership::transfer(command::Ticket ticket, std::string_view id) {
  const raft::Member* member = replica_.raft().configuration().find_id(id);
  if (!id.empty() && member == nullptr) {
    answer_(ticket, base::format("ERR no member is called '%.*s'", static_cast<int>(id.size()), id.data()));
    return;
  }
  handover_.begin(id.empty() ? raft::kNobody : member->node,
                  [this, ticket](const std::string& error) { answer_(ticket, error); });
}

bool Membership::give_way(raft::NodeId to) {
  if (busy()) return false;
  handover_.begin(to, [](const std::string& error) {
    if (!error.empty()) LETO_LOG(kNotice, "leadership was not handed over: %s", error.c_str());
  });
  return true;
}

// The member that a JOIN describes, whatever its part; null if there is none.
const raft::Member* Membership::as_asked(const Change& change) const {
  const raft::Member& wanted = change.member;
  for (const raft::Member& member : replica_.raft().configuration().members) {
    const bool same_node = wanted.node == raft::kNobody || wanted.node == member.node;
    const bool same_client = wanted.client_address.empty() || wanted.client_address == member.client_address;
    if (same_node && same_client && wanted.id == member.id && wanted.raft_address == member.raft_address) return &member;
  }
  return nullptr;
}

// Nobody need answer where a member is to stay what it is.
bool Membership::may_be_silent(const Change& change) const {
  const raft::Member* member = as_asked(change);
  const bool becomes_voter = member != nullptr && member->role == raft::MemberRole::kObserver &&
                             change.member.role != raft::MemberRole::kObserver;
  return member != nullptr && !becomes_voter;
}

// Why the node that was dialed is not the one to take in; empty if it is.
std::string Membership::objection(const Change& change, base::Result<Network::Found>& found) const {
  if (!found.is_ok()) {
    return "ERR cannot take in " + change.member.raft_address + ": " + found.status().text();
  }
  if (const std::string& silence = found.value().silence; !silence.empty()) {
    return may_be_silent(change) ? "" : "ERR cannot take in " + change.member.raft_address + ": " + silence;
  }
  const raft::Member& there = found.value().member;
  if (there.id == change.member.id) return {};
  return base::format("ERR the node at %s is called %s, not %s", change.member.raft_address.c_str(),
                      there.id.c_str(), change.member.id.c_str());
}

// A LEAVE of the id that this JOIN names was said before it.
bool Membership::leaves_before(const Change& change) const {
  for (const Change& other : changes_) {
    if (&other == &change) return false;
    if (!other.joins && other.member.id == change.member.id) return true;
  }
  return false;
}

void Membership::dialed(command::Ticket ticket, base::Result<Network::Found> found) {
  const auto change = std::find_if(changes_.begin(), changes_.end(),
                                   [ticket](const Change& each) { return each.ticket == ticket; });
  if (change == changes_.end()) return;
  std::string error = objection(*change, found);
  const bool is_foreign = error.empty() && found.value().is_foreign;
  if (is_foreign) {
    change->member.node = found.value().member.node;
    error = conflict(*change);
  }
  // It was busy, or who had its id is gone meanwhile, or leaves first.
  if (error.ends_with(Network::kBusy) || (is_foreign && (error.empty() || leaves_before(*change)))) {
    change->stage = Stage::kDialsAgain;
    change->dial_at_us = environment_.clock.monotonic_us() + kDialAgainUs;
    return;
  }
  if (!error.empty()) {
    changes_.erase(change);
    answer_(ticket, error);
    return;
  }
  const bool is_silent = !found.value().silence.empty();
  const raft::Member& there = is_silent ? *as_asked(*change) : found.value().member;
  change->member.node = there.node;
  if (change->member.client_address.empty()) change->member.client_address = there.client_address;
  change->was_member = found.value().was_member;
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

// As long as an election may take: who lives has answered by then.
bool Membership::has_led_for_long() const {
  return environment_.clock.monotonic_us() - led_since_us_ >= options_.election_timeout_ms * 1000;
}

void Membership::advance() {
  if (led_since_us_ == 0 && replica_.raft().role() == raft::Role::kLeader) {
    led_since_us_ = environment_.clock.monotonic_us();
  }
  handover_.advance();
  if (!departures_.empty() && replica_.raft().committed_configuration().find(self_) == nullptr) {
    for (const command::Ticket ticket : std::exchange(departures_, {})) answer_(ticket, {});
  }
  drop_overdue();
  // What is proposed now would be lost with the leadership.
  if (handover_.under_way()) return;
  give_waiting_away();
  dial_again();
  advance_changes();
  if (changes_.empty() && !said_.empty()) propose_said();
}

void Membership::addresses_said(const raft::Member& told) {
  const raft::Member* known = replica_.raft().configuration().find(told.node);
  if (known == nullptr) return;
  said_.insert_or_assign(told.node, Said{.told = told, .known = *known});
}

void Membership::propose_said() {
  const raft::Configuration& current = replica_.raft().configuration();
  std::erase_if(said_, [&current](const auto& each) {
    const Said& said = each.second;
    const raft::Member* member = current.find(said.told.node);
    return member == nullptr || member->raft_address != said.known.raft_address ||
           member->client_address != said.known.client_address;
  });
  const uint64_t now_us = environment_.clock.monotonic_us();
  if (replica_.raft().role() != raft::Role::kLeader || now_us < said_after_us_) return;
  said_after_us_ = now_us + kDialAgainUs;
  raft::Configuration wanted = current;
  for (raft::Member& member : wanted.members) {
    const auto said = said_.find(member.node);
    if (said == said_.end()) continue;
    member.raft_address = said->second.told.raft_address;
    member.client_address = said->second.told.client_address;
  }
  if (wanted == current) return said_.clear();
  if (replica_.raft().change_config(wanted) != raft::ChangeResult::kAccepted) return;
  for (const auto& [node, said] : said_) {
    LETO_LOG(kNotice, "%s is at %s from now on, its clients' port at %s", said.known.id.c_str(),
             said.told.raft_address.c_str(), said.told.client_address.c_str());
  }
  said_.clear();
}

void Membership::advance_changes() {
  while (!changes_.empty()) {
    Change& change = changes_.front();
    if (change.stage == Stage::kDialing || change.stage == Stage::kDialsAgain) return;
    const size_t waiting = changes_.size();
    if (is_done(change)) {
      finish({});
    } else if (change.stage == Stage::kProposing) {
      propose(change);
    }
    // Those behind it would be lost with the leadership.
    if (changes_.size() == waiting || handover_.under_way()) return;
  }
}

// A JOIN is done when the configuration has the node in its role and is not joint; a LEAVE when it has the id no
// more. It must be committed, and no other on its way.
bool Membership::is_done(const Change& change) const {
  const raft::Configuration& committed = replica_.raft().committed_configuration();
  if (committed.is_joint() || committed != replica_.raft().configuration()) return false;
  if (!change.joins) return committed.find_id(change.member.id) == nullptr;
  const raft::Member* member = committed.find(change.member.node);
  return member != nullptr && member->role == change.member.role &&
         member->raft_address == change.member.raft_address &&
         (change.member.client_address.empty() || member->client_address == change.member.client_address);
}

std::string Membership::conflict(const Change& change) const {
  if (!change.joins) return {};
  const raft::Configuration& members = replica_.raft().configuration();
  for (const raft::Member& member : members.members) {
    const bool is_it = member.node == change.member.node;
    if (!is_it && member.id != change.member.id) continue;
    // A member that nobody hears of is replaced by who comes under its id.
    if (!is_it && is_alive(member.node)) return taken_by(member);
    // Nor is a vote lost by replacing who has it.
    if (change.member.role == raft::MemberRole::kObserver && members.is_voter(member.node)) {
      return base::format("ERR %s votes; LEAVE %s first, then let it join as a learner with an empty -raftdir",
                          member.id.c_str(), member.id.c_str());
    }
  }
  if (!change.was_member || members.find(change.member.node) != nullptr) return {};
  return base::format("ERR %s was removed from this cluster; to use it again start it with an empty -raftdir",
                      change.member.id.c_str());
}

// Who leads since a moment ago cannot know, and who asks is not to give up for that.
std::string Membership::taken_by(const raft::Member& member) const {
  if (const std::optional<raft::PeerView> peer = peer_of(member.node); peer && !peer->heard) {
    return base::format("ERR node %s may be alive at %s, this leader has not heard it yet; ask again", member.id.c_str(),
                        member.raft_address.c_str());
  }
  return base::format("ERR node %s is alive at %s; choose another -id or LEAVE %s first", member.id.c_str(),
                      member.raft_address.c_str(), member.id.c_str());
}

bool Membership::is_alive(raft::NodeId node) const {
  const std::optional<raft::PeerView> peer = peer_of(node);
  return !peer || peer->ticks_since_heard <= kAliveElections * options_.election_timeout_ms / kTickMs;
}

// Nothing of this node itself: peers() has the others.
std::optional<raft::PeerView> Membership::peer_of(raft::NodeId node) const {
  for (const raft::PeerView& peer : replica_.raft().peers()) {
    if (peer.node == node) return peer;
  }
  return {};
}

bool Membership::target(const Change& change, raft::Configuration& configuration) const {
  configuration = settled(replica_.raft().configuration());
  auto& members = configuration.members;
  // Those that go, or whose id another one takes over.
  const size_t gone = std::erase_if(members, [&change](const raft::Member& member) {
    return member.id == change.member.id && (!change.joins || member.node != change.member.node);
  });
  if (!change.joins) return gone > 0;
  const auto at = std::find_if(members.begin(), members.end(), [&change](const raft::Member& member) {
    return member.node == change.member.node;
  });
  raft::Member wanted = change.member;
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
  if (!target(change, configuration)) {
    // An earlier LEAVE of the same id is not finished: how that ends is how this one does.
    change.stage = Stage::kCommitting;
    return;
  }
  const raft::ChangeCare care = change.forced ? raft::ChangeCare::kForced : raft::ChangeCare::kCareful;
  switch (replica_.raft().change_config(configuration, care)) {
    case raft::ChangeResult::kAccepted:
    case raft::ChangeResult::kNothingToDo:
      change.stage = Stage::kCommitting;
      return;
    case raft::ChangeResult::kNotReady:
    case raft::ChangeResult::kInProgress:
    case raft::ChangeResult::kAsksWhoLives:
      return;  // Again at the next turn.
    case raft::ChangeResult::kNotLeader:
      finish("not leader");
      return;
    case raft::ChangeResult::kNoLiveQuorum:
      if (!has_led_for_long()) return;  // It may not have heard yet from those that live.
      finish("ERR refused: the members that are left and answer would be no majority");
      return;
    case raft::ChangeResult::kVotersLag:
      if (has_lagged_for_long(change)) finish(who_lags(change.member.id, configuration));
      return;
    case raft::ChangeResult::kRemovesLeader:
      leave_as_leader();
      return;
    case raft::ChangeResult::kInvalid:
      finish(configuration.voter_count() == 0
                 ? "ERR refused: " + change.member.id + " is the only voter, and a cluster cannot be without one"
                 : "ERR refused: the cluster would have too many members");
      return;
  }
}

// Else a voter that is some appends behind in one turn, and caught up in the next, would be an obstacle.
bool Membership::has_lagged_for_long(Change& change) const {
  const uint64_t now_us = environment_.clock.monotonic_us();
  if (change.lags_since_us == 0) change.lags_since_us = now_us;
  return now_us - change.lags_since_us >= kCatchUpElections * options_.election_timeout_ms * 1000;
}

std::string Membership::who_lags(const std::string& leaver, const raft::Configuration& left) const {
  const raft::Raft& raft = replica_.raft();
  std::string names;
  for (const raft::PeerView& peer : raft.peers()) {
    const raft::Member* member = left.find(peer.node);
    if (member == nullptr || !left.is_voter(peer.node) || !peer.lags || !is_alive(peer.node)) continue;
    names += base::format("%s%s by %llu entries%s", names.empty() ? "" : ", ", member->id.c_str(),
                          static_cast<unsigned long long>(raft.last().index - peer.match),
                          peer.needs_snapshot ? " and needs a snapshot" : "");
  }
  return base::format("ERR refused: writes would wait for members that lag (%s); LEAVE %s again once their lag in INFO raft "
                      "is small", names.c_str(), leaver.c_str());
}

// The core said that those who are left can go on without it; so does the next leader when it is asked.
void Membership::leave_as_leader() {
  const Change change = changes_.front();
  if (!forward_to_leader) {
    return finish(base::format("ERR %s is the leader; let another node lead first", change.member.id.c_str()));
  }
  changes_.pop_front();
  departures_.insert(change.ticket);
  handover_.begin(raft::kNobody, [this, change, term = replica_.raft().term()](const std::string& error) {
    const raft::Raft& raft = replica_.raft();
    if (raft.role() != raft::Role::kLeader) return ask_to_remove(change);
    if (raft.term() == term) return answer_departure(change.ticket, error.starts_with("UNKNOWN") ? kNotHandedOver : error);
    try_again(change);
  });
}

// Whoever it is that leads: it may be this node again by the time that it is asked.
void Membership::ask_to_remove(const Change& leaver) {
  std::vector<std::string> request = {"LEAVE", leaver.member.id};
  if (leaver.forced) request.push_back("FORCE");
  forward_to_leader(request, [this, ticket = leaver.ticket](const std::string& result) { answer_departure(ticket, result); });
}

// Who was told to take over did not win, and this node was elected again: nobody has been asked to remove it yet. In a new
// term it has to learn anew how far the others are.
void Membership::try_again(Change leaver) {
  LETO_LOG(kNotice, "%s was elected again, and is still to leave", leaver.member.id.c_str());
  departures_.erase(leaver.ticket);
  leaver.lags_since_us = 0;
  changes_.push_front(std::move(leaver));
}

// By the new leader's answer, or when this node sees that it is done, whichever comes first.
void Membership::answer_departure(command::Ticket ticket, const std::string& error) {
  if (departures_.erase(ticket) > 0) answer_(ticket, error);
}

void Membership::finish(const std::string& error) {
  const command::Ticket ticket = changes_.front().ticket;
  changes_.pop_front();
  answer_(ticket, error);
}

void Membership::leadership_lost() {
  led_since_us_ = 0;
  end_begun();
  give_waiting_away();
}

// It is in the log, and up to the next leader.
void Membership::end_begun() {
  if (changes_.empty() || changes_.front().stage != Stage::kCommitting) return;
  finish("UNKNOWN outcome: this node lost leadership during the change");
}

// While leadership is being handed over it is not known to whom, and this node's own LEAVE may have to be there first.
void Membership::give_waiting_away() {
  if (replica_.raft().role() == raft::Role::kLeader || handover_.under_way()) return;
  end_begun();
  for (const Change& change : std::exchange(changes_, {})) answer_(change.ticket, "not leader");
}

}  // namespace leto::server
