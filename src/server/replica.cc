#include "server/replica.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"
#include "storage/damage.h"

namespace leto::server {
namespace {

// Rounds of one turn of the loop, and their time; what is left waits for the next, so that sockets are served between.
constexpr int kTurnStepsMax = 64;
constexpr uint64_t kTurnUsMax = 1000;
// Acknowledgements that are kept back; a lost one is given again when the leader sends again.
constexpr size_t kHeldMax = 1024;

// Says that entries are durable; what answers a heartbeat says nothing new and is never kept back.
bool is_acknowledgement(const raft::Message& message) {
  const auto* reply = std::get_if<raft::AppendEntriesReply>(&message.body);
  return reply != nullptr && reply->accepted && reply->match > reply->previous_index;
}

}  // namespace

Replica::Replica(const ReplicaParts& parts, raft::Options raft_options, raft::Recovered recovered,
                 const keyspace::StateHeader& header)
    : options_(parts.options),
      environment_(parts.environment),
      stats_(parts.stats),
      keyspace_(parts.keyspace),
      cluster_time_(parts.environment.clock, header.cluster_time_ms),
      first_witness_(parts.witness),
      durable_term_(recovered.hard_state.term),
      raft_(raft_options, std::move(recovered)),
      uncommitted_bytes_max_(raft_options.uncommitted_bytes_max),
      applied_{.term = header.applied_term, .index = header.applied_index},
      hash_seed_(header.hash_seed),
      semantics_supported_(parts.semantics_supported),
      semantics_level_(static_cast<uint16_t>(header.semantics_level)),
      applied_configuration_index_(header.configuration_index),
      next_context_(base::mix64(raft_options.seed) >> 1) {
  // Where the log lost its tail it may end before what was applied; then nothing is applied any more (D16).
  LETO_ASSERT(raft_.applied_index() == applied_.index || raft_.last().index < applied_.index,
              "raft starts at the keyspace's applied index");
  if (!header.configuration.empty()) {
    const bool decoded = raft::decode_configuration(header.configuration, applied_configuration_);
    LETO_ASSERT(decoded, "the configuration in the keys file was checked by its CRC");
  }
}

void Replica::on_loop_turn() {
  const uint64_t began_us = environment_.clock.monotonic_us();
  for (int steps = 0; steps < kTurnStepsMax && turn_step(); ++steps) {
    if (environment_.clock.monotonic_us() - began_us >= kTurnUsMax) break;
  }
  set_members_if_changed();
  if (work_waits()) environment_.waker.wake();
  raft_.check_invariants();
}

// One round: propose, then carry out what the core says. False if there was nothing to do.
bool Replica::turn_step() {
  fail_lost();
  writes_left_ = false;
  route_waiting_writes();
  propose_pending();
  if (!cut_off_.empty()) refuse_reads(cut_off_);
  start_read_round();
  if (!work_waits()) return false;
  raft::Output output = raft_.take();
  send(std::move(output.send_now));
  store(std::move(output.writes));
  load(output.loads);
  apply(output.apply);
  serve(output.reads);
  for (const raft::NodeId peer : output.start_snapshots) on_snapshot_wanted(peer);
  for (const raft::Message& message : output.snapshot_messages) on_snapshot_message(message);
  // Last: what was committed is answered as such even if leadership was lost with it.
  if (output.role_change) note_role(*output.role_change);
  if (output.lost_acknowledged > 0) say_what_is_lost(output.lost_acknowledged);
  return true;
}

void Replica::say_what_is_lost(raft::Index acknowledged) {
  using Number = unsigned long long;
  on_damage(base::format("raft.db: damaged: %s: the leader has entry %llu from it, and the log, which ends at %llu, does not have it",
                         storage::kSeenByOthers.data(), Number{acknowledged}, Number{raft_.last().index}));
}

bool Replica::work_waits() const {
  return raft_.has_output() || reads_left_ || writes_left_ || !lost_.empty();
}

void Replica::on_tick() {
  const uint64_t now_us = environment_.clock.monotonic_us();
  watch_disk(now_us);
  watch_ticks(now_us);
  last_tick_us_ = now_us;
  raft_.tick();
  retry_reads();
  if (disk_full_ && !environment_.log_disk.busy()) submit_job();
}

void Replica::on_message(const raft::Message& message) {
  if (const auto* append = std::get_if<raft::AppendEntries>(&message.body)) {
    if (message.term >= raft_.term()) cluster_time_.observe(append->cluster_time_ms);
  }
  if (const auto* snapshot = std::get_if<raft::InstallSnapshot>(&message.body)) {
    if (message.term >= raft_.term()) cluster_time_.observe(snapshot->cluster_time_ms);
  }
  if (const auto* answer = std::get_if<raft::ReadIndexReply>(&message.body)) {
    if (answer->ok) cluster_time_.observe(answer->cluster_time_ms);
  }
  raft_.step(message);
}

void Replica::note_role(const raft::RoleChange& change) {
  if (change.role == raft::Role::kCandidate) ++stats_.elections;
  if (change.leader != raft::kNobody) ++stats_.leader_changes;
  const bool other_term = !pending_.empty() && pending_.front().id.term != change.term;
  if (change.role != raft::Role::kLeader || other_term) {
    // D14: what was proposed may still be committed by another leader.
    lose_pending("UNKNOWN outcome: this node lost leadership before the write was committed");
  }
  if (change.role != raft::Role::kLeader) lose_unproposed();
  if (on_role_change) on_role_change();
}

void Replica::send(std::vector<raft::Message> messages) {
  for (raft::Message& message : messages) {
    // What was to be told in a term that is over: what it promises may have been truncated since.
    if (message.term < raft_.term()) continue;
    if (auto* append = std::get_if<raft::AppendEntries>(&message.body)) {
      append->cluster_time_ms = cluster_time_.now_ms();
    } else if (auto* answer = std::get_if<raft::ReadIndexReply>(&message.body)) {
      answer->cluster_time_ms = cluster_time_.now_ms();
    } else if (auto* snapshot = std::get_if<raft::InstallSnapshot>(&message.body)) {
      snapshot->cluster_time_ms = cluster_time_.now_ms();
    }
    if (acknowledgements_held_ && is_acknowledgement(message)) {
      held_acknowledgements_.push_back(std::move(message));
      if (held_acknowledgements_.size() > kHeldMax) held_acknowledgements_.pop_front();
      continue;
    }
    environment_.network.send(std::move(message));
  }
}

void Replica::check_bounds() const {
  LETO_ASSERT(held_acknowledgements_.size() <= kHeldMax,
              base::format("I15: %zu acknowledgements are kept back", held_acknowledgements_.size()));
}

void Replica::hold_acknowledgements(bool held) {
  acknowledgements_held_ = held;
  if (held || held_acknowledgements_.empty()) return;
  const std::deque<raft::Message> waiting = std::exchange(held_acknowledgements_, {});
  send({waiting.begin(), waiting.end()});
}

// D9: one step between two turns of the core; who waits for an index that is applied by it is served next.
void Replica::adopt_state(LoadedKeys loaded) {
  LETO_ASSERT(loaded.header.applied_index >= applied_.index,
              base::format("applied %llu would fall to %llu", static_cast<unsigned long long>(applied_.index),
                           static_cast<unsigned long long>(loaded.header.applied_index)));
  keyspace_ = std::move(loaded.keyspace);
  applied_ = {.term = loaded.header.applied_term, .index = loaded.header.applied_index};
  hash_seed_ = loaded.header.hash_seed;
  semantics_level_ = static_cast<uint16_t>(loaded.header.semantics_level);
  has_commands_ = has_commands_ || keyspace_.size() > 0;
  if (on_semantics_level) on_semantics_level(false);
  cluster_time_.applied(loaded.header.cluster_time_ms);
  if (loaded.header.configuration_index == applied_configuration_index_) return;
  const bool decoded = raft::decode_configuration(loaded.header.configuration, applied_configuration_);
  LETO_ASSERT(decoded, "the configuration in the keys file was checked by its CRC");
  applied_configuration_index_ = loaded.header.configuration_index;
  if (on_configuration_applied) on_configuration_applied();
}

void Replica::set_members_if_changed() {
  if (raft_.configuration() == members_told_ && raft_.committed_configuration() == committed_members_told_) return;
  members_told_ = raft_.configuration();
  committed_members_told_ = raft_.committed_configuration();
  environment_.network.set_members(members_told_, committed_members_told_);
}

keyspace::StateHeader Replica::state_header() const {
  return {.applied_index = applied_.index,
          .applied_term = applied_.term,
          .cluster_time_ms = cluster_time_.last_stamp_ms(),
          .hash_seed = hash_seed_,
          .configuration = raft::encode_configuration(applied_configuration_),
          .configuration_index = applied_configuration_index_,
          .digest = keyspace_.digest(),
          .semantics_level = semantics_level_};
}

storage::Witness Replica::witness() const {
  // Applied entries are committed and durable here (I8).
  return {.index = std::max(applied_.index, first_witness_.index),
          .term = std::max(durable_term_, first_witness_.term)};
}

void Replica::fail(Session& session, Session::Sequence sequence, std::string_view error) {
  stats_.note_error(error);
  session.fail(sequence, error);
}

void Replica::output_grew(const SessionRef& session) {
  if (on_output) on_output(session);
}

// How long a request waits for somebody to lead: an election, one that was split, and its first commit.
uint64_t Replica::leader_wait_ms() const {
  return std::min(options_.request_timeout_ms, 3 * std::max(options_.election_timeout_ms, kSilenceMsMax));
}

void Replica::expire_requests(Session& session, uint64_t now_us) {
  end_late_requests(session, now_us);
  // One that ended may be what reads behind it waited for.
  const Request* front = session.front();
  if (front == nullptr || session.is_full_at(session.front_sequence())) return;
  if (front->state == RequestState::kServable || front->state == RequestState::kDeferred) serve_later(session.shared_from_this());
}

// From the front: later requests are younger.
void Replica::end_late_requests(Session& session, uint64_t now_us) {
  const uint64_t limit_us = options_.request_timeout_ms * 1000;
  const uint64_t leader_wait_us = leader_wait_ms() * 1000;
  while (Request* request = session.front()) {
    const bool waits_leader = request->state == RequestState::kWaitsLeader;
    if (request->state == RequestState::kForwarded) return;   // The forwarder knows what became of it.
    if (session.waits_for_client()) return;
    const uint64_t bound_us = waits_leader ? leader_wait_us : limit_us;
    if (request->unlimited || now_us - session.waits_since_us(request->arrived_us) < bound_us) return;
    const Session::Sequence sequence = session.front_sequence();
    const SessionRef reference = session.shared_from_this();
    if (waits_leader) {
      // With the reads that were to run behind it: nothing else would bring them on.
      fail_write({.session = reference, .sequence = sequence}, "CLUSTERDOWN no leader");
    } else if (request->state == RequestState::kPending) {
      const bool proposed = request->proposed;
      fail_write({.session = reference, .sequence = sequence},
                 proposed ? "UNKNOWN outcome: not committed within request-timeout"
                          : "UNKNOWN outcome: the log's disk did not answer within request-timeout");
    } else {
      fail(session, sequence, request->state == RequestState::kDeferred
                                 ? "UNKNOWN outcome: not finished within request-timeout"
                             : request->local
                                 ? "CLUSTERDOWN this connection's writes did not come here within request-timeout"
                             : request->behind
                                 ? "CLUSTERDOWN this node is behind: what the read is to see did not come within request-timeout"
                                 : "CLUSTERDOWN no quorum confirmed this read within request-timeout");
    }
    output_grew(reference);
  }
}

}  // namespace leto::server
