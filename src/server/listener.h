// Listening sockets: bound first, opened later, so that an error at start leaves no port open. Refuses to
// know who connects and why.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "server/address.h"
#include "server/loop.h"
#include "server/stream.h"

namespace leto::server {

class Listener {
 public:
  using Accept = std::function<void(uv_stream_t*, StreamKind)>;
  explicit Listener(Loop& loop);
  ~Listener() { close(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Takes the port without opening it: connections are refused until listen(). Resolves a host name, blocking:
  // for the start only. An empty host is every interface, IPv4 and IPv6. `option` is named in the error.
  // Port 0 takes one from the system.
  base::Status bind_tcp(const Address& address, const char* option);
  // Only checks that nobody answers there: the file is made by listen(). `mode` 0: as umask leaves it.
  base::Status bind_unix(const std::string& path, uint64_t mode);
  // Opens everything that was bound.
  base::Status listen(uint64_t backlog, Accept accept);
  // Closes the ports; a unix socket's file is removed.
  void close();
  // Of the first TCP socket.
  uint16_t port() const;

 private:
  struct Socket;
  bool bind_one(const sockaddr_storage& address, bool dual_stack);
  base::Status make_unix_socket();

  Loop& loop_;
  std::vector<Socket*> sockets_;
  std::string unix_path_;
  uint64_t unix_mode_ = 0;
  bool unix_made_ = false;
  Accept accept_;
};

}  // namespace leto::server
