// One line of the log as Redis writes it. Apart from log.h, so that a sink that writes to a file gives
// the same line as the one that writes to stderr.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/log.h"

namespace leto::base {

struct LogMoment {
  int64_t pid = 0;
  char role = 'M';      // Redis's letter: M leads or stands alone, S follows, C is another process.
  int64_t unix_ms = 0;  // Shown in local time.
};

// "PID:M 23 Nov 2026 14:44:26.123 * text\n"; the mark is . - * # from kDebug up to kWarning.
std::string log_line(LogLevel level, std::string_view text, const LogMoment& moment);

// This process, role M, the wall clock now.
LogMoment log_moment_now();

}  // namespace leto::base
