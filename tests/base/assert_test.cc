// A failed assertion says what, where and the numbers, and ends the process.
#include "base/assert.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "base/format.h"
#include "base/log.h"

namespace leto::base {
namespace {

struct Death {
  int signal = 0;
  std::string stderr_text;
};

// Runs `work` in a child process and says how it ended.
Death run_in_child(const std::function<void()>& work) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    work();
    _exit(0);
  }
  close(ends[1]);
  Death death;
  char buffer[512];
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    death.stderr_text.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) death.signal = WTERMSIG(status);
  return death;
}

TEST_CASE("assert: a false condition prints itself, its place and the details, then aborts") {
  const Death death = run_in_child([] {
    set_log_sink([](LogLevel, std::string_view) {});
    LETO_ASSERT(1 + 1 == 3, format("term %d", 7));
  });
  CHECK(death.signal == SIGABRT);
  CHECK(death.stderr_text.find("ASSERTION FAILED") != std::string::npos);
  CHECK(death.stderr_text.find("assert_test.cc:") != std::string::npos);
  CHECK(death.stderr_text.find("1 + 1 == 3 (term 7)") != std::string::npos);
}

TEST_CASE("assert: the log hears of it too, and a failure inside the sink does not recurse") {
  const Death death = run_in_child([] {
    set_log_sink([](LogLevel, std::string_view text) {
      const std::string line = "sink heard " + std::string(text) + "\n";
      if (write(STDERR_FILENO, line.data(), line.size()) < 0) _exit(1);
      LETO_ASSERT(false, "inside the sink");
    });
    LETO_ASSERT(false, "outside");
  });
  CHECK(death.signal == SIGABRT);
  CHECK(death.stderr_text.find("sink heard ASSERTION FAILED") != std::string::npos);
  CHECK(death.stderr_text.find("inside the sink") != std::string::npos);
}

TEST_CASE("assert: the details of a true condition are not evaluated") {
  bool evaluated = false;
  const auto details = [&] {
    evaluated = true;
    return std::string("never");
  };
  LETO_ASSERT(true, details());
  CHECK_FALSE(evaluated);
}

}  // namespace
}  // namespace leto::base
