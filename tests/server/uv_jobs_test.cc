// Jobs beside the loop: one at a time, in order, announced on the loop.
#include "server/uv_jobs.h"

#include <doctest/doctest.h>

#include <thread>

#include "tests/server/loop_fixture.h"

namespace leto::server {
namespace {

TEST_CASE("jobs run beside the loop, one at a time and in order, and are announced on it") {
  Loop loop;
  loop.start({});
  UvJobs jobs(loop);
  const std::thread::id here = std::this_thread::get_id();
  std::string said;
  for (const char name : {'a', 'b', 'c'}) {
    jobs.run([&said, here, name] { said += here == std::this_thread::get_id() ? '!' : name; },
             [&said, here, name] { said += here == std::this_thread::get_id() ? name : '!'; });
  }
  CHECK(!jobs.quiet());
  REQUIRE(test::wait_for_condition(loop, [&] { return jobs.quiet(); }));
  CHECK(said == "aabbcc");
}

TEST_CASE("a job may ask for the next one when it is announced") {
  Loop loop;
  loop.start({});
  UvJobs jobs(loop);
  int runs = 0;
  std::function<void()> again = [&] {
    if (++runs < 3) jobs.run([] {}, again);
  };
  jobs.run([] {}, again);
  REQUIRE(test::wait_for_condition(loop, [&] { return jobs.quiet(); }));
  CHECK(runs == 3);
}

}  // namespace
}  // namespace leto::server
