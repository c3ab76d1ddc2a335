#include "raft/writes.h"

#include <algorithm>
#include <cinttypes>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"

namespace leto::raft {

namespace {
// Replies that wait for a slow disk without a Write of their own. A reply may always be lost.
constexpr size_t kDeferredMax = 4096;

bool changes_log(const Write& write) { return write.install || write.truncate_from || !write.append.empty(); }
}  // namespace

WriteQueue::WriteQueue(const HardState& hard_state, Index durable_index)
    : durable_index_(durable_index), hard_state_(hard_state), durable_hard_state_(hard_state) {}

Write& WriteQueue::open_write() { return open_.empty() ? new_write() : open_.back(); }

Write& WriteQueue::new_write() {
  Write write;
  write.seq = next_seq_;
  open_.push_back(std::move(write));
  in_flight_.push_back({.seq = next_seq_, .raises_to = 0, .hard_state = {}});
  ++next_seq_;
  return open_.back();
}

void WriteQueue::set_hard_state(const HardState& hard_state) {
  if (hard_state == hard_state_) return;
  LETO_ASSERT(hard_state.term > hard_state_.term ||
                  (hard_state.term == hard_state_.term && hard_state_.voted_for == kNobody),
              base::format("term %" PRIu64 " after %" PRIu64 ", or a second vote", hard_state.term, hard_state_.term));
  hard_state_ = hard_state;
  open_write().hard_state = hard_state;
  in_flight_.back().hard_state = hard_state;
}

void WriteQueue::append(const Entry& entry) {
  open_write().append.push_back(entry);
  in_flight_.back().raises_to = entry.id.index;
}

void WriteQueue::truncate_from(Index index) {
  // A Write truncates before it appends; a truncation of what it appends needs the next one.
  if (!open_.empty() && changes_log(open_.back())) new_write();
  open_write().truncate_from = index;
  lower_durable(index - 1);
}

void WriteQueue::install(SnapshotInstall install, Index survives) {
  LETO_ASSERT(install.keeps_log || survives < install.last.index,
              base::format("D9: %" PRIu64 " survives a snapshot at %" PRIu64, survives, install.last.index));
  if (!open_.empty() && changes_log(open_.back())) new_write();
  if (!install.keeps_log) lower_durable(survives);
  Write& write = open_write();
  if (!install.keeps_log) in_flight_.back().raises_to = install.last.index;
  write.install = std::move(install);
}

void WriteQueue::lower_durable(Index survives) {
  durable_index_ = std::min(durable_index_, survives);
  for (InFlight& write : in_flight_) write.raises_to = std::min(write.raises_to, survives);
}

void WriteQueue::after_durable(Message message) {
  LETO_ASSERT(!all_durable(), "a message that waits for nothing");
  if (!open_.empty()) {
    open_.back().after_durable.push_back(std::move(message));
  } else if (deferred_.size() < kDeferredMax) {
    deferred_.push_back({.seq = in_flight_.back().seq, .message = std::move(message)});
  } else {
    LETO_LOG(kDebug, "raft: a reply to %016" PRIx64 " dropped: %zu wait for the disk", message.to, deferred_.size());
  }
}

std::vector<Write> WriteQueue::take() {
  for (size_t i = 0; i < open_.size(); ++i) {
    assert_atomic(open_[i]);
    assert_messages_wait(open_[i], in_flight_[in_flight_.size() - open_.size() + i]);
  }
  return std::exchange(open_, {});
}

void WriteQueue::complete(WriteSeq seq, std::vector<Message>& released) {
  LETO_ASSERT(!in_flight_.empty() && seq >= in_flight_.front().seq && seq + open_.size() < next_seq_,
              base::format("D8: completion of write %" PRIu64 ", next %" PRIu64 ", %zu in flight, %zu not taken", seq,
                           next_seq_, in_flight_.size(), open_.size()));
  while (!in_flight_.empty() && in_flight_.front().seq <= seq) {
    const InFlight& write = in_flight_.front();
    if (write.hard_state) durable_hard_state_ = *write.hard_state;
    durable_index_ = std::max(durable_index_, write.raises_to);
    in_flight_.pop_front();
  }
  while (!deferred_.empty() && deferred_.front().seq <= seq) {
    released.push_back(std::move(deferred_.front().message));
    deferred_.pop_front();
  }
}

void WriteQueue::assert_atomic(const Write& write) const {
  LETO_ASSERT(!write.install || !write.truncate_from, "D9: a truncation in the write that installs a snapshot");
  const bool begins_log = write.install && !write.install->keeps_log;
  LETO_ASSERT(!begins_log || write.append.empty() ||
                  write.append.front().id.index == write.install->last.index + 1,
              base::format("D9: an append at %" PRIu64 " behind a snapshot at %" PRIu64,
                           write.append.front().id.index, write.install->last.index));
  if (!write.truncate_from || write.append.empty()) return;
  LETO_ASSERT(write.append.front().id.index == *write.truncate_from,
              base::format("D4: truncation at %" PRIu64 ", append at %" PRIu64, *write.truncate_from,
                           write.append.front().id.index));
}

// What a message promises must be covered by this Write or by those before it. Messages of a term that
// was left since promise nothing: whoever reads them counts only its own term.
void WriteQueue::assert_messages_wait(const Write& write, const InFlight& in_flight) const {
  Index covered = durable_index_;
  HardState hard_state = durable_hard_state_;
  for (const InFlight& earlier : in_flight_) {
    if (earlier.seq > in_flight.seq) break;
    covered = std::max(covered, earlier.raises_to);
    if (earlier.hard_state) hard_state = *earlier.hard_state;
  }
  for (const Message& message : write.after_durable) {
    if (message.term != hard_state_.term) continue;
    LETO_ASSERT(message.term <= hard_state.term,
                base::format("D1-D3: a message of term %" PRIu64 " waits for term %" PRIu64, message.term,
                             hard_state.term));
    const auto* reply = std::get_if<AppendEntriesReply>(&message.body);
    LETO_ASSERT(!reply || !reply->accepted || reply->match <= covered,
                base::format("D3: match %" PRIu64 " waits for %" PRIu64, reply->match, covered));
    const auto* installed = std::get_if<InstallSnapshotReply>(&message.body);
    LETO_ASSERT(!installed || installed->answer != SnapshotAnswer::kInstalled || installed->match <= covered,
                base::format("D9: installed %" PRIu64 " waits for %" PRIu64, installed->match, covered));
  }
}

}  // namespace leto::raft
