#include "server/uv_jobs.h"

#include <utility>

#include "base/assert.h"
#include "base/format.h"

namespace leto::server {

UvJobs::UvJobs(Loop& loop) : loop_(loop) { request_.data = this; }

UvJobs::~UvJobs() { LETO_ASSERT(quiet(), "a job outlives its runner"); }

void UvJobs::run(std::function<void()> work, std::function<void()> done) {
  waiting_.push_back({.work = std::move(work), .done = std::move(done)});
  start_next();
}

void UvJobs::start_next() {
  if (in_flight_ || waiting_.empty()) return;
  job_ = std::move(waiting_.front());
  waiting_.pop_front();
  in_flight_ = true;
  const int code = uv_queue_work(
      loop_.uv(), &request_, [](uv_work_t* request) { static_cast<UvJobs*>(request->data)->job_.work(); },
      [](uv_work_t* request, int) { static_cast<UvJobs*>(request->data)->work_done(); });
  LETO_ASSERT(code == 0, base::format("uv_queue_work: %s", uv_strerror(code)));
}

void UvJobs::work_done() {
  const Job job = std::exchange(job_, {});
  in_flight_ = false;
  job.done();
  start_next();
}

}  // namespace leto::server
