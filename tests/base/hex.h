// Bytes as hexadecimal and back, for tests.
#pragma once

#include <string>
#include <string_view>

namespace leto::test {

inline std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    text.push_back(kDigits[(static_cast<unsigned char>(byte) >> 4) & 0xf]);
    text.push_back(kDigits[static_cast<unsigned char>(byte) & 0xf]);
  }
  return text;
}

// Skips everything that is not a hexadecimal digit.
inline std::string from_hex(std::string_view text) {
  std::string digits;
  for (const char character : text) {
    if (character >= '0' && character <= '9') digits.push_back(static_cast<char>(character - '0'));
    if (character >= 'a' && character <= 'f') digits.push_back(static_cast<char>(character - 'a' + 10));
  }
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<char>(digits[i] * 16 + digits[i + 1]));
  }
  return bytes;
}

}  // namespace leto::test
