// TRANSFER, and LEAVE of the leader: who is asked to lead, what becomes of writes meanwhile, what the client hears.
#include "server/handover.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/format.h"
#include "fake_environment.h"
#include "fake_leader.h"
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

struct HandoverTest : LeaderUnderTest {
  SessionRef session = node->open_session();
};

TEST_CASE("TRANSFER is answered once the named node leads") {
  HandoverTest it;
  it.send(it.session, {"TRANSFER", "id3"});
  it.turn();
  CHECK(asked_to_lead(it) == 3);
  CHECK(it.session->output().empty());
  it.lose_leadership_to(3);
  CHECK(it.take(it.session) == "+OK\r\n");
}

TEST_CASE("TRANSFER without an id asks the voter that answers and has most of the log") {
  HandoverTest it;
  it.peers.answering = {3};
  it.send(it.session, {"SET", "k", "v"});
  it.peers.ticks(2);
  CHECK(it.take(it.session) == "+OK\r\n");
  it.send(it.session, {"TRANSFER"});
  it.turn();
  CHECK(asked_to_lead(it) == 3);
}

TEST_CASE("TRANSFER without an id does not ask one whose connection was lost just now") {
  HandoverTest it;
  it.node->on_peer_unreachable(2);
  SUBCASE("until it answers again") {
    it.peers.answering = {2};
    it.peers.ticks(ticks_in(it.options.election_timeout_ms) + 5);
    it.send(it.session, {"TRANSFER"});
    it.turn();
    CHECK(asked_to_lead(it) == 2);
  }
  SUBCASE("just now") {
    it.send(it.session, {"TRANSFER"});
    it.turn();
    CHECK(asked_to_lead(it) == 3);
  }
}

// Node 2 says that it has lost its keys, but not its log.
void lose_keys_of_two(HandoverTest& it, raft::Index least) {
  const raft::InstallSnapshotReply lost{.snapshot = 0, .answer = raft::SnapshotAnswer::kNeeds, .offset = 0, .match = least};
  it.node->on_message({.from = 2, .to = 1, .term = it.node->raft().term(), .body = lost});
  it.turn();
}

TEST_CASE("leadership is not handed to who has lost its keys") {
  HandoverTest it;
  lose_keys_of_two(it, 1);
  it.send(it.session, {"TRANSFER", "id2"});
  CHECK(it.take(it.session) == "-ERR id2 needs a snapshot first; it could not take over\r\n");
  it.send(it.session, {"TRANSFER"});
  it.turn();
  CHECK(asked_to_lead(it) == 3);
}

TEST_CASE("who has lost its keys is sent a copy once what its log begins behind is flushed") {
  HandoverTest it;
  it.send(it.session, {"SET", "k", "v"});
  it.peers.ticks(2);
  const raft::Index written = it.node->raft().applied_index();
  lose_keys_of_two(it, written);
  CHECK(it.snapshots.copies.empty());
  it.peers.ticks(2);
  REQUIRE(it.keys.busy());
  it.keys.finish(base::Status::ok());
  it.turn();
  CHECK(it.snapshots.copies.empty());
  it.peers.ticks(ticks_in(10 * it.options.heartbeat_interval_ms));
  CHECK(it.snapshots.copies.size() == 1);
}

TEST_CASE("TRANSFER says why not: nobody of that id, the leader itself, one that is not heard, nobody at all") {
  HandoverTest it;
  it.send(it.session, {"TRANSFER", "id7"});
  CHECK(it.take(it.session) == "-ERR no member is called 'id7'\r\n");
  it.send(it.session, {"TRANSFER", "id1"});
  CHECK(it.take(it.session) == "-ERR id1 is the leader already\r\n");
  it.peers.answering = {2};
  it.peers.ticks(ticks_in(it.options.election_timeout_ms) + 5);
  it.send(it.session, {"TRANSFER", "id3"});
  CHECK(it.take(it.session).starts_with("-ERR id3 was not heard for "));
  NodeUnderTest alone;
  alone.lead();
  const SessionRef session = alone.node->open_session();
  alone.send(session, {"TRANSFER"});
  CHECK(alone.take(session) == "-ERR no other voter answers that could lead\r\n");
}

// Two voters, and two more that joined just now: three votes are needed, and those two give none for an election timeout (D18).
struct YoungVotersTest : LeaderUnderTest {
  YoungVotersTest() : LeaderUnderTest(2) {
    peers.ticks(ticks_in(options.election_timeout_ms) + 1);
    peers.answering = {2, 3, 4};
    for (const char* id : {"id3", "id4"}) send(session, {"JOIN", base::format("10.0.0.%s:15379", id + 2), id});
    for (raft::NodeId number = 3; number <= 4; ++number) {
      REQUIRE(!network.dials.empty());
      const FakeNetwork::Dial dial = network.dials.front();
      network.dials.erase(network.dials.begin());
      dial.done(Network::Found{.member = member_of(number)});
    }
    const auto is_done = [this] { return node->members().voter_count() == 4 && !node->members().is_joint(); };
    for (int tick = 0; tick < ticks_in(options.election_timeout_ms) - 10 && !is_done(); ++tick, ++age) peers.ticks(1);
    REQUIRE(is_done());
    CHECK(take(session) == "+OK\r\n+OK\r\n");
  }
  SessionRef session = node->open_session();
  int age = 0;   // In ticks: since when they are members, or some time less.
};

TEST_CASE("leadership is not handed over before who takes over can win: voters that joined just now give no votes") {
  YoungVotersTest it;
  SUBCASE("on request") { it.send(it.session, {"TRANSFER", "id2"}); }
  SUBCASE("as the leader leaves") { it.send(it.session, {"LEAVE", "id1"}); }
  const SessionRef other = it.node->open_session();
  const auto is_handing_over = [&it] { return it.node->raft().transferring_to() != raft::kNobody; };
  const int waits = ticks_in(it.options.election_timeout_ms) - it.age;
  for (int tick = 0; tick < waits - 3; ++tick) {
    it.peers.ticks(1);
    REQUIRE(!is_handing_over());
  }
  // Writes do not wait for that.
  it.send(other, {"SET", "k", "v"});
  it.peers.ticks(1);
  CHECK(it.take(other) == "+OK\r\n");
  CHECK(it.session->output().empty());
  for (int tick = 0; tick < 10 && !is_handing_over(); ++tick) it.peers.ticks(1);
  CHECK(is_handing_over());
}

// Leads two, as it was handed the leadership right behind its start: it gives no vote itself for `silence_ms`.
void check_waits_for_own_vote(NodeUnderTest& test, uint64_t silence_ms) {
  FakePeers peers(test, {2});
  test.follow(2, 1);
  const raft::Raft& raft = test.node->raft();
  test.node->on_message({.from = 2, .to = 1, .term = raft.term(), .body = raft::TimeoutNow{}});
  peers.exchange();
  REQUIRE(raft.leads_and_committed_in_term());
  const SessionRef session = test.node->open_session();
  test.send(session, {"TRANSFER", "id2"});
  peers.ticks(ticks_in(silence_ms) - 10);
  CHECK(raft.transferring_to() == raft::kNobody);
  peers.ticks(20);
  CHECK(raft.transferring_to() == 2);
}

TEST_CASE("nor by a leader that gives no vote itself, as it started just now and was handed the leadership") {
  NodeUnderTest test(2);
  check_waits_for_own_vote(test, test.options.election_timeout_ms);
}

TEST_CASE("with a short election-timeout voters that joined just now are waited for as long as they give no votes") {
  NodeUnderTest test(2);
  test.options.election_timeout_ms = 100;
  check_waits_for_own_vote(test, kSilenceMsMax);
}

TEST_CASE("old voters that are enough are not kept waiting by one that joined just now") {
  YoungVotersTest it;
  const SessionRef other = it.node->open_session();
  it.send(other, {"LEAVE", "id4"});
  it.peers.ticks(4);
  CHECK(it.take(other) == "+OK\r\n");
  REQUIRE(it.node->members().voter_count() == 3);
  it.peers.ticks(2);
  it.send(it.session, {"TRANSFER", "id2"});
  it.peers.exchange();
  CHECK(it.node->raft().transferring_to() == 2);
}

TEST_CASE("a leader that loses its leadership while it waits for votes says that nothing was handed over") {
  YoungVotersTest it;
  it.send(it.session, {"TRANSFER", "id2"});
  it.peers.ticks(1);
  it.lose_leadership_to(2);
  CHECK(it.take(it.session) == "-ERR this node lost its leadership before it could hand it over\r\n");
}

TEST_CASE("a TRANSFER to which nobody reacts ends within an election timeout, and this node leads on") {
  HandoverTest it;
  it.send(it.session, {"TRANSFER", "id2"});
  it.turn();
  const SessionRef other = it.node->open_session();
  it.send(other, {"TRANSFER", "id3"});
  CHECK(it.take(other) == "-ERR leadership is being handed over already\r\n");
  it.send(other, {"SET", "k", "v"});
  it.peers.ticks(ticks_in(it.options.election_timeout_ms) - 5);
  CHECK(other->output().empty());
  it.peers.ticks(10);
  CHECK(it.take(it.session) ==
        "-UNKNOWN outcome: id2 did not take over within an election timeout; this node leads on, unless id2 is elected yet\r\n");
  // The write that came meanwhile is made now.
  it.peers.ticks(2);
  CHECK(it.take(other) == "+OK\r\n");
}

TEST_CASE("no change of the members is begun while leadership is handed over") {
  HandoverTest it;
  const SessionRef before = it.node->open_session();
  it.send(before, {"SET", "k", "1"});
  it.turn();
  it.send(it.session, {"TRANSFER", "id2"});
  const SessionRef other = it.node->open_session();
  it.send(other, {"LEAVE", "id3"});
  it.turn();
  CHECK_FALSE(it.node->members().is_joint());
  it.peers.exchange();
  it.turn();
  CHECK_FALSE(it.node->members().is_joint());
  CHECK(it.node->members().members.size() == 3);
  it.lose_leadership_to(2);
  CHECK(it.take(it.session) == "+OK\r\n");
  REQUIRE(it.network.forwards.size() == 1);
  CHECK(FollowerUnderTest::words(it.network.forwards[0]) == "LEAVE id3");
}

TEST_CASE("TRANSFER says who leads if another one won") {
  HandoverTest it;
  it.send(it.session, {"TRANSFER", "id2"});
  it.turn();
  it.lose_leadership_to(3);
  CHECK(it.take(it.session) == "-ERR id3 leads, not id2\r\n");
}

TEST_CASE("what was proposed before is answered before leadership goes, and what comes after it is refused as not done") {
  HandoverTest it;
  it.peers.answering = {};
  const SessionRef before = it.node->open_session();
  it.send(before, {"SET", "k", "1"});
  it.finish_all_disk();
  it.send(it.session, {"TRANSFER", "id3"});
  const SessionRef after = it.node->open_session();
  it.send(after, {"SET", "k", "2"});
  it.finish_all_disk();
  CHECK(asked_to_lead(it) == raft::kNobody);
  it.peers.answering = {2, 3};
  it.peers.ticks(12);
  CHECK(it.take(before) == "+OK\r\n");
  CHECK(after->output().empty());
  it.lose_leadership_to(3);
  CHECK(it.take(it.session) == "+OK\r\n");
  CHECK(it.take(after) == "-not leader\r\n");
}

TEST_CASE("what comes while leadership is handed over goes to the next leader with follower-writes forward, in its order") {
  HandoverTest it;
  it.options.follower_writes = FollowerWrites::kForward;
  it.send(it.session, {"TRANSFER", "id3"});
  const SessionRef client = it.node->open_session();
  it.send(client, {"SET", "k", "1"});
  it.send(client, {"GET", "k"});
  it.send(client, {"SET", "k", "2"});
  it.turn();
  CHECK(client->output().empty());
  it.lose_leadership_to(3);
  CHECK(it.take(it.session) == "+OK\r\n");
  it.send(client, {"SET", "k", "3"});   // It came later, and stays behind.
  it.turn();
  REQUIRE(it.network.forwards.size() == 1);
  CHECK(it.network.forwards[0].to == 3);
  CHECK(FollowerUnderTest::words(it.network.forwards[0]) == "SET k 1");
  CHECK(client->output().empty());
  const peer::Forward forward = it.network.forwards[0];
  peer::ForwardReply reply = FollowerUnderTest::reply_to(forward);
  reply.answers = {{.number = 1, .taken = true, .reply = "+OK\r\n"}};
  it.node->on_forward_reply(reply);
  it.turn();
  CHECK(it.take(client) == "+OK\r\n");
  // The others wait for the read between them.
  CHECK(it.network.forwards.size() == 1);
}

TEST_CASE("what is forwarded before what waited is given away stays behind it") {
  HandoverTest it;
  it.options.follower_writes = FollowerWrites::kForward;
  it.send(it.session, {"TRANSFER", "id3"});
  const SessionRef client = it.node->open_session();
  it.send(client, {"SET", "k", "1"});
  it.turn();
  it.node->on_message(heartbeat_of(3, it.node->raft().term() + 1));
  it.send(client, {"SET", "k", "2"});   // In the turn in which another one leads.
  it.finish_all_disk();
  REQUIRE(it.network.forwards.size() == 1);
  CHECK(FollowerUnderTest::words(it.network.forwards[0]) == "SET k 1; SET k 2");
}

TEST_CASE("what comes while leadership is handed over hears where to go with follower-writes redirect") {
  HandoverTest it;
  it.options.follower_writes = FollowerWrites::kRedirect;
  it.send(it.session, {"TRANSFER", "id3"});
  const SessionRef client = it.node->open_session();
  it.send(client, {"SET", "foo", "1"});
  it.turn();
  it.lose_leadership_to(3);
  CHECK(it.take(client) == "-MOVED 12182 10.0.0.3:5379\r\n");
}

TEST_CASE("what gathered for the next entry when leadership was lost goes, or is told to go, to the next leader") {
  for (const FollowerWrites mode : {FollowerWrites::kError, FollowerWrites::kRedirect, FollowerWrites::kForward}) {
    HandoverTest it;
    it.options.follower_writes = mode;
    const SessionRef client = it.node->open_session();
    it.send(client, {"SET", "foo", "1"});
    it.turn();
    REQUIRE(it.disk.busy());
    it.send(client, {"SET", "foo", "2"});
    const SessionRef other = it.node->open_session();
    it.send(other, {"SET", "bar", "3"});
    it.turn();
    REQUIRE_FALSE(it.node->raft().last().index > 3);
    it.lose_leadership_to(2);
    CHECK(it.take(other) == (mode == FollowerWrites::kError      ? "-not leader\r\n"
                             : mode == FollowerWrites::kRedirect ? "-MOVED 5061 10.0.0.2:5379\r\n"
                                                                 : ""));
    const std::string first = "-UNKNOWN outcome: this node lost leadership before the write was committed\r\n";
    CHECK(it.take(client) == first + (mode == FollowerWrites::kError      ? "-not leader\r\n"
                                      : mode == FollowerWrites::kRedirect ? "-MOVED 12182 10.0.0.2:5379\r\n"
                                                                          : ""));
    REQUIRE(it.network.forwards.size() == (mode == FollowerWrites::kForward ? 1 : 0));
    if (mode == FollowerWrites::kForward) CHECK(FollowerUnderTest::words(it.network.forwards[0]) == "SET foo 2; SET bar 3");
  }
}

TEST_CASE("what was to be forwarded is done here, in its order, if this node leads again before it left") {
  HandoverTest it;
  it.options.follower_writes = FollowerWrites::kForward;
  it.send(it.session, {"TRANSFER", "id3"});
  const SessionRef client = it.node->open_session();
  it.send(client, {"INCR", "k"});
  it.turn();
  it.network.forwards_leave = false;
  it.lose_leadership_to(3);
  it.send(client, {"INCR", "k"});
  it.turn();
  it.peers.elect();
  it.peers.ticks(5);
  CHECK(it.take(client) == ":1\r\n:2\r\n");
}

TEST_CASE("nobody is asked to lead before this node has committed what it proposed, however far the others are") {
  HandoverTest it;
  const SessionRef before = it.node->open_session();
  it.send(before, {"SET", "k", "1"});
  it.turn();
  REQUIRE(it.disk.busy());
  raft::AppendEntriesReply reply{.accepted = true,
                                 .match = it.node->raft().last().index,
                                 .previous_index = it.node->raft().last().index - 1,
                                 .hint = {},
                                 .read_counter = 0};
  it.node->on_message({.from = 3, .to = 1, .term = it.node->raft().term(), .body = reply});
  it.send(it.session, {"TRANSFER", "id3"});
  it.turn();
  CHECK(asked_to_lead(it) == raft::kNobody);
  it.finish_all_disk();
  CHECK(it.take(before) == "+OK\r\n");
  CHECK(asked_to_lead(it) == 3);
}

TEST_CASE("what waits for a hand-over is refused at once when the disk turns out to be full") {
  HandoverTest it;
  const SessionRef other = it.node->open_session();
  it.send(it.session, {"SET", "k", "1"});
  it.turn();
  REQUIRE(it.disk.busy());
  it.send(other, {"TRANSFER", "id3"});
  it.turn();
  const SessionRef held = it.node->open_session();
  it.send(held, {"SET", "k", "2"});
  it.turn();
  CHECK(held->output().empty());
  it.finish_disk(storage::WriteResult::kFull);
  CHECK(it.take(held).starts_with("-MISCONF "));
}

TEST_CASE("a TRANSFER while writes cannot be committed is given up, and they are not disturbed") {
  HandoverTest it;
  it.peers.accept_entries = false;
  const SessionRef before = it.node->open_session();
  it.send(before, {"SET", "k", "1"});
  it.finish_all_disk();
  it.send(it.session, {"TRANSFER", "id3"});
  it.peers.ticks(ticks_in(it.options.election_timeout_ms) + 2);
  CHECK(it.take(it.session) == "-ERR the writes under way were not committed in time; this node leads on\r\n");
  CHECK(it.node->raft().role() == raft::Role::kLeader);
  it.peers.accept_entries = true;
  it.peers.ticks(100);
  CHECK(it.take(before) == "+OK\r\n");
}

TEST_CASE("a TRANSFER of a leader that loses its majority before it could begin says that it did not happen") {
  HandoverTest it;
  it.peers.answering = {};
  const SessionRef before = it.node->open_session();
  it.send(before, {"SET", "k", "1"});
  it.peers.ticks(ticks_in(it.options.election_timeout_ms) / 2);
  it.send(it.session, {"TRANSFER", "id3"});
  it.peers.ticks(ticks_in(it.options.election_timeout_ms));
  CHECK(it.take(it.session) == "-ERR this node lost its leadership before it could hand it over\r\n");
}

TEST_CASE("a TRANSFER of a leader that loses its majority under way ends then: nobody may be there to lead at all") {
  HandoverTest it;
  it.send(it.session, {"TRANSFER", "id3"});
  it.turn();
  CHECK(asked_to_lead(it) == 3);
  it.peers.answering = {};
  it.peers.ticks(2 * ticks_in(it.options.election_timeout_ms));
  CHECK(it.take(it.session) == "-UNKNOWN outcome: this node lost its majority meanwhile; id3 leads as soon as a majority elects it\r\n");
}

TEST_CASE("a leader that is shut down after all others does not wait for one of them to lead") {
  HandoverTest it;
  it.peers.answering = {};
  bool ended = false;
  it.node->begin_shutdown([&ended] { ended = true; });
  it.turn();
  CHECK(asked_to_lead(it) != raft::kNobody);
  it.peers.ticks(2 * ticks_in(it.options.election_timeout_ms));
  REQUIRE(it.keys.busy());
  it.keys.finish(base::Status::ok());
  CHECK(ended);
}

// --- LEAVE of the leader -----------------------------------------------------------------------------------

struct Forwarded {
  std::vector<std::string> arguments;
  std::function<void(std::string)> done;
};

TEST_CASE("LEAVE of the leader hands over, and has the new leader remove it") {
  HandoverTest it;
  std::vector<Forwarded> forwarded;
  it.node->membership().forward_to_leader = [&](const std::vector<std::string>& arguments,
                                                     std::function<void(std::string)> done) {
    forwarded.push_back({.arguments = arguments, .done = std::move(done)});
  };
  it.send(it.session, {"LEAVE", "id1"});
  it.turn();
  CHECK(asked_to_lead(it) == raft::kNobody);   // Who is left is asked first whether it lives.
  it.peers.answer();
  it.turn();
  CHECK(asked_to_lead(it) != raft::kNobody);
  CHECK(forwarded.empty());
  it.lose_leadership_to(asked_to_lead(it));
  REQUIRE(forwarded.size() == 1);
  CHECK(forwarded[0].arguments == std::vector<std::string>{"LEAVE", "id1"});
  CHECK(it.session->output().empty());
  SUBCASE("done") {
    forwarded[0].done("");
    CHECK(it.take(it.session) == "+OK\r\n");
  }
  SUBCASE("refused there") {
    forwarded[0].done("ERR refused: no");
    CHECK(it.take(it.session) == "-ERR refused: no\r\n");
  }
  SUBCASE("seen here before the answer came") {
    raft::Configuration rest = it.node->members();
    rest.members.erase(rest.members.begin());
    raft::Message append = heartbeat_of(2, it.node->raft().term());
    auto& body = std::get<raft::AppendEntries>(append.body);
    append.from = it.node->raft().leader();
    body.previous = it.node->raft().last();
    body.entries.push_back({.id = {.term = append.term, .index = body.previous.index + 1},
                            .kind = raft::EntryKind::kConfiguration,
                            .payload = std::make_shared<const std::string>(raft::encode_configuration(rest))});
    body.leader_commit = body.entries.back().id.index;
    it.node->on_message(append);
    it.finish_all_disk();
    CHECK(it.take(it.session) == "+OK\r\n");
    forwarded[0].done("UNKNOWN outcome: the link broke");
    CHECK(it.session->output().empty());
  }
}

TEST_CASE("behind a LEAVE of the leader no change is begun: the new leader is asked for it, and for the rest, in their order") {
  HandoverTest it;
  const SessionRef next = it.node->open_session();
  const SessionRef last = it.node->open_session();
  it.send(it.session, {"LEAVE", "id1"});
  it.send(next, {"LEAVE", "id2", "FORCE"});   // Which asks nobody before it begins.
  it.send(last, {"JOIN", "10.0.0.9:15379", "id9"});
  it.peers.exchange();
  it.turn();
  CHECK(asked_to_lead(it) == raft::kNobody);   // peers.exchange() took the message.
  CHECK(it.node->raft().transferring_to() != raft::kNobody);
  CHECK(it.node->members().members.size() == 3);
  CHECK_FALSE(it.node->members().is_joint());
  it.lose_leadership_to(3);
  REQUIRE(it.network.forwards.size() == 1);
  CHECK(FollowerUnderTest::words(it.network.forwards[0]) == "LEAVE id1; LEAVE id2 FORCE; JOIN 10.0.0.9:15379 id9");
  for (const SessionRef& session : {it.session, next, last}) CHECK(session->output().empty());
}

TEST_CASE("a second LEAVE of the leader takes nothing from the first one: both are answered") {
  HandoverTest it;
  const SessionRef second = it.node->open_session();
  it.send(it.session, {"LEAVE", "id1"});
  it.send(second, {"LEAVE", "id1", "FORCE"});
  it.peers.exchange();
  it.turn();
  it.lose_leadership_to(3);
  REQUIRE(it.network.forwards.size() == 1);
  CHECK(FollowerUnderTest::words(it.network.forwards[0]) == "LEAVE id1; LEAVE id1 FORCE");
  peer::ForwardReply reply = FollowerUnderTest::reply_to(it.network.forwards[0]);
  reply.answers = {{.number = 1, .taken = true, .reply = "+OK\r\n"}, {.number = 2, .taken = true, .reply = "-ERR gone\r\n"}};
  it.node->on_forward_reply(reply);
  it.turn();
  CHECK(it.take(it.session) == "+OK\r\n");
  CHECK(it.take(second) == "-ERR gone\r\n");
}

// The leader was asked to leave, and has told another node to take over.
struct LeavingLeader : HandoverTest {
  LeavingLeader() {
    send(session, {"LEAVE", "id1"});
    turn();
    peers.answer();
    turn();
    successor = asked_to_lead(*this);
    REQUIRE(successor != raft::kNobody);
  }
  // As when those whose votes it needs started less than an election timeout ago (D18).
  void successor_campaigns_in_vain() {
    const raft::Raft& raft = node->raft();
    const raft::RequestVote request{.pre_vote = false, .transfer = true, .last = raft.last()};
    node->on_message({.from = successor, .to = 1, .term = raft.term() + 1, .body = request});
    finish_all_disk();
    REQUIRE(raft.role() == raft::Role::kFollower);
    REQUIRE(raft.leader() == raft::kNobody);
  }
  // Until it has told another node again to take over.
  void lead_again() {
    peers.elect();
    peers.ticks(2);
  }
  // Of the node's own LEAVE; it is the only request that was forwarded.
  void new_leader_answers(const std::string& text) {
    REQUIRE(network.forwards.size() == 1);
    CHECK(FollowerUnderTest::words(network.forwards[0]) == "LEAVE id1");
    peer::ForwardReply reply = FollowerUnderTest::reply_to(network.forwards[0]);
    reply.answers = {{.number = 1, .taken = true, .reply = text}};
    node->on_forward_reply(reply);
    turn();
  }

  raft::NodeId successor = raft::kNobody;
};

TEST_CASE("LEAVE of the leader is tried again if who was to take over did not win, and this node leads again") {
  LeavingLeader it;
  it.successor_campaigns_in_vain();
  it.lead_again();
  CHECK(it.take(it.session) == "");
  CHECK(it.node->raft().transferring_to() != raft::kNobody);
  it.lose_leadership_to(it.successor);
  it.new_leader_answers("+OK\r\n");
  CHECK(it.take(it.session) == "+OK\r\n");
}

TEST_CASE("LEAVE of the leader is tried again if another one led, and this node does again before it could ask that one") {
  LeavingLeader it;
  it.network.forwards_leave = false;
  it.lose_leadership_to(it.successor);
  it.lead_again();
  CHECK(it.take(it.session) == "");
  CHECK(it.node->raft().transferring_to() != raft::kNobody);
  it.network.forwards_leave = true;
  it.lose_leadership_to(it.successor);
  it.new_leader_answers("+OK\r\n");
  CHECK(it.take(it.session) == "+OK\r\n");
}

TEST_CASE("a LEAVE of the leader that is tried again stays before what came after it") {
  LeavingLeader it;
  const SessionRef next = it.node->open_session();
  it.send(next, {"LEAVE", "id2", "FORCE"});   // Which asks nobody before it begins.
  it.successor_campaigns_in_vain();
  it.lead_again();
  CHECK_FALSE(it.node->members().is_joint());
  CHECK(it.node->raft().transferring_to() != raft::kNobody);
  it.lose_leadership_to(3);
  REQUIRE(it.network.forwards.size() == 1);
  CHECK(FollowerUnderTest::words(it.network.forwards[0]) == "LEAVE id1; LEAVE id2 FORCE");
  for (const SessionRef& session : {it.session, next}) CHECK(session->output().empty());
}

TEST_CASE("a LEAVE of the leader that is to be tried again goes to who is elected before that") {
  LeavingLeader it;
  it.successor_campaigns_in_vain();
  it.peers.accept_appends = false;
  it.peers.elect();
  REQUIRE_FALSE(it.node->raft().leads_and_committed_in_term());
  it.lose_leadership_to(2);
  CHECK(it.take(it.session) == "");
  it.new_leader_answers("+OK\r\n");
  CHECK(it.take(it.session) == "+OK\r\n");
}

TEST_CASE("LEAVE of the leader is not tried beyond request-timeout: this node leads on") {
  LeavingLeader it;
  it.successor_campaigns_in_vain();
  SUBCASE("nobody else ever wins") {
    for (uint64_t trial = 0; trial * it.options.election_timeout_ms < it.options.request_timeout_ms; ++trial) {
      it.lead_again();
      if (it.node->raft().transferring_to() != raft::kNobody) it.successor_campaigns_in_vain();
    }
    CHECK(it.take(it.session) == "-UNKNOWN outcome: not finished within request-timeout\r\n");
  }
  SUBCASE("nothing is committed any more") {
    it.peers.accept_appends = false;
    it.peers.elect();
    it.peers.accept_appends = true;
    it.peers.accept_entries = false;
    it.peers.ticks(ticks_in(it.options.request_timeout_ms));
    CHECK(it.take(it.session) ==
          "-ERR the members are as they were: the change could not begin within request-timeout\r\n");
    it.peers.accept_entries = true;
  }
  it.lead_again();
  it.peers.ticks(ticks_in(2 * it.options.election_timeout_ms));
  CHECK(it.node->raft().role() == raft::Role::kLeader);
  CHECK(it.node->raft().transferring_to() == raft::kNobody);
  CHECK(it.node->members().members.size() == 3);
  CHECK(it.session->output().empty());
}

TEST_CASE("LEAVE of the leader whose successor does not stand for election is refused, and this node leads on") {
  LeavingLeader it;
  it.peers.ticks(ticks_in(it.options.election_timeout_ms));
  // Nobody was asked to remove it, whether that one is elected yet or not.
  CHECK(it.take(it.session) == "-ERR the members are as they were: nobody took over within an election timeout; this node leads on\r\n");
  CHECK(it.node->raft().role() == raft::Role::kLeader);
}

TEST_CASE("LEAVE of the leader of two voters, of which the other is dead, does not happen") {
  NodeUnderTest test(2);
  FakePeers peers(test, {2});
  peers.elect();
  test.node->membership().forward_to_leader = [](const auto&, const auto&) { FAIL("it was forwarded"); };
  const SessionRef session = test.node->open_session();
  peers.ticks(ticks_in(test.options.election_timeout_ms));
  peers.answering = {};
  peers.ticks(ticks_in(test.options.election_timeout_ms) - 2);
  test.send(session, {"LEAVE", "id1"});
  peers.ticks(1);
  CHECK(test.take(session) == "-ERR refused: the members that are left and answer would be no majority\r\n");
  CHECK(test.node->members().members.size() == 2);
  peers.ticks(ticks_in(test.options.election_timeout_ms));
  test.send(session, {"LEAVE", "id1"});
  peers.ticks(ticks_in(test.options.request_timeout_ms + 200));
  CHECK(test.take(session) == "-CLUSTERDOWN no leader\r\n");
}

TEST_CASE("LEAVE of the leader is refused if those that are left would be no majority") {
  HandoverTest it;
  it.node->membership().forward_to_leader = [](const auto&, const auto&) { FAIL("it was forwarded"); };
  it.peers.answering = {2};
  it.peers.ticks(ticks_in(it.options.election_timeout_ms) + 5);
  it.send(it.session, {"LEAVE", "id1"});
  it.turn();
  CHECK(it.take(it.session) == "-ERR refused: the members that are left and answer would be no majority\r\n");
  CHECK(asked_to_lead(it) == raft::kNobody);
}

}  // namespace
}  // namespace leto::server::test
