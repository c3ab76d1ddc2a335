// The libuv loop of the process: turns, ticks, time and waking. Refuses to know what a turn does.
//
// A turn ends in uv_prepare, when all callbacks of the poll before it have run: there the turn handler
// runs, and then the loop sleeps in poll unless somebody asked for another turn. wake() costs no system
// call: an idle handle makes the next poll return at once.
#pragma once

#include <uv.h>

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "server/environment.h"
#include "server/tick.h"

namespace leto::server {

// A call of libuv that only a bug or a lack of memory makes fail: ends the process unless `code` is 0. The text of the error is
// made then alone: uv_strerror() of a code that libuv does not know, as 0, allocates what nobody frees.
void check_uv(int code, const char* what);

class Loop final : public Clock, public Waker {
 public:
  // What runs in the loop. `tick` is called every kTickMs, and as Ticks says for those that come late.
  struct Handlers {
    std::function<void()> turn;
    std::function<void()> tick;
    // Thread CPU time of each whole turn in microseconds, poll included, at its end.
    std::function<void(uint64_t)> measured{};
  };

  Loop();
  // REQUIRES: the owners of all other handles have closed them. Waits for their close callbacks.
  ~Loop() override;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  uv_loop_t* uv() { return &loop_; }
  void start(Handlers handlers);
  // Until stop(). Turns go on meanwhile.
  void run();
  void stop() { uv_stop(&loop_); }
  // No more turns and ticks; from here on run_leftovers() lets the remaining handles finish.
  void end_turns();
  // Runs what is left, at most `milliseconds_max`. True if nothing is left.
  bool run_leftovers(uint64_t milliseconds_max);

  // Runs `work` at the start of the next turn, outside whatever is being done now.
  void defer(std::function<void()> work);

  // Goes on while the machine is suspended: what was promised to others goes on there, too.
  uint64_t monotonic_us() override;
  uint64_t wall_ms() override;
  uint64_t stopwatch_ns() override { return uv_hrtime(); }
  // Cached at the start of the poll phase: cheap, and good enough for time-outs of seconds.
  uint64_t now_ms() const { return uv_now(&loop_); }
  void wake() override;
  void wake_after_us(uint64_t microseconds) override;

  // Where every stream reads into: used within one read callback, never kept.
  struct ReadBuffer {
    char* data;
    size_t size;
  };
  ReadBuffer read_buffer() { return {read_buffer_.data(), read_buffer_.size()}; }

 private:
  static constexpr size_t kReadBytes = 64 << 10;

  void on_prepare();
  void on_tick_timer();
  void arrange_wake();
  void run_deferred();
  void measure_turn();

  uv_loop_t loop_{};
  uv_prepare_t prepare_{};
  uv_idle_t idle_{};
  uv_timer_t tick_timer_{};
  uv_timer_t wake_timer_{};
  Handlers handlers_;
  std::vector<std::function<void()>> deferred_;
  bool wake_wanted_ = false;
  uint64_t wake_at_us_ = 0;       // 0: no wish.
  Ticks ticks_;
  uint64_t last_cpu_us_ = 0;
  std::array<char, kReadBytes> read_buffer_;
};

// A one-shot timer that may be destroyed at any time, also while it fires.
class Timer {
 public:
  explicit Timer(Loop& loop);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  // Replaces what was wanted before.
  void start(uint64_t milliseconds, std::function<void()> fire);
  void stop();

 private:
  struct Handle {
    uv_timer_t timer;
    std::function<void()> fire;
  };
  Handle* handle_;
};

}  // namespace leto::server
