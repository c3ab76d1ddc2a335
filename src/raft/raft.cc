// The core's front door: construction, messages by term and kind, the tick, the views.
#include "raft/raft.h"

#include <algorithm>
#include <cinttypes>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "raft/state.h"

namespace leto::raft {

Raft::State::State(const Options& given, Recovered recovered)
    : options(given),
      self(given.self),
      lost_tail(recovered.lost_tail),
      founding(recovered.founding),
      random(given.seed),
      log(recovered),
      writes(recovered.hard_state, recovered.last.index),
      configurations(std::move(recovered.configurations)),
      lacks_state(recovered.lacks_state) {
  LETO_ASSERT(self != kNobody, "a node without an incarnation");
  LETO_ASSERT(options.election_ticks > 0 && options.heartbeat_ticks > 0 && options.window_messages_max > 0,
              "zero ticks or an empty window");
  LETO_ASSERT(lost_tail || (recovered.base.index <= recovered.applied && recovered.applied <= recovered.last.index),
              base::format("base %" PRIu64 " applied %" PRIu64 " last %" PRIu64, recovered.base.index,
                           recovered.applied, recovered.last.index));
  LETO_ASSERT(lost_tail || recovered.last.term <= recovered.hard_state.term,
              base::format("last term %" PRIu64 " term %" PRIu64, recovered.last.term, recovered.hard_state.term));
  commit = handed_out = applied = std::min(recovered.applied, recovered.last.index);
  if (lacks_state && !lost_tail) handed_out = applied = recovered.base.index;
  configurations.forget_before(commit);
  reported.term = term();
  reset_election_timer();
}

void Raft::State::drop(const Message& message, const char* why) const {
  LETO_LOG(kDebug, "raft: message %zu of term %" PRIu64 " from %s dropped in term %" PRIu64 ": %s",
           message.body.index(), message.term, name_of(message.from).c_str(), term(), why);
}

bool Raft::State::is_sane(const Message& message) const {
  if (message.from == kNobody || message.from == self || message.to != self) return false;
  if (message.term >= kTermEnd) return false;
  if (std::holds_alternative<InstallSnapshot>(message.body)) return is_sane_snapshot(message);
  return !std::holds_alternative<AppendEntries>(message.body) || is_sane_append(message);
}

void Raft::State::step(const Message& message) {
  if (!is_sane(message)) return drop(message, "nonsense");
  if (const auto* request = std::get_if<RequestVote>(&message.body))
    return request->pre_vote ? on_pre_vote(message) : on_request_vote(message);
  if (message.term > term()) return step_higher_term(message);
  if (message.term < term()) return step_lower_term(message);
  step_same_term(message);
}

// Only those whose answer this node waits for may raise its term: a member that was removed, or a reply
// that comes late, unseats nobody (scenario 30).
void Raft::State::step_higher_term(const Message& message) {
  if (std::holds_alternative<AppendEntries>(message.body)) return on_append_entries(message);
  if (std::holds_alternative<InstallSnapshot>(message.body)) return on_install_snapshot(message);
  const auto* vote = std::get_if<RequestVoteReply>(&message.body);
  if (vote && vote->granted) return on_vote_reply(message);
  const bool asked = vote ? role == Role::kCandidate || role == Role::kPreCandidate
                          : leads() && std::holds_alternative<AppendEntriesReply>(message.body);
  if (!asked || !configuration().find(message.from)) return drop(message, "a newer term, but no answer to anything");
  become_follower(message.term, kNobody, "learned of a newer term");
}

// Whoever leads or asks in an older term is told this one.
void Raft::State::step_lower_term(const Message& message) {
  if (std::holds_alternative<AppendEntries>(message.body)) return tell_term(message);
  if (std::holds_alternative<ReadIndexRequest>(message.body)) return on_read_request(message);
  drop(message, "an older term");
}

void Raft::State::step_same_term(const Message& message) {
  if (std::holds_alternative<AppendEntries>(message.body)) return on_append_entries(message);
  if (std::holds_alternative<AppendEntriesReply>(message.body)) return on_append_reply(message);
  if (std::holds_alternative<RequestVoteReply>(message.body)) return on_vote_reply(message);
  if (std::holds_alternative<TimeoutNow>(message.body)) return on_timeout_now(message);
  if (std::holds_alternative<ReadIndexRequest>(message.body)) return on_read_request(message);
  if (std::holds_alternative<InstallSnapshot>(message.body)) return on_install_snapshot(message);
  if (std::holds_alternative<InstallSnapshotReply>(message.body)) return on_snapshot_reply(message);
  on_read_reply(message);
}

void Raft::State::tick() {
  log.free_some();
  ++now;
  tick_forwarded_reads();
  if (leads()) {
    tick_leader();
  } else {
    tick_election();
  }
}

Raft::Raft(const Options& options, Recovered recovered)
    : state_(std::make_unique<State>(options, std::move(recovered))) {}
Raft::Raft(const Raft& other) : state_(std::make_unique<State>(*other.state_)) {}
Raft::~Raft() = default;

void Raft::step(const Message& message) { state_->step(message); }
void Raft::tick() { state_->tick(); }
ProposeResult Raft::propose(Payload payload, EntryId* id) { return state_->propose(std::move(payload), id); }
ChangeResult Raft::change_config(const Configuration& target, ChangeCare care) {
  return state_->change_config(target, care);
}
TransferResult Raft::transfer(NodeId to) { return state_->transfer(to); }
void Raft::read_index(uint64_t context) { state_->read_index(context); }
void Raft::durable(WriteSeq seq) { state_->durable(seq); }
void Raft::loaded(NodeId peer, std::vector<Entry> entries) { state_->loaded(peer, std::move(entries)); }
void Raft::applied(Index index) { state_->set_applied(index); }
void Raft::disk_stalled(bool stalled) { state_->set_disk_stalled(stalled); }
void Raft::refuse_transfers(bool refused) { state_->transfers_refused = refused; }
void Raft::hear_part(NodeId from, Term term) { state_->hear_part(from, term); }
bool Raft::told_of_removal() { return state_->take_removal(); }
void Raft::peer_unreachable(NodeId node) { state_->set_peer_unreachable(node); }
void Raft::send_snapshot(NodeId to, InstallSnapshot chunk) { state_->send_snapshot(to, std::move(chunk)); }
void Raft::snapshot_failed(NodeId peer) { state_->set_snapshot_failed(peer); }
void Raft::answer_snapshot(NodeId to, InstallSnapshotReply reply) { state_->answer_snapshot(to, reply); }
bool Raft::install_snapshot(SnapshotInstall install) { return state_->install_snapshot(std::move(install)); }
void Raft::snapshot_loaded() { state_->snapshot_loaded(); }
bool Raft::installing() const { return state_->installing.has_value(); }
bool Raft::lacks_state() const { return state_->lacks_state; }
void Raft::hold_apply(bool hold) { state_->apply_is_held = hold; }
void Raft::compact(Index through) { state_->compact(through); }
bool Raft::lease_holds() const { return state_->lease_holds(); }
Output Raft::take() { return state_->take(); }
bool Raft::has_output() const { return state_->has_output(); }

Role Raft::role() const { return state_->role; }
Term Raft::term() const { return state_->term(); }
NodeId Raft::voted_for() const { return state_->voted_for(); }
NodeId Raft::leader() const { return state_->leader; }
Index Raft::commit_index() const { return state_->commit; }
Index Raft::applied_index() const { return state_->applied; }
Index Raft::durable_index() const { return state_->writes.durable_index(); }
EntryId Raft::last() const { return state_->log.last(); }
Index Raft::first_index() const { return state_->log.first_index(); }
const Configuration& Raft::configuration() const { return state_->configuration(); }
const Configuration& Raft::committed_configuration() const { return state_->configurations.at(state_->commit); }
bool Raft::leads_and_committed_in_term() const { return state_->leads_and_committed_in_term(); }
bool Raft::is_only_voter() const { return state_->is_only_voter(); }
bool Raft::was_told_of_removal() const { return state_->removed_elsewhere; }
NodeId Raft::transferring_to() const { return state_->leads() ? state_->leading.transfer_to : kNobody; }
size_t Raft::uncommitted_bytes() const { return state_->leading.uncommitted_bytes; }
void Raft::check_invariants() const { state_->check_invariants(); }
void Raft::fingerprint(std::string& bytes) const { state_->fingerprint(bytes); }

std::vector<PeerView> Raft::peers() const {
  std::vector<PeerView> views;
  for (const Progress& peer : state_->leading.peers)
    views.push_back({.node = peer.node,
                     .match = peer.match,
                     .next = peer.next,
                     .in_flight_messages = peer.in_flight.size(),
                     .in_flight_bytes = peer.in_flight_bytes,
                     .heard = peer.heard,
                     .ticks_since_heard = peer.ticks_since_heard,
                     .needs_snapshot = state_->needs_snapshot(peer),
                     .snapshot_min = peer.lacks_state ? peer.snapshot_min : 0,
                     .lags = state_->lags(peer),
                     .unreachable = peer.awaits_contact,
                     .lost_tail = peer.lost_tail});
  return views;
}

}  // namespace leto::raft
