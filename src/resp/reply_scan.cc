#include "resp/reply_scan.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>

namespace leto::resp {
namespace {

struct Line {
  char type = 0;
  int64_t number = 0;   // Of the types that have a length.
  size_t end = 0;       // Behind its CRLF; 0: malformed, or cut.
};

Line line_at(std::string_view bytes, size_t at) {
  const size_t end = bytes.find("\r\n", at);
  if (end == std::string_view::npos || end == at) return {};
  Line line{.type = bytes[at], .end = end + 2};
  if (std::string_view("$=*%~>").find(line.type) == std::string_view::npos) return line;
  const char* const last = bytes.data() + end;
  const auto [stop, error] = std::from_chars(bytes.data() + at + 1, last, line.number);
  if (error != std::errc() || stop != last || line.number < -1) return {};
  return line;
}

// Behind the whole reply that begins there; 0: malformed, or cut.
size_t end_of_reply(std::string_view bytes, size_t at) {
  for (uint64_t wanted = 1; wanted > 0; --wanted) {
    const Line line = line_at(bytes, at);
    if (line.end == 0) return 0;
    at = line.end;
    if (line.number <= 0 && line.type != '$' && line.type != '=') continue;
    const auto number = static_cast<uint64_t>(std::max<int64_t>(line.number, 0));
    if (number > bytes.size()) return 0;
    if (line.type == '$' || line.type == '=') {
      if (line.number < 0) continue;
      at += number + 2;
      if (at > bytes.size()) return 0;
    } else {
      wanted += line.type == '%' ? 2 * number : number;
    }
  }
  return at;
}

}  // namespace

bool split_array(std::string_view reply, std::vector<std::string_view>& elements) {
  elements.clear();
  const Line head = line_at(reply, 0);
  if (head.end == 0 || head.type != '*' || head.number < 0) return false;
  size_t at = head.end;
  for (int64_t left = head.number; left > 0; --left) {
    const size_t end = end_of_reply(reply, at);
    if (end == 0) return false;
    elements.push_back(reply.substr(at, end - at));
    at = end;
  }
  return at == reply.size();
}

}  // namespace leto::resp
