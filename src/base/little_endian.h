// Fixed-size little-endian loads and stores at a raw address: what coding.h, hash.h, crc32c.h and
// sha256.h share. Knows nothing of bounds; the caller has checked them.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace leto::base {

inline uint16_t swap_bytes(uint16_t value) { return __builtin_bswap16(value); }
inline uint32_t swap_bytes(uint32_t value) { return __builtin_bswap32(value); }
inline uint64_t swap_bytes(uint64_t value) { return __builtin_bswap64(value); }

// REQUIRES: sizeof(Integer) readable bytes at `from`; no alignment is needed.
template <typename Integer>
inline Integer load_little_endian(const char* from) {
  Integer value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = swap_bytes(value);
  return value;
}

// REQUIRES: sizeof(Integer) writable bytes at `to`; no alignment is needed.
template <typename Integer>
inline void store_little_endian(char* to, Integer value) {
  if constexpr (std::endian::native == std::endian::big) value = swap_bytes(value);
  std::memcpy(to, &value, sizeof value);
}

}  // namespace leto::base
