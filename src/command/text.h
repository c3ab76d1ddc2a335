// Words as commands compare them: ASCII, whatever the locale. Private to command/.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace leto::command {

constexpr char lower(char character) {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a') : character;
}

// REQUIRES: `word` is in lower case.
constexpr bool is_word(std::string_view text, std::string_view word) {
  if (text.size() != word.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (lower(text[i]) != word[i]) return false;
  }
  return true;
}

inline std::string lower_text(std::string_view text) {
  std::string result(text);
  for (char& character : result) character = lower(character);
  return result;
}

inline std::string upper_text(std::string_view text) {
  std::string result(text);
  for (char& character : result) {
    if (character >= 'a' && character <= 'z') character = static_cast<char>(character - 'a' + 'A');
  }
  return result;
}

// At most `max` bytes and up to the first zero byte, as printf's %.*s shows it in Redis's error texts.
inline std::string shown(std::string_view text, size_t max = SIZE_MAX) {
  return std::string(text.substr(0, std::min(max, text.find('\0'))));
}

inline constexpr size_t kShownMax = 128;
inline constexpr std::string_view kSyntaxError = "ERR syntax error";
inline constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";

inline std::string wrong_arity(std::string_view full_name) {
  return "ERR wrong number of arguments for '" + std::string(full_name) + "' command";
}

}  // namespace leto::command
