#include "server/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "server/address.h"

namespace leto::server {

// Lives until libuv has closed the handle, whatever became of the Stream.
struct Stream::Body {
  union {
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } socket;
  uv_write_t write_request;
  std::string writing;        // Of the write in flight; empty if there is none.
  size_t written = 0;         // Of it.
  size_t awaited = 0;         // Behind that: given to libuv, which waits for the other side.
  Stream* stream;             // Null once it is destroyed.

  uv_stream_t* handle() { return reinterpret_cast<uv_stream_t*>(&socket); }
};

namespace {

sockaddr_storage remote_of(uv_tcp_t* tcp) {
  sockaddr_storage address{};
  int length = sizeof address;
  if (uv_tcp_getpeername(tcp, reinterpret_cast<sockaddr*>(&address), &length) != 0) address = {};
  return address;
}

sockaddr_storage local_of(uv_tcp_t* tcp) {
  sockaddr_storage address{};
  int length = sizeof address;
  if (uv_tcp_getsockname(tcp, reinterpret_cast<sockaddr*>(&address), &length) != 0) address = {};
  return address;
}

std::string address_text(const sockaddr_storage& address) {
  const std::string host = host_text(address);
  const bool bracketed = host.find(':') != std::string::npos;
  return base::format(bracketed ? "[%s]:%u" : "%s:%u", host.c_str(), unsigned{port_of(address)});
}

}  // namespace

std::string host_text(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    const in6_addr& six = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&six);
    inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? six.s6_addr + 12 : six.s6_addr, text, sizeof text);
  }
  return text;
}

uint16_t port_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return 0;
}

bool is_loopback(std::string_view host) { return host.starts_with("127.") || host == "::1"; }

Stream::Stream(Loop& loop, StreamKind kind) : body_(new Body), loop_(loop), kind_(kind) {
  check_uv(kind == StreamKind::kTcp ? uv_tcp_init(loop.uv(), &body_->socket.tcp) : uv_pipe_init(loop.uv(), &body_->socket.pipe, 0),
           "a new socket handle");
  body_->stream = this;
  body_->handle()->data = body_;
}

Stream::~Stream() {
  body_->stream = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(body_->handle()),
           [](uv_handle_t* handle) { delete static_cast<Body*>(handle->data); });
}

uv_stream_t* Stream::handle() { return body_->handle(); }

uv_tcp_t* Stream::tcp_handle() {
  LETO_ASSERT(kind_ == StreamKind::kTcp, "a TCP stream");
  return &body_->socket.tcp;
}

int Stream::accept_from(uv_stream_t* listener) { return uv_accept(listener, body_->handle()); }

void Stream::start_reading() {
  if (reading_ || user_ == nullptr) return;
  const auto allocate = [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
    Stream* stream = static_cast<Body*>(handle->data)->stream;
    *buffer = uv_buf_init(nullptr, 0);
    if (stream == nullptr || stream->user_ == nullptr) return;
    const Loop::ReadBuffer shared = stream->loop_.read_buffer();
    const size_t size = std::min(shared.size, stream->user_->bytes_wanted());
    if (size > 0) *buffer = uv_buf_init(shared.data, static_cast<unsigned>(size));
  };
  const auto read = [](uv_stream_t* handle, ssize_t count, const uv_buf_t* buffer) {
    Stream* stream = static_cast<Body*>(handle->data)->stream;
    // UV_ENOBUFS: nothing is wanted now. The bytes stay where they are, and the next poll tells of them again.
    if (stream == nullptr || stream->user_ == nullptr || count == 0 || count == UV_ENOBUFS) return;
    if (count < 0) return stream->ended(static_cast<int>(count));
    stream->user_->on_bytes({buffer->base, static_cast<size_t>(count)});
  };
  const int code = uv_read_start(body_->handle(), allocate, read);
  if (code != 0) return ended(code);
  reading_ = true;
}

void Stream::stop_reading() {
  if (!reading_) return;
  uv_read_stop(body_->handle());
  reading_ = false;
}

ssize_t Stream::send_some(const char* bytes, size_t size) {
  uv_buf_t buffer = uv_buf_init(const_cast<char*>(bytes), static_cast<unsigned>(std::min(size, kBytesPerWrite)));
  const int sent = uv_try_write(body_->handle(), &buffer, 1);
  return sent == UV_EAGAIN ? 0 : sent;
}

int Stream::write(std::string& bytes) {
  if (bytes.empty()) return 0;
  if (write_in_flight()) return UV_EAGAIN;
  const ssize_t sent = send_some(bytes.data(), bytes.size());
  int code = sent < 0 ? static_cast<int>(sent) : 0;
  const size_t taken = sent < 0 ? 0 : static_cast<size_t>(sent);
  if (code == 0 && taken < bytes.size()) {
    body_->writing = std::exchange(bytes, {});
    body_->written = taken;
    if (taken < kBytesPerWrite) code = wait_until_writable();
  }
  if (code != 0) user_ = nullptr;
  bytes.clear();
  if (bytes.capacity() > kept_capacity_) bytes.shrink_to_fit();
  return code;
}

bool Stream::may_go_on() const { return write_in_flight() && body_->awaited == 0; }

int Stream::go_on() {
  if (!may_go_on()) return 0;
  const size_t left = body_->writing.size() - body_->written;
  const ssize_t sent = send_some(body_->writing.data() + body_->written, left);
  int code = sent < 0 ? static_cast<int>(sent) : 0;
  if (code == 0) {
    body_->written += static_cast<size_t>(sent);
    if (body_->written == body_->writing.size()) {
      body_->writing = std::string();
    } else if (static_cast<size_t>(sent) < std::min(left, kBytesPerWrite)) {
      code = wait_until_writable();
    }
  }
  if (code != 0) user_ = nullptr;
  return code;
}

// libuv sends what it was given as soon as it can, whatever else the turn has to do: so it is given little.
int Stream::wait_until_writable() {
  const size_t size = std::min(body_->writing.size() - body_->written, kBytesPerWakening);
  uv_buf_t buffer = uv_buf_init(body_->writing.data() + body_->written, static_cast<unsigned>(size));
  body_->write_request.data = body_;
  const auto done = [](uv_write_t* request, int status) {
    Body* body = static_cast<Body*>(request->data);
    if (body->stream != nullptr) body->stream->written(status);
  };
  const int code = uv_write(&body_->write_request, body_->handle(), &buffer, 1, done);
  if (code == 0) body_->awaited = size;
  return code;
}

void Stream::written(int status) {
  body_->written += std::exchange(body_->awaited, 0);
  if (body_->written == body_->writing.size()) body_->writing = std::string();
  if (user_ == nullptr) return;
  if (status != 0) return ended(status);
  user_->on_written();
}

bool Stream::write_in_flight() const { return !body_->writing.empty(); }

size_t Stream::unsent_bytes() const { return write_in_flight() ? body_->writing.size() - body_->written : 0; }

void Stream::ended(int error) {
  if (user_ == nullptr) return;
  stop_reading();
  std::exchange(user_, nullptr)->on_end(error);
}

void Stream::set_no_delay() {
  if (kind_ == StreamKind::kTcp) uv_tcp_nodelay(&body_->socket.tcp, 1);
}

void Stream::set_keepalive(uint64_t seconds) {
  if (kind_ != StreamKind::kTcp || seconds == 0) return;
  uv_tcp_keepalive(&body_->socket.tcp, 1, static_cast<unsigned>(seconds));
  const int descriptor = file_descriptor();
  const int interval = seconds / 3 == 0 ? 1 : static_cast<int>(seconds / 3);
  const int probes = 3;
  setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

int Stream::file_descriptor() const {
  uv_os_fd_t descriptor = -1;
  const int code = uv_fileno(reinterpret_cast<uv_handle_t*>(body_->handle()), &descriptor);
  return code == 0 ? descriptor : -1;
}

std::string Stream::remote_address() const {
  if (kind_ == StreamKind::kUnix) return local_address();
  return address_text(remote_of(&body_->socket.tcp));
}

std::string Stream::local_address() const {
  if (kind_ == StreamKind::kTcp) return address_text(local_of(&body_->socket.tcp));
  char path[sizeof(sockaddr_storage)] = "";
  size_t size = sizeof path;
  if (uv_pipe_getsockname(&body_->socket.pipe, path, &size) != 0) size = 0;
  return std::string(path, size) + ":0";
}

std::string Stream::remote_host() const {
  return kind_ == StreamKind::kTcp ? host_text(remote_of(&body_->socket.tcp)) : "";
}

std::string Stream::local_host() const {
  return kind_ == StreamKind::kTcp ? host_text(local_of(&body_->socket.tcp)) : "";
}

bool Stream::remote_is_loopback() const {
  return kind_ == StreamKind::kUnix || is_loopback(remote_host());
}

}  // namespace leto::server
