#include "server/forwarded.h"

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "server/turn_share.h"

namespace leto::server {
namespace {

// Client ids of forwarded sessions: none of a client's of this node.
constexpr uint64_t kFirstClient = 1ULL << 62;
constexpr size_t kSpareMax = 1024;
constexpr size_t kReplyFrameBytes = peer::kPartBytes / 2;
// What one reply may have: the rest of a frame is its own fields.
constexpr size_t kReplyBytesMax = peer::kPartedBodyBytesMax - 1024;

unsigned long long wide(uint64_t number) { return number; }

// The errors that say that nothing happened and that another node, or this one later, can do it.
bool is_refusal(std::string_view reply) {
  return reply.starts_with("-not leader\r\n") || reply.starts_with("-CLUSTERDOWN ") || reply.starts_with("-MOVED ");
}

size_t bytes_of(const peer::Forward& forward) {
  size_t bytes = 0;
  for (const peer::ForwardedRequest& request : forward.requests) bytes += peer::encoded_size(request);
  return bytes;
}

void log_dropped(const peer::Forward& forward, const char* why) {
  LETO_LOG(kDebug, "requests %llu to %llu of stream %llu of node %016llx were dropped: %s", wide(forward.first),
           wide(forward.first + forward.requests.size() - 1), wide(forward.stream), wide(forward.from), why);
}

}  // namespace

Forwarded::Forwarded(Replica& replica, const ReplicaParts& parts, raft::NodeId self, Execute execute)
    : replica_(replica),
      options_(parts.options),
      environment_(parts.environment),
      stats_(parts.stats),
      self_(self),
      execute_(std::move(execute)),
      next_client_(kFirstClient) {}

bool Forwarded::leads_in(raft::Term term) const {
  return replica_.raft().role() == raft::Role::kLeader && replica_.raft().term() == term;
}

bool Forwarded::is_full(const Inbox& inbox) const {
  return inbox.running + inbox.held.size() > kCountMax || inbox.running_bytes + inbox.held_bytes > kBytesMax;
}

// --- What comes in ---------------------------------------------------------------------------------------

void Forwarded::on_forward(peer::Forward forward) {
  const Process process{forward.from, forward.life};
  const bool too_many = inboxes_.size() >= kProcessesMax && !inboxes_.contains(process);
  if (too_many) return log_dropped(forward, "too many processes are known");
  Inbox& inbox = inboxes_[process];
  inbox.used_at_us = environment_.clock.monotonic_us();
  if (forward.stream < inbox.stream) return log_dropped(forward, "a later stream took its place");
  if (forward.stream > inbox.stream) {
    const Inbox before = std::move(inbox);
    inbox = {.stream = forward.stream, .held = {}, .running = before.running,
             .running_bytes = before.running_bytes, .used_at_us = before.used_at_us};
  }
  // Doubled by the network. Whether it was taken was said when it came first.
  if (forward.first + forward.requests.size() <= inbox.next && !inbox.closed) return log_dropped(forward, "they came twice");
  inbox.began = inbox.began || forward.first == 1;
  if (inbox.closed || !leads_in(forward.term) || is_full(inbox)) return close(inbox, forward);
  if (forward.first > inbox.next) return hold(inbox, std::move(forward));
  take(inbox, forward);
  take_held(inbox);
}

void Forwarded::hold(Inbox& inbox, peer::Forward forward) {
  if (inbox.held.empty()) inbox.held_since_us = environment_.clock.monotonic_us();
  const size_t bytes = bytes_of(forward);
  const uint64_t first = forward.first;
  if (inbox.held.try_emplace(first, std::move(forward)).second) inbox.held_bytes += bytes;
}

void Forwarded::take_held(Inbox& inbox) {
  while (!inbox.held.empty() && inbox.held.begin()->first <= inbox.next) {
    const peer::Forward forward = std::move(inbox.held.begin()->second);
    inbox.held.erase(inbox.held.begin());
    inbox.held_bytes -= bytes_of(forward);
    inbox.held_since_us = environment_.clock.monotonic_us();
    if (forward.first == inbox.next) take(inbox, forward);
  }
}

// From the first number that was not taken on nothing of the stream ever is: so it may be sent again elsewhere.
void Forwarded::close(Inbox& inbox, const peer::Forward& because) {
  // What came before may have been taken by an earlier process of this node, if number 1 was never seen here.
  const bool doubled = because.first < inbox.next;
  uint64_t from = inbox.began || doubled ? inbox.next : because.first;
  if (!inbox.began && !inbox.held.empty()) from = std::min(from, inbox.held.begin()->first);
  if (!inbox.began) inbox.next = from;
  inbox.began = true;
  inbox.closed = true;
  inbox.held.clear();
  inbox.held_bytes = 0;
  LETO_LOG(kDebug, "stream %llu of node %016llx is refused from request %llu on", wide(because.stream),
           wide(because.from), wide(from));
  outgoing({because.from, because.life}, because.stream, because.term).reply.closed_from = from;
  environment_.waker.wake();
}

void Forwarded::take(Inbox& inbox, const peer::Forward& forward) {
  LETO_ASSERT(!inbox.closed && forward.stream == inbox.stream && forward.first <= inbox.next,
              base::format("request %llu of stream %llu taken where %llu of %llu follows", wide(forward.first),
                           wide(forward.stream), wide(inbox.next), wide(inbox.stream)));
  const uint64_t end = forward.first + forward.requests.size();
  while (inbox.next < end) {
    const uint64_t number = inbox.next++;
    run(inbox, forward, number);
  }
}

SessionRef Forwarded::session_for(raft::NodeId from, const peer::ForwardedRequest& request) {
  SessionRef session;
  if (spare_.empty()) {
    session = std::make_shared<Session>();
    session->client.id = next_client_++;
    session->for_peer = true;
    session->on_output = [this, id = session->client.id] { note_answer(id); };
  } else {
    session = std::move(spare_.back());
    spare_.pop_back();
  }
  session->client.protocol = request.resp3 ? 3 : 2;
  session->client.database = request.commands.front().database;
  session->client.forwarding_host = environment_.network.machine_of(from);
  return session;
}

void Forwarded::run(Inbox& inbox, const peer::Forward& forward, uint64_t number) {
  const peer::ForwardedRequest& request = forward.requests[number - forward.first];
  const peer::ForwardedCommand& command = request.commands.front();
  const SessionRef session = session_for(forward.from, request);
  const size_t bytes = peer::encoded_size(request);
  const uint64_t client = session->client.id;
  running_[client] = {.process = {forward.from, forward.life}, .term = forward.term, .stream = forward.stream,
                      .number = number, .bytes = bytes, .session = session};
  ++inbox.running;
  inbox.running_bytes += bytes;
  ++stats_.forward_served;
  const command::Command* known = command::find_command(command.arguments.front());
  constexpr uint32_t kForwardable = command::kWrite | command::kLeaderOnly;
  std::string refusal;
  const bool is_exec = known != nullptr && (known->flags & command::kExec) != 0;
  const std::vector<std::string_view> arguments(command.arguments.begin(), command.arguments.end());
  if (known == nullptr || (!is_exec && (known->flags & kForwardable) == 0)) refusal = "ERR this command cannot be forwarded";
  if (is_exec) refusal = command::check_exec(arguments, static_cast<uint32_t>(options_.databases));
  if (command.database >= options_.databases) refusal = "ERR DB index is out of range";
  if (request.commands.size() > 1) refusal = "ERR several commands at once cannot be forwarded";
  const bool waits = refusal.empty() && (is_held_ || !waiting_.empty()) && (is_exec || (known->flags & command::kWrite) != 0);
  if (waits) return waiting_.push_back({.client = client, .arguments = command.arguments});
  if (refusal.empty()) return execute_(session, arguments);
  session->fail(session->push({.state = RequestState::kDeferred}), refusal);
  note_answer(client);
}

void Forwarded::hold(bool held) {
  is_held_ = held;
  if (!held && !waiting_.empty()) environment_.waker.wake();
}

// A turn's share of it. Who leads no more has done nothing of it: it may be sent elsewhere.
void Forwarded::run_waiting() {
  if (is_held_ || waiting_.empty()) return;
  environment_.waker.wake();
  for (TurnShare share; !waiting_.empty() && !share.used_up();) {
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    const auto found = running_.find(next.client);
    LETO_ASSERT(found != running_.end(), base::format("client %llu waits and is gone", wide(next.client)));
    const SessionRef session = found->second.session;
    share.take(found->second.bytes);
    if (leads_in(found->second.term)) {
      execute_(session, std::vector<std::string_view>(next.arguments.begin(), next.arguments.end()));
    } else {
      session->fail(session->push({.state = RequestState::kDeferred}), "not leader");
      note_answer(next.client);
    }
  }
}

// --- What goes out ---------------------------------------------------------------------------------------

void Forwarded::note_answer(uint64_t client) {
  const auto found = running_.find(client);
  if (found == running_.end() || std::exchange(found->second.noted, true)) return;
  answered_.push_back(client);
  environment_.waker.wake();
}

Forwarded::Outgoing& Forwarded::outgoing(const Process& process, uint64_t stream, raft::Term term) {
  Outgoing& found = outgoing_[{process, stream, term}];
  peer::ForwardReply& reply = found.reply;
  reply.from = self_;
  reply.to = process.first;
  reply.term = term;
  reply.life = process.second;
  reply.stream = stream;
  return found;
}

void Forwarded::advance() {
  run_waiting();
  for (const uint64_t client : std::exchange(answered_, {})) {
    const auto found = running_.find(client);
    found->second.noted = false;
    if (!found->second.session->idle()) continue;
    answer(found->second);
    running_.erase(found);
  }
  for (auto& [destination, each] : outgoing_) send(each);
  outgoing_.clear();
}

void Forwarded::answer(Running& running) {
  const auto inbox = inboxes_.find(running.process);
  LETO_ASSERT(inbox != inboxes_.end(), "a process is not forgotten while something of it runs");
  --inbox->second.running;
  inbox->second.running_bytes -= running.bytes;
  std::string reply = std::exchange(running.session->output(), {});
  const bool is_too_large = reply.size() > kReplyBytesMax || running.session->overflowed();
  if (is_too_large) reply = "-UNKNOWN outcome: it was carried out, but the reply is too large to be forwarded\r\n";
  const bool taken = !is_refusal(reply);
  if (!taken) reply.clear();
  peer::ForwardAnswer to_it{.number = running.number, .taken = taken, .reply = std::move(reply)};
  Outgoing& out = outgoing(running.process, running.stream, running.term);
  const size_t size = peer::encoded_size(to_it);
  const bool full = out.bytes + size > kReplyFrameBytes || out.reply.answers.size() >= peer::kForwardRequestsMax;
  if (full && !out.reply.answers.empty()) send(out);
  out.bytes += size;
  out.reply.answers.push_back(std::move(to_it));
  // One that is still to be woken would be held to have answered what it is used for next.
  const bool is_done_with = !running.session->in_fetched_list && !running.session->overflowed();
  if (is_done_with && spare_.size() < kSpareMax) spare_.push_back(std::move(running.session));
}

// Leaves it empty.
void Forwarded::send(Outgoing& out) {
  out.reply.applied = replica_.raft().applied_index();
  environment_.network.send_forward_reply(out.reply);
  out.reply.answers.clear();
  out.reply.closed_from = 0;
  out.bytes = 0;
}

// --- Time ------------------------------------------------------------------------------------------------

// One frame more may have been taken than there was room for.
void Forwarded::check_bounds() const {
  LETO_ASSERT(inboxes_.size() <= kProcessesMax && spare_.size() <= kSpareMax,
              base::format("I15: %zu processes, %zu spare sessions", inboxes_.size(), spare_.size()));
  for (const auto& [process, inbox] : inboxes_) {
    const size_t count = inbox.running + inbox.held.size(), bytes = inbox.running_bytes + inbox.held_bytes;
    LETO_ASSERT(count <= kCountMax + peer::kForwardRequestsMax && bytes <= kBytesMax + peer::kPartedBodyBytesMax,
                base::format("I15: %zu requests of one process, %zu bytes", count, bytes));
  }
}

void Forwarded::expire(uint64_t now_us) {
  for (const auto& [client, running] : running_) {
    running.session->note_served(now_us);
    replica_.expire_requests(*running.session, now_us);
  }
  const uint64_t gap_us = kGapElections * options_.election_timeout_ms * 1000;
  for (auto at = inboxes_.begin(); at != inboxes_.end();) {
    const auto inbox = at++;
    Inbox& held = inbox->second;
    if (!held.held.empty() && now_us - held.held_since_us >= gap_us) {
      const peer::Forward because = held.held.begin()->second;
      close(held, because);
    }
    if (held.running == 0 && now_us - held.used_at_us >= kForgetUs) inboxes_.erase(inbox);
  }
}

}  // namespace leto::server
