#include "server/connection.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "command/table.h"
#include "peer/frame.h"
#include "server/clients.h"

namespace leto::server {

namespace {

resp::ParserLimits parser_limits(const Options& options, bool unauthenticated) {
  resp::ParserLimits limits;
  limits.bulk_bytes_max = options.proto_max_bulk_len;
  limits.query_buffer_max = options.client_query_buffer_limit;
  limits.unauthenticated = unauthenticated;
  return limits;
}

bool is_write(const Request* request) {
  return request != nullptr && request->command != nullptr && (request->command->flags & command::kWrite) != 0;
}

}  // namespace

Connection::Connection(Clients& clients, std::unique_ptr<Stream> stream, SessionRef session)
    : clients_(clients),
      stream_(std::move(stream)),
      session_(std::move(session)),
      parser_(parser_limits(clients.options(), !session_->client.authenticated)),
      unauthenticated_(!session_->client.authenticated) {
  stream_->set_user(this);
}

Connection::~Connection() = default;

void Connection::start() { stream_->start_reading(); }

void Connection::on_bytes(std::string_view bytes) {
  clients_.node().stats().input_bytes += bytes.size();
  session_->client.last_active_ms = clients_.loop().now_ms();
  read_in_turn_ += bytes.size();
  clients_.note_read(bytes.size());
  if (!std::exchange(heard_, true) && peer::begins_frame(bytes)) {
    return protocol_error(base::format("ERR Protocol error: this is the clients' port of %s; its peers' port is %u",
                                       clients_.node().identity().id.c_str(), clients_.options().raftbind.port));
  }
  // CONFIG SET may have changed them.
  update_limits();
  parser_.feed(bytes);
  if (clients_.time_is_up()) return pause_for_this_turn();
  if (overloads()) return pause();
  run_requests();
}

size_t Connection::bytes_wanted() {
  if (read_turn_ != clients_.turn()) {
    read_turn_ = clients_.turn();
    read_in_turn_ = 0;
    clients_.note_reader();
  }
  const size_t share = clients_.read_share();
  return share - std::min(share, read_in_turn_);
}

// Not at once: a turn may find many that can take bytes again.
void Connection::on_written() { clients_.note_output(*this); }

void Connection::run_requests() {
  command::Client& client = session_->client;
  for (size_t executed = 0; !closed() && !ending_;) {
    if (client.close_after_reply) {
      ending_ = true;
      stream_->stop_reading();
      clients_.note_output(*this);
      break;
    }
    if (crowded(1) || session_->holds()) return pause();
    const resp::ParseOutcome outcome = parser_.next();
    if (outcome == resp::ParseOutcome::kError) return protocol_error(parser_.error());
    if (outcome == resp::ParseOutcome::kIncomplete) break;
    clients_.node().execute(session_, parser_.arguments());
    if (unauthenticated_ == client.authenticated) update_limits();
    if (++executed % kRequestsPerLook == 0 && clients_.time_is_up()) return pause_for_this_turn();
  }
  if (closed()) return;
  client.query_buffer_bytes = parser_.buffered_bytes();
  if (overloads()) pause();
}

void Connection::update_limits() {
  unauthenticated_ = !session_->client.authenticated;
  parser_.set_limits(parser_limits(clients_.options(), unauthenticated_));
}

void Connection::protocol_error(const std::string& text) {
  ++clients_.node().stats().protocol_errors;
  if (parser_.query_buffer_exceeded()) return close_because("it passed client-query-buffer-limit");
  LETO_LOG(kVerbose, "client %llu at %s: %s", static_cast<unsigned long long>(session_->client.id),
           session_->client.address.c_str(), text.c_str());
  // Behind the replies that are still to come.
  session_->client.close_after_reply = true;
  clients_.node().stats().note_error(text);
  session_->fail(session_->push({.state = RequestState::kDeferred}), text);
  ending_ = true;
  stream_->stop_reading();
  clients_.note_output(*this);
}

// A client that has closed its sending side still gets the answers to what it asked.
void Connection::on_end(int error) {
  if (error != UV_EOF || (session_->idle() && unsent_bytes() == 0)) return close();
  ending_ = true;
  stream_->set_user(this);
}

size_t Connection::unsent_bytes() const {
  return session_->output().size() + (stream_ == nullptr ? 0 : stream_->unsent_bytes());
}

bool Connection::crowded(size_t divisor) const {
  // With the replies that wait for one before them.
  const size_t reply_bytes = session_->reply_bytes() + stream_->unsent_bytes();
  const size_t argument_bytes_max = static_cast<size_t>(clients_.options().client_query_buffer_limit);
  return session_->outstanding() >= kOutstandingMax / divisor || reply_bytes >= kUnsentBytesMax / divisor ||
         session_->argument_bytes() >= argument_bytes_max / divisor;
}

// Who has written since the node was last seen not to be: also if all of it was answered, else a client that waits for each answer
// would never be held back.
bool Connection::overloads() {
  if (!clients_.node().overloaded()) {
    session_->forget_writing();
    return false;
  }
  return session_->wrote() || is_write(session_->front());
}

void Connection::pause() {
  if (paused_) return;
  paused_ = true;
  stream_->stop_reading();
  clients_.note_paused(*this);
}

void Connection::pause_for_this_turn() {
  only_this_turn_ = true;
  pause();
}

bool Connection::resume() {
  if (closed() || crowded(only_this_turn_ ? 1 : 2) || overloads() || session_->holds()) return false;
  paused_ = only_this_turn_ = false;
  if (ending_) return true;
  run_requests();
  if (!closed() && !paused_ && !ending_) stream_->start_reading();
  return true;
}

void Connection::flush() {
  flush_due_ = false;
  if (closed()) return;
  const size_t before = unsent_bytes();
  const int code = stream_->may_go_on() ? stream_->go_on() : stream_->write(session_->output());
  if (code != 0 && code != UV_EAGAIN) return close();
  const size_t unsent = unsent_bytes();
  clients_.node().stats().output_bytes += before - unsent;
  // The rest behind the others that wait.
  if (stream_->may_go_on() || (!stream_->write_in_flight() && unsent > 0)) clients_.note_output(*this);
  session_->client.output_buffer_bytes = unsent;
  if (session_->overflowed() || output_limit_passed(unsent)) return close_because("it passed client-output-buffer-limit");
  if (!session_->is_full_at(session_->front_sequence())) clients_.node().note_fetched(session_);
  if (ending_ && unsent == 0 && session_->idle()) close();
}

bool Connection::output_limit_passed(size_t unsent) {
  const OutputLimit& limit = clients_.options().client_output_buffer_limit.normal;
  if (limit.hard_bytes != 0 && unsent > limit.hard_bytes) return true;
  if (limit.soft_bytes == 0 || unsent <= limit.soft_bytes) {
    over_soft_since_ms_ = 0;
    return false;
  }
  const uint64_t now_ms = clients_.loop().now_ms();
  if (over_soft_since_ms_ == 0) over_soft_since_ms_ = now_ms;
  return now_ms - over_soft_since_ms_ > limit.soft_seconds * 1000;
}

void Connection::on_second() {
  if (closed()) return;
  if (output_limit_passed(unsent_bytes())) return close_because("it passed client-output-buffer-limit");
  const uint64_t timeout_ms = clients_.options().timeout_seconds * 1000;
  if (timeout_ms == 0 || paused_ || !session_->idle()) return;
  // The node notes activity by a finer clock, which may be ahead.
  if (clients_.loop().now_ms() > session_->client.last_active_ms + timeout_ms) close_because("it was idle");
}

void Connection::close_because(const char* reason) {
  LETO_LOG(kVerbose, "client %llu at %s is closed: %s", static_cast<unsigned long long>(session_->client.id),
           session_->client.address.c_str(), reason);
  close();
}

void Connection::close() {
  if (closed()) return;
  stream_.reset();
  clients_.note_closed(*this);
}

}  // namespace leto::server
