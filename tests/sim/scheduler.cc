#include "tests/sim/scheduler.h"

#include <algorithm>
#include <utility>

namespace leto::sim {

void Scheduler::at(Microseconds time, Action action) {
  heap_.push_back({.time = std::max(time, now_), .number = next_number_++, .action = std::move(action)});
  std::push_heap(heap_.begin(), heap_.end(), later);
}

bool Scheduler::run_next() {
  if (heap_.empty()) return false;
  std::pop_heap(heap_.begin(), heap_.end(), later);
  const Event event = std::move(heap_.back());
  heap_.pop_back();
  now_ = event.time;
  ++events_run_;
  event.action();
  return true;
}

}  // namespace leto::sim
