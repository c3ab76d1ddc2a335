// A leader whose log's disk hangs, or is full, while the others are well: it hands over (D15, D17).
#include <doctest/doctest.h>

#include <memory>
#include <utility>
#include <variant>

#include "fake_environment.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

// A leader of three with a write on its disk; the others have everything that it sends.
struct DiskTest {
  DiskTest() : test(3), peers(test, {2, 3}) {
    peers.elect();
    test.network.sent.clear();
    test.send(test.node->open_session(), {"SET", "k", "v"});
    test.turn();
    REQUIRE(test.disk.busy());
  }
  // Passes ticks in which the others answer and the disk does what it is told by the test alone.
  void pass(uint64_t milliseconds) {
    for (uint64_t passed = 0; passed < milliseconds; passed += kTickMs) {
      test.ticks(1);
      answer();
    }
  }
  void answer() {
    for (const raft::Message& message : std::exchange(test.network.sent, {})) {
      handed_over = handed_over || std::holds_alternative<raft::TimeoutNow>(message.body);
      if (const std::optional<raft::Message> reply = willing_answer_to(message)) test.node->on_message(*reply);
    }
  }
  NodeUnderTest test;
  FakePeers peers;
  bool handed_over = false;   // TimeoutNow was sent.
};

TEST_CASE("D17: a commit that takes longer than disk-stall-timeout makes a leader hand over, and not before") {
  DiskTest it;
  it.pass(it.test.options.disk_stall_timeout_ms() - 2 * kTickMs);
  CHECK(!it.handed_over);
  it.pass(5 * kTickMs);
  CHECK(it.handed_over);
}

TEST_CASE("D15: a full disk counts as stalled at once") {
  DiskTest it;
  it.pass(2 * kTickMs);
  CHECK(!it.handed_over);
  it.test.finish_disk(storage::WriteResult::kFull);
  it.pass(3 * kTickMs);
  CHECK(it.handed_over);
}

TEST_CASE("what waited for the disk is not said any more once its term is over") {
  NodeUnderTest test(3);
  raft::AppendEntries append;
  append.previous = {.term = 1, .index = 1};
  append.entries = {{.id = {.term = 2, .index = 2}, .kind = raft::EntryKind::kNothing,
                     .payload = std::make_shared<const std::string>()}};
  test.node->on_message({.from = 2, .to = 1, .term = 2, .body = append});
  test.turn();
  REQUIRE(test.disk.busy());
  test.node->on_message(heartbeat_of(3, 3));
  test.turn();
  test.finish_all_disk();
  REQUIRE(!test.network.sent.empty());
  for (const raft::Message& message : test.network.sent) CHECK(message.term == 3);
}

}  // namespace
}  // namespace leto::server::test
