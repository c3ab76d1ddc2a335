// The order of replies, and where reads of a pipeline that mixes reads and writes run.
#include <doctest/doctest.h>

#include "command/entry.h"
#include "fake_environment.h"
#include "fake_leader.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

const std::string kLarge(300 << 10, 'v');
const std::string kLargeReply = "$" + std::to_string(kLarge.size()) + "\r\n" + kLarge + "\r\n";
constexpr int kManyReads = 20;

// What a client that goes on fetching gets, turn by turn; never is more ready for it than may be.
std::string fetch_all(NodeUnderTest& test, const SessionRef& session) {
  std::string fetched;
  for (int turns = 0; turns < 100; ++turns) {
    CHECK(session->reply_bytes() < Session::kReplyBytesMax + 2 * kLarge.size());
    fetched += NodeUnderTest::take(session);
    test.node->note_fetched(session);
    test.turn();
  }
  return fetched;
}

std::string many_large_replies() {
  std::string replies;
  for (int count = 0; count < kManyReads; ++count) replies += kLargeReply;
  return replies;
}

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

TEST_CASE("a reply is of the protocol that was chosen when it was asked for, whatever the client chose meanwhile") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"HELLO", "3"});
  test.take(session);
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "none"});
  test.send(session, {"RESET"});
  test.send(session, {"GET", "none"});
  test.finish_all_disk();
  CHECK(test.take(session) == "+OK\r\n_\r\n+RESET\r\n$-1\r\n");
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
  test.ticks(ticks_in(test.options.request_timeout_ms) + 20);
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
  test.ticks(ticks_in(4 * test.options.election_timeout_ms));
  CHECK(test.take(session) == "-CLUSTERDOWN no leader\r\n");
}

TEST_CASE("with a short election-timeout a write waits for a leader as long as voters that have just started elect none") {
  NodeUnderTest test(3);
  test.options.election_timeout_ms = 50;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.ticks(ticks_in(2 * kSilenceMsMax));
  CHECK(session->output().empty());
  test.ticks(ticks_in(2 * kSilenceMsMax));
  CHECK(test.take(session) == "-CLUSTERDOWN no leader\r\n");
}

TEST_CASE("a follower answers a write with exactly 'not leader'") {
  NodeUnderTest test(3);
  test.follow(2, 2);
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  CHECK(test.take(session) == "-not leader\r\n");
}

TEST_CASE("with follower-writes redirect a follower names the leader's client address and the key's slot") {
  NodeUnderTest test(3);
  test.options.follower_writes = FollowerWrites::kRedirect;
  test.follow(2, 2);
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "foo", "1"});
  CHECK(test.take(session) == "-MOVED 12182 10.0.0.2:5379\r\n");
  // Without a key there is no slot to name.
  test.send(session, {"FLUSHALL"});
  CHECK(test.take(session) == "-not leader\r\n");
}

// As a Redis Cluster says it, where clients cut at the last colon.
TEST_CASE("a redirect to a leader with an IPv6 address names it without brackets") {
  NodeStart start = NodeUnderTest::start_of(3);
  raft::Configuration& configuration = start.recovered.configurations[0].configuration;
  configuration.members[1].client_address = "[::1]:30089";
  start.header.configuration = raft::encode_configuration(configuration);
  NodeUnderTest test(std::move(start));
  test.options.follower_writes = FollowerWrites::kRedirect;
  test.follow(2, 2);
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "foo", "1"});
  CHECK(test.take(session) == "-MOVED 12182 ::1:30089\r\n");
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

TEST_CASE("reads behind a write that found no leader fail with it, not later") {
  NodeUnderTest test(3);
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "k"});
  test.ticks(ticks_in(3 * test.options.election_timeout_ms) + 20);
  CHECK(test.take(session) == "-CLUSTERDOWN no leader\r\n-CLUSTERDOWN no leader\r\n");
}

TEST_CASE("reads behind a write that is refused are served: the refusal is the write's alone") {
  NodeUnderTest test(3);
  const SessionRef session = test.node->open_session();
  test.send(session, {"READONLY"});
  CHECK(test.take(session) == "+OK\r\n");
  test.send(session, {"SET", "k", "1"});
  test.send(session, {"GET", "k"});
  test.turn();
  CHECK(session->output().empty());
  test.follow(2, 2);
  test.turn();
  CHECK(test.take(session) == "-not leader\r\n$-1\r\n");
}

TEST_CASE("writes that found no leader in time leave nothing behind, though there is still none") {
  NodeUnderTest test(3);
  SessionRef session = test.node->open_session();
  const std::weak_ptr<Session> watched = session;
  test.send(session, {"SET", "k", "1"});
  test.ticks(ticks_in(3 * test.options.election_timeout_ms) + 20);
  test.node->close_session(session);
  for (const SessionRef& each : test.node->take_sessions_with_output()) CHECK(each == session);
  session.reset();
  test.ticks(1);
  CHECK(watched.expired());
}

TEST_CASE("clients whose writes wait for a leader are not read from once those are many bytes") {
  NodeUnderTest test(3);
  const SessionRef session = test.node->open_session();
  const std::string value(45 << 20, 'v');
  for (int count = 0; count < 3; ++count) {
    CHECK(!test.node->overloaded());
    test.send(session, {"SET", "k", value});
  }
  CHECK(test.node->overloaded());
  test.ticks(ticks_in(3 * test.options.election_timeout_ms) + 20);
  CHECK(!test.node->overloaded());
}

TEST_CASE("a follower whose disk is full still says where writes go") {
  NodeUnderTest test(3);
  test.node->on_message(heartbeat_of(2, 2));
  test.turn();
  REQUIRE(test.disk.busy());
  test.finish_disk(storage::WriteResult::kFull);
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  CHECK(test.take(session) == "-not leader\r\n");
}

TEST_CASE("the reads of a turn share a round, which is counted") {
  LeaderUnderTest test;
  const SessionRef one = test.node->open_session(), other = test.node->open_session();
  const uint64_t rounds = test.node->stats().read_rounds;
  test.send(one, {"GET", "k"});
  test.send(one, {"GET", "k"});
  test.send(other, {"GET", "k"});
  test.turn();
  CHECK(test.node->stats().read_rounds == rounds + 1);
  test.peers.exchange();
  CHECK(test.take(one) == "$-1\r\n$-1\r\n");
  CHECK(test.take(other) == "$-1\r\n");
}

TEST_CASE("a local read whose own writes are here waits for a read before it that nobody has confirmed, and sees nothing older") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  bool comes_back = false;
  SUBCASE("they were here before it came") {}
  SUBCASE("they come later") { comes_back = true; }
  session->seen_index = comes_back ? 2 : 1;
  test.send(session, {"GET", "k"});
  test.turn();
  test.send(session, {"READONLY"});
  test.send(session, {"GET", "k"});
  command::EntryBuilder builder;
  builder.add(0, std::vector<std::string_view>{"SET", "k", "1"});
  test.append(raft::EntryKind::kCommands, builder.finish({.time_ms = 1, .seed = 1}));
  CHECK(test.take(session) == "");
  CHECK(test.confirm_reads(2) == 1);
  CHECK(test.take(session) == "$1\r\n1\r\n+OK\r\n$1\r\n1\r\n");
}

TEST_CASE("a pipeline of reads and local ones is served in order, however little time there is for reads") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  std::string replies;
  for (int count = 0; count < 100; ++count) {
    test.send(session, {"READWRITE"});
    test.send(session, {"GET", "k"});
    test.send(session, {"READONLY"});
    test.send(session, {"GET", "k"});
    replies += "+OK\r\n$-1\r\n+OK\r\n$-1\r\n";
  }
  test.clock.step_us = 60;
  CHECK(test.confirm_reads() == 1);
  for (int turns = 0; turns < 100; ++turns) test.turn();
  CHECK(test.take(session) == replies);
}

TEST_CASE("reads behind a write wait while their client fetches nothing, as long as it likes, and are served then") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "large", kLarge});
  test.finish_all_disk();
  test.send(session, {"SET", "k", "1"});
  for (int count = 0; count < kManyReads; ++count) test.send(session, {"GET", "large"});
  test.finish_all_disk();
  test.ticks(ticks_in(test.options.request_timeout_ms + 1000));
  test.send(session, {"GET", "k"});
  test.turn();
  CHECK((fetch_all(test, session) == "+OK\r\n+OK\r\n" + many_large_replies() + "$1\r\n1\r\n"));
  CHECK(session->idle());
}

TEST_CASE("reads whose index is applied wait while their client fetches nothing; those of others are served") {
  NodeUnderTest test(3);
  FakePeers peers(test, {2, 3});
  peers.elect();
  const SessionRef session = test.node->open_session(), other = test.node->open_session();
  test.send(session, {"SET", "large", kLarge});
  peers.exchange();
  REQUIRE(test.take(session) == "+OK\r\n");
  for (int count = 0; count < kManyReads; ++count) test.send(session, {"GET", "large"});
  peers.exchange();
  // However little time there is for reads, and however many wait so.
  test.clock.step_us = 60;
  test.send(other, {"GET", "none"});
  peers.exchange();
  test.clock.step_us = 0;
  CHECK(test.take(other) == "$-1\r\n");
  CHECK((fetch_all(test, session) == many_large_replies()));
  CHECK(session->idle());
}

TEST_CASE("a read whose index comes first takes those before it along no faster than their client fetches") {
  NodeUnderTest test(3);
  FakePeers peers(test, {2, 3});
  peers.elect();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "large", kLarge});
  peers.exchange();
  REQUIRE(test.take(session) == "+OK\r\n");
  test.send(session, {"SET", "k", "1"});
  for (int count = 0; count < kManyReads; ++count) test.send(session, {"GET", "large"});
  test.turn();
  test.send(session, {"GET", "k"});
  peers.exchange();
  CHECK((fetch_all(test, session) == "+OK\r\n" + many_large_replies() + "$1\r\n1\r\n"));
  CHECK(session->idle());
}

// A client that has not fetched what is ready for it, and a read of it that waits for that.
SessionRef stalled_session(LeaderUnderTest& test) {
  const SessionRef session = test.node->open_session();
  session->output().assign(Session::kReplyBytesMax, 'x');
  test.send(session, {"GET", "k"});
  test.peers.exchange();
  REQUIRE(session->waits_for_client());
  return session;
}

TEST_CASE("a read before a write that is lost does not see it, however many were lost before it") {
  LeaderUnderTest test;
  const SessionRef session = stalled_session(test), other = test.node->open_session();
  test.send(other, {"SET", "a", std::string(20 << 10, 'v')});   // As much as is applied in one step.
  test.finish_all_disk();
  for (int count = 0; count < 300; ++count) test.send(other, {"SET", "b", "1"});
  test.send(session, {"SET", "k", "1"});
  test.finish_all_disk();
  const raft::Term term = test.node->raft().term();
  raft::AppendEntries append;
  append.previous = {.term = term, .index = test.node->raft().last().index};
  append.leader_commit = append.previous.index;
  test.clock.step_us = 1100;   // One step a turn.
  test.node->on_message({.from = 2, .to = 1, .term = term + 1, .body = append});
  test.node->on_loop_turn();
  test.take(session);
  test.node->note_fetched(session);
  test.node->on_loop_turn();
  test.clock.step_us = 0;
  test.finish_all_disk();
  CHECK(test.take(session).starts_with("-CLUSTERDOWN the outcome of a later write"));
}

TEST_CASE("reads that waited for their client do not take a turn's whole time when it fetches") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  session->output().assign(Session::kReplyBytesMax, 'x');
  test.send(session, {"SET", "k", "1"});
  for (int count = 0; count < 100; ++count) test.send(session, {"GET", "k"});
  test.finish_all_disk();
  REQUIRE(session->outstanding() == 100);
  test.take(session);
  test.node->note_fetched(session);
  test.clock.step_us = 600;
  test.node->on_loop_turn();
  CHECK(session->outstanding() > 50);
  test.turn();
  CHECK(session->idle());
}

TEST_CASE("a client that fetches goes on, however many reads of others are ready") {
  LeaderUnderTest test;
  const SessionRef session = stalled_session(test), other = test.node->open_session();
  for (int count = 0; count < 200; ++count) test.send(other, {"GET", "k"});
  test.turn();
  test.peers.answer();
  test.take(session);
  test.node->note_fetched(session);
  test.clock.step_us = 600;
  for (int turns = 0; turns < 5; ++turns) test.node->on_loop_turn();
  CHECK(test.take(session) == "$-1\r\n");
  CHECK(other->outstanding() > 0);
}

TEST_CASE("reads between two writes are not put off: who is owed more than may wait is told no more, and is to be disconnected") {
  NodeUnderTest test;
  test.lead();
  test.options.client_output_buffer_limit.normal = {.hard_bytes = 2 << 20, .soft_bytes = 0, .soft_seconds = 0};
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "large", kLarge});
  test.finish_all_disk();
  test.send(session, {"SET", "k", "1"});
  for (int count = 0; count < kManyReads; ++count) test.send(session, {"GET", "large"});
  test.send(session, {"SET", "k", "2"});
  test.finish_all_disk();
  CHECK(session->overflowed());
  CHECK(session->reply_bytes() < (2 << 20) + 2 * kLarge.size());
}

TEST_CASE("of replies to reads between writes there is a bound for all clients in one step, which who is owed little does not feel") {
  NodeUnderTest test;
  test.lead();
  test.options.client_output_buffer_limit.normal = {.hard_bytes = 1 << 30, .soft_bytes = 0, .soft_seconds = 0};
  const SessionRef greedy = test.node->open_session(), modest = test.node->open_session();
  test.send(greedy, {"SET", "large", kLarge});
  test.finish_all_disk();
  test.take(greedy);
  const auto ask = [&](const SessionRef& session, size_t reads) {
    test.send(session, {"SET", "k", "1"});
    for (size_t count = 0; count < reads; ++count) test.send(session, {"GET", "large"});
    test.send(session, {"SET", "k", "2"});
  };
  ask(greedy, (80 << 20) / kLarge.size());
  ask(modest, 1);
  SUBCASE("") {}
  SUBCASE("nor who may leave any number of bytes unfetched") { test.options.client_output_buffer_limit.normal = {}; }
  const bool has_limit = test.options.client_output_buffer_limit.normal.hard_bytes != 0;
  test.finish_all_disk();
  CHECK(greedy->overflowed() == has_limit);
  CHECK_FALSE(modest->overflowed());
  CHECK((test.take(modest) == "+OK\r\n" + kLargeReply + "+OK\r\n"));
}

TEST_CASE("a reply in the way of a read does not keep it from being served, however many others wait behind it") {
  NodeUnderTest test(3);
  FakePeers peers(test, {2, 3});
  peers.elect();
  const SessionRef session = test.node->open_session();
  test.send(session, {"GET", "k"});
  while (session->reply_bytes() < Session::kReplyBytesMax) test.send(session, {"ECHO", kLarge});
  test.send(session, {"GET", "k"});
  peers.exchange();
  CHECK(test.take(session).starts_with("$-1\r\n$"));
  test.node->note_fetched(session);
  test.turn();
  CHECK(test.take(session) == "$-1\r\n");
}

TEST_CASE("a local read behind a write takes no read along whose index nobody confirmed") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.turn();
  const std::vector<raft::Message> appends = std::exchange(test.network.sent, {});
  test.send(session, {"GET", "k"});
  test.send(session, {"READONLY"});
  test.send(session, {"GET", "k"});
  test.finish_all_disk();
  test.network.sent.clear();
  // The write is acknowledged, by answers that were on their way before the read came; its own round is not.
  for (const raft::Message& message : appends) test.node->on_message(willing_answer_to(message).value());
  test.turn();
  CHECK(test.take(session) == "+OK\r\n");
  test.peers.exchange();
  test.peers.ticks(10);
  CHECK(test.take(session) == "$1\r\n1\r\n+OK\r\n$1\r\n1\r\n");
}

}  // namespace
}  // namespace leto::server::test
