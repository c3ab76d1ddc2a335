#include "server/own_address.h"

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

}  // namespace leto::server
