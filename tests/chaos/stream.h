// One TCP connection of the test's own, and a listener. Refuses to know what the bytes mean.
// Invariant: nothing is called back after close(), abort() or on_closed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "tests/chaos/loop.h"

namespace leto::chaos {

// IPv4.
struct Address {
  std::string host;
  uint16_t port = 0;
};

std::string readable(const Address& address);

struct StreamHooks {
  std::function<void()> on_connected = nullptr;
  std::function<void(std::string_view)> on_bytes = nullptr;
  std::function<void()> on_closed = nullptr;    // By the other side, or since it could not be reached.
};

class Stream : public std::enable_shared_from_this<Stream> {
 public:
  // What becomes of it is told by the hooks. Null if the system has no descriptor, or no way there.
  static std::shared_ptr<Stream> dial(Loop& loop, const Address& address, StreamHooks hooks);
  // Takes over a connected descriptor.
  static std::shared_ptr<Stream> adopt(Loop& loop, int descriptor, StreamHooks hooks);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Once it is connected, if it is not.
  void send(std::string_view bytes);
  void close();
  // With a reset, so that the other side loses what it has not read.
  void abort();
  // While it is off the other side's bytes stay where they are.
  void set_reading(bool reading);
  bool is_open() const { return descriptor_ >= 0; }
  bool is_connected() const { return is_open() && connected_; }
  size_t unsent() const { return unsent_.size(); }

 private:
  Stream(Loop& loop, int descriptor, StreamHooks hooks);
  void begin(bool connected);
  void on_events(short events);
  void read();
  void write();
  void lost();
  void want();

  Loop& loop_;
  int descriptor_;
  StreamHooks hooks_;
  std::string unsent_;
  bool connected_ = false;
  bool reading_ = true;
};

// Listens on a port of 127.0.0.1.
class Listener {
 public:
  // Port 0: the system chooses.
  Listener(Loop& loop, std::function<void(int descriptor)> on_accepted, uint16_t port = 0);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // 0: it could not be opened.
  uint16_t port() const { return port_; }

 private:
  Loop& loop_;
  int descriptor_ = -1;
  uint16_t port_ = 0;
};

// A port of 127.0.0.1 that nobody listens on, and that neither the system gives to a connection nor another program of the tests to a
// node: a node that is down finds it free when it is started again. 0: there is none.
uint16_t free_port();

}  // namespace leto::chaos
