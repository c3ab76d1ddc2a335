// A thread beside the loop that runs one job at a time and announces its end on the loop's thread. Refuses to know what
// the job does.
//
// Not libuv's thread pool: there the loop spins for as long as a thread is off its processor in the midst of announcing,
// and waking the loop is what puts it off. On a busy machine that was up to 20 ms of a turn.
//
// Invariant: what a job touches is touched by nobody else between run() and its `done`.
#pragma once

#include <uv.h>

#include <condition_variable>
#include <functional>
#include <mutex>

#include "server/loop.h"

namespace leto::server {

class Worker {
 public:
  explicit Worker(Loop& loop);
  // REQUIRES: !busy().
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // `work` runs in the worker's thread, then `done` in the loop's, where it may ask for the next. The loop does not end
  // before it. REQUIRES: !busy().
  void run(std::function<void()> work, std::function<void()> done);
  bool busy() const { return busy_; }

 private:
  void start_thread();
  void serve();
  void on_event();

  Loop& loop_;
  int event_ = -1;             // An eventfd: readable when a job has ended.
  uv_poll_t* poll_ = nullptr;  // Closed by the loop after this is gone.
  bool started_ = false;
  uv_thread_t thread_{};
  bool busy_ = false;
  std::function<void()> done_;

  std::mutex mutex_;           // Of what follows.
  std::condition_variable wanted_;
  std::function<void()> work_;
  bool finished_ = false;
  bool ending_ = false;
};

}  // namespace leto::server
