// printf into a std::string.
#pragma once

#include <string>

namespace leto::base {

// What snprintf would print, whole, whatever its length.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

}  // namespace leto::base
