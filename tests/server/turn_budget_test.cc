// What one turn of a node does when there is more to do than its time allows. The clock goes on whenever somebody looks
// at it, so that every budget of time is over at the first look.
#include <doctest/doctest.h>

#include <algorithm>

#include "fake_environment.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

// Node 1 of some voters; nodes 2 and 3 vote for it and take what it appends.
struct HurriedNode : NodeUnderTest {
  explicit HurriedNode(size_t voters) : NodeUnderTest(voters), peers(*this, {2, 3}) {}

  // False if nothing is left for another.
  bool one_turn() {
    waker.woken = false;
    node->on_loop_turn();
    return waker.woken;
  }
  int turns_to_the_end() {
    int turns = 1;
    while (one_turn()) ++turns;
    return turns;
  }
  // From here on one look at the clock is more than a turn may take.
  void hurry() { clock.step_us = 3000; }

  FakePeers peers;
};

int lines_of(const SessionRef& session) {
  const std::string& output = session->output();
  return static_cast<int>(std::count(output.begin(), output.end(), '\n'));
}

// So many writes, answered once node 2 leads: here are the first two turns of that.
void fail_writes(HurriedNode& test, const SessionRef& session, int writes) {
  for (int write = 0; write < writes; ++write) test.send(session, {"SET", "k", "v"});
  test.turns_to_the_end();
  REQUIRE(lines_of(session) == 0);
  test.hurry();
  test.node->on_message(heartbeat_of(2, test.node->raft().term() + 1));
  test.one_turn();
  test.one_turn();
  CHECK(lines_of(session) > 0);
}

TEST_CASE("writes lost with the leadership are told so over several turns, all of them, in order") {
  constexpr int kWrites = 1000;
  HurriedNode test(3);
  test.peers.elect();
  const SessionRef session = test.node->open_session();
  fail_writes(test, session, kWrites);
  CHECK(lines_of(session) < kWrites / 2);
  test.send(session, {"SET", "k", "w"});
  test.turns_to_the_end();
  CHECK(lines_of(session) == kWrites + 1);
  CHECK(session->output().starts_with("-UNKNOWN outcome"));
  CHECK(session->output().ends_with("-not leader\r\n"));
}

TEST_CASE("writes that waited for a leader in vain are answered over several turns") {
  constexpr int kWrites = 1000;
  HurriedNode test(3);
  const SessionRef session = test.node->open_session();
  fail_writes(test, session, kWrites);
  CHECK(lines_of(session) < kWrites);
  test.turns_to_the_end();
  CHECK(lines_of(session) == kWrites);
}

TEST_CASE("large values are proposed a few at a time, and applied one at a time") {
  constexpr int kWrites = 8;
  HurriedNode test(1);
  test.peers.elect();
  const SessionRef session = test.node->open_session();
  const std::string value(700000, 'v');
  for (int write = 0; write < kWrites; ++write) test.send(session, {"SET", "k", value});
  test.hurry();
  const raft::Index before = test.node->raft().last().index;
  CHECK(test.one_turn());
  CHECK(test.node->raft().last().index > before);
  CHECK(test.node->raft().last().index <= before + 2);
  test.turns_to_the_end();
  REQUIRE(test.node->raft().last().index >= before + kWrites - 1);
  test.disk.finish(storage::WriteResult::kDurable);
  test.turns_to_the_end();
  REQUIRE(test.disk.busy());
  const raft::Index applied = test.node->raft().applied_index();
  test.disk.finish(storage::WriteResult::kDurable);
  CHECK(test.one_turn());
  CHECK(test.node->raft().applied_index() <= applied + 1);
  test.finish_all_disk();
  CHECK(lines_of(session) == kWrites);
}

TEST_CASE("reads of one round are served over several turns") {
  constexpr int kReads = 50;
  HurriedNode test(3);
  test.peers.elect();
  std::vector<SessionRef> sessions;
  for (int read = 0; read < kReads; ++read) {
    sessions.push_back(test.node->open_session());
    test.send(sessions.back(), {"GET", "k"});
  }
  test.turns_to_the_end();
  test.hurry();
  test.peers.answer();
  CHECK(test.turns_to_the_end() >= kReads / 2);
  for (const SessionRef& session : sessions) CHECK(session->output() == "$-1\r\n");
}

TEST_CASE("reads behind writes that are applied in one step share a turn's time, however many connections they are of") {
  constexpr int kClients = 20, kReads = 40;
  HurriedNode test(1);
  test.peers.elect();
  std::vector<SessionRef> sessions;
  for (int client = 0; client < kClients; ++client) {
    sessions.push_back(test.node->open_session());
    test.send(sessions.back(), {"SET", "k", "v"});
    for (int read = 0; read < kReads; ++read) test.send(sessions.back(), {"GET", "k"});
  }
  test.turns_to_the_end();
  test.hurry();
  test.disk.finish(storage::WriteResult::kDurable);
  test.one_turn();
  size_t unserved = 0;
  for (const SessionRef& session : sessions) unserved += session->outstanding();
  CHECK(unserved > (kClients - 5) * kReads);
  test.turns_to_the_end();
  for (const SessionRef& session : sessions) CHECK(lines_of(session) == 1 + 2 * kReads);
}

TEST_CASE("of reads with many arguments fewer are served before the time is looked at") {
  constexpr int kReads = 16;
  HurriedNode test(1);
  test.peers.elect();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "v"});
  const std::string key(10000, 'k');
  for (int read = 0; read < kReads; ++read) test.send(session, {"EXISTS", key});
  test.turns_to_the_end();
  test.hurry();
  test.disk.finish(storage::WriteResult::kDurable);
  test.one_turn();
  CHECK(session->outstanding() > kReads / 2);
  test.turns_to_the_end();
  CHECK(session->idle());
}

TEST_CASE("while nobody leads, reads are not asked for anew in each tick, and end in their time") {
  NodeUnderTest test(3);
  const SessionRef session = test.node->open_session();
  for (int read = 0; read < 10; ++read) test.send(session, {"GET", "k"});
  test.turn();
  const uint64_t rounds = test.node->stats().read_rounds;
  test.ticks(20);
  REQUIRE(test.node->raft().leader() == raft::kNobody);
  CHECK(test.node->stats().read_rounds <= rounds + 1);
  CHECK(session->output().empty());
  test.ticks(ticks_in(test.options.request_timeout_ms + 200));
  CHECK(lines_of(session) == 10);
  CHECK(session->output().starts_with("-CLUSTERDOWN no leader\r\n"));
}

}  // namespace
}  // namespace leto::server::test
