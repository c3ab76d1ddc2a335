#include "server/clients.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"

namespace leto::server {

namespace {

// Of thread time, or a little less where the machine is busy, that one turn of the loop has for carrying out
// requests, and for sending replies.
constexpr uint64_t kRequestsUsMax = 700;
constexpr uint64_t kFlushUsMax = 1000;
constexpr const char* kTooMany = "-ERR max number of clients reached\r\n";
constexpr const char* kDenied =
    "-DENIED Leto is running in protected mode because no password is set: only clients that connect to a loopback "
    "address of this machine (127.0.0.1 or ::1), or to its Unix socket, are served. To serve others, set requirepass (in "
    "leto.conf, by -requirepass, or by CONFIG SET requirepass over loopback), or turn the protection off by "
    "`protected-mode no` if nobody else can reach this port.\r\n";

// To a connection that is closed at once: it gets what the socket takes.
void send_once(const Stream& stream, const char* text) {
  [[maybe_unused]] const ssize_t sent =
      ::send(stream.file_descriptor(), text, std::strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

Clients::Clients(Loop& loop, Clock& clock, const Options& options) : loop_(loop), clock_(clock), options_(options) {}

Clients::~Clients() = default;

void Clients::set_node(Node* node) {
  LETO_ASSERT(connections_.empty(), "clients of the node before");
  node_ = node;
}

const char* Clients::refusal(const Stream& stream) const {
  if (connections_.size() >= options_.maxclients) return kTooMany;
  const bool guarded = options_.protected_mode && options_.requirepass.empty();
  if (guarded && !stream.remote_is_loopback()) return kDenied;
  return nullptr;
}

void Clients::accept(uv_stream_t* listener, StreamKind kind) {
  auto stream = std::make_unique<Stream>(loop_, kind);
  if (const int code = stream->accept_from(listener); code != 0) {
    LETO_LOG(kWarning, "a client could not be accepted: %s", uv_strerror(code));
    return;
  }
  if (node_ == nullptr) return;
  if (const char* text = refusal(*stream); text != nullptr) {
    send_once(*stream, text);
    ++node_->stats().rejected_connections;
    return;
  }
  stream->set_no_delay();
  stream->set_keepalive(options_.tcp_keepalive_seconds);
  SessionRef session = node_->open_session();
  command::Client& client = session->client;
  client.address = stream->remote_address();
  client.on_unix_socket = kind == StreamKind::kUnix;
  client.local_address = stream->local_address();
  client.file_descriptor = stream->file_descriptor();
  client.created_ms = client.last_active_ms = loop_.now_ms();
  const uint64_t id = client.id;
  auto connection = std::make_unique<Connection>(*this, std::move(stream), std::move(session));
  Connection& started = *connection;
  connections_.emplace(id, std::move(connection));
  started.start();
}

void Clients::on_turn_end() {
  if (node_ == nullptr) return;
  for (const SessionRef& session : node_->take_sessions_with_output()) {
    const auto found = connections_.find(session->client.id);
    if (found != connections_.end()) note_output(*found->second);
  }
  flush_dirty();
  // Those that waited are the first of the next turn.
  ++turn_;
  read_in_turn_ = 0;
  readers_before_ = std::exchange(readers_, 0);
  if (!paused_.empty()) resume_paused();
  forget_closed();
}

void Clients::note_output(Connection& connection) {
  if (connection.flush_becomes_due()) dirty_.push_back(&connection);
}

bool Clients::time_is_up() {
  const uint64_t now_us = clock_.monotonic_us();
  if (timed_turn_ != turn_) began_us_ = now_us;
  timed_turn_ = turn_;
  return now_us - began_us_ >= kRequestsUsMax;
}

// The kernel tells of them in an order of its own, which is ever the same while all have more: so none may take the
// share of those behind it.
size_t Clients::read_share() const {
  if (read_in_turn_ >= kReadBytesPerTurn) return kReadBytesMin;
  const size_t sharers = std::max({readers_, readers_before_, size_t{1}});
  return std::clamp(kReadBytesPerTurn / sharers, kReadBytesMin, kReadBytesMax);
}

void Clients::flush_dirty() {
  const uint64_t began_us = clock_.monotonic_us();
  size_t flushed = 0;
  while (flushed < dirty_.size()) {
    dirty_[flushed++]->flush();
    if (clock_.monotonic_us() - began_us >= kFlushUsMax) break;
  }
  dirty_.erase(dirty_.begin(), dirty_.begin() + static_cast<std::ptrdiff_t>(flushed));
  if (!dirty_.empty()) loop_.wake();
}

void Clients::forget_closed() {
  if (closed_.empty()) return;
  const auto closed = [](const Connection* connection) { return connection->closed(); };
  std::erase_if(dirty_, closed);
  std::erase_if(paused_, closed);
  closed_.clear();
}

void Clients::resume_paused() {
  bool executed = false;
  std::vector<Connection*> waiting;
  for (Connection* connection : std::exchange(paused_, {})) {
    if (connection->closed()) continue;
    if ((executed && time_is_up()) || !connection->resume()) {
      waiting.push_back(connection);
    } else {
      executed = true;
    }
  }
  // Those that were paused again come behind those that did not come to it.
  waiting.insert(waiting.end(), paused_.begin(), paused_.end());
  paused_ = std::move(waiting);
  // What was executed wants a turn before the loop sleeps.
  if (executed) loop_.wake();
}

void Clients::on_second() {
  // Closing takes a connection out of the map: so not while walking over it.
  std::vector<Connection*> all;
  all.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) all.push_back(connection.get());
  for (Connection* connection : all) connection->on_second();
}

void Clients::note_closed(Connection& connection) {
  const auto found = connections_.find(connection.session()->client.id);
  LETO_ASSERT(found != connections_.end(), "a connection is closed once");
  closed_.push_back(std::move(found->second));
  connections_.erase(found);
  node_->close_session(closed_.back()->session());
  loop_.wake();
}

void Clients::close_all() {
  while (!connections_.empty()) connections_.begin()->second->close();
  dirty_.clear();
  paused_.clear();
  closed_.clear();
}

bool Clients::all_sent() const {
  if (!dirty_.empty()) return false;
  for (const auto& [id, connection] : connections_) {
    if (connection->session()->client.output_buffer_bytes != 0) return false;
  }
  return true;
}

}  // namespace leto::server
