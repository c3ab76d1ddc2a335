// Every element of a pattern but the star takes exactly one byte, so going back to the last star is enough.
#include "base/glob.h"

#include <algorithm>
#include <cstddef>

namespace leto::base {
namespace {

unsigned char folded(char character, GlobCase letter_case) {
  const bool upper = character >= 'A' && character <= 'Z';
  const bool fold = upper && letter_case == GlobCase::kIgnored;
  return static_cast<unsigned char>(fold ? character - 'A' + 'a' : character);
}

// Matches `byte` against the class behind a '[' and takes the class, its ']' included, off the pattern.
bool take_class(std::string_view& pattern, char byte, GlobCase letter_case) {
  const bool negated = pattern.starts_with('^');
  if (negated) pattern.remove_prefix(1);
  const unsigned char wanted = folded(byte, letter_case);
  bool found = false;
  while (!pattern.empty() && !pattern.starts_with(']')) {
    if (pattern.front() == '\\' && pattern.size() >= 2) {
      found |= pattern[1] == byte;
      pattern.remove_prefix(2);
    } else if (pattern.size() >= 3 && pattern[1] == '-') {
      const unsigned char one = folded(pattern[0], letter_case);
      const unsigned char other = folded(pattern[2], letter_case);
      found |= wanted >= std::min(one, other) && wanted <= std::max(one, other);
      pattern.remove_prefix(3);
    } else {
      found |= folded(pattern.front(), letter_case) == wanted;
      pattern.remove_prefix(1);
    }
  }
  if (!pattern.empty()) pattern.remove_prefix(1);
  return found != negated;
}

// Matches `byte` against the first element, which is no star, and takes that off the pattern.
bool take_element(std::string_view& pattern, char byte, GlobCase letter_case) {
  char first = pattern.front();
  pattern.remove_prefix(1);
  if (first == '?') return true;
  if (first == '[') return take_class(pattern, byte, letter_case);
  if (first == '\\' && !pattern.empty()) {
    first = pattern.front();
    pattern.remove_prefix(1);
  }
  return folded(first, letter_case) == folded(byte, letter_case);
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, GlobCase letter_case) {
  if (text.empty()) return pattern.empty();
  bool star_seen = false;
  std::string_view after_star;
  std::string_view text_at_star;
  while (!text.empty()) {
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      star_seen = true;
      after_star = pattern;
      text_at_star = text;
    } else if (!pattern.empty() && take_element(pattern, text.front(), letter_case)) {
      text.remove_prefix(1);
    } else if (star_seen) {
      text_at_star.remove_prefix(1);
      pattern = after_star;
      text = text_at_star;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*') == std::string_view::npos;
}

bool is_glob(std::string_view pattern) {
  return pattern.find_first_of("*?[\\") != std::string_view::npos;
}

}  // namespace leto::base
