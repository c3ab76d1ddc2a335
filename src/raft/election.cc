// Section 5.2: from follower to candidate to leader and back, with pre-vote (thesis 9.6).
#include <algorithm>
#include <cinttypes>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "raft/state.h"

namespace leto::raft {

const char* role_name(Role role) {
  switch (role) {
    case Role::kFollower: return "follower";
    case Role::kPreCandidate: return "precandidate";
    case Role::kCandidate: return "candidate";
    case Role::kLeader: return "leader";
  }
  return "nothing";
}

std::string Raft::State::name_of(NodeId node) const {
  const Member* member = configuration().find(node);
  const std::string id = member ? member->id : options.id_of ? options.id_of(node) : "";
  return id.empty() ? base::format("%016" PRIx64, node) : id;
}

void Raft::State::log_role(const char* why) const {
  LETO_LOG(kNotice, "raft: %s is %s in term %" PRIu64 ", leader %s: %s", name_of(self).c_str(), role_name(role),
           term(), leader == kNobody ? "unknown" : name_of(leader).c_str(), why);
}

// Timeouts are drawn so that few nodes campaign at once.
void Raft::State::reset_election_timer() {
  election_elapsed = 0;
  election_timeout = options.election_ticks + random.below(options.election_ticks);
}

// A voter by any configuration from the committed one to the newest: until the entry that removes it is committed a node may be
// the only one that can bring it about (thesis 4.2.2), also if it does not know yet that the one that made it a voter was.
bool Raft::State::may_campaign() const {
  // D9: who is installing a snapshot has no keyspace; a leader must be able to apply.
  if (lost_tail || leads() || installing || removed_elsewhere) return false;
  if (disk_stalled && !is_only_voter()) return false;
  return configurations.has_voter_since(commit, self);
}

// Of an only voter, who needs no timeout else. D18: a leader that leaves may still read under a lease that this node confirmed,
// perhaps before it was started. And a founder might be a member of another cluster that came up empty: it acknowledges
// nothing until that had time to show.
bool Raft::State::owes_silence() const {
  if (protects_leader()) return true;
  const bool may_have_answered = configurations.has_other_voter_since(commit, self);
  return just_started() && (founding || may_have_answered);
}

void Raft::State::tick_election() {
  ++election_elapsed;
  if (!may_campaign()) return forget_silent_leader();
  if (is_only_voter()) {
    // Nobody else can be elected: there are no votes to ask for.
    if (role != Role::kCandidate && !owes_silence()) campaign(false);
    return;
  }
  if (lacks_state && election_elapsed < kReluctance * election_timeout) return forget_silent_leader();
  if (protects_leader() || just_started()) return forget_silent_leader();
  if (election_elapsed >= election_timeout) ask_pre_votes();
}

// Who may not campaign, or had better not, must learn, too, that nobody leads any more: its clients ask.
void Raft::State::forget_silent_leader() {
  if (leader != kNobody && election_elapsed >= election_timeout)
    become_follower(term(), kNobody, "heard no leader for an election timeout");
}

void Raft::State::ask_pre_votes() {
  LETO_ASSERT(!disk_stalled || is_only_voter(), "D17: a pre-vote of a node whose disk is stalled");
  reset_election_timer();
  const bool is_repeated = role == Role::kPreCandidate;
  role = Role::kPreCandidate;
  leader = kNobody;
  fail_forwarded_reads();
  granted.assign(1, self);
  if (!is_repeated) log_role("heard no leader, asks for pre-votes");
  for (const Member& member : configuration().members) {
    if (member.node == self || !configuration().is_voter(member.node)) continue;
    Message message = to(member.node, RequestVote{.pre_vote = true, .transfer = false, .last = log.last()});
    message.term = term() + 1;
    output.send_now.push_back(std::move(message));
  }
  win_if_quorum();
}

void Raft::State::campaign(bool transfer) {
  LETO_ASSERT(!lost_tail, "D16: a node that lost the tail of its log campaigns");
  LETO_ASSERT(!disk_stalled || is_only_voter(), "D17: a node whose disk is stalled campaigns");
  LETO_ASSERT(!leads(), "a leader campaigns");
  LETO_ASSERT(!installing, "D9: a node campaigns whose keyspace is not there");
  LETO_ASSERT(!lacks_state || !transfer, "D9: a node takes over whose keyspace is not there");
  LETO_ASSERT(transfer || !protects_leader(), "D18: a node campaigns beside a leader that it heard just now");
  LETO_ASSERT(transfer || is_only_voter() || !just_started(), "D18: a node campaigns beside a lease that it may have confirmed");
  reset_election_timer();
  role = Role::kCandidate;
  leader = kNobody;
  fail_forwarded_reads();
  granted.clear();
  writes.set_hard_state({.term = term() + 1, .voted_for = self});
  log_role(transfer ? "was asked to take over" : "campaigns");
  for (const Member& member : configuration().members) {
    if (member.node == self || !configuration().is_voter(member.node)) continue;
    send_when_durable(to(member.node, RequestVote{.pre_vote = false, .transfer = transfer, .last = log.last()}));
  }
}

// D1: the own vote is one vote like the others, and is given when it is durable.
void Raft::State::count_own_vote() {
  const bool is_durable = writes.durable_hard_state() == HardState{.term = term(), .voted_for = self};
  if (role != Role::kCandidate || !is_durable) return;
  if (std::find(granted.begin(), granted.end(), self) == granted.end()) granted.push_back(self);
  win_if_quorum();
}

void Raft::State::win_if_quorum() {
  const auto is_granted_by = [this](NodeId node) { return std::find(granted.begin(), granted.end(), node) != granted.end(); };
  if (!configuration().has_quorum(is_granted_by)) return;
  if (role == Role::kPreCandidate) return campaign(false);
  // D1: whatever others say, also before it is durable.
  if (is_granted_by(self)) become_leader();
}

void Raft::State::become_follower(Term new_term, NodeId new_leader, const char* why) {
  const bool is_change = role != Role::kFollower || new_term != term() || new_leader != leader;
  if (leads()) {
    stop_leading();
    reset_election_timer();
  }
  if (new_term > term()) writes.set_hard_state({.term = new_term, .voted_for = kNobody});
  if (new_leader != leader) fail_forwarded_reads();
  role = Role::kFollower;
  leader = new_leader;
  // Whoever leads this node takes it for a member.
  if (leader != kNobody) removed_elsewhere = false;
  granted.clear();
  if (is_change) log_role(why);
}

void Raft::State::become_leader() {
  assert_may_lead();
  role = Role::kLeader;
  leader = self;
  granted.clear();
  leading = Leading{};
  leading.term_start = log.last().index + 1;
  log_role("was elected");
  append_own(EntryKind::kNothing, std::make_shared<const std::string>());
  update_peers();
  for (Progress& peer : leading.peers) peer.next = leading.term_start;
  heartbeat_all();
  advance_commit();
}

// D14: reads fail cleanly, the lease is dropped; proposals are the caller's to end as UNKNOWN.
void Raft::State::stop_leading() {
  role = Role::kFollower;
  fail_leader_reads();
  leading = Leading{};
  LETO_ASSERT(!lease_holds() && leading.contexts == 0, "D14: a lease or a read outlives the leadership");
}

}  // namespace leto::raft
