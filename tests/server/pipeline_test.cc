// The order of replies, and where reads of a pipeline that mixes reads and writes run.
#include <doctest/doctest.h>

#include "fake_environment.h"

namespace leto::server::test {
namespace {

TEST_CASE("a write is answered only when its entry is durable and applied") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "a", "b"});
  test.turn();
  REQUIRE(test.disk.busy());
  CHECK(session->output().empty());
  test.finish_disk();
  CHECK(test.take(session) == "+OK\r\n");
}

TEST_CASE("writes that arrive while a job is in flight share the next one") {
  NodeUnderTest test;
  test.lead();
  const SessionRef first = test.node->open_session();
  const SessionRef second = test.node->open_session();
  const SessionRef third = test.node->open_session();
  test.send(first, {"SET", "a", "1"});
  test.turn();
  test.send(second, {"SET", "b", "2"});
  test.turn();
  test.send(third, {"INCR", "b"});
  test.turn();
  test.finish_disk();
  CHECK(test.take(first) == "+OK\r\n");
  CHECK(second->output().empty());
  REQUIRE(test.disk.busy());
  REQUIRE(test.disk.in_flight.size() == 1);
  CHECK(test.disk.in_flight[0].append.size() == 1);
  test.finish_disk();
  CHECK(test.take(second) == "+OK\r\n");
  CHECK(test.take(third) == ":3\r\n");
}

TEST_CASE("a read parsed before the write before it was handed to raft runs at that write's place") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  const SessionRef other = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "k"});
  test.send(other, {"SET", "k", "2"});
  test.turn();
  CHECK(session->output().empty());
  test.finish_all_disk();
  CHECK(test.take(session) == "+OK\r\n$1\r\n1\r\n");
  test.send(session, {"GET", "k"});
  test.finish_all_disk();
  CHECK(test.take(session) == "$1\r\n2\r\n");
}

TEST_CASE("a read parsed after the write was handed to raft is answered after that write, and sees it") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.turn();
  test.send(session, {"GET", "k"});
  test.turn();
  CHECK(session->output().empty());
  test.finish_disk();
  CHECK(test.take(session) == "+OK\r\n$1\r\n1\r\n");
}

TEST_CASE("a read not yet served when a later write of its connection is applied runs right before it") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.turn();
  test.send(session, {"GET", "k"});
  test.send(session, {"SET", "k", "2"});
  test.send(session, {"GET", "k"});
  test.finish_all_disk();
  CHECK(test.take(session) == "+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n");
}

TEST_CASE("replies leave in the order of the requests, whatever is ready first") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"PING"});
  test.send(session, {"NOSUCH"});
  test.send(session, {"ECHO", "x"});
  CHECK(session->output().empty());
  test.finish_all_disk();
  CHECK(test.take(session) ==
        "+OK\r\n+PONG\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n$1\r\nx\r\n");
}

TEST_CASE("what is answered at once between a write and a read holds up neither") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"PING"});
  test.send(session, {"GET", "k"});
  test.send(session, {"PING"});
  test.send(session, {"GET", "k"});
  test.finish_all_disk();
  CHECK(test.take(session) == "+OK\r\n+PONG\r\n$1\r\n1\r\n+PONG\r\n$1\r\n1\r\n");
}

TEST_CASE("another client's read is not held up by a write that waits for the disk") {
  NodeUnderTest test;
  test.lead();
  const SessionRef writer = test.node->open_session();
  const SessionRef reader = test.node->open_session();
  test.send(writer, {"SET", "k", "1"});
  test.turn();
  test.send(reader, {"GET", "k"});
  CHECK(test.take(reader) == "$-1\r\n");
}

TEST_CASE("a write that is not committed within request-timeout ends as UNKNOWN, and so do reads behind it") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "k"});
  test.turn();
  test.ticks(static_cast<int>(test.options.request_timeout_ms / kTickMs) + 20);
  const std::string replies = test.take(session);
  CHECK(replies.starts_with("-UNKNOWN outcome: "));
  CHECK(replies.find("\r\n-UNKNOWN outcome: ") != std::string::npos);
  // It happens after all: nobody is answered twice.
  test.finish_all_disk();
  CHECK(session->output().empty());
  test.send(session, {"GET", "k"});
  CHECK(test.take(session) == "$1\r\n1\r\n");
}

TEST_CASE("a full disk runs the same job again, and new writes are refused meanwhile") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.turn();
  test.finish_disk(storage::WriteResult::kFull);
  CHECK(session->output().empty());
  const SessionRef other = test.node->open_session();
  test.send(other, {"SET", "k", "2"});
  CHECK(test.take(other).starts_with("-MISCONF "));
  test.ticks(1);
  REQUIRE(test.disk.busy());
  test.finish_disk();
  CHECK(test.take(session) == "+OK\r\n");
  test.finish_all_disk();
  test.send(other, {"SET", "k", "3"});
  test.finish_all_disk();
  CHECK(test.take(other) == "+OK\r\n");
}

TEST_CASE("a closed connection's writes still happen, and nobody is answered") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.turn();
  test.node->close_session(session);
  test.finish_all_disk();
  const SessionRef other = test.node->open_session();
  test.send(other, {"GET", "k"});
  CHECK(test.take(other) == "$1\r\n1\r\n");
}

TEST_CASE("a node without a leader holds a write for a while, then says that it did not happen") {
  NodeUnderTest test(3);
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.turn();
  CHECK(session->output().empty());
  test.ticks(static_cast<int>(4 * test.options.election_timeout_ms / kTickMs));
  CHECK(test.take(session) == "-CLUSTERDOWN no leader\r\n");
}

TEST_CASE("a follower answers a write with exactly 'not leader'") {
  NodeUnderTest test(3);
  raft::AppendEntries heartbeat;
  heartbeat.previous = {.term = 1, .index = 1};
  test.node->on_message({.from = 2, .to = 1, .term = 2, .body = heartbeat});
  test.finish_all_disk();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  CHECK(test.take(session) == "-not leader\r\n");
}

TEST_CASE("SNAPSHOT is answered when the keys are durable, with the writes before it") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"SNAPSHOT"});
  test.turn();
  CHECK(!test.keys.busy());
  test.finish_all_disk();
  CHECK(test.take(session) == "+OK\r\n");
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::ok());
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.node->keyspace().dirty_keys() == 0);
}

TEST_CASE("a failed flush answers an error and keeps its keys for the next") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.finish_all_disk();
  test.take(session);
  test.send(session, {"SNAPSHOT"});
  test.turn();
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::error("disk I/O error"));
  CHECK(test.take(session).starts_with("-ERR the keys file was not written: disk I/O error"));
  CHECK(test.node->keyspace().dirty_keys() == 1);
}

raft::Message heartbeat_of_leader_2() {
  raft::AppendEntries heartbeat;
  heartbeat.previous = {.term = 1, .index = 1};
  return {.from = 2, .to = 1, .term = 2, .body = heartbeat};
}

TEST_CASE("with follower-writes redirect a follower names the leader's client address and the key's slot") {
  NodeUnderTest test(3);
  test.options.follower_writes = FollowerWrites::kRedirect;
  test.node->on_message(heartbeat_of_leader_2());
  test.finish_all_disk();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "foo", "1"});
  CHECK(test.take(session) == "-MOVED 12182 10.0.0.2:5379\r\n");
}

TEST_CASE("a READONLY connection reads here at once, without a leader") {
  NodeUnderTest test(3);
  const SessionRef session = test.node->open_session();
  test.send(session, {"GET", "k"});
  CHECK(session->output().empty());
  const SessionRef local = test.node->open_session();
  test.send(local, {"READONLY"});
  test.send(local, {"GET", "k"});
  CHECK(test.take(local) == "+OK\r\n$-1\r\n");
}

TEST_CASE("a local read still follows the writes of its own connection") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"READONLY"});
  test.send(session, {"SET", "k", "1"});
  test.turn();
  test.send(session, {"GET", "k"});
  CHECK(test.take(session) == "+OK\r\n");
  test.finish_all_disk();
  CHECK(test.take(session) == "+OK\r\n$1\r\n1\r\n");
}

TEST_CASE("a command beyond max-entry-bytes is refused before it is proposed") {
  NodeUnderTest test;
  test.lead();
  test.options.max_entry_bytes = 1 << 20;
  const SessionRef session = test.node->open_session();
  const std::string value(2 << 20, 'v');
  test.send(session, {"SET", "k", value});
  CHECK(test.take(session).starts_with("-ERR the command has "));
  test.turn();
  CHECK(!test.disk.busy());
}

TEST_CASE("changed keys are flushed within a second of the last change, without being asked") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.finish_all_disk();
  CHECK(!test.keys.busy());
  test.ticks(100);
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::ok());
  CHECK(test.node->keyspace().dirty_keys() == 0);
  test.ticks(1000);
  CHECK(!test.keys.busy());
}

TEST_CASE("changed keys are flushed after flush-interval while changes go on") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  uint64_t ticks = 0;
  for (; ticks < 10000 && !test.keys.busy(); ++ticks) {
    test.send(session, {"INCR", "k"});
    test.finish_all_disk();
    test.ticks(1);
  }
  CHECK(ticks * kTickMs >= test.options.flush_interval_ms - 1000);
  CHECK(ticks * kTickMs <= test.options.flush_interval_ms);
}

TEST_CASE("changed keys are flushed once flush-bytes have changed") {
  NodeUnderTest test;
  test.lead();
  test.options.flush_bytes = 1 << 20;
  const SessionRef session = test.node->open_session();
  const std::string value(600 << 10, 'v');
  test.send(session, {"SET", "a", value});
  test.finish_all_disk();
  CHECK(!test.keys.busy());
  test.send(session, {"SET", "b", value});
  test.finish_all_disk();
  CHECK(test.keys.busy());
}

TEST_CASE("a failed flush is not tried again at once") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.finish_all_disk();
  test.ticks(100);
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::error("database or disk is full"));
  test.ticks(50);
  CHECK(!test.keys.busy());
  test.ticks(100);
  CHECK(test.keys.busy());
}

}  // namespace
}  // namespace leto::server::test
