// When the keys are written behind, what a flush that was asked for holds, and the witness of the log.
#include "server/flusher.h"

#include <doctest/doctest.h>

#include "command/entry.h"
#include "fake_environment.h"
#include "fake_leader.h"
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
  test.ticks(110);
  REQUIRE(test.keys.busy());
  CHECK(test.keys.keys() == std::vector<std::string>{"k"});
}

// One node whose flush of key "old" has failed, with the key "new" set since.
struct FailedFlush {
  FailedFlush() {
    test.lead();
    session = test.node->open_session();
    write("old");
    test.ticks(100);
    fail();
    write("new");
  }
  void write(std::string_view key) {
    test.send(session, {"SET", key, "1"});
    test.finish_all_disk();
    test.take(session);
  }
  void fail() {
    REQUIRE(test.keys.busy());
    test.keys.finish(base::Status::error("database or disk is full"));
  }
  std::string info(const std::string& field) {
    test.send(session, {"INFO", "raft"});
    const std::string text = test.take(session);
    const size_t begin = text.find("\r\n" + field + ":") + field.size() + 3;
    return text.substr(begin, text.find("\r\n", begin) - begin);
  }
  using Keys = std::vector<std::string>;
  NodeUnderTest test;
  SessionRef session;
};

TEST_CASE("the cut of a failed flush is tried again as it is, and what changed since comes with the next one") {
  FailedFlush it;
  CHECK(it.info("flush_lag_keys") == "2");
  it.test.ticks(101);
  REQUIRE(it.test.keys.busy());
  CHECK(it.test.keys.keys() == FailedFlush::Keys{"old"});
  it.fail();
  it.write("newer");
  it.test.ticks(101);
  REQUIRE(it.test.keys.busy());
  CHECK(it.test.keys.keys() == FailedFlush::Keys{"old"});
  it.test.keys.finish(base::Status::ok());
  CHECK(it.info("flush_lag_keys") == "2");
  CHECK(it.info("flush_lag_entries") == "2");
  it.test.ticks(100);
  REQUIRE(it.test.keys.busy());
  CHECK(it.test.keys.keys() == FailedFlush::Keys{"new", "newer"});
  it.test.keys.finish(base::Status::ok());
  CHECK(it.info("flush_lag_keys") == "0");
  CHECK(it.info("flush_lag_entries") == "0");
  CHECK(it.info("flushes") == "2");
  CHECK(it.info("flush_failures") == "2");
}

TEST_CASE("a SNAPSHOT behind a failed flush is answered when its own writes are durable, or when that fails again") {
  FailedFlush it;
  it.test.send(it.session, {"SNAPSHOT"});
  it.test.turn();
  REQUIRE(it.test.keys.busy());
  CHECK(it.test.keys.keys() == FailedFlush::Keys{"old"});
  SUBCASE("it fails again") {
    it.fail();
    CHECK(it.test.take(it.session).starts_with("-ERR the keys file was not written: "));
    it.test.turn();
    CHECK(!it.test.keys.busy());
  }
  SUBCASE("it goes well") {
    it.test.keys.finish(base::Status::ok());
    CHECK(it.test.take(it.session).empty());
    it.test.turn();
    REQUIRE(it.test.keys.busy());
    CHECK(it.test.keys.keys() == FailedFlush::Keys{"new"});
    it.test.keys.finish(base::Status::ok());
    CHECK(it.test.take(it.session) == "+OK\r\n");
  }
}

TEST_CASE("a flush that fails costs the loop the same however many keys are in it") {
  NodeUnderTest test;
  test.lead();
  const keyspace::ValueRef value = keyspace::make_string("x");
  constexpr long kKeys = 200'000;
  // Past the log, so that all have one value, whose references can be counted.
  auto& keys = const_cast<keyspace::Keyspace&>(test.node->keyspace());
  for (long i = 0; i < kKeys; ++i) keys.set(0, std::to_string(i), {.value = value, .version = {}});
  for (int attempt = 0; attempt < 2; ++attempt) {
    test.ticks(101);
    REQUIRE(test.keys.busy());
    // One reference of each key and one of its record: nothing is copied, freed or looked at.
    CHECK(value.use_count() == 2 * kKeys + 1);
    test.keys.finish(base::Status::error("database or disk is full"));
    CHECK(value.use_count() == 2 * kKeys + 1);
    CHECK(test.node->keyspace().dirty_keys() == 0);
  }
  test.ticks(101);
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::ok());
  // What is done with is freed in steps, in the turns that follow.
  CHECK(value.use_count() == 2 * kKeys + 1);
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

TEST_CASE("log that changed no key is flushed once nothing more comes, and then no more") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  for (int round = 0; round < 2; ++round) {
    test.ticks(100);
    REQUIRE(test.keys.busy());
    CHECK(test.keys.keys().empty());
    test.keys.finish(base::Status::ok());
    test.ticks(500);
    CHECK_FALSE(test.keys.busy());
    test.send(session, {"DEL", "there is no such key"});
    test.finish_all_disk();
  }
  CHECK(test.keys.flushes == 2);
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

TEST_CASE("damage that the checkpoint behind a flush meets ends the node, too") {
  NodeUnderTest test;
  test.lead();
  std::string said;
  test.node->on_unusable = [&said](const std::string& why) { said = why; };
  test.keys.checkpoint_damage = "keys-1.db: damaged: a page";
  test.ticks(100);
  REQUIRE(test.keys.busy());
  CHECK(said.empty());
  test.keys.finish(base::Status::ok());
  CHECK(said == "keys-1.db: damaged: a page");
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
  test.peers.accept_entries = false;
  test.send(test.node->open_session(), {"SET", "k", "1"});
  const SessionRef session = test.node->open_session();
  test.send(session, {"SNAPSHOT"});
  test.peers.exchange();
  CHECK(!test.keys.busy());
  // A leader of a later term has another, shorter log.
  test.node->on_message(heartbeat_of(2, test.node->raft().term() + 1));
  test.turn();
  REQUIRE(test.keys.busy());
  test.finish_all_disk();
  test.keys.finish(base::Status::ok());
  CHECK(test.take(session) == "+OK\r\n");
}

TEST_CASE("SNAPSHOT at a follower holds what others were told of: it asks the leader how far that is") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SNAPSHOT"});
  test.turn();
  CHECK(!test.keys.busy());
  CHECK(test.confirm_reads() == 1);
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::ok());
  CHECK(test.take(session) == "+OK\r\n");
}

TEST_CASE("SNAPSHOT at a follower begins once the writes before it of its connection were answered") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"SNAPSHOT"});
  const std::vector<peer::Forward> taken = test.taken();
  REQUIRE(taken.size() == 1);
  CHECK(test.confirm_reads() == 0);
  test.answer(taken[0], taken[0].first, "+OK\r\n");
  CHECK(test.confirm_reads() == 1);
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::ok());
  CHECK(test.take(session) == "+OK\r\n+OK\r\n");
}

TEST_CASE("where no leader confirms it SNAPSHOT is refused as a read would be") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SNAPSHOT"});
  test.pass(test.options.request_timeout_ms + 500);
  CHECK(test.take(session).starts_with("-CLUSTERDOWN no "));
  CHECK(test.keys.flushes == 0);
}

TEST_CASE("a SNAPSHOT behind a write for which the log's disk has no room is refused after request-timeout, and what follows goes on") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.turn();
  test.finish_disk(storage::WriteResult::kFull);
  test.send(session, {"SNAPSHOT"});
  test.send(session, {"PING"});
  const SessionRef other = test.node->open_session();
  test.send(other, {"SNAPSHOT"});
  test.send(other, {"PING"});
  test.ticks(ticks_in(test.options.request_timeout_ms / 2));
  CHECK(test.take(session).empty());
  CHECK(test.take(other).empty());
  test.ticks(ticks_in(test.options.request_timeout_ms / 2 + 1000));
  CHECK(test.take(other) == "-ERR the keys file was not written: what it is to hold was not committed and applied in time\r\n+PONG\r\n");
  // As a read behind a write of its own connection.
  const std::string told = test.take(session);
  CHECK(told.starts_with("-UNKNOWN outcome: "));
  CHECK(told.find("\r\n-UNKNOWN outcome: ") != std::string::npos);
  CHECK(told.ends_with("\r\n+PONG\r\n"));
}

TEST_CASE("a SNAPSHOT that is being written is waited for, however long it takes") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.finish_all_disk();
  test.take(session);
  test.send(session, {"SNAPSHOT"});
  test.turn();
  REQUIRE(test.keys.busy());
  test.ticks(ticks_in(3 * test.options.request_timeout_ms));
  CHECK(test.take(session).empty());
  test.keys.finish(base::Status::ok());
  CHECK(test.take(session) == "+OK\r\n");
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
  test.follow(2, 3);
  test.send(test.node->open_session(), {"SNAPSHOT"});
  test.confirm_reads();
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

TEST_CASE("a witness that cannot be written is tried again twice a second, and that is said once a minute") {
  NodeUnderTest test;
  size_t said = 0;
  const base::LogLevel usual_level = base::log_level();
  base::set_log_level(base::LogLevel::kWarning);
  base::set_log_sink([&said](base::LogLevel, std::string_view text) { said += text.starts_with("keys: the witness") ? 1 : 0; });
  test.keys.witness_refusal = "keys-1.db: cannot write the witness: database or disk is full";
  test.lead();
  test.ticks(100);
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::ok());
  test.ticks(ticks_in(50000));
  CHECK(said == 1);
  test.ticks(ticks_in(20000));
  CHECK(said == 2);
  test.keys.witness_refusal.clear();
  test.ticks(ticks_in(1000));
  base::set_log_sink(nullptr);
  base::set_log_level(usual_level);
  CHECK(test.keys.witness.term == test.node->raft().term());
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
