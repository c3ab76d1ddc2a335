// Connects to a host:port: looks the name up without blocking, tries its addresses in turn, gives up after
// a while. Refuses to know what is said over the connection.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/status.h"
#include "server/address.h"
#include "server/loop.h"
#include "server/stream.h"

namespace leto::server {

class Connector {
 public:
  // The stream has no user yet; an error is a sentence like "connection refused".
  using Done = std::function<void(base::Result<std::unique_ptr<Stream>>)>;
  // Calls `done` once, not from within the constructor, within `timeout_ms`. An empty host is this machine.
  Connector(Loop& loop, const Address& address, uint64_t timeout_ms, Done done);
  // Gives up silently. Allowed within `done`.
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

 private:
  static constexpr size_t kAddressesMax = 8;   // Of one name.
  struct Lookup;
  struct Attempt;

  bool add_literal(const Address& address);
  void look_up(const Address& address);
  void looked_up(int status, const addrinfo* found);
  void try_next();
  void connected(int status);
  void finish(base::Result<std::unique_ptr<Stream>> result);

  Loop& loop_;
  Done done_;
  Timer timer_;
  std::vector<sockaddr_storage> addresses_;
  size_t next_ = 0;
  int last_error_ = 0;
  std::unique_ptr<Stream> stream_;
  Lookup* lookup_ = nullptr;
  Attempt* attempt_ = nullptr;
};

}  // namespace leto::server
