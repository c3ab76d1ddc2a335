// The log: lines in Redis's style, "PID:C DD Mon YYYY HH:MM:SS.mmm * text", written for the person who
// reads them at three in the morning. One sink per thread of control: main() sets it; the simulator
// sets its own. Only the loop thread logs; a job that fails tells the loop, or ends the process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/format.h"

namespace leto::base {

enum class LogLevel : uint8_t { kDebug, kVerbose, kNotice, kWarning };

using LogSink = std::function<void(LogLevel, std::string_view text)>;

// Replaces the sink (stderr until then) and the lowest level that reaches it.
void set_log_sink(LogSink sink);
void set_log_level(LogLevel level);
LogLevel log_level();
inline bool logs(LogLevel level) { return level >= log_level(); }

void log(LogLevel level, std::string_view text);

}  // namespace leto::base

// Formats only if the level is wanted. LETO_LOG(kNotice, "leader of term %llu", ...)
#define LETO_LOG(level, ...)                                                       \
  do {                                                                             \
    if (::leto::base::logs(::leto::base::LogLevel::level))                         \
      ::leto::base::log(::leto::base::LogLevel::level, ::leto::base::format(__VA_ARGS__)); \
  } while (false)
