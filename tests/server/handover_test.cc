// TRANSFER, and LEAVE of the leader: who is asked to lead, what becomes of writes meanwhile, what the client hears.
#include "server/handover.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "fake_environment.h"
#include "fake_peers.h"
#include "server/membership.h"

namespace leto::server::test {
namespace {

// To whom TimeoutNow was sent last; kNobody: to nobody.
raft::NodeId asked_to_lead(const NodeUnderTest& test) {
  raft::NodeId asked = raft::kNobody;
  for (const raft::Message& message : test.network.sent) {
    if (std::holds_alternative<raft::TimeoutNow>(message.body)) asked = message.to;
  }
  return asked;
}

struct LeaderUnderTest {
  explicit LeaderUnderTest(size_t voters = 3) : test(voters), peers(test, {2, 3}) {
    peers.elect();
    session = test.node->open_session();
  }
  void takes_over(raft::NodeId node) {
    test.node->on_message(peers.heartbeat_of(node, test.node->raft().term() + 1));
    test.finish_all_disk();
  }
  NodeUnderTest test;
  FakePeers peers;
  SessionRef session;
};

TEST_CASE("TRANSFER is answered once the named node leads") {
  LeaderUnderTest it;
  it.test.send(it.session, {"TRANSFER", "id3"});
  it.test.turn();
  CHECK(asked_to_lead(it.test) == 3);
  CHECK(it.session->output().empty());
  it.takes_over(3);
  CHECK(it.test.take(it.session) == "+OK\r\n");
}

TEST_CASE("TRANSFER without an id asks the voter that answers and has most of the log") {
  LeaderUnderTest it;
  it.peers.answering = {3};
  it.test.send(it.session, {"SET", "k", "v"});
  it.peers.ticks(2);
  CHECK(it.test.take(it.session) == "+OK\r\n");
  it.test.send(it.session, {"TRANSFER"});
  it.test.turn();
  CHECK(asked_to_lead(it.test) == 3);
}

TEST_CASE("TRANSFER says why not: nobody of that id, the leader itself, one that is not heard, nobody at all") {
  LeaderUnderTest it;
  it.test.send(it.session, {"TRANSFER", "id7"});
  CHECK(it.test.take(it.session) == "-ERR no member is called 'id7'\r\n");
  it.test.send(it.session, {"TRANSFER", "id1"});
  CHECK(it.test.take(it.session) == "-ERR id1 is the leader already\r\n");
  it.peers.answering = {2};
  it.peers.ticks(static_cast<int>(it.test.options.election_timeout_ms / kTickMs) + 5);
  it.test.send(it.session, {"TRANSFER", "id3"});
  CHECK(it.test.take(it.session).starts_with("-ERR id3 was not heard for "));
  NodeUnderTest alone;
  alone.lead();
  const SessionRef session = alone.node->open_session();
  alone.send(session, {"TRANSFER"});
  CHECK(alone.take(session) == "-ERR no other voter answers that could lead\r\n");
}

TEST_CASE("a TRANSFER to which nobody reacts ends within an election timeout, and this node leads on") {
  LeaderUnderTest it;
  it.test.send(it.session, {"TRANSFER", "id2"});
  it.test.turn();
  const SessionRef other = it.test.node->open_session();
  it.test.send(other, {"TRANSFER", "id3"});
  CHECK(it.test.take(other) == "-ERR leadership is being handed over already\r\n");
  it.test.send(other, {"SET", "k", "v"});
  it.peers.ticks(static_cast<int>(it.test.options.election_timeout_ms / kTickMs) - 5);
  CHECK(other->output().empty());
  it.peers.ticks(10);
  CHECK(it.test.take(it.session) == "-ERR id2 did not take over within an election timeout; this node leads on\r\n");
  // The write that came meanwhile is made now.
  it.peers.ticks(2);
  CHECK(it.test.take(other) == "+OK\r\n");
}

TEST_CASE("no change of the members is begun while leadership is handed over") {
  LeaderUnderTest it;
  const SessionRef before = it.test.node->open_session();
  it.test.send(before, {"SET", "k", "1"});
  it.test.turn();
  it.test.send(it.session, {"TRANSFER", "id2"});
  const SessionRef other = it.test.node->open_session();
  it.test.send(other, {"LEAVE", "id3"});
  it.test.turn();
  CHECK_FALSE(it.test.node->members().is_joint());
  it.peers.exchange();
  it.test.turn();
  CHECK_FALSE(it.test.node->members().is_joint());
  CHECK(it.test.node->members().members.size() == 3);
  it.takes_over(2);
  CHECK(it.test.take(it.session) == "+OK\r\n");
  CHECK(it.test.take(other) == "-not leader\r\n");
}

TEST_CASE("TRANSFER says who leads if another one won") {
  LeaderUnderTest it;
  it.test.send(it.session, {"TRANSFER", "id2"});
  it.test.turn();
  it.takes_over(3);
  CHECK(it.test.take(it.session) == "-ERR id3 leads, not id2\r\n");
}

TEST_CASE("what was proposed before is answered before leadership goes, and what comes after it is refused as not done") {
  LeaderUnderTest it;
  it.peers.answering = {};
  const SessionRef before = it.test.node->open_session();
  it.test.send(before, {"SET", "k", "1"});
  it.test.finish_all_disk();
  it.test.send(it.session, {"TRANSFER", "id3"});
  const SessionRef after = it.test.node->open_session();
  it.test.send(after, {"SET", "k", "2"});
  it.test.finish_all_disk();
  CHECK(asked_to_lead(it.test) == raft::kNobody);
  it.peers.answering = {2, 3};
  it.peers.ticks(12);
  CHECK(it.test.take(before) == "+OK\r\n");
  CHECK(after->output().empty());
  it.takes_over(3);
  CHECK(it.test.take(it.session) == "+OK\r\n");
  CHECK(it.test.take(after) == "-not leader\r\n");
}

TEST_CASE("nobody is asked to lead before this node has committed what it proposed, however far the others are") {
  LeaderUnderTest it;
  const SessionRef before = it.test.node->open_session();
  it.test.send(before, {"SET", "k", "1"});
  it.test.turn();
  REQUIRE(it.test.disk.busy());
  raft::AppendEntriesReply reply{.accepted = true,
                                 .match = it.test.node->raft().last().index,
                                 .previous_index = it.test.node->raft().last().index - 1,
                                 .hint = {},
                                 .read_counter = 0};
  it.test.node->on_message({.from = 3, .to = 1, .term = it.test.node->raft().term(), .body = reply});
  it.test.send(it.session, {"TRANSFER", "id3"});
  it.test.turn();
  CHECK(asked_to_lead(it.test) == raft::kNobody);
  it.test.finish_all_disk();
  CHECK(it.test.take(before) == "+OK\r\n");
  CHECK(asked_to_lead(it.test) == 3);
}

TEST_CASE("a TRANSFER while writes cannot be committed is given up, and they are not disturbed") {
  LeaderUnderTest it;
  it.peers.accept_entries = false;
  const SessionRef before = it.test.node->open_session();
  it.test.send(before, {"SET", "k", "1"});
  it.test.finish_all_disk();
  it.test.send(it.session, {"TRANSFER", "id3"});
  it.peers.ticks(static_cast<int>(it.test.options.election_timeout_ms / kTickMs) + 2);
  CHECK(it.test.take(it.session) == "-ERR the writes under way were not committed in time; this node leads on\r\n");
  CHECK(it.test.node->raft().role() == raft::Role::kLeader);
  it.peers.accept_entries = true;
  it.peers.ticks(100);
  CHECK(it.test.take(before) == "+OK\r\n");
}

TEST_CASE("a TRANSFER of a leader that loses its majority before it could begin says that it did not happen") {
  LeaderUnderTest it;
  it.peers.answering = {};
  const SessionRef before = it.test.node->open_session();
  it.test.send(before, {"SET", "k", "1"});
  it.peers.ticks(static_cast<int>(it.test.options.election_timeout_ms / kTickMs) / 2);
  it.test.send(it.session, {"TRANSFER", "id3"});
  it.peers.ticks(static_cast<int>(it.test.options.election_timeout_ms / kTickMs));
  CHECK(it.test.take(it.session) == "-ERR this node lost its leadership before it could hand it over\r\n");
}

// --- LEAVE of the leader -----------------------------------------------------------------------------------

struct Forwarded {
  std::vector<std::string> arguments;
  std::function<void(std::string)> done;
};

TEST_CASE("LEAVE of the leader hands over, and has the new leader remove it") {
  LeaderUnderTest it;
  std::vector<Forwarded> forwarded;
  it.test.node->membership().forward_to_leader = [&](const std::vector<std::string>& arguments,
                                                     std::function<void(std::string)> done) {
    forwarded.push_back({.arguments = arguments, .done = std::move(done)});
  };
  it.test.send(it.session, {"LEAVE", "id1"});
  it.test.turn();
  CHECK(asked_to_lead(it.test) != raft::kNobody);
  CHECK(forwarded.empty());
  it.takes_over(asked_to_lead(it.test));
  REQUIRE(forwarded.size() == 1);
  CHECK(forwarded[0].arguments == std::vector<std::string>{"LEAVE", "id1"});
  CHECK(it.session->output().empty());
  SUBCASE("done") {
    forwarded[0].done("");
    CHECK(it.test.take(it.session) == "+OK\r\n");
  }
  SUBCASE("refused there") {
    forwarded[0].done("ERR refused: no");
    CHECK(it.test.take(it.session) == "-ERR refused: no\r\n");
  }
  SUBCASE("seen here before the answer came") {
    raft::Configuration rest = it.test.node->members();
    rest.members.erase(rest.members.begin());
    raft::Message append = it.peers.heartbeat_of(2, it.test.node->raft().term());
    auto& body = std::get<raft::AppendEntries>(append.body);
    append.from = it.test.node->raft().leader();
    body.previous = it.test.node->raft().last();
    body.entries.push_back({.id = {.term = append.term, .index = body.previous.index + 1},
                            .kind = raft::EntryKind::kConfiguration,
                            .payload = std::make_shared<const std::string>(raft::encode_configuration(rest))});
    body.leader_commit = body.entries.back().id.index;
    it.test.node->on_message(append);
    it.test.finish_all_disk();
    CHECK(it.test.take(it.session) == "+OK\r\n");
    forwarded[0].done("UNKNOWN outcome: the link broke");
    CHECK(it.session->output().empty());
  }
}

TEST_CASE("LEAVE of the leader of two voters, of which the other is dead, does not happen") {
  NodeUnderTest test(2);
  FakePeers peers(test, {2});
  peers.elect();
  test.node->membership().forward_to_leader = [](const auto&, const auto&) { FAIL("it was forwarded"); };
  const SessionRef session = test.node->open_session();
  peers.answering = {};
  peers.ticks(static_cast<int>(test.options.election_timeout_ms / kTickMs) - 2);
  test.send(session, {"LEAVE", "id1"});
  peers.ticks(static_cast<int>(test.options.request_timeout_ms / kTickMs) + 20);
  CHECK(test.take(session).starts_with("-UNKNOWN outcome: "));
  CHECK(test.node->members().members.size() == 2);
  test.send(session, {"LEAVE", "id1"});
  CHECK(test.take(session) == "-CLUSTERDOWN no leader\r\n");
}

TEST_CASE("LEAVE of the leader is refused if those that are left would be no majority") {
  LeaderUnderTest it;
  it.test.node->membership().forward_to_leader = [](const auto&, const auto&) { FAIL("it was forwarded"); };
  it.peers.answering = {2};
  it.peers.ticks(static_cast<int>(it.test.options.election_timeout_ms / kTickMs) + 5);
  it.test.send(it.session, {"LEAVE", "id1"});
  it.test.turn();
  CHECK(it.test.take(it.session) == "-ERR refused: the members that are left and answer would be no majority\r\n");
  CHECK(asked_to_lead(it.test) == raft::kNobody);
}

}  // namespace
}  // namespace leto::server::test
