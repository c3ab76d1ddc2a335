#include "server/peers.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "peer/handshake.h"
#include "tests/server/loop_fixture.h"

namespace leto::server {
namespace {

using test::TestClient;
using test::wait_for_condition;

const std::string kCluster(16, 'c');
const std::string kSecret(32, 's');

// One node's peer side: a port, a Peers, and what it was told.
struct TestPeer {
  TestPeer(Loop& owner, raft::NodeId node, const std::string& secret = kSecret) : loop(owner) {
    identity = {.id = "id" + std::to_string(node), .node = node, .cluster_id = kCluster, .cluster_secret = secret};
    open(0);
  }
  void open(uint16_t wanted) {
    listener = std::make_unique<Listener>(loop);
    REQUIRE(listener->bind_tcp({.host = "127.0.0.1", .port = wanted}, "raftbind").is_ok());
    port = listener->port();
    options.raftbind = {.host = "127.0.0.1", .port = port};
    peers = std::make_unique<Peers>(loop, options, PeersSelf{.identity = identity, .raft_address = address(),
                                                             .client_address = "127.0.0.1:1"});
    peers->set_hooks({.message = [this](const raft::Message& message) { received.push_back(message); },
                      .part = [this](raft::NodeId from, raft::Term term) { parts.emplace_back(from, term); },
                      .forward = [this](const peer::Forward& forward) { forwards.push_back(forward); },
                      .forward_reply = [this](const peer::ForwardReply& reply) { forward_replies.push_back(reply); },
                      .unreachable = [this](raft::NodeId) { ++unreachable; },
                      .silenced = [this](raft::NodeId node) { silenced.insert(node); },
                      .may_be_adopted = [this] { return adoptable; },
                      .adopt =
                          [this](const peer::Adopt& adoption) {
                            adopted_into = adoption.cluster;
                            return adoption_answer.empty() ? base::Status::ok() : base::Status::error(adoption_answer);
                          },
                      .removed = [this](const std::string&) { ++removals; },
                      .knows_members = [this] { return knows_members; },
                      .was_member = [this] { return was_member; },
                      .moved = [this](const raft::Member& told) { moved[told.node] = told; },
                      .stats = &stats});
    REQUIRE(listener->listen(16, [this](uv_stream_t* stream, StreamKind kind) { peers->accept(stream, kind); }).is_ok());
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port); }
  raft::Member member() const {
    return {.node = identity.node, .id = identity.id, .raft_address = address(), .client_address = ""};
  }
  void vote_request(raft::NodeId to, raft::Term term) {
    peers->send({.from = identity.node, .to = to, .term = term, .body = raft::RequestVote{}});
  }

  Loop& loop;
  Options options;
  storage::Identity identity;
  Stats stats;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Peers> peers;
  uint16_t port = 0;
  bool adoptable = false, knows_members = false, was_member = false;
  std::string adoption_answer;
  std::string adopted_into;
  std::vector<raft::Message> received;
  std::vector<std::pair<raft::NodeId, raft::Term>> parts;   // Of messages that were not whole yet.
  std::vector<peer::Forward> forwards;
  std::vector<peer::ForwardReply> forward_replies;
  int unreachable = 0;
  std::set<raft::NodeId> silenced;
  int removals = 0;
  std::map<raft::NodeId, raft::Member> moved;
};

// A loop with any number of nodes; their turns and ticks.
struct Nodes {
  Nodes() {
    base::set_log_sink([](base::LogLevel, std::string_view) {});
    loop.start({.turn =
                    [this] {
                      for (TestPeer* each : all) each->peers->on_turn_end();
                    },
                .tick =
                    [this] {
                      for (TestPeer* each : all) each->peers->on_tick();
                    }});
  }
  ~Nodes() {
    loop.end_turns();
    base::set_log_sink(nullptr);
  }
  TestPeer& add(raft::NodeId node, const std::string& secret = kSecret) {
    kept.push_back(std::make_unique<TestPeer>(loop, node, secret));
    all.push_back(kept.back().get());
    return *kept.back();
  }
  void introduce(const std::vector<TestPeer*>& members) {
    raft::Configuration configuration;
    for (const TestPeer* each : members) configuration.members.push_back(each->member());
    for (TestPeer* each : members) each->peers->set_members(configuration, configuration);
  }
  template <typename Condition>
  bool wait(Condition condition) {
    return wait_for_condition(loop, condition);
  }
  Loop loop;
  std::vector<std::unique_ptr<TestPeer>> kept;
  std::vector<TestPeer*> all;
};

raft::Message append(raft::NodeId from, raft::NodeId to, size_t bytes) {
  raft::AppendEntries body;
  body.entries.push_back({.id = {.term = 1, .index = 1},
                          .kind = raft::EntryKind::kCommands,
                          .payload = std::make_shared<const std::string>(bytes, 'x')});
  return {.from = from, .to = to, .term = 1, .body = std::move(body)};
}

TEST_CASE("members connect, and a message arrives as it was sent") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  REQUIRE(nodes.wait([&] { return one.peers->connected_to(2) && two.peers->connected_to(1); }));
  one.vote_request(2, 7);
  REQUIRE(nodes.wait([&] { return !two.received.empty(); }));
  CHECK(two.received[0].from == 1);
  CHECK(two.received[0].term == 7);
  CHECK(std::holds_alternative<raft::RequestVote>(two.received[0].body));
  CHECK(one.received.empty());
  CHECK(one.stats.peer_messages_sent == 1);
  CHECK(two.stats.peer_messages_received == 1);
}

TEST_CASE("a message that is sent while the peer is being dialed is not lost") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  one.vote_request(2, 3);
  REQUIRE(nodes.wait([&] { return !two.received.empty(); }));
  CHECK(one.stats.peer_messages_dropped == 0);
}

peer::Forward forward_of(size_t bytes) {
  return {.from = 1, .to = 2, .term = 1, .life = 5, .stream = 1, .first = 1,
          .requests = {{.resp3 = false, .commands = {{.database = 0, .arguments = {"SET", "k", std::string(bytes, 'x')}}}}}};
}

peer::ForwardReply reply_to(raft::NodeId node) {
  return {.from = 3 - node, .to = node, .term = 1, .life = 5, .stream = 1, .applied = 9, .closed_from = 0,
          .answers = {{.number = 1, .taken = true, .reply = "+OK\r\n"}}};
}

TEST_CASE("forwarded requests and their answers arrive, small and large") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  // Nothing is kept for a connection that is not there yet.
  CHECK_FALSE(one.peers->send_forward(forward_of(1)));
  const peer::Forward large = forward_of(9 << 20);
  REQUIRE(nodes.wait([&] { return one.peers->send_forward(large); }));
  CHECK(one.peers->send_forward(forward_of(100)));
  REQUIRE(nodes.wait([&] { return two.forwards.size() == 2; }));
  // The small one does not wait for the large one.
  CHECK(two.forwards[0] == forward_of(100));
  CHECK(two.forwards[1] == large);
  const peer::ForwardReply reply{.from = 2, .to = 1, .term = 1, .life = 5, .stream = 1, .applied = 9, .closed_from = 0,
                                 .answers = {{.number = 1, .taken = true, .reply = "+OK\r\n"}}};
  REQUIRE(nodes.wait([&] { return two.peers->connected_to(1); }));
  nodes.wait([&] {
    if (one.forward_replies.empty()) two.peers->send_forward_reply(reply);
    return !one.forward_replies.empty();
  });
  REQUIRE(!one.forward_replies.empty());
  CHECK(one.forward_replies[0] == reply);
}

TEST_CASE("an entry of some megabytes travels in parts and arrives whole") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  one.peers->send(append(1, 2, 9 << 20));
  one.peers->send(append(1, 2, 100));
  REQUIRE(nodes.wait([&] { return two.received.size() == 2; }));
  CHECK(*std::get<raft::AppendEntries>(two.received[0].body).entries.at(0).payload == std::string(9 << 20, 'x'));
  // Its head is behind nine megabytes in pieces of 256 KiB; the last one made it whole.
  CHECK(two.parts == std::vector(36, std::pair<raft::NodeId, raft::Term>{1, two.received[0].term}));
  CHECK(std::get<raft::AppendEntries>(two.received[1].body).entries.at(0).size() == 100);
}

TEST_CASE("a chunk of a snapshot arrives whole, and no heartbeat waits behind many of them") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  constexpr size_t kChunks = 32;
  raft::InstallSnapshot chunk;
  chunk.size = raft::kSnapshotChunkBytesMax;
  chunk.data = std::make_shared<const std::string>(raft::kSnapshotChunkBytesMax, 'c');
  // Before it is known that the peer knows such frames none is sent.
  one.peers->send({.from = 1, .to = 2, .term = 3, .body = chunk});
  CHECK(one.stats.peer_messages_dropped == 1);
  REQUIRE(nodes.wait([&] { return one.peers->connected_to(2); }));
  for (size_t i = 0; i < kChunks; ++i) one.peers->send({.from = 1, .to = 2, .term = 3, .body = chunk});
  one.vote_request(2, 3);
  REQUIRE(nodes.wait([&] { return two.received.size() == kChunks + 1; }));
  // The vote came first or in between, so the last one is a chunk.
  REQUIRE(std::holds_alternative<raft::InstallSnapshot>(two.received.back().body));
  CHECK(*std::get<raft::InstallSnapshot>(two.received.back().body).data == *chunk.data);
}

TEST_CASE("what does not fit into the queue of a peer is dropped and told, not kept") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  constexpr size_t kEntry = 1 << 20;
  const size_t fit = PeerConnection::kBulkQueueBytesMax / kEntry;
  for (size_t sent = 0; sent < fit + 10; ++sent) one.peers->send(append(1, 2, kEntry));
  CHECK(one.stats.peer_messages_dropped >= 10);
  REQUIRE(nodes.wait([&] { return one.unreachable > 0 && two.received.size() == one.stats.peer_messages_sent; }));
  CHECK(two.received.size() < fit + 1);
}

TEST_CASE("a message to a node that is no member is dropped and told") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  one.vote_request(99, 1);
  CHECK(one.stats.peer_messages_dropped == 1);
  REQUIRE(nodes.wait([&] { return one.unreachable == 1; }));
}

TEST_CASE("nodes with different secrets do not come together") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2, std::string(32, 't'));
  nodes.introduce({&one, &two});
  one.vote_request(2, 1);
  REQUIRE(nodes.wait([&] { return one.unreachable > 0; }));
  CHECK_FALSE(one.peers->connected_to(2));
  CHECK(two.received.empty());
}

TEST_CASE("a peer that comes back is connected to again, and its break is told") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  REQUIRE(nodes.wait([&] { return one.peers->connected_to(2); }));
  const uint16_t port = two.port;
  two.peers->close_all();
  two.listener.reset();
  REQUIRE(nodes.wait([&] { return !one.peers->connected_to(2) && one.unreachable > 0; }));
  two.open(port);
  REQUIRE(nodes.wait([&] { return one.peers->connected_to(2); }));
  one.vote_request(2, 9);
  REQUIRE(nodes.wait([&] { return !two.received.empty(); }));
}

TEST_CASE("a node answers a leader that its own configuration does not have yet") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& fresh = nodes.add(2);
  raft::Configuration configuration;
  configuration.members = {leader.member(), fresh.member()};
  leader.peers->set_members(configuration, configuration);
  REQUIRE(nodes.wait([&] { return fresh.peers->connected_to(1); }));
  fresh.vote_request(1, 2);
  REQUIRE(nodes.wait([&] { return !leader.received.empty(); }));
}

TEST_CASE("a member that left is let go, but not before it could be told so") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  REQUIRE(nodes.wait([&] { return one.peers->connected_to(2) && two.peers->connected_to(1); }));
  raft::Configuration alone;
  alone.members = {one.member()};
  one.peers->set_members(alone, alone);
  CHECK(one.peers->connected_to(2));
  REQUIRE(nodes.wait([&] { return !one.peers->connected_to(2) && !two.peers->connected_to(1); }));
}

TEST_CASE("a node that the configuration does not have is told so by who knows it to be the newest, and by nobody else") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& follower = nodes.add(2);
  TestPeer& gone = nodes.add(3);
  leader.knows_members = true;
  raft::Configuration two;
  two.members = {leader.member(), follower.member()};
  leader.peers->set_members(two, two);
  follower.peers->set_members(two, two);
  two.members.push_back(gone.member());
  gone.peers->set_members(two, two);
  REQUIRE(nodes.wait([&] { return gone.removals > 0; }));
  REQUIRE(nodes.wait([&] { return gone.peers->connected_to(2); }));
  CHECK_FALSE(gone.peers->connected_to(1));
}

TEST_CASE("nobody is told that it was removed before that is committed, however well the configuration is known") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& leaver = nodes.add(2);
  leader.knows_members = true;
  raft::Configuration before, after;
  before.members = {leader.member(), leaver.member()};
  after.members = {leader.member()};
  leader.peers->set_members(after, before);
  leaver.peers->set_members(before, before);
  REQUIRE(nodes.wait([&] { return leaver.peers->connected_to(1); }));
  CHECK(leaver.removals == 0);
  leader.peers->set_members(after, after);
  REQUIRE(nodes.wait([&] { return leaver.removals > 0; }));
  CHECK_FALSE(leaver.peers->connected_to(1));
}

TEST_CASE("who was removed and goes on speaking over its old connection is let go, and is told when it dials again") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  REQUIRE(nodes.wait([&] { return one.peers->connected_to(2) && two.peers->connected_to(1); }));
  raft::Configuration alone;
  alone.members = {one.member()};
  one.peers->set_members(alone, alone);
  raft::Term term = 1;
  REQUIRE(nodes.wait([&] {
    if (two.peers->connected_to(1)) two.vote_request(1, ++term);
    return two.removals > 0;
  }));
}

TEST_CASE("a member that listens elsewhere than the configuration says is reached there, and it is told") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  raft::Configuration before;
  before.members = {one.member(), two.member()};
  before.members[1].raft_address = "127.0.0.1:1";
  for (raft::Member& member : before.members) member.client_address = "127.0.0.1:5379";
  one.peers->set_members(before, before);
  two.peers->set_members(before, before);
  REQUIRE(nodes.wait([&] { return one.peers->connected_to(2); }));
  one.vote_request(2, 7);
  REQUIRE(nodes.wait([&] { return !two.received.empty(); }));
  CHECK(one.moved.at(2).raft_address == two.address());
  CHECK(one.moved.at(2).id == "id2");
  // It knows that itself, too, and says nothing of others.
  CHECK(two.moved.at(2).raft_address == two.address());
  CHECK_FALSE(two.moved.contains(1));
}

TEST_CASE("a member that is at another address in the configuration stays connected, and nothing for it is lost") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  REQUIRE(nodes.wait([&] { return one.peers->connected_to(2) && two.peers->connected_to(1); }));
  raft::Configuration renamed;
  renamed.members = {one.member(), two.member()};
  renamed.members[1].raft_address = "localhost:" + std::to_string(two.port);
  one.peers->set_members(renamed, renamed);
  CHECK(one.peers->connected_to(2));
  const peer::ForwardReply reply = reply_to(2);
  one.peers->send_forward_reply(reply);
  REQUIRE(nodes.wait([&] { return !two.forward_replies.empty(); }));
  CHECK(two.forward_replies[0] == reply);
  CHECK(one.stats.peer_messages_dropped == 0);
  CHECK(two.silenced.empty());
  // When it breaks, it is dialed there.
  two.peers->close_all();
  REQUIRE(nodes.wait([&] { return !one.peers->connected_to(2); }));
  CHECK(nodes.wait([&] { return one.peers->connected_to(2); }));
}

TEST_CASE("a member that is not reached yet is dialed at the address that the configuration gives it now") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  raft::Configuration configuration;
  configuration.members = {one.member(), two.member()};
  configuration.members[1].raft_address = "127.0.0.1:1";
  one.peers->set_members(configuration, configuration);
  one.vote_request(2, 7);
  configuration.members[1].raft_address = two.address();
  one.peers->set_members(configuration, configuration);
  REQUIRE(nodes.wait([&] { return !two.received.empty(); }));
  CHECK(one.stats.peer_messages_dropped == 0);
}

TEST_CASE("a member whose id may not be one is dialed by its number alone") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  raft::Configuration configuration;
  configuration.members = {one.member(), two.member()};
  configuration.members[1].id = "x@y";
  one.peers->set_members(configuration, configuration);
  one.vote_request(2, 7);
  REQUIRE(nodes.wait([&] { return !two.received.empty(); }));
}

TEST_CASE("an answer to a forwarded request waits while the connection is being made, also after a break") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  one.peers->send_forward_reply(reply_to(2));
  REQUIRE(nodes.wait([&] { return two.forward_replies.size() == 1 && two.peers->connected_to(1); }));
  two.peers->close_all();
  REQUIRE(nodes.wait([&] { return !one.peers->connected_to(2); }));
  one.peers->send_forward_reply(reply_to(2));
  REQUIRE(nodes.wait([&] { return two.forward_replies.size() == 2; }));
  CHECK(one.stats.peer_messages_dropped == 0);
}

TEST_CASE("that a member's own connection broke is told: what it answered may be lost") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  nodes.introduce({&one, &two});
  one.vote_request(2, 1);
  REQUIRE(nodes.wait([&] { return !two.received.empty() && two.peers->connected_to(1); }));
  CHECK(two.silenced.empty());
  one.peers->set_members({}, {});
  REQUIRE(nodes.wait([&] { return two.silenced.contains(1); }));
}

TEST_CASE("a node that learns what it is called in the configuration says where it is to those it is connected to") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& fresh = nodes.add(2);
  raft::Configuration configuration;
  configuration.members = {leader.member(), fresh.member()};
  configuration.members[0].client_address = "127.0.0.1:5379";
  leader.peers->set_members(configuration, configuration);
  REQUIRE(nodes.wait([&] { return fresh.peers->connected_to(1) && leader.peers->connected_to(2); }));
  configuration.members[1].raft_address = "127.0.0.1:1";
  configuration.members[1].client_address = "127.0.0.1:5379";
  leader.peers->set_members(configuration, configuration);
  fresh.peers->set_members(configuration, configuration);
  REQUIRE(nodes.wait([&] { return leader.moved.contains(2); }));
  CHECK(leader.moved.at(2).raft_address == fresh.address());
  CHECK(leader.peers->connected_to(2));
}

base::Result<Network::Found> dial(Nodes& nodes, TestPeer& leader, Network::AdoptionWish wish) {
  std::optional<base::Result<Network::Found>> answer;
  leader.peers->adopt(std::move(wish), [&](base::Result<Network::Found> found) { answer = std::move(found); });
  CHECK_FALSE(answer.has_value());
  REQUIRE(nodes.wait([&] { return answer.has_value(); }));
  return std::move(*answer);
}

base::Result<Network::Found> adopt(Nodes& nodes, TestPeer& leader, TestPeer& joiner, raft::NodeId expected) {
  return dial(nodes, leader, {.raft_address = joiner.address(), .expected = expected, .id = joiner.identity.id});
}

base::Result<Network::Found> look_for(Nodes& nodes, TestPeer& leader, TestPeer& there) {
  return dial(nodes, leader, {.raft_address = there.address(), .id = there.identity.id, .takes_in = false});
}

// A node that is in no cluster and may be taken in.
TestPeer& add_homeless(Nodes& nodes, raft::NodeId node) {
  TestPeer& joiner = nodes.add(node);
  storage::Identity empty = joiner.identity;
  empty.cluster_id.clear();
  empty.cluster_secret.clear();
  joiner.peers->set_self({.identity = empty, .raft_address = joiner.address(), .client_address = "127.0.0.1:2"});
  joiner.adoptable = true;
  return joiner;
}

TEST_CASE("a node that is in no cluster is taken in, and told where") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& joiner = add_homeless(nodes, 2);
  base::Result<Network::Found> found = adopt(nodes, leader, joiner, 2);
  REQUIRE(found.is_ok());
  CHECK(found.value().member.node == 2);
  CHECK(found.value().member.id == "id2");
  CHECK(found.value().member.client_address == "127.0.0.1:2");
  CHECK(joiner.adopted_into == kCluster);
}

TEST_CASE("a node that is only to be found stays what it is") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& joiner = add_homeless(nodes, 2);
  base::Result<Network::Found> found = look_for(nodes, leader, joiner);
  REQUIRE(found.is_ok());
  CHECK(found.value().member.node == 2);
  CHECK(found.value().is_foreign);
  CHECK(joiner.adopted_into.empty());
  found = adopt(nodes, leader, joiner, 2);
  REQUIRE(found.is_ok());
  CHECK_FALSE(found.value().is_foreign);
  CHECK(joiner.adopted_into == kCluster);
  found = look_for(nodes, leader, nodes.add(3));
  REQUIRE(found.is_ok());
  CHECK_FALSE(found.value().is_foreign);
}

TEST_CASE("a node with a password is taken in only by a cluster that knows it, and all hear why it was not") {
  struct Case {
    std::string requirepass, join_password;
    bool taken;
  };
  const std::vector<Case> cases = {
      {"", "", false}, {"other", "", false}, {"secret", "", true}, {"other", "secret", true}, {"secret", "other", true}};
  const base::LogLevel usual_level = base::log_level();
  base::set_log_level(base::LogLevel::kNotice);
  for (const Case& each : cases) {
    Nodes nodes;
    std::vector<std::string> said;
    base::set_log_sink([&said](base::LogLevel, std::string_view text) { said.emplace_back(text); });
    TestPeer& leader = nodes.add(1);
    leader.options.requirepass = each.requirepass;
    leader.options.join_password = each.join_password;
    TestPeer& joiner = add_homeless(nodes, 2);
    joiner.options.requirepass = "own";
    joiner.options.join_password = "secret";
    const base::Result<Network::Found> found = adopt(nodes, leader, joiner, 2);
    base::set_log_sink(nullptr);
    CHECK(found.is_ok() == each.taken);
    CHECK(joiner.adopted_into == (each.taken ? kCluster : ""));
    CHECK(said.size() == (each.taken ? 0 : 2));
    for (const std::string& text : said) CHECK(text.find("id2 (uid 0000000000000002) has a") != std::string::npos);
  }
  base::set_log_level(usual_level);
}

TEST_CASE("a node is asked for the password that it joins with, which by default is its own") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& joiner = add_homeless(nodes, 2);
  joiner.options.requirepass = "secret";
  CHECK_FALSE(adopt(nodes, leader, joiner, 2).is_ok());
  leader.options.requirepass = "secret";
  CHECK(adopt(nodes, leader, joiner, 2).is_ok());
}

TEST_CASE("a node of this cluster is found without being taken in again") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& member = nodes.add(2);
  base::Result<Network::Found> found = adopt(nodes, leader, member, 2);
  REQUIRE(found.is_ok());
  CHECK_FALSE(found.value().was_member);
  CHECK(member.adopted_into.empty());
  member.was_member = true;
  found = adopt(nodes, leader, member, 2);
  REQUIRE(found.is_ok());
  CHECK(found.value().was_member);
}

TEST_CASE("a node that was a member of another cluster only is not said to have been one of this") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& founder = nodes.add(2);
  storage::Identity own = founder.identity;
  own.cluster_id = std::string(16, 'd');
  founder.peers->set_self({.identity = own, .raft_address = founder.address(), .client_address = ""});
  founder.adoptable = founder.was_member = true;
  base::Result<Network::Found> found = adopt(nodes, leader, founder, 2);
  REQUIRE(found.is_ok());
  CHECK_FALSE(found.value().was_member);
}

TEST_CASE("a leader that dials its own address is told that it is its own") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  const base::Result<Network::Found> found = adopt(nodes, leader, leader, raft::kNobody);
  REQUIRE_FALSE(found.is_ok());
  CHECK(found.status().text() == "that is the address of id1 itself, which leads");
}

TEST_CASE("nobody else is taken in: another node than expected, a member of another cluster, an unwilling one") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& other = nodes.add(2);
  CHECK_FALSE(adopt(nodes, leader, other, 3).is_ok());
  storage::Identity foreign = other.identity;
  foreign.cluster_id = std::string(16, 'd');
  other.peers->set_self({.identity = foreign, .raft_address = other.address(), .client_address = ""});
  base::Result<Network::Found> refused = adopt(nodes, leader, other, 2);
  REQUIRE_FALSE(refused.is_ok());
  CHECK(refused.status().text().find("member of another cluster") != std::string::npos);
  other.adoptable = true;
  other.adoption_answer = "busy, try again";
  base::Result<Network::Found> busy = adopt(nodes, leader, other, 2);
  REQUIRE_FALSE(busy.is_ok());
  CHECK(busy.status().text().find("busy, try again") != std::string::npos);
}

TEST_CASE("an address where nobody listens, or that is none, is answered with a reason") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& gone = nodes.add(2);
  gone.listener.reset();
  base::Result<Network::Found> silent = adopt(nodes, leader, gone, 2);
  REQUIRE(silent.is_ok());
  CHECK(silent.value().silence == "connection refused");
  std::string why;
  leader.peers->adopt({.raft_address = "nonsense", .id = "id2"}, [&](base::Result<Network::Found> found) { why = found.status().text(); });
  REQUIRE(nodes.wait([&] { return !why.empty(); }));
  CHECK(why == "'nonsense' is no address");
}

TEST_CASE("a client that took the peers' port for its own is told so in its own words") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  one.options.listen.port = 5379;
  TestClient client(nodes.loop, one.port);
  client.send("*1\r\n$4\r\nPING\r\n");
  CHECK(client.receives("-ERR this is the peers' port of id1; its clients' port is 5379\r\n"));
}

// Takes connections, and answers the first bytes of each with one text, or not at all.
class ForeignPort final : public test::TestPort {
 public:
  ForeignPort(Loop& loop, std::string given) : TestPort(loop), answer(std::move(given)) {}
  std::string answer;

 private:
  void on_bytes(std::string_view) override {
    if (!answer.empty()) stream_->write(answer);
  }
};

TEST_CASE("a clients' port that is dialed as a peers' port is known by its answer at once") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  ForeignPort port(nodes.loop, "-ERR Protocol error: this is the clients' port of id2; its peers' port is 15380\r\n");
  const base::Result<Network::Found> answer =
      dial(nodes, leader, {.raft_address = "127.0.0.1:" + std::to_string(port.port()), .id = "id2"});
  REQUIRE_FALSE(answer.is_ok());
  CHECK(answer.status().text() ==
        "that is no peers' port (raftbind), it answers as to a client: ERR Protocol error: this is the clients' port of id2; "
        "its peers' port is 15380");
}

TEST_CASE("bytes that are no frame close the connection") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestClient stranger(nodes.loop, one.port);
  stranger.send("GET / HTTP/1.1\r\nHost: here\r\n\r\n");
  CHECK(stranger.is_closed());
}

// A peer that is made by hand: proves itself to node `to` as `node`.
struct HandMade {
  HandMade(Nodes& nodes, const TestPeer& to, raft::NodeId node) : client(nodes.loop, to.port) {
    peer::Hello hello;
    hello.cluster = kCluster;
    hello.initiator = {.node = node, .id = "id" + std::to_string(node)};
    hello.expected = {.node = to.identity.node, .id = to.identity.id};
    hello.nonce.assign(peer::kNonceBytes, 'n');
    peer::Initiator initiator(std::move(hello), kSecret);
    peer::FrameReader frames;
    std::string bytes;
    initiator.start(bytes);
    client.send(bytes);
    const bool done = nodes.wait([&] {
      frames.feed(std::exchange(client.received, {}));
      std::string answer;
      for (peer::Frame frame; frames.next(frame);) initiator.on_frame(frame, answer);
      if (!answer.empty()) client.send(answer);
      return initiator.step() != peer::HandshakeStep::kGoOn;
    });
    REQUIRE(done);
    REQUIRE(initiator.step() == peer::HandshakeStep::kDone);
  }
  TestClient client;
};

TEST_CASE("a frame that does not come to an end closes its connection, and none that is between two frames") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  HandMade idle(nodes, one, 8);
  HandMade damaged(nodes, one, 9);
  std::string frame;
  peer::put_message(frame, peer::encode(raft::Message{.from = 9, .to = 1, .term = 7, .body = raft::RequestVote{}}));
  damaged.client.send(frame);
  REQUIRE(nodes.wait([&] { return one.received.size() == 1; }));
  // A flipped bit of its length: what follows is taken for the rest of it.
  frame[13] = static_cast<char>(frame[13] ^ 1);
  damaged.client.send(frame);
  CHECK(damaged.client.is_closed());
  CHECK_FALSE(idle.client.ended);
  CHECK(one.received.size() == 1);
}

TEST_CASE("who does not prove itself is disconnected within about a second; of too many the oldest goes at once") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  std::vector<std::unique_ptr<TestClient>> strangers;
  for (size_t number = 0; number <= Peers::kUnprovedMax; ++number) {
    strangers.push_back(std::make_unique<TestClient>(nodes.loop, one.port));
  }
  CHECK(strangers.front()->is_closed());   // For the last one: before its time is over.
  CHECK_FALSE(strangers[1]->ended);
  CHECK_FALSE(strangers.back()->ended);
  CHECK(strangers.back()->is_closed());
}

TEST_CASE("who holds as many connections as there is room for keeps no member out") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  std::vector<std::unique_ptr<TestClient>> strangers;
  const auto hold = [&] {
    for (TestPeer* each : {&one, &two}) strangers.push_back(std::make_unique<TestClient>(nodes.loop, each->port));
  };
  for (size_t number = 0; number < Peers::kUnprovedMax; ++number) hold();
  nodes.introduce({&one, &two});
  // Each turn of it opens another one.
  CHECK(nodes.wait([&] {
    hold();
    return one.peers->connected_to(2) && two.peers->connected_to(1);
  }));
}

TEST_CASE("a member says in the handshake what it can, and what it cannot is not known before") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  CHECK_FALSE(one.peers->abilities(2).known);
  nodes.introduce({&one, &two});
  REQUIRE(nodes.wait([&] { return one.peers->connected_to(2); }));
  const Network::Abilities abilities = one.peers->abilities(2);
  CHECK(abilities.known);
  CHECK(abilities.semantics == command::kSemanticsSupported);
  CHECK(abilities.features == peer::kFeatures);
}

TEST_CASE("frames that came later are sent only to who knows them") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  PeersSelf older = two.peers->self();
  older.features = 0;
  two.peers->set_self(older);
  nodes.introduce({&one, &two});
  REQUIRE(nodes.wait([&] { return one.peers->connected_to(2) && two.peers->connected_to(1); }));
  CHECK(one.peers->abilities(2).features == 0);
  raft::InstallSnapshot asks;
  asks.data = std::make_shared<const std::string>();
  one.peers->send({.from = 1, .to = 2, .term = 3, .body = asks});
  one.peers->send({.from = 1, .to = 2, .term = 3, .body = raft::InstallSnapshotReply{}});
  CHECK_FALSE(one.peers->send_forward(forward_of(1)));
  CHECK(one.stats.peer_messages_dropped == 2);
  one.vote_request(2, 3);
  REQUIRE(nodes.wait([&] { return !two.received.empty(); }));
  CHECK(std::holds_alternative<raft::RequestVote>(two.received[0].body));
  CHECK(two.forwards.empty());
}

TEST_CASE("a cluster at a higher semantics level refuses a member that does not reach it, and takes it once it does") {
  Nodes nodes;
  TestPeer& one = nodes.add(1);
  TestPeer& two = nodes.add(2);
  one.peers->set_semantics_level(2);
  nodes.introduce({&one, &two});
  nodes.wait([&, until = nodes.loop.now_ms() + 200] { return nodes.loop.now_ms() > until; });
  CHECK_FALSE(one.peers->connected_to(2));
  CHECK_FALSE(two.peers->connected_to(1));
  one.peers->set_semantics_level(1);
  CHECK(nodes.wait([&] { return one.peers->connected_to(2) && two.peers->connected_to(1); }));
}

TEST_CASE("a node that does not reach the cluster's semantics level is not taken in") {
  Nodes nodes;
  TestPeer& leader = nodes.add(1);
  TestPeer& joiner = add_homeless(nodes, 2);
  leader.peers->set_semantics_level(2);
  const base::Result<Network::Found> found = adopt(nodes, leader, joiner, 2);
  REQUIRE_FALSE(found.is_ok());
  CHECK(found.status().text() ==
        "id2 (uid 0000000000000002) supports semantics up to level 1, the cluster is at level 2; upgrade id2");
  CHECK(joiner.adopted_into.empty());
}

}  // namespace
}  // namespace leto::server
