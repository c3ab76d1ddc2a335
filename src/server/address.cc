// Strict: what is not clearly an address is refused rather than guessed at.
#include "server/address.h"

#include <algorithm>
#include <optional>

#include "base/format.h"
#include "base/number.h"
#include "peer/limits.h"

namespace leto::server {
namespace {

constexpr size_t kHostLengthMax = 253;  // Of a domain name, RFC 1035.
constexpr uint16_t kPortMax = 65535;

bool is_alphanumeric(char character) {
  return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'z') ||
         (character >= 'A' && character <= 'Z');
}

bool has_only(std::string_view text, std::string_view others) {
  return std::all_of(text.begin(), text.end(), [&](char character) {
    return is_alphanumeric(character) || others.find(character) != std::string_view::npos;
  });
}

bool is_host(std::string_view host) {
  return host.size() <= kHostLengthMax && has_only(host, ".-_");
}

// The form of it only: the resolver has the last word.
bool is_ipv6(std::string_view host) {
  return host.size() >= 2 && host.size() <= kHostLengthMax && host.find(':') != std::string_view::npos &&
         has_only(host, ":.%");
}

std::optional<Address> parse_parts(std::string_view host, std::string_view port_text) {
  const std::optional<int64_t> port = base::parse_int64(port_text);
  if (!port || *port < 1 || *port > kPortMax) return std::nullopt;
  // With a longer host it cannot be told to other nodes, be it with another port.
  const Address longest{.host = std::string(host), .port = kPortMax};
  if (longest.text().size() > peer::kAddressBytesMax) return std::nullopt;
  return Address{.host = longest.host, .port = static_cast<uint16_t>(*port)};
}

std::optional<Address> parse_bracketed(std::string_view text) {
  const size_t end = text.find("]:");
  if (end == std::string_view::npos || !is_ipv6(text.substr(1, end - 1))) return std::nullopt;
  return parse_parts(text.substr(1, end - 1), text.substr(end + 2));
}

std::optional<Address> parse_plain(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return parse_parts("", text);
  if (!is_host(text.substr(0, colon))) return std::nullopt;
  return parse_parts(text.substr(0, colon), text.substr(colon + 1));
}

}  // namespace

std::string Address::text() const {
  if (!is_set()) return "";
  const bool bracketed = host.find(':') != std::string::npos;
  return base::format(bracketed ? "[%s]:%u" : "%s:%u", host.c_str(), unsigned{port});
}

base::Result<Address> parse_address(std::string_view text) {
  std::optional<Address> address = text.starts_with('[') ? parse_bracketed(text) : parse_plain(text);
  if (address) return *std::move(address);
  return base::Status::error("argument must be an address: port, :port, host:port or [ipv6]:port");
}

}  // namespace leto::server
