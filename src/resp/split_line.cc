// Redis's quoting rules (sdssplitargs in its documentation of redis.conf). Knows no sizes: the caller has
// bounded the line, and words are never longer than the line.
#include "resp/split_line.h"

namespace leto::resp {

namespace {

// isspace() of the C locale, whatever the locale is.
bool is_space(char character) {
  return character == ' ' || (character >= '\t' && character <= '\r');
}

int hex_value(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  if (character >= 'A' && character <= 'F') return character - 'A' + 10;
  return -1;
}

char unescape(char character) {
  switch (character) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return character;
  }
}

class Splitter {
 public:
  explicit Splitter(std::string_view line) : left_(line) {}

  bool at_end() const { return left_.empty(); }

  void skip_spaces() {
    while (!left_.empty() && is_space(left_[0])) left_.remove_prefix(1);
  }

  bool word(std::string& out) {
    while (!left_.empty()) {
      const char character = take();
      if (character == '"') return double_quoted(out);
      if (character == '\'') return single_quoted(out);
      if (character == ' ' || character == '\n' || character == '\r' || character == '\t') return true;
      out.push_back(character);
    }
    return true;
  }

 private:
  char take() {
    const char character = left_[0];
    left_.remove_prefix(1);
    return character;
  }

  bool ends_word() const { return left_.empty() || is_space(left_[0]); }

  bool double_quoted(std::string& out) {
    while (!left_.empty()) {
      const char character = take();
      if (character == '"') return ends_word();
      if (character != '\\') {
        out.push_back(character);
      } else if (left_.size() >= 3 && left_[0] == 'x' && hex_value(left_[1]) >= 0 && hex_value(left_[2]) >= 0) {
        out.push_back(static_cast<char>(hex_value(left_[1]) * 16 + hex_value(left_[2])));
        left_.remove_prefix(3);
      } else if (!left_.empty()) {
        out.push_back(unescape(take()));
      } else {
        out.push_back(character);
      }
    }
    return false;
  }

  bool single_quoted(std::string& out) {
    while (!left_.empty()) {
      const char character = take();
      if (character == '\'') return ends_word();
      const bool escaped_quote = character == '\\' && !left_.empty() && left_[0] == '\'';
      out.push_back(escaped_quote ? take() : character);
    }
    return false;
  }

  std::string_view left_;
};

}  // namespace

bool split_line(std::string_view line, std::vector<std::string>& words) {
  words.clear();
  Splitter splitter(line);
  splitter.skip_spaces();
  while (!splitter.at_end()) {
    if (!splitter.word(words.emplace_back())) return false;
    splitter.skip_spaces();
  }
  return true;
}

}  // namespace leto::resp
