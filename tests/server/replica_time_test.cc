// How cluster time travels between nodes: with heartbeats, with answers to reads, and in the entries themselves.
#include <doctest/doctest.h>

#include <memory>
#include <optional>

#include "command/entry.h"
#include "fake_environment.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

constexpr uint64_t kHours = 3600000;

// One of three, whose keys file knows a cluster time of long ago.
struct TimeTest {
  TimeTest() : test(start()), peers(test, {2, 3}), ahead(test.clock.wall + 2 * kHours) {}

  static NodeStart start() {
    NodeStart start = NodeUnderTest::start_of(3);
    start.header.cluster_time_ms = kHours;
    return start;
  }
  void hear(raft::Term term, uint64_t cluster_time_ms) {
    raft::Message heartbeat = heartbeat_of(2, term);
    std::get<raft::AppendEntries>(heartbeat.body).cluster_time_ms = cluster_time_ms;
    test.node->on_message(heartbeat);
    test.finish_all_disk();
  }
  // The newest message of a type that was sent.
  template <typename T>
  std::optional<T> sent() {
    std::optional<T> found;
    for (const raft::Message& message : std::exchange(test.network.sent, {})) {
      if (const T* body = std::get_if<T>(&message.body)) found = *body;
    }
    return found;
  }
  // The time that this node, which leads, gives to the next write.
  uint64_t stamp_of_a_write() {
    const SessionRef session = test.node->open_session();
    test.send(session, {"SET", "k", "v"});
    test.turn();
    REQUIRE(test.disk.in_flight.size() == 1);
    REQUIRE(test.disk.in_flight[0].append.size() == 1);
    base::Result<command::EntryReader> entry =
        command::EntryReader::open(*test.disk.in_flight[0].append[0].payload, 1);
    REQUIRE(entry.is_ok());
    return entry.value().header().time_ms;
  }

  NodeUnderTest test;
  FakePeers peers;
  const uint64_t ahead;
};

TEST_CASE("heartbeats carry cluster time, and it goes on between stamps") {
  TimeTest it;
  it.peers.elect();
  it.test.ticks(20);
  const std::optional<raft::AppendEntries> first = it.sent<raft::AppendEntries>();
  REQUIRE(first.has_value());
  CHECK(first->cluster_time_ms > kHours);
  it.test.ticks(20);
  const std::optional<raft::AppendEntries> second = it.sent<raft::AppendEntries>();
  REQUIRE(second.has_value());
  CHECK(second->cluster_time_ms > first->cluster_time_ms);
}

TEST_CASE("the answer to a follower's read carries cluster time") {
  TimeTest it;
  it.peers.elect();
  it.test.node->on_message({.from = 2, .to = 1, .term = it.test.node->raft().term(),
                            .body = raft::ReadIndexRequest{.context = 7}});
  it.test.turn();
  const std::optional<raft::AppendEntries> round = it.sent<raft::AppendEntries>();
  REQUIRE(round.has_value());
  it.test.node->on_message({.from = 3, .to = 1, .term = it.test.node->raft().term(),
                            .body = raft::AppendEntriesReply{.accepted = true,
                                                             .match = round->previous.index,
                                                             .previous_index = round->previous.index,
                                                             .hint = {},
                                                             .read_counter = round->read_counter}});
  it.test.turn();
  const std::optional<raft::ReadIndexReply> answer = it.sent<raft::ReadIndexReply>();
  REQUIRE(answer.has_value());
  CHECK(answer->ok);
  CHECK(answer->cluster_time_ms > kHours);
}

TEST_CASE("who heard a leader goes on from that leader's time when it leads itself") {
  TimeTest it;
  it.hear(2, it.ahead);
  it.peers.elect();
  CHECK(it.stamp_of_a_write() >= it.ahead);
}

TEST_CASE("the time of a leader whose term is over does not count") {
  TimeTest it;
  it.hear(4, kHours);
  it.hear(3, it.ahead);
  it.peers.elect();
  CHECK(it.stamp_of_a_write() < it.ahead);
}

TEST_CASE("the stamp of an applied entry brings cluster time on") {
  TimeTest it;
  command::EntryBuilder builder;
  const std::string_view arguments[] = {"SET", "k", "v"};
  builder.add(0, arguments);
  raft::Entry entry{.id = {.term = 2, .index = 2}, .kind = raft::EntryKind::kCommands, .payload = {}};
  entry.payload = std::make_shared<const std::string>(builder.finish({.time_ms = it.ahead, .seed = 1, .semantics = 1}));
  raft::AppendEntries append;
  append.previous = {.term = 1, .index = 1};
  append.leader_commit = 2;
  append.entries = {entry};
  it.test.node->on_message({.from = 2, .to = 1, .term = 2, .body = append});
  it.test.finish_all_disk();
  it.hear(2, kHours);
  REQUIRE(it.test.node->raft().applied_index() == 2);
  it.peers.elect();
  CHECK(it.stamp_of_a_write() >= it.ahead);
}

}  // namespace
}  // namespace leto::server::test
