// JOIN and LEAVE at the leader: what is asked of the network and of the core, and what the client hears.
#include "server/membership.h"

#include <doctest/doctest.h>

#include "base/format.h"
#include "fake_environment.h"
#include "fake_leader.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

Network::Found found(raft::NodeId node) { return {.member = NodeUnderTest::member_of(node)}; }

// Another node than the third, under its id.
Network::Found found_as_id3() {
  Network::Found there = found(9);
  there.member.id = "id3";
  return there;
}

Network::Found silence() { return {.silence = "no answer"}; }

// What the oldest dial that was not answered yet finds.
void answer_dial(NodeUnderTest& test, base::Result<Network::Found> answer) {
  REQUIRE(!test.network.dials.empty());
  const FakeNetwork::Dial dial = test.network.dials.front();
  test.network.dials.erase(test.network.dials.begin());
  dial.done(std::move(answer));
}

bool is_voter(const NodeUnderTest& test, raft::NodeId node) { return test.node->members().is_voter(node); }

// It was only looked for until now.
void check_is_taken_in(LeaderUnderTest& test) {
  REQUIRE(test.network.dials.size() == 1);
  CHECK(test.network.dials[0].takes_in);
  answer_dial(test, found_as_id3());
  test.peers.ticks(40);
}

TEST_CASE("JOIN dials the address, adds who is there, and is answered when it votes") {
  NodeUnderTest test;
  test.lead();
  FakePeers peers(test, {});
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9"});
  REQUIRE(test.network.dials.size() == 1);
  CHECK(test.network.dials[0].raft_address == "10.0.0.9:15379");
  CHECK(test.network.dials[0].id == "id9");
  answer_dial(test, found(9));
  peers.ticks(2);
  REQUIRE(test.node->members().find(9) != nullptr);
  CHECK(!is_voter(test, 9));
  CHECK(session->output().empty());
  peers.answering = {9};
  peers.ticks(22);
  CHECK(is_voter(test, 9));
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.network.members.find(9) != nullptr);
}

TEST_CASE("JOIN of a member as it is there already is OK at once") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.2:15379", "id2"});
  answer_dial(test, found(2));
  CHECK(test.take(session) == "+OK\r\n");
}

TEST_CASE("JOIN of the leader as it is there already is OK at once, and nobody is dialed") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.1:15379", "id1"});
  CHECK(test.take(session) == "+OK\r\n");
  test.send(session, {"JOIN", "10.0.0.1:15379", "id1", "1", "10.0.0.1:5379"});
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.network.dials.empty());
  test.send(session, {"JOIN", "10.0.0.1:15379", "id1", "LEARNER"});
  CHECK(test.take(session) ==
        "-ERR id1 votes; LEAVE id1 first, then let it join as a learner with an empty -raftdir\r\n");
  // Under other addresses it is for who is dialed to say who it is.
  test.send(session, {"JOIN", "10.0.0.9:15379", "id1"});
  CHECK(test.network.dials.size() == 1);
}

TEST_CASE("JOIN of a member as it is there already is OK though nobody answers there") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.2:15379", "id2"});
  answer_dial(test, silence());
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.node->members().find(2)->client_address == "10.0.0.2:5379");
  for (const std::vector<std::string_view>& other :
       {std::vector<std::string_view>{"JOIN", "10.0.0.9:15379", "id2"}, {"JOIN", "10.0.0.2:15379", "id9"},
        {"JOIN", "10.0.0.2:15379", "id2", "2", "10.0.0.2:7777"}}) {
    test.send(session, other);
    answer_dial(test, silence());
    CHECK(test.take(session) == base::format("-ERR cannot take in %s: no answer\r\n", std::string(other[1]).c_str()));
  }
  test.send(session, {"JOIN", "10.0.0.2:15379", "id2", "LEARNER"});
  answer_dial(test, silence());
  CHECK(test.take(session) ==
        "-ERR id2 votes; LEAVE id2 first, then let it join as a learner with an empty -raftdir\r\n");
}

TEST_CASE("JOIN of an observer that is down is OK as an observer, and refused as a voter") {
  NodeUnderTest test;
  test.lead();
  FakePeers peers(test, {9});
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9", "LEARNER"});
  answer_dial(test, found(9));
  peers.ticks(60);
  REQUIRE(test.take(session) == "+OK\r\n");
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9", "LEARNER"});
  answer_dial(test, silence());
  CHECK(test.take(session) == "+OK\r\n");
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9"});
  answer_dial(test, silence());
  CHECK(test.take(session) == "-ERR cannot take in 10.0.0.9:15379: no answer\r\n");
}

TEST_CASE("a node that was removed is not taken in again with what it has") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  Network::Found there = found(9);
  there.was_member = true;
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9"});
  answer_dial(test, there);
  CHECK(test.take(session) == "-ERR id9 was removed from this cluster; to use it again start it with an empty -raftdir\r\n");
  CHECK(test.node->members().members.size() == 3);
  // Who is a member stays one.
  there = found(2);
  there.was_member = true;
  test.send(session, {"JOIN", "10.0.0.2:15379", "id2"});
  answer_dial(test, there);
  CHECK(test.take(session) == "+OK\r\n");
  // But not if it leaves before its turn comes.
  const SessionRef leaves = test.node->open_session();
  test.send(leaves, {"LEAVE", "id2"});
  test.send(session, {"JOIN", "10.0.0.2:15379", "id2"});
  answer_dial(test, there);
  test.peers.ticks(10);
  CHECK(test.take(leaves) == "+OK\r\n");
  CHECK(test.take(session) == "-ERR id2 was removed from this cluster; to use it again start it with an empty -raftdir\r\n");
}

TEST_CASE("JOIN of a member under other addresses changes them, and keeps those that nobody names") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  Network::Found there = found(2);
  there.member.client_address = "10.0.0.2:7777";
  test.send(session, {"JOIN", "10.0.0.2:15379", "id2"});
  answer_dial(test, there);
  test.peers.ticks(5);
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.node->members().find(2)->client_address == "10.0.0.2:7777");
  there.member.client_address.clear();
  test.send(session, {"JOIN", "10.0.0.2:8888", "id2"});
  answer_dial(test, there);
  test.peers.ticks(5);
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.node->members().find(2)->raft_address == "10.0.0.2:8888");
  CHECK(test.node->members().find(2)->client_address == "10.0.0.2:7777");
}

TEST_CASE("a node that is busy when it is dialed is dialed again a moment later") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9"});
  answer_dial(test, base::Status::error(Network::kBusy));
  test.ticks(3);
  CHECK(test.network.dials.empty());
  test.ticks(5);
  CHECK(test.network.dials.size() == 1);
  CHECK(session->output().empty());
}

TEST_CASE("JOIN of an address where nobody answers, or somebody else, says so and changes nothing") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9"});
  answer_dial(test, silence());
  CHECK(test.take(session) == "-ERR cannot take in 10.0.0.9:15379: no answer\r\n");
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9"});
  answer_dial(test, base::Status::error("it has another password"));
  CHECK(test.take(session) == "-ERR cannot take in 10.0.0.9:15379: it has another password\r\n");
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9"});
  answer_dial(test, found(8));
  CHECK(test.take(session) == "-ERR the node at 10.0.0.9:15379 is called id8, not id9\r\n");
  CHECK(test.node->members().members.size() == 1);
}

TEST_CASE("the id of a member that is alive is not given to another node") {
  LeaderUnderTest test;
  test.peers.answering = {2};
  Network::Found there = found_as_id3();
  const SessionRef session = test.node->open_session();
  // Who is there may be that member, at a new address; if it is not it is not taken in for a refusal.
  test.send(session, {"JOIN", "10.0.0.9:15379", "id3"});
  REQUIRE(test.network.dials.size() == 1);
  CHECK_FALSE(test.network.dials[0].takes_in);
  there.is_foreign = true;
  answer_dial(test, there);
  CHECK(test.take(session) ==
        "-ERR node id3 is alive at 10.0.0.3:15379; choose another -id or LEAVE id3 first\r\n");
  // One that says its uid is not even dialed, which would take it in.
  test.send(session, {"JOIN", "10.0.0.9:15379", "id3", "9", "10.0.0.9:5379"});
  CHECK(test.network.dials.empty());
  CHECK(test.take(session) ==
        "-ERR node id3 is alive at 10.0.0.3:15379; choose another -id or LEAVE id3 first\r\n");
}

TEST_CASE("a leader that has not heard a member yet does not say that it is alive") {
  NodeUnderTest test(3);
  FakePeers peers(test, {2});
  peers.elect();
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.9:15379", "id3", "9", "10.0.0.9:5379"});
  CHECK(test.take(session) == "-ERR node id3 may be alive at 10.0.0.3:15379, this leader has not heard it yet; ask again\r\n");
  peers.answering = {2, 3};
  peers.ticks(30);
  test.send(session, {"JOIN", "10.0.0.9:15379", "id3", "9", "10.0.0.9:5379"});
  CHECK(test.take(session).starts_with("-ERR node id3 is alive at "));
}

TEST_CASE("a node that was only found, as its id was taken, is dialed again and taken in once that member is not heard any more") {
  LeaderUnderTest test;
  test.peers.answering = {2, 9};
  Network::Found there = found_as_id3();
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.9:15379", "id3"});
  test.peers.ticks(ticks_in(2 * test.options.election_timeout_ms) + 5);
  there.is_foreign = true;
  answer_dial(test, there);
  CHECK(test.take(session).empty());
  CHECK(test.node->members().find(9) == nullptr);
  test.peers.ticks(10);
  check_is_taken_in(test);
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(is_voter(test, 9));
}

TEST_CASE("a node that comes under an id whose LEAVE waits before it is taken in once that is done") {
  LeaderUnderTest test;
  test.peers.answering = {2, 9};
  Network::Found there = found_as_id3();
  const SessionRef session = test.node->open_session(), other = test.node->open_session();
  test.send(session, {"LEAVE", "id3"});
  test.send(other, {"JOIN", "10.0.0.9:15379", "id3"});
  there.is_foreign = true;
  answer_dial(test, there);
  CHECK(test.take(other).empty());
  test.peers.ticks(20);
  CHECK(test.take(session) == "+OK\r\n");
  check_is_taken_in(test);
  CHECK(test.take(other) == "+OK\r\n");
}

TEST_CASE("a node that comes under the id of a member not heard for two election timeouts takes its place") {
  LeaderUnderTest test;
  test.peers.answering = {2, 9};
  Network::Found there = found_as_id3();
  const SessionRef session = test.node->open_session();
  const int two_timeouts = ticks_in(2 * test.options.election_timeout_ms);
  test.peers.ticks(two_timeouts - 5);
  test.send(session, {"JOIN", "10.0.0.9:15379", "id3"});
  answer_dial(test, there);
  CHECK(test.take(session).starts_with("-ERR node id3 is alive"));
  test.peers.ticks(10);
  test.send(session, {"JOIN", "10.0.0.9:15379", "id3"});
  answer_dial(test, there);
  test.turn();
  // The old one votes until the new one does: no majority is lost meanwhile.
  CHECK(is_voter(test, 3));
  test.peers.ticks(40);
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.node->members().members.size() == 3);
  CHECK(test.node->members().find(3) == nullptr);
  REQUIRE(is_voter(test, 9));
  CHECK(test.node->members().find(9)->id == "id3");
}

TEST_CASE("LEAVE of an id that is being replaced removes both who have it") {
  LeaderUnderTest test;
  test.peers.answering = {2};
  test.peers.ticks(ticks_in(2 * test.options.election_timeout_ms) + 5);
  Network::Found there = found_as_id3();
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.9:15379", "id3"});
  answer_dial(test, there);
  test.peers.ticks(ticks_in(test.options.request_timeout_ms) + 20);
  CHECK(test.take(session).starts_with("-UNKNOWN outcome: "));
  REQUIRE(test.node->members().find(9) != nullptr);
  test.send(session, {"LEAVE", "id3"});
  test.peers.ticks(10);
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.node->members().members.size() == 2);
}

TEST_CASE("a learner is taken in as an observer, and stays one") {
  NodeUnderTest test;
  test.lead();
  FakePeers peers(test, {9});
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9", "LEARNER"});
  answer_dial(test, found(9));
  peers.ticks(60);
  CHECK(test.take(session) == "+OK\r\n");
  REQUIRE(test.node->members().find(9) != nullptr);
  CHECK(test.node->members().find(9)->role == raft::MemberRole::kObserver);
  // Nobody waits for it.
  peers.answering = {};
  test.send(session, {"SET", "k", "v"});
  peers.ticks(2);
  CHECK(test.take(session) == "+OK\r\n");
  test.send(session, {"TRANSFER", "id9"});
  CHECK(test.take(session) == "-ERR id9 does not vote, so it cannot lead\r\n");
}

TEST_CASE("LEAVE of a learner that is being removed already ends as its removal does") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9", "LEARNER"});
  answer_dial(test, found(9));
  test.peers.ticks(60);
  REQUIRE(test.take(session) == "+OK\r\n");
  test.peers.accept_entries = false;
  const SessionRef again = test.node->open_session();
  for (const SessionRef& asks : {session, again}) {
    test.send(asks, {"LEAVE", "id9"});
    test.peers.ticks(1);
  }
  REQUIRE(test.node->raft().configuration().find(9) == nullptr);
  CHECK(again->output().empty());
  test.peers.accept_entries = true;
  test.peers.ticks(100);
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.take(again) == "+OK\r\n");
  test.send(again, {"LEAVE", "id9"});
  test.turn();
  CHECK(test.take(again) == "-ERR no member is called 'id9'\r\n");
}

TEST_CASE("a voter does not become a learner in place") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.2:15379", "id2", "2", "10.0.0.2:5379", "LEARNER"});
  CHECK(test.take(session) ==
        "-ERR id2 votes; LEAVE id2 first, then let it join as a learner with an empty -raftdir\r\n");
}

TEST_CASE("a voter that lost its disk does not come back as a learner without LEAVE") {
  LeaderUnderTest test;
  test.peers.answering = {2};
  test.peers.ticks(ticks_in(2 * test.options.election_timeout_ms) + 5);
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.9:15379", "id3", "9", "10.0.0.9:5379", "LEARNER"});
  CHECK(test.network.dials.empty());
  CHECK(test.take(session) ==
        "-ERR id3 votes; LEAVE id3 first, then let it join as a learner with an empty -raftdir\r\n");
  test.send(session, {"LEAVE", "id3"});
  test.peers.ticks(10);
  CHECK(test.take(session) == "+OK\r\n");
  test.send(session, {"JOIN", "10.0.0.9:15379", "id3", "9", "10.0.0.9:5379", "LEARNER"});
  CHECK(test.network.dials.size() == 1);
}

// --- Where members are -----------------------------------------------------------------------------------

raft::Member moved_to(raft::NodeId node, const std::string& host) {
  raft::Member told = NodeUnderTest::member_of(node);
  told.raft_address = host + ":15379";
  told.client_address = host + ":5379";
  return told;
}

TEST_CASE("a member that says it is elsewhere is there in the configuration soon, with its part unchanged") {
  LeaderUnderTest test;
  test.node->on_addresses_said(moved_to(2, "10.0.0.77"));
  test.node->on_addresses_said(moved_to(1, "10.0.0.78"));   // It found out where it is itself.
  test.peers.ticks(10);
  CHECK(test.node->members().find(2)->raft_address == "10.0.0.77:15379");
  CHECK(test.node->members().find(2)->client_address == "10.0.0.77:5379");
  CHECK(test.node->members().find(1)->raft_address == "10.0.0.78:15379");
  CHECK(is_voter(test, 2));
  CHECK(test.node->raft().committed_configuration() == test.node->members());
}

TEST_CASE("what a follower was told of a member's address it proposes when it leads, unless that was changed since") {
  for (const bool changed_since : {false, true}) {
    NodeUnderTest test(3);
    FakePeers peers(test, {2, 3});
    test.node->on_addresses_said(moved_to(2, "10.0.0.77"));
    if (changed_since) {
      raft::Configuration newer = test.node->members();
      newer.members[1].raft_address = "10.0.0.99:15379";
      raft::Message append = heartbeat_of(3, 1);
      std::get<raft::AppendEntries>(append.body).entries.push_back(
          {.id = {.term = 1, .index = 2},
           .kind = raft::EntryKind::kConfiguration,
           .payload = std::make_shared<const std::string>(raft::encode_configuration(newer))});
      test.node->on_message(append);
      test.finish_all_disk();
      REQUIRE(test.node->members() == newer);
    }
    CHECK(test.node->members().find(2)->raft_address != "10.0.0.77:15379");
    peers.elect();
    peers.ticks(10);
    CHECK(test.node->members().find(2)->raft_address == (changed_since ? "10.0.0.99:15379" : "10.0.0.77:15379"));
  }
}

TEST_CASE("nobody who is no member is brought into the configuration by saying where it is") {
  LeaderUnderTest test;
  test.node->on_addresses_said(moved_to(9, "10.0.0.77"));
  test.peers.ticks(10);
  CHECK(test.node->members().members.size() == 3);
}

TEST_CASE("changes that wait are made one after the other, in the order they came") {
  NodeUnderTest test;
  test.lead();
  FakePeers peers(test, {});
  const SessionRef first = test.node->open_session();
  const SessionRef second = test.node->open_session();
  const SessionRef third = test.node->open_session();
  test.send(first, {"JOIN", "10.0.0.8:15379", "id8"});
  test.send(second, {"JOIN", "10.0.0.9:15379", "id9"});
  REQUIRE(test.network.dials.size() == 2);
  answer_dial(test, found(8));
  answer_dial(test, found(9));
  peers.ticks(5);
  CHECK(test.node->members().find(8) != nullptr);
  CHECK(test.node->members().find(9) == nullptr);
  test.send(third, {"LEAVE", "id8"});
  peers.answering = {8, 9};
  peers.ticks(40);
  CHECK(test.take(first) == "+OK\r\n");
  CHECK(test.take(second) == "+OK\r\n");
  CHECK(test.take(third) == "+OK\r\n");
  CHECK(is_voter(test, 9));
  CHECK(test.node->members().find(8) == nullptr);
}

TEST_CASE("LEAVE names an id that is a member") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"LEAVE", "nobody"});
  CHECK(test.take(session) == "-ERR no member is called 'nobody'\r\n");
  test.send(session, {"LEAVE", "id3"});
  test.peers.ticks(10);
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.node->members().members.size() == 2);
}

TEST_CASE("a leader that was just elected waits for the others to answer before it refuses a LEAVE") {
  NodeUnderTest test(3);
  FakePeers peers(test, {2});
  peers.elect();
  const SessionRef session = test.node->open_session();
  test.send(session, {"LEAVE", "id2"});
  peers.exchange();
  // Of nodes 1 and 3 the latter has not answered this leader yet.
  CHECK(test.take(session).empty());
  peers.answering = {2, 3};
  peers.ticks(20);
  CHECK(test.take(session) == "+OK\r\n");
}

TEST_CASE("LEAVE of the only node is refused") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"LEAVE", "id1"});
  test.turn();
  CHECK(test.take(session) == "-ERR refused: id1 is the only voter, and a cluster cannot be without one\r\n");
}

TEST_CASE("LEAVE that would leave no live majority is refused") {
  LeaderUnderTest test;
  test.peers.answering = {2};
  test.peers.ticks(ticks_in(2 * test.options.election_timeout_ms));
  const SessionRef session = test.node->open_session();
  test.send(session, {"LEAVE", "id2"});
  CHECK(test.take(session) == "-ERR refused: the members that are left and answer would be no majority\r\n");
}

TEST_CASE("beside a voter that died just now no other one leaves: it is refused within an election timeout, and writes go on") {
  for (const char* leaver : {"id2", "id1"}) {
    LeaderUnderTest test;
    test.node->membership().forward_to_leader = [](const auto&, const auto&) { FAIL("it was forwarded"); };
    test.peers.answering = {2};
    const SessionRef session = test.node->open_session();
    test.send(session, {"LEAVE", leaver});
    test.peers.ticks(5);
    CHECK(session->output().empty());
    test.peers.ticks(ticks_in(test.options.election_timeout_ms) - 5);
    CHECK(test.take(session) == "-ERR refused: the members that are left and answer would be no majority\r\n");
    test.send(session, {"SET", "k", "v"});
    test.peers.ticks(2);
    CHECK(test.take(session) == "+OK\r\n");
    CHECK(test.node->members().members.size() == 3);
    test.send(session, {"LEAVE", "id3"});
    test.peers.ticks(10);
    CHECK(test.take(session) == "+OK\r\n");
  }
}

TEST_CASE("LEAVE of the other one of two, which died just now, is refused with the reason, before leadership is lost") {
  for (const uint64_t silent_ms : {0u, 50u, 200u}) {
    NodeUnderTest test(2);
    FakePeers peers(test, {2});
    peers.elect();
    peers.ticks(ticks_in(test.options.election_timeout_ms));
    peers.answering = {};
    peers.ticks(ticks_in(silent_ms));
    const SessionRef session = test.node->open_session();
    test.send(session, {"LEAVE", "id2"});
    peers.ticks(ticks_in(test.options.election_timeout_ms));
    CHECK(test.take(session) == "-ERR refused: the members that are left and answer would be no majority\r\n");
    CHECK(test.node->members().members.size() == 2);
  }
}

TEST_CASE("LEAVE with FORCE is begun though those who are left and answer are no majority, and done when one is back") {
  LeaderUnderTest test;
  test.peers.answering = {2};
  test.peers.ticks(ticks_in(test.options.election_timeout_ms));
  const SessionRef session = test.node->open_session();
  test.send(session, {"LEAVE", "id2"});
  test.peers.ticks(1);
  CHECK(test.take(session).starts_with("-ERR refused"));
  test.send(session, {"LEAVE", "id2", "FORCE"});
  test.turn();
  CHECK(test.node->members().is_joint());
  CHECK(session->output().empty());
  // Nobody leads until then.
  test.peers.ticks(1);
  CHECK(test.node->raft().role() != raft::Role::kLeader);
  CHECK(test.take(session) == "-UNKNOWN outcome: this node lost leadership during the change\r\n");
  test.peers.answering = {2, 3};
  test.peers.elect();
  test.peers.ticks(5);
  CHECK(test.node->members().members.size() == 2);
  CHECK_FALSE(test.node->members().is_joint());
}

// Node 3 answers, but takes no more of what the leader has to say than it has; the others have many entries more.
struct ThirdLags {
  explicit ThirdLags(int entries) : test(3), peers(test, {2, 3}) {
    peers.elect();
    session = test.node->open_session();
    peers.takes_no_entries = {3};
    for (int i = 0; i < entries; ++i) {
      test.send(session, {"SET", "k", "v"});
      peers.ticks(1);
    }
    test.take(session);
  }
  NodeUnderTest test;
  FakePeers peers;
  SessionRef session;
};

TEST_CASE("LEAVE of who is being removed already ends as its removal does, and never says that the members are as they were") {
  ThirdLags it(200);
  const std::string unknown = "-UNKNOWN outcome: the change was begun, but not finished within request-timeout\r\n";
  const auto leave = [&it](int ticks) {
    it.test.send(it.session, {"LEAVE", "id2", "FORCE"});
    it.peers.ticks(ticks);
    CHECK(it.session->output().empty());
  };
  const int nearly_all = ticks_in(it.test.options.request_timeout_ms) - 20;
  leave(nearly_all);
  REQUIRE(it.test.node->members().is_joint());
  it.peers.ticks(40);
  CHECK(it.test.take(it.session) == unknown);
  SUBCASE("not within request-timeout") {
    leave(nearly_all);
    it.peers.ticks(40);
    CHECK(it.test.take(it.session) == unknown);
  }
  SUBCASE("once the one that lags has caught up") {
    leave(20);
    it.peers.takes_no_entries = {};
    it.peers.ticks(100);
    CHECK(it.test.take(it.session) == "+OK\r\n");
    CHECK(it.test.node->members().members.size() == 2);
  }
}

TEST_CASE("LEAVE beside a voter that lags is refused after three election timeouts, and says who lags and by how much") {
  for (const char* leaver : {"id2", "id1"}) {
    ThirdLags it(200);
    it.test.node->membership().forward_to_leader = [](const auto&, const auto&) { FAIL("it was forwarded"); };
    it.test.send(it.session, {"LEAVE", leaver});
    it.peers.ticks(static_cast<int>(3 * it.test.options.election_timeout_ms / kTickMs) - 5);
    CHECK(it.session->output().empty());
    it.peers.ticks(10);
    CHECK(it.test.take(it.session) ==
          base::format("-ERR refused: writes would wait for members that lag (id3 by 200 entries); LEAVE %s again once their lag "
                       "in INFO raft is small\r\n", leaver));
    CHECK(it.test.node->members().members.size() == 3);
  }
}

TEST_CASE("LEAVE with FORCE does not wait for members that lag") {
  ThirdLags it(200);
  it.test.send(it.session, {"LEAVE", "id2", "FORCE"});
  it.test.turn();
  CHECK(it.test.node->members().is_joint());
}

TEST_CASE("LEAVE beside a voter that catches up within three election timeouts is carried out") {
  ThirdLags it(120);
  it.test.send(it.session, {"LEAVE", "id2"});
  it.peers.ticks(2);
  CHECK(it.session->output().empty());
  it.peers.takes_no_entries = {};
  // The leader sends again what was not taken, with growing patience; so many entries later it is just about to.
  it.peers.ticks(static_cast<int>(3 * it.test.options.election_timeout_ms / kTickMs) - 5);
  CHECK(it.test.take(it.session) == "+OK\r\n");
  CHECK(it.test.node->members().find_id("id2") == nullptr);
}

TEST_CASE("a LEAVE of the leader that is tried again in a later term gives who lags three election timeouts anew") {
  ThirdLags it(120);
  const raft::Raft& raft = it.test.node->raft();
  it.test.send(it.session, {"LEAVE", "id1"});
  it.peers.ticks(2);
  it.peers.takes_no_entries = {};
  const auto until_it_hands_over = [&] {
    for (int tick = 0; tick < 300 && raft.transferring_to() == raft::kNobody; ++tick) it.peers.ticks(1);
  };
  until_it_hands_over();
  const raft::NodeId successor = raft.transferring_to();
  REQUIRE(successor != raft::kNobody);
  const raft::RequestVote in_vain{.pre_vote = false, .transfer = true, .last = raft.last()};
  it.test.node->on_message({.from = successor, .to = 1, .term = raft.term() + 1, .body = in_vain});
  it.peers.answering = {};
  it.peers.ticks(ticks_in(3 * it.test.options.election_timeout_ms));
  it.peers.answering = {2};
  it.peers.elect();
  // Node 3 is heard, but what it has is not known in this term yet.
  it.test.node->on_message({.from = 3, .to = 1, .term = raft.term(), .body = raft::AppendEntriesReply{}});
  it.test.turn();
  CHECK(it.test.take(it.session) == "");
  it.peers.answering = {2, 3};
  until_it_hands_over();
  CHECK(raft.transferring_to() != raft::kNobody);
}

TEST_CASE("when leadership is lost what was begun is unknown, and what waits goes to the next leader") {
  NodeUnderTest test;
  test.lead();
  FakePeers peers(test, {});
  const SessionRef begun = test.node->open_session();
  const SessionRef waits = test.node->open_session();
  test.send(begun, {"JOIN", "10.0.0.9:15379", "id9"});
  test.send(waits, {"JOIN", "10.0.0.8:15379", "id8"});
  answer_dial(test, found(9));
  peers.ticks(2);
  test.lose_leadership_to(9);
  CHECK(test.take(begun) == "-UNKNOWN outcome: this node lost leadership during the change\r\n");
  CHECK(waits->output().empty());
  REQUIRE(test.network.forwards.size() == 1);
  CHECK(FollowerUnderTest::words(test.network.forwards[0]) == "JOIN 10.0.0.8:15379 id8");
  // The dial ends after all: that is of no interest any more.
  answer_dial(test, found(8));
  CHECK(waits->output().empty());
  const peer::Forward& forward = test.network.forwards[0];
  peer::ForwardReply reply = FollowerUnderTest::reply_to(forward);
  reply.answers = {{.number = 1, .taken = true, .reply = "+OK\r\n"}};
  test.node->on_forward_reply(reply);
  test.turn();
  CHECK(test.take(waits) == "+OK\r\n");
}

TEST_CASE("a change that was begun ends as unknown when leadership is lost, also if a dial ends in the same turn") {
  LeaderUnderTest test;
  test.peers.accept_entries = false;
  const SessionRef begun = test.node->open_session();
  const SessionRef dials = test.node->open_session();
  test.send(begun, {"JOIN", "10.0.0.8:15379", "id8"});
  answer_dial(test, found(8));
  test.turn();
  REQUIRE(test.node->members().find(8) != nullptr);
  test.send(dials, {"JOIN", "10.0.0.9:15379", "id9"});
  test.node->on_message(heartbeat_of(2, test.node->raft().term() + 1));
  answer_dial(test, found(9));
  test.turn();
  CHECK(test.take(begun) == "-UNKNOWN outcome: this node lost leadership during the change\r\n");
  REQUIRE(test.network.forwards.size() == 1);
  CHECK(FollowerUnderTest::words(test.network.forwards[0]) == "JOIN 10.0.0.9:15379 id9");
}

TEST_CASE("what waits when leadership is lost is asked of one leader after the other, and not beyond request-timeout") {
  for (const bool one_takes_it : {true, false}) {
    LeaderUnderTest test;
    const SessionRef first = test.node->open_session();
    const SessionRef waits = test.node->open_session();
    test.send(first, {"JOIN", "10.0.0.9:15379", "id9"});   // Nobody answers there.
    test.send(waits, {"LEAVE", "id3", "FORCE"});
    test.lose_leadership_to(2);
    REQUIRE(test.network.forwards.size() == 1);
    CHECK(FollowerUnderTest::words(test.network.forwards[0]) == "JOIN 10.0.0.9:15379 id9; LEAVE id3 FORCE");
    // That one says that it leads no more.
    peer::ForwardReply reply = FollowerUnderTest::reply_to(test.network.forwards[0]);
    reply.closed_from = 1;
    test.node->on_forward_reply(reply);
    test.turn();
    test.network.forwards.clear();
    CHECK(waits->output().empty());
    const raft::Term term = test.node->raft().term() + 1;
    test.network.forwards_leave = one_takes_it;
    for (uint64_t passed = 0; passed < test.options.request_timeout_ms + 200; passed += 10 * kTickMs) {
      test.follow(3, term);
      test.ticks(10);
    }
    if (one_takes_it) {
      REQUIRE(test.network.forwards.size() == 1);
      CHECK(test.network.forwards[0].to == 3);
      CHECK(test.take(waits) == "-UNKNOWN outcome: the leader did not answer within request-timeout\r\n");
    } else {
      CHECK(test.take(waits) == "-CLUSTERDOWN no leader took it within request-timeout\r\n");
    }
  }
}

TEST_CASE("a JOIN that does not get done holds up no other change for ever") {
  NodeUnderTest test;
  test.lead();
  FakePeers peers(test, {});
  const SessionRef stuck = test.node->open_session();
  test.send(stuck, {"JOIN", "10.0.0.9:15379", "id9"});
  answer_dial(test, found(9));
  // The newcomer dies before it has caught up.
  peers.ticks(ticks_in(test.options.request_timeout_ms) + 20);
  CHECK(test.take(stuck).starts_with("-UNKNOWN outcome: "));
  const SessionRef session = test.node->open_session();
  test.send(session, {"LEAVE", "id9"});
  peers.ticks(10);
  CHECK(test.take(session) == "+OK\r\n");
  CHECK(test.node->members().find(9) == nullptr);
}

TEST_CASE("a change whose dial does not end in time did not happen, and says so") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.9:15379", "id9"});
  const FakeNetwork::Dial late = test.network.dials.front();
  test.ticks(ticks_in(test.options.request_timeout_ms) + 20);
  CHECK(test.take(session).starts_with("-"));
  late.done(found(9));
  test.finish_all_disk();
  CHECK(test.node->members().find(9) == nullptr);
}

TEST_CASE("LEAVE of a member that an uncommitted configuration still adds is not done yet") {
  NodeStart start = NodeUnderTest::start_of(3);
  raft::Configuration with_learner = start.recovered.configurations[0].configuration;
  with_learner.members.push_back(NodeUnderTest::member_of(4));
  with_learner.members.back().role = raft::MemberRole::kLearner;
  start.recovered.last.index = 2;
  start.recovered.configurations.push_back({.index = 2, .configuration = with_learner});
  NodeUnderTest test(std::move(start));
  FakePeers peers(test, {2, 3});
  peers.accept_appends = false;
  peers.elect();
  REQUIRE(test.node->raft().role() == raft::Role::kLeader);
  const SessionRef session = test.node->open_session();
  test.send(session, {"LEAVE", "id4"});
  test.turn();
  CHECK(session->output().empty());
}

}  // namespace
}  // namespace leto::server::test
