#include "server/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/format.h"
#include "base/log.h"

namespace leto::server {

// Lives until libuv has closed the handle.
struct Listener::Socket {
  union {
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } handle;
  StreamKind kind;
  Listener* owner;

  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&handle); }
};

namespace {

// What bind() says, as a person would.
std::string why_not_bound(const Address& address, const char* option, int error) {
  std::string place = base::format("port %u", unsigned{address.port});
  if (!address.host.empty()) place += " of " + address.host;
  if (error == EADDRINUSE) {
    return base::format("%s is in use by another program, often a running Redis; stop that, or choose another -%s",
                        place.c_str(), option);
  }
  return base::format("%s cannot be used as -%s: %s", place.c_str(), option, std::strerror(error));
}

// A bound socket, or -1 with errno.
int bound_socket(const sockaddr_storage& address, bool dual_stack) {
  const int descriptor = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  const int on = 1, off = 0;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ss_family == AF_INET6) {
    setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, dual_stack ? &off : &on, sizeof on);
  }
  const socklen_t size = address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size) == 0) return descriptor;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return -1;
}

sockaddr_storage every_interface(uint16_t port, bool six) {
  sockaddr_storage address{};
  if (six) {
    auto& wildcard = reinterpret_cast<sockaddr_in6&>(address);
    wildcard.sin6_family = AF_INET6;
    wildcard.sin6_port = htons(port);
  } else {
    auto& wildcard = reinterpret_cast<sockaddr_in&>(address);
    wildcard.sin_family = AF_INET;
    wildcard.sin_port = htons(port);
  }
  return address;
}

base::Result<std::vector<sockaddr_storage>> resolve(const Address& address, const char* option) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (code != 0) {
    return base::Status::error(
        base::format("%s: host '%s' is not known: %s", option, address.host.c_str(), gai_strerror(code)));
  }
  std::vector<sockaddr_storage> addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    sockaddr_storage copy{};
    if (each->ai_addrlen <= sizeof copy) std::memcpy(&copy, each->ai_addr, each->ai_addrlen);
    addresses.push_back(copy);
  }
  freeaddrinfo(found);
  return addresses;
}

// Whether a server answers at the path of a unix socket.
bool answers(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return false;
  const int code = ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const bool there = code == 0 || errno == EAGAIN;
  ::close(descriptor);
  return there;
}

}  // namespace

Listener::Listener(Loop& loop) : loop_(loop) {}

void Listener::close() {
  for (Socket* socket : std::exchange(sockets_, {})) {
    socket->owner = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(socket->stream()),
             [](uv_handle_t* handle) { delete static_cast<Socket*>(handle->data); });
  }
}

// False if this address cannot be bound; errno says why.
bool Listener::bind_one(const sockaddr_storage& address, bool dual_stack) {
  const int descriptor = bound_socket(address, dual_stack);
  if (descriptor < 0) return false;
  auto* socket = new Socket{.handle = {}, .kind = StreamKind::kTcp, .owner = this};
  uv_tcp_init(loop_.uv(), &socket->handle.tcp);
  socket->handle.tcp.data = socket;
  check_uv(uv_tcp_open(&socket->handle.tcp, descriptor), "uv_tcp_open");
  sockets_.push_back(socket);
  return true;
}

base::Status Listener::bind_tcp(const Address& address, const char* option) {
  if (address.host.empty()) {
    if (bind_one(every_interface(address.port, true), true)) return base::Status::ok();
    // A machine without IPv6.
    if (errno == EADDRINUSE || !bind_one(every_interface(address.port, false), false)) {
      return base::Status::error(why_not_bound(address, option, errno));
    }
    return base::Status::ok();
  }
  base::Result<std::vector<sockaddr_storage>> addresses = resolve(address, option);
  if (!addresses.is_ok()) return addresses.take_status();
  size_t bound = 0;
  int problem = EADDRNOTAVAIL;
  for (const sockaddr_storage& each : addresses.value()) {
    if (bind_one(each, false)) {
      ++bound;
      continue;
    }
    problem = errno;
    // `localhost` has addresses of families that the machine may not have; a taken port is another matter.
    if (problem == EADDRINUSE) break;
  }
  if (bound > 0 && problem != EADDRINUSE) return base::Status::ok();
  return base::Status::error(why_not_bound(address, option, problem));
}

base::Status Listener::bind_unix(const std::string& path, uint64_t mode) {
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return base::Status::error(base::format("unixsocket: the path '%s' is too long", path.c_str()));
  }
  struct stat found {};
  const bool there = ::lstat(path.c_str(), &found) == 0;
  if (there && !S_ISSOCK(found.st_mode)) {
    return base::Status::error(base::format("unixsocket: '%s' exists and is no socket", path.c_str()));
  }
  if (there && answers(path)) {
    return base::Status::error(base::format("unixsocket: '%s' is in use by another program", path.c_str()));
  }
  unix_path_ = path;
  unix_mode_ = mode;
  return base::Status::ok();
}

base::Status Listener::make_unix_socket() {
  ::unlink(unix_path_.c_str());   // A socket that nobody answers at, left by a process that was killed.
  auto* socket = new Socket{.handle = {}, .kind = StreamKind::kUnix, .owner = this};
  uv_pipe_init(loop_.uv(), &socket->handle.pipe, 0);
  socket->handle.pipe.data = socket;
  sockets_.push_back(socket);
  const int code = uv_pipe_bind(&socket->handle.pipe, unix_path_.c_str());
  if (code != 0) {
    return base::Status::error(
        base::format("unixsocket: '%s' cannot be made: %s", unix_path_.c_str(), uv_strerror(code)));
  }
  unix_made_ = true;
  if (unix_mode_ != 0) ::chmod(unix_path_.c_str(), static_cast<mode_t>(unix_mode_));
  return base::Status::ok();
}

base::Status Listener::listen(uint64_t backlog, Accept accept) {
  accept_ = std::move(accept);
  if (!unix_path_.empty() && !unix_made_) {
    if (base::Status made = make_unix_socket(); !made.is_ok()) return made;
  }
  const auto connected = [](uv_stream_t* listener, int status) {
    const Socket* socket = static_cast<Socket*>(listener->data);
    if (status != 0) {
      LETO_LOG(kWarning, "accept: %s", uv_strerror(status));
    } else if (socket->owner != nullptr) {
      socket->owner->accept_(listener, socket->kind);
    }
  };
  for (Socket* socket : sockets_) {
    const int code = uv_listen(socket->stream(), static_cast<int>(backlog), connected);
    if (code != 0) {
      return base::Status::error(base::format("port %u cannot be opened: %s", unsigned{port()}, uv_strerror(code)));
    }
  }
  return base::Status::ok();
}

uint16_t Listener::port() const {
  sockaddr_storage address{};
  int size = sizeof address;
  for (Socket* socket : sockets_) {
    if (socket->kind != StreamKind::kTcp) continue;
    const int code = uv_tcp_getsockname(&socket->handle.tcp, reinterpret_cast<sockaddr*>(&address), &size);
    if (code == 0) return port_of(address);
  }
  return 0;
}

}  // namespace leto::server
