// A node that is still loading its keys: what it does meanwhile, and what it says.
#include <doctest/doctest.h>

#include "fake_environment.h"
#include "storage/damage.h"

namespace leto::server::test {
namespace {

NodeStart loading_start(size_t voters) {
  NodeStart start = NodeUnderTest::start_of(voters);
  start.has_keys = true;
  return start;
}

LoadedKeys loaded_keys(const NodeStart& start) {
  LoadedKeys loaded;
  keyspace::Item item;
  item.value = keyspace::make_string("there");
  loaded.keyspace.load(0, "k", std::move(item));
  loaded.header = start.header;
  loaded.header.digest = loaded.keyspace.digest();
  return loaded;
}

TEST_CASE("while the keys are loaded commands on keys are told so, others are served") {
  NodeUnderTest test(loading_start(1));
  const SessionRef session = test.node->open_session();
  for (const std::vector<std::string_view>& request :
       {std::vector<std::string_view>{"GET", "k"}, std::vector<std::string_view>{"SET", "k", "1"}}) {
    test.send(session, request);
    CHECK(test.take(session) == "-LOADING Leto is loading the dataset in memory\r\n");
  }
  test.send(session, {"PING"});
  CHECK(test.take(session) == "+PONG\r\n");
  test.send(session, {"INFO", "persistence"});
  CHECK(test.take(session).find("loading:1\r\n") != std::string::npos);
}

TEST_CASE("nothing of the log is dropped before the keys file that has it was read whole") {
  NodeStart start = loading_start(1);
  LoadedKeys loaded = loaded_keys(start);
  NodeUnderTest test(std::move(start));
  test.lead();
  test.ticks(10);
  CHECK(test.disk.compactions.empty());
  test.keys.finish_load(std::move(loaded));
  test.finish_all_disk();
  CHECK(test.disk.compactions.size() == 1);
}

TEST_CASE("when the keys are loaded they are served, and what was committed meanwhile is applied") {
  NodeStart start = loading_start(1);
  LoadedKeys loaded = loaded_keys(start);
  NodeUnderTest test(std::move(start));
  for (int tick = 0; tick < 200 && !test.node->raft().leads_and_committed_in_term(); ++tick) {
    test.ticks(1);
    test.finish_all_disk();
  }
  // It votes, leads and commits; nothing is applied or flushed.
  REQUIRE(test.node->raft().leads_and_committed_in_term());
  CHECK(test.node->raft().applied_index() == 1);
  test.ticks(1000);
  CHECK(test.keys.flushes == 0);
  test.keys.finish_load(std::move(loaded));
  test.finish_all_disk();
  CHECK(test.node->raft().applied_index() == test.node->raft().commit_index());
  const SessionRef session = test.node->open_session();
  test.send(session, {"GET", "k"});
  CHECK(test.take(session) == "$5\r\nthere\r\n");
}

TEST_CASE("a follower acknowledges entries while it loads") {
  NodeUnderTest test(loading_start(3));
  raft::AppendEntries append;
  append.previous = {.term = 1, .index = 1};
  append.entries.push_back({.id = {.term = 2, .index = 2}, .payload = std::make_shared<const std::string>()});
  append.leader_commit = 2;
  test.node->on_message({.from = 2, .to = 1, .term = 2, .body = append});
  test.finish_all_disk();
  bool acknowledged = false;
  for (const raft::Message& message : test.network.sent) {
    const auto* reply = std::get_if<raft::AppendEntriesReply>(&message.body);
    acknowledged = acknowledged || (reply != nullptr && reply->accepted && reply->match == 2);
  }
  CHECK(acknowledged);
  CHECK(test.node->raft().applied_index() == 1);
}

TEST_CASE("a node gives its vote to another while it loads") {
  NodeUnderTest test(loading_start(3));
  test.ticks(ticks_in(kSilenceMsMax) + 1);
  test.node->on_message({.from = 2, .to = 1, .term = 9, .body = raft::RequestVote{.last = {.term = 1, .index = 1}}});
  test.finish_all_disk();
  bool granted = false;
  for (const raft::Message& message : test.network.sent) {
    const auto* reply = std::get_if<raft::RequestVoteReply>(&message.body);
    granted = granted || (reply != nullptr && !reply->pre_vote && reply->granted && message.to == 2 && message.term == 9);
  }
  CHECK(granted);
}

TEST_CASE("a node that is shown to have lost what it acknowledged tells the leader, and ends as damaged") {
  NodeUnderTest test(loading_start(3));
  std::string said;
  size_t sent_before = 0;
  test.node->on_unusable = [&](const std::string& why) {
    said = why;
    sent_before = test.network.sent.size();
  };
  raft::AppendEntries heartbeat;
  heartbeat.previous = {.term = 1, .index = 1};
  heartbeat.acknowledged = 1;
  test.node->on_message({.from = 2, .to = 1, .term = 2, .body = heartbeat});
  test.finish_all_disk();
  CHECK(said.empty());
  test.network.sent.clear();
  heartbeat.previous = {.term = 1, .index = 7};
  heartbeat.acknowledged = 7;
  test.node->on_message({.from = 2, .to = 1, .term = 2, .body = heartbeat});
  test.finish_all_disk();
  CHECK(storage::is_damage(said));
  CHECK(storage::is_seen_by_others(said));
  CHECK(said.find("entry 7") != std::string::npos);
  // The refusal left before.
  REQUIRE(sent_before == 1);
  const auto* reply = std::get_if<raft::AppendEntriesReply>(&test.network.sent.front().body);
  REQUIRE(reply != nullptr);
  CHECK_FALSE(reply->accepted);
  CHECK(reply->acknowledged == 7);
}

// A follower whose log begins behind entry 3 and ends with 5, and whose keys, as of entry 4, are lost.
NodeStart lacking_start() {
  NodeStart start = NodeUnderTest::start_of(3);
  start.recovered.base = {.term = 1, .index = 3};
  start.recovered.last = {.term = 1, .index = 5};
  start.recovered.terms = {{.first = 4, .term = 1}};
  start.recovered.configurations.clear();
  start.header.applied_index = 4;
  start.has_keys = true;
  start.lacks_keys = true;
  return start;
}

bool asks_for_snapshot(NodeUnderTest& test) {
  bool asks = false;
  for (const raft::Message& message : std::exchange(test.network.sent, {})) {
    const auto* reply = std::get_if<raft::InstallSnapshotReply>(&message.body);
    asks = asks || (reply != nullptr && reply->answer == raft::SnapshotAnswer::kNeeds && reply->snapshot == 0);
  }
  return asks;
}

TEST_CASE("a node whose keys are lost serves and flushes nothing, asks for a snapshot, and goes on from it and its log") {
  NodeStart start = lacking_start();
  LoadedKeys sent = loaded_keys(start);
  NodeUnderTest test(std::move(start));
  const auto append = [&test](raft::Index commit) {
    test.node->on_message({.from = 2, .to = 1, .term = 2,
                           .body = raft::AppendEntries{.previous = {.term = 1, .index = 5}, .leader_commit = commit, .entries = {}}});
    test.finish_all_disk();
  };
  append(4);
  CHECK(asks_for_snapshot(test));
  CHECK(test.keys.load_done == nullptr);
  const SessionRef session = test.node->open_session();
  test.send(session, {"GET", "k"});
  CHECK(test.take(session) == "-LOADING Leto is loading the dataset in memory\r\n");
  test.ticks(1000);
  CHECK(test.keys.flushes == 0);
  for (const auto& compaction : test.disk.compactions) CHECK(compaction.drop.through == 3);
  append(5);
  const raft::InstallSnapshot chunk{.snapshot = 7, .last = {.term = 1, .index = 4}, .size = 4, .checksum = 9, .offset = 0,
                                    .cluster_time_ms = 1, .data = std::make_shared<const std::string>("keys")};
  test.node->on_message({.from = 2, .to = 1, .term = 2, .body = chunk});
  test.finish_all_disk();
  for (int step = 0; step < 2; ++step) {
    REQUIRE(test.snapshots.step_done != nullptr);
    test.snapshots.finish_step();
    test.finish_all_disk();
  }
  REQUIRE(test.snapshots.finish_done != nullptr);
  std::exchange(test.snapshots.finish_done, nullptr)(std::move(sent));
  test.turn();
  REQUIRE(test.disk.in_flight.size() == 1);
  REQUIRE(test.disk.in_flight[0].install.has_value());
  CHECK(test.disk.in_flight[0].install->keeps_log);
  test.finish_disk();
  CHECK(test.keys.switches == std::vector<uint64_t>{2});
  test.keys.finish_switch({});
  test.finish_all_disk();
  CHECK_FALSE(test.node->loading());
  test.network.sent.clear();
  append(5);
  CHECK_FALSE(asks_for_snapshot(test));
  CHECK(test.node->raft().last().index == 5);
  test.send(session, {"READONLY"});
  test.send(session, {"GET", "k"});
  CHECK(test.take(session) == "+OK\r\n$5\r\nthere\r\n");
}

TEST_CASE("a node whose keys are lost says now and then what it waits for, and ends at once") {
  NodeUnderTest test(lacking_start());
  std::string said;
  base::set_log_sink([&said](base::LogLevel, std::string_view text) { said += std::string(text) + "\n"; });
  test.ticks(ticks_in(70000));
  base::set_log_sink(nullptr);
  CHECK(said.find("keys: lost here, and no snapshot has come for a minute: nobody leads") != std::string::npos);
  bool done = false;
  test.node->begin_shutdown([&done] { done = true; });
  test.turn();
  CHECK(done);
  CHECK(test.keys.flushes == 0);
}

TEST_CASE("keys that cannot be loaded end the node, with the reason") {
  NodeUnderTest test(loading_start(1));
  std::string said;
  test.node->on_unusable = [&said](const std::string& why) { said = why; };
  test.keys.finish_load(base::Status::error("keys-1.db: damaged"));
  CHECK(said == "keys-1.db: damaged");
}

TEST_CASE("a shutdown does not wait for keys that are being loaded") {
  NodeUnderTest test(loading_start(1));
  bool done = false;
  test.node->begin_shutdown([&done] { done = true; });
  test.turn();
  CHECK(done);
  CHECK(test.keys.flushes == 0);
}

// Members 2 and 3 as of the last entry, and this node no more.
NodeStart removed_start() {
  NodeStart start = NodeUnderTest::start_of(3);
  raft::Configuration left;
  for (const raft::NodeId number : {2u, 3u}) left.members.push_back(NodeUnderTest::member_of(number));
  start.recovered.last = {.term = 1, .index = 2};
  start.header.applied_index = 2;
  start.header.configuration = raft::encode_configuration(left);
  start.header.configuration_index = 2;
  start.recovered.configurations.push_back({.index = 2, .configuration = left});
  return start;
}

TEST_CASE("a removed node that starts again knows it by its log, and by its keys file where the log is compacted") {
  for (const bool compacted : {false, true}) {
    NodeStart start = removed_start();
    if (compacted) {
      start.recovered.base = start.recovered.last;
      start.recovered.terms.clear();
      start.recovered.configurations.clear();
    }
    NodeUnderTest test(std::move(start));
    CHECK(test.node->removed());
    const SessionRef session = test.node->open_session();
    test.send(session, {"GET", "k"});
    CHECK(test.take(session) == "-CLUSTERDOWN this node was removed from its cluster\r\n");
  }
}

}  // namespace
}  // namespace leto::server::test
