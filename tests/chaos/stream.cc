#include "tests/chaos/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/format.h"

namespace leto::chaos {

namespace {

sockaddr_in socket_address(const Address& address) {
  sockaddr_in result = {};
  result.sin_family = AF_INET;
  result.sin_port = htons(address.port);
  inet_pton(AF_INET, address.host.c_str(), &result.sin_addr);
  return result;
}

int new_socket() {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (descriptor >= 0) setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return descriptor;
}

// Bound to 127.0.0.1 and `port`, or if that is 0 a port of the system's choice, which is returned; 0: that failed.
uint16_t bind_local(int descriptor, uint16_t port) {
  sockaddr_in address = socket_address({.host = "127.0.0.1", .port = port});
  socklen_t size = sizeof address;
  if (bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size) != 0) return 0;
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.sin_port);
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

std::string readable(const Address& address) { return base::format("%s:%u", address.host.c_str(), unsigned{address.port}); }

Stream::Stream(Loop& loop, int descriptor, StreamHooks hooks) : loop_(loop), descriptor_(descriptor), hooks_(std::move(hooks)) {}

Stream::~Stream() { close(); }

std::shared_ptr<Stream> Stream::dial(Loop& loop, const Address& address, StreamHooks hooks) {
  const int descriptor = new_socket();
  if (descriptor < 0) return nullptr;
  const sockaddr_in to = socket_address(address);
  const int result = connect(descriptor, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  if (result != 0 && errno != EINPROGRESS) {
    ::close(descriptor);
    return nullptr;
  }
  std::shared_ptr<Stream> stream(new Stream(loop, descriptor, std::move(hooks)));
  stream->begin(false);
  return stream;
}

std::shared_ptr<Stream> Stream::adopt(Loop& loop, int descriptor, StreamHooks hooks) {
  std::shared_ptr<Stream> stream(new Stream(loop, descriptor, std::move(hooks)));
  stream->begin(true);
  return stream;
}

void Stream::begin(bool connected) {
  connected_ = connected;
  loop_.watch(descriptor_, 0, [weak = weak_from_this()](short events) {
    if (const std::shared_ptr<Stream> self = weak.lock()) self->on_events(events);
  });
  want();
}

void Stream::want() {
  if (!is_open()) return;
  const bool writes = !connected_ || !unsent_.empty();
  loop_.set_events(descriptor_, static_cast<short>((connected_ && reading_ ? POLLIN : 0) | (writes ? POLLOUT : 0)));
}

void Stream::on_events(short events) {
  if (!connected_) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return lost();
    if ((events & POLLOUT) == 0) return;
    connected_ = true;
    if (hooks_.on_connected) std::function(hooks_.on_connected)();
  }
  if (is_open() && (events & POLLOUT) != 0) write();
  if (is_open() && (events & POLLIN) != 0 && reading_) return read();
  // Unread bytes come first; who does not read now learns of the end later, but must not spin until then.
  if (is_open() && (events & (POLLERR | POLLHUP)) != 0) lost();
}

void Stream::read() {
  char bytes[65536];
  const ssize_t size = ::recv(descriptor_, bytes, sizeof bytes, 0);
  if (size < 0 && would_block()) return;
  if (size <= 0) return lost();
  if (hooks_.on_bytes) std::function(hooks_.on_bytes)({bytes, static_cast<size_t>(size)});
}

void Stream::write() {
  while (!unsent_.empty()) {
    const ssize_t size = ::send(descriptor_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (size < 0 && would_block()) break;
    if (size < 0) return lost();
    unsent_.erase(0, static_cast<size_t>(size));
  }
  want();
}

void Stream::send(std::string_view bytes) {
  if (!is_open()) return;
  unsent_.append(bytes);
  want();
}

void Stream::set_reading(bool reading) {
  reading_ = reading;
  want();
}

void Stream::lost() {
  const std::function<void()> on_closed = hooks_.on_closed;
  close();
  if (on_closed) on_closed();
}

void Stream::close() {
  if (!is_open()) return;
  loop_.forget(descriptor_);
  ::close(std::exchange(descriptor_, -1));
}

void Stream::abort() {
  if (!is_open()) return;
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

Listener::Listener(Loop& loop, std::function<void(int)> on_accepted, uint16_t port) : loop_(loop), descriptor_(new_socket()) {
  const uint16_t bound = descriptor_ < 0 ? uint16_t{0} : bind_local(descriptor_, port);
  if (bound == 0 || listen(descriptor_, 128) != 0) return;
  port_ = bound;
  loop_.watch(descriptor_, POLLIN, [this, on_accepted = std::move(on_accepted)](short) {
    const int accepted = accept4(descriptor_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) on_accepted(accepted);
  });
}

Listener::~Listener() {
  if (port_ != 0) loop_.forget(descriptor_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

namespace {

constexpr uint16_t kFirstPort = 20000, kBlockSize = 1000, kBlocks = 12;

// The first port of a block that no other program of the tests has (tcl-tests/support/harness.tcl does the same): this process has it
// for as long as it listens on that port, which is until it ends. 0: none was free.
uint16_t block_of_ports() {
  for (int tried = 0; tried < kBlocks; ++tried) {
    const auto first = static_cast<uint16_t>(kFirstPort + kBlockSize * ((getpid() + tried) % kBlocks));
    const int descriptor = new_socket();
    if (descriptor >= 0 && bind_local(descriptor, first) == first && listen(descriptor, 1) == 0) return first;
    ::close(descriptor);
  }
  return 0;
}

}  // namespace

uint16_t free_port() {
  static const uint16_t block = block_of_ports();
  static uint16_t given = 0;
  for (int tried = 1; block != 0 && tried < kBlockSize; ++tried) {
    given = static_cast<uint16_t>(given % (kBlockSize - 1) + 1);
    const auto port = static_cast<uint16_t>(block + given);
    const int descriptor = new_socket();
    const bool is_free = descriptor >= 0 && bind_local(descriptor, port) == port;
    ::close(descriptor);
    if (is_free) return port;
  }
  return 0;
}

}  // namespace leto::chaos
