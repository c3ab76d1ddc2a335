// Replica: from a client's write to a proposed log entry, and what happens to writes that are lost.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"
#include "command/key_slot.h"
#include "server/replica.h"
#include "server/turn_share.h"

namespace leto::server {
namespace {

// The crowd of clients that was just answered gets this part of a commit's time to come back.
constexpr uint64_t kLingerDivisor = 3;
constexpr uint64_t kLingerUsMax = 2000;

// As a Redis Cluster says it: an IPv6 address without brackets, as its clients cut at the last colon.
std::string redirect_address(std::string address) {
  std::erase_if(address, [](char c) { return c == '[' || c == ']'; });
  return address;
}

}  // namespace

// Why this node takes no write now; empty if it does. Nothing of the write has happened.
std::string Replica::write_refusal() const {
  if (!refusal_.empty()) return refusal_;
  if (!cut_off_.empty()) return cut_off_;
  if (raft_.role() != raft::Role::kLeader && raft_.leader() != raft::kNobody) return kNotLeader;
  if (disk_full_) return "MISCONF Leto cannot write to its log: the disk is full";
  if (!no_room_.empty() && raft_.role() == raft::Role::kLeader) return no_room_;
  return {};
}

// The same for one write: its size, and where to take it if redirects are wanted.
std::string Replica::refusal_for(const command::Command& command, resp::Arguments arguments) const {
  std::string refusal = write_refusal();
  if (refusal == kNotLeader && options_.follower_writes == FollowerWrites::kRedirect) {
    const raft::Member* leader = raft_.configuration().find(raft_.leader());
    if (leader == nullptr || leader->client_address.empty()) return refusal;
    const std::optional<std::string_view> key = command::first_key_of(command, arguments);
    if (!key) return refusal;
    return base::format("MOVED %u %s", command::key_slot(*key), redirect_address(leader->client_address).c_str());
  }
  if (!refusal.empty()) return refusal;
  const size_t size = command::EntryBuilder::encoded_size(arguments);
  if (size <= options_.max_entry_bytes) return {};
  return base::format("ERR the command has %zu bytes, more than max-entry-bytes", size);
}

void Replica::write(const SessionRef& session, const command::Command& command,
                    resp::Arguments arguments, Locals locals) {
  Request request{.state = RequestState::kPending,
                  .database = session->client.database,
                  .command = &command,
                  .arrived_us = environment_.clock.monotonic_us(),
                  .locals = std::move(locals)};
  const bool waits = raft_.role() != raft::Role::kLeader || writes_held_ || !waiting_writes_.empty() || !lost_.empty();
  if (waits) {
    request.state = RequestState::kWaitsLeader;
    request.arguments = OwnedArguments(arguments);
    const size_t bytes = request.arguments.bytes();
    waiting_bytes_ += bytes;
    waiting_writes_.push_back(
        {.waiter = {.session = session, .sequence = session->push(std::move(request))}, .bytes = bytes});
    return;
  }
  add_to_batch(session, session->push(std::move(request)), arguments);
}

void Replica::write_here(const SessionRef& session, Session::Sequence sequence) {
  Request& request = *session->find(sequence);
  const OwnedArguments arguments = std::move(request.arguments);
  const std::vector<std::string_view> views = arguments.views();
  if (const std::string refusal = refusal_for(*request.command, views); !refusal.empty()) {
    return fail_write({.session = session, .sequence = sequence}, refusal);
  }
  request.state = RequestState::kPending;
  add_to_batch(session, sequence, views);
}

void Replica::add_to_batch(const SessionRef& session, Session::Sequence sequence,
                           resp::Arguments arguments) {
  batch_.add(session, sequence, session->find(sequence)->database, arguments);
}

Request* Replica::front_waiting_write() {
  const Waiter& waiter = waiting_writes_.front().waiter;
  Request* request = waiter.session->closed() ? nullptr : waiter.session->find(waiter.sequence);
  return request != nullptr && request->state == RequestState::kWaitsLeader ? request : nullptr;
}

void Replica::forget_waiting_write() {
  waiting_bytes_ -= waiting_writes_.front().bytes;
  waiting_writes_.pop_front();
}

// Writes that arrived while no leader was known, or leadership was being handed over, go on once it is known who
// leads. Those that were answered meanwhile go at once: without a leader for long they would be many.
void Replica::route_waiting_writes() {
  if (!lost_.empty()) return;
  const bool leads = raft_.role() == raft::Role::kLeader;
  // Who forwards waits elsewhere.
  const bool waits_for_leader = raft_.leader() == raft::kNobody && options_.follower_writes != FollowerWrites::kForward;
  for (TurnShare share; !waiting_writes_.empty();) {
    Request* request = front_waiting_write();
    const std::string refusal = write_refusal();
    const bool waits_on = leads ? writes_held_ : waits_for_leader;
    if (request != nullptr && refusal.empty() && waits_on) return;
    writes_left_ = share.used_up();
    if (writes_left_) return;
    share.take(waiting_writes_.front().bytes);
    const Waiter waiter = std::move(waiting_writes_.front().waiter);
    forget_waiting_write();
    if (request == nullptr) continue;
    if (!leads) {
      send_elsewhere(waiter);
      continue;
    }
    if (!refusal.empty()) {
      fail_write(waiter, refusal);
      continue;
    }
    request->state = RequestState::kPending;
    const OwnedArguments arguments = std::move(request->arguments);
    add_to_batch(waiter.session, waiter.sequence, arguments.views());
  }
}

// Group commit: while a job of the log is in flight, writes gather for the next one. Right after a commit
// they wait a moment more, so that the crowd that was just answered is not split in two cohorts.
void Replica::propose_pending() {
  if (batch_.empty() || raft_.role() != raft::Role::kLeader) return;
  for (TurnShare share; batch_.first_is_full();) {
    if (share.used_up()) {
      writes_left_ = true;
      return;
    }
    share.take(batch_.front().bytes);
    if (!propose_front()) return;
  }
  if (!job_.empty() || !store_queue_.empty()) return;
  if (lingers(environment_.clock.monotonic_us())) return;
  propose_front();
}

uint64_t Replica::linger_us() const {
  return std::min(commit_average_us_ / kLingerDivisor, kLingerUsMax);
}

bool Replica::lingers(uint64_t now_us) {
  if (batch_.commands() >= crowd_expected_ || now_us >= linger_until_us_) return false;
  environment_.waker.wake_after_us(linger_until_us_ - now_us);
  return true;
}

// Whether the core would take `bytes` more now.
bool Replica::has_room_for(size_t bytes) const {
  if (raft_.role() != raft::Role::kLeader || raft_.transferring_to() != raft::kNobody) return false;
  const size_t uncommitted = raft_.uncommitted_bytes();
  return uncommitted == 0 || uncommitted + bytes <= uncommitted_bytes_max_;
}

// False if the core does not take it now; it stays where it is.
bool Replica::propose_front() {
  ReadyEntry& entry = batch_.front();
  if (!has_room_for(entry.commands.bytes())) return false;
  const uint64_t index = raft_.last().index + 1;
  const command::EntryHeader header{.time_ms = cluster_time_.stamp(),
                                    .seed = base::mix64(hash_seed_ ^ index),
                                    .semantics = semantics_level_};
  raft::EntryId id;
  const raft::ProposeResult result =
      raft_.propose(std::make_shared<const std::string>(entry.commands.finish(header)), &id);
  LETO_ASSERT(result == raft::ProposeResult::kAccepted,
              base::format("propose() gave %d after has_room_for()", static_cast<int>(result)));
  LETO_ASSERT(pending_.empty() || pending_.back().id.index < id.index, "proposals are in log order");
  for (const Waiter& waiter : entry.waiters) {
    if (Request* request = waiter.session->find(waiter.sequence)) request->proposed = true;
  }
  has_commands_ = true;
  ++stats_.entries_proposed;
  stats_.batch_commands.add(entry.waiters.size());
  pending_.push_back({.id = id, .waiters = std::move(entry.waiters)});
  batch_.pop_front();
  return true;
}

// An entry of commands, but without any: a version from before there were levels stops at it, as it has to.
bool Replica::raise_semantics(uint16_t level) {
  LETO_ASSERT(level > semantics_level_ && level <= semantics_supported_,
              base::format("from level %u to %u of %u", semantics_level_, level, semantics_supported_));
  if (!has_room_for(0)) return false;
  const command::EntryHeader header{.time_ms = cluster_time_.stamp(),
                                    .seed = base::mix64(hash_seed_ ^ (raft_.last().index + 1)),
                                    .semantics = level};
  command::EntryBuilder nothing;
  return raft_.propose(std::make_shared<const std::string>(nothing.finish(header)), nullptr) ==
         raft::ProposeResult::kAccepted;
}

void Replica::lose_unproposed() {
  while (!batch_.empty()) {
    ReadyEntry& entry = batch_.front();
    lost_.push_back({.error = {}, .waiters = std::move(entry.waiters), .commands = std::move(entry.commands)});
    batch_.pop_front();
  }
}

void Replica::lose_pending(const std::string& error) {
  for (PendingEntry& entry : std::exchange(pending_, {})) {
    lost_.push_back({.error = error, .waiters = std::move(entry.waiters)});
  }
}

void Replica::fail_lost() {
  for (TurnShare share; !lost_.empty() && !share.used_up();) {
    LostWrites& lost = lost_.front();
    if (lost.next == lost.waiters.size()) {
      lost_.pop_front();
      continue;
    }
    if (lost.error.empty()) {
      share.take(lose_next_unproposed(lost));
    } else {
      fail_write(lost.waiters[lost.next++], lost.error);
      share.take(0);
    }
  }
}

// Returns the bytes of the command, which is taken out of its batch again.
size_t Replica::lose_next_unproposed(LostWrites& lost) {
  if (!lost.reader) {
    lost.payload = lost.commands.finish({.semantics = semantics_level_});
    lost.reader = command::EntryReader::open(lost.payload, semantics_supported_).value();
  }
  command::CommandView view;
  const bool is_there = lost.reader->next(view);
  LETO_ASSERT(is_there, "a batch has a command for each that waits for one");
  const Waiter& waiter = lost.waiters[lost.next++];
  Request* request = waiter.session->find(waiter.sequence);
  if (waiter.session->closed() || request == nullptr || request->state == RequestState::kAnswered) return 0;
  request->arguments = OwnedArguments(view.arguments);
  const size_t bytes = request->arguments.bytes();
  send_elsewhere(waiter);
  return bytes;
}

// What was taken here, and not proposed: to whoever leads, if that is wanted, else the client hears where that is.
void Replica::send_elsewhere(const Waiter& waiter) {
  if (give_away && give_away(waiter.session, waiter.sequence)) return;
  const Request& request = *waiter.session->find(waiter.sequence);
  const std::string refusal = refusal_for(*request.command, request.arguments.views());
  fail_write(waiter, refusal.empty() ? "CLUSTERDOWN no leader" : refusal);
}

// The write's error; the same for the reads that were to see it if nobody knows what they would see, or none is served anyway. A
// refusal is the write's alone.
void Replica::fail_write(const Waiter& waiter, const std::string& error) {
  Session& session = *waiter.session;
  Request* request = session.find(waiter.sequence);
  if (session.closed() || request == nullptr || request->state == RequestState::kAnswered) return;
  // Where it will be applied, if ever, is not seen here any more: a read before it might run after it.
  if (request->proposed) fail_reads_before(waiter.session, waiter.sequence);
  const bool ends_reads = error.starts_with("UNKNOWN") || error.starts_with("CLUSTERDOWN");
  if (ends_reads) fail_reads_after(waiter.session, waiter.sequence, error);
  fail(session, waiter.sequence, error);
  if (!ends_reads) start_reads_after(waiter.session, waiter.sequence);
  output_grew(waiter.session);
}

}  // namespace leto::server
