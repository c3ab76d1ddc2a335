#include "server/node.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"
#include "base/log.h"
#include "command/table.h"
#include "server/compactor.h"
#include "server/disk_floor.h"
#include "server/flusher.h"
#include "server/forwarded.h"
#include "server/forwarder.h"
#include "server/membership.h"
#include "server/replica.h"
#include "server/semantics_raiser.h"
#include "server/snapshot_receiver.h"
#include "server/snapshot_sender.h"
#include "server/timed_run.h"
#include "storage/lost_tail.h"

namespace leto::server {
namespace {

// Past so many bytes of writes on their way, clients that write are not read from.
constexpr size_t kOverloadBytes = 128 << 20;
// Of committed entries in one step of a turn, so that its time is looked at between.
constexpr size_t kApplyBytesPerStep = 16 << 10;
constexpr uint64_t kTicksPerSweep = 10;   // Of requests that have waited too long, and of statistics.

raft::Options raft_options(const Options& options, const NodeStart& start) {
  raft::Options result;
  result.self = start.identity.node;
  result.apply_bytes_max = kApplyBytesPerStep;
  result.uncommitted_bytes_max = start.uncommitted_bytes_max;
  result.seed = base::mix64(start.seed ^ start.identity.node);
  result.election_ticks = static_cast<uint32_t>(std::max<uint64_t>(2, options.election_timeout_ms / kTickMs));
  result.silence_ticks_max = kSilenceMsMax / kTickMs;
  result.heartbeat_ticks =
      static_cast<uint32_t>(std::max<uint64_t>(1, options.heartbeat_interval_ms / kTickMs));
  return result;
}

// Whether the last of what configurations_known() gave is committed, and has this node no more. The core cannot tell where
// nothing of it is applied yet.
bool lacks_node(const std::vector<raft::ConfigurationAt>& known, const NodeStart& start) {
  if (known.empty() || known.back().index > known_committed(start)) return false;
  return known.back().configuration.find(start.identity.node) == nullptr;
}

}  // namespace

std::vector<raft::ConfigurationAt> configurations_known(const NodeStart& start) {
  std::vector<raft::ConfigurationAt> known;
  raft::ConfigurationAt kept{.index = start.header.configuration_index, .configuration = {}};
  if (kept.index > 0 && raft::decode_configuration(start.header.configuration, kept.configuration))
    known.push_back(std::move(kept));
  for (const raft::ConfigurationAt& each : start.recovered.configurations)
    if (known.empty() || each.index > known.back().index) known.push_back(each);
  return known;
}

raft::Index known_committed(const NodeStart& start) {
  return std::max({start.recovered.base.index, start.header.applied_index, start.witness.index});
}

Node::Node(Options& options, const Environment& environment, NodeStart start)
    : options_(options), environment_(environment), identity_(start.identity) {
  LETO_ASSERT(start.header.semantics_level <= start.semantics_supported,
              base::format("a directory at semantics level %llu, supported are %u",
                           static_cast<unsigned long long>(start.header.semantics_level), start.semantics_supported));
  stats_.started_us = environment_.clock.monotonic_us();
  start.recovered.applied = start.header.applied_index;
  start.recovered.founding = start.founding;
  if (!start.founding) replay_until_ = start.recovered.last.index;
  start.recovered.lost_tail =
      storage::lost_tail(start.recovered, start.witness, start.header.applied_index);
  if (start.recovered.lost_tail) {
    LETO_LOG(kWarning, "raft.db lost its tail: it ends at entry %llu, but entry %llu was committed here; "
             "this node neither votes nor acknowledges until it joins again as a new one",
             static_cast<unsigned long long>(start.recovered.last.index),
             static_cast<unsigned long long>(known_committed(start)));
  }
  if (start.header.hash_seed == 0) start.header.hash_seed = base::hash64(identity_.cluster_id, 0) | 1;
  // Whoever compacted its log has been a member, though the entry that made it one may be gone.
  was_member_ = start.recovered.base.index > 0;
  for (const raft::ConfigurationAt& each : start.recovered.configurations) {
    const bool committed = each.index <= known_committed(start);
    was_member_ = was_member_ || (committed && each.configuration.find(identity_.node) != nullptr);
  }
  start.recovered.configurations = configurations_known(start);
  was_removed_ = was_member_ && lacks_node(start.recovered.configurations, start);
  for (const raft::ConfigurationAt& each : start.recovered.configurations) {
    identity_.founded = identity_.founded && each.configuration.members.size() == 1;
  }
  start.recovered.lacks_state = start.lacks_keys;
  if (start.lacks_keys) {
    start.header.applied_index = start.recovered.base.index;
    start.header.applied_term = start.recovered.base.term;
  }
  make_parts(start);
  if (start.lacks_keys) {
    wait_for_keys();
  } else if (start.has_keys) {
    begin_loading();
  }
  if (!start.removal.empty()) on_removed(start.removal, false);
}

void Node::make_parts(const NodeStart& start) {
  const ReplicaParts parts{.options = options_,
                           .environment = environment_,
                           .stats = stats_,
                           .keyspace = keyspace_,
                           .witness = start.witness,
                           .seed = start.seed,
                           .semantics_supported = start.semantics_supported};
  raft::Options options_of_raft = raft_options(options_, start);
  options_of_raft.id_of = [this](raft::NodeId node) {
    return node == identity_.node ? identity_.id : environment_.network.id_of(node);
  };
  replica_ = std::make_unique<Replica>(parts, options_of_raft, start.recovered, start.header);
  const Forwarder::Self self{.node = identity_.node, .life = base::mix64(start.seed ^ base::mix64(identity_.node))};
  forwarder_ = std::make_unique<Forwarder>(*replica_, parts, self, [this](const SessionRef& session, Session::Sequence sequence) {
    run_forwarded_here(session, sequence);
  });
  forwarded_ = std::make_unique<Forwarded>(
      *replica_, parts, identity_.node,
      [this](const SessionRef& session, resp::Arguments arguments) { execute_for_peer(session, arguments); });
  membership_ = std::make_unique<Membership>(
      *replica_, parts, identity_.node,
      [this](command::Ticket ticket, const std::string& error) { answer(ticket, error); });
  membership_->forward_to_leader = [this](const std::vector<std::string>& arguments,
                                          std::function<void(std::string error)> done) {
    forward_when_served(arguments, std::move(done));
  };
  semantics_raiser_ = std::make_unique<SemanticsRaiser>(*replica_, parts, identity_.node, [this] { return membership_->busy(); });
  flusher_ = std::make_unique<Flusher>(*replica_, parts);
  snapshot_sender_ = std::make_unique<SnapshotSender>(*replica_, parts, identity_.keys_generation);
  snapshot_receiver_ = std::make_unique<SnapshotReceiver>(*replica_, parts, identity_.keys_generation);
  compactor_ = std::make_unique<Compactor>(*replica_, parts, *flusher_, *snapshot_sender_);
  disk_floor_ = std::make_unique<DiskFloor>(*replica_, parts, *flusher_, *compactor_);
  disk_floor_->give_way = [this](raft::NodeId to) { return membership_->give_way(to); };
  replica_->on_output = [this](const SessionRef& session) { note_output(session); };
  replica_->give_away = [this](const SessionRef& session, Session::Sequence sequence) {
    if (options_.follower_writes != FollowerWrites::kForward || !goes_to_who_leads(*session)) return false;
    forwarder_->take_over(session, sequence);
    return true;
  };
  replica_->on_configuration_applied = [this] { on_configuration_applied(); };
  replica_->on_role_change = [this] {
    if (replica_->raft().role() == raft::Role::kLeader) return;
    membership_->leadership_lost();
    semantics_raiser_->leadership_lost();
    snapshot_sender_->leadership_lost();
  };
  replica_->on_unusable = [this](const std::string& why) {
    cannot_apply_ = why;
    say_if_unusable();
  };
  replica_->on_semantics_level = [this](bool by_entry) {
    semantics_raiser_->level_changed();
    // So that a program of a lower level that is started here sees it at once.
    if (by_entry) flusher_->flush([](const base::Status&) {});
  };
  replica_->on_snapshot_wanted = [this](raft::NodeId peer) { want_snapshot(peer); };
  replica_->on_snapshot_message = [this](const raft::Message& message) { on_snapshot_message(message); };
  replica_->on_damage = [this](const std::string& why) { on_unusable(why); };
  replica_->on_installed = [this] { snapshot_receiver_->on_installed(); };
  snapshot_receiver_->on_swapped = [this] {
    loading_ = false;
    flusher_->keyspace_replaced(replica_->raft().applied_index());
    flusher_->hold(true);
    keys_file_switch_ = Switch::kDue;
  };
}

Node::~Node() = default;

SessionRef Node::open_session() {
  auto session = std::make_shared<Session>();
  session->client.id = next_client_id_++;
  session->client.created_ms = monotonic_ms();
  session->client.last_active_ms = session->client.created_ms;
  session->client.authenticated = options_.requirepass.empty();
  sessions_.emplace(session->client.id, session);
  ++stats_.connections_received;
  return session;
}

void Node::close_session(const SessionRef& session) {
  session->close();
  sessions_.erase(session->client.id);
}

void Node::note_fetched(const SessionRef& session) { replica_->note_fetched(session); }

void Node::note_output(const SessionRef& session) {
  if (session->on_output) return session->on_output();
  if (session->in_active_list || session->closed()) return;
  session->in_active_list = true;
  sessions_with_output_.push_back(session);
}

std::vector<SessionRef> Node::take_sessions_with_output() {
  std::vector<SessionRef> taken = std::exchange(sessions_with_output_, {});
  const uint64_t now_us = taken.empty() ? 0 : environment_.clock.monotonic_us();
  for (const SessionRef& session : taken) {
    session->in_active_list = false;
    session->note_served(now_us);
  }
  return taken;
}

size_t Node::pending_bytes() const { return replica_->pending_bytes(); }

bool Node::overloaded() const {
  return replica_->pending_bytes() > kOverloadBytes || flusher_->behind() || forwarder_->overloaded();
}

std::string Node::unavailable() const {
  if (identity_.cluster_id.empty()) return "CLUSTERDOWN joining " + options_.join.text();
  if (std::string why = removal(); !why.empty()) return why;
  if (replica_->raft().configuration().members.empty()) return "CLUSTERDOWN joining the cluster";
  if (loading_) return "LOADING Leto is loading the dataset in memory";
  return {};
}

bool Node::is_own_join(const command::Command& command, resp::Arguments arguments) const {
  return command.name == "join" && arguments.size() > 3 && arguments[3] == std::to_string(identity_.node);
}

std::string Node::refusal(Session& session, const command::Command* command,
                          resp::Arguments arguments) const {
  if (std::string error = command::check_request(command, arguments); !error.empty()) return error;
  if (!session.client.authenticated && (command->flags & command::kNoAuth) == 0) {
    return "NOAUTH Authentication required.";
  }
  const bool in_transaction = session.client.transaction.open;
  if (in_transaction && (command->flags & command::kNoMulti) != 0) return "ERR Command not allowed inside a transaction";
  const bool keyed = (command->flags & (command::kWrite | command::kReadOnly | command::kWatch)) != 0;
  if (keyed || (command->flags & command::kLeaderOnly) != 0) {
    if (std::string error = unavailable(); !error.empty()) {
      if (!is_own_join(*command, arguments)) return error;
      return "ERR this is " + identity_.id + " itself, which is to join; -join names a node of the cluster";
    }
  }
  if ((command->flags & command::kWrite) != 0) {
    if (in_transaction) return {};   // What is wrong with a queued write is an element of EXEC's reply.
    std::string error = command::check_write(*command, arguments);
    return error.empty() ? refusal_here(session, *command, arguments) : error;
  }
  if ((command->flags & command::kLeaderOnly) == 0 || replica_->raft().role() == raft::Role::kLeader) return {};
  if (!leader_takes_forwards()) return "not leader";
  return {};
}

std::string Node::refusal_here(Session& session, const command::Command& command, resp::Arguments arguments) const {
  return is_forwarded(session, command) ? "" : replica_->refusal_for(command, arguments);
}

void Node::execute(const SessionRef& session, resp::Arguments arguments) {
  LETO_ASSERT(!session->holds(), base::format("client %llu", static_cast<unsigned long long>(session->client.id)));
  const command::Command* command = command::find_command(arguments.front());
  session->client.last_active_ms = monotonic_ms();
  std::string error = refusal(*session, command, arguments);
  if (!error.empty()) return refuse(session, command, arguments, std::move(error));
  session->client.last_command.assign(command->name);
  if (session->client.transaction.open && (command->flags & command::kUnqueued) == 0) {
    return queue(session, *command, arguments);
  }
  stats_.note_call(*command, arguments);
  const Session::Sequence sequence = session->front_sequence() + session->outstanding();
  run(session, *command, arguments);
  // So that a later EXEC knows of the client's own writes, also where the key is as it was before them.
  const bool may_touch = (command->flags & command::kWrite) != 0 && !session->client.transaction.watched.empty();
  if (may_touch && session->find(sequence) != nullptr) session->hold_until(sequence);
  if (!session->output().empty()) note_output(session);
}

void Node::run(const SessionRef& session, const command::Command& command, resp::Arguments arguments) {
  if (is_forwarded(*session, command)) {
    forwarder_->add(session, command, arguments);
  } else if ((command.flags & command::kWrite) != 0) {
    replica_->write(session, command, arguments);
  } else if ((command.flags & command::kReadOnly) != 0) {
    replica_->read(session, command, arguments);
  } else if ((command.flags & command::kExec) != 0) {
    exec(session);
  } else if ((command.flags & command::kWatch) != 0) {
    watch(session, command, arguments);
  } else if ((command.flags & command::kDeferred) != 0) {
    run_deferred(session, command, arguments);
  } else {
    run_local(session, command, arguments);
  }
}

command::Context Node::local_context(Session& session, resp::Arguments arguments, resp::Reply& reply) {
  return {.keyspace = keyspace_,
          .services = this,
          .client = &session.client,
          .arguments = arguments,
          .reply = reply,
          .database = session.client.database,
          .stamp = {}};
}

// Not by the replica, which counts what it runs itself.
void Node::run_here(const command::Command& command, command::Context& context) {
  run_timed(command, context, stats_, environment_.clock);
  if (context.reply.wrote_error()) stats_.note_failure(command, context.arguments, context.reply.error_code());
}

void Node::run_local(const SessionRef& session, const command::Command& command,
                     resp::Arguments arguments) {
  const bool direct = session->idle();
  const Session::Sequence sequence =
      direct ? 0 : session->push({.state = RequestState::kDeferred, .command = &command});
  std::string& out = direct ? session->output() : session->reply_buffer(sequence);
  resp::Reply reply(out, session->client.protocol);
  command::Context context = local_context(*session, arguments, reply);
  session->client.last_command = command::full_name(command, arguments);
  run_here(command, context);
  LETO_ASSERT(!context.deferred, "only a command with kDeferred answers later");
  if (!direct) session->answered(sequence);
}

void Node::run_deferred(const SessionRef& session, const command::Command& command,
                        resp::Arguments arguments) {
  const bool keeps_arguments = (command.flags & command::kLeaderOnly) != 0;
  const Session::Sequence sequence = session->push({.state = RequestState::kDeferred,
                                                    .command = &command,
                                                    .arrived_us = environment_.clock.monotonic_us(),
                                                    .arguments = keeps_arguments ? OwnedArguments(arguments) : OwnedArguments()});
  defer(session, sequence, arguments);
}

command::Ticket Node::issue_ticket(Waiter waiter) {
  tickets_[next_ticket_] = std::move(waiter);
  return next_ticket_++;
}

// Runs the handler of a request that waits in the state kDeferred.
void Node::defer(const SessionRef& session, Session::Sequence sequence, resp::Arguments arguments) {
  const command::Command& command = *session->find(sequence)->command;
  const command::Ticket ticket = issue_ticket({.session = session, .sequence = sequence});
  std::string text;
  resp::Reply reply(text, session->client.protocol);
  command::Context context = local_context(*session, arguments, reply);
  context.ticket = ticket;
  run_here(command, context);
  if (context.deferred) return;
  tickets_.erase(ticket);
  session->reply_buffer(sequence).append(text);
  session->answered(sequence);
  // It may have waited for a leader: then nobody looks at what the session has to say.
  note_output(session);
}

// Answers a deferred request with OK or an error; nothing if the client is gone or was answered otherwise.
void Node::answer(command::Ticket ticket, const std::string& error) {
  const auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return;
  const Waiter waiter = std::move(found->second);
  tickets_.erase(found);
  Request* request = waiter.session->find(waiter.sequence);
  if (waiter.session->closed() || request == nullptr || request->state != RequestState::kDeferred) return;
  if (error == Replica::kNotLeader && goes_to_who_leads(*waiter.session)) {
    return forwarder_->take_over(waiter.session, waiter.sequence);
  }
  if (!error.empty()) {
    replica_->fail(*waiter.session, waiter.sequence, error);
  } else {
    resp::Reply(waiter.session->reply_buffer(waiter.sequence), waiter.session->client.protocol).ok();
    waiter.session->answered(waiter.sequence);
  }
  note_output(waiter.session);
}

void Node::on_loop_turn() {
  replica_->on_loop_turn();
  forwarded_->advance();
  forwarder_->advance();
  membership_->advance();
  if (!farewells_.empty()) advance_farewells();
  refuse_what_waits_at_the_end();
  switch_keys_file_if_due();
  flusher_->advance();
  // Log is dropped only once the keys file that has it was read whole.
  if (!loading_) compactor_->advance();
  replica_->hold_acknowledgements(flusher_->behind());
  forwarded_->hold(flusher_->behind());
  keyspace_.on_turn();
  if (keyspace_.work_waits()) environment_.waker.wake();
  if (shutdown_ != Shutdown::kNo) advance_shutdown();
}

void Node::on_tick() {
  replica_->on_tick();
  snapshot_sender_->on_tick();
  snapshot_receiver_->on_tick();
  if (snapshot_receiver_->receiving()) {
    replica_->refuse_late_reads("LOADING this node is behind and receives a snapshot of the keys");
  }
  if (shutdown_ == Shutdown::kNo) disk_floor_->on_tick();
  if (++ticks_ % kTicksPerSweep != 0) return;
  const uint64_t now_us = environment_.clock.monotonic_us();
  stats_.sample(now_us);
  say_if_unusable();
  say_if_keys_are_late(now_us);
  semantics_raiser_->advance();
  for (const auto& [id, session] : sessions_) session->note_served(now_us);
  forwarder_->expire(now_us);
  forwarded_->expire(now_us);
  for (const auto& [id, session] : sessions_) {
    if (!session->idle()) replica_->expire_requests(*session, now_us);
  }
  replica_->forget_ended_reads();
  if (!replica_->raft().was_told_of_removal()) note_removal("");
}

void Node::on_message(const raft::Message& message) {
  replica_->on_message(message);
}

void Node::on_part(raft::NodeId from, raft::Term term) { replica_->on_part(from, term); }

void Node::on_peer_unreachable(raft::NodeId node) {
  replica_->on_peer_unreachable(node);
  forwarder_->on_unreachable(node);
}

void Node::on_peer_silenced(raft::NodeId node) { forwarder_->on_unreachable(node); }

void Node::on_configuration_applied() {
  // One behind it may be committed, too, which has removed it already: it was a member all the same.
  const bool member = replica_->applied_configuration().find(identity_.node) != nullptr;
  const bool taken_in = member && !was_member_ && !identity_.founded;
  was_member_ = was_member_ || member;
  const bool gone = !member && removed();
  if (gone) {
    LETO_LOG(kWarning, "this node was removed from its cluster and serves no more; to use it again start it "
             "with an empty -raftdir and -join");
  }
  // So that it knows after a restart, too, when nobody tells it any more; and a member does not ask then to be taken in.
  if (gone || taken_in) flusher_->flush([](const base::Status&) {});
  identity_.founded = identity_.founded && replica_->raft().committed_configuration().members.size() == 1;
}

// A leader may still send what it wrote behind the removal of this node, at a level that suits those who are left.
// That is no reason to end, nor to be upgraded.
void Node::say_if_unusable() {
  if (!cannot_apply_.empty() && !removed()) on_unusable(cannot_apply_);
}

void Node::on_removed(const std::string& sentence, bool joins) {
  // That a member knows of none either is no news: the answer to what it asks will tell.
  if (joins && !was_member_) return;
  if (removed() || !replica_->raft().told_of_removal()) return;
  LETO_LOG(kWarning, "this node was removed from its cluster and serves no more; to use it again start it with an empty "
           "-raftdir and -join. A member says: %s", sentence.c_str());
  note_removal(sentence);
}

void Node::note_removal(const std::string& sentence) {
  if (removal_ == sentence) return;
  removal_ = sentence;
  if (on_told_of_removal) on_told_of_removal(sentence);
}

void Node::on_addresses_said(const raft::Member& told) { membership_->addresses_said(told); }

bool Node::knows_members() const { return replica_->raft().leads_and_committed_in_term(); }

bool Node::removed() const {
  if (replica_->raft().was_told_of_removal()) return true;
  const raft::Configuration& committed = replica_->raft().committed_configuration();
  // A newer configuration in the log may be the one that makes it a member.
  const bool in_force = replica_->raft().configuration().find(identity_.node) != nullptr;
  if (!was_member_ || in_force) return false;
  return was_removed_ || (!committed.members.empty() && committed.find(identity_.node) == nullptr);
}

// Entries of a founder's own are its configuration and the empty ones of its terms, never commands.
bool Node::may_be_adopted() const {
  if (identity_.cluster_id.empty()) return true;
  if (loading_) return false;
  const raft::Configuration& configuration = replica_->raft().configuration();
  const bool alone = configuration.members.size() == 1 && configuration.find(identity_.node) != nullptr;
  const bool replayed = replica_->raft().applied_index() >= replay_until_;
  return alone && replayed && !replica_->has_commands() && keyspace_.size() == 0;
}

void Node::refuse_writes_to_join() {
  LETO_ASSERT(may_be_adopted(), "a node with data or other members is to join another cluster");
  replica_->refuse_writes("CLUSTERDOWN joining " + options_.join.text());
}

const raft::Raft& Node::raft() const { return replica_->raft(); }
uint16_t Node::semantics_level() const { return replica_->semantics_level(); }
const keyspace::Keyspace& Node::keyspace() const { return keyspace_; }
raft::Configuration Node::members() const { return replica_->raft().configuration(); }

}  // namespace leto::server
