// Jobs beside the loop, one at a time for each runner. Refuses to know what they do.
// Invariant: what a job touches is touched by nobody else between run() and its `done`.
#pragma once

#include <deque>
#include <functional>

#include "server/environment.h"
#include "server/worker.h"

namespace leto::server {

class UvJobs final : public JobRunner {
 public:
  explicit UvJobs(Loop& loop) : worker_(loop) {}
  // REQUIRES: quiet().
  ~UvJobs() override;

  void run(std::function<void()> work, std::function<void()> done) override;
  // Nothing in flight and nothing waits.
  bool quiet() const { return !worker_.busy() && waiting_.empty(); }

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  void start_next();

  Worker worker_;
  std::deque<Job> waiting_;
};

}  // namespace leto::server
