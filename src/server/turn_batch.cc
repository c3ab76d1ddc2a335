#include "server/turn_batch.h"

namespace leto::server {

void TurnBatch::add(const SessionRef& session, Session::Sequence sequence, uint32_t database,
                    resp::Arguments arguments) {
  const size_t size = command::EntryBuilder::encoded_size(arguments);
  const bool fits = !entries_.empty() && entries_.back().count < kEntryCommandsMax &&
                    entries_.back().commands.bytes() + size <= kEntryBytesTarget;
  if (!fits) entries_.emplace_back();
  ReadyEntry& entry = entries_.back();
  entry.commands.add(database, arguments);
  entry.waiters.push_back({.session = session, .sequence = sequence});
  ++entry.count;
  ++commands_;
  entry.bytes += size;
  bytes_ += size;
}

void TurnBatch::pop_front() {
  commands_ -= entries_.front().count;
  bytes_ -= entries_.front().bytes;
  entries_.pop_front();
}

}  // namespace leto::server
