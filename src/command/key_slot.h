// The hash slot of a key, as Redis Cluster's specification gives it: CRC-16 (XMODEM) modulo 16384, of what is
// between the first '{' and the next '}' if that is not empty. For MOVED and CLUSTER KEYSLOT.
#pragma once

#include <cstdint>
#include <string_view>

namespace leto::command {

inline constexpr uint32_t kSlots = 16384;

// "123456789" has 12739.
uint32_t key_slot(std::string_view key);

}  // namespace leto::command
