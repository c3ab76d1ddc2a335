// The log is dropped only up to what is durable in the keys file, with the window that was wanted (D10).
#include "server/compactor.h"

#include <doctest/doctest.h>

#include "fake_environment.h"

namespace leto::server::test {
namespace {

// One voter whose three writes are applied, and none of them flushed.
struct CompactorTest {
  CompactorTest() {
    test.lead();
    session = test.node->open_session();
    for (const char* key : {"a", "b", "c"}) {
      test.send(session, {"SET", key, "1"});
      test.finish_all_disk();
    }
    // What was tried at the start, when nothing was there to drop.
    for (FakeLogDisk::Compaction& each : std::exchange(test.disk.compactions, {})) each.done(raft::EntryId{});
    test.turn();
  }
  void flush() {
    test.send(session, {"SNAPSHOT"});
    test.turn();
    REQUIRE(test.keys.busy());
    test.keys.finish(base::Status::ok());
    test.turn();
  }
  NodeUnderTest test;
  SessionRef session;
};

TEST_CASE("D10: nothing is dropped that is not durable in the keys file") {
  CompactorTest it;
  const raft::Index applied = it.test.node->raft().applied_index();
  it.test.turn();
  CHECK(it.test.disk.compactions.empty());
  it.test.send(it.session, {"SNAPSHOT"});
  it.test.turn();
  REQUIRE(it.test.keys.busy());
  it.test.ticks(10);
  CHECK(it.test.disk.compactions.empty());
  it.test.keys.finish(base::Status::ok());
  it.test.turn();
  REQUIRE(it.test.disk.compactions.size() == 1);
  CHECK(it.test.disk.compactions[0].drop.through == applied);
}

TEST_CASE("D10: a flush that failed lets nothing be dropped") {
  CompactorTest it;
  it.test.send(it.session, {"SNAPSHOT"});
  it.test.turn();
  REQUIRE(it.test.keys.busy());
  it.test.keys.finish(base::Status::error("disk I/O error"));
  it.test.turn();
  CHECK(it.test.disk.compactions.empty());
}

TEST_CASE("the window is left to the store, and a new one is tried at once") {
  CompactorTest it;
  it.flush();
  REQUIRE(it.test.disk.compactions.size() == 1);
  CHECK(it.test.disk.compactions[0].drop.bytes_kept == it.test.options.log_window);
  it.test.disk.compactions[0].done(raft::EntryId{});
  it.test.turn();
  CHECK(it.test.disk.compactions.size() == 1);
  it.test.options.log_window = 1;
  it.test.turn();
  REQUIRE(it.test.disk.compactions.size() == 2);
  CHECK(it.test.disk.compactions[1].drop.bytes_kept == 1);
}

TEST_CASE("the core learns where the log begins now, and the rest is asked for") {
  CompactorTest it;
  it.flush();
  REQUIRE(it.test.disk.compactions.size() == 1);
  const raft::Index applied = it.test.node->raft().applied_index();
  it.test.disk.compactions[0].done(raft::EntryId{.term = it.test.node->raft().term(), .index = applied - 1});
  it.test.turn();
  CHECK(it.test.node->raft().first_index() == applied);
  REQUIRE(it.test.disk.compactions.size() == 2);
  it.test.disk.compactions[1].done(raft::EntryId{.term = it.test.node->raft().term(), .index = applied - 1});
  it.test.turn();
  CHECK(it.test.disk.compactions.size() == 2);
}

TEST_CASE("a compaction that failed is tried again after a while") {
  CompactorTest it;
  it.flush();
  REQUIRE(it.test.disk.compactions.size() == 1);
  it.test.disk.compactions[0].done(base::Status::error("database or disk is full"));
  it.test.ticks(50);
  CHECK(it.test.disk.compactions.size() == 1);
  it.test.ticks(60);
  CHECK(it.test.disk.compactions.size() == 2);
}

}  // namespace
}  // namespace leto::server::test
