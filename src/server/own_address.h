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

}  // namespace leto::server
