// Strict decimal integers. Knows no locale and no other base.
#include "base/number.h"

#include <limits>

namespace leto::base {

std::optional<int64_t> parse_int64(std::string_view text) {
  if (text == "0") return 0;
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  // No leading zero: "00", "-0" and "" end here too.
  if (text.empty() || text.front() < '1' || text.front() > '9') return std::nullopt;

  constexpr uint64_t kLargest = std::numeric_limits<int64_t>::max();
  const uint64_t limit = kLargest + (negative ? 1 : 0);
  uint64_t magnitude = 0;
  for (const char character : text) {
    if (character < '0' || character > '9') return std::nullopt;
    const uint64_t digit = static_cast<uint64_t>(character - '0');
    if (magnitude > (limit - digit) / 10) return std::nullopt;
    magnitude = magnitude * 10 + digit;
  }
  return static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
}

}  // namespace leto::base
