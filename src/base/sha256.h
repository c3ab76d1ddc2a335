// SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104). Used for the peer handshake and password
// comparison only, until TLS brings a library.
#pragma once

#include <string>
#include <string_view>

namespace leto::base {

// 32 raw bytes.
std::string sha256(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);
// Compares in time that depends on the lengths only.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace leto::base
