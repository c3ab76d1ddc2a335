// printf into a std::string. Knows nothing of what is printed.
#include "base/format.h"

#include <cstdarg>
#include <cstdio>

#include "base/assert.h"

namespace leto::base {

std::string format(const char* pattern, ...) {
  char small[256];
  va_list arguments;
  va_start(arguments, pattern);
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(small, sizeof small, pattern, arguments);
  va_end(arguments);
  LETO_ASSERT(length >= 0, std::string("vsnprintf refused ") + pattern);

  const size_t size = static_cast<size_t>(length);
  std::string text;
  if (size < sizeof small) {
    text.assign(small, size);
  } else {
    text.resize(size);
    // The terminating zero lands on the string's own.
    std::vsnprintf(text.data(), size + 1, pattern, again);
  }
  va_end(again);
  return text;
}

}  // namespace leto::base
