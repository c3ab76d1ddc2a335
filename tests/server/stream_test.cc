// Streams against loopback sockets: what one call reads and sends at most.
#include "server/stream.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "server/listener.h"
#include "tests/server/loop_fixture.h"

namespace leto::server {
namespace {

using test::TestClient;

// The side that listens; what it wants is said by the test.
struct Server final : StreamUser {
  Server() {
    REQUIRE(listener.bind_tcp({.host = "127.0.0.1", .port = 0}, "listen").is_ok());
    REQUIRE(listener
                .listen(8,
                        [this](uv_stream_t* socket, StreamKind kind) {
                          stream = std::make_unique<Stream>(loop, kind);
                          REQUIRE(stream->accept_from(socket) == 0);
                          stream->set_user(this);
                          stream->start_reading();
                        })
                .is_ok());
    loop.start({.turn = [] {}, .tick = nullptr});
  }
  ~Server() {
    stream.reset();
    loop.end_turns();
  }
  void on_bytes(std::string_view bytes) override {
    sizes.push_back(bytes.size());
    received += bytes.size();
    wanted -= std::min(wanted, bytes.size());
  }
  void on_end(int) override {}
  void on_written() override { ++wakenings; }
  size_t bytes_wanted() override { return wanted; }
  void run_turns(int count) {
    for (int turn = 0; turn < count; ++turn) uv_run(loop.uv(), UV_RUN_NOWAIT);
  }

  Loop loop;
  Listener listener{loop};
  std::unique_ptr<Stream> stream;
  size_t wanted = SIZE_MAX;
  size_t received = 0;
  std::vector<size_t> sizes;
  int wakenings = 0;
};

TEST_CASE("bytes that are not wanted stay where they are until they are") {
  Server server;
  TestClient client(server.loop, server.listener.port());
  REQUIRE(test::wait_for_condition(server.loop, [&] { return server.stream != nullptr; }));
  server.wanted = 1000;
  client.send(std::string(50000, 'x'));
  REQUIRE(test::wait_for_condition(server.loop, [&] { return server.received == 1000; }));
  server.run_turns(20);
  CHECK(server.received == 1000);
  server.wanted = 4000;
  server.run_turns(20);
  CHECK(server.received == 5000);
  server.wanted = SIZE_MAX;
  CHECK(test::wait_for_condition(server.loop, [&] { return server.received == 50000; }));
}

TEST_CASE("a large write leaves in steps, each when its owner says so, and arrives whole") {
  constexpr size_t kSize = 20 << 20;
  Server server;
  TestClient client(server.loop, server.listener.port());
  REQUIRE(test::wait_for_condition(server.loop, [&] { return server.stream != nullptr; }));
  client.stop_reading();
  std::string bytes(kSize, 'x');
  for (size_t place = 0; place < kSize; place += 4096) bytes[place] = static_cast<char>('a' + place / 4096 % 26);
  const std::string expected = bytes;
  REQUIRE(server.stream->write(bytes) == 0);
  CHECK(bytes.empty());
  CHECK(server.stream->unsent_bytes() >= kSize - Stream::kBytesPerWrite);
  while (server.stream->may_go_on()) {
    const size_t before = server.stream->unsent_bytes();
    REQUIRE(server.stream->go_on() == 0);
    CHECK(before - server.stream->unsent_bytes() <= Stream::kBytesPerWrite);
  }
  // The other side takes nothing more; once it does, so much goes by itself and no more.
  const size_t before = server.stream->unsent_bytes();
  REQUIRE(before > 0);
  server.wakenings = 0;
  client.start_reading();
  REQUIRE(test::wait_for_condition(server.loop, [&] { return server.wakenings == 1; }));
  server.run_turns(50);
  CHECK(server.wakenings == 1);
  CHECK(before - server.stream->unsent_bytes() <= Stream::kBytesPerWakening);
  CHECK(test::wait_for_condition(server.loop, [&] {
    REQUIRE(server.stream->go_on() == 0);
    return client.received.size() == kSize;
  }));
  CHECK(client.received == expected);
  CHECK(!server.stream->write_in_flight());
  CHECK(server.stream->unsent_bytes() == 0);
}

}  // namespace
}  // namespace leto::server
