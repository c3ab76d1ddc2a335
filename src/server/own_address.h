// The addresses under which the others reach this node: what was said by options, else what can be known.
#pragma once

#include <string>

#include "server/address.h"
#include "server/options.h"

namespace leto::server {

// -raft-advertise, else the host of -raftbind, else `host`; with the port of -raftbind. An empty `host` is
// 127.0.0.1: true as long as everybody is on this machine.
std::string own_raft_address(const Options& options, const std::string& host);
// The same for clients, from -client-advertise and -listen.
std::string own_client_address(const Options& options, const std::string& host);

// The host that this node tells others when no option names one: `known`, under which it is in the configuration;
// but if that is a loopback address, or the address of another machine, the local host of the socket to them. Never a
// loopback address in place of another one.
std::string told_host(const std::string& known, const std::string& socket_host);
// Neither empty nor a loopback address.
bool is_real_host(const std::string& host);
// Whether `host` is a name, or an address that an interface of this machine has.
bool may_be_here(const std::string& host);

// What a peer says of itself, seen from here: it said `said`, is in the configuration as `known`, and its connection
// comes from `seen_host`. A loopback address of another machine is replaced by what was seen. Empty: it said nothing.
std::string heard_address(const std::string& said, const std::string& known, const std::string& seen_host);

}  // namespace leto::server
