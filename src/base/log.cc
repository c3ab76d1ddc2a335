// The sink and the level of the log. Refuses to know files, rotation or colours: a sink does that.
#include "base/log.h"

#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <utility>

#include "base/log_line.h"

namespace leto::base {

namespace {

void write_to_stderr(LogLevel level, std::string_view text) {
  const std::string line = log_line(level, text, log_moment_now());
  std::fwrite(line.data(), 1, line.size(), stderr);
}

// Function-local, so that a log line of a static constructor finds them made.
LogSink& sink() {
  static LogSink current = write_to_stderr;
  return current;
}

LogLevel lowest = LogLevel::kNotice;

}  // namespace

void set_log_sink(LogSink replacement) {
  sink() = replacement ? std::move(replacement) : LogSink(write_to_stderr);
}
void set_log_level(LogLevel level) { lowest = level; }
LogLevel log_level() { return lowest; }

void log(LogLevel level, std::string_view text) {
  if (logs(level)) sink()(level, text);
}

LogMoment log_moment_now() {
  timeval now{};
  gettimeofday(&now, nullptr);
  return {.pid = getpid(), .role = 'M', .unix_ms = int64_t{now.tv_sec} * 1000 + now.tv_usec / 1000};
}

std::string log_line(LogLevel level, std::string_view text, const LogMoment& moment) {
  // Not strftime's %b: the month must not depend on the locale.
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  static constexpr std::string_view kMarks = ".-*#";
  const time_t seconds = static_cast<time_t>(moment.unix_ms / 1000);
  tm local{};
  localtime_r(&seconds, &local);
  std::string line =
      format("%lld:%c %02d %s %04d %02d:%02d:%02d.%03d %c ", static_cast<long long>(moment.pid),
             moment.role, local.tm_mday, kMonths[static_cast<size_t>(local.tm_mon)],
             local.tm_year + 1900, local.tm_hour, local.tm_min, local.tm_sec,
             static_cast<int>(moment.unix_ms % 1000), kMarks[static_cast<size_t>(level)]);
  line.append(text);
  line.push_back('\n');
  return line;
}

}  // namespace leto::base
