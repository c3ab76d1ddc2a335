// What happened, event by event: hashed wholly, kept in part for the report of a failure, printed if wanted.
// Refuses to know why. Invariant: the hash depends on nothing but the events added.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "tests/sim/scheduler.h"

namespace leto::sim {

enum class EventKind : uint8_t {
  kText, kSend, kDeliver, kDrop, kWriteBegins, kWriteEnds, kFlushEnds, kRead, kCheckpoint, kInvoke, kReturn,
  kCommit, kApply,
};

struct TraceEvent {
  EventKind kind = EventKind::kText;
  size_t machine = 0;      // 0: none.
  uint64_t a = 0, b = 0, c = 0;   // What they mean depends on the kind; see trace.cc.
  std::string_view text = {};
};

class Trace {
 public:
  Trace(const Scheduler& scheduler, bool prints) : scheduler_(scheduler), prints_(prints) {}
  void add(const TraceEvent& event);
  void text(size_t machine, std::string_view text) { add({.kind = EventKind::kText, .machine = machine, .text = text}); }
  uint64_t hash() const { return hash_; }
  // The newest events, oldest first, one a line.
  std::string last_events() const;

 private:
  static constexpr size_t kKept = 120;
  struct Kept {
    Microseconds time = 0;
    TraceEvent event;
    std::string text;
  };
  static std::string line(const Kept& kept);

  const Scheduler& scheduler_;
  const bool prints_;
  uint64_t hash_ = 0;
  std::deque<Kept> kept_;
};

}  // namespace leto::sim
