// The follower's side of forwarding: what is sent when, and what clients are told.
#include "server/forwarder.h"

#include <doctest/doctest.h>

#include <functional>
#include <memory>

#include "fake_leader.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

using Frames = std::vector<peer::Forward>;

TEST_CASE("a write at a follower goes to the leader, and the leader's whole reply to the client") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  const Frames frames = test.taken();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].from == 1);
  CHECK(frames[0].to == 2);
  CHECK(frames[0].term == 2);
  CHECK(frames[0].first == 1);
  CHECK(test.words(frames[0]) == "SET k 1");
  CHECK_FALSE(frames[0].requests[0].resp3);
  CHECK(session->output().empty());
  test.answer(frames[0], 1, "+OK\r\n");
  CHECK(test.take(session) == "+OK\r\n");
}

TEST_CASE("without follower-writes forward nothing but leader's commands is forwarded") {
  FollowerUnderTest test;
  test.options.follower_writes = FollowerWrites::kError;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  CHECK(test.take(session) == "-not leader\r\n");
  CHECK(test.taken().empty());
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9"});
  test.send(session, {"SET", "k", "1"});
  const Frames frames = test.taken();
  REQUIRE(frames.size() == 1);
  CHECK(test.words(frames[0]) == "JOIN 10.0.0.9:15379 id9");
  test.answer(frames[0], 1, "-ERR no\r\n");
  CHECK(test.take(session) == "-ERR no\r\n-not leader\r\n");
}

TEST_CASE("a leader's command without a leader waits for one, and is refused after request-timeout") {
  NodeUnderTest test(3);
  const SessionRef session = test.node->open_session();
  const std::vector<std::vector<std::string_view>> commands = {{"JOIN", "10.0.0.9:15379", "id9"}, {"LEAVE", "id2"}, {"TRANSFER"}};
  for (const auto& command : commands) test.send(session, command);
  test.turn();
  CHECK(session->output().empty());
  SUBCASE("one is elected") {
    test.follow(2, 2);
    REQUIRE(test.network.forwards.size() == 1);
    CHECK(FollowerUnderTest::words(test.network.forwards[0]) == "JOIN 10.0.0.9:15379 id9; LEAVE id2; TRANSFER");
  }
  SUBCASE("none is elected") {
    test.ticks(ticks_in(test.options.request_timeout_ms + 200));
    const std::string refused = "-CLUSTERDOWN no leader\r\n";
    CHECK(test.take(session) == refused + refused + refused);
    CHECK(test.network.forwards.empty());
  }
}

TEST_CASE("a client that speaks RESP3 gets its reply in RESP3") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"HELLO", "3"});
  test.send(session, {"SET", "k", "1"});
  CHECK(test.taken().at(0).requests.at(0).resp3);
}

TEST_CASE("all writes of a turn share a frame, and many frames may be under way") {
  FollowerUnderTest test;
  const SessionRef one = test.node->open_session();
  const SessionRef two = test.node->open_session();
  test.send(one, {"INCR", "a"});
  test.send(two, {"INCR", "b"});
  test.send(one, {"INCR", "c"});
  const Frames first = test.taken();
  REQUIRE(first.size() == 1);
  CHECK(test.words(first[0]) == "INCR a; INCR c; INCR b");
  test.send(two, {"INCR", "d"});
  const Frames second = test.taken();
  REQUIRE(second.size() == 1);
  CHECK(second[0].first == 4);
  test.answer(second[0], 4, ":4\r\n");
  test.answer(first[0], 1, ":1\r\n");
  CHECK(test.take(two).empty());
  test.answer(first[0], 3, ":3\r\n");
  CHECK(test.take(two) == ":3\r\n:4\r\n");
  CHECK(test.take(one) == ":1\r\n");
}

TEST_CASE("a read starts only after the write before it was answered") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "k"});
  const Frames frames = test.taken();
  CHECK(test.confirm_reads() == 0);
  test.answer(frames.at(0), 1, "+OK\r\n");
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.confirm_reads() == 1);
  CHECK(test.take(session) == "$-1\r\n");
}

TEST_CASE("a read behind a write that is refused at once starts only after the writes before that were answered") {
  FollowerUnderTest test;
  test.options.max_entry_bytes = 100;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"SET", "k", std::string(200, 'x')});
  test.send(session, {"GET", "k"});
  const Frames frames = test.taken();
  CHECK(test.confirm_reads() == 0);
  test.answer(frames.at(0), 1, "+OK\r\n");
  CHECK(test.take(session).starts_with("+OK\r\n-ERR the command has "));
  CHECK(test.confirm_reads() == 1);
  CHECK(test.take(session) == "$-1\r\n");
}

TEST_CASE("a refusal that comes before the answer to an earlier write starts no read") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"INCR", "k"});
  test.send(session, {"GET", "k"});
  const Frames frames = test.taken();
  test.answer(frames.at(0), 2, "-ERR no\r\n");
  CHECK(test.confirm_reads() == 0);
  test.answer(frames.at(0), 1, "+OK\r\n");
  CHECK(test.take(session) == "+OK\r\n-ERR no\r\n");
  CHECK(test.confirm_reads() == 1);
  CHECK(test.take(session) == "$-1\r\n");
}

TEST_CASE("a write is sent only after the reads before it were served") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"GET", "k"});
  test.send(session, {"SET", "k", "1"});
  CHECK(test.taken().empty());
  CHECK(test.confirm_reads() == 1);
  CHECK(test.take(session) == "$-1\r\n");
  CHECK(test.taken().size() == 1);
}

TEST_CASE("reads between two writes are served between them") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"INCR", "k"});
  test.send(session, {"GET", "k"});
  test.send(session, {"INCR", "k"});
  test.send(session, {"GET", "k"});
  const Frames first = test.taken();
  CHECK(test.words(first.at(0)) == "INCR k");
  test.answer(first[0], 1, ":1\r\n");
  CHECK(test.taken().empty());
  CHECK(test.confirm_reads() == 1);
  const Frames second = test.taken();
  CHECK(second.at(0).first == 2);
  CHECK(test.confirm_reads() == 0);
  test.answer(second[0], 2, ":2\r\n");
  CHECK(test.confirm_reads() == 1);
  CHECK(test.take(session) == ":1\r\n$-1\r\n:2\r\n$-1\r\n");
}

TEST_CASE("a local read waits for what its own connection wrote at another node, and for no more") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"READONLY"});
  test.send(session, {"SET", "k", "1"});
  test.answer(test.taken().at(0), 1, "+OK\r\n", 2);
  test.send(session, {"GET", "k"});
  test.turn();
  CHECK(test.take(session) == "+OK\r\n+OK\r\n");
  const SessionRef other = test.node->open_session();
  test.send(other, {"READONLY"});
  test.send(other, {"GET", "k"});
  CHECK(test.take(other) == "+OK\r\n$-1\r\n");
  // The write comes here too.
  command::EntryBuilder builder;
  builder.add(0, std::vector<std::string_view>{"SET", "k", "1"});
  raft::AppendEntries append;
  append.previous = {.term = 1, .index = 1};
  append.leader_commit = 2;
  append.entries = {{.id = {.term = 2, .index = 2}, .kind = raft::EntryKind::kCommands,
                     .payload = std::make_shared<const std::string>(builder.finish({.time_ms = 1, .seed = 1}))}};
  test.node->on_message({.from = 2, .to = 1, .term = 2, .body = append});
  test.finish_all_disk();
  CHECK(test.take(session) == "$1\r\n1\r\n");
}

// A client asks, and leaves: at once, or when it was told that it asked in vain. Whether anybody still has its session a sweep later.
bool is_kept(NodeUnderTest& test, const std::function<void(const SessionRef&)>& ask, const std::function<void()>& wait) {
  SessionRef session = test.node->open_session();
  const std::weak_ptr<Session> kept = session;
  ask(session);
  wait();
  if (!test.take(session).starts_with("-CLUSTERDOWN ")) CHECK_FALSE(session->idle());
  test.node->close_session(session);
  session.reset();
  test.node->take_sessions_with_output();
  test.ticks(20);
  return !kept.expired();
}

TEST_CASE("of a read that ended unserved, and of its client, nothing is kept while this node stays behind") {
  FollowerUnderTest test;
  const auto leaves = [] {};
  const auto is_told = [&] { test.pass(test.options.request_timeout_ms + 200); };
  const auto read_at_an_index = [&](const SessionRef& session) {
    test.send(session, {"GET", "k"});
    CHECK(test.confirm_reads(1000) >= 1);
  };
  const auto read_what_nobody_confirms = [&](const SessionRef& session) { test.send(session, {"GET", "k"}); };
  const auto read_what_was_written = [&](const SessionRef& session) {
    session->seen_index = 1000;
    test.send(session, {"READONLY"});
    test.send(session, {"GET", "k"});
    CHECK(test.take(session) == "+OK\r\n");
  };
  CHECK_FALSE(is_kept(test, read_at_an_index, leaves));
  CHECK_FALSE(is_kept(test, read_what_nobody_confirms, leaves));
  CHECK_FALSE(is_kept(test, read_what_was_written, leaves));
  CHECK_FALSE(is_kept(test, read_at_an_index, is_told));
  CHECK_FALSE(is_kept(test, read_what_nobody_confirms, is_told));
  CHECK_FALSE(is_kept(test, read_what_was_written, is_told));
}

TEST_CASE("of a client whose write nobody took nothing is kept while nobody leads") {
  NodeUnderTest test(3);
  test.options.follower_writes = FollowerWrites::kForward;
  const auto write = [&](const SessionRef& session) {
    test.send(session, {"SET", "k", "1"});
    test.turn();
  };
  const auto is_told = [&] { test.ticks(ticks_in(test.options.request_timeout_ms + 200)); };
  CHECK_FALSE(is_kept(test, write, [] {}));
  CHECK_FALSE(is_kept(test, write, is_told));
  CHECK(test.node->raft().leader() == raft::kNobody);
}

TEST_CASE("a write behind reads that wait for their client is not refused meanwhile, and goes when they were served") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  session->output().assign(Session::kReplyBytesMax, 'x');
  test.send(session, {"GET", "k"});
  CHECK(test.confirm_reads() == 1);
  REQUIRE(session->waits_for_client());
  test.send(session, {"SET", "k", "1"});
  test.pass(test.options.request_timeout_ms + 200);
  CHECK(test.taken().empty());
  CHECK(test.take(session).size() == Session::kReplyBytesMax);
  test.node->note_fetched(session);
  const std::vector<peer::Forward> sent = test.taken();
  REQUIRE(sent.size() == 1);
  CHECK(test.words(sent[0]) == "SET k 1");
  CHECK(test.take(session) == "$-1\r\n");
}

TEST_CASE("a local read whose connection's writes do not come here says so after request-timeout") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"READONLY"});
  test.send(session, {"SET", "k", "1"});
  test.answer(test.taken().at(0), 1, "+OK\r\n", 2);
  test.send(session, {"GET", "k"});
  test.pass(test.options.request_timeout_ms + 200);
  CHECK(test.take(session) == "+OK\r\n+OK\r\n-CLUSTERDOWN this connection's writes did not come here within request-timeout\r\n");
}

TEST_CASE("what was sent and is not answered ends as UNKNOWN, with the reads behind it, when the link breaks") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "k"});
  const Frames frames = test.taken();
  test.node->on_peer_unreachable(3);
  CHECK(session->output().empty());
  test.node->on_peer_unreachable(2);
  const std::string unknown = "-UNKNOWN outcome: the link to the leader broke before it answered\r\n";
  CHECK(test.take(session) == unknown + unknown);
  test.pause();
  CHECK(test.taken().empty());
  // A late answer is for nobody.
  test.answer(frames.at(0), 1, "+OK\r\n");
  CHECK(session->output().empty());
  CHECK(test.node->stats().forward_unknown == 1);
}

TEST_CASE("what waits for an answer ends as UNKNOWN when the leader's connection to this node breaks") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  REQUIRE(test.taken().size() == 1);
  test.node->on_peer_silenced(3);
  CHECK(session->output().empty());
  test.node->on_peer_silenced(2);
  CHECK(test.take(session) == "-UNKNOWN outcome: the link to the leader broke before it answered\r\n");
}

TEST_CASE("when another node leads, who was asked has a moment to answer, and then the outcome is UNKNOWN") {
  FollowerUnderTest test;
  const SessionRef answered = test.node->open_session();
  const SessionRef silent = test.node->open_session();
  test.send(answered, {"SET", "a", "1"});
  test.send(silent, {"SET", "b", "1"});
  const Frames frames = test.taken();
  test.follow(3, 3);
  test.answer(frames.at(0), 1, "+OK\r\n");
  CHECK(test.take(answered) == "+OK\r\n");
  CHECK(silent->output().empty());
  test.pass(test.options.election_timeout_ms, 3, 3);
  CHECK(test.take(silent) == "-UNKNOWN outcome: the node that was asked leads no more, and did not answer\r\n");
  CHECK(test.taken().empty());
}

// Round trips of half a second: ten seconds for all of it.
TEST_CASE("a pipeline of writes and reads is served to its end, however long that takes, as long as it goes on") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  const int pairs = 20;
  for (int pair = 0; pair < pairs; ++pair) {
    test.send(session, {"INCR", "p"});
    test.send(session, {"GET", "p"});
  }
  const auto serve = [&] {
    const Frames frames = test.taken();
    test.pass(300);
    test.answer(frames.at(0), frames.at(0).first, ":1\r\n");
    test.pass(200);
    CHECK(test.confirm_reads() == 1);
    CHECK(test.take(session) == ":1\r\n$-1\r\n");
  };
  int served = 0;
  SUBCASE("to the end") {
    while (served < pairs) served += (serve(), 1);
    CHECK(session->idle());
  }
  SUBCASE("until the leader falls silent: what is left is answered as a whole") {
    while (served < pairs / 2) served += (serve(), 1);
    CHECK(test.taken().size() == 1);
    test.pass(test.options.request_timeout_ms - 500);
    CHECK(session->output().empty());
    test.pass(700);
    CHECK(session->idle());
    const std::string unknown = "-UNKNOWN outcome: the leader did not answer within request-timeout\r\n";
    CHECK(test.take(session).starts_with(unknown + unknown + "-CLUSTERDOWN no leader took it within request-timeout\r\n"));
  }
}

TEST_CASE("without a leader a pipeline is refused as a whole, not one request after the other") {
  NodeUnderTest test(3);
  SUBCASE("forwarding") { test.options.follower_writes = FollowerWrites::kForward; }
  SUBCASE("not forwarding") {}
  const SessionRef session = test.node->open_session();
  std::string refused;
  for (int pair = 0; pair < 50; ++pair) {
    test.send(session, {"GET", "p"});
    test.send(session, {"INCR", "p"});
    refused += "-CLUSTERDOWN no leader\r\n-CLUSTERDOWN no leader\r\n";
  }
  test.ticks(ticks_in(test.options.request_timeout_ms + 200));
  CHECK(test.take(session) == refused);
}

TEST_CASE("a request without an answer is UNKNOWN after request-timeout") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.taken();
  test.pass(test.options.request_timeout_ms - 500);
  CHECK(session->output().empty());
  test.pass(700);
  CHECK(test.take(session) == "-UNKNOWN outcome: the leader did not answer within request-timeout\r\n");
}

TEST_CASE("what a leader did not take is sent to the next one, in the order of the client") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"INCR", "a"});
  test.send(session, {"INCR", "b"});
  test.send(session, {"INCR", "c"});
  const Frames frames = test.taken();
  test.answer(frames.at(0), 3, "");
  test.follow(3, 3);
  // Two of them may still have been taken: nothing may overtake them.
  CHECK(test.taken().empty());
  test.answer(frames[0], 1, ":1\r\n");
  test.pause();
  CHECK(test.taken().empty());
  test.answer(frames[0], 2, "");
  const Frames again = test.taken();
  REQUIRE(again.size() == 1);
  CHECK(again[0].to == 3);
  CHECK(again[0].term == 3);
  CHECK(again[0].stream > frames[0].stream);
  CHECK(again[0].first == 1);
  CHECK(test.words(again[0]) == "INCR b; INCR c");
  CHECK(test.take(session) == ":1\r\n");
  CHECK(test.node->stats().forward_retries == 2);
}

TEST_CASE("a closed stream gives back all that was not taken, and only that") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"INCR", "a"});
  test.send(session, {"INCR", "b"});
  test.send(session, {"INCR", "c"});
  const Frames frames = test.taken();
  test.close_from(frames.at(0), 2);
  test.answer(frames[0], 1, ":1\r\n");
  CHECK(test.taken().empty());
  test.pause();
  CHECK(test.words(test.taken().at(0)) == "INCR b; INCR c");
  CHECK(test.take(session) == ":1\r\n");
}

TEST_CASE("that a stream is closed comes twice, and what it gives back is sent again once") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  for (const char* key : {"a", "b", "c"}) test.send(session, {"INCR", key});
  const Frames frames = test.taken();
  test.close_from(frames.at(0), 2);
  test.close_from(frames.at(0), 2);
  test.answer(frames[0], 1, ":1\r\n");
  test.pause();
  CHECK(test.words(test.taken().at(0)) == "INCR b; INCR c");
  CHECK(test.take(session) == ":1\r\n");
}

TEST_CASE("what was never sent waits for a leader, and is CLUSTERDOWN after request-timeout") {
  FollowerUnderTest test;
  test.network.forwards_leave = false;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "k"});
  CHECK(test.taken().empty());
  test.pass(1000);
  test.network.forwards_leave = true;
  test.pause();
  CHECK(test.words(test.taken().at(0)) == "SET k 1");
  const SessionRef late = test.node->open_session();
  test.network.forwards_leave = false;
  test.send(late, {"SET", "k", "1"});
  test.pass(test.options.request_timeout_ms + 200);
  CHECK(test.take(late) == "-CLUSTERDOWN no leader took it within request-timeout\r\n");
  CHECK(test.taken().empty());
}

TEST_CASE("without a leader writes wait for one, and are forwarded when there is one") {
  NodeUnderTest test(3);
  test.options.follower_writes = FollowerWrites::kForward;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.turn();
  CHECK(session->output().empty());
  CHECK(test.network.forwards.empty());
  test.follow(2, 2);
  REQUIRE(test.network.forwards.size() == 1);
  CHECK(test.network.forwards[0].to == 2);
}

TEST_CASE("what waits is carried out here if this node becomes the leader") {
  NodeUnderTest test(3);
  test.options.follower_writes = FollowerWrites::kForward;
  FakePeers peers(test, {2, 3});
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "k"});
  peers.elect();
  peers.exchange();
  CHECK(test.take(session) == "+OK\r\n$1\r\n1\r\n");
}

TEST_CASE("the leader's own refusals are passed on word for word") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"SET", "k", "2"});
  const Frames frames = test.taken();
  test.answer(frames.at(0), 1, "-MISCONF Leto cannot write to its log: the disk is full\r\n");
  test.answer(frames.at(0), 2, "-UNKNOWN outcome: not committed within request-timeout\r\n");
  CHECK(test.take(session) == "-MISCONF Leto cannot write to its log: the disk is full\r\n"
                              "-UNKNOWN outcome: not committed within request-timeout\r\n");
}

TEST_CASE("answers of another life, stream, node or number are dropped") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  const Frames frames = test.taken();
  peer::ForwardReply reply = test.reply_to(frames.at(0));
  reply.answers = {{.number = 1, .taken = true, .reply = "+OK\r\n"}};
  const auto is_dropped = [&](peer::ForwardReply stale) {
    test.reply(stale);
    return session->output().empty();
  };
  peer::ForwardReply stale = reply;
  stale.life ^= 1;
  CHECK(is_dropped(stale));
  stale = reply;
  stale.stream += 1;
  CHECK(is_dropped(stale));
  stale = reply;
  stale.from = 3;
  CHECK(is_dropped(stale));
  stale = reply;
  stale.answers[0].number = 2;
  CHECK(is_dropped(stale));
  test.reply(reply);
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(is_dropped(reply));
}

TEST_CASE("what is under way is bounded; the rest goes as answers come in") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  const std::string value(1 << 20, 'v');
  for (int i = 0; i < 40; ++i) test.send(session, {"SET", "k", value});
  const Frames frames = test.taken();
  CHECK(frames.size() == Forwarder::kUnderWayBytesMax >> 20);
  for (const peer::Forward& forward : frames) test.answer(forward, forward.first, "+OK\r\n");
  CHECK(test.taken().size() >= frames.size());
}

TEST_CASE("clients that write are held up while too many bytes wait for the leader") {
  FollowerUnderTest test;
  test.network.forwards_leave = false;
  const SessionRef session = test.node->open_session();
  const std::string value(1 << 20, 'v');
  for (size_t i = 0; i < Forwarder::kOverloadBytes >> 20; ++i) test.send(session, {"SET", "k", value});
  CHECK(test.node->overloaded());
  test.pass(test.options.request_timeout_ms + 200);
  CHECK_FALSE(test.node->overloaded());
}

TEST_CASE("what waits for clients that fetch nothing holds up no others for ever") {
  FollowerUnderTest test;
  std::vector<SessionRef> stalled;
  const std::string value(1 << 20, 'v');
  for (size_t i = 0; i <= Forwarder::kOverloadBytes >> 20; ++i) {
    stalled.push_back(test.node->open_session());
    stalled.back()->output().assign(Session::kReplyBytesMax, 'x');
    test.send(stalled.back(), {"GET", "k"});
    test.send(stalled.back(), {"SET", "k", value});
  }
  test.confirm_reads();
  REQUIRE(stalled[0]->waits_for_client());
  REQUIRE(test.node->overloaded());
  test.pass(test.options.request_timeout_ms + 200);
  CHECK_FALSE(test.node->overloaded());
  // Those that held up nobody any more wait on.
  CHECK(stalled.back()->find(stalled.back()->front_sequence() + 1)->state == RequestState::kForwarded);
}

TEST_CASE("what a client that is gone had waiting is forgotten") {
  FollowerUnderTest test;
  test.network.forwards_leave = false;
  const SessionRef session = test.node->open_session();
  const std::string value(1 << 20, 'v');
  for (size_t i = 0; i < Forwarder::kOverloadBytes >> 20; ++i) test.send(session, {"SET", "k", value});
  test.node->close_session(session);
  test.network.forwards_leave = true;
  test.pause();
  CHECK(test.taken().empty());
  CHECK_FALSE(test.node->overloaded());
}

TEST_CASE("the clients take turns when not all can be sent") {
  FollowerUnderTest test;
  const SessionRef eager = test.node->open_session();
  const SessionRef modest = test.node->open_session();
  const std::string value(1 << 20, 'v');
  for (int i = 0; i < 40; ++i) test.send(eager, {"SET", "k", value});
  const Frames frames = test.taken();
  test.send(modest, {"INCR", "n"});
  for (size_t i = 0; i < 2; ++i) test.answer(frames.at(i), frames[i].first, "+OK\r\n");
  bool found = false;
  for (const peer::Forward& forward : test.taken()) found = found || test.words(forward).find("INCR n") != std::string::npos;
  CHECK(found);
}

TEST_CASE("a command of the node's own is brought to the leader, and its outcome back") {
  FollowerUnderTest test;
  std::vector<std::string> outcomes;
  const auto done = [&outcomes](const std::string& error) { outcomes.push_back(error.empty() ? "OK" : error); };
  test.node->forward_command({"LEAVE", "id3"}, done);
  test.node->forward_command({"LEAVE", "id9"}, done);
  test.turn();
  const Frames frames = test.taken();
  CHECK(test.words(frames.at(0)) == "LEAVE id3; LEAVE id9");
  CHECK(outcomes.empty());
  test.answer(frames[0], 1, "+OK\r\n");
  test.answer(frames[0], 2, "-ERR no member is called 'id9'\r\n");
  CHECK(outcomes == std::vector<std::string>{"OK", "ERR no member is called 'id9'"});
}

TEST_CASE("nothing is forwarded to a leader that does not know such frames: as with follower-writes error") {
  FollowerUnderTest test;
  test.network.others[2] = {.known = true, .semantics = 1, .features = peer::kFeatureSnapshots};
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  CHECK(test.take(session) == "-not leader\r\n");
  test.send(session, {"LEAVE", "id2"});
  CHECK(test.take(session) == "-not leader\r\n");
  CHECK(test.taken().empty());
  test.network.others.clear();
  test.send(session, {"SET", "k", "1"});
  CHECK(test.taken().size() == 1);
}

}  // namespace
}  // namespace leto::server::test
