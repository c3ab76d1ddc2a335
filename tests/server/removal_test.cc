// A node that is removed while requests of its clients are under way: each of them is answered at once, and truly.
#include <doctest/doctest.h>

#include "fake_leader.h"
#include "fake_peers.h"
#include "server/turn_share.h"

namespace leto::server::test {
namespace {

using Frames = std::vector<peer::Forward>;
const std::string kRemoved = "-CLUSTERDOWN this node was removed from its cluster\r\n";

TEST_CASE("what waits at a node that is removed is answered at once: reads, and the writes behind them") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  for (const auto* key : {"a", "b"}) {
    test.send(session, {"GET", key});
    test.send(session, {"INCR", key});
  }
  CHECK(test.taken().empty());
  SUBCASE("the leader has not answered") {}
  SUBCASE("what the reads are to see does not come any more") { CHECK(test.confirm_reads(7) == 1); }
  SUBCASE("they asked in vain, and wait to ask again") { test.pass(test.options.election_timeout_ms + 20); }
  test.remove();
  CHECK(test.take(session) == kRemoved + kRemoved + kRemoved + kRemoved);
  test.pass(100);
  CHECK(test.taken().empty());
}

TEST_CASE("a read whose index is applied is served by a node that is removed") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"GET", "a"});
  test.confirm_reads(2);
  CHECK(session->output().empty());
  test.remove();
  CHECK(test.take(session) == "$-1\r\n");
}

TEST_CASE("what a node sent before it was removed is answered by the leader, and the reads behind it are refused then") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  for (const auto* key : {"a", "b"}) {
    test.send(session, {"INCR", key});
    test.send(session, {"GET", key});
  }
  const Frames frames = test.taken();
  CHECK(FollowerUnderTest::words(frames.at(0)) == "INCR a");
  test.remove();
  CHECK(session->output().empty());
  SUBCASE("it took it") {
    test.answer(frames[0], 1, ":1\r\n");
    CHECK(test.take(session) == ":1\r\n" + kRemoved + kRemoved + kRemoved);
  }
  SUBCASE("it did not take it") {
    test.answer(frames[0], 1, "");
    CHECK(test.take(session) == kRemoved + kRemoved + kRemoved + kRemoved);
  }
  SUBCASE("the link breaks") {
    test.node->on_peer_unreachable(2);
    test.turn();
    const std::string unknown = "-UNKNOWN outcome: the link to the leader broke before it answered\r\n";
    CHECK(test.take(session) == unknown + unknown + kRemoved + kRemoved);
  }
  CHECK(test.taken().empty());
}

TEST_CASE("what a removed node has not sent, however much, is refused over several turns, and never sent") {
  FollowerUnderTest test;
  test.network.forwards_leave = false;
  const SessionRef session = test.node->open_session();
  constexpr size_t kCount = 1000;
  for (size_t i = 0; i < kCount; ++i) test.send(session, {"INCR", "n"});
  test.turn();
  test.network.forwards_leave = true;
  raft::Configuration rest = test.node->members();
  rest.members.erase(rest.members.begin());
  test.bring(raft::EntryKind::kConfiguration, raft::encode_configuration(rest));
  size_t refused = 0, turns = 0;
  for (; turns < 100 && refused < kCount; ++turns) {
    test.node->on_loop_turn();
    const size_t lines = test.take(session).size() / kRemoved.size();
    CHECK(lines <= TurnShare::kRequestsMax);
    refused += lines;
    CHECK(test.network.forwards.empty());
  }
  CHECK(refused == kCount);
  CHECK(turns >= kCount / TurnShare::kRequestsMax);
}

TEST_CASE("a local read of what its connection wrote elsewhere does not wait at a removed node, which never gets it") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"READONLY"});
  test.send(session, {"SET", "k", "1"});
  test.answer(test.taken().at(0), 1, "+OK\r\n", 7);
  test.send(session, {"GET", "k"});
  test.turn();
  CHECK(test.take(session) == "+OK\r\n+OK\r\n");
  test.remove();
  CHECK(test.take(session) == kRemoved);
}

TEST_CASE("without follower-writes forward, too, what waits for a leader is refused once this node knows that it was removed") {
  NodeUnderTest test(3);
  test.follow(2, 2);
  test.ticks(ticks_in(2 * test.options.election_timeout_ms) + 2);
  REQUIRE(test.node->raft().leader() == raft::kNobody);
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "k"});
  test.turn();
  CHECK(session->output().empty());
  test.node->on_removed("you were removed", false);
  test.turn();
  CHECK(test.take(session) == kRemoved + kRemoved);
}

// It was asked to leave, and who it handed over to leads.
raft::NodeId hand_over_to_leave(LeaderUnderTest& test) {
  test.send(test.node->open_session(), {"LEAVE", "id1"});
  test.turn();
  test.peers.exchange();
  const raft::NodeId successor = test.node->raft().transferring_to();
  REQUIRE(successor != raft::kNobody);
  test.lose_leadership_to(successor);
  return successor;
}

TEST_CASE("a leader that leaves waits no longer than an election takes for a client that fetches nothing") {
  LeaderUnderTest test;
  test.options.follower_writes = FollowerWrites::kForward;
  const SessionRef stalled = test.node->open_session();
  stalled->output().assign(Session::kReplyBytesMax, 'x');
  test.send(stalled, {"GET", "k"});
  test.peers.exchange();
  REQUIRE(stalled->waits_for_client());
  const raft::NodeId successor = hand_over_to_leave(test);
  const raft::Term term = test.node->raft().term();
  CHECK(test.network.forwards.empty());
  const int ticks = ticks_in(test.options.election_timeout_ms) + ticks_in(200);
  for (int tick = 0; tick < ticks && test.network.forwards.empty(); ++tick) {
    test.follow(successor, term);
    test.ticks(1);
  }
  REQUIRE(test.network.forwards.size() == 1);
  CHECK(FollowerUnderTest::words(test.network.forwards[0]) == "LEAVE id1");
}

TEST_CASE("a leader that leaves waits no longer than request-timeout for a client that fetches slowly") {
  LeaderUnderTest test;
  test.options.follower_writes = FollowerWrites::kForward;
  const SessionRef slow = test.node->open_session();
  test.send(slow, {"SET", "k", std::string(Session::kReplyBytesMax, 'v')});
  test.turn();
  test.peers.exchange();
  for (int read = 0; read < 200; ++read) test.send(slow, {"GET", "k"});
  test.peers.exchange();
  const raft::NodeId successor = hand_over_to_leave(test);
  const raft::Term term = test.node->raft().term();
  int ticks = 0;
  for (; ticks < ticks_in(2 * test.options.request_timeout_ms) && test.network.forwards.empty(); ++ticks) {
    // A read or two in a tenth of a second.
    if (ticks % 10 == 0) {
      test.take(slow);
      test.node->take_sessions_with_output();
      test.node->note_fetched(slow);
      test.turn();
    }
    test.follow(successor, term);
    test.ticks(1);
  }
  CHECK(slow->outstanding() > 0);
  CHECK(ticks <= ticks_in(test.options.request_timeout_ms) + 10);
  REQUIRE(test.network.forwards.size() == 1);
  CHECK(FollowerUnderTest::words(test.network.forwards[0]) == "LEAVE id1");
}

TEST_CASE("a leader that leaves is removed only once what its clients had under way is served, and no later") {
  LeaderUnderTest test;
  test.options.follower_writes = FollowerWrites::kForward;
  const SessionRef session = test.node->open_session();
  const SessionRef operating = test.node->open_session();
  test.send(operating, {"SET", "o", "1"});
  test.send(operating, {"LEAVE", "id1"});
  test.send(operating, {"SET", "o", "2"});   // It does not wait for what waits for itself.
  test.turn();
  test.peers.answer();
  test.turn();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "k"});
  test.turn();
  test.peers.exchange();
  REQUIRE(test.node->raft().transferring_to() != raft::kNobody);
  test.lose_leadership_to(test.node->raft().transferring_to());
  REQUIRE(test.network.forwards.size() == 1);
  const std::string words = FollowerUnderTest::words(test.network.forwards[0]);
  CHECK(words.find("SET k 1") != std::string::npos);
  CHECK(words.find("LEAVE") == std::string::npos);
  peer::ForwardReply reply = FollowerUnderTest::reply_to(test.network.forwards[0]);
  for (uint64_t i = 0; i < test.network.forwards[0].requests.size(); ++i) {
    reply.answers.push_back({.number = i + 1, .taken = true, .reply = "+OK\r\n"});
  }
  test.network.forwards.clear();
  test.network.sent.clear();
  test.node->on_forward_reply(reply);
  test.turn();
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.network.forwards.empty());
  // What comes now does not hold it up.
  const SessionRef late = test.node->open_session();
  test.send(late, {"GET", "k"});
  SUBCASE("the read is served") {
    for (const raft::Message& message : std::exchange(test.network.sent, {})) {
      if (const auto* asked = std::get_if<raft::ReadIndexRequest>(&message.body)) {
        test.node->on_message({.from = message.to, .to = 1, .term = message.term,
                               .body = raft::ReadIndexReply{.context = asked->context, .ok = true, .index = 1}});
      }
    }
    test.turn();
    CHECK(test.take(session) == "$-1\r\n");
  }
  SUBCASE("its client goes") {
    test.node->close_session(session);
    test.turn();
  }
  REQUIRE(test.network.forwards.size() == 1);
  CHECK(FollowerUnderTest::words(test.network.forwards[0]) == "LEAVE id1");
}

TEST_CASE("a node that is a member again serves again") {
  FollowerUnderTest test;
  const raft::Configuration before = test.node->members();
  test.remove();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  CHECK(test.take(session) == kRemoved);
  test.append(raft::EntryKind::kConfiguration, raft::encode_configuration(before));
  test.send(session, {"GET", "k"});
  test.send(session, {"SET", "k", "1"});
  CHECK(test.confirm_reads() == 1);
  CHECK(test.take(session) == "$-1\r\n");
  CHECK(test.taken().size() == 1);
}

}  // namespace
}  // namespace leto::server::test
