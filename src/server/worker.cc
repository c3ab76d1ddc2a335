#include "server/worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/format.h"

namespace leto::server {

Worker::Worker(Loop& loop) : loop_(loop), event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), poll_(new uv_poll_t) {
  LETO_ASSERT(event_ >= 0, base::format("eventfd: %s", std::strerror(errno)));
  check_uv(uv_poll_init(loop_.uv(), poll_, event_), "uv_poll_init");
  poll_->data = this;
  check_uv(uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* poll, int, int) { static_cast<Worker*>(poll->data)->on_event(); }),
           "uv_poll_start");
  // Idle, it does not keep the loop alive.
  uv_unref(reinterpret_cast<uv_handle_t*>(poll_));
}

Worker::~Worker() {
  LETO_ASSERT(!busy_, "a job outlives its worker");
  if (started_) {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wanted_.notify_one();
    uv_thread_join(&thread_);
  }
  uv_close(reinterpret_cast<uv_handle_t*>(poll_), [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
  ::close(event_);
}

void Worker::run(std::function<void()> work, std::function<void()> done) {
  LETO_ASSERT(!busy_, "a second job before the first has ended");
  if (!started_) start_thread();
  busy_ = true;
  done_ = std::move(done);
  uv_ref(reinterpret_cast<uv_handle_t*>(poll_));
  {
    const std::lock_guard lock(mutex_);
    work_ = std::move(work);
  }
  wanted_.notify_one();
}

void Worker::start_thread() {
  check_uv(uv_thread_create(&thread_, [](void* worker) { static_cast<Worker*>(worker)->serve(); }, this), "uv_thread_create");
  started_ = true;
}

// In the worker's thread.
void Worker::serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    wanted_.wait(lock, [this] { return ending_ || work_ != nullptr; });
    if (ending_) return;
    std::function<void()> work = std::exchange(work_, nullptr);
    lock.unlock();
    work();
    work = nullptr;   // What it holds is the loop's again.
    lock.lock();
    finished_ = true;
    lock.unlock();
    const uint64_t one = 1;
    const ssize_t written = ::write(event_, &one, sizeof(one));
    LETO_ASSERT(written == sizeof(one), base::format("write to an eventfd: %s", std::strerror(errno)));
    lock.lock();
  }
}

void Worker::on_event() {
  uint64_t count = 0;
  if (::read(event_, &count, sizeof(count)) != sizeof(count)) return;
  {
    const std::lock_guard lock(mutex_);
    LETO_ASSERT(std::exchange(finished_, false) && count == 1, base::format("%llu ends of one job",
                                                                          static_cast<unsigned long long>(count)));
  }
  busy_ = false;
  uv_unref(reinterpret_cast<uv_handle_t*>(poll_));
  std::exchange(done_, nullptr)();
}

}  // namespace leto::server
