// One thread's waiting: descriptors, timers, and conditions to wait for, over poll(2). Refuses to know what is waited for.
// Invariant: no callback runs for a descriptor or a timer after it was forgotten, even if its number was given anew.
#pragma once

#include <poll.h>

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace leto::chaos {

using Milliseconds = uint64_t;

class Loop {
 public:
  using OnEvents = std::function<void(short events)>;
  using Timer = std::pair<Milliseconds, uint64_t>;   // Due at, number.

  // Calls back while one of `events` (of poll) is there. One callback per descriptor.
  void watch(int descriptor, short events, OnEvents on_events);
  // REQUIRES: it is watched.
  void set_events(int descriptor, short events) { watched_.at(descriptor).events = events; }
  void forget(int descriptor) { watched_.erase(descriptor); }

  Timer after(Milliseconds delay, std::function<void()> action);
  void cancel(const Timer& timer) { timers_.erase(timer); }
  // For when those who asked for them are gone.
  void cancel_all() { timers_.clear(); }
  // Of the monotonic clock.
  static Milliseconds now();

  // Goes round until `done`, which is asked after each round, or `length` has passed, or somebody interrupted. Whether it is done.
  // REQUIRES: not called by a callback.
  bool run_until(Milliseconds length, const std::function<bool()>& done);
  void run_for(Milliseconds length) {
    run_until(length, [] { return false; });
  }
  // From now on run_until() returns false at once.
  void interrupt() { interrupted_ = true; }
  bool interrupted() const { return interrupted_; }

 private:
  struct Watched {
    uint64_t generation = 0;
    short events = 0;
    OnEvents on_events;
  };
  void go_round(Milliseconds longest);
  void run_timers();

  std::map<int, Watched> watched_;
  std::map<Timer, std::function<void()>> timers_;
  uint64_t last_number_ = 0;
  bool interrupted_ = false;
  bool running_ = false;
};

}  // namespace leto::chaos
