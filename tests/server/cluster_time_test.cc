#include "server/cluster_time.h"

#include <doctest/doctest.h>

#include "fake_environment.h"

namespace leto::server {
namespace {

using test::FakeClock;

TEST_CASE("a founder's first stamp is the wall clock") {
  FakeClock clock;
  ClusterTime time(clock, 0);
  CHECK(time.stamp() == clock.wall);
}

TEST_CASE("cluster time goes on by the monotonic clock when the wall clock jumps back") {
  FakeClock clock;
  ClusterTime time(clock, 0);
  const uint64_t first = time.stamp();
  clock.wall -= 3600000;
  clock.now_us += 1000 * 1000;
  const uint64_t second = time.stamp();
  CHECK(second == first + 990);
}

TEST_CASE("the leader slews towards a wall clock ahead by at most one percent") {
  FakeClock clock;
  ClusterTime time(clock, 0);
  const uint64_t first = time.stamp();
  clock.wall += 3600000;
  clock.now_us += 1000 * 1000;
  CHECK(time.stamp() == first + 1010);
}

TEST_CASE("a new leader goes on from the stamps it heard, whatever its wall clock says") {
  FakeClock clock;
  ClusterTime time(clock, 5000);
  time.observe(clock.wall + 7200000);
  clock.now_us += 10 * 1000;
  CHECK(time.stamp() == clock.wall + 7200000 + 10);
}

TEST_CASE("a new leader whose wall clock is ahead goes on from the stamps it heard, too") {
  FakeClock clock;
  ClusterTime time(clock, 5000);
  time.observe(clock.wall - 7200000);
  clock.now_us += 10 * 1000;
  CHECK(time.stamp() == clock.wall - 7200000 + 10);
}

TEST_CASE("stamps never fall, also when asked again within a millisecond") {
  FakeClock clock;
  ClusterTime time(clock, 0);
  uint64_t last = time.stamp();
  for (int step = 0; step < 1000; ++step) {
    clock.now_us += 137;
    if (step % 7 == 0) clock.wall -= 50;
    const uint64_t next = time.stamp();
    CHECK(next >= last);
    last = next;
  }
  CHECK(time.now_ms() >= last);
}

TEST_CASE("without a leader heard since the start it is the later of last stamp and wall clock") {
  FakeClock clock;
  ClusterTime time(clock, clock.wall + 1000);
  CHECK(time.stamp() == clock.wall + 1000);
}

TEST_CASE("entries of the own log that are applied at start tell of no leader: the wall clock still counts") {
  FakeClock clock;
  ClusterTime time(clock, 5000);
  time.applied(6000);
  CHECK(time.last_stamp_ms() == 6000);
  CHECK(time.stamp() == clock.wall);
}

}  // namespace
}  // namespace leto::server
