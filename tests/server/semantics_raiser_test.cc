// When the cluster's semantics level is raised, and what is applied by which level.
#include "server/semantics_raiser.h"

#include <doctest/doctest.h>

#include "command/entry.h"
#include "fake_environment.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

constexpr Network::Abilities kPlain{.known = true, .semantics = 1, .features = peer::kFeatures};
constexpr Network::Abilities kRaised{.known = true, .semantics = 2, .features = peer::kFeatures};

NodeStart start_supporting(uint16_t level, size_t voters) {
  NodeStart start = NodeUnderTest::start_of(voters);
  start.semantics_supported = level;
  return start;
}

std::string field(NodeUnderTest& test, const std::string& name) {
  const std::string info = test.node->info({"raft"});
  const size_t at = info.find("\r\n" + name + ":");
  REQUIRE(at != std::string::npos);
  const size_t begin = at + 3 + name.size();
  return info.substr(begin, info.find("\r\n", begin) - begin);
}

struct Leader {
  explicit Leader(size_t voters) : test(start_supporting(2, voters)), peers(test, {2, 3}) {
    for (raft::NodeId node = 2; node <= voters; ++node) test.network.others[node] = kPlain;
    peers.elect();
    REQUIRE(test.node->raft().leads_and_committed_in_term());
  }
  NodeUnderTest test;
  FakePeers peers;
};

TEST_CASE("the level is raised by one entry, once every member supports the next one") {
  Leader it(3);
  it.peers.ticks(30);
  CHECK(it.test.node->semantics_level() == 1);
  it.test.network.others[2] = kRaised;
  it.peers.ticks(30);
  CHECK(it.test.node->semantics_level() == 1);
  const raft::Index before = it.test.node->raft().last().index;
  it.test.network.others[3] = kRaised;
  it.peers.ticks(30);
  CHECK(it.test.node->semantics_level() == 2);
  CHECK(it.test.node->raft().last().index == before + 1);
  CHECK(it.test.network.semantics_level == 2);
  CHECK(field(it.test, "semantics_level") == "2");
  CHECK(field(it.test, "semantics_level_supported") == "2");
  // Not again.
  it.peers.ticks(50);
  CHECK(it.test.node->raft().last().index == before + 1);
}

TEST_CASE("a member that is not connected holds the level, a learner as much as a voter") {
  Leader it(3);
  it.test.network.others[2] = kRaised;
  it.test.network.others[3] = {};
  it.peers.ticks(50);
  CHECK(it.test.node->semantics_level() == 1);
  raft::Configuration with_observer = it.test.node->members();
  with_observer.members[2].role = raft::MemberRole::kObserver;
  NodeStart start = start_supporting(2, 3);
  start.header.configuration = raft::encode_configuration(with_observer);
  start.recovered.configurations = {{.index = 1, .configuration = with_observer}};
  NodeUnderTest test(start);
  FakePeers peers(test, {2});
  test.network.others[2] = kRaised;
  test.network.others[3] = kPlain;
  peers.elect();
  peers.ticks(50);
  CHECK(test.node->semantics_level() == 1);
  test.network.others[3] = kRaised;
  peers.ticks(30);
  CHECK(test.node->semantics_level() == 2);
}

TEST_CASE("while a node is being taken in the level stays, and from the proposal on nobody below comes in") {
  Leader it(3);
  const SessionRef session = it.test.node->open_session();
  it.test.send(session, {"JOIN", "10.0.0.9:15379", "id9"});
  REQUIRE(it.test.network.dials.size() == 1);
  it.test.network.others[2] = it.test.network.others[3] = kRaised;
  it.peers.ticks(30);
  CHECK(it.test.node->semantics_level() == 1);
  CHECK(it.test.network.semantics_level == 1);
  std::exchange(it.test.network.dials.front().done, nullptr)(base::Status::error("no answer"));
  it.peers.accept_entries = false;
  it.peers.ticks(30);
  CHECK(it.test.node->semantics_level() == 1);
  CHECK(it.test.network.semantics_level == 2);
  // The proposal may be lost with the leadership: then who is below is no stranger here.
  it.test.lose_leadership_to(2);
  CHECK(it.test.network.semantics_level == 1);
}

TEST_CASE("a founder of a raised version raises the level alone, and that is no data of its own") {
  NodeUnderTest test(start_supporting(2, 1));
  test.lead();
  test.ticks(20);
  test.finish_all_disk();
  CHECK(test.node->semantics_level() == 2);
  CHECK(test.node->may_be_adopted());
  // So that whoever starts a program of a lower level here is told at once.
  CHECK(test.keys.flushes == 1);
}

// What is applied at which level, for a follower of node 2 that supports up to `level`.
struct Follower {
  explicit Follower(uint16_t level) : test(start_supporting(level, 3)) {
    test.node->on_unusable = [this](const std::string& why) { unusable.push_back(why); };
  }
  void append(uint16_t semantics, const std::vector<std::string_view>& arguments) {
    command::EntryBuilder builder;
    if (!arguments.empty()) builder.add(0, arguments);
    append(raft::EntryKind::kCommands, builder.finish({.time_ms = 1, .seed = 1, .semantics = semantics}));
  }
  void append(raft::EntryKind kind, std::string payload) {
    raft::AppendEntries append;
    append.previous = {.term = last == 1 ? 1u : 2u, .index = last};
    append.leader_commit = ++last;
    append.entries = {{.id = {.term = 2, .index = last}, .kind = kind,
                       .payload = std::make_shared<const std::string>(std::move(payload))}};
    test.node->on_message({.from = 2, .to = 1, .term = 2, .body = append});
    test.finish_all_disk();
  }
  NodeUnderTest test;
  raft::Index last = 1;
  std::vector<std::string> unusable;
};

TEST_CASE("an entry of a level that is not supported ends the node with a sentence, and is not skipped") {
  Follower it(1);
  it.append(1, {"SET", "a", "1"});
  it.append(2, {});
  it.append(1, {"SET", "b", "1"});
  CHECK(it.unusable == std::vector<std::string>{"entry 3 of the log cannot be applied: the entry needs semantics 2, this "
                                                "version knows up to 1; upgrade this node"});
  CHECK(it.test.node->raft().applied_index() == 2);
  CHECK(it.test.node->keyspace().size() == 1);
  // Nor does the end wait for it.
  bool ended = false;
  it.test.node->begin_shutdown([&ended] { ended = true; });
  it.test.turn();
  CHECK(ended);
}

TEST_CASE("a node that was removed is not ended by an entry of a higher level behind its removal, unless it is a member again") {
  Follower it(1);
  const raft::Configuration before = it.test.node->members();
  raft::Configuration rest = before;
  rest.members.erase(rest.members.begin());
  it.append(raft::EntryKind::kConfiguration, raft::encode_configuration(rest));
  REQUIRE(it.test.node->removed());
  it.append(2, {});
  it.test.ticks(50);
  CHECK(it.unusable.empty());
  CHECK(it.test.node->raft().applied_index() == 2);
  it.append(raft::EntryKind::kConfiguration, raft::encode_configuration(before));
  it.test.ticks(50);
  REQUIRE(!it.unusable.empty());
  CHECK(it.unusable.front().find("upgrade this node") != std::string::npos);
}

TEST_CASE("the level rises where its entry is in the log, and does not fall by one that was proposed before") {
  Follower it(2);
  it.append(1, {"SET", "a", "1"});
  CHECK(it.test.node->semantics_level() == 1);
  it.append(2, {});
  CHECK(it.test.node->semantics_level() == 2);
  it.append(1, {"SET", "b", "1"});
  CHECK(it.test.node->semantics_level() == 2);
  CHECK(it.unusable.empty());
  CHECK(it.test.node->raft().applied_index() == 4);
}

// Brings a snapshot of level 2 at entry 50, up to the moment when it was received and read whole.
void receive_snapshot_of_level_2(NodeUnderTest& test) {
  raft::InstallSnapshot chunk{.snapshot = 7, .last = {.term = 2, .index = 50}, .size = 4, .checksum = 1, .offset = 0,
                              .cluster_time_ms = 1, .data = std::make_shared<const std::string>("abcd")};
  test.node->on_message({.from = 2, .to = 1, .term = 2, .body = chunk});
  for (int step = 0; step < 3; ++step) {
    if (test.disk.busy()) test.finish_disk();
    if (test.snapshots.step_done) test.snapshots.finish_step();
    test.turn();
  }
  REQUIRE(test.snapshots.finish_done);
  LoadedKeys loaded;
  loaded.header = NodeUnderTest::start_of(3).header;
  loaded.header.applied_index = 50;
  loaded.header.applied_term = 2;
  loaded.header.semantics_level = 2;
  std::exchange(test.snapshots.finish_done, nullptr)(std::move(loaded));
  test.turn();
}

TEST_CASE("a snapshot of a higher level than is supported is refused") {
  NodeUnderTest test(start_supporting(1, 3));
  receive_snapshot_of_level_2(test);
  CHECK(test.snapshots.discarded >= 1);
  CHECK(test.snapshots.forgotten == 0);
  CHECK(test.node->raft().applied_index() == 1);
}

TEST_CASE("a snapshot brings its level") {
  NodeUnderTest test(start_supporting(2, 3));
  receive_snapshot_of_level_2(test);
  test.finish_all_disk();
  REQUIRE(test.node->raft().applied_index() == 50);
  CHECK(test.node->semantics_level() == 2);
}

}  // namespace
}  // namespace leto::server::test
