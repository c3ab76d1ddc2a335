// Forwarder: what becomes of what was sent. Each request ends exactly once: answered by the leader, given back and
// sent again, or UNKNOWN.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "server/forwarder.h"

namespace leto::server {
namespace {

constexpr const char* kNoAnswer = "UNKNOWN outcome: the leader did not answer within request-timeout";

unsigned long long wide(uint64_t number) { return number; }

}  // namespace

void Forwarder::on_reply(const peer::ForwardReply& reply) {
  const auto found = streams_.find(reply.stream);
  if (reply.life != self_.life || found == streams_.end() || found->second.leader != reply.from) {
    LETO_LOG(kDebug, "an answer of node %016llx to a stream that is over was dropped", wide(reply.from));
    return;
  }
  Stream& stream = found->second;
  bool refused = false;
  for (const peer::ForwardAnswer& answer : reply.answers) {
    const bool known = answer.number >= stream.first && answer.number < stream.next();
    if (!known || stream.sent[answer.number - stream.first].settled) {
      LETO_LOG(kDebug, "an answer of node %016llx to request %llu, which does not wait for one, was dropped",
               wide(reply.from), wide(answer.number));
      continue;
    }
    Item& sent = stream.sent[answer.number - stream.first];
    if (answer.taken) {
      settle(sent, reply, answer);
    } else {
      give_back(sent);
      refused = true;
    }
  }
  if (reply.closed_from != 0) {
    for (uint64_t number = std::max(reply.closed_from, stream.first); number < stream.next(); ++number) {
      give_back(stream.sent[number - stream.first]);
    }
    refused = true;
  }
  if (refused && reply.stream == current_) return pause();
  drop_settled(reply.stream);
}

void Forwarder::drop_settled(uint64_t number_of_stream) {
  const auto found = streams_.find(number_of_stream);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  while (!stream.sent.empty() && stream.sent.front().settled) {
    stream.sent.pop_front();
    ++stream.first;
  }
  if (stream.sent.empty() && number_of_stream != current_) streams_.erase(found);
}

// It is under way no more. False if it was not.
bool Forwarder::release(Item& sent) {
  if (std::exchange(sent.settled, true)) return false;
  Line& line = lines_.at(sent.client);
  LETO_ASSERT(line.under_way > 0 && under_way_ > 0,
              base::format("%zu of client %llu and %zu in all are under way", line.under_way, wide(sent.client), under_way_));
  --line.under_way;
  --under_way_;
  under_way_bytes_ -= sent.bytes;
  return true;
}

void Forwarder::settle(Item& sent, const peer::ForwardReply& reply, const peer::ForwardAnswer& answer_to_it) {
  if (!release(sent)) return;
  Line& line = lines_.at(sent.client);
  const SessionRef session = line.session;
  bytes_ -= sent.bytes;
  session->seen_index = std::max(session->seen_index, reply.applied);
  if (open_request(line, sent.sequence) != nullptr) answer(session, sent.sequence, answer_to_it.reply);
  forget_if_done(sent.client);
}

// What the leader said, word for word.
void Forwarder::answer(const SessionRef& session, Session::Sequence sequence, const std::string& reply) {
  Request& request = *session->find(sequence);
  const bool writes = request.state == RequestState::kForwarded;
  const std::string error = reply.starts_with('-') ? reply.substr(1, reply.find("\r\n") - 1) : "";
  if (error.starts_with("UNKNOWN")) return fail(session, sequence, error);
  if (!error.empty()) stats_.note_error(error);
  const Replica::Locals locals = std::move(request.locals);
  std::string& out = session->reply_buffer(sequence);
  resp::Reply written(out, request.protocol);
  if (locals == nullptr) {
    written.raw(reply);
  } else if (!command::splice(reply, *locals, written)) {
    return fail(session, sequence, "UNKNOWN outcome: what the leader answered is no reply to a transaction");
  }
  session->answered(sequence);
  if (writes) replica_.start_reads_after(session, sequence);
  if (replica_.on_output) replica_.on_output(session);
}

void Forwarder::fail(const SessionRef& session, Session::Sequence sequence, const std::string& error) {
  if (error.starts_with("UNKNOWN")) ++stats_.forward_unknown;
  if (session->find(sequence)->state == RequestState::kForwarded) {
    return replica_.fail_write({.session = session, .sequence = sequence}, error);
  }
  replica_.fail(*session, sequence, error);
  if (replica_.on_output) replica_.on_output(session);
}

// Nobody took it, and nobody will: it waits again, at its place.
void Forwarder::give_back(Item& sent) {
  if (!release(sent)) return;
  Line& line = lines_.at(sent.client);
  if (open_request(line, sent.sequence) == nullptr) {
    bytes_ -= sent.bytes;
    return forget_if_done(sent.client);
  }
  Item again = sent;
  again.settled = false;
  enqueue(line, again);
  ++stats_.forward_retries;
}

void Forwarder::give_up(Stream& stream, const std::string& error) {
  for (Item& sent : stream.sent) fail_sent(sent, error);
}

// Nothing happens to one that was settled.
void Forwarder::fail_sent(Item& sent, const std::string& error) {
  if (!release(sent)) return;
  const Line& line = lines_.at(sent.client);
  const SessionRef session = line.session;
  bytes_ -= sent.bytes;
  if (open_request(line, sent.sequence) != nullptr) fail(session, sent.sequence, error);
  forget_if_done(sent.client);
}

void Forwarder::on_unreachable(raft::NodeId node) {
  const uint64_t now_us = environment_.clock.monotonic_us();
  const auto current = streams_.find(current_);
  if (current != streams_.end() && current->second.leader == node) retire_current(now_us, 1);
  for (auto at = streams_.begin(); at != streams_.end();) {
    const auto stream = at++;
    if (stream->second.leader != node) continue;
    give_up(stream->second, "UNKNOWN outcome: the link to the leader broke before it answered");
    drop_settled(stream->first);
  }
}

// --- Time ------------------------------------------------------------------------------------------------

// REQUIRES: it waits, or is under way.
uint64_t Forwarder::waits_since_us(const Item& item) const {
  return lines_.at(item.client).session->waits_since_us(item.arrived_us);
}

void Forwarder::expire(uint64_t now_us) {
  expire_sent(now_us);
  // Nobody is sent to while nobody leads: who has nothing here any more is forgotten now, or there would be ever more of them.
  for (const uint64_t client : std::exchange(ready_, {})) {
    Line& line = lines_.at(client);
    expire_waiting(line, now_us);
    line.listed = false;
    list(client, line);
    forget_if_done(client);
  }
}

// As well as what nobody waits for.
void Forwarder::expire_waiting(Line& line, uint64_t now_us) {
  const uint64_t limit_us = options_.request_timeout_ms * 1000;
  const bool leaderless = replica_.raft().leader() == raft::kNobody;
  while (!line.waiting.empty()) {
    const bool is_open = open_request(line, line.waiting.front().sequence) != nullptr;
    // Not while others are held up by what waits here.
    if (is_open && line.session->waits_for_client() && !overloaded()) return;
    if (is_open && now_us - waits_since_us(line.waiting.front()) < limit_us) return;
    const Item item = take_waiting(line);
    if (!is_open) continue;
    fail(line.session, item.sequence,
         leaderless ? "CLUSTERDOWN no leader" : "CLUSTERDOWN no leader took it within request-timeout");
  }
}

// The stream with it is over: what is behind a lost request waits for it at the leader.
void Forwarder::expire_sent(uint64_t now_us) {
  const uint64_t limit_us = options_.request_timeout_ms * 1000;
  bool lost = false;
  for (auto at = streams_.begin(); at != streams_.end();) {
    const auto stream = at++;
    for (Item& sent : stream->second.sent) {
      if (sent.settled || now_us - waits_since_us(sent) < limit_us) continue;
      lost = lost || stream->first == current_;
      fail_sent(sent, kNoAnswer);
    }
    drop_settled(stream->first);
  }
  if (lost) retire_current(now_us, options_.request_timeout_ms * 1000);
}

}  // namespace leto::server
