#include "server/forwarder.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "peer/limits.h"
#include "server/turn_share.h"

namespace leto::server {

static_assert(command::Transaction::kCommandsMax + 2 <= peer::kForwardArgumentsMax, "every EXEC can be forwarded");

namespace {

// Requests of one frame, unless a single one is larger.
constexpr size_t kFrameBytes = peer::kPartBytes / 2;
constexpr uint64_t kReopenUs = 20000;
// The receiver forgets a stream that was not used for long; this is shorter.
constexpr uint64_t kStreamIdleUs = 10000000;
// Client ids of this node's own commands: none of a client's, and none of a forwarded one's.
constexpr uint64_t kFirstOwnClient = 1ULL << 63;

bool holds_up(const Request& request) {
  return is_unserved_read(request) || request.state == RequestState::kPending || request.state == RequestState::kWaitsLeader;
}

}  // namespace

struct Forwarder::Batch {
  std::vector<peer::ForwardedRequest> requests;
  std::vector<Item> sent;
  size_t bytes = 0;
};

Forwarder::Forwarder(Replica& replica, const ReplicaParts& parts, Self self, RunHere run_here)
    : replica_(replica),
      options_(parts.options),
      environment_(parts.environment),
      stats_(parts.stats),
      self_(self),
      run_here_(std::move(run_here)),
      next_own_client_(kFirstOwnClient) {}

// --- What comes in ---------------------------------------------------------------------------------------

void Forwarder::add(const SessionRef& session, const command::Command& command, resp::Arguments arguments,
                    Replica::Locals locals) {
  const bool writes = (command.flags & command::kWrite) != 0;
  Request request{.state = writes ? RequestState::kForwarded : RequestState::kDeferred,
                  .database = session->client.database,
                  .command = &command,
                  .arrived_us = environment_.clock.monotonic_us(),
                  .arguments = OwnedArguments(arguments),
                  .locals = std::move(locals)};
  const size_t size = command::EntryBuilder::encoded_size(arguments);
  Item item{.client = session->client.id, .bytes = request.arguments.bytes(), .arrived_us = request.arrived_us};
  item.sequence = session->push(std::move(request));
  if (size > options_.max_entry_bytes) {
    return fail(session, item.sequence, base::format("ERR the command has %zu bytes, more than max-entry-bytes", size));
  }
  add_to_line(session, item);
}

void Forwarder::take_over(const SessionRef& session, Session::Sequence sequence) {
  Request& request = *session->find(sequence);
  LETO_ASSERT(!request.proposed && request.state != RequestState::kAnswered,
              base::format("request %llu of client %llu was begun", static_cast<unsigned long long>(sequence),
                           static_cast<unsigned long long>(session->client.id)));
  if (request.state != RequestState::kDeferred) request.state = RequestState::kForwarded;
  add_to_line(session, {.client = session->client.id,
                        .sequence = sequence,
                        .bytes = request.arguments.bytes(),
                        .arrived_us = request.arrived_us});
}

void Forwarder::add_to_line(const SessionRef& session, const Item& item) {
  Line& line = lines_[item.client];
  line.session = session;
  bytes_ += item.bytes;
  enqueue(line, item);
}

// At its place: what came later may be here before it.
void Forwarder::enqueue(Line& line, const Item& item) {
  const auto later = [](const Item& a, const Item& b) { return a.sequence < b.sequence; };
  line.waiting.insert(std::upper_bound(line.waiting.begin(), line.waiting.end(), item, later), item);
  list(item.client, line);
}

void Forwarder::command(const std::vector<std::string>& arguments, Done done) {
  const command::Command* command = command::find_command(arguments.front());
  LETO_ASSERT(command != nullptr, arguments.front());
  auto session = std::make_shared<Session>();
  session->client.id = next_own_client_++;
  session->on_output = [this] { environment_.waker.wake(); };
  own_commands_[session->client.id] = {.session = session, .done = std::move(done)};
  add(session, *command, std::vector<std::string_view>(arguments.begin(), arguments.end()));
  environment_.waker.wake();
}

void Forwarder::finish_own_commands() {
  for (auto at = own_commands_.begin(); at != own_commands_.end();) {
    if (!at->second.session->idle()) {
      ++at;
      continue;
    }
    const std::string reply = std::exchange(at->second.session->output(), {});
    const Done done = std::move(at->second.done);
    at = own_commands_.erase(at);
    const size_t end = reply.find("\r\n");
    done(reply.starts_with('-') ? reply.substr(1, end - 1) : "");
  }
}

void Forwarder::list(uint64_t client, Line& line) {
  if (line.listed || line.waiting.empty()) return;
  line.listed = true;
  ready_.push_back(client);
}

void Forwarder::forget_if_done(uint64_t client) {
  const auto found = lines_.find(client);
  if (found == lines_.end()) return;
  const Line& line = found->second;
  if (line.waiting.empty() && line.under_way == 0 && !line.listed) lines_.erase(found);
}

// Null if the client is gone, or was answered otherwise.
Request* Forwarder::open_request(const Line& line, Session::Sequence sequence) const {
  if (line.session->closed()) return nullptr;
  Request* request = line.session->find(sequence);
  return request == nullptr || request->state == RequestState::kAnswered ? nullptr : request;
}

// It waits no more, and is not sent either.
Forwarder::Item Forwarder::take_waiting(Line& line) {
  const Item item = line.waiting.front();
  line.waiting.pop_front();
  bytes_ -= item.bytes;
  return item;
}

// --- What goes out ---------------------------------------------------------------------------------------

void Forwarder::advance() {
  const uint64_t now_us = environment_.clock.monotonic_us();
  const bool knows = follow_leader(now_us);
  give_up_overdue_streams(now_us);
  if (!cut_off_.empty()) {
    end_waiting([this](const SessionRef& session, Session::Sequence sequence) { fail(session, sequence, cut_off_); });
  } else if (replica_.raft().role() == raft::Role::kLeader) {
    // What the replica still has of a connection may come before what is here of it. Reads before a write need not have been
    // served here: it is applied in this node's own order.
    if (!replica_.writes_wait() && end_waiting(run_here_)) environment_.waker.wake();
  } else if (knows && !ready_.empty()) {
    send_waiting();
  }
  if (!own_commands_.empty()) finish_own_commands();
}

void Forwarder::cut_off(const std::string& why) {
  if (why == cut_off_) return;
  cut_off_ = why;
  environment_.waker.wake();
}

// Ends the current stream if who it goes to leads no more. False if nobody can be sent to now.
bool Forwarder::follow_leader(uint64_t now_us) {
  const raft::Raft& raft = replica_.raft();
  if (current_ != 0) {
    const Stream& stream = streams_.at(current_);
    const bool leads = stream.leader == raft.leader() && stream.term == raft.term();
    // One that is still alive answers, at the latest, when it hears that it leads no more.
    if (!leads) retire_current(now_us, options_.election_timeout_ms * 1000);
    if (leads && stream.sent.empty() && now_us - stream.used_at_us > kStreamIdleUs) retire_current(now_us, 1);
  }
  const bool other_leads = raft.leader() != raft::kNobody && raft.role() != raft::Role::kLeader;
  if (current_ != 0 || !other_leads) return other_leads;
  if (now_us < reopen_at_us_ || ready_.empty()) {
    if (!ready_.empty()) environment_.waker.wake_after_us(reopen_at_us_ - now_us);
    return false;
  }
  current_ = next_stream_++;
  streams_[current_] = {.leader = raft.leader(), .term = raft.term(), .sent = {}, .used_at_us = now_us};
  return true;
}

void Forwarder::retire_current(uint64_t now_us, uint64_t grace_us) {
  if (current_ == 0) return;
  streams_.at(current_).ends_at_us = now_us + grace_us;
  drop_settled(std::exchange(current_, 0));
}

// Who refused, or was not reached, is not asked again at once, unless another one leads by then.
void Forwarder::pause() {
  const uint64_t now_us = environment_.clock.monotonic_us();
  reopen_at_us_ = now_us + kReopenUs;
  environment_.waker.wake_after_us(kReopenUs);
  retire_current(now_us, options_.request_timeout_ms * 1000);
}

void Forwarder::give_up_overdue_streams(uint64_t now_us) {
  for (auto at = streams_.begin(); at != streams_.end();) {
    const auto stream = at++;
    if (stream->second.ends_at_us == 0 || now_us < stream->second.ends_at_us) continue;
    give_up(stream->second, "UNKNOWN outcome: the node that was asked leads no more, and did not answer");
    drop_settled(stream->first);
  }
}

// One request more may be under way than there was room for.
void Forwarder::check_bounds() const {
  const bool within = under_way_ <= kUnderWayMax && under_way_bytes_ <= kUnderWayBytesMax + peer::kPartedBodyBytesMax;
  LETO_ASSERT(within, base::format("I15: %zu requests under way, %zu bytes", under_way_, under_way_bytes_));
}

// The front of the line may be sent: what has to be before it is.
bool Forwarder::may_go(const Line& line) const {
  if (line.under_way > 0 && line.stream != current_) return false;
  Session& session = *line.session;
  for (Session::Sequence at = std::max(line.sent_up_to + 1, session.front_sequence()); at < line.waiting.front().sequence; ++at) {
    const Request* request = session.find(at);
    if (request != nullptr && holds_up(*request)) return false;
  }
  return true;
}

// What waits ends here, a turn's share of it, and behind what is under way only. False if there was nothing of it.
bool Forwarder::end_waiting(const RunHere& how) {
  bool ended = false;
  TurnShare share;
  for (size_t left = ready_.size(); left > 0 && !share.used_up(); --left) {
    const uint64_t client = ready_.front();
    ready_.pop_front();
    Line& line = lines_.at(client);
    line.listed = false;
    while (!line.waiting.empty() && line.under_way == 0 && !share.used_up()) {
      const Item item = take_waiting(line);
      share.take(item.bytes);
      if (open_request(line, item.sequence) == nullptr) continue;
      how(line.session, item.sequence);
      ended = true;
    }
    list(client, line);
    forget_if_done(client);
  }
  if (share.used_up()) environment_.waker.wake();
  return ended;
}

bool Forwarder::window_open() const {
  return under_way_ < kUnderWayMax && (under_way_ == 0 || under_way_bytes_ < kUnderWayBytesMax);
}

// One frame for all of a turn, or several if they are many. Who was not reached is the first the next time.
void Forwarder::send_waiting() {
  Batch batch;
  for (size_t left = ready_.size(); left > 0 && window_open(); --left) {
    const uint64_t client = ready_.front();
    ready_.pop_front();
    Line& line = lines_.at(client);
    line.listed = false;
    fill(batch, line);
    list(client, line);
    forget_if_done(client);
    const bool full = batch.bytes >= kFrameBytes || batch.requests.size() >= peer::kForwardRequestsMax / 2;
    if (full && !post(batch)) return;
  }
  post(batch);
}

void Forwarder::fill(Batch& batch, Line& line) {
  while (!line.waiting.empty()) {
    const Item item = line.waiting.front();
    const Request* request = open_request(line, item.sequence);
    if (request == nullptr) {
      take_waiting(line);
      continue;
    }
    if (!may_go(line)) return;
    if (batch.bytes >= kFrameBytes || !window_open()) return environment_.waker.wake();
    peer::ForwardedRequest forwarded{.resp3 = request->protocol == 3, .commands = {}};
    const std::vector<std::string_view> views = request->arguments.views();
    forwarded.commands.push_back(
        {.database = request->database, .arguments = std::vector<std::string>(views.begin(), views.end())});
    const size_t size = peer::encoded_size(forwarded);
    // A large one travels alone.
    batch.bytes += size;
    if (size > kFrameBytes && !batch.requests.empty()) return environment_.waker.wake();
    batch.requests.push_back(std::move(forwarded));
    batch.sent.push_back(item);
    line.waiting.pop_front();
    line.sent_up_to = std::max(line.sent_up_to, item.sequence);
    line.stream = current_;
    ++line.under_way;
    ++under_way_;
    under_way_bytes_ += item.bytes;
  }
}

// False if nothing of it left; then nothing goes for a moment.
bool Forwarder::post(Batch& batch) {
  if (batch.requests.empty()) return true;
  Stream& stream = streams_.at(current_);
  const size_t count = batch.requests.size();
  const peer::Forward forward{.from = self_.node,
                              .to = stream.leader,
                              .term = stream.term,
                              .life = self_.life,
                              .stream = current_,
                              .first = stream.next(),
                              .requests = std::move(batch.requests)};
  if (!environment_.network.send_forward(forward)) {
    put_back(batch);
    return false;
  }
  stream.used_at_us = environment_.clock.monotonic_us();
  stream.sent.insert(stream.sent.end(), batch.sent.begin(), batch.sent.end());
  stats_.forward_requests += count;
  batch = {};
  return true;
}

void Forwarder::put_back(Batch& batch) {
  for (auto sent = batch.sent.rbegin(); sent != batch.sent.rend(); ++sent) {
    Line& line = lines_.at(sent->client);
    --line.under_way;
    --under_way_;
    under_way_bytes_ -= sent->bytes;
    line.waiting.push_front(*sent);
    list(sent->client, line);
  }
  batch = {};
  pause();
}

}  // namespace leto::server
