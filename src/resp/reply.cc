// Replies in RESP2 or RESP3, byte for byte as Redis 7.0 writes them. Knows neither commands nor sockets.
#include "resp/reply.h"

#include <charconv>
#include <cmath>

namespace leto::resp {

namespace {

constexpr size_t kIntegerDigitsMax = 20;  // -9223372036854775808

void put_number(std::string& out, char prefix, int64_t value) {
  char line[kIntegerDigitsMax + 3];
  line[0] = prefix;
  char* end = std::to_chars(line + 1, line + 1 + kIntegerDigitsMax, value).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(line, static_cast<size_t>(end - line));
}

void put_count(std::string& out, char prefix, size_t count) {
  put_number(out, prefix, static_cast<int64_t>(count));
}

// The shortest digits that read back as `value`.
std::string number_text(double value) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (std::isnan(value)) return "nan";
  constexpr size_t kDigitsMax = 32;
  char digits[kDigitsMax];
  return {digits, std::to_chars(digits, digits + kDigitsMax, value).ptr};
}

}  // namespace

void Reply::status(std::string_view text) {
  out_.push_back('+');
  out_.append(text);
  out_.append("\r\n", 2);
}

void Reply::error(std::string_view text) {
  error_code_ = text.substr(0, text.find(' '));
  out_.push_back('-');
  for (const char character : text) {
    out_.push_back(character == '\r' || character == '\n' ? ' ' : character);
  }
  out_.append("\r\n", 2);
}

void Reply::integer(int64_t value) { put_number(out_, ':', value); }

void Reply::bulk(std::string_view bytes) {
  put_count(out_, '$', bytes.size());
  out_.append(bytes);
  out_.append("\r\n", 2);
}

void Reply::nil() { out_.append(protocol_ >= 3 ? "_\r\n" : "$-1\r\n"); }

void Reply::nil_array() { out_.append(protocol_ >= 3 ? "_\r\n" : "*-1\r\n"); }

void Reply::array(size_t count) { put_count(out_, '*', count); }

void Reply::map(size_t pairs) {
  if (protocol_ >= 3) {
    put_count(out_, '%', pairs);
  } else {
    put_count(out_, '*', 2 * pairs);
  }
}

void Reply::set(size_t count) { put_count(out_, protocol_ >= 3 ? '~' : '*', count); }

void Reply::boolean(bool value) {
  if (protocol_ >= 3) {
    out_.append(value ? "#t\r\n" : "#f\r\n");
  } else {
    integer(value ? 1 : 0);
  }
}

void Reply::number(double value) {
  const std::string text = number_text(value);
  if (protocol_ < 3) {
    bulk(text);
    return;
  }
  out_.push_back(',');
  out_.append(text);
  out_.append("\r\n", 2);
}

void Reply::verbatim(std::string_view text) {
  if (protocol_ < 3) {
    bulk(text);
    return;
  }
  constexpr std::string_view kFormat = "txt:";
  put_count(out_, '=', kFormat.size() + text.size());
  out_.append(kFormat);
  out_.append(text);
  out_.append("\r\n", 2);
}

void Reply::push(size_t count) { put_count(out_, protocol_ >= 3 ? '>' : '*', count); }

}  // namespace leto::resp
