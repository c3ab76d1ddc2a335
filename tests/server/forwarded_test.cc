// The leader's side of forwarding: what is taken, once and in order, and what is refused.
#include "server/forwarded.h"

#include <doctest/doctest.h>

#include "fake_environment.h"
#include "fake_peers.h"
#include "server/turn_share.h"

namespace leto::server::test {
namespace {

using Answers = std::vector<std::string>;

// A leader of three, and a follower, node 2, that forwards by hand.
struct ServingLeader : LeaderUnderTest {
  peer::Forward frame(uint64_t first, const std::vector<std::vector<std::string>>& commands) const {
    peer::Forward forward{.from = 2, .to = 1, .term = node->raft().term(), .life = 7, .stream = 1, .first = first, .requests = {}};
    for (const std::vector<std::string>& arguments : commands) {
      forward.requests.push_back({.resp3 = false, .commands = {{.database = 0, .arguments = arguments}}});
    }
    return forward;
  }
  void bring(const peer::Forward& forward) {
    node->on_forward(forward);
    peers.exchange();
  }
  // "number:reply" of each answer since the last call, and "closed from n".
  Answers answers() {
    Answers result;
    for (const peer::ForwardReply& reply : std::exchange(network.forward_replies, {})) {
      for (const peer::ForwardAnswer& answer : reply.answers) {
        result.push_back(std::to_string(answer.number) + ":" + (answer.taken ? answer.reply : "not taken"));
      }
      if (reply.closed_from != 0) result.push_back("closed from " + std::to_string(reply.closed_from));
    }
    return result;
  }
  void lose_leadership() {
    lose_leadership_to(3);
    peers.exchange();
  }
  std::string value_of(const std::string& key) {
    const SessionRef session = node->open_session();
    send(session, {"READONLY"});
    send(session, {"GET", key});
    return take(session).substr(5);
  }
};

TEST_CASE("forwarded requests are carried out in order and answered as from a client here") {
  ServingLeader test;
  test.bring(test.frame(1, {{"INCR", "n"}, {"INCR", "n"}, {"SET", "s", "text"}, {"INCR", "s"}}));
  CHECK(test.answers() == Answers{"1::1\r\n", "2::2\r\n", "3:+OK\r\n", "4:-ERR value is not an integer or out of range\r\n"});
  CHECK(test.node->stats().forward_served == 4);
}

TEST_CASE("what waits while leadership is handed over goes back to who forwarded it, whatever follower-writes says here") {
  for (const FollowerWrites mode : {FollowerWrites::kError, FollowerWrites::kRedirect, FollowerWrites::kForward}) {
    ServingLeader test;
    test.options.follower_writes = mode;
    const SessionRef session = test.node->open_session();
    test.send(session, {"TRANSFER", "id3"});
    test.bring(test.frame(1, {{"SET", "k", "1"}, {"LEAVE", "id2"}}));
    CHECK(test.answers().empty());
    test.lose_leadership();
    CHECK(test.answers() == Answers{"1:not taken", "2:not taken"});
    CHECK(test.network.forwards.empty());
  }
}

TEST_CASE("past flush-lag-bytes forwarded writes wait, in their order, until the disk has followed") {
  ServingLeader test;
  test.options.flush_lag_bytes = 1;
  test.bring(test.frame(1, {{"INCR", "n"}}));
  CHECK(test.answers() == Answers{"1::1\r\n"});
  REQUIRE(test.keys.busy());
  const raft::Index last = test.node->raft().last().index;
  test.bring(test.frame(2, {{"INCR", "n"}, {"LEAVE", "nobody"}}));
  test.bring(test.frame(4, {{"INCR", "n"}}));
  CHECK(test.answers() == Answers{"3:-ERR no member is called 'nobody'\r\n"});
  CHECK(test.node->raft().last().index == last);
  SUBCASE("it follows") {
    test.options.flush_lag_bytes = 1 << 20;
    test.keys.finish(base::Status::ok());
    test.turn();
    test.peers.exchange();
    CHECK(test.answers() == Answers{"2::2\r\n", "4::3\r\n"});
  }
  SUBCASE("another node leads meanwhile: nothing of them happened") {
    test.lose_leadership();
    test.options.flush_lag_bytes = 1 << 20;
    test.keys.finish(base::Status::ok());
    test.turn();
    test.turn();
    CHECK(test.answers() == Answers{"2:not taken", "4:not taken"});
  }
}

TEST_CASE("writes that waited for the disk are taken up over several turns, however many there are") {
  ServingLeader test;
  test.options.flush_lag_bytes = 1;
  test.bring(test.frame(1, {{"INCR", "n"}}));
  REQUIRE(test.keys.busy());
  constexpr size_t kCount = 1000;
  const std::vector<std::vector<std::string>> many(kCount, {"INCR", "n"});
  test.bring(test.frame(2, many));
  test.options.flush_lag_bytes = 1 << 20;
  test.keys.finish(base::Status::ok());
  test.node->on_loop_turn();
  size_t turns = 0;
  for (uint64_t before = test.node->stats().commands_processed, last = before + kCount; before < last && turns < 100; ++turns) {
    test.node->on_loop_turn();
    CHECK(test.node->stats().commands_processed - before <= TurnShare::kRequestsMax);
    before = test.node->stats().commands_processed;
  }
  CHECK(turns >= kCount / TurnShare::kRequestsMax);
  CHECK(turns < 10);
  test.peers.exchange();
  CHECK(test.answers().size() == kCount + 1);
}

TEST_CASE("an answer names the process, the stream, and an index by which it is applied") {
  ServingLeader test;
  test.bring(test.frame(1, {{"INCR", "n"}}));
  REQUIRE(test.network.forward_replies.size() == 1);
  const peer::ForwardReply& reply = test.network.forward_replies[0];
  CHECK(reply.from == 1);
  CHECK(reply.to == 2);
  CHECK(reply.life == 7);
  CHECK(reply.stream == 1);
  CHECK(reply.applied == test.node->raft().applied_index());
}

TEST_CASE("a frame that comes twice is carried out once") {
  ServingLeader test;
  const peer::Forward frame = test.frame(1, {{"INCR", "n"}});
  test.bring(frame);
  test.bring(frame);
  CHECK(test.answers() == Answers{"1::1\r\n"});
  CHECK(test.value_of("n") == "$1\r\n1\r\n");
}

TEST_CASE("a frame that comes early waits for the one before it") {
  ServingLeader test;
  test.bring(test.frame(2, {{"SET", "k", "second"}}));
  test.bring(test.frame(3, {{"SET", "k", "third"}}));
  CHECK(test.answers().empty());
  test.bring(test.frame(1, {{"SET", "k", "first"}}));
  CHECK(test.answers() == Answers{"1:+OK\r\n", "2:+OK\r\n", "3:+OK\r\n"});
  CHECK(test.value_of("k") == "$5\r\nthird\r\n");
}

TEST_CASE("a number that does not come closes the stream, and then it is not taken when it comes after all") {
  ServingLeader test;
  test.bring(test.frame(1, {{"INCR", "n"}}));
  CHECK(test.answers() == Answers{"1::1\r\n"});
  test.bring(test.frame(3, {{"INCR", "n"}}));
  test.peers.ticks(ticks_in(2 * test.options.election_timeout_ms));
  CHECK(test.answers() == Answers{"closed from 2"});
  test.bring(test.frame(2, {{"INCR", "n"}}));
  test.bring(test.frame(3, {{"INCR", "n"}}));
  CHECK(test.answers() == Answers{"closed from 2", "closed from 2"});
  CHECK(test.value_of("n") == "$1\r\n1\r\n");
}

TEST_CASE("a stream whose beginning never came is refused only from what did come") {
  ServingLeader test;
  test.bring(test.frame(5, {{"INCR", "n"}}));
  test.peers.ticks(ticks_in(2 * test.options.election_timeout_ms));
  CHECK(test.answers() == Answers{"closed from 5"});
}

TEST_CASE("a later stream of a process ends the earlier one") {
  ServingLeader test;
  peer::Forward later = test.frame(1, {{"INCR", "n"}});
  later.stream = 2;
  test.bring(later);
  test.bring(test.frame(1, {{"INCR", "n"}}));
  CHECK(test.answers() == Answers{"1::1\r\n"});
  CHECK(test.value_of("n") == "$1\r\n1\r\n");
}

TEST_CASE("a frame of an earlier stream is not taken for the next one of the later stream") {
  ServingLeader test;
  peer::Forward later = test.frame(1, {{"INCR", "n"}});
  later.stream = 2;
  test.bring(later);
  test.bring(test.frame(2, {{"INCR", "n"}}));
  CHECK(test.answers() == Answers{"1::1\r\n"});
  CHECK(test.value_of("n") == "$1\r\n1\r\n");
}

TEST_CASE("two processes of one node do not disturb each other") {
  ServingLeader test;
  peer::Forward other = test.frame(1, {{"INCR", "n"}});
  other.life = 8;
  test.bring(test.frame(1, {{"INCR", "n"}}));
  test.bring(other);
  test.bring(test.frame(2, {{"INCR", "n"}}));
  CHECK(test.answers() == Answers{"1::1\r\n", "1::2\r\n", "2::3\r\n"});
}

TEST_CASE("the processes that are known are bounded, and forgotten when they are silent for long") {
  ServingLeader test;
  test.options.flush_lag_ms = 10 * Forwarded::kForgetUs / 1000;   // The keys file is not what this is about.
  peer::Forward frame = test.frame(1, {{"INCR", "n"}});
  for (uint64_t life = 1; life <= Forwarded::kProcessesMax; ++life) {
    frame.life = life;
    test.node->on_forward(frame);
  }
  test.peers.exchange();
  CHECK(test.answers().size() == Forwarded::kProcessesMax);
  frame.life = Forwarded::kProcessesMax + 1;
  test.bring(frame);
  CHECK(test.answers().empty());
  test.peers.ticks(ticks_in(Forwarded::kForgetUs / 1000) + 20);
  frame.term = test.node->raft().term();
  test.bring(frame);
  CHECK(test.answers() == Answers{"1::" + std::to_string(Forwarded::kProcessesMax + 1) + "\r\n"});
}

TEST_CASE("who does not lead in the frame's term takes nothing of it") {
  ServingLeader test;
  peer::Forward frame = test.frame(1, {{"INCR", "n"}});
  frame.term += 1;
  test.bring(frame);
  CHECK(test.answers() == Answers{"closed from 1"});
  NodeUnderTest follower(3);
  follower.node->on_forward(test.frame(1, {{"INCR", "n"}}));
  follower.turn();
  REQUIRE(follower.network.forward_replies.size() == 1);
  CHECK(follower.network.forward_replies[0].closed_from == 1);
}

TEST_CASE("a frame that was taken and comes again when leadership is lost is not called refused") {
  ServingLeader test;
  const peer::Forward frame = test.frame(1, {{"INCR", "n"}});
  test.bring(frame);
  CHECK(test.answers() == Answers{"1::1\r\n"});
  test.lose_leadership();
  test.bring(frame);
  CHECK(test.answers().empty());
}

TEST_CASE("what is lost with leadership is UNKNOWN if it was proposed, and not taken if it was not") {
  ServingLeader test;
  test.peers.accept_appends = false;
  const peer::Forward begun = test.frame(1, {{"INCR", "n"}});
  test.node->on_forward(begun);
  test.turn();
  REQUIRE(test.disk.busy());
  test.node->on_forward(test.frame(2, {{"INCR", "n"}}));
  test.turn();
  test.lose_leadership_to(3);
  CHECK(test.answers() == Answers{"1:-UNKNOWN outcome: this node lost leadership before the write was committed\r\n", "2:not taken"});
}

TEST_CASE("a node that shuts down takes nothing more") {
  ServingLeader test;
  test.node->begin_shutdown([] {});
  // It waits until another node leads, which gets it then.
  test.bring(test.frame(1, {{"INCR", "n"}}));
  CHECK(test.answers().empty());
  test.lose_leadership_to(3);
  CHECK(test.answers() == Answers{"1:not taken"});
}

TEST_CASE("only writes and commands of the leader are carried out for others") {
  ServingLeader test;
  test.bring(test.frame(1, {{"GET", "n"}, {"SHUTDOWN"}, {"nosuch"}, {"SET", "k"}, {"LEAVE", "id9"}}));
  CHECK(test.answers() == Answers{"1:-ERR this command cannot be forwarded\r\n", "2:-ERR this command cannot be forwarded\r\n",
                                  "3:-ERR this command cannot be forwarded\r\n",
                                  "4:-ERR wrong number of arguments for 'set' command\r\n",
                                  "5:-ERR no member is called 'id9'\r\n"});
  peer::Forward frame = test.frame(6, {{"INCR", "n"}});
  frame.requests[0].commands[0].database = 1 << 20;
  test.bring(frame);
  CHECK(test.answers() == Answers{"6:-ERR DB index is out of range\r\n"});
  CHECK_FALSE(test.node->shutting_down());
}

// What a follower makes of MULTI, `commands`, EXEC; `conditions` are those of docs/protocol.md.
std::vector<std::string> exec_of(const std::vector<std::vector<std::string>>& commands, const std::string& conditions = std::string(1, 0)) {
  command::Transaction transaction;
  for (const std::vector<std::string>& words : commands) {
    transaction.add(*command::find_command(words[0]), std::vector<std::string_view>(words.begin(), words.end()));
  }
  const std::vector<std::string_view> arguments = command::exec_arguments(transaction, conditions);
  return {arguments.begin(), arguments.end()};
}

TEST_CASE("a forwarded transaction whose reply was cut off is said to be carried out, without a part of its reply") {
  ServingLeader test;
  test.options.client_output_buffer_limit.normal = {.hard_bytes = 2500, .soft_bytes = 0, .soft_seconds = 0};
  test.bring(test.frame(1, {{"SET", "large", std::string(1000, 'x')}}));
  CHECK(test.answers() == Answers{"1:+OK\r\n"});
  std::vector<std::vector<std::string>> commands(20, {"GET", "large"});
  commands.push_back({"INCR", "n"});
  test.bring(test.frame(2, {exec_of(commands)}));
  CHECK(test.answers() == Answers{"2:-UNKNOWN outcome: it was carried out, but the reply is too large to be forwarded\r\n"});
  CHECK(test.value_of("n") == "$1\r\n1\r\n");
  // Its session is not used again.
  test.bring(test.frame(3, {{"INCR", "n"}}));
  CHECK(test.answers() == Answers{"3::2\r\n"});
}

TEST_CASE("a forwarded transaction is one entry's command, done whole, and answered with an array") {
  ServingLeader test;
  const raft::Index before = test.node->raft().last().index;
  test.bring(test.frame(1, {exec_of({{"INCR", "a"}, {"INCR", "b"}, {"GET", "a"}})}));
  CHECK(test.answers() == Answers{"1:*3\r\n:1\r\n:1\r\n$1\r\n1\r\n"});
  CHECK(test.node->raft().last().index == before + 1);
  // No key "a" was seen where it comes from.
  const std::string absent("\x01\x00\x01" "a\x00\x00", 6);
  test.bring(test.frame(2, {exec_of({{"INCR", "a"}}, absent), {"INCR", "b"}}));
  CHECK(test.answers() == Answers{"2:*-1\r\n", "3::2\r\n"});
}

TEST_CASE("a forwarded transaction that no follower makes is refused, and does nothing") {
  ServingLeader test;
  const std::string error = "-ERR a transaction that cannot be read\r\n";
  test.bring(test.frame(1, {{"exec"}, exec_of({{"GET", "a"}}), exec_of({{"INCR", "a"}}, "\x05"), {"exec", "a", "b"}, {"MULTI"},
                            {"WATCH", "a"}}));
  CHECK(test.answers() == Answers{"1:" + error, "2:" + error, "3:" + error, "4:" + error, "5:-ERR this command cannot be forwarded\r\n",
                                  "6:-ERR this command cannot be forwarded\r\n"});
  peer::Forward frame = test.frame(7, {exec_of({{"INCR", "a"}})});
  frame.requests[0].commands.push_back(frame.requests[0].commands[0]);
  test.bring(frame);
  CHECK(test.answers() == Answers{"7:-ERR several commands at once cannot be forwarded\r\n"});
  CHECK(test.node->keyspace().size() == 0);
}

TEST_CASE("a forwarded transaction whose leader lost its office is UNKNOWN if it was proposed, and not taken otherwise") {
  ServingLeader test;
  test.peers.accept_entries = false;
  test.bring(test.frame(1, {exec_of({{"INCR", "a"}})}));
  test.lose_leadership();
  test.bring(test.frame(2, {exec_of({{"INCR", "a"}})}));
  const Answers answers = test.answers();
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].starts_with("1:-UNKNOWN outcome: "));
  CHECK(answers[1] == "closed from 2");
}

TEST_CASE("a command that answers later holds up none behind it") {
  ServingLeader test;
  test.bring(test.frame(1, {{"JOIN", "10.0.0.9:15379", "id9"}, {"INCR", "n"}}));
  CHECK(test.answers() == Answers{"2::1\r\n"});
  REQUIRE(test.network.dials.size() == 1);
  test.network.dials[0].done(base::Status::error("nobody is there"));
  test.peers.exchange();
  CHECK(test.answers() == Answers{"1:-ERR cannot take in 10.0.0.9:15379: nobody is there\r\n"});
}

TEST_CASE("a loopback address in a JOIN that another machine's node forwards is one of that machine") {
  ServingLeader test;
  const std::vector<std::string> local = {"JOIN", "127.0.0.1:15379", "id9", "9", "[::1]:5379"};
  const std::vector<std::string> real = {"JOIN", "10.0.0.9:15379", "id9"};
  test.bring(test.frame(1, {local}));
  test.network.machines[2] = "10.0.0.2";
  test.bring(test.frame(2, {local, real}));
  REQUIRE(test.network.dials.size() == 3);
  CHECK(test.network.dials[0].raft_address == "127.0.0.1:15379");
  CHECK(test.network.dials[1].raft_address == "10.0.0.2:15379");
  CHECK(test.network.dials[2].raft_address == "10.0.0.9:15379");
  // The address that the others are told, too.
  test.network.dials[1].done(Network::Found{.member = NodeUnderTest::member_of(9)});
  test.network.dials[0].done(base::Status::error("nobody is there"));
  test.peers.answering.insert(9);
  test.peers.ticks(20);
  REQUIRE(test.node->members().find(9) != nullptr);
  CHECK(test.node->members().find(9)->client_address == "10.0.0.2:5379");
}

TEST_CASE("what one process may bring at once is bounded; beyond it nothing is taken") {
  ServingLeader test;
  test.peers.accept_appends = false;
  const std::string value(8 << 20, 'v');
  uint64_t first = 1;
  for (; first < 20 && test.network.forward_replies.empty(); ++first) {
    test.node->on_forward(test.frame(first, {{"SET", "k", value}}));
    test.turn();
  }
  CHECK(first <= 8);
  CHECK(test.answers() == Answers{"closed from " + std::to_string(first - 1)});
}

}  // namespace
}  // namespace leto::server::test
