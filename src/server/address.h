// host:port as people write it. Refuses to resolve names and to know sockets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace leto::server {

struct Address {
  std::string host;   // Empty: every interface when listening, this machine when connecting.
  uint16_t port = 0;  // 0: no address.

  bool is_set() const { return port != 0; }
  // ":5379", "example.org:5379", "[::1]:5379"; empty if not set. parse_address() reads it back.
  std::string text() const;
  bool operator==(const Address&) const = default;
};

// `:port`, `port`, `host:port` or `[ipv6]:port`; the port is 1 to 65535, a host has at most 253 characters.
// The error says what was expected.
base::Result<Address> parse_address(std::string_view text);

}  // namespace leto::server
