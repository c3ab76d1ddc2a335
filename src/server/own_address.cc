#include "server/own_address.h"

#include <uv.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "server/stream.h"

namespace leto::server {

namespace {

bool names_one_machine(const std::string& host) {
  return !host.empty() && host != "0.0.0.0" && host != "::" && host != "*";
}

std::string own_address(const Address& advertised, const Address& bound, const std::string& host) {
  if (advertised.is_set()) return advertised.text();
  if (names_one_machine(bound.host)) return bound.text();
  return Address{.host = host.empty() ? "127.0.0.1" : host, .port = bound.port}.text();
}

}  // namespace

std::string own_raft_address(const Options& options, const std::string& host) {
  return own_address(options.raft_advertise, options.raftbind, host);
}

std::string own_client_address(const Options& options, const std::string& host) {
  return own_address(options.client_advertise, options.listen, host);
}

bool is_real_host(const std::string& host) { return !host.empty() && !is_loopback(host); }

bool may_be_here(const std::string& host) {
  sockaddr_in four{};
  sockaddr_in6 six{};
  const bool is_four = uv_ip4_addr(host.c_str(), 0, &four) == 0;
  const bool is_six = !is_four && uv_ip6_addr(host.c_str(), 0, &six) == 0;
  if (!is_four && !is_six) return true;
  uv_interface_address_t* found = nullptr;
  int count = 0;
  if (uv_interface_addresses(&found, &count) != 0) return true;
  const std::span<uv_interface_address_t> interfaces(found, static_cast<size_t>(count));
  const bool is_here = std::any_of(interfaces.begin(), interfaces.end(), [&](const uv_interface_address_t& each) {
    if (is_four) {
      return each.address.address4.sin_family == AF_INET &&
             std::memcmp(&each.address.address4.sin_addr, &four.sin_addr, sizeof four.sin_addr) == 0;
    }
    return each.address.address6.sin6_family == AF_INET6 &&
           std::memcmp(&each.address.address6.sin6_addr, &six.sin6_addr, sizeof six.sin6_addr) == 0;
  });
  uv_free_interface_addresses(found, count);
  return is_here;
}

std::string told_host(const std::string& known, const std::string& socket_host) {
  if (is_real_host(known) && may_be_here(known)) return known;
  return is_real_host(socket_host) || known.empty() ? socket_host : known;
}

std::string heard_address(const std::string& said, const std::string& known, const std::string& seen_host) {
  base::Result<Address> address = parse_address(said);
  if (!address.is_ok()) return {};
  Address& heard = address.value();
  if (!is_loopback(heard.host)) return heard.text();
  base::Result<Address> before = parse_address(known);
  if (!is_loopback(seen_host)) {
    heard.host = seen_host;
  } else if (before.is_ok() && !before.value().host.empty()) {
    heard.host = before.value().host;
  }
  return heard.text();
}

}  // namespace leto::server
