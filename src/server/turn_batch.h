// The writes of a turn on their way into log entries: at most kEntryBytesTarget and kEntryCommandsMax each, a
// larger command alone. Remembers who waits for which position of which entry.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "command/entry.h"
#include "server/session.h"

namespace leto::server {

inline constexpr size_t kEntryBytesTarget = 1 << 20;
// An entry is applied whole, within one turn of the loop.
inline constexpr size_t kEntryCommandsMax = 256;

struct Waiter {
  SessionRef session;
  Session::Sequence sequence = 0;
};

// An entry that is not yet proposed.
struct ReadyEntry {
  command::EntryBuilder commands;
  std::vector<Waiter> waiters;   // One per command, in order; may be moved away by whoever proposes it.
  size_t count = 0;
  size_t bytes = 0;              // Of the commands, without the entry's header.
};

class TurnBatch {
 public:
  void add(const SessionRef& session, Session::Sequence sequence, uint32_t database,
           resp::Arguments arguments);
  bool empty() const { return entries_.empty(); }
  // True if the first entry will take no more commands.
  bool first_is_full() const { return entries_.size() > 1; }
  size_t commands() const { return commands_; }
  size_t bytes() const { return bytes_; }
  ReadyEntry& front() { return entries_.front(); }
  void pop_front();

 private:
  std::deque<ReadyEntry> entries_;
  size_t commands_ = 0;
  size_t bytes_ = 0;
};

}  // namespace leto::server
