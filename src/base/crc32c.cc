// CRC-32C by the processor's instruction where there is one, by tables otherwise. Both give the same.
#include "base/crc32c.h"

#include <array>

#include "base/assert.h"
#include "base/crc32c_engines.h"
#include "base/little_endian.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace leto::base {

namespace {

constexpr uint32_t kPolynomialReflected = 0x82f63b78;  // 0x1EDC6F41, RFC 3720, lowest bit first.

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// Table n advances a byte over itself and n more zero bytes.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomialReflected : 0);
    tables[0][byte] = crc;
  }
  for (size_t n = 1; n < tables.size(); ++n) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[n - 1][byte];
      tables[n][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

uint32_t advance_byte(uint32_t crc, char byte) {
  return (crc >> 8) ^ kTables[0][(crc ^ static_cast<uint8_t>(byte)) & 0xff];
}

}  // namespace

uint32_t crc32c_by_tables(std::string_view bytes, uint32_t seed) {
  uint32_t crc = ~seed;
  while (bytes.size() >= 8) {
    const uint64_t word = load_little_endian<uint64_t>(bytes.data()) ^ crc;
    crc = 0;
    for (size_t n = 0; n < 8; ++n) crc ^= kTables[7 - n][(word >> (8 * n)) & 0xff];
    bytes.remove_prefix(8);
  }
  for (const char byte : bytes) crc = advance_byte(crc, byte);
  return ~crc;
}

#if defined(__x86_64__)

bool has_crc32c_instruction() {
  static const bool has = __builtin_cpu_supports("sse4.2") != 0;
  return has;
}

[[gnu::target("sse4.2")]] uint32_t crc32c_by_instruction(std::string_view bytes, uint32_t seed) {
  uint64_t wide = static_cast<uint32_t>(~seed);
  while (bytes.size() >= 8) {
    wide = _mm_crc32_u64(wide, load_little_endian<uint64_t>(bytes.data()));
    bytes.remove_prefix(8);
  }
  uint32_t crc = static_cast<uint32_t>(wide);
  for (const char byte : bytes) crc = _mm_crc32_u8(crc, static_cast<uint8_t>(byte));
  return ~crc;
}

#else

bool has_crc32c_instruction() { return false; }

uint32_t crc32c_by_instruction(std::string_view, uint32_t) {
  LETO_ASSERT(false, "this build has no CRC instruction");
  return 0;
}

#endif

uint32_t crc32c(std::string_view bytes, uint32_t seed) {
  return has_crc32c_instruction() ? crc32c_by_instruction(bytes, seed) : crc32c_by_tables(bytes, seed);
}

}  // namespace leto::base
