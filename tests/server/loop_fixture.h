// For tests with a real loop and loopback sockets: runs turns until something is so, and plays the other
// side of a connection.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>

#include "server/connector.h"
#include "server/listener.h"
#include "server/loop.h"
#include "server/stream.h"

namespace leto::server::test {

inline constexpr uint64_t kPatienceUs = 10000000;

// Runs the loop turn by turn until `condition()` holds. False if it never does.
template <typename Condition>
bool wait_for_condition(Loop& loop, Condition condition) {
  const uint64_t give_up_us = loop.monotonic_us() + kPatienceUs;
  while (!condition()) {
    if (loop.monotonic_us() > give_up_us) return false;
    uv_run(loop.uv(), UV_RUN_ONCE);
  }
  return true;
}

// The other end of a socket: collects what it is sent.
class TestClient final : public StreamUser {
 public:
  TestClient(Loop& loop, uint16_t port) : loop_(loop) {
    Connector connector(loop, {.host = "127.0.0.1", .port = port}, 2000,
                        [this](base::Result<std::unique_ptr<Stream>> result) {
                          answered_ = true;
                          if (result.is_ok()) stream_ = std::move(result.value());
                        });
    REQUIRE(wait_for_condition(loop, [this] { return answered_; }));
    if (!connected()) return;
    stream_->set_user(this);
    stream_->start_reading();
  }
  bool connected() const { return stream_ != nullptr; }
  void send(std::string_view bytes) {
    unsent_.append(bytes);
    on_written();
  }
  void stop_reading() { stream_->stop_reading(); }
  void start_reading() { stream_->start_reading(); }
  // No more bytes will come from here.
  void finish_sending() { uv_shutdown(&shutdown_, stream_->handle(), [](uv_shutdown_t*, int) {}); }
  void close() { stream_.reset(); }
  // Waits until `text` was received, whole.
  bool receives(std::string_view text) {
    return wait_for_condition(loop_, [&] { return received.size() >= text.size(); }) && received == text;
  }
  bool is_closed() {
    return wait_for_condition(loop_, [this] { return ended; });
  }

  std::string received;
  bool ended = false;

 private:
  void on_bytes(std::string_view bytes) override { received.append(bytes); }
  void on_end(int) override { ended = true; }
  void on_written() override {
    int code = 0;
    while (code == 0 && (stream_->may_go_on() || (!stream_->write_in_flight() && !unsent_.empty()))) {
      code = stream_->may_go_on() ? stream_->go_on() : stream_->write(unsent_);
    }
    if (code != 0) ended = true;
  }

  Loop& loop_;
  bool answered_ = false;
  std::unique_ptr<Stream> stream_;
  std::string unsent_;
  uv_shutdown_t shutdown_{};
};

// A port of another node's: takes one connection at a time. What it says is its subclass's.
class TestPort : protected StreamUser {
 public:
  explicit TestPort(Loop& loop) : loop_(loop), listener_(loop) {
    REQUIRE(listener_.bind_tcp({.host = "127.0.0.1", .port = 0}, "listen").is_ok());
    REQUIRE(listener_.listen(8, [this](uv_stream_t* server, StreamKind kind) {
      stream_ = std::make_unique<Stream>(loop_, kind);
      REQUIRE(stream_->accept_from(server) == 0);
      stream_->set_user(this);
      stream_->start_reading();
    }).is_ok());
  }
  uint16_t port() const { return listener_.port(); }

 protected:
  void on_end(int) override { stream_.reset(); }
  void on_written() override {}
  std::unique_ptr<Stream> stream_;

 private:
  Loop& loop_;
  Listener listener_;
};

}  // namespace leto::server::test
