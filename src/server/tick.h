// The unit of Raft's time in this server.
#pragma once

#include <cstdint>

namespace leto::server {

inline constexpr uint64_t kTickMs = 10;

}  // namespace leto::server
