// Assertions that stay on in release builds. A failed one is a bug of ours: it prints what was
// asserted, where, and the numbers the caller thought useful, and ends the process.
#pragma once

#include <string>

namespace leto::base {

// Prints "ASSERTION FAILED file:line: condition (details)" to stderr and the log, then aborts.
[[noreturn]] void assertion_failed(const char* condition, const std::string& details, const char* file,
                                   int line);

}  // namespace leto::base

// LETO_ASSERT(condition, details): `details` is an expression convertible to std::string, evaluated
// only when the condition is false; use base::format("term %llu", ...) from base/format.h for numbers.
#define LETO_ASSERT(condition, details)                                                 \
  do {                                                                                  \
    if (!(condition)) [[unlikely]]                                                      \
      ::leto::base::assertion_failed(#condition, (details), __FILE__, __LINE__);        \
  } while (false)
