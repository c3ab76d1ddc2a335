// What clients of a node that is shut down hear: what can be done elsewhere is, and what is refused did not happen.
#include <doctest/doctest.h>

#include "base/format.h"
#include "fake_leader.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

using Frames = std::vector<peer::Forward>;
const std::string kEnds = "-CLUSTERDOWN this node is shutting down\r\n";

// What is sent to the next leader, which is played by hand.
template <typename Test>
struct Ending : Test {
  Ending() { this->options.follower_writes = FollowerWrites::kForward; }
  void begin() {
    this->node->begin_shutdown([this] { ended = true; });
    this->turn();
  }
  Frames forwards() {
    this->turn();
    return std::exchange(this->network.forwards, {});
  }
  void answer(const peer::Forward& forward, const std::string& text) {
    peer::ForwardReply reply = FollowerUnderTest::reply_to(forward);
    for (uint64_t i = 0; i < forward.requests.size(); ++i) {
      reply.answers.push_back({.number = forward.first + i, .taken = !text.empty(), .reply = text});
    }
    this->node->on_forward_reply(reply);
    this->turn();
  }
  // Log that changed no key, as the first entry of its term, is flushed by itself.
  void flush_first_entry() {
    for (int tick = 0; tick < 100 && !this->keys.busy(); ++tick) this->peers.ticks(1);
    finish_flush();
  }
  void finish_flush() {
    this->turn();
    REQUIRE(this->keys.busy());
    this->keys.finish(base::Status::ok());
    this->turn();
  }
  // For so long it refuses what comes, so that clients know.
  void say_farewell() {
    this->ticks(4);
    CHECK_FALSE(ended);
    this->ticks(2);
  }
  bool ended = false;
};

TEST_CASE("what comes while a leader that is shut down hands over, and until it ends, goes to the next leader") {
  Ending<LeaderUnderTest> test;
  const SessionRef session = test.node->open_session();
  test.begin();
  test.send(session, {"SET", "k", "1"});
  test.turn();
  CHECK(session->output().empty());
  test.lose_leadership_to(3);
  Frames frames = test.forwards();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].to == 3);
  CHECK(FollowerUnderTest::words(frames[0]) == "SET k 1");
  test.answer(frames[0], "+OK\r\n");
  CHECK(test.take(session) == "+OK\r\n");
  REQUIRE(test.keys.busy());
  test.send(session, {"SET", "k", "2"});
  test.send(session, {"MULTI"});
  test.send(session, {"INCR", "k"});
  test.send(session, {"EXEC"});
  frames = test.forwards();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].requests.size() == 2);
  test.finish_flush();
  // What was sent is waited for, and nothing else is taken.
  CHECK_FALSE(test.ended);
  const SessionRef other = test.node->open_session();
  test.send(other, {"SET", "k", "3"});
  CHECK(test.take(other) == kEnds);
  test.send(session, {"SET", "k", "4"});
  CHECK(test.forwards().empty());
  test.answer(frames[0], "+OK\r\n");
  CHECK(test.take(session).ends_with(kEnds));
  test.send(session, {"SET", "k", "5"});
  CHECK(test.take(session) == kEnds);
  test.say_farewell();
  CHECK(test.ended);
}

TEST_CASE("a follower that is shut down forwards until it ends") {
  Ending<FollowerUnderTest> test;
  const SessionRef session = test.node->open_session();
  test.begin();
  REQUIRE(test.keys.busy());
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "k"});
  const Frames frames = test.forwards();
  REQUIRE(frames.size() == 1);
  test.answer(frames[0], "+OK\r\n");
  CHECK(test.confirm_reads() == 1);
  CHECK(test.take(session) == "+OK\r\n$-1\r\n");
  test.finish_flush();
  test.say_farewell();
  CHECK(test.ended);
}

TEST_CASE("what a node that ends has not sent is refused when the keys are written, and it waits for nothing else") {
  Ending<FollowerUnderTest> test;
  const SessionRef session = test.node->open_session();
  test.network.forwards_leave = false;
  test.send(session, {"GET", "k"});
  test.send(session, {"SET", "k", "1"});
  test.begin();
  test.finish_flush();
  CHECK(test.take(session) == kEnds + kEnds);
  test.say_farewell();
  CHECK(test.ended);
}

TEST_CASE("a node that ends waits for the next leader's answers no longer than shutdown-timeout") {
  Ending<FollowerUnderTest> test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  CHECK(test.forwards().size() == 1);
  test.options.shutdown_timeout_seconds = 2;
  test.begin();
  test.finish_flush();
  test.pass(1500);
  CHECK_FALSE(test.ended);
  test.pass(1000);
  CHECK(test.ended);
}

TEST_CASE("a node that is shut down where nobody leads refuses at its end what waits for a leader, and says why") {
  Ending<LeaderUnderTest> test;
  test.peers.answering = {};
  test.begin();
  test.peers.ticks(2 * ticks_in(test.options.election_timeout_ms));
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.finish_flush();
  CHECK(test.take(session) == kEnds);
  test.say_farewell();
  CHECK(test.ended);
}

TEST_CASE("a TRANSFER that fails during a shutdown is followed by the hand-over of the shutdown itself") {
  Ending<LeaderUnderTest> test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"TRANSFER", "id2"});
  test.turn();
  REQUIRE(test.node->raft().transferring_to() == 2);
  test.begin();
  test.send(session, {"SET", "k", "1"});
  for (int tick = 0; tick < 2 * ticks_in(test.options.election_timeout_ms) && session->output().empty(); ++tick) test.peers.ticks(1);
  CHECK(test.take(session) ==
        "-UNKNOWN outcome: id2 did not take over within an election timeout; this node leads on, unless id2 is elected yet\r\n");
  test.peers.ticks(2);
  CHECK(test.node->raft().transferring_to() != raft::kNobody);
  CHECK_FALSE(test.keys.busy());
  test.lose_leadership_to(3);
  const Frames frames = test.forwards();
  REQUIRE(frames.size() == 1);
  test.answer(frames[0], "+OK\r\n");
  CHECK(test.take(session) == "+OK\r\n");
  test.finish_flush();
  test.say_farewell();
  CHECK(test.ended);
}

TEST_CASE("a leader that is shut down asks the next voter where one does not take over, and then ends") {
  Ending<LeaderUnderTest> test;
  test.flush_first_entry();
  const raft::Raft& raft = test.node->raft();
  const int waits = 2 * ticks_in(test.options.election_timeout_ms);
  SUBCASE("that has time") {
    test.begin();
    REQUIRE(raft.transferring_to() == 2);
    for (int tick = 0; tick < waits && raft.transferring_to() != 3; ++tick) test.peers.ticks(1);
    REQUIRE(raft.transferring_to() == 3);
    SUBCASE("the next one takes over") { test.lose_leadership_to(3); }
    SUBCASE("nor does that one") {
      for (int tick = 0; tick < waits && !test.keys.busy(); ++tick) test.peers.ticks(1);
      CHECK(raft.role() == raft::Role::kLeader);
    }
  }
  SUBCASE("that has none left") {
    test.options.shutdown_timeout_seconds = 1;
    test.options.election_timeout_ms = 400;
    test.begin();
    for (int tick = 0; tick < waits && !test.keys.busy(); ++tick) test.peers.ticks(1);
    CHECK(raft.transferring_to() == raft::kNobody);
    CHECK(raft.role() == raft::Role::kLeader);
  }
  test.finish_flush();
  CHECK(test.ended);
}

TEST_CASE("a TRANSFER that succeeds during a shutdown is its hand-over") {
  Ending<LeaderUnderTest> test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"TRANSFER", "id2"});
  test.begin();
  test.lose_leadership_to(2);
  CHECK(test.take(session) == "+OK\r\n");
  test.node->close_session(session);
  test.finish_flush();
  CHECK(test.ended);   // There is nobody to refuse.
}

TEST_CASE("what gathered for the next entry when another node campaigns is not said to be lost with a majority") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.turn();
  REQUIRE(test.disk.busy());
  const SessionRef other = test.node->open_session();
  test.send(other, {"SET", "k", "2"});
  test.turn();
  raft::RequestVote vote{.pre_vote = false, .transfer = true, .last = {.term = 9, .index = 9}};
  test.node->on_message({.from = 3, .to = 1, .term = test.node->raft().term() + 1, .body = vote});
  test.turn();
  REQUIRE(test.node->raft().leader() == raft::kNobody);
  CHECK(test.take(other) == "-CLUSTERDOWN no leader\r\n");
}

}  // namespace
}  // namespace leto::server::test
