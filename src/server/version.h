// Which Leto this is, and which libraries it runs on.
#pragma once

#include <string>
#include <string_view>

#include "command/redis_version.h"

namespace leto::server {

inline constexpr std::string_view kVersion = "0.1.0";
using command::kRedisVersion;   // The Redis whose replies Leto's are compared with.

// What `leto -v` prints: Leto and the libraries it was started with, and in a test's build its sanitizer. Ends with a newline.
std::string version_text();

}  // namespace leto::server
