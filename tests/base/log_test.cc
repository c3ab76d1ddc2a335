#include "base/log.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "base/log_line.h"

namespace leto::base {
namespace {

// Local time is UTC for the length of a test.
class Utc {
 public:
  Utc() {
    setenv("TZ", "UTC", 1);
    tzset();
  }
  ~Utc() {
    unsetenv("TZ");
    tzset();
  }
};

// Puts level and sink back whatever a test did.
class LogGuard {
 public:
  ~LogGuard() {
    set_log_sink(nullptr);
    set_log_level(level_);
  }

 private:
  LogLevel level_ = log_level();
};

TEST_CASE("log: a line looks like Redis's") {
  const Utc utc;
  const LogMoment moment{.pid = 17, .role = 'M', .unix_ms = 1795445066123};
  CHECK(log_line(LogLevel::kNotice, "Ready", moment) == "17:M 23 Nov 2026 14:44:26.123 * Ready\n");
  CHECK(log_line(LogLevel::kDebug, "d", moment) == "17:M 23 Nov 2026 14:44:26.123 . d\n");
  CHECK(log_line(LogLevel::kVerbose, "v", moment) == "17:M 23 Nov 2026 14:44:26.123 - v\n");
  CHECK(log_line(LogLevel::kWarning, "w", moment) == "17:M 23 Nov 2026 14:44:26.123 # w\n");
}

TEST_CASE("log: small numbers are padded") {
  const Utc utc;
  const LogMoment moment{.pid = 1, .role = 'S', .unix_ms = 1767323045007};
  CHECK(log_line(LogLevel::kNotice, "x", moment) == "1:S 02 Jan 2026 03:04:05.007 * x\n");
}

TEST_CASE("log: the sink hears what reaches the level, and nothing below it is even formatted") {
  const LogGuard guard;
  std::vector<std::string> heard;
  set_log_sink([&](LogLevel, std::string_view text) { heard.emplace_back(text); });
  set_log_level(LogLevel::kNotice);
  int formatted = 0;
  LETO_LOG(kVerbose, "%d", ++formatted);
  LETO_LOG(kNotice, "leader of term %d", ++formatted);
  LETO_LOG(kWarning, "disk %s", "slow");
  CHECK(formatted == 1);
  CHECK(heard == std::vector<std::string>{"leader of term 1", "disk slow"});
  log(LogLevel::kDebug, "below");
  CHECK(heard.size() == 2);
}

}  // namespace
}  // namespace leto::base
