// Reads replies of the Redis protocol, version 2 and what Leto says of version 3, flat: all that the simulated clients are told.
// Written from the protocol's description, apart from the server's own writer. An array is its head, with the number of
// its elements, and then these.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tests/checker/history.h"

namespace leto::sim {

class RespReader {
 public:
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next whole reply; none if more bytes are needed, or if broken().
  std::optional<checker::Answer> next();
  bool broken() const { return broken_; }

 private:
  std::optional<checker::Answer> map(std::string_view pairs);
  std::optional<checker::Answer> bulk(std::string_view length, size_t line_end);

  std::string buffer_;
  bool broken_ = false;
};

}  // namespace leto::sim
