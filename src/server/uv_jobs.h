// Jobs on libuv's thread pool, one at a time for each runner. Refuses to know what they do.
// Invariant: what a job touches is touched by nobody else between run() and its `done`.
#pragma once

#include <uv.h>

#include <deque>
#include <functional>

#include "server/environment.h"
#include "server/loop.h"

namespace leto::server {

class UvJobs final : public JobRunner {
 public:
  explicit UvJobs(Loop& loop);
  // REQUIRES: quiet().
  ~UvJobs() override;

  void run(std::function<void()> work, std::function<void()> done) override;
  // Nothing in flight and nothing waits.
  bool quiet() const { return !in_flight_ && waiting_.empty(); }

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  void start_next();
  void work_done();

  Loop& loop_;
  uv_work_t request_{};
  Job job_;
  bool in_flight_ = false;
  std::deque<Job> waiting_;
};

}  // namespace leto::server
