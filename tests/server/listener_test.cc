#include "server/listener.h"

#include <doctest/doctest.h>

#include "tests/server/loop_fixture.h"

namespace leto::server {
namespace {

using test::TestClient;
using test::wait_for_condition;

const Address kAnyPort{.host = "127.0.0.1", .port = 0};

TEST_CASE("a bound port is not open before listen()") {
  Loop loop;
  Listener listener(loop);
  REQUIRE(listener.bind_tcp(kAnyPort, "listen").is_ok());
  CHECK(listener.port() != 0);
  CHECK_FALSE(TestClient(loop, listener.port()).connected());
  int accepted = 0;
  REQUIRE(listener.listen(8, [&](uv_stream_t* server, StreamKind kind) {
    Stream stream(loop, kind);
    accepted += stream.accept_from(server) == 0;
  }).is_ok());
  CHECK(TestClient(loop, listener.port()).connected());
  CHECK(wait_for_condition(loop, [&] { return accepted == 1; }));
}

TEST_CASE("a port that is in use is refused in a sentence that names it and the usual cause") {
  Loop loop;
  Listener first(loop), second(loop);
  REQUIRE(first.bind_tcp(kAnyPort, "listen").is_ok());
  REQUIRE(first.listen(8, [](uv_stream_t*, StreamKind) {}).is_ok());
  for (const char* host : {"127.0.0.1", ""}) {
    const base::Status status = second.bind_tcp({.host = host, .port = first.port()}, "raftbind");
    REQUIRE_FALSE(status.is_ok());
    CHECK(status.text().starts_with("port " + std::to_string(first.port())));
    CHECK(status.text().find("often a running Redis") != std::string::npos);
    CHECK(status.text().find("-raftbind") != std::string::npos);
  }
}

TEST_CASE("an empty host is reached over IPv4, and shown as such") {
  Loop loop;
  Listener listener(loop);
  REQUIRE(listener.bind_tcp({.host = "", .port = 0}, "listen").is_ok());
  std::string host;
  bool here = false;
  REQUIRE(listener.listen(8, [&](uv_stream_t* server, StreamKind kind) {
    Stream stream(loop, kind);
    REQUIRE(stream.accept_from(server) == 0);
    host = stream.remote_host();
    here = stream.remote_is_loopback();
  }).is_ok());
  TestClient client(loop, listener.port());
  REQUIRE(wait_for_condition(loop, [&] { return !host.empty(); }));
  CHECK(host == "127.0.0.1");
  CHECK(here);
}

TEST_CASE("a host that is not known, and a path that is no socket, are refused") {
  Loop loop;
  Listener listener(loop);
  CHECK_FALSE(listener.bind_tcp({.host = "no-such-host.invalid", .port = 1}, "listen").is_ok());
  CHECK_FALSE(listener.bind_unix("/proc/self/status", 0).is_ok());
  CHECK_FALSE(listener.bind_unix("/" + std::string(200, 'x'), 0).is_ok());
}

TEST_CASE("a connector says why it cannot connect, and not from within its constructor") {
  Loop loop;
  Listener unopened(loop);
  REQUIRE(unopened.bind_tcp(kAnyPort, "listen").is_ok());
  std::string why;
  Connector connector(loop, {.host = "localhost", .port = unopened.port()}, 5000,
                      [&](base::Result<std::unique_ptr<Stream>> result) { why = result.status().text(); });
  CHECK(why.empty());
  REQUIRE(wait_for_condition(loop, [&] { return !why.empty(); }));
  CHECK(why == "connection refused");
}

TEST_CASE("a connector that is destroyed says nothing more") {
  Loop loop;
  for (const char* host : {"127.0.0.1", "localhost"}) {
    int calls = 0;
    auto connector = std::make_unique<Connector>(loop, Address{.host = host, .port = 9}, 5000, [&](auto) { ++calls; });
    connector.reset();
    CHECK(loop.run_leftovers(5000));
    CHECK(calls == 0);
  }
}

}  // namespace
}  // namespace leto::server
