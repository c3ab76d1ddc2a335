#include "server/loop.h"

#include <doctest/doctest.h>

#include "tests/server/loop_fixture.h"

namespace leto::server {

using test::wait_for_condition;

TEST_CASE("a wish to be woken gives another turn though nothing happens") {
  Loop loop;
  int turns = 0;
  loop.start({.turn =
                  [&] {
                    if (++turns < 5) loop.wake();
                    if (turns == 5) loop.stop();
                  },
              .tick = nullptr});
  loop.run();
  CHECK(turns == 5);
}

TEST_CASE("a wish in microseconds is granted in its time, the earliest of all first") {
  Loop loop;
  uint64_t wished_us = 0, granted_us = 0;
  loop.start({.turn =
                  [&] {
                    if (wished_us == 0) {
                      wished_us = loop.monotonic_us();
                      loop.wake_after_us(5000000);
                      loop.wake_after_us(300);
                    } else if (loop.monotonic_us() - wished_us >= 300) {
                      granted_us = loop.monotonic_us();
                      loop.stop();
                    }
                  },
              .tick = nullptr});
  loop.run();
  // Ticks are 10 ms apart: a grant before the first of them came from the wish.
  CHECK(granted_us - wished_us < 8000);
}

TEST_CASE("deferred work runs once, at the start of the next turn") {
  Loop loop;
  int runs = 0;
  loop.start({});
  loop.defer([&] { ++runs; });
  CHECK(runs == 0);
  uv_run(loop.uv(), UV_RUN_ONCE);
  uv_run(loop.uv(), UV_RUN_ONCE);
  CHECK(runs == 1);
}

TEST_CASE("ticks that come late are made up for, a few at a time") {
  Loop loop;
  uint64_t ticks = 0, at_once_max = 0, in_turn = 0;
  loop.start({.turn = [&] { at_once_max = std::max(at_once_max, std::exchange(in_turn, 0)); },
              .tick =
                  [&] {
                    ++ticks;
                    ++in_turn;
                  }});
  const uint64_t begin_us = loop.monotonic_us();
  while (loop.monotonic_us() - begin_us < 12 * kTickMs * 1000) continue;   // The loop stands still.
  REQUIRE(wait_for_condition(loop, [&] { return ticks >= 12; }));
  uv_run(loop.uv(), UV_RUN_ONCE);
  CHECK(at_once_max <= Loop::kTicksPerCall);
  CHECK(loop.monotonic_us() - begin_us < 30 * kTickMs * 1000);
}

TEST_CASE("a timer fires once, may start itself again, and is silent after its end") {
  Loop loop;
  int fired = 0;
  auto timer = std::make_unique<Timer>(loop);
  timer->start(1, [&] {
    ++fired;
    timer->start(1, [&] {
      ++fired;
      timer.reset();
    });
  });
  Timer other(loop);
  other.start(1, [&] { fired += 100; });
  other.stop();
  REQUIRE(wait_for_condition(loop, [&] { return timer == nullptr; }));
  CHECK(fired == 2);
}

}  // namespace leto::server
