#include "server/loop.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

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

// Ticks are 10 ms apart: a grant without one came from the wish. Where the machine stalls, the next wish may show it.
TEST_CASE("a wish in microseconds is granted in its time, the earliest of all first") {
  constexpr int kWishesMax = 100;
  Loop loop;
  uint64_t wished_us = 0;
  int wishes = 0;
  bool ticked = false, granted = false;
  loop.start({.turn =
                  [&] {
                    const uint64_t now_us = loop.monotonic_us();
                    if (wishes > 0 && now_us - wished_us < 300) return;
                    granted = wishes > 0 && !ticked;
                    if (granted || wishes == kWishesMax) return loop.stop();
                    ++wishes;
                    ticked = false;
                    wished_us = now_us;
                    loop.wake_after_us(5000000);
                    loop.wake_after_us(300);
                  },
              .tick = [&] { ticked = true; }});
  loop.run();
  CHECK(granted);
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
  constexpr uint64_t kLate = 12;
  Loop loop;
  std::vector<uint64_t> at_once;   // Of each turn that had any.
  uint64_t ticks = 0, in_turn = 0;
  loop.start({.turn =
                  [&] {
                    if (in_turn > 0) at_once.push_back(std::exchange(in_turn, 0));
                  },
              .tick =
                  [&] {
                    ++ticks;
                    ++in_turn;
                  }});
  const uint64_t begin_us = loop.monotonic_us();
  while (loop.monotonic_us() - begin_us < kLate * kTickMs * 1000) continue;   // The loop stands still.
  REQUIRE(wait_for_condition(loop, [&] { return ticks >= kLate; }));
  uv_run(loop.uv(), UV_RUN_ONCE);
  CHECK(*std::max_element(at_once.begin(), at_once.end()) == Loop::kTicksPerCall);
  CHECK(at_once.size() <= kLate / Loop::kTicksPerCall + 1);
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
