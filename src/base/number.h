// Strict decimal integers, as Redis reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace leto::base {

// A signed 64-bit decimal integer: no leading '+', no leading zeros ("0" itself is fine), no spaces,
// nothing behind it, in range. Redis's string2ll.
std::optional<int64_t> parse_int64(std::string_view text);

}  // namespace leto::base
