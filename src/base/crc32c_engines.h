// The two ways to compute a CRC-32C, apart, so that a test can hold one against the other. Private to
// base/: everyone else calls crc32c().
#pragma once

#include <cstdint>
#include <string_view>

namespace leto::base {

// Tables of slicing-by-8; runs everywhere.
uint32_t crc32c_by_tables(std::string_view bytes, uint32_t seed);

// True if this processor has the CRC32 instruction and this build can use it.
bool has_crc32c_instruction();
// REQUIRES: has_crc32c_instruction().
uint32_t crc32c_by_instruction(std::string_view bytes, uint32_t seed);

}  // namespace leto::base
