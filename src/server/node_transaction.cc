// Node: what clients queue between MULTI and EXEC, and what becomes of it. The state is the client's: who leads, now
// or later, knows nothing of it before EXEC, which is then one command like any other.
#include <utility>

#include "base/format.h"
#include "server/forwarder.h"
#include "server/node.h"
#include "server/replica.h"
#include "server/timed_run.h"

namespace leto::server {
namespace {

constexpr std::string_view kAborted = "EXECABORT Transaction discarded because of previous errors.";

// In Redis's words; what says who could do it, or that nobody can just now, stays as it is.
std::string exec_error(const std::string& error) {
  for (const char* word : {"CLUSTERDOWN", "MOVED", "not leader", "EXECABORT"}) {
    if (error.starts_with(word)) return error;
  }
  constexpr std::string_view kUsual = "ERR ";
  return "EXECABORT Transaction discarded because of: " + error.substr(error.starts_with(kUsual) ? kUsual.size() : 0);
}

}  // namespace

// The gates did not let it pass: nothing of it has happened.
void Node::refuse(const SessionRef& session, const command::Command* command, resp::Arguments arguments, std::string error) {
  command::Transaction& transaction = session->client.transaction;
  if (command != nullptr && command->name == "exec") {
    transaction = {};
    error = exec_error(error);
  } else if (transaction.open) {
    transaction.refuse();
  } else if (command != nullptr && (command->flags & command::kWatch) != 0 && !unavailable().empty()) {
    // EXEC must not succeed without what was to be watched.
    ++transaction.unconfirmed;
  }
  stats_.note_error(error);
  // As redis-server: an unknown subcommand is no command that was rejected.
  const bool is_known = command != nullptr && (!command::is_container(*command) || arguments.size() < 2 ||
                                               command::full_name(*command, arguments) != command->name);
  if (is_known) ++stats_.of(*command, arguments).rejected;
  session->fail(session->push({.state = RequestState::kDeferred}), error);
  note_output(session);
}

std::string Node::queue_refusal(Session& session, const command::Command& command, resp::Arguments arguments) const {
  const command::Transaction& transaction = session.client.transaction;
  if ((command.flags & command::kWrite) != 0) {
    if (std::string error = refusal_here(session, command, arguments); !error.empty()) return error;
  }
  if (transaction.refused || transaction.watched.touched()) return {};   // Nothing of it will be kept.
  if (transaction.queue.size() >= command::Transaction::kCommandsMax) {
    return base::format("ERR the transaction has more than %zu commands; nothing of it happened", command::Transaction::kCommandsMax);
  }
  const size_t size = transaction.entry_bytes() + command::Transaction::bytes_of(arguments);
  const char* const limit = size > options_.max_entry_bytes              ? "max-entry-bytes"
                            : size > options_.client_query_buffer_limit ? "client-query-buffer-limit"
                                                                         : nullptr;
  if (limit == nullptr) return {};
  return base::format("ERR the transaction has %zu bytes, more than %s; nothing of it happened", size, limit);
}

void Node::queue(const SessionRef& session, const command::Command& command, resp::Arguments arguments) {
  std::string error = queue_refusal(*session, command, arguments);
  if (!error.empty()) return refuse(session, &command, arguments, std::move(error));
  command::Transaction& transaction = session->client.transaction;
  if (!transaction.refused && !transaction.watched.touched()) {
    transaction.add(command, arguments);
    transaction.database = database_behind(*session, command, arguments);
  }
  const Session::Sequence sequence = session->push({.state = RequestState::kDeferred});
  resp::Reply(session->reply_buffer(sequence), session->client.protocol).status("QUEUED");
  session->answered(sequence);
  note_output(session);
}

// Which database is selected once `command` has run: what SELECT does depends on nothing that may change meanwhile.
uint32_t Node::database_behind(Session& session, const command::Command& command, resp::Arguments arguments) {
  const uint32_t before = session.client.transaction.database;
  if (command.name != "select") return before;
  command::Client trial;
  trial.database = before;
  std::string ignored;
  resp::Reply reply(ignored, session.client.protocol);
  command::Context context = local_context(session, arguments, reply);
  context.client = &trial;
  command.handler(context);
  return trial.database;
}

void Node::watch(const SessionRef& session, const command::Command& command, resp::Arguments arguments) {
  command::Transaction& transaction = session->client.transaction;
  if (transaction.open) return run_local(session, command, arguments);
  ++transaction.unconfirmed;
  size_t size = transaction.entry_bytes();
  for (const std::string_view key : arguments.subspan(1)) size += command::WatchedKeys::bytes_of(key);
  if (size > options_.max_entry_bytes) {
    const std::string error = base::format("ERR the watched keys have %zu bytes, more than max-entry-bytes", size);
    stats_.note_error(error);
    return session->fail(session->push({.state = RequestState::kDeferred}), error);
  }
  const Session::Sequence sequence = session->front_sequence() + session->outstanding();
  replica_->read(session, command, arguments);
  if (session->find(sequence) != nullptr) session->hold_until(sequence);
}

std::string Node::exec_reply(const command::Transaction& transaction, int protocol) const {
  std::string text;
  resp::Reply reply(text, protocol);
  if (transaction.refused || transaction.unconfirmed > 0) {
    reply.error(kAborted);
  } else if (transaction.watched.touched()) {
    reply.nil_array();
  } else if (const std::string error = unavailable(); !error.empty()) {
    bool keyed = !transaction.watched.empty();
    for (const command::QueuedCommand& queued : transaction.queue) {
      keyed = keyed || (queued.command->flags & (command::kWrite | command::kReadOnly)) != 0;
    }
    if (keyed) reply.error(exec_error(error));
  }
  return text;
}

void Node::exec(const SessionRef& session) {
  command::Client& client = session->client;
  if (!client.transaction.open) {
    stats_.note_failure(*command::find_command("exec"), {}, "ERR");
    return session->fail(session->push({.state = RequestState::kDeferred}), "ERR EXEC without MULTI");
  }
  command::Transaction transaction = std::exchange(client.transaction, {});
  const std::string reply = exec_reply(transaction, client.protocol);
  if (reply.empty()) return run_transaction(session, std::move(transaction));
  if (reply.starts_with('-')) stats_.note_failure(*command::find_command("exec"), {}, reply.substr(1));
  const Session::Sequence sequence = session->push({.state = RequestState::kDeferred});
  session->reply_buffer(sequence).append(reply);
  session->answered(sequence);
}

void Node::run_transaction(const SessionRef& session, command::Transaction transaction) {
  bool writes = false;
  const std::shared_ptr<command::LocalCommands> locals = local_commands(*session, transaction);
  // Those that are run here count then.
  for (const command::QueuedCommand& queued : transaction.queue) {
    stats_.note_call(*queued.command, {});
    writes = writes || (queued.command->flags & command::kWrite) != 0;
  }
  const std::string conditions = transaction.watched.conditions();
  const std::vector<std::string_view> arguments = command::exec_arguments(transaction, conditions);
  const command::Command& row = writes ? command::exec_of_writes() : command::exec_of_reads();
  const Session::Sequence sequence = session->front_sequence() + session->outstanding();
  if (transaction.queue.empty() && transaction.watched.empty()) {
    session->push({.state = RequestState::kDeferred});
    resp::Reply reply(session->reply_buffer(sequence), session->client.protocol);
    command::Context context = local_context(*session, arguments, reply);
    context.locals = locals.get();
    run_timed(row, context, stats_, environment_.clock);
    return session->answered(sequence);
  }
  const std::string error = writes ? refusal_here(*session, row, arguments) : "";
  if (!error.empty()) return refuse(session, &row, arguments, error);
  if (is_forwarded(*session, row)) {
    forwarder_->add(session, row, arguments, locals);
  } else if (writes) {
    replica_->write(session, row, arguments, locals);
  } else {
    replica_->read(session, row, arguments, locals);
  }
  if (locals != nullptr && session->find(sequence) != nullptr) session->hold_until(sequence);
}

// They run while the session has the request, so it outlives them.
std::shared_ptr<command::LocalCommands> Node::local_commands(Session& session, command::Transaction& transaction) {
  const size_t count = transaction.queue.size();
  std::shared_ptr<command::LocalCommands> locals = command::take_local_commands(transaction);
  if (locals == nullptr) return locals;
  locals->run = [this, &session, count](const command::Command& command, resp::Arguments arguments, resp::Reply& reply) {
    command::Context context = local_context(session, arguments, reply);
    session.client.transaction.running = count;
    command.handler(context);
    session.client.transaction.running = 0;
    stats_.note_call(command, arguments);
    if (reply.wrote_error()) stats_.note_failure(command, arguments, reply.error_code());
  };
  return locals;
}

// A follower's: whether it can be an EXEC was looked at.
void Node::execute_for_peer(const SessionRef& session, resp::Arguments arguments) {
  const command::Command& command = *command::find_command(arguments.front());
  if ((command.flags & command::kExec) == 0) return execute(session, arguments);
  stats_.note_call(command, arguments);
  std::string error = unavailable();
  if (error.empty()) error = replica_->refusal_for(command::exec_of_writes(), arguments);
  if (!error.empty()) return refuse(session, &command, arguments, error);
  replica_->write(session, command::exec_of_writes(), arguments);
  note_output(session);
}

}  // namespace leto::server
