// CRC-32C (Castagnoli, as in RFC 3720 section B.4): log rows, values and frames carry it.
#pragma once

#include <cstdint>
#include <string_view>

namespace leto::base {

// crc32c("123456789") == 0xE3069283. `seed` is the crc of the bytes before these, 0 for none.
uint32_t crc32c(std::string_view bytes, uint32_t seed = 0);

}  // namespace leto::base
