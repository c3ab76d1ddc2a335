#include "tests/sim/resp_reader.h"

#include <charconv>

namespace leto::sim {

using checker::Answer;

std::optional<Answer> RespReader::next() {
  const size_t line_end = buffer_.find("\r\n");
  if (broken_ || line_end == std::string::npos) return {};
  const char kind = buffer_.front();
  const std::string text = buffer_.substr(1, line_end - 1);
  if (kind == '$') return bulk(text, line_end + 2);
  buffer_.erase(0, line_end + 2);
  switch (kind) {
    case '+': return Answer{.kind = Answer::Kind::kStatus, .text = text};
    case '-': return Answer{.kind = Answer::Kind::kError, .text = text};
    case '*': return Answer{.kind = Answer::Kind::kArray, .text = text};
    case '%': return map(text);
    case '_': return Answer{};
    case ':': return Answer{.kind = Answer::Kind::kInteger, .text = text};
    default: broken_ = true; return {};
  }
}

// As an array of its keys and values.
std::optional<Answer> RespReader::map(std::string_view pairs) {
  size_t count = 0;
  const auto [end, error] = std::from_chars(pairs.data(), pairs.data() + pairs.size(), count);
  broken_ = error != std::errc() || end != pairs.data() + pairs.size();
  return broken_ ? std::optional<Answer>() : Answer{.kind = Answer::Kind::kArray, .text = std::to_string(2 * count)};
}

std::optional<Answer> RespReader::bulk(std::string_view length, size_t line_end) {
  if (length == "-1") {
    buffer_.erase(0, line_end);
    return Answer{};
  }
  size_t size = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), size);
  broken_ = error != std::errc() || end != length.data() + length.size();
  if (broken_ || buffer_.size() < line_end + size + 2) return {};
  Answer answer{.kind = Answer::Kind::kBulk, .text = buffer_.substr(line_end, size)};
  broken_ = buffer_.compare(line_end + size, 2, "\r\n") != 0;
  buffer_.erase(0, line_end + size + 2);
  return answer;
}

}  // namespace leto::sim
