#include "server/loop.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "raft/raft.h"
#include "tests/base/thread_cpu.h"
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

TEST_CASE("how long a turn took is told at its end, before anything of the next") {
  constexpr uint64_t kBusyUs = 20000;
  Loop loop;
  std::vector<uint64_t> took_us;
  size_t told_before = 0;
  loop.start({.turn =
                  [&] {
                    if (!took_us.empty()) return;
                    const uint64_t begin_us = base::thread_cpu_us();
                    while (base::thread_cpu_us() - begin_us < kBusyUs) {}
                    told_before = took_us.size();
                    loop.defer([&] { loop.stop(); });
                    loop.wake();
                  },
              .tick = nullptr,
              .measured = [&](uint64_t cpu_us) { took_us.push_back(cpu_us); }});
  loop.run();
  REQUIRE(took_us.size() > told_before);
  CHECK(took_us[told_before] >= kBusyUs);
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

TEST_CASE("of ticks that come late a few are made up for, the rest is forgotten") {
  constexpr uint64_t kLate = 12;
  Loop loop;
  std::vector<uint64_t> at_once;   // Of each turn that had any.
  uint64_t in_turn = 0;
  loop.start({.turn =
                  [&] {
                    if (in_turn > 0) at_once.push_back(std::exchange(in_turn, 0));
                  },
              .tick = [&] { ++in_turn; }});
  const uint64_t begin_us = loop.monotonic_us();
  while (loop.monotonic_us() - begin_us < kLate * kTickMs * 1000) continue;   // The loop stands still.
  const uint64_t end_us = loop.monotonic_us();
  REQUIRE(wait_for_condition(loop, [&] { return at_once.size() >= 3; }));
  uv_run(loop.uv(), UV_RUN_ONCE);
  CHECK(at_once.front() == raft::kTicksOwedMax);
  // Unless this test's own process is held up in between, the others come one by one.
  const uint64_t ticks = std::accumulate(at_once.begin(), at_once.end(), uint64_t{0});
  CHECK(ticks <= raft::kTicksOwedMax + (loop.monotonic_us() - end_us) / (kTickMs * 1000) + 1);
}

TEST_CASE("ticks are counted from the clock, so none is lost to who looks a little late each time") {
  Ticks ticks;
  ticks.begin(5000);
  uint64_t due = 0;
  for (uint64_t now_us = 5000; now_us <= 5000 + 100 * 16000; now_us += 16000) due += Ticks::due(ticks.count(now_us));
  CHECK(due == 160);
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
