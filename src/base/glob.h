// Glob patterns as Redis matches them (KEYS, CONFIG GET, PSUBSCRIBE). Knows no file names: '/' and '.' are
// ordinary characters.
#pragma once

#include <cstdint>
#include <string_view>

namespace leto::base {

enum class GlobCase : uint8_t { kSensitive, kIgnored };

// `*` any bytes, `?` one byte, `[abc]` `[^a-z]` one byte of a class (left open, it ends with the pattern),
// `\x` the byte x itself. As in Redis, nothing but the empty pattern matches the empty text. Bytes, not
// characters; case is ASCII's. Takes at most pattern.size() * text.size() steps and no memory.
bool glob_match(std::string_view pattern, std::string_view text, GlobCase letter_case = GlobCase::kSensitive);

// Whether the pattern can match anything but itself: it has one of `*?[\`.
bool is_glob(std::string_view pattern);

}  // namespace leto::base
