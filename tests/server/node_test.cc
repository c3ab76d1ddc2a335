// A node's life: what it starts from, when it may be taken into another cluster, when it counts as removed, and
// to whom it hands over.
#include "server/node.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/log.h"
#include "fake_environment.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

TEST_CASE("a node whose log ends before what it applied starts, answers, and neither votes nor campaigns") {
  NodeStart start = NodeUnderTest::start_of(3);
  start.header.applied_index = 5;
  NodeUnderTest test(std::move(start));
  test.ticks(300);
  CHECK(test.network.sent.empty());
  CHECK(test.node->raft().role() == raft::Role::kFollower);
  const SessionRef session = test.node->open_session();
  test.send(session, {"READONLY"});
  test.send(session, {"GET", "k"});
  CHECK(test.take(session) == "+OK\r\n$-1\r\n");
}

TEST_CASE("a founder without data may be taken into a cluster, one with data may not") {
  NodeStart start = NodeUnderTest::start_of(1);
  start.founding = true;
  NodeUnderTest test(std::move(start));
  CHECK(test.node->may_be_adopted());
  test.lead();
  CHECK(test.node->may_be_adopted());
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  CHECK(!test.node->may_be_adopted());
  test.finish_all_disk();
  CHECK(!test.node->may_be_adopted());
}

TEST_CASE("a founder that is to join another cluster takes no write, and so can be taken in") {
  NodeUnderTest test(NodeUnderTest::start_of(1));
  test.lead();
  test.node->refuse_writes_to_join();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.finish_all_disk();
  CHECK(test.take(session).starts_with("-CLUSTERDOWN joining "));
  CHECK(test.node->may_be_adopted());
}

TEST_CASE("a node that asks itself to take it in is told so, another one that asks it is told that it waits itself") {
  NodeStart start;
  start.identity = {.id = "id2", .node = 42, .cluster_id = "", .cluster_secret = ""};
  NodeUnderTest test(std::move(start));
  test.options.join = {.host = "there", .port = 5379};
  const SessionRef session = test.node->open_session();
  test.send(session, {"JOIN", "10.0.0.2:15379", "id2", "42", "10.0.0.2:5379"});
  CHECK(test.take(session) == "-ERR this is id2 itself, which is to join; -join names a node of the cluster\r\n");
  test.send(session, {"JOIN", "10.0.0.3:15379", "id3", "43", "10.0.0.3:5379"});
  CHECK(test.take(session) == "-CLUSTERDOWN joining there:5379\r\n");
}

TEST_CASE("a node that no configuration names yet goes by its id in the log, and its leader by what that said") {
  std::vector<std::string> said;
  const base::LogLevel usual_level = base::log_level();
  base::set_log_level(base::LogLevel::kNotice);
  base::set_log_sink([&said](base::LogLevel, std::string_view text) { said.emplace_back(text); });
  NodeStart start = NodeUnderTest::start_of(1);
  start.identity.node = 7;
  start.identity.id = "id7";
  start.recovered = {};
  start.header = {};
  NodeUnderTest test(std::move(start));
  test.network.ids[2] = "id2";
  raft::Message heartbeat = heartbeat_of(2, 1);
  heartbeat.to = 7;
  std::get<raft::AppendEntries>(heartbeat.body).previous = {};
  test.node->on_message(heartbeat);
  heartbeat.from = 3;
  heartbeat.term = 2;
  test.node->on_message(heartbeat);
  base::set_log_sink(nullptr);
  base::set_log_level(usual_level);
  REQUIRE(said.size() == 2);
  CHECK(said[0] == "raft: id7 is follower in term 1, leader id2: a leader appends");
  CHECK(said[1] == "raft: id7 is follower in term 2, leader 0000000000000003: a leader appends");
}

TEST_CASE("who had other members is no founder any more, whatever its directory says") {
  for (const size_t members : {1u, 3u}) {
    NodeStart start = NodeUnderTest::start_of(members);
    start.identity.founded = true;
    const NodeUnderTest test(std::move(start));
    CHECK(test.node->identity().founded == (members == 1));
  }
}

TEST_CASE("a node that has not yet replayed its log may not be taken into another cluster") {
  NodeStart start = NodeUnderTest::start_of(1);
  start.recovered.last.index = 2;   // Perhaps a write that was acknowledged.
  const NodeUnderTest test(std::move(start));
  CHECK(!test.node->may_be_adopted());
}

TEST_CASE("a member of a cluster may not be taken into another one") {
  const NodeUnderTest test(3);
  CHECK(!test.node->may_be_adopted());
}

TEST_CASE("a node that a newer configuration in its log makes a member was not removed") {
  NodeStart start = NodeUnderTest::start_of(1);
  start.identity.node = 2;
  start.identity.id = "id2";
  raft::Configuration both = start.recovered.configurations[0].configuration;
  both.members.push_back(NodeUnderTest::member_of(2));
  start.recovered.last.index = 2;
  start.recovered.configurations.push_back({.index = 2, .configuration = both});
  const NodeUnderTest test(std::move(start));
  CHECK(!test.node->removed());
}

// Of node 4: three took it in by its last entry, which it does not know to be committed.
NodeStart start_of_taken_in() {
  NodeStart start = NodeUnderTest::start_of(3);
  start.identity.node = 4;
  start.identity.id = "id4";
  raft::Configuration all = start.recovered.configurations[0].configuration;
  all.members.push_back(NodeUnderTest::member_of(4));
  start.recovered.last = {.term = 1, .index = 2};
  start.recovered.configurations.push_back({.index = 2, .configuration = all});
  return start;
}

raft::Message append_to_taken_in(raft::EntryId previous, std::vector<raft::Entry> entries) {
  raft::AppendEntries append{.previous = previous, .leader_commit = 2, .entries = std::move(entries)};
  return {.from = 2, .to = 4, .term = 2, .body = std::move(append)};
}

TEST_CASE("a node was a member by entries that are known to be committed alone") {
  NodeStart start = start_of_taken_in();
  bool committed = true;
  SUBCASE("of none it is known") { committed = false; }
  SUBCASE("its keys have it") { start.header.applied_index = 2; }
  SUBCASE("its witness does") { start.witness = {.index = 2, .term = 1}; }
  const NodeUnderTest test(std::move(start));
  CHECK(test.node->was_member() == committed);
  CHECK_FALSE(test.node->removed());
}

TEST_CASE("a node that was taken in by an entry that no majority had was never a member, and so was not removed") {
  NodeUnderTest test(start_of_taken_in());
  // The next leader has another entry there.
  const raft::Entry other{.id = {.term = 2, .index = 2},
                          .kind = raft::EntryKind::kNothing,
                          .payload = std::make_shared<const std::string>()};
  test.node->on_message(append_to_taken_in({.term = 1, .index = 1}, {other}));
  test.finish_all_disk();
  test.ticks(2);
  REQUIRE(test.node->raft().configuration().members.size() == 3);
  CHECK_FALSE(test.node->was_member());
  CHECK_FALSE(test.node->removed());
  CHECK_FALSE(test.keys.busy());
}

// The same node before it had that entry, and what makes it a member.
NodeStart start_before(raft::Entry& taken_in) {
  NodeStart start = start_of_taken_in();
  taken_in = {.id = {.term = 1, .index = 2},
              .kind = raft::EntryKind::kConfiguration,
              .payload = std::make_shared<const std::string>(
                  raft::encode_configuration(start.recovered.configurations.back().configuration))};
  start.recovered.configurations.pop_back();
  start.recovered.last.index = 1;
  return start;
}

TEST_CASE("a node that is a member from now on writes that behind at once, so that its next start knows") {
  raft::Entry taken_in;
  NodeUnderTest test(start_before(taken_in));
  test.node->on_message(append_to_taken_in({.term = 1, .index = 1}, {taken_in}));
  test.finish_all_disk();
  test.ticks(1);
  REQUIRE(test.node->was_member());
  CHECK(test.keys.busy());
}

TEST_CASE("a node that hears of its entry and of the one that removed it at once knows that it was removed") {
  raft::Entry taken_in;
  NodeStart start = start_before(taken_in);
  const raft::Entry removal{.id = {.term = 2, .index = 3},
                            .kind = raft::EntryKind::kConfiguration,
                            .payload = std::make_shared<const std::string>(
                                raft::encode_configuration(start.recovered.configurations[0].configuration))};
  NodeUnderTest test(std::move(start));
  raft::Message message = append_to_taken_in({.term = 1, .index = 1}, {taken_in, removal});
  std::get<raft::AppendEntries>(message.body).leader_commit = 3;
  test.node->on_message(message);
  test.finish_all_disk();
  test.ticks(1);
  REQUIRE(test.node->raft().applied_index() == 3);
  CHECK(test.node->was_member());
  CHECK(test.node->removed());
}

TEST_CASE("a node that knows its removal to be committed needs nobody to tell it, though its keys are of before") {
  NodeStart start = start_of_taken_in();
  const raft::Configuration three = NodeUnderTest::start_of(3).recovered.configurations[0].configuration;
  start.recovered.last.index = 3;
  start.recovered.configurations.push_back({.index = 3, .configuration = three});
  start.header.applied_index = 2;   // Its keys are of before.
  raft::Index committed = 3;
  SUBCASE("it is") {}
  SUBCASE("it may be taken back") { committed = 2; }
  start.witness = {.index = committed, .term = 1};
  const NodeUnderTest test(std::move(start));
  CHECK(test.node->was_member());
  CHECK(test.node->removed() == (committed == 3));
}

TEST_CASE("a node that was started to join believes that it was removed only once it was a member") {
  NodeStart start = start_of_taken_in();
  bool member = true;
  SUBCASE("it was") { start.witness = {.index = 2, .term = 1}; }
  SUBCASE("it is not known to have been") { member = false; }
  NodeUnderTest test(std::move(start));
  test.ticks(ticks_in(2 * test.options.election_timeout_ms) + 2);
  test.node->on_removed("you were removed", true);
  CHECK(test.node->removed() == member);
}

TEST_CASE("a node that is told of its removal believes it as long as nobody leads it") {
  NodeUnderTest test(3);
  const SessionRef session = test.node->open_session();
  std::vector<std::string> to_be_noted;
  test.node->on_told_of_removal = [&](const std::string& sentence) { to_be_noted.push_back(sentence); };
  test.follow(2, 2);
  test.node->on_removed("you were removed", false);
  CHECK_FALSE(test.node->removed());
  CHECK(to_be_noted.empty());
  test.ticks(ticks_in(2 * test.options.election_timeout_ms) + 2);
  CHECK(test.node->info({"raft"}).find("member_role:voter\r\n") != std::string::npos);
  test.node->on_removed("you were removed", false);
  CHECK(test.node->removed());
  CHECK(to_be_noted == std::vector<std::string>{"you were removed"});
  CHECK(test.node->info({"raft"}).find("member_role:none\r\n") != std::string::npos);
  test.network.sent.clear();
  test.ticks(ticks_in(5 * test.options.election_timeout_ms));
  CHECK(test.network.sent.empty());
  test.send(session, {"READONLY"});
  test.take(session);
  test.send(session, {"GET", "k"});
  CHECK(test.take(session) == "-CLUSTERDOWN this node was removed from its cluster\r\n");
  test.send(session, {"SET", "k", "v"});
  CHECK(test.take(session) == "-CLUSTERDOWN this node was removed from its cluster\r\n");
  // It was taken in again: a leader speaks to it.
  test.node->on_message(heartbeat_of(2, test.node->raft().term() + 1));
  CHECK_FALSE(test.node->removed());
  CHECK(test.node->info({"raft"}).find("member_role:voter\r\n") != std::string::npos);
  test.ticks(10);
  CHECK(to_be_noted == std::vector<std::string>{"you were removed", ""});
}

TEST_CASE("a node that was told of its removal knows it from its start on, until a leader speaks to it") {
  NodeStart start = NodeUnderTest::start_of(3);
  start.removal = "you were removed";
  NodeUnderTest test(std::move(start));
  CHECK(test.node->removed());
  test.ticks(ticks_in(5 * test.options.election_timeout_ms));
  CHECK(test.network.sent.empty());
  std::vector<std::string> to_be_noted;
  test.node->on_told_of_removal = [&](const std::string& sentence) { to_be_noted.push_back(sentence); };
  test.follow(2, 2);
  CHECK_FALSE(test.node->removed());
  test.ticks(10);
  CHECK(to_be_noted == std::vector<std::string>{""});
}

TEST_CASE("messages of peers are counted by the network that carries them, not by the node as well") {
  LeaderUnderTest test;
  CHECK(test.node->stats().peer_messages_sent == 0);
  CHECK(test.node->stats().peer_messages_received == 0);
}

TEST_CASE("what waited for somebody to lead, and is refused by this node once it does, is told to its client") {
  NodeUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"TRANSFER", "a", "b"});
  test.turn();
  REQUIRE(session->output().empty());
  test.node->take_sessions_with_output();
  test.lead();
  const std::vector<SessionRef> told = test.node->take_sessions_with_output();
  CHECK(std::find(told.begin(), told.end(), session) != told.end());
  CHECK(test.take(session).starts_with("-ERR"));
}

TEST_CASE("at shutdown leadership goes to a voter that answers, not to one that is dead") {
  LeaderUnderTest test;
  test.peers.ticks(20);
  test.peers.answering = {3};
  test.peers.ticks(ticks_in(test.options.election_timeout_ms) + 5);
  REQUIRE(test.node->raft().role() == raft::Role::kLeader);
  // Of the first entry of its term.
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::ok());
  test.network.sent.clear();
  bool done = false;
  test.node->begin_shutdown([&done] { done = true; });
  test.turn();
  const auto asked = std::find_if(test.network.sent.begin(), test.network.sent.end(), [](const raft::Message& message) {
    return std::holds_alternative<raft::TimeoutNow>(message.body);
  });
  REQUIRE(asked != test.network.sent.end());
  CHECK(asked->to == 3);
  CHECK(!done);
  // It took over.
  test.lose_leadership_to(3);
  REQUIRE(test.keys.busy());
  test.keys.finish(base::Status::ok());
  CHECK(done);
}

}  // namespace
}  // namespace leto::server::test
