// Ends the process on a bug of ours. Refuses to unwind, clean up or go on: after a false assertion
// nothing in memory can be trusted, and the log on disk can.
#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

#include "base/format.h"
#include "base/log.h"

namespace leto::base {

void assertion_failed(const char* condition, const std::string& details, const char* file, int line) {
  const std::string text =
      format("ASSERTION FAILED %s:%d: %s (%s)", file, line, condition, details.c_str());
  std::fprintf(stderr, "%s\n", text.c_str());
  std::fflush(stderr);

  // The sink may itself hold the false condition; a second failure must end, not recurse.
  static thread_local bool failing = false;
  if (!failing) {
    failing = true;
    log(LogLevel::kWarning, text);
  }
  std::abort();
}

}  // namespace leto::base
