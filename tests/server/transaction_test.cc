// MULTI, EXEC, DISCARD, WATCH and UNWATCH at a node: what is queued, what goes to the log or to the leader as one
// command, and what clients are told.
#include <doctest/doctest.h>

#include "fake_environment.h"
#include "fake_leader.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

const std::string kQueued = "+QUEUED\r\n";

// Brings the requests one after the other, as a connection does: none while the session holds.
void send_all(NodeUnderTest& test, const SessionRef& session, const std::vector<std::vector<std::string_view>>& requests) {
  for (const std::vector<std::string_view>& request : requests) {
    for (int round = 0; round < 100 && session->holds(); ++round) test.finish_all_disk();
    REQUIRE_FALSE(session->holds());
    test.send(session, request);
  }
}

TEST_CASE("a transaction is one command of one entry, answered with an array once it is durable") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  send_all(test, session, {{"MULTI"}, {"INCR", "a"}, {"INCR", "b"}, {"GET", "a"}});
  CHECK(test.take(session) == "+OK\r\n" + kQueued + kQueued + kQueued);
  test.turn();
  CHECK_FALSE(test.disk.busy());
  test.send(session, {"EXEC"});
  test.turn();
  REQUIRE(test.disk.busy());
  REQUIRE(test.disk.in_flight.size() == 1);
  CHECK(test.disk.in_flight[0].append.size() == 1);
  CHECK(session->output().empty());
  test.finish_all_disk();
  CHECK(test.take(session) == "*3\r\n:1\r\n:1\r\n$1\r\n1\r\n");
}

TEST_CASE("what is queued behind a SELECT is of that database, and the client stays in it") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  send_all(test, session, {{"MULTI"}, {"SET", "k", "0"}, {"SELECT", "3"}, {"SET", "k", "3"}, {"GET", "k"}, {"EXEC"}});
  test.finish_all_disk();
  CHECK(test.take(session).ends_with("*4\r\n+OK\r\n+OK\r\n+OK\r\n$1\r\n3\r\n"));
  CHECK(test.node->keyspace().size(0) == 1);
  CHECK(test.node->keyspace().size(3) == 1);
  send_all(test, session, {{"GET", "k"}, {"SELECT", "0"}, {"GET", "k"}});
  test.finish_all_disk();
  CHECK(test.take(session) == "$1\r\n3\r\n+OK\r\n$1\r\n0\r\n");
}

TEST_CASE("nothing of other clients comes between the commands of a transaction") {
  NodeUnderTest test;
  test.lead();
  const SessionRef one = test.node->open_session();
  const SessionRef two = test.node->open_session();
  send_all(test, one, {{"MULTI"}, {"SET", "k", "1"}});
  test.send(two, {"SET", "k", "between"});
  send_all(test, one, {{"INCR", "k"}, {"EXEC"}});
  test.finish_all_disk();
  test.send(two, {"GET", "k"});
  CHECK(test.take(one) == "+OK\r\n" + kQueued + kQueued + "*2\r\n+OK\r\n:2\r\n");
  CHECK(test.take(two) == "+OK\r\n$1\r\n2\r\n");
}

TEST_CASE("a transaction of reads alone costs no entry of the log") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.finish_all_disk();
  send_all(test, session, {{"WATCH", "k"}, {"MULTI"}, {"GET", "k"}, {"EXISTS", "k", "x"}, {"EXEC"}});
  test.turn();
  CHECK_FALSE(test.disk.busy());
  CHECK(test.take(session) == "+OK\r\n+OK\r\n+OK\r\n" + kQueued + kQueued + "*2\r\n$1\r\n1\r\n:1\r\n");
}

TEST_CASE("reads before and behind a transaction of the same pipeline run at its place") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  const SessionRef other = test.node->open_session();
  send_all(test, session, {{"SET", "k", "1"}, {"GET", "k"}, {"MULTI"}, {"INCR", "k"}, {"INCR", "k"}, {"EXEC"}, {"GET", "k"}});
  test.send(other, {"SET", "k", "9"});
  send_all(test, session, {{"MULTI"}, {"GET", "k"}, {"EXEC"}, {"INCR", "k"}, {"GET", "k"}});
  test.finish_all_disk();
  CHECK(test.take(session) == "+OK\r\n$1\r\n1\r\n+OK\r\n" + kQueued + kQueued + "*2\r\n:2\r\n:3\r\n$1\r\n3\r\n" + "+OK\r\n" + kQueued +
                                  "*1\r\n$1\r\n3\r\n:10\r\n$2\r\n10\r\n");
}

TEST_CASE("what cannot be queued is told at once, and the transaction is refused as a whole") {
  NodeUnderTest test;
  test.lead();
  const std::vector<std::vector<std::string_view>> wrong = {{"NOSUCH"}, {"GET"}, {"INCR", "a", "b"}, {"CLIENT", "NOSUCH"},
                                                            {"SHUTDOWN"}, {"SNAPSHOT"}, {"JOIN", "a:1", "b"}, {"LEAVE", "b"}};
  for (const std::vector<std::string_view>& request : wrong) {
    CAPTURE(request[0]);
    const SessionRef session = test.node->open_session();
    send_all(test, session, {{"MULTI"}, {"SET", "k", "1"}, request});
    CHECK(test.take(session).starts_with("+OK\r\n" + kQueued + "-ERR "));
    send_all(test, session, {{"SET", "k", "2"}, {"EXEC"}, {"EXEC"}});
    CHECK(test.take(session) == kQueued + "-EXECABORT Transaction discarded because of previous errors.\r\n-ERR EXEC without MULTI\r\n");
  }
  CHECK(test.node->keyspace().size() == 0);
  test.turn();
  CHECK_FALSE(test.disk.busy());
}

TEST_CASE("an EXEC of the wrong arity ends the transaction and says why") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  send_all(test, session, {{"MULTI"}, {"SET", "k", "1"}, {"EXEC", "x"}, {"GET", "k"}});
  CHECK(test.take(session) == "+OK\r\n" + kQueued +
                                  "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n$-1\r\n");
}

TEST_CASE("a watched key that another client wrote makes EXEC do nothing, without an entry") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  const SessionRef other = test.node->open_session();
  send_all(test, session, {{"WATCH", "k"}, {"MULTI"}, {"SET", "k", "mine"}});
  test.send(other, {"SET", "k", "theirs"});
  test.finish_all_disk();
  test.take(session);
  test.send(session, {"EXEC"});
  CHECK(test.take(session) == "*-1\r\n");
  send_all(test, session, {{"HELLO", "3"}, {"WATCH", "k"}, {"SET", "k", "again"}, {"GET", "k"}, {"MULTI"}, {"PING"}, {"EXEC"}});
  test.finish_all_disk();
  CHECK(test.take(session).ends_with("+OK\r\n+OK\r\n$5\r\nagain\r\n+OK\r\n" + kQueued + "_\r\n"));
}

TEST_CASE("a write that is applied between EXEC's proposal and its place in the log makes it do nothing") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  const SessionRef other = test.node->open_session();
  send_all(test, session, {{"WATCH", "k"}, {"MULTI"}, {"SET", "k", "mine"}, {"SET", "x", "y"}});
  test.send(other, {"SET", "k", "theirs"});
  test.send(session, {"EXEC"});
  test.finish_all_disk();
  CHECK(test.take(session) == "+OK\r\n+OK\r\n" + kQueued + kQueued + "*-1\r\n");
  send_all(test, session, {{"GET", "k"}, {"GET", "x"}});
  CHECK(test.take(session) == "$6\r\ntheirs\r\n$-1\r\n");
}

TEST_CASE("a watched key that the client itself made and removed again makes EXEC do nothing, also in a pipeline") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  send_all(test, session, {{"WATCH", "k"}, {"SET", "k", "1"}, {"DEL", "k"}, {"MULTI"}, {"SET", "k", "2"}, {"EXEC"}});
  test.finish_all_disk();
  CHECK(test.take(session) == "+OK\r\n+OK\r\n:1\r\n+OK\r\n" + kQueued + "*-1\r\n");
}

TEST_CASE("what comes behind a WATCH that was answered is held up by nothing") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"WATCH", "k"});
  test.send(session, {"UNWATCH"});
  test.send(session, {"SET", "k", "1"});
  CHECK_FALSE(session->holds());
  test.send(session, {"SET", "k", "2"});
  test.finish_all_disk();
  CHECK(test.take(session) == "+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
}

TEST_CASE("UNWATCH, DISCARD and EXEC forget what was watched") {
  NodeUnderTest test;
  test.lead();
  for (const char* end : {"UNWATCH", "DISCARD", "EXEC"}) {
    CAPTURE(end);
    const SessionRef session = test.node->open_session();
    send_all(test, session, {{"WATCH", "k"}, {"SET", "k", "1"}});
    test.finish_all_disk();
    if (std::string(end) != "UNWATCH") test.send(session, {"MULTI"});
    send_all(test, session, {{end}, {"MULTI"}, {"SET", "k", "2"}, {"EXEC"}});
    test.finish_all_disk();
    CHECK(test.take(session).ends_with("*1\r\n+OK\r\n"));
  }
  CHECK(test.node->keyspace().watches()->size() == 0);
}

TEST_CASE("a client that is gone watches nothing, and RESET ends a transaction") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"WATCH", "k"});
  CHECK(test.node->keyspace().watches()->size() == 1);
  test.node->close_session(session);
  CHECK(test.node->keyspace().watches()->size() == 0);
  const SessionRef other = test.node->open_session();
  send_all(test, other, {{"WATCH", "k"}, {"MULTI"}, {"SET", "k", "1"}, {"RESET"}, {"EXEC"}});
  CHECK(test.take(other) == "+OK\r\n+OK\r\n" + kQueued + "+RESET\r\n-ERR EXEC without MULTI\r\n");
  CHECK(test.node->keyspace().watches()->size() == 0);
}

TEST_CASE("commands that are not about keys run with the others, and what comes behind EXEC waits for them") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  send_all(test, session, {{"MULTI"}, {"SET", "k", "1"}, {"CLIENT", "SETNAME", "me"}, {"CLIENT", "GETNAME"}});
  send_all(test, session, {{"HELLO", "3"}, {"GET", "none"}, {"EXEC"}});
  CHECK(session->holds());
  test.finish_all_disk();
  CHECK_FALSE(session->holds());
  const std::string reply = test.take(session);
  CHECK(reply.find("*5\r\n+OK\r\n+OK\r\n$2\r\nme\r\n%7\r\n") != std::string::npos);
  CHECK(reply.ends_with("_\r\n"));
  CHECK(session->client.protocol == 3);
}

TEST_CASE("a transaction of no commands on keys is answered by the node alone") {
  NodeUnderTest test(3);
  const SessionRef session = test.node->open_session();
  send_all(test, session, {{"MULTI"}, {"EXEC"}, {"MULTI"}, {"PING"}, {"CLIENT", "INFO"}, {"EXEC"}});
  const std::string reply = test.take(session);
  CHECK(reply.starts_with("+OK\r\n*0\r\n+OK\r\n" + kQueued + kQueued + "*2\r\n+PONG\r\n$"));
  CHECK(reply.find(" flags=x ") != std::string::npos);
  CHECK(reply.find(" multi=2 ") != std::string::npos);
}

TEST_CASE("a transaction that becomes too large is refused where it does, and nothing of it is kept") {
  NodeUnderTest test;
  test.lead();
  test.options.max_entry_bytes = 1 << 20;
  const SessionRef session = test.node->open_session();
  const std::string value(600 << 10, 'v');
  send_all(test, session, {{"MULTI"}, {"SET", "a", value}, {"SET", "b", value}});
  const std::string reply = test.take(session);
  CHECK(reply.starts_with("+OK\r\n" + kQueued + "-ERR the transaction has "));
  CHECK(reply.ends_with("more than max-entry-bytes; nothing of it happened\r\n"));
  CHECK(session->client.transaction.bytes == 0);
  test.send(session, {"EXEC"});
  CHECK(test.take(session) == "-EXECABORT Transaction discarded because of previous errors.\r\n");
  const std::string key(2 << 20, 'k');
  test.send(session, {"WATCH", key});
  CHECK(test.take(session).starts_with("-ERR the watched keys have "));
  send_all(test, session, {{"MULTI"}, {"PING"}, {"EXEC"}});
  CHECK(test.take(session).ends_with("-EXECABORT Transaction discarded because of previous errors.\r\n"));
}

TEST_CASE("a transaction of as many commands as may be queued can be sent to another node") {
  command::Transaction transaction;
  const command::Command& dbsize = *command::find_command("dbsize");
  const std::vector<std::string_view> arguments = {"DBSIZE"};
  for (size_t count = 0; count < command::Transaction::kCommandsMax; ++count) transaction.add(dbsize, arguments);
  peer::Forward forward{.from = 1, .to = 2, .term = 1, .life = 1, .stream = 1, .first = 1, .requests = {}};
  const std::vector<std::string_view> exec = command::exec_arguments(transaction, "");
  forward.requests.push_back({.commands = {{.arguments = {exec.begin(), exec.end()}}}});
  CHECK(peer::encode(forward).size() > command::Transaction::kCommandsMax);
}

TEST_CASE("an EXEC makes no longer reply than may wait for its client, who is cut off; its writes happen all the same") {
  NodeUnderTest test;
  test.lead();
  test.options.client_output_buffer_limit.normal = {.hard_bytes = 2500, .soft_bytes = 0, .soft_seconds = 0};
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "large", std::string(1000, 'x')});
  test.finish_all_disk();
  REQUIRE(test.take(session) == "+OK\r\n");
  std::vector<std::vector<std::string_view>> requests = {{"MULTI"}};
  bool writes = false;
  SUBCASE("of reads alone") {}
  SUBCASE("with writes, at its place in the log") { writes = true; }
  if (writes) requests.push_back({"INCR", "n"});
  requests.insert(requests.end(), 20, {"GET", "large"});
  if (writes) requests.push_back({"INCR", "n"});
  send_all(test, session, requests);
  test.take(session);
  CHECK_FALSE(session->overflowed());
  test.send(session, {"EXEC"});
  test.finish_all_disk();
  CHECK(session->overflowed());
  CHECK(session->output().size() < 4000);
  const SessionRef other = test.node->open_session();
  test.send(other, {"GET", "n"});
  CHECK(test.take(other) == (writes ? "$1\r\n2\r\n" : "$-1\r\n"));
}

TEST_CASE("a WATCH that failed refuses the transaction behind it") {
  NodeUnderTest test(3);
  const SessionRef session = test.node->open_session();
  test.send(session, {"WATCH", "k"});
  CHECK(session->holds());
  test.ticks(ticks_in(test.options.request_timeout_ms) + 20);
  CHECK(test.take(session).starts_with("-CLUSTERDOWN "));
  send_all(test, session, {{"MULTI"}, {"SET", "k", "1"}, {"EXEC"}});
  CHECK(test.take(session).ends_with("-EXECABORT Transaction discarded because of previous errors.\r\n"));
  send_all(test, session, {{"MULTI"}, {"PING"}, {"EXEC"}});
  CHECK(test.take(session).ends_with("*1\r\n+PONG\r\n"));
}

TEST_CASE("a full disk refuses a write when it is queued, and EXEC when it came later") {
  NodeUnderTest test;
  test.lead();
  const SessionRef early = test.node->open_session();
  send_all(test, early, {{"MULTI"}, {"SET", "k", "1"}});
  const SessionRef filler = test.node->open_session();
  test.send(filler, {"SET", "f", "1"});
  test.turn();
  test.finish_disk(storage::WriteResult::kFull);
  test.take(early);
  test.send(early, {"EXEC"});
  CHECK(test.take(early).starts_with("-EXECABORT Transaction discarded because of: MISCONF "));
  const SessionRef late = test.node->open_session();
  send_all(test, late, {{"MULTI"}, {"SET", "k", "1"}});
  CHECK(test.take(late).starts_with("+OK\r\n-MISCONF "));
}

TEST_CASE("at a follower that does not forward a write is refused when it is queued") {
  FollowerUnderTest test;
  const std::vector<std::pair<FollowerWrites, std::string>> cases = {{FollowerWrites::kError, "-not leader\r\n"},
                                                                     {FollowerWrites::kRedirect, "-MOVED 12182 10.0.0.2:5379\r\n"}};
  for (const auto& [choice, error] : cases) {
    test.options.follower_writes = choice;
    const SessionRef session = test.node->open_session();
    send_all(test, session, {{"MULTI"}, {"SET", "foo", "1"}, {"EXEC"}});
    CHECK(test.take(session) == "+OK\r\n" + error + "-EXECABORT Transaction discarded because of previous errors.\r\n");
  }
}

TEST_CASE("a leader that lost its leadership between MULTI and EXEC keeps nothing of the transaction") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  send_all(test, session, {{"MULTI"}, {"SET", "foo", "1"}});
  test.lose_leadership_to(2);
  test.peers.exchange();
  send_all(test, session, {{"EXEC"}, {"EXEC"}});
  CHECK(test.take(session) == "+OK\r\n" + kQueued + "-not leader\r\n-ERR EXEC without MULTI\r\n");
  // What was queued before it leads again is not found then.
  test.peers.elect();
  send_all(test, session, {{"MULTI"}, {"SET", "bar", "1"}, {"EXEC"}});
  test.peers.exchange();
  CHECK(test.take(session) == "+OK\r\n" + kQueued + "*1\r\n+OK\r\n");
  CHECK(test.node->keyspace().size() == 1);
}

TEST_CASE("a transaction that was proposed when leadership was lost is UNKNOWN as a whole, and so are reads behind it") {
  LeaderUnderTest test;
  test.peers.accept_entries = false;
  const SessionRef session = test.node->open_session();
  send_all(test, session, {{"MULTI"}, {"SET", "foo", "1"}, {"EXEC"}, {"GET", "foo"}});
  test.take(session);
  test.peers.exchange();
  test.lose_leadership_to(2);
  test.peers.exchange();
  const std::string reply = test.take(session);
  CHECK(reply.starts_with("-UNKNOWN outcome: "));
  CHECK(reply.find("\r\n-UNKNOWN outcome: ") != std::string::npos);
}

TEST_CASE("a forwarding follower queues, and sends the transaction at EXEC as one request with what it watches") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"WATCH", "w"});
  CHECK(test.confirm_reads() == 1);
  send_all(test, session, {{"MULTI"}, {"PING"}, {"SET", "a", "1"}, {"ECHO", "x"}, {"GET", "a"}});
  CHECK(test.take(session) == "+OK\r\n+OK\r\n" + kQueued + kQueued + kQueued + kQueued);
  CHECK(test.taken().empty());
  test.send(session, {"EXEC"});
  const std::vector<peer::Forward> frames = test.taken();
  REQUIRE(frames.size() == 1);
  REQUIRE(frames[0].requests.size() == 1);
  REQUIRE(frames[0].requests[0].commands.size() == 1);
  const std::vector<std::string>& sent = frames[0].requests[0].commands[0].arguments;
  REQUIRE(sent.size() == 4);
  const std::vector<std::string_view> views(sent.begin(), sent.end());
  CHECK(command::check_exec(views, 1) == "");
  CHECK(sent[1] == std::string("\x01\x00\x01w\x00\x00", 6));
  CHECK(session->holds());
  test.answer(frames[0], 1, "*2\r\n+OK\r\n$1\r\n1\r\n");
  CHECK(test.take(session) == "*4\r\n+PONG\r\n+OK\r\n$1\r\nx\r\n$1\r\n1\r\n");
  CHECK_FALSE(session->holds());
}

TEST_CASE("a forwarded transaction that was refused goes again, one that may have been taken never does") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  send_all(test, session, {{"MULTI"}, {"INCR", "a"}, {"INCR", "b"}, {"EXEC"}});
  test.take(session);
  std::vector<peer::Forward> frames = test.taken();
  REQUIRE(frames.size() == 1);
  const std::vector<peer::ForwardedRequest> first = frames[0].requests;
  test.answer(frames[0], 1, "");
  test.pause();
  frames = test.taken();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].requests == first);
  test.node->on_peer_unreachable(2);
  test.turn();
  CHECK(test.take(session).starts_with("-UNKNOWN outcome: "));
  test.pause();
  CHECK(test.taken().empty());
}

TEST_CASE("the leader's null reply and its errors reach the client as they are") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  send_all(test, session, {{"MULTI"}, {"INCR", "a"}, {"PING"}, {"EXEC"}});
  std::vector<peer::Forward> frames = test.taken();
  test.answer(frames.at(0), 1, "*-1\r\n");
  CHECK(test.take(session).ends_with(kQueued + "*-1\r\n"));
  send_all(test, session, {{"MULTI"}, {"INCR", "a"}, {"PING"}, {"EXEC"}});
  frames = test.taken();
  test.answer(frames.at(0), 2, "-EXECABORT Transaction discarded because of: MISCONF full\r\n");
  CHECK(test.take(session).ends_with("-EXECABORT Transaction discarded because of: MISCONF full\r\n"));
  send_all(test, session, {{"MULTI"}, {"INCR", "a"}, {"PING"}, {"EXEC"}});
  frames = test.taken();
  test.answer(frames.at(0), 3, "+OK\r\n");
  CHECK(test.take(session).find("\r\n-UNKNOWN outcome: ") != std::string::npos);
}

}  // namespace
}  // namespace leto::server::test
