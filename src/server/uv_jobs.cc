#include "server/uv_jobs.h"

#include <utility>

#include "base/assert.h"

namespace leto::server {

UvJobs::~UvJobs() { LETO_ASSERT(quiet(), "a job outlives its runner"); }

void UvJobs::run(std::function<void()> work, std::function<void()> done) {
  waiting_.push_back({.work = std::move(work), .done = std::move(done)});
  start_next();
}

void UvJobs::start_next() {
  if (worker_.busy() || waiting_.empty()) return;
  Job job = std::move(waiting_.front());
  waiting_.pop_front();
  worker_.run(std::move(job.work), [this, done = std::move(job.done)] {
    done();
    start_next();
  });
}

}  // namespace leto::server
