#include "command/key_slot.h"

#include <array>

namespace leto::command {
namespace {

constexpr std::array<uint16_t, 256> make_table() {
  constexpr uint16_t kPolynomial = 0x1021;
  std::array<uint16_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    auto crc = static_cast<uint16_t>(byte << 8);
    for (int bit = 0; bit < 8; ++bit) {
      const auto shifted = static_cast<uint16_t>(crc << 1);
      crc = (crc & 0x8000) != 0 ? static_cast<uint16_t>(shifted ^ kPolynomial) : shifted;
    }
    table[byte] = crc;
  }
  return table;
}

constexpr std::array<uint16_t, 256> kTable = make_table();

uint16_t crc16(std::string_view bytes) {
  uint16_t crc = 0;
  for (const char byte : bytes) {
    const auto index = static_cast<uint8_t>((crc >> 8) ^ static_cast<uint8_t>(byte));
    crc = static_cast<uint16_t>(static_cast<uint16_t>(crc << 8) ^ kTable[index]);
  }
  return crc;
}

std::string_view hashed_part(std::string_view key) {
  const size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

}  // namespace

uint32_t key_slot(std::string_view key) { return crc16(hashed_part(key)) % kSlots; }

}  // namespace leto::command
