// Virtual time: one queue of events, ordered by (time, number). Time passes only from event to event, and
// events of one time run in the order in which they were asked for. Refuses to know what an event does.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace leto::sim {

using Microseconds = uint64_t;

inline constexpr Microseconds kMillisecond = 1000;
inline constexpr Microseconds kSecond = 1000 * kMillisecond;

class Scheduler {
 public:
  using Action = std::function<void()>;

  Microseconds now() const { return now_; }
  void at(Microseconds time, Action action);
  void after(Microseconds delay, Action action) { at(now_ + delay, std::move(action)); }
  // False if nothing is left to happen.
  bool run_next();
  uint64_t events_run() const { return events_run_; }

 private:
  struct Event {
    Microseconds time = 0;
    uint64_t number = 0;
    Action action;
  };
  static bool later(const Event& a, const Event& b) {
    return a.time != b.time ? a.time > b.time : a.number > b.number;
  }

  Microseconds now_ = 0;
  uint64_t next_number_ = 0;
  uint64_t events_run_ = 0;
  std::vector<Event> heap_;
};

}  // namespace leto::sim
