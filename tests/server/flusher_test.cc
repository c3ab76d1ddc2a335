// When the keys are written behind, what a flush that was asked for holds, and the witness of the log.
#include "server/flusher.h"

#include <doctest/doctest.h>

#include "command/entry.h"
#include "fake_environment.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

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

TEST_CASE("a flush that meets a damaged page ends the node") {
  NodeUnderTest test;
  test.lead();
  std::string said;
  test.node->on_unusable = [&said](const std::string& why) { said = why; };
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.finish_all_disk();
  test.ticks(100);
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::error("keys-1.db: the disk is full"));
  CHECK(said.empty());
  for (int tick = 0; tick < 300 && !test.keys.busy(); ++tick) test.ticks(1);
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::error("keys-1.db: damaged: cannot write"));
  CHECK(said == "keys-1.db: damaged: cannot write");
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

TEST_CASE("a SNAPSHOT that is asked for during a flush waits for the next one") {
  NodeUnderTest test;
  test.lead();
  const SessionRef first = test.node->open_session();
  const SessionRef second = test.node->open_session();
  test.send(first, {"SNAPSHOT"});
  test.turn();
  REQUIRE(test.keys.busy());
  test.send(second, {"SET", "k", "1"});
  test.finish_all_disk();
  test.take(second);
  test.send(second, {"SNAPSHOT"});
  test.turn();
  test.keys.finish(base::Status::ok());
  CHECK(test.take(first) == "+OK\r\n");
  CHECK(second->output().empty());
  test.turn();
  REQUIRE(test.keys.busy());
  CHECK(test.keys.flushes == 2);
  test.keys.finish(base::Status::ok());
  CHECK(test.take(second) == "+OK\r\n");
}

TEST_CASE("a SNAPSHOT does not wait for entries that were lost with the leadership") {
  LeaderUnderTest test;
  test.peers.answering = {};
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"SNAPSHOT"});
  test.turn();
  CHECK(!test.keys.busy());
  // A leader of a later term has another, shorter log.
  test.node->on_message(heartbeat_of(2, test.node->raft().term() + 1));
  test.turn();
  CHECK(test.keys.busy());
  test.finish_all_disk();
  test.keys.finish(base::Status::ok());
  CHECK(test.take(session).ends_with("\r\n+OK\r\n"));
}

TEST_CASE("a client that leaves before its SNAPSHOT is done is not answered") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SNAPSHOT"});
  test.turn();
  test.node->close_session(session);
  test.keys.finish(base::Status::ok());
  CHECK(session->output().empty());
}

TEST_CASE("the witness in the keys file never falls, whatever the log still has") {
  NodeStart start = NodeUnderTest::start_of(3);
  start.witness = {.index = 20, .term = 3};
  start.recovered.hard_state.term = 2;
  NodeUnderTest test(std::move(start));
  test.ticks(100);
  CHECK(test.keys.witness.index >= 20);
  CHECK(test.keys.witness.term >= 3);
  const SessionRef session = test.node->open_session();
  test.send(session, {"SNAPSHOT"});
  test.turn();
  REQUIRE(test.keys.busy());
  CHECK(test.keys.witness.index >= 20);
  CHECK(test.keys.witness.term >= 3);
}

TEST_CASE("the witness follows a change of term within a second") {
  NodeUnderTest test;
  test.lead();
  test.ticks(100);
  CHECK(test.keys.witness.term == test.node->raft().term());
  CHECK(test.keys.witness.index >= 1);
}

TEST_CASE("past flush-lag-bytes clients that write are not read from, until the disk has followed") {
  NodeUnderTest test;
  test.lead();
  test.options.flush_bytes = test.options.flush_lag_bytes = 1 << 20;
  const SessionRef session = test.node->open_session();
  const std::string value(700 << 10, 'v');
  for (const char* key : {"a", "b"}) {
    test.send(session, {"SET", key, value});
    test.finish_all_disk();
  }
  REQUIRE(test.keys.busy());
  CHECK(test.node->overloaded());
  test.keys.finish(base::Status::ok());
  test.turn();
  CHECK(!test.node->overloaded());
}

TEST_CASE("what is behind is flushed at once, also where the lag's bounds are below those of a flush") {
  for (const bool by_bytes : {true, false}) {
    NodeUnderTest test;
    test.lead();
    (by_bytes ? test.options.flush_lag_bytes : test.options.flush_lag_ms) = 100;
    const SessionRef session = test.node->open_session();
    uint64_t ticks = 0;
    // It changes all the time, so that it is not idle.
    for (; ticks < 20 && !test.keys.busy(); ++ticks) {
      test.send(session, {"SET", "k", "some value that has more than a few bytes"});
      test.finish_all_disk();
      test.ticks(1);
    }
    CHECK(test.keys.busy());
    CHECK(ticks < 20);
  }
}

TEST_CASE("log that overwrites few keys counts as lag too, for a start would replay it") {
  NodeUnderTest test;
  test.lead();
  test.options.flush_bytes = 1 << 20;
  const SessionRef session = test.node->open_session();
  const std::string value(400 << 10, 'v');
  for (int write = 0; write < 2; ++write) {
    test.send(session, {"SET", "same", value});
    test.finish_all_disk();
  }
  CHECK(!test.keys.busy());
  test.send(session, {"SET", "same", value});
  test.finish_all_disk();
  CHECK(test.keys.busy());
}

TEST_CASE("log that changes no key is flushed, too, or writers would wait for ever once it is past flush-lag-bytes") {
  NodeUnderTest test;
  test.lead();
  test.options.flush_lag_bytes = 1000;
  const SessionRef session = test.node->open_session();
  for (int write = 0; write < 100 && !test.keys.busy(); ++write) {
    test.send(session, {"DEL", "there is no such key"});
    test.finish_all_disk();
  }
  REQUIRE(test.keys.busy());
  CHECK(test.node->overloaded());
  test.keys.finish(base::Status::ok());
  test.turn();
  CHECK_FALSE(test.node->overloaded());
  CHECK_FALSE(test.keys.busy());
}

TEST_CASE("past flush-lag clients that write are not read from") {
  NodeUnderTest test;
  test.lead();
  test.options.flush_lag_ms = 2000;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.finish_all_disk();
  test.ticks(100);
  REQUIRE(test.keys.busy());
  CHECK(!test.node->overloaded());
  test.ticks(150);
  CHECK(test.node->overloaded());
  test.keys.finish(base::Status::error("disk I/O error"));
  test.turn();
  CHECK(test.node->overloaded());
  test.ticks(101);
  test.keys.finish(base::Status::ok());
  test.turn();
  CHECK(!test.node->overloaded());
}

TEST_CASE("a follower that is behind keeps acknowledgements of entries back, and answers heartbeats") {
  NodeUnderTest test(3);
  test.options.flush_lag_bytes = 1 << 20;
  const auto append = [&](raft::Index index, std::string payload) {
    raft::AppendEntries message;
    message.previous = {.term = 1, .index = index - 1};
    command::EntryBuilder builder;
    const std::vector<std::string_view> request = {"SET", "k", payload};
    builder.add(0, request);
    message.entries.push_back({.id = {.term = 1, .index = index},
                               .kind = raft::EntryKind::kCommands,
                               .payload = std::make_shared<const std::string>(builder.finish({.time_ms = 1, .seed = 1}))});
    message.leader_commit = index;
    test.node->on_message({.from = 2, .to = 1, .term = 1, .body = message});
    test.finish_all_disk();
  };
  const auto acknowledged = [&] {
    raft::Index match = 0;
    for (const raft::Message& message : std::exchange(test.network.sent, {})) {
      if (const auto* reply = std::get_if<raft::AppendEntriesReply>(&message.body)) match = std::max(match, reply->match);
    }
    return match;
  };
  append(2, std::string(1 << 20, 'v'));
  CHECK(acknowledged() == 2);
  append(3, "small");
  CHECK(acknowledged() == 0);
  test.node->on_message(heartbeat_of(2, 1));
  test.turn();
  CHECK(acknowledged() == 1);
  test.ticks(100);
  REQUIRE(test.keys.busy());
  test.network.sent.clear();
  test.keys.finish(base::Status::ok());
  test.turn();
  CHECK(acknowledged() == 3);
}

}  // namespace
}  // namespace leto::server::test
