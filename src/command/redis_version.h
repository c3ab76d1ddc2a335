// The Redis that Leto's replies are compared with. INFO and HELLO tell it to clients that look for features.
#pragma once

#include <string_view>

namespace leto::command {

inline constexpr std::string_view kRedisVersion = "7.0.15";

}  // namespace leto::command
