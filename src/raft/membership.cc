// Who is in the cluster (section 6): learner first, then joint consensus. One change at a time; whoever
// leads takes the steps that follow the first, so that a change survives the leader that began it.
//
//   new voter     {.. learner}  ->  caught up: {.. incoming}  ->  committed: {.. voter}
//   voter leaves  {.. outgoing}  ->  committed: {..}
//   replacement   a learner under the id of a voter; when it is promoted that voter becomes outgoing
//
// A joint configuration is appended only once a majority of the old and one of the new voters have answered a
// round of heartbeats that was sent after it was wanted, unless it is forced: else nothing might ever be committed again.
#include <algorithm>
#include <cinttypes>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "raft/state.h"

namespace leto::raft {

namespace {

bool votes(const Member& member) { return member.role != MemberRole::kLearner && member.role != MemberRole::kObserver; }

bool by_node(const Member& a, const Member& b) { return a.node < b.node; }

bool text_fits(const Member& member) {
  return member.id.size() <= kMemberTextMax && member.raft_address.size() <= kMemberTextMax &&
         member.client_address.size() <= kMemberTextMax;
}

// Sorted, distinct, within bounds, no joint roles, and some voter.
bool is_valid_target(const Configuration& target) {
  const std::vector<Member>& members = target.members;
  if (target.is_joint() || target.voter_count() == 0 || members.size() > kMembersMax) return false;
  for (size_t i = 0; i < members.size(); ++i)
    if (members[i].node == kNobody || !text_fits(members[i]) || (i > 0 && !by_node(members[i - 1], members[i])))
      return false;
  return true;
}

// What becomes of a member at once; the way from learner to voter leads through the promotion.
MemberRole first_role(const Member* current, MemberRole wanted) {
  if (wanted == MemberRole::kObserver) return MemberRole::kObserver;
  return current && current->role == MemberRole::kVoter ? MemberRole::kVoter : MemberRole::kLearner;
}

// The first step from `current` to `target`, or nothing if it cannot be made in one change.
std::optional<Configuration> first_step(const Configuration& current, const Configuration& target) {
  Configuration next;
  bool has_new_learner = false;
  for (const Member& wanted : target.members) {
    const Member* member = current.find(wanted.node);
    // A voter that shall only listen leaves and comes again.
    if (member && votes(*member) && wanted.role != MemberRole::kVoter) return std::nullopt;
    next.members.push_back(wanted);
    next.members.back().role = first_role(member, wanted.role);
    const bool was_learner = member && member->role == MemberRole::kLearner;
    has_new_learner |= next.members.back().role == MemberRole::kLearner && !was_learner;
  }
  for (const Member& member : current.members) {
    if (target.find(member.node) || !votes(member)) continue;
    const Member* successor = target.find_id(member.id);
    const bool is_replaced = !member.id.empty() && successor && successor->role == MemberRole::kVoter &&
                             !current.is_voter(successor->node);
    if (!is_replaced && has_new_learner) return std::nullopt;
    next.members.push_back(member);
    if (!is_replaced) next.members.back().role = MemberRole::kOutgoing;
  }
  std::sort(next.members.begin(), next.members.end(), by_node);
  if (next.members.size() > kMembersMax) return std::nullopt;
  return next;
}

Configuration without_joint_roles(const Configuration& joint) {
  Configuration next;
  for (const Member& member : joint.members) {
    if (member.role == MemberRole::kOutgoing) continue;
    next.members.push_back(member);
    if (member.role == MemberRole::kIncoming) next.members.back().role = MemberRole::kVoter;
  }
  return next;
}

}  // namespace

ChangeResult Raft::State::change_config(const Configuration& target, ChangeCare care) {
  if (!leads()) return ChangeResult::kNotLeader;
  if (!is_valid_target(target)) return ChangeResult::kInvalid;
  if (configuration().is_joint()) return ChangeResult::kInProgress;
  const std::optional<Configuration> next = first_step(configuration(), target);
  if (!next) return ChangeResult::kInvalid;
  if (*next == configuration()) return ChangeResult::kNothingToDo;
  const ChangeResult refusal = reason_to_refuse(*next, care);
  if (refusal != ChangeResult::kAccepted) return refusal;
  append_configuration(*next);
  return ChangeResult::kAccepted;
}

ChangeResult Raft::State::reason_to_refuse(const Configuration& next, ChangeCare care) {
  if (!leads_and_committed_in_term() || lacks_state) return ChangeResult::kNotReady;
  if (configurations.latest_index() > commit || leading.transfer_to != kNobody) return ChangeResult::kInProgress;
  const ChangeResult wait = care == ChangeCare::kForced ? ChangeResult::kAccepted : reason_to_wait(next);
  if (wait != ChangeResult::kAccepted) return wait;
  const Member* own = next.find(self);
  return own && own->role == MemberRole::kVoter ? ChangeResult::kAccepted : ChangeResult::kRemovesLeader;
}

// Both majorities of the step must be within reach, else nothing could ever be committed again
// (scenarios 21 and 31).
ChangeResult Raft::State::reason_to_wait(const Configuration& next) {
  const bool is_live = next.has_quorum([this](NodeId node) { return is_live_voter(node); });
  if (!is_live) return ChangeResult::kNoLiveQuorum;
  if (!can_commit_soon(next)) return ChangeResult::kVotersLag;
  return ask_who_lives(leading.change_round, next);
}

// Who was heard of a moment ago may have died since. Where other majorities are to decide, they are asked first.
ChangeResult Raft::State::ask_who_lives(LiveRound& round, const Configuration& next) {
  if (!next.is_joint()) return ChangeResult::kAccepted;
  const bool is_forgotten = now - round.asked_at > options.heartbeat_ticks;
  if (round.counter == 0 || round.wanted != next || is_forgotten) {
    note_round_sent();
    round = {.wanted = next, .counter = leading.read_counter, .sent_at = now};
    for (Progress& peer : leading.peers)
      if (next.is_voter(peer.node)) peer.heartbeat_due = true;
  }
  round.asked_at = now;
  const bool is_late = now - round.sent_at >= options.election_ticks;
  const bool have_answered = quorum_answered(next, round.counter);
  if (!have_answered && !is_late) return ChangeResult::kAsksWhoLives;
  round = {};
  return have_answered ? ChangeResult::kAccepted : ChangeResult::kNoLiveQuorum;
}

// By a heartbeat less than a leader is given that hears from no majority: so it says why it refuses before it steps down.
bool Raft::State::is_live_voter(NodeId node) const {
  const uint64_t ticks_max = options.election_ticks - std::min(options.heartbeat_ticks, options.election_ticks / 2);
  const Progress* peer = progress_of(node);
  return node == self || (peer && peer->answers_lately(ticks_max));
}

// Whose leaving would make a majority of voters that lag would stop all writes until they have caught up. The majority of
// today is not asked: what it lacks holds up the writes already.
bool Raft::State::can_commit_soon(const Configuration& next) const {
  return !next.is_joint() || without_joint_roles(next).has_quorum([this](NodeId node) {
    const Progress* peer = progress_of(node);
    return is_live_voter(node) && (node == self || !lags(*peer));
  });
}

bool Raft::State::is_near_the_end(Index index) const { return index + options.learner_lag_max >= log.last().index; }

// However busy the leader is, a voter that keeps up has, or is being sent, all but the newest entries.
bool Raft::State::lags(const Progress& peer) const {
  return needs_snapshot(peer) || !is_near_the_end(peer.probing ? peer.match : peer.next - 1);
}

// Effective at once (section 6).
void Raft::State::append_configuration(const Configuration& next) {
  LETO_ASSERT(configurations.latest_index() <= commit,
              base::format("I11: configuration at %" PRIu64 " is not committed", configurations.latest_index()));
  LETO_ASSERT(leads_and_committed_in_term(), "a configuration before an entry of the own term is committed");
  append_own(EntryKind::kConfiguration, std::make_shared<const std::string>(encode_configuration(next)));
  configurations.append(log.last().index, next);
  LETO_LOG(kNotice, "raft: configuration at %" PRIu64 ": %zu members, %zu voters%s", log.last().index,
           next.members.size(), next.voter_count(), next.is_joint() ? ", joint" : "");
  update_peers();
  drop_lease();
  // The quorum is another one now: if it is this node alone, no answer would come to serve them.
  serve_rounds();
}

// A peer that the newest configuration drops is still told of it, so that it learns that it was removed.
void Raft::State::update_peers() {
  std::vector<Progress>& peers = leading.peers;
  for (Progress& peer : peers) {
    const bool leaves = !configuration().find(peer.node);
    // Who comes back while it is still being told goes on as the member that it is.
    if (!leaves) peer.leaves_at = peer.leaving_ticks = 0;
    if (leaves && peer.leaves_at == 0) peer.leaves_at = configurations.latest_index();
  }
  for (const Member& member : configuration().members) {
    if (member.node == self || progress_of(member.node)) continue;
    Progress peer;
    peer.node = member.node;
    peer.next = log.last().index;
    const auto place = std::lower_bound(peers.begin(), peers.end(), member.node,
                                        [](const Progress& other, NodeId node) { return other.node < node; });
    peers.insert(place, std::move(peer));
  }
}

// The next step of a change, if one is under way and nothing is uncommitted.
void Raft::State::drive_membership() {
  if (!leads_and_committed_in_term() || leading.transfer_to != kNobody || disk_stalled) return;
  if (configurations.latest_index() > commit) return;
  if (!configuration().is_joint()) return promote_learners();
  const Configuration next = without_joint_roles(configuration());
  if (can_serve(next)) append_configuration(next);
}

// The last voter that has its state does not leave before another one has.
bool Raft::State::can_serve(const Configuration& voters) const {
  return std::any_of(voters.members.begin(), voters.members.end(), [&](const Member& member) {
    const Progress* peer = progress_of(member.node);
    return voters.is_voter(member.node) && (member.node == self ? !lacks_state : peer != nullptr && !peer->lacks_state);
  });
}

void Raft::State::note_catch_up(Progress& peer) {
  const Member* member = configuration().find(peer.node);
  CatchUp& round = peer.catch_up;
  if (!member || member->role != MemberRole::kLearner || peer.match < round.end) return;
  round = {.end = log.last().index, .ticks = 0, .in_time = round.end != 0 && round.ticks <= options.election_ticks};
}

// By what it acknowledged: of what is only on its way to it nobody knows whether its disk takes it. Where acknowledgements are long
// on their way it is never near the end of a busy log, but its rounds are short.
bool Raft::State::has_caught_up(const Progress& peer) const {
  if (needs_snapshot(peer) || peer.match == 0) return false;
  const CatchUp& round = peer.catch_up;
  return is_near_the_end(peer.match) || (round.in_time && round.ticks <= options.election_ticks);
}

void Raft::State::promote_learners() {
  Configuration next = configuration();
  bool is_changed = false;
  for (const Member& member : configuration().members) {
    const Progress* peer = progress_of(member.node);
    if (member.role != MemberRole::kLearner || !peer || !peer->answers_lately(options.election_ticks)) continue;
    if (!has_caught_up(*peer)) continue;
    const auto replaced = std::find_if(next.members.begin(), next.members.end(), [&](const Member& other) {
      return other.role == MemberRole::kVoter && other.id == member.id && !member.id.empty();
    });
    if (replaced != next.members.end() && replaced->node == self) continue;
    if (replaced != next.members.end()) replaced->role = MemberRole::kOutgoing;
    const auto promoted = std::lower_bound(next.members.begin(), next.members.end(), member, by_node);
    promoted->role = MemberRole::kIncoming;
    is_changed = true;
  }
  if (is_changed && ask_who_lives(leading.promotion_round, next) == ChangeResult::kAccepted) append_configuration(next);
}

void Raft::State::forget_leavers() {
  std::erase_if(leading.peers, [this](Progress& peer) {
    if (peer.leaves_at == 0 || commit < peer.leaves_at) return false;
    const bool was_told = peer.commit_told >= peer.leaves_at && peer.match >= peer.leaves_at;
    return was_told || ++peer.leaving_ticks > 2 * options.election_ticks;
  });
}

// A leader that its own configuration dropped leads until that is committed (section 6), and says so.
void Raft::State::leave_if_removed() {
  if (!leads() || configurations.latest_index() > commit || configuration().find(self)) return;
  replicate();
  for (Progress& peer : leading.peers) send_heartbeat(peer);
  become_follower(term(), kNobody, "was removed from the cluster");
}

// Who is led hears of its removal from the log. What is not believed now is said again when this node dials again.
bool Raft::State::take_removal() {
  if (leader != kNobody || !configuration().find(self)) return false;
  removed_elsewhere = true;
  become_follower(term(), kNobody, "was removed from the cluster, a member says");
  return true;
}

}  // namespace leto::raft
