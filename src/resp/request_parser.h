// Turns a client's bytes into requests: RESP arrays of bulk strings through hiredis's reader, and inline
// commands. Every size is checked against its limit before memory is taken for it. Refuses to know what
// a request means and where the bytes come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace leto::resp {

struct ParserLimits {
  uint64_t bulk_bytes_max = 64 << 20;       // proto-max-bulk-len
  uint64_t arguments_max = 1048576;
  uint64_t inline_bytes_max = 64 << 10;
  uint64_t query_buffer_max = 128 << 20;    // client-query-buffer-limit: bytes held for unfinished requests.
  // Before a client has authenticated, as Redis: at most 10 arguments of at most 16384 bytes.
  bool unauthenticated = false;
};

using Arguments = std::span<const std::string_view>;

enum class ParseOutcome : uint8_t { kRequest, kIncomplete, kError };

class RequestParser {
 public:
  explicit RequestParser(const ParserLimits& limits);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  void feed(std::string_view bytes);
  // kRequest: arguments() is the next request, never empty. kError: error() is the text Redis gives, e.g.
  // "ERR Protocol error: invalid bulk length"; nothing can be parsed after it.
  ParseOutcome next();
  // Views valid until the next call of next() or feed().
  Arguments arguments() const;
  const std::string& error() const;
  // True after the query buffer limit was passed: close without a reply, as Redis does.
  bool query_buffer_exceeded() const;
  size_t buffered_bytes() const;
  void set_limits(const ParserLimits& limits);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace leto::resp
