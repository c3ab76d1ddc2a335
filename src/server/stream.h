// One byte stream to somebody else: a TCP or unix socket. The only place that reads and writes sockets, so
// that TLS can be put under it. Refuses to know what the bytes mean.
//
// Invariants: at most one write is in flight; no call copies more than kBytesPerWrite into the kernel, and the kernel
// taking bytes again by itself no more than kBytesPerWakening; after on_end() nothing is called any more, but see there. A Stream may
// be destroyed at any time, also in its own callbacks.
#pragma once

#include <uv.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "server/loop.h"

namespace leto::server {

class StreamUser {
 public:
  // Valid within the call only.
  virtual void on_bytes(std::string_view bytes) = 0;
  // UV_EOF, or why the stream broke. No call follows, but to whom says set_user() again at UV_EOF.
  virtual void on_end(int error) = 0;
  // The kernel takes bytes again, or has them all: go_on(), or the next write, may follow.
  virtual void on_written() = 0;
  // How many bytes may be read now. 0: none before the next turn, in which it is asked again.
  virtual size_t bytes_wanted() { return SIZE_MAX; }

 protected:
  ~StreamUser() = default;
};

enum class StreamKind : uint8_t { kTcp, kUnix };

class Stream {
 public:
  static constexpr size_t kBytesPerWrite = 512 << 10;
  static constexpr size_t kBytesPerWakening = 16 << 10;

  Stream(Loop& loop, StreamKind kind);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Before anything is read or written; and at UV_EOF, by whoever goes on writing to a side that only ended its own: it is told of
  // what was written, and by on_end() if the stream breaks.
  void set_user(StreamUser* user) { user_ = user; }
  // An error is negative, as libuv's.
  int accept_from(uv_stream_t* listener);
  uv_stream_t* handle();
  uv_tcp_t* tcp_handle();

  // Idempotent.
  void start_reading();
  void stop_reading();
  bool reading() const { return reading_; }

  // Takes all of `bytes` and leaves it empty: what the socket takes at once is sent, up to kBytesPerWrite, the rest
  // becomes the write in flight. 0; UV_EAGAIN if one is in flight already, then nothing was taken; or why the stream
  // is broken: the caller closes it, no on_end() follows.
  int write(std::string& bytes);
  // Whether the write in flight waits for go_on(), not for the other side.
  bool may_go_on() const;
  // Sends up to kBytesPerWrite more of the write in flight. 0, or why the stream is broken, as write(). Who writes more
  // than kBytesPerWakening at once calls this until nothing is in flight, in on_written() or when it has the time.
  int go_on();
  // What `bytes` may keep of its memory for the next time; 16 KiB if nothing was said.
  void set_kept_capacity(size_t bytes) { kept_capacity_ = bytes; }
  bool write_in_flight() const;
  // Bytes taken that the kernel has not.
  size_t unsent_bytes() const;

  void set_no_delay();
  // Seconds; 0 turns it off. As Redis: three probes, a third of that time apart.
  void set_keepalive(uint64_t seconds);
  int file_descriptor() const;
  // "127.0.0.1:5379", "[::1]:5379"; of a unix socket its path and ":0".
  std::string remote_address() const;
  std::string local_address() const;
  // The other side's address alone, "127.0.0.1"; empty for a unix socket.
  std::string remote_host() const;
  std::string local_host() const;
  bool remote_is_loopback() const;   // Or a unix socket.

 private:
  struct Body;
  void ended(int error);
  // Bytes that the socket took, at most kBytesPerWrite; or an error. Less than it could: it is full.
  ssize_t send_some(const char* bytes, size_t size);
  int wait_until_writable();
  void written(int status);

  Body* body_;
  StreamUser* user_ = nullptr;
  Loop& loop_;
  StreamKind kind_;
  bool reading_ = false;
  size_t kept_capacity_ = 16 << 10;
};

// "127.0.0.1" / "::1" of a socket address; an IPv4 address in IPv6's clothes is shown as IPv4.
std::string host_text(const sockaddr_storage& address);
uint16_t port_of(const sockaddr_storage& address);
// True for 127.0.0.0/8 and ::1.
bool is_loopback(std::string_view host);

}  // namespace leto::server
