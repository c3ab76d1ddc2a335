#include "tests/chaos/loop.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/assert.h"

namespace leto::chaos {

namespace {

constexpr Milliseconds kLongestWait = 20;   // So that conditions are asked often enough.

}  // namespace

Milliseconds Loop::now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<Milliseconds>(std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
}

void Loop::watch(int descriptor, short events, OnEvents on_events) {
  watched_[descriptor] = {.generation = ++last_number_, .events = events, .on_events = std::move(on_events)};
}

Loop::Timer Loop::after(Milliseconds delay, std::function<void()> action) {
  const Timer timer{now() + delay, ++last_number_};
  timers_.emplace(timer, std::move(action));
  return timer;
}

bool Loop::run_until(Milliseconds length, const std::function<bool()>& done) {
  LETO_ASSERT(!running_, "the loop was asked to run by one of its callbacks");
  running_ = true;
  const Milliseconds end = now() + length;
  bool is_done = !interrupted_ && done();
  for (Milliseconds time = now(); !is_done && !interrupted_ && time < end; time = now()) {
    go_round(std::min(end - time, kLongestWait));
    is_done = !interrupted_ && done();
  }
  running_ = false;
  return is_done;
}

void Loop::run_timers() {
  const Timer last{now(), last_number_};
  while (!timers_.empty() && timers_.begin()->first <= last) {
    const std::function<void()> action = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    action();
  }
}

void Loop::go_round(Milliseconds longest) {
  run_timers();
  std::vector<pollfd> polled;
  std::vector<uint64_t> generations;
  for (const auto& [descriptor, watched] : watched_) {
    polled.push_back({.fd = descriptor, .events = watched.events, .revents = 0});
    generations.push_back(watched.generation);
  }
  if (!timers_.empty()) {
    const Milliseconds due = timers_.begin()->first.first, time = now();
    longest = std::min(longest, due > time ? due - time : 0);
  }
  if (poll(polled.data(), polled.size(), static_cast<int>(longest)) <= 0) return;
  for (size_t i = 0; i < polled.size(); ++i) {
    if (polled[i].revents == 0) continue;
    const auto found = watched_.find(polled[i].fd);
    if (found == watched_.end() || found->second.generation != generations[i]) continue;
    const OnEvents on_events = found->second.on_events;
    on_events(polled[i].revents);
  }
}

}  // namespace leto::chaos
