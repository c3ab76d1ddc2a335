#include "server/loop.h"

#include <sys/time.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"

namespace leto::server {

namespace {

// Wishes nearer than this are met by polling without sleeping: libuv's timers count milliseconds.
constexpr uint64_t kSpinUsMax = 1000;
constexpr uint64_t kStoodStillTicks = 100;

uint64_t clock_us(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

uint64_t thread_cpu_us() { return clock_us(CLOCK_THREAD_CPUTIME_ID); }

template <typename Handle>
void close_handle(Handle& handle) {
  uv_close(reinterpret_cast<uv_handle_t*>(&handle), nullptr);
}

}  // namespace

void check_uv(int code, const char* what) { LETO_ASSERT(code == 0, base::format("%s: %s", what, uv_strerror(code))); }

Loop::Loop() {
  check_uv(uv_loop_init(&loop_), "uv_loop_init");
  check_uv(uv_prepare_init(&loop_, &prepare_), "uv_prepare_init");
  check_uv(uv_idle_init(&loop_, &idle_), "uv_idle_init");
  check_uv(uv_timer_init(&loop_, &tick_timer_), "uv_timer_init");
  check_uv(uv_timer_init(&loop_, &wake_timer_), "uv_timer_init");
  prepare_.data = idle_.data = tick_timer_.data = wake_timer_.data = this;
}

Loop::~Loop() {
  close_handle(prepare_);
  close_handle(idle_);
  close_handle(tick_timer_);
  close_handle(wake_timer_);
  uv_run(&loop_, UV_RUN_DEFAULT);
  check_uv(uv_loop_close(&loop_), "uv_loop_close");
}

void Loop::start(Handlers handlers) {
  handlers_ = std::move(handlers);
  ticks_.begin(monotonic_us());
  last_cpu_us_ = thread_cpu_us();
  check_uv(uv_prepare_start(&prepare_, [](uv_prepare_t* handle) { static_cast<Loop*>(handle->data)->on_prepare(); }),
        "uv_prepare_start");
  check_uv(uv_timer_start(
            &tick_timer_, [](uv_timer_t* handle) { static_cast<Loop*>(handle->data)->on_tick_timer(); }, kTickMs,
            kTickMs),
        "uv_timer_start");
}

void Loop::run() { uv_run(&loop_, UV_RUN_DEFAULT); }

void Loop::end_turns() {
  uv_prepare_stop(&prepare_);
  uv_idle_stop(&idle_);
  uv_timer_stop(&tick_timer_);
  uv_timer_stop(&wake_timer_);
  handlers_ = {};
  deferred_.clear();
}

bool Loop::run_leftovers(uint64_t milliseconds_max) {
  check_uv(uv_timer_start(&wake_timer_, [](uv_timer_t* handle) { uv_stop(handle->loop); }, milliseconds_max, 0),
        "uv_timer_start");
  // The timer must not keep the loop alive when nothing else does.
  uv_unref(reinterpret_cast<uv_handle_t*>(&wake_timer_));
  const bool left = uv_run(&loop_, UV_RUN_DEFAULT) != 0;
  uv_timer_stop(&wake_timer_);
  uv_ref(reinterpret_cast<uv_handle_t*>(&wake_timer_));
  return !left;
}

void Loop::defer(std::function<void()> work) {
  deferred_.push_back(std::move(work));
  wake();
}

uint64_t Loop::wall_ms() {
  timeval now{};
  gettimeofday(&now, nullptr);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_usec) / 1000;
}

uint64_t Loop::monotonic_us() { return clock_us(CLOCK_BOOTTIME); }

// Whoever wishes runs inside a turn, or in a callback that a turn follows before the next poll: so it is
// enough that the turn arranges the poll.
void Loop::wake() { wake_wanted_ = true; }

void Loop::wake_after_us(uint64_t microseconds) {
  const uint64_t at = monotonic_us() + microseconds;
  if (wake_at_us_ == 0 || at < wake_at_us_) wake_at_us_ = at;
}

void Loop::on_prepare() {
  // What was wished before is granted by this very turn.
  wake_wanted_ = false;
  if (wake_at_us_ != 0 && monotonic_us() >= wake_at_us_) wake_at_us_ = 0;
  run_deferred();
  if (handlers_.turn) handlers_.turn();
  arrange_wake();
  measure_turn();
}

void Loop::run_deferred() {
  std::vector<std::function<void()>> work;
  work.swap(deferred_);
  for (std::function<void()>& each : work) each();
}

// Decides how the poll that follows sleeps: not at all, until a timer, or until something happens.
void Loop::arrange_wake() {
  const uint64_t now_us = wake_at_us_ == 0 ? 0 : monotonic_us();
  const uint64_t left_us = wake_at_us_ > now_us ? wake_at_us_ - now_us : 0;
  const bool far = wake_at_us_ == 0 || left_us > kSpinUsMax;
  if (wake_wanted_ || !far) {
    if (!uv_is_active(reinterpret_cast<uv_handle_t*>(&idle_))) uv_idle_start(&idle_, [](uv_idle_t*) {});
    return;
  }
  uv_idle_stop(&idle_);
  if (wake_at_us_ != 0) {
    // Rounded down: the last fraction of a millisecond is polled away.
    uv_timer_start(&wake_timer_, [](uv_timer_t*) {}, left_us / 1000, 0);
  }
}

void Loop::measure_turn() {
  const uint64_t now_us = thread_cpu_us();
  const uint64_t took_us = now_us - std::exchange(last_cpu_us_, now_us);
  if (handlers_.measured) handlers_.measured(took_us);
}

void Loop::on_tick_timer() {
  const uint64_t passed = ticks_.count(monotonic_us());
  if (passed >= kStoodStillTicks) {
    LETO_LOG(kWarning, "the event loop stood still for %llu ms", static_cast<unsigned long long>(passed * kTickMs));
  }
  for (uint64_t call = Ticks::due(passed); call > 0 && handlers_.tick; --call) handlers_.tick();
}

Timer::Timer(Loop& loop) : handle_(new Handle) {
  check_uv(uv_timer_init(loop.uv(), &handle_->timer), "uv_timer_init");
  handle_->timer.data = handle_;
}

Timer::~Timer() {
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->timer),
           [](uv_handle_t* handle) { delete static_cast<Handle*>(handle->data); });
}

void Timer::start(uint64_t milliseconds, std::function<void()> fire) {
  handle_->fire = std::move(fire);
  const auto run = [](uv_timer_t* timer) {
    // Moved out, because firing may destroy the Timer or start it again.
    std::function<void()> work = std::move(static_cast<Handle*>(timer->data)->fire);
    if (work) work();
  };
  check_uv(uv_timer_start(&handle_->timer, run, milliseconds, 0), "uv_timer_start");
}

void Timer::stop() {
  uv_timer_stop(&handle_->timer);
  handle_->fire = nullptr;
}

}  // namespace leto::server
