// What INFO commandstats says of the time that commands take.
#include "server/timed_run.h"

#include <doctest/doctest.h>

#include <string>

#include "fake_environment.h"

namespace leto::server::test {
namespace {

// Every run of a handler takes 5 microseconds.
struct TimedTest {
  TimedTest() {
    test.lead();
    session = test.node->open_session();
    test.clock.stopwatch_step_ns = 5000;
  }
  void ask(const std::vector<std::string_view>& arguments, uint64_t times = 1) {
    for (uint64_t i = 0; i < times; ++i) {
      test.send(session, arguments);
      test.finish_all_disk();
    }
    NodeUnderTest::take(session);
  }
  bool says(const std::string& text) {
    const std::string info = test.node->info({"commandstats"});
    INFO(info);
    const bool found = info.find("\r\ncmdstat_" + text) != std::string::npos;
    CHECK(found);
    return found;
  }
  NodeUnderTest test;
  SessionRef session;
};

TEST_CASE("commandstats count what handlers take, of reads, of writes when they are applied, and of all else") {
  TimedTest it;
  it.ask({"SET", "k", "1"}, 3);
  it.ask({"GET", "k"}, 2);
  it.ask({"PING"});
  it.says("set:calls=3,usec=15,usec_per_call=5.00,");
  it.says("get:calls=2,usec=10,usec_per_call=5.00,");
  it.says("ping:calls=1,usec=5,usec_per_call=5.00,");
}

TEST_CASE("of a command that runs often some runs are timed, each for as many") {
  TimedTest it;
  constexpr uint64_t kRuns = kRunsAllTimed + 10 * kRunsPerTimed;
  it.ask({"GET", "k"}, kRuns);
  it.says("get:calls=" + std::to_string(kRuns) + ",usec=" + std::to_string(kRuns * 5) + ",usec_per_call=5.00,");
  const uint64_t looks = it.test.clock.stopwatch / it.test.clock.stopwatch_step_ns;
  CHECK(looks == 2 * (kRunsAllTimed + 10));
}

TEST_CASE("CONFIG RESETSTAT, which runs itself, begins the times anew") {
  TimedTest it;
  it.ask({"GET", "k"});
  it.ask({"CONFIG", "RESETSTAT"});
  CHECK(it.test.node->info({"commandstats"}).find("cmdstat_get") == std::string::npos);
  it.ask({"GET", "k"});
  it.says("get:calls=1,usec=5,");
}

}  // namespace
}  // namespace leto::server::test
