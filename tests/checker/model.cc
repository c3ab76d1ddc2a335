#include "tests/checker/model.h"

#include <charconv>
#include <cstdint>
#include <limits>

namespace leto::checker {

namespace {

// Redis takes only what it would print itself: no spaces, no plus, no leading zeros.
bool parse_integer(const std::string& text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && std::to_string(value) == text;
}

Answer increment(KeyState& state) {
  int64_t value = 0;
  if (state && !parse_integer(*state, value)) {
    return {.kind = Answer::Kind::kError, .text = "ERR value is not an integer or out of range"};
  }
  if (value == std::numeric_limits<int64_t>::max()) {
    return {.kind = Answer::Kind::kError, .text = "ERR increment or decrement would overflow"};
  }
  state = std::to_string(value + 1);
  return {.kind = Answer::Kind::kInteger, .text = *state};
}

}  // namespace

Answer run(const Operation& operation, KeyState& state) {
  const bool existed = state.has_value();
  const Answer count{.kind = Answer::Kind::kInteger, .text = existed ? "1" : "0"};
  switch (operation.action) {
    case Action::kGet:
      return existed ? Answer{.kind = Answer::Kind::kBulk, .text = *state} : Answer{};
    case Action::kSet:
      state = operation.argument;
      return {.kind = Answer::Kind::kStatus, .text = "OK"};
    case Action::kIncr:
      return increment(state);
    case Action::kDel:
      state.reset();
      return count;
    case Action::kExists:
      return count;
    case Action::kFlush:
      state.reset();
      return {.kind = Answer::Kind::kStatus, .text = "OK"};
  }
  return {};
}

bool fits(const Answer& answer, const Answer& told) {
  if (told.kind == Answer::Kind::kSomeInteger) return answer.kind == Answer::Kind::kInteger;
  return answer == told;
}

}  // namespace leto::checker
