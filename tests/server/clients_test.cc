// Connections and Clients against a node on fakes: real sockets, no disk.
#include "server/clients.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "peer/frame.h"
#include "server/listener.h"
#include "tests/server/fake_environment.h"
#include "tests/server/loop_fixture.h"

namespace leto::server {
namespace {

using test::TestClient;
using test::wait_for_condition;

const std::string kPing = "*1\r\n$4\r\nPING\r\n";
const std::string kPong = "+PONG\r\n";
const std::string kSet = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n";

struct ServerUnderTest {
  ServerUnderTest() {
    it.lead();
    clients.set_node(&*it.node);
    REQUIRE(listener.bind_tcp({.host = "127.0.0.1", .port = 0}, "listen").is_ok());
    port = listener.port();
    REQUIRE(listener.listen(128, [this](uv_stream_t* stream, StreamKind kind) { clients.accept(stream, kind); }).is_ok());
    loop.start({.turn =
                    [this] {
                      const Stats& stats = it.node->stats();
                      most_processed_in_a_turn =
                          std::max(most_processed_in_a_turn, stats.commands_processed - std::exchange(processed, stats.commands_processed));
                      most_read_in_a_turn =
                          std::max(most_read_in_a_turn, stats.input_bytes - std::exchange(read, stats.input_bytes));
                      it.turn();
                      if (disk_answers && it.disk.busy()) it.finish_all_disk();
                      clients.on_turn_end();
                    },
                .tick = nullptr});
  }
  ~ServerUnderTest() {
    clients.close_all();
    loop.end_turns();
  }
  template <typename Condition>
  bool wait(Condition condition) {
    return wait_for_condition(loop, condition);
  }

  test::NodeUnderTest it;
  Loop loop;
  test::FakeClock turn_clock;
  Clients clients{loop, turn_clock, it.options};
  Listener listener{loop};
  uint16_t port = 0;
  bool disk_answers = true;
  uint64_t processed = 0, read = 0;
  uint64_t most_processed_in_a_turn = 0, most_read_in_a_turn = 0;   // From turn to turn.
};

TEST_CASE("a pipeline is answered in order") {
  ServerUnderTest server;
  TestClient client(server.loop, server.port);
  client.send(kPing + kSet + "*2\r\n$3\r\nGET\r\n$1\r\na\r\n" + kPing + "ECHO inline\r\n");
  CHECK(client.receives("+PONG\r\n+OK\r\n$1\r\nb\r\n+PONG\r\n$6\r\ninline\r\n"));
  CHECK(server.it.node->stats().connections_received == 1);
  CHECK(server.it.node->stats().input_bytes > 0);
}

TEST_CASE("a request may come in any number of pieces") {
  ServerUnderTest server;
  TestClient client(server.loop, server.port);
  for (const char byte : kSet) {
    client.send(std::string_view(&byte, 1));
    uv_run(server.loop.uv(), UV_RUN_NOWAIT);
  }
  CHECK(client.receives("+OK\r\n"));
}

TEST_CASE("a write is not answered before the disk has it, and those behind it wait") {
  ServerUnderTest server;
  server.disk_answers = false;
  TestClient client(server.loop, server.port);
  client.send(kSet + kPing);
  REQUIRE(server.wait([&] { return server.it.disk.busy(); }));
  for (int turn = 0; turn < 5; ++turn) uv_run(server.loop.uv(), UV_RUN_NOWAIT);
  CHECK(client.received.empty());
  server.disk_answers = true;
  server.loop.wake();
  CHECK(client.receives("+OK\r\n+PONG\r\n"));
}

TEST_CASE("past flush-lag-bytes a client that waits for each answer is held back too, and those that only read are not") {
  ServerUnderTest server;
  server.it.options.flush_lag_bytes = 1;
  TestClient writer(server.loop, server.port);
  TestClient reader(server.loop, server.port);
  writer.send(kSet);
  REQUIRE(writer.receives("+OK\r\n"));
  REQUIRE(server.it.keys.busy());
  writer.send(kSet);
  const std::string get = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", value = "$1\r\nb\r\n";
  std::string expected;
  for (int round = 0; round < 3; ++round) {
    reader.send(get);
    CHECK(reader.receives(expected += value));
  }
  CHECK(writer.received == "+OK\r\n");
  server.it.keys.finish(base::Status::ok());
  server.loop.wake();
  CHECK(writer.receives("+OK\r\n+OK\r\n"));
}

TEST_CASE("past flush-lag-bytes a client whose every batch ends with a read is held back as well") {
  ServerUnderTest server;
  server.it.options.flush_lag_bytes = 1;
  TestClient writer(server.loop, server.port);
  const std::string batch = kSet + "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", replies = "+OK\r\n$1\r\nb\r\n";
  // The first is what makes it late, and the second is when that is seen.
  writer.send(batch);
  REQUIRE(writer.receives(replies));
  REQUIRE(server.it.keys.busy());
  writer.send(batch);
  REQUIRE(writer.receives(replies + replies));
  writer.send(batch);
  for (int turn = 0; turn < 20; ++turn) uv_run(server.loop.uv(), UV_RUN_NOWAIT);
  CHECK(writer.received == replies + replies);
  CHECK(server.wait([&] {
    if (server.it.keys.busy()) server.it.keys.finish(base::Status::ok());
    server.loop.wake();
    return writer.received == replies + replies + replies;
  }));
}

TEST_CASE("no more is read from a client whose reads that wait hold client-query-buffer-limit, and all are answered in the end") {
  constexpr size_t kReads = 20;
  ServerUnderTest server;
  server.it.options.client_query_buffer_limit = 1 << 20;
  server.disk_answers = false;
  TestClient client(server.loop, server.port);
  std::string requests = kSet, replies = "+OK\r\n";
  for (size_t count = 0; count < kReads; ++count) {
    requests += "*2\r\n$6\r\nEXISTS\r\n$300000\r\n" + std::string(300000, 'k') + "\r\n";
    replies += ":0\r\n";
  }
  client.send(requests);
  REQUIRE(server.wait([&] { return server.it.node->stats().commands_processed >= 5; }));
  for (int turn = 0; turn < 50; ++turn) uv_run(server.loop.uv(), UV_RUN_NOWAIT);
  CHECK(server.it.node->stats().commands_processed == 5);
  server.disk_answers = true;
  server.loop.wake();
  CHECK(client.receives(replies));
}

TEST_CASE("after QUIT nothing is executed, and the connection is closed once everything was answered") {
  ServerUnderTest server;
  TestClient client(server.loop, server.port);
  client.send(kSet + "QUIT\r\n" + kPing);
  CHECK(client.receives("+OK\r\n+OK\r\n"));
  CHECK(client.is_closed());
  CHECK(client.received == "+OK\r\n+OK\r\n");
  CHECK(server.clients.size() == 0);
}

TEST_CASE("a protocol error is answered behind the replies before it, then the connection is closed") {
  ServerUnderTest server;
  TestClient client(server.loop, server.port);
  client.send(kSet + "*1\r\n+bad\r\n" + kPing);
  CHECK(client.is_closed());
  CHECK(client.received.starts_with("+OK\r\n-ERR Protocol error"));
  CHECK(client.received.find("PONG") == std::string::npos);
  CHECK(server.it.node->stats().protocol_errors == 1);
  // A peer's first bytes, of which no line need ever come to its end.
  std::string hello;
  peer::put_frame(hello, peer::FrameType::kHello, "who are you");
  server.it.options.raftbind.port = 15380;
  TestClient peer(server.loop, server.port);
  peer.send(hello);
  CHECK(peer.is_closed());
  CHECK(peer.received == "-ERR Protocol error: this is the clients' port of id1; its peers' port is 15380\r\n");
}

TEST_CASE("a client that has ended its sending side still gets its answers") {
  ServerUnderTest server;
  TestClient client(server.loop, server.port);
  client.send(kSet + kPing);
  client.finish_sending();
  CHECK(client.is_closed());
  CHECK(client.received == "+OK\r\n+PONG\r\n");
}

// A client that reads nothing has asked for as much as the kernel takes, and a little more.
struct FullSocket {
  static constexpr size_t kReplyBytes = 100000 + 11;
  FullSocket() {
    client.stop_reading();
    const std::string echo = "*2\r\n$4\r\nECHO\r\n$100000\r\n" + std::string(100000, 'e') + "\r\n";
    do {
      client.send(echo);
      ++asked;
      REQUIRE(server.wait([&] { return server.it.node->stats().commands_processed == asked; }));
      turns(5);
    } while (server.it.node->stats().output_bytes == asked * kReplyBytes);
    client.finish_sending();
    turns(10);
    REQUIRE(server.clients.size() == 1);
  }
  void turns(int count) {
    for (int turn = 0; turn < count; ++turn) uv_run(server.loop.uv(), UV_RUN_NOWAIT);
  }
  ServerUnderTest server;
  TestClient client{server.loop, server.port};
  size_t asked = 0;
};

TEST_CASE("a client that has ended its sending side gets replies that wait for it, whole") {
  FullSocket full;
  full.client.start_reading();
  CHECK(full.client.is_closed());
  CHECK(full.client.received.size() == full.asked * FullSocket::kReplyBytes);
  CHECK(full.server.clients.size() == 0);
}

TEST_CASE("a client that has ended its sending side and goes away with replies outstanding is forgotten") {
  FullSocket full;
  full.client.close();
  CHECK(full.server.wait([&] { return full.server.clients.size() == 0; }));
}

TEST_CASE("reads behind a write whose replies are more than may wait are served as the client fetches them") {
  ServerUnderTest server;
  server.it.options.client_output_buffer_limit.normal = {.hard_bytes = 4 << 20, .soft_bytes = 0, .soft_seconds = 0};
  TestClient client(server.loop, server.port);
  const std::string value(100000, 'v');
  client.send("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$100000\r\n" + value + "\r\n");
  REQUIRE(client.receives("+OK\r\n"));
  std::string requests = kSet, replies = "+OK\r\n+OK\r\n";
  for (int count = 0; count < 200; ++count) {
    requests += "*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n";
    replies += "$100000\r\n" + value + "\r\n";
  }
  client.send(requests);
  CHECK(client.receives(replies));
  CHECK(server.clients.size() == 1);
}

TEST_CASE("a client that goes away is forgotten, with requests outstanding too") {
  ServerUnderTest server;
  server.disk_answers = false;
  TestClient client(server.loop, server.port);
  client.send(kSet);
  REQUIRE(server.wait([&] { return server.it.disk.busy(); }));
  client.close();
  REQUIRE(server.wait([&] { return server.clients.size() == 1; }));
  server.disk_answers = true;
  server.loop.wake();
  CHECK(server.wait([&] { return server.clients.size() == 0; }));
}

TEST_CASE("a pipeline longer than what may be outstanding is paused, not lost") {
  ServerUnderTest server;
  server.disk_answers = false;
  TestClient client(server.loop, server.port);
  constexpr size_t kRequests = 3 * Connection::kOutstandingMax;
  std::string requests = kSet, replies = "+OK\r\n";
  for (size_t count = 1; count < kRequests; ++count) {
    requests += kPing;
    replies += kPong;
  }
  client.send(requests);
  REQUIRE(server.wait([&] { return server.it.node->stats().commands_processed >= Connection::kOutstandingMax; }));
  for (int turn = 0; turn < 20; ++turn) uv_run(server.loop.uv(), UV_RUN_NOWAIT);
  CHECK(server.it.node->stats().commands_processed == Connection::kOutstandingMax);
  server.disk_answers = true;
  server.loop.wake();
  CHECK(client.receives(replies));
}

TEST_CASE("requests that take more than a turn's time are carried out over several turns, in order, and others between") {
  constexpr size_t kRequests = 20000;
  ServerUnderTest server;
  server.turn_clock.step_us = 100;   // The time is up when it was looked at ten times.
  TestClient busy(server.loop, server.port), other(server.loop, server.port);
  std::string requests, replies;
  for (size_t count = 0; count < kRequests; ++count) {
    const std::string number = std::to_string(count);
    requests += "ECHO " + number + "\r\n";
    replies += "$" + std::to_string(number.size()) + "\r\n" + number + "\r\n";
  }
  REQUIRE(requests.size() < Clients::kReadBytesMax);
  busy.send(requests);
  other.send(kPing);
  CHECK(other.receives(kPong));
  CHECK(busy.received.size() < replies.size());
  CHECK(busy.receives(replies));
  CHECK(server.most_processed_in_a_turn <= 15 * Connection::kRequestsPerLook);
  // Nobody is left behind paused.
  busy.received.clear();
  busy.send(kPing);
  CHECK(busy.receives(kPong));
}

TEST_CASE("many clients with large values share what is read in a turn") {
  constexpr size_t kClients = 24;
  ServerUnderTest server;
  const std::string value(400000, 'v');
  const std::string set = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$400000\r\n" + value + "\r\n";
  std::vector<std::unique_ptr<TestClient>> clients;
  for (size_t count = 0; count < kClients; ++count) {
    clients.push_back(std::make_unique<TestClient>(server.loop, server.port));
  }
  for (const auto& client : clients) client->send(set);
  CHECK(server.wait([&] {
    return std::all_of(clients.begin(), clients.end(), [](const auto& client) { return client->received == "+OK\r\n"; });
  }));
  CHECK(server.most_read_in_a_turn <= 2 * Clients::kReadBytesPerTurn);
}

TEST_CASE("a client that does not read its replies is not read from, and passes the limit only if it is low") {
  ServerUnderTest server;
  TestClient client(server.loop, server.port);
  client.stop_reading();
  const std::string echo = "*2\r\n$4\r\nECHO\r\n$100000\r\n" + std::string(100000, 'e') + "\r\n";
  std::string requests;
  for (int count = 0; count < 200; ++count) requests += echo;
  client.send(requests);
  uint64_t processed = 0;
  REQUIRE(server.wait([&] {
    const uint64_t before = std::exchange(processed, server.it.node->stats().commands_processed);
    return processed > 10 && processed == before && processed < 200;
  }));
  CHECK(server.clients.size() == 1);
  client.start_reading();
  CHECK(server.wait([&] { return client.received.size() == 200 * (100000 + 11); }));
}

TEST_CASE("past the hard output limit a client is disconnected") {
  ServerUnderTest server;
  server.it.options.client_output_buffer_limit.normal = {.hard_bytes = 200000, .soft_bytes = 0, .soft_seconds = 0};
  TestClient client(server.loop, server.port);
  client.stop_reading();
  const std::string echo = "*2\r\n$4\r\nECHO\r\n$500000\r\n" + std::string(500000, 'e') + "\r\n";
  for (int count = 0; count < 40; ++count) client.send(echo);
  CHECK(server.wait([&] { return server.clients.size() == 0; }));
}

TEST_CASE("beyond maxclients a client is told so and closed") {
  ServerUnderTest server;
  server.it.options.maxclients = 1;
  TestClient first(server.loop, server.port);
  first.send(kPing);
  REQUIRE(first.receives(kPong));
  TestClient second(server.loop, server.port);
  CHECK(second.is_closed());
  CHECK(second.received == "-ERR max number of clients reached\r\n");
  CHECK(server.it.node->stats().rejected_connections == 1);
}

TEST_CASE("before AUTH large requests are refused, after it they are not") {
  ServerUnderTest server;
  server.it.options.requirepass = "secret";
  TestClient rude(server.loop, server.port);
  rude.send("*11\r\n");
  CHECK(rude.is_closed());
  CHECK(rude.received.find("unauthenticated multibulk length") != std::string::npos);
  TestClient polite(server.loop, server.port);
  polite.send("*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*2\r\n$4\r\nECHO\r\n$20000\r\n" +
              std::string(20000, 'e') + "\r\n");
  CHECK(polite.receives("-NOAUTH Authentication required.\r\n+OK\r\n$20000\r\n" + std::string(20000, 'e') + "\r\n"));
}

TEST_CASE("new bounds of requests reach connections that are open") {
  ServerUnderTest server;
  TestClient bulk(server.loop, server.port), query(server.loop, server.port);
  bulk.send(kPing);
  query.send(kPing);
  REQUIRE((bulk.receives(kPong) && query.receives(kPong)));
  SUBCASE("proto-max-bulk-len") {
    server.it.options.proto_max_bulk_len = 100;
    bulk.send("*2\r\n$4\r\nECHO\r\n$101\r\n");
    CHECK(bulk.is_closed());
    CHECK(bulk.received.find("-ERR Protocol error: invalid bulk length") != std::string::npos);
  }
  SUBCASE("client-query-buffer-limit") {
    server.it.options.client_query_buffer_limit = 100;
    query.send("*2\r\n$4\r\nECHO\r\n$200\r\n" + std::string(150, 'e'));
    CHECK(query.is_closed());
  }
}

TEST_CASE("an idle client is closed after `timeout`, one that waits for an answer is not") {
  ServerUnderTest server;
  server.it.options.timeout_seconds = 1;
  server.disk_answers = false;
  const uint64_t begin_us = server.loop.monotonic_us();   // It is idle from when it comes.
  TestClient idle(server.loop, server.port);
  TestClient waiting(server.loop, server.port);
  waiting.send(kSet);
  REQUIRE(server.wait([&] { return server.clients.size() == 2 && server.it.disk.busy(); }));
  Timer seconds(server.loop);
  std::function<void()> again = [&] {
    server.clients.on_second();
    seconds.start(100, again);
  };
  again();
  CHECK(idle.is_closed());
  CHECK(server.loop.monotonic_us() - begin_us >= 900000);
  CHECK(server.clients.size() == 1);
}

TEST_CASE("a unix socket is served like any other, with the mode that was asked for") {
  ServerUnderTest server;
  Listener unix_listener(server.loop);
  char pattern[] = "/tmp/leto-clients-test-XXXXXX";
  REQUIRE(mkdtemp(pattern) != nullptr);
  std::string path = std::string(pattern) + "/socket";
  SUBCASE("by its whole path") {}
  SUBCASE("by a path from here") { path = std::filesystem::relative(path); }
  REQUIRE(unix_listener.bind_unix(path, 0600).is_ok());
  REQUIRE(unix_listener
              .listen(8, [&](uv_stream_t* stream, StreamKind kind) { server.clients.accept(stream, kind); })
              .is_ok());
  Listener second(server.loop);
  CHECK_FALSE(second.bind_unix(path, 0).is_ok());
  uv_pipe_t pipe{};
  uv_connect_t request{};
  int connected = 1;
  uv_pipe_init(server.loop.uv(), &pipe, 0);
  request.data = &connected;
  uv_pipe_connect(&request, &pipe, path.c_str(),
                  [](uv_connect_t* done, int status) { *static_cast<int*>(done->data) = status; });
  REQUIRE(server.wait([&] { return connected <= 0 && server.clients.size() == 1; }));
  server.it.options.enable_debug_command = DebugCommand::kLocal;
  const command::Client& client = *server.it.node->clients().front();
  const std::string address = client.address;
  const bool on_unix_socket = client.on_unix_socket, debug_allowed = server.it.node->debug_allowed(client);
  // Before anything is judged: who leaves this test early leaves no handle of its stack in the loop.
  uv_close(reinterpret_cast<uv_handle_t*>(&pipe), nullptr);
  unix_listener.close();
  CHECK(server.wait([&] { return server.clients.size() == 0; }));
  CHECK(connected == 0);
  CHECK(address == path + ":0");
  CHECK(on_unix_socket);
  CHECK(debug_allowed);
  CHECK(rmdir(pattern) == 0);   // The socket's file is gone.
}

}  // namespace
}  // namespace leto::server
