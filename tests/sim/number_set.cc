#include "tests/sim/number_set.h"

#include <charconv>

namespace leto::sim {

namespace {

// Takes a number off the front of `text`.
bool take_number(std::string_view& text, uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number == 0 || number > kNumberMax) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

}  // namespace

bool parse_numbers(std::string_view text, NumberSet& numbers) {
  while (!text.empty()) {
    uint64_t first = 0;
    if (!take_number(text, first)) return false;
    uint64_t last = first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      if (!take_number(text, last) || last < first) return false;
    }
    for (uint64_t number = first; number <= last; ++number) numbers.insert(number);
    if (text.empty()) return true;
    if (!text.starts_with(',') || text.size() == 1) return false;
    text.remove_prefix(1);
  }
  return true;
}

std::string readable(const NumberSet& numbers) {
  std::string text;
  for (auto at = numbers.begin(); at != numbers.end();) {
    const uint64_t first = *at;
    uint64_t last = first;
    for (++at; at != numbers.end() && *at == last + 1; ++at) last = *at;
    if (!text.empty()) text += ',';
    text += std::to_string(first);
    if (last != first) text += (last == first + 1 ? ',' : '-') + std::to_string(last);
  }
  return text;
}

}  // namespace leto::sim
