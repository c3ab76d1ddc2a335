#include "server/worker.h"

#include <doctest/doctest.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "tests/base/thread_cpu.h"
#include "tests/server/loop_fixture.h"

namespace leto::server {
namespace {

TEST_CASE("worker: work runs beside the loop, its end is announced on it") {
  Loop loop;
  loop.start({});
  Worker worker(loop);
  std::thread::id worked;
  std::thread::id announced;
  worker.run([&] { worked = std::this_thread::get_id(); }, [&] { announced = std::this_thread::get_id(); });
  CHECK(worker.busy());
  REQUIRE(test::wait_for_condition(loop, [&] { return !worker.busy(); }));
  CHECK(worked != std::thread::id());
  CHECK(worked != std::this_thread::get_id());
  CHECK(announced == std::this_thread::get_id());
}

TEST_CASE("worker: what a job holds is let go before its end is announced") {
  Loop loop;
  loop.start({});
  Worker worker(loop);
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = held;
  bool gone = false;
  worker.run([held = std::move(held)] {}, [&] { gone = seen.expired(); });
  REQUIRE(test::wait_for_condition(loop, [&] { return !worker.busy(); }));
  CHECK(gone);
}

TEST_CASE("worker: a loop that has nothing else to do waits for the job, and not for an idle worker") {
  Loop loop;
  Worker worker(loop);
  bool done = false;
  worker.run([] { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }, [&] { done = true; });
  loop.run();
  CHECK(done);
  loop.run();
}

// The thread keeps to the one processor that it is on, until this is gone.
class OneProcessor {
 public:
  OneProcessor() {
    sched_getaffinity(0, sizeof(before_), &before_);
    CPU_ZERO(&one_);
    CPU_SET(static_cast<size_t>(sched_getcpu()), &one_);
    REQUIRE(sched_setaffinity(0, sizeof(one_), &one_) == 0);
  }
  ~OneProcessor() { sched_setaffinity(0, sizeof(before_), &before_); }

  // The calling thread shares the processor, and is put off it by any that it wakes.
  void share_and_give_way() const {
    const sched_param none{};
    CHECK(sched_setaffinity(0, sizeof(one_), &one_) == 0);
    CHECK(sched_setscheduler(0, SCHED_IDLE, &none) == 0);
  }

 private:
  cpu_set_t before_;
  cpu_set_t one_;
};

// What the loop's thread spends on a job of `work`, in the middle of many.
uint64_t median_cpu_us(Loop& loop, Worker& worker, const std::function<void()>& work) {
  std::vector<uint64_t> spent_us;
  for (int i = 0; i < 101; ++i) {
    const uint64_t before_us = base::thread_cpu_us();
    worker.run(work, [] {});
    REQUIRE(test::wait_for_condition(loop, [&] { return !worker.busy(); }));
    spent_us.push_back(base::thread_cpu_us() - before_us);
  }
  std::ranges::sort(spent_us);
  return spent_us[spent_us.size() / 2];
}

// With libuv's pool it is 32 us instead of 5: it spins before it lets the other thread go on.
bool costs_no_more_when_put_off(const OneProcessor& processor) {
  Loop loop;   // Without ticks: who waits longer would have more of them to its account.
  Worker worker(loop);
  const uint64_t usual_us = median_cpu_us(loop, worker, [] {});
  const uint64_t put_off_us = median_cpu_us(loop, worker, [&] { processor.share_and_give_way(); });
  return put_off_us < 4 * usual_us + 4;
}

TEST_CASE("worker: a thread that is put off its processor while it announces costs the loop no time") {
  const OneProcessor processor;
  CHECK(base::is_cheap_in_a_round([&] { return costs_no_more_when_put_off(processor); }));
}

}  // namespace
}  // namespace leto::server
