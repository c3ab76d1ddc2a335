#include "server/snapshot_sender.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "storage/damage.h"

namespace leto::server {
namespace {

// What was not sent in a moment of rest is not made up for beyond this.
constexpr int64_t kBudgetBytesMax = 2 << 20;
// However low the rate is.
constexpr uint64_t kChunkBytesMin = 4096;
constexpr uint64_t kMicroseconds = 1000000;

}  // namespace

SnapshotSender::SnapshotSender(Replica& replica, const ReplicaParts& parts, const uint64_t& keys_generation)
    : replica_(replica),
      options_(parts.options),
      environment_(parts.environment),
      stats_(parts.stats),
      keys_generation_(keys_generation),
      pins_(replica, parts),
      snapshot_(base::mix64(parts.seed ^ 1) >> 1) {}

SnapshotSender::Transfer* SnapshotSender::find(raft::NodeId peer) {
  const auto found = std::find_if(transfers_.begin(), transfers_.end(),
                                  [peer](const Transfer& transfer) { return transfer.peer == peer; });
  return found == transfers_.end() ? nullptr : &*found;
}

void SnapshotSender::want(raft::NodeId peer, raft::Index least) {
  std::erase_if(transfers_, [peer](const Transfer& transfer) { return transfer.peer == peer; });
  pins_.unpin(peer);
  if ((environment_.network.abilities(peer).features & peer::kFeatureSnapshots) == 0) {
    LETO_LOG(kDebug, "node %016llx needs a snapshot, but does not know such frames, or is not connected",
             static_cast<unsigned long long>(peer));
    return replica_.raft().snapshot_failed(peer);
  }
  const uint64_t now_us = environment_.clock.monotonic_us();
  const auto refusal = refusals_.find(peer);
  const bool refused_lately = refusal != refusals_.end() && now_us < refusal->second.until_us;
  // Of a copy that was refused nobody more is sent anything: its bytes may be rotten.
  const bool pauses = refused_lately || copy_was_refused_ || now_us < own_failure_.until_us;
  const bool is_too_old = copy_state_ == CopyState::kReady && copy_.header.applied_index < least;
  if (pauses || is_too_old || transfers_.size() >= kTransfersMax) return replica_.raft().snapshot_failed(peer);
  transfers_.push_back({.peer = peer, .moved_us = now_us});
  if (copy_state_ == CopyState::kNone) make_copy();
}

// --- The copy --------------------------------------------------------------------------------------------

void SnapshotSender::make_copy() {
  copy_state_ = CopyState::kBeingMade;
  ++snapshot_;
  environment_.snapshot_disk.copy(keys_generation_,
                                  [this](base::Result<SnapshotDisk::Copy> result) { copied(std::move(result)); });
}

void SnapshotSender::copied(base::Result<SnapshotDisk::Copy> result) {
  if (!result.is_ok()) return fail_all(result.status().text());
  copy_state_ = CopyState::kReady;
  copy_ = std::move(result.value());
  ++stats_.snapshots_made;
  const uint64_t now_us = environment_.clock.monotonic_us();
  for (Transfer& transfer : transfers_) transfer.moved_us = now_us;
  LETO_LOG(kNotice, "snapshot at entry %llu, %llu bytes: sending it to %zu followers that the log does not reach",
           static_cast<unsigned long long>(copy_.header.applied_index), static_cast<unsigned long long>(copy_.size),
           transfers_.size());
}

void SnapshotSender::lengthen(Pause& pause, uint64_t now_us) {
  pause.length_us = std::clamp(2 * pause.length_us, kRefusedUs, kRefusedUsMax);
  pause.until_us = now_us + pause.length_us;
}

void SnapshotSender::fail_all(const std::string& why) {
  lengthen(own_failure_, environment_.clock.monotonic_us());
  LETO_LOG(kWarning, "a snapshot could not be sent and is tried again in %llu ms: %s",
           static_cast<unsigned long long>(own_failure_.length_us / 1000), why.c_str());
  for (const Transfer& transfer : std::exchange(transfers_, {})) replica_.raft().snapshot_failed(transfer.peer);
  drop_what_is_over();
}

std::optional<raft::Index> SnapshotSender::keeps_log_after() const {
  const std::optional<raft::Index> pinned = pins_.keeps_log_after();
  if (transfers_.empty()) return pinned;
  // Of the copy that is being made nothing is known but that it will not be older than the log's beginning.
  const bool is_known = copy_state_ == CopyState::kReady;
  const raft::Index sent = is_known ? copy_.header.applied_index : replica_.raft().first_index() - 1;
  return pinned ? std::min(sent, *pinned) : sent;
}

// --- Transfers -------------------------------------------------------------------------------------------

void SnapshotSender::leadership_lost() {
  transfers_.clear();
  pins_.clear();
  refusals_.clear();
  own_failure_ = {};
  drop_what_is_over();
}

bool SnapshotSender::is_over(const Transfer& transfer, uint64_t now_us) {
  const raft::Raft& raft = replica_.raft();
  const std::vector<raft::PeerView> peers = raft.peers();
  const auto peer = std::find_if(peers.begin(), peers.end(),
                                 [&](const raft::PeerView& view) { return view.node == transfer.peer; });
  if (peer == peers.end()) return true;
  const bool silent = transfer.owes_since_us != 0 && now_us - transfer.owes_since_us > kGiveUpUs;
  if (!peer->needs_snapshot) {
    // It has it, though its answer was lost.
    pins_.pin(transfer.peer);
    return true;
  }
  if (!silent || copy_state_ != CopyState::kReady) return false;
  LETO_LOG(kNotice, "snapshot: a follower has not answered for %llu s; it gets another one when it is back",
           static_cast<unsigned long long>(kGiveUpUs / kMicroseconds));
  replica_.raft().snapshot_failed(transfer.peer);
  return true;
}

void SnapshotSender::drop_what_is_over() {
  const uint64_t now_us = environment_.clock.monotonic_us();
  std::erase_if(transfers_, [&](const Transfer& transfer) { return is_over(transfer, now_us); });
  if (!transfers_.empty() || copy_state_ == CopyState::kNone) return;
  copy_state_ = CopyState::kNone;
  copy_was_refused_ = false;
  environment_.snapshot_disk.drop_copy();
}

void SnapshotSender::refill(uint64_t now_us) {
  const uint64_t elapsed_us = std::min(now_us - refilled_us_, kMicroseconds);
  refilled_us_ = now_us;
  // Of a low rate, less than a byte may come in a tick.
  const uint64_t gained = options_.snapshot_rate * elapsed_us + budget_rest_;
  budget_rest_ = gained % kMicroseconds;
  budget_bytes_ += static_cast<int64_t>(gained / kMicroseconds);
  if (options_.snapshot_rate == 0) budget_bytes_ = kBudgetBytesMax;
  // Nor more than a second's worth, also of a rate that was higher a moment ago.
  const uint64_t second = options_.snapshot_rate == 0 ? UINT64_MAX : options_.snapshot_rate;
  budget_bytes_ = std::min(budget_bytes_, static_cast<int64_t>(std::min<uint64_t>(second, kBudgetBytesMax)));
}

void SnapshotSender::check_bounds() const {
  LETO_ASSERT(transfers_.size() <= kTransfersMax, base::format("I15: %zu transfers", transfers_.size()));
  for (const Transfer& each : transfers_) {
    LETO_ASSERT(each.next <= each.acknowledged + kWindowBytes,
                base::format("I15: sent up to %llu, acknowledged %llu", static_cast<unsigned long long>(each.next),
                             static_cast<unsigned long long>(each.acknowledged)));
  }
}

void SnapshotSender::on_tick() {
  const uint64_t now_us = environment_.clock.monotonic_us();
  refill(now_us);
  pins_.on_tick();
  if (transfers_.empty()) return;
  drop_what_is_over();
  if (copy_state_ != CopyState::kReady) return;
  // The bound on kept log was reached: what was being sent leads nowhere any more.
  if (copy_.header.applied_index + 1 < replica_.raft().first_index()) return fail_all("the log behind it is gone");
  for (Transfer& transfer : transfers_) resend_if_silent(transfer, now_us);
  pump();
}

// An answer is missing: from what was acknowledged on; once everything was, with the question how far it is.
void SnapshotSender::resend_if_silent(Transfer& transfer, uint64_t now_us) {
  if (transfer.reading || now_us - transfer.moved_us < kResendUs) return;
  transfer.moved_us = now_us;
  transfer.next = transfer.acknowledged;
  if (transfer.acknowledged == copy_.size) send_chunk(transfer.peer, copy_.size, {});
}

// One chunk at a time is read for each, if its window allows it.
bool SnapshotSender::may_read(const Transfer& transfer) const {
  return !transfer.reading && transfer.next < std::min(copy_.size, transfer.acknowledged + kWindowBytes);
}

// Whoever waits longest; null if there is nobody to serve.
SnapshotSender::Transfer* SnapshotSender::next_to_serve() {
  Transfer* result = nullptr;
  for (Transfer& transfer : transfers_) {
    if (may_read(transfer) && (result == nullptr || transfer.served < result->served)) result = &transfer;
  }
  return result;
}

// Chunks in turn, as long as the rate allows it.
void SnapshotSender::pump() {
  while (copy_state_ == CopyState::kReady && budget_bytes_ > 0) {
    Transfer* const transfer = next_to_serve();
    if (transfer == nullptr) return;
    read(*transfer);
  }
}

void SnapshotSender::read(Transfer& transfer) {
  transfer.reading = true;
  transfer.served = ++reads_;
  const uint64_t limit = std::min(copy_.size, transfer.acknowledged + kWindowBytes);
  uint64_t bytes = std::min<uint64_t>(kChunkBytes, limit - transfer.next);
  // No more than a second's worth at once, or the follower takes the pause behind it for the end.
  if (options_.snapshot_rate != 0) bytes = std::min(bytes, std::max(options_.snapshot_rate, kChunkBytesMin));
  // Overdrawn by what is left of one chunk: that much later comes the next.
  budget_bytes_ -= static_cast<int64_t>(bytes);
  environment_.snapshot_disk.read(
      transfer.next, bytes,
      [this, peer = transfer.peer, snapshot = snapshot_, offset = transfer.next](base::Result<std::string> read) {
        if (snapshot == snapshot_) read_done(peer, offset, std::move(read));
      });
}

void SnapshotSender::read_done(raft::NodeId peer, uint64_t offset, base::Result<std::string> bytes) {
  if (!bytes.is_ok()) return fail_all(bytes.status().text());
  Transfer* transfer = find(peer);
  if (transfer == nullptr || !transfer->reading) return;
  transfer->reading = false;
  if (transfer->next != offset) return;
  transfer->next += bytes.value().size();
  transfer->moved_us = environment_.clock.monotonic_us();
  if (transfer->owes_since_us == 0) transfer->owes_since_us = transfer->moved_us;
  stats_.snapshot_bytes_sent += bytes.value().size();
  send_chunk(peer, offset, std::move(bytes.value()));
  pump();
}

void SnapshotSender::send_chunk(raft::NodeId peer, uint64_t offset, std::string bytes) {
  replica_.raft().send_snapshot(
      peer, {.snapshot = snapshot_,
             .last = {.term = copy_.header.applied_term, .index = copy_.header.applied_index},
             .size = copy_.size,
             .checksum = copy_.checksum,
             .offset = offset,
             .cluster_time_ms = 0,
             .data = std::make_shared<const std::string>(std::move(bytes))});
  environment_.waker.wake();
}

void SnapshotSender::on_answer(const raft::Message& message) {
  const auto& reply = std::get<raft::InstallSnapshotReply>(message.body);
  Transfer* transfer = find(message.from);
  if (transfer == nullptr || copy_state_ != CopyState::kReady || reply.snapshot != snapshot_) return;
  const uint64_t now_us = environment_.clock.monotonic_us();
  if (reply.answer == raft::SnapshotAnswer::kInstalled) return installed(message.from);
  if (reply.answer == raft::SnapshotAnswer::kRefused) {
    return refused(message.from);
  }
  if (reply.offset > copy_.size) return;
  if (reply.offset != transfer->acknowledged) transfer->moved_us = now_us;
  // Less than before: it begins anew, for instance after it was started again.
  if (reply.offset < transfer->acknowledged) transfer->next = reply.offset;
  transfer->acknowledged = reply.offset;
  transfer->next = std::max(transfer->next, reply.offset);
  // Once it has everything, it owes the answer that it installed it.
  const bool owes = transfer->next > transfer->acknowledged || transfer->acknowledged == copy_.size;
  transfer->owes_since_us = owes ? now_us : 0;
  pump();
}

void SnapshotSender::installed(raft::NodeId peer) {
  refusals_.erase(peer);
  own_failure_ = {};
  std::erase_if(transfers_, [peer](const Transfer& other) { return other.peer == peer; });
  pins_.pin(peer);
  drop_what_is_over();
}

// Its disk may be full, or it is of an older version, or what was sent is damaged.
void SnapshotSender::refused(raft::NodeId peer) {
  lengthen(refusals_[peer], environment_.clock.monotonic_us());
  copy_was_refused_ = true;
  std::erase_if(transfers_, [peer](const Transfer& other) { return other.peer == peer; });
  replica_.raft().snapshot_failed(peer);
  drop_what_is_over();
  verify_keys();
}

void SnapshotSender::verify_keys() {
  const uint64_t now_us = environment_.clock.monotonic_us();
  if (now_us < verify_after_us_) return;
  verify_after_us_ = now_us + kVerifyUs;
  environment_.snapshot_disk.verify(keys_generation_, [this](const base::Status& status) {
    if (status.is_ok()) return;
    LETO_LOG(kWarning, "a follower refused a snapshot, and the keys file here: %s", status.text().c_str());
    if (storage::is_damage(status.text())) replica_.on_damage(status.text());
  });
}

std::vector<SnapshotSender::View> SnapshotSender::views() const {
  std::vector<View> result;
  const uint64_t size = copy_state_ == CopyState::kReady ? copy_.size : 0;
  for (const Transfer& transfer : transfers_)
    result.push_back({.peer = transfer.peer, .sent = transfer.acknowledged, .size = size});
  return result;
}

}  // namespace leto::server
