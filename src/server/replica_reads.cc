// Replica: reads. All reads of a turn share one read index; each runs at a place in the apply order that
// is after everything its client was told and at or after that index.
//
// For a pipeline that mixes reads and writes:
// - a read parsed before the write before it was handed to raft runs right after that write, or at a later state;
// - a read parsed later runs at applied >= max(its read index, that write);
// - a read not yet served when a later write of its connection comes to be applied runs right before it;
// - reads of a connection run in their order: one that may run takes those before it along; but a local one, whose place covers no
//   other, waits for them;
// - none runs before its client has fetched most of what is ready for it, unless a write behind it is to be applied;
// - a read behind a write that another node carries out begins once that was answered;
// - a read behind a write that ended UNKNOWN fails with it, and so does one before it that was not served.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "server/replica.h"
#include "server/timed_run.h"

namespace leto::server {
namespace {

constexpr uint64_t kLateTicks = 2;
// While nobody leads, between two looks at who has waited too long for somebody.
constexpr uint64_t kTicksPerLook = 10;
// Of serving reads, before the rest of a turn's work has its turn again.
constexpr uint64_t kServeUsMax = 500;
// Of one connection, before the time is looked at again.
constexpr size_t kReadsPerLook = 16;
// Arguments of a read that may take long, after which the time is looked at as well.
constexpr size_t kManyArgumentBytes = 4 << 10;
// Of replies to reads that run now or never, as writes behind them are applied, in one step: some of them are as long as a value.
constexpr size_t kForcedBytesMax = 64 << 20;

// None is before a read that is servable, and there is one before each that is ready: so it takes a look at the neighbours, mostly.
bool has_unapplied_write_before(Session& session, Session::Sequence end) {
  for (Session::Sequence at = end; at > session.front_sequence(); --at) {
    const Request& request = *session.find(at - 1);
    if (is_unapplied_write(request) || request.state == RequestState::kReady) return true;
    if (request.state == RequestState::kServable) return false;
  }
  return false;
}

// Behind a local read that was served there is none.
bool has_unserved_read_before(Session& session, Session::Sequence end) {
  for (Session::Sequence at = end; at > session.front_sequence(); --at) {
    const Request& request = *session.find(at - 1);
    if (is_unserved_read(request)) return true;
    if (request.local) return false;
  }
  return false;
}

// False if its client is gone, or it was answered otherwise, or already runs.
bool waits_for_index(const Waiter& waiter) {
  if (waiter.session->closed()) return false;
  const Request* request = waiter.session->find(waiter.sequence);
  return request != nullptr && request->state == RequestState::kWaitsIndex;
}

}  // namespace

void Replica::read(const SessionRef& session, const command::Command& command,
                   resp::Arguments arguments, Locals locals) {
  const ReadConsistency wanted =
      session->client.readonly ? ReadConsistency::kLocal : options_.read_consistency;
  const bool local = wanted == ReadConsistency::kLocal;
  // What this connection wrote at another node may not have come here yet.
  const bool early = local && session->seen_index > applied_.index;
  const bool once = locals != nullptr;   // What they do is not undone if the lease ran out meanwhile.
  if (session->idle() && !early && !once && read_now(session, command, arguments, wanted)) return;
  const Request* write = session->last_write();
  const bool follows = write != nullptr && (!write->proposed || local);
  Request request{.state = follows ? RequestState::kFollowsWrite : RequestState::kWaitsIndex,
                  .local = local,
                  .database = session->client.database,
                  .command = &command,
                  .arrived_us = environment_.clock.monotonic_us(),
                  .arguments = OwnedArguments(arguments),
                  .locals = std::move(locals)};
  const Session::Sequence sequence = session->push(std::move(request));
  if (!follows) start_read(session, sequence);
}

void Replica::at_read_index(const Waiter& waiter, std::function<void(const SessionRef&, Session::Sequence)> reached) {
  Request& request = *waiter.session->find(waiter.sequence);
  LETO_ASSERT(request.state == RequestState::kDeferred, "only what answers later can wait for a read index");
  request.at_index = std::move(reached);
  const Request* write = waiter.session->last_write();
  request.state = RequestState::kFollowsWrite;
  if (write == nullptr || write->proposed) start_read(waiter.session, waiter.sequence);
}

// Nothing that it has to follow is before it any more.
void Replica::start_read(const SessionRef& session, Session::Sequence sequence) {
  Request& request = *session->find(sequence);
  const Waiter waiter{.session = session, .sequence = sequence};
  request.state = RequestState::kWaitsIndex;
  if (!request.local) {
    round_collecting_.push_back(waiter);
  } else if (session->seen_index > applied_.index) {
    wait_for_index(waiter, session->seen_index);
  } else if (session->is_full_at(sequence) || has_unserved_read_before(*session, sequence)) {
    request.state = RequestState::kServable;
  } else {
    run_read(session, sequence);
  }
}

// One round for all that wait for the same one after the other. It is not applied: nobody goes through them now.
void Replica::wait_for_index(const Waiter& waiter, raft::Index index) {
  if (!rounds_.empty()) {
    ReadRound& newest = rounds_.rbegin()->second;
    const bool is_same = newest.confirmed && newest.asked_us == 0 && newest.index == index && newest.error.empty();
    if (is_same) return newest.waiters.push_back(waiter);
  }
  rounds_[next_context_++] = {.index = index, .confirmed = true, .waiters = {waiter}};
}

void Replica::start_reads_after(const SessionRef& session, Session::Sequence sequence) {
  // A refusal may overtake the answers of writes before it: these start the reads, then.
  if (has_unapplied_write_before(*session, sequence)) return;
  for (Session::Sequence at = sequence + 1;; ++at) {
    at = std::max(at, session->front_sequence());   // What was answered meanwhile has left.
    Request* request = session->find(at);
    if (request == nullptr || is_unapplied_write(*request)) break;
    if (request->state == RequestState::kFollowsWrite) {
      start_read(session, at);
    } else if (request->state == RequestState::kReady) {
      request->state = RequestState::kServable;
    }
  }
  serve_in_order(session);
}

// False if the read has to wait for a read index; then nothing was answered.
bool Replica::read_now(const SessionRef& session, const command::Command& command,
                       resp::Arguments arguments, ReadConsistency wanted) {
  if (wanted != ReadConsistency::kLocal && !sees_all_acknowledged(wanted)) return false;
  std::string& output = session->output();
  const size_t before = output.size();
  resp::Reply reply(output, session->client.protocol);
  command::Context context = key_context(arguments, session->client.database, reply);
  run_read_handler(context, command, *session);
  if (wanted == ReadConsistency::kLease && !sees_all_acknowledged(wanted)) {
    // D18: the lease ran out while the read ran; what it saw may be old.
    output.resize(before);
    return false;
  }
  ++stats_.reads_served;
  output_grew(session);
  return true;
}

// Whether this node's applied state holds every write that anybody was told of, without asking others: an only
// voter is its own quorum, and under a lease nobody else can have led since.
bool Replica::sees_all_acknowledged(ReadConsistency wanted) {
  if (!raft_.leads_and_committed_in_term() || applied_.index != raft_.commit_index()) return false;
  if (raft_.is_only_voter()) return true;
  if (wanted != ReadConsistency::kLease || !raft_.lease_holds()) return false;
  const uint64_t now_us = environment_.clock.monotonic_us();
  watch_ticks(now_us);
  return now_us >= lease_distrusted_until_us_;
}

// The core counts a lease in ticks. Where they came late it ran longer than counted: no lease from before is
// trusted, and none lasts longer than an election timeout.
void Replica::watch_ticks(uint64_t now_us) {
  if (now_us - last_tick_us_ <= kLateTicks * kTickMs * 1000) return;
  lease_distrusted_until_us_ = now_us + options_.election_timeout_ms * 1000;
}

void Replica::start_read_round() {
  if (round_collecting_.empty()) return;
  const uint64_t context = next_context_++;
  ReadRound& round = rounds_[context];
  round.asked_us = environment_.clock.monotonic_us();
  round.waiters = std::exchange(round_collecting_, {});
  ++stats_.read_rounds;
  raft_.read_index(context);
}

void Replica::serve(const std::vector<raft::ReadReady>& reads) {
  for (const raft::ReadReady& ready : reads) {
    const auto found = rounds_.find(ready.context);
    if (found == rounds_.end()) continue;
    if (!ready.ok) {
      std::vector<Waiter> waiters = std::move(found->second.waiters);
      rounds_.erase(found);
      std::move(waiters.begin(), waiters.end(), std::back_inserter(reads_to_retry_));
      continue;
    }
    found->second.index = ready.index;
    found->second.confirmed = true;
    if (ready.index > applied_.index) note_behind(found->second);
  }
  serve_applied_rounds();
}

void Replica::note_behind(const ReadRound& round) {
  for (const Waiter& waiter : round.waiters) {
    if (Request* request = waiter.session->find(waiter.sequence)) request->behind = true;
  }
}

// Those that the time does not suffice for stay where they are: they may run at any later state as well.
void Replica::serve_applied_rounds() {
  // A write that was lost may be applied all the same, before its connection's reads ahead of it are told that they failed with it.
  reads_left_ = !lost_.empty();
  if (reads_left_) return;
  const uint64_t began_us = environment_.clock.monotonic_us();
  // One at least, however many others are ready.
  if (!fetched_.empty()) serve_next_fetched();
  for (auto round = rounds_.begin(); round != rounds_.end();) {
    ReadRound& served = round->second;
    if (served.error.empty() && !served.can_be_served(applied_.index)) {
      ++round;
      continue;
    }
    while (served.next < served.waiters.size()) {
      serve_waiter(served.waiters[served.next++], served.error);
      reads_left_ = environment_.clock.monotonic_us() - began_us >= kServeUsMax;
      if (reads_left_) return;
    }
    round = rounds_.erase(round);
  }
  while (!fetched_.empty()) {
    reads_left_ = environment_.clock.monotonic_us() - began_us >= kServeUsMax;
    if (reads_left_) return;
    serve_next_fetched();
  }
  reads_left_ = false;
}

void Replica::serve_next_fetched() {
  const SessionRef session = std::move(fetched_.front());
  fetched_.pop_front();
  session->in_fetched_list = false;
  serve_in_order(session);
  output_grew(session);
}

void Replica::serve_later(const SessionRef& session) {
  reads_left_ = true;
  environment_.waker.wake();
  if (!std::exchange(session->in_fetched_list, true)) fetched_.push_back(session);
}

void Replica::cut_off(const std::string& why) {
  if (why == cut_off_) return;
  cut_off_ = why;
  environment_.waker.wake();
}

// Unless what is known here to be committed suffices for it. Its readers are answered when the time suffices, as others are
// served.
void Replica::refuse_round(ReadRound& round, const std::string& error) {
  if (!round.error.empty() || round.can_be_served(raft_.commit_index())) return;
  round.error = error;
  reads_left_ = true;
}

void Replica::refuse_reads(const std::string& error) {
  std::vector<Waiter> waiters = std::exchange(round_collecting_, {});
  const std::vector<Waiter> retried = std::exchange(reads_to_retry_, {});
  waiters.insert(waiters.end(), retried.begin(), retried.end());
  if (!waiters.empty()) rounds_[next_context_++].waiters = std::move(waiters);
  for (auto& [context, round] : rounds_) refuse_round(round, error);
}

// Local reads wait on, for their own connection's writes alone.
void Replica::refuse_late_reads(const std::string& why) {
  const uint64_t now_us = environment_.clock.monotonic_us();
  for (auto& [context, round] : rounds_) {
    const bool is_late = round.asked_us != 0 && now_us - round.asked_us >= options_.election_timeout_ms * 1000;
    if (round.confirmed && is_late) refuse_round(round, why);
  }
  if (reads_left_) environment_.waker.wake();
}

void Replica::note_fetched(const SessionRef& session) {
  if (session->waits_for_client()) serve_later(session);
}

void Replica::forget_ended_reads() {
  std::erase_if(fetched_, [](const SessionRef& each) { return each->closed(); });
  for (auto round = rounds_.begin(); round != rounds_.end();) {
    ReadRound& waiting = round->second;
    std::erase_if(waiting.waiters, [](const Waiter& each) { return !waits_for_index(each); });
    waiting.next = 0;
    round = waiting.waiters.empty() ? rounds_.erase(round) : std::next(round);
  }
}

// The read index of this read is applied: it runs unless a write of its connection is still before it. Or it ends with `error`.
void Replica::serve_waiter(const Waiter& waiter, const std::string& error) {
  if (!waits_for_index(waiter)) return;
  Session& session = *waiter.session;
  Request* request = session.find(waiter.sequence);
  if (!error.empty()) {
    fail(session, waiter.sequence, error);
  } else if (has_unapplied_write_before(session, waiter.sequence)) {
    request->state = RequestState::kReady;
    return;
  } else {
    request->state = RequestState::kServable;
    // What covers this read covers those before it, which must not see a later state.
    if (!request->local) cover_reads_before(session, waiter.sequence);
  }
  serve_in_order(waiter.session);
  output_grew(waiter.session);
}

// None that is not covered is before one that is, but for local ones.
void Replica::cover_reads_before(Session& session, Session::Sequence sequence) {
  for (Session::Sequence at = sequence; at > session.front_sequence(); --at) {
    Request& request = *session.find(at - 1);
    if (request.state == RequestState::kServable && !request.local) return;
    if (is_unserved_read(request)) request.state = RequestState::kServable;
  }
}

// As far as the next read that waits for something else, or for its client; what the time does not suffice for later.
void Replica::serve_in_order(const SessionRef& session) {
  if (!lost_.empty()) return serve_later(session);
  uint64_t began_us = 0;
  size_t served = 0;
  for (Session::Sequence at = session->front_sequence();; ++at) {
    at = std::max(at, session->front_sequence());   // What was answered meanwhile has left.
    const Request* request = session->find(at);
    if (request == nullptr || is_unapplied_write(*request)) return;
    if (!is_unserved_read(*request)) continue;
    if (request->state != RequestState::kServable || session->is_full_at(at)) return;
    const bool may_take_long = request->arguments.bytes() >= kManyArgumentBytes;
    run_read(session, at);
    if (++served % kReadsPerLook != 0 && !may_take_long) continue;
    const uint64_t now_us = environment_.clock.monotonic_us();
    if (began_us == 0) began_us = now_us;
    if (now_us - began_us >= kServeUsMax) return serve_later(session);
  }
}

// No leader confirmed them: they ask again, until they have waited as long as an election may take. While nobody leads they need
// not ask, and there may be many.
void Replica::retry_reads() {
  if (reads_to_retry_.empty()) return;
  const bool leaderless = raft_.leader() == raft::kNobody;
  if (leaderless && ++leaderless_ticks_ % kTicksPerLook != 0) return;
  const uint64_t now_us = environment_.clock.monotonic_us();
  const uint64_t wait_us = 1000 * leader_wait_ms();
  for (const Waiter& waiter : std::exchange(reads_to_retry_, {})) {
    if (!waits_for_index(waiter)) continue;
    if (now_us - waiter.session->waits_since_us(waiter.session->find(waiter.sequence)->arrived_us) < wait_us) {
      (leaderless ? reads_to_retry_ : round_collecting_).push_back(waiter);
      continue;
    }
    fail(*waiter.session, waiter.sequence, "CLUSTERDOWN no leader");
    serve_in_order(waiter.session);
    output_grew(waiter.session);
  }
}

void Replica::run_read(const SessionRef& session, Session::Sequence sequence) {
  Request& request = *session->find(sequence);
  if (request.at_index) {
    request.state = RequestState::kDeferred;
    return std::exchange(request.at_index, nullptr)(session, sequence);
  }
  const OwnedArguments arguments = std::move(request.arguments);
  const std::vector<std::string_view> views = arguments.views();
  resp::Reply reply(session->reply_buffer(sequence), request.protocol);
  command::Context context = key_context(views, request.database, reply);
  const Locals locals = std::move(request.locals);
  context.locals = locals.get();
  run_read_handler(context, *request.command, *session);
  ++stats_.reads_served;
  session->answered(sequence);
}

command::Context Replica::key_context(resp::Arguments arguments, uint32_t database, resp::Reply& reply) {
  const uint64_t hard_bytes = options_.client_output_buffer_limit.normal.hard_bytes;
  return {.keyspace = keyspace_,
          .services = nullptr,
          .client = nullptr,
          .arguments = arguments,
          .reply = reply,
          .database = database,
          .stamp = {},
          .reply_bytes_max = hard_bytes != 0 ? hard_bytes : SIZE_MAX};
}

void Replica::run_read_handler(command::Context& context, const command::Command& command, Session& session) {
  if ((command.flags & command::kWatch) != 0) context.client = &session.client;
  run_handler(context, command, session);
}

void Replica::run_handler(command::Context& context, const command::Command& command, Session& session) {
  run_timed(command, context, stats_, environment_.clock);
  if (context.cut_off) session.overflow();
  if (context.reply.wrote_error()) stats_.note_failure(command, context.arguments, context.reply.error_code());
}

// One more reply would be too much. With a hard limit of 0 nothing is.
bool Replica::is_owed_too_much(const Session& session) const {
  const uint64_t limit = options_.client_output_buffer_limit.normal.hard_bytes;
  if (limit == 0) return false;
  const bool is_crowded = reads_beside_writes_.bytes > kForcedBytesMax && session.reply_bytes() > Session::kReplyBytesMax;
  return is_crowded || session.reply_bytes() > limit;
}

// A write of the connection is applied next: these run now or never. Who is owed too much for that is not told the rest.
void Replica::run_reads_before(const SessionRef& session, Session::Sequence sequence) {
  for (Session::Sequence at = session->front_sequence(); at < sequence; ++at) {
    const Request* request = session->find(at);
    if (request == nullptr || !is_unserved_read(*request)) continue;
    if (is_owed_too_much(*session)) session->overflow();
    if (session->overflowed()) {
      fail(*session, at, "ERR client-output-buffer-limit was passed");
      continue;
    }
    const size_t before = session->reply_bytes();
    run_read(session, at);
    reads_beside_writes_.bytes += session->reply_bytes() - before;
  }
}

// The write of this number was just applied. They may run at any later state, too, and do if many connections have some.
void Replica::run_reads_after(const SessionRef& session, Session::Sequence sequence) {
  bool has_reads = false;
  for (Session::Sequence at = std::max(sequence + 1, session->front_sequence());; ++at) {
    Request* request = session->find(at);
    if (request == nullptr || is_unapplied_write(*request)) break;
    if (request->state == RequestState::kReady && !request->local) cover_reads_before(*session, at);
    if (request->state == RequestState::kFollowsWrite || request->state == RequestState::kReady) request->state = RequestState::kServable;
    has_reads = has_reads || is_unserved_read(*request);
  }
  if (!has_reads) return;
  const bool time_is_up = environment_.clock.monotonic_us() - reads_beside_writes_.began_us >= kServeUsMax;
  time_is_up ? serve_later(session) : serve_in_order(session);
}

void Replica::fail_reads_before(const SessionRef& session, Session::Sequence sequence) {
  for (Session::Sequence at = session->front_sequence(); at < sequence; ++at) {
    const Request* request = session->find(at);
    if (request == nullptr || !is_unserved_read(*request)) continue;
    fail(*session, at, "CLUSTERDOWN the outcome of a later write of this connection is unknown");
  }
}

void Replica::fail_reads_after(const SessionRef& session, Session::Sequence sequence,
                               const std::string& error) {
  for (Session::Sequence at = sequence + 1;; ++at) {
    at = std::max(at, session->front_sequence());   // What was answered meanwhile has left.
    const Request* request = session->find(at);
    if (request == nullptr || is_unapplied_write(*request)) return;
    if (is_unserved_read(*request)) fail(*session, at, error);
  }
}

}  // namespace leto::server
