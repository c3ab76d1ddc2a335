// How a follower takes a snapshot: in order, checked, switched to in one commit, swapped in one turn (D9).
#include "server/snapshot_receiver.h"

#include <doctest/doctest.h>

#include "fake_environment.h"

namespace leto::server::test {
namespace {

constexpr uint64_t kSnapshot = 77;
constexpr raft::Index kLast = 50;
constexpr raft::Term kTerm = 3;

// A follower with one entry; node 2 leads and sends it a snapshot at entry 50 of 30 bytes.
struct ReceiverTest {
  ReceiverTest() : test(3) {
    send(raft::AppendEntries{.previous = {.term = 1, .index = 1}, .leader_commit = 1, .entries = {}});
    test.network.sent.clear();
  }
  void send(raft::Body body) {
    test.node->on_message({.from = 2, .to = 1, .term = kTerm, .body = std::move(body)});
    test.finish_all_disk();
  }
  void chunk(uint64_t offset, const std::string& bytes, uint64_t snapshot = kSnapshot) {
    send(raft::InstallSnapshot{.snapshot = snapshot,
                               .last = {.term = 2, .index = kLast},
                               .size = 30,
                               .checksum = 9,
                               .offset = offset,
                               .cluster_time_ms = 1,
                               .data = std::make_shared<const std::string>(bytes)});
  }
  void step() {
    REQUIRE(test.snapshots.step_done != nullptr);
    test.snapshots.finish_step();
    test.finish_all_disk();
  }
  // All 30 bytes have come and are written.
  void receive_all() {
    chunk(0, std::string(20, 'a'));
    step();
    step();
    chunk(20, std::string(10, 'b'));
    step();
  }
  LoadedKeys loaded() {
    LoadedKeys result;
    keyspace::Item item;
    item.value = keyspace::make_string("new");
    result.keyspace.load(0, "k", std::move(item));
    raft::Configuration configuration;
    for (raft::NodeId number = 1; number <= 3; ++number)
      configuration.members.push_back(NodeUnderTest::member_of(number));
    result.header.applied_index = kLast;
    result.header.applied_term = 2;
    result.header.hash_seed = 5;
    result.header.configuration = raft::encode_configuration(configuration);
    result.header.configuration_index = 40;
    result.header.digest = result.keyspace.digest();
    return result;
  }
  // The last answer about a snapshot that left.
  std::optional<raft::InstallSnapshotReply> answer() {
    std::optional<raft::InstallSnapshotReply> result;
    for (const raft::Message& message : std::exchange(test.network.sent, {})) {
      if (const auto* reply = std::get_if<raft::InstallSnapshotReply>(&message.body)) result = *reply;
    }
    return result;
  }
  NodeUnderTest test;
};

// A read whose index is beyond what the log has here.
SessionRef ask_for_read(ReceiverTest& it, raft::Index index) {
  const SessionRef session = it.test.node->open_session();
  it.test.send(session, {"GET", "k"});
  it.test.turn();
  for (const raft::Message& message : std::exchange(it.test.network.sent, {})) {
    const auto* asked = std::get_if<raft::ReadIndexRequest>(&message.body);
    if (asked != nullptr) it.send(raft::ReadIndexReply{.context = asked->context, .ok = true, .index = index});
  }
  return session;
}

TEST_CASE("a read that a node which receives a snapshot cannot serve soon is told that it is loading, and a local one is served") {
  ReceiverTest it;
  it.chunk(0, std::string(20, 'a'));
  const SessionRef behind = ask_for_read(it, kLast);
  const SessionRef known = ask_for_read(it, 1);
  CHECK(it.test.take(known) == "$-1\r\n");
  const int patience = ticks_in(it.test.options.election_timeout_ms);
  it.test.ticks(patience - 2);
  CHECK(behind->output().empty());
  it.test.ticks(4);
  CHECK(it.test.take(behind) == "-LOADING this node is behind and receives a snapshot of the keys\r\n");
  const SessionRef local = it.test.node->open_session();
  it.test.send(local, {"READONLY"});
  it.test.send(local, {"GET", "k"});
  CHECK(it.test.take(local) == "+OK\r\n$-1\r\n");
}

TEST_CASE("a read waits for a snapshot that comes soon") {
  ReceiverTest it;
  it.chunk(0, std::string(20, 'a'));
  const SessionRef session = ask_for_read(it, kLast);
  it.step();
  it.step();
  it.test.ticks(10);
  it.chunk(20, std::string(10, 'b'));
  it.step();
  it.test.snapshots.finish_done(it.loaded());
  it.test.finish_all_disk();
  CHECK(it.test.take(session) == "$3\r\nnew\r\n");
}

TEST_CASE("a read whose index does not come here is not blamed on a quorum") {
  ReceiverTest it;
  const SessionRef session = ask_for_read(it, kLast);
  for (uint64_t passed = 0; passed < it.test.options.request_timeout_ms + 200; passed += 10 * kTickMs) {
    it.test.ticks(10);
    it.send(raft::AppendEntries{.previous = {.term = 1, .index = 1}, .leader_commit = 1, .entries = {}});
  }
  CHECK(it.test.take(session) == "-CLUSTERDOWN this node is behind: what the read is to see did not come within request-timeout\r\n");
}

TEST_CASE("chunks are written in order, and each is answered with what comes next") {
  ReceiverTest it;
  it.chunk(0, std::string(20, 'a'));
  REQUIRE(it.test.snapshots.received.size() == 1);
  CHECK(it.test.snapshots.received[0] == std::pair<uint64_t, uint64_t>{2, 30});
  it.step();
  it.step();
  const auto answer = it.answer();
  REQUIRE(answer);
  CHECK(answer->snapshot == kSnapshot);
  CHECK(answer->answer == raft::SnapshotAnswer::kNeeds);
  CHECK(answer->offset == 20);
}

TEST_CASE("a chunk that is too early or too late is not written; the right one is asked for") {
  ReceiverTest it;
  it.chunk(0, std::string(10, 'a'));
  it.step();
  it.step();
  const std::string before = it.test.snapshots.content;
  it.answer();
  for (const auto& [offset, size] : {std::pair<uint64_t, size_t>{20, 10}, {0, 10}}) {
    it.chunk(offset, std::string(size, 'z'));
    CHECK(it.test.snapshots.content == before);
    const auto answer = it.answer();
    REQUIRE(answer);
    CHECK(answer->offset == 10);
  }
}

TEST_CASE("D9: nothing is applied, and no old key is lost, before the switch is durable") {
  ReceiverTest it;
  it.receive_all();
  CHECK(it.test.snapshots.end.last == raft::EntryId{.term = 2, .index = kLast});
  CHECK(it.test.snapshots.end.checksum == 9);
  CHECK(it.test.snapshots.end.term == kTerm);
  REQUIRE(it.test.snapshots.finish_done != nullptr);
  std::exchange(it.test.snapshots.finish_done, nullptr)(it.loaded());
  it.test.turn();
  // One commit of raft.db is under way.
  REQUIRE(it.test.disk.busy());
  REQUIRE(it.test.disk.in_flight.size() == 1);
  REQUIRE(it.test.disk.in_flight[0].install.has_value());
  CHECK(it.test.disk.in_flight[0].install->last == raft::EntryId{.term = 2, .index = kLast});
  CHECK(it.test.disk.in_flight[0].install->keys_generation == 2);
  CHECK(it.test.node->raft().applied_index() == 1);
  CHECK(it.test.node->keyspace().size() == 0);
  it.answer();
  it.test.finish_disk();
  CHECK(it.test.node->raft().applied_index() == kLast);
  CHECK(it.test.node->keyspace().size() == 1);
  CHECK(it.test.node->identity().keys_generation == 2);
  const auto answer = it.answer();
  REQUIRE(answer);
  CHECK(answer->answer == raft::SnapshotAnswer::kInstalled);
  CHECK(answer->match == kLast);
}

TEST_CASE("nothing is flushed between the swap and the moment the new file is open") {
  ReceiverTest it;
  it.receive_all();
  std::exchange(it.test.snapshots.finish_done, nullptr)(it.loaded());
  it.test.turn();
  it.test.finish_disk();
  CHECK(it.test.keys.switches == std::vector<uint64_t>{2});
  CHECK(it.test.snapshots.forgotten == 1);
  raft::AppendEntries append;
  append.previous = {.term = 2, .index = kLast};
  append.entries.push_back({.id = {.term = kTerm, .index = kLast + 1}, .payload = std::make_shared<const std::string>()});
  append.leader_commit = kLast + 1;
  it.send(append);
  const SessionRef session = it.test.node->open_session();
  it.test.send(session, {"SNAPSHOT"});
  it.test.confirm_reads();
  it.test.ticks(10);
  CHECK(it.test.keys.flushes == 0);
  it.test.keys.finish_switch({});
  it.test.turn();
  CHECK(it.test.keys.flushes == 1);
}

TEST_CASE("D16: the term that began while a snapshot was checked is in the file that it came in, too") {
  ReceiverTest it;
  it.receive_all();
  REQUIRE(it.test.snapshots.end.term == kTerm);
  it.test.follow(2, kTerm + 1);
  it.test.ticks(ticks_in(2000));
  REQUIRE(it.test.keys.witness.term == kTerm + 1);   // In the old file.
  std::exchange(it.test.snapshots.finish_done, nullptr)(it.loaded());
  it.test.turn();
  it.test.finish_disk();
  it.test.keys.witness = {};
  it.test.keys.finish_switch({});
  it.test.ticks(ticks_in(2000));
  CHECK(it.test.keys.witness.term == kTerm + 1);
}

TEST_CASE("a snapshot that says of itself what cannot be is refused") {
  ReceiverTest it;
  it.receive_all();
  LoadedKeys loaded = it.loaded();
  SUBCASE("other entries than its sender said") { loaded.header.applied_index = kLast - 1; }
  SUBCASE("a configuration of an entry behind it") { loaded.header.configuration_index = kLast + 1; }
  std::exchange(it.test.snapshots.finish_done, nullptr)(std::move(loaded));
  it.test.turn();
  const auto answer = it.answer();
  REQUIRE(answer);
  CHECK(answer->answer == raft::SnapshotAnswer::kRefused);
  CHECK(it.test.node->raft().applied_index() == 1);
}

TEST_CASE("a flush of the old keyspace that fails after the swap brings nothing of it back, and ends no node") {
  ReceiverTest it;
  std::string said;
  it.test.node->on_unusable = [&said](const std::string& why) { said = why; };
  it.receive_all();
  const SessionRef session = it.test.node->open_session();
  it.test.send(session, {"SNAPSHOT"});
  it.test.confirm_reads();
  REQUIRE(it.test.keys.flushes == 1);
  std::exchange(it.test.snapshots.finish_done, nullptr)(it.loaded());
  it.test.turn();
  it.test.finish_disk();
  it.test.keys.finish(base::Status::error("keys-1.db: damaged: cannot write"));
  it.test.turn();
  CHECK(said.empty());
  CHECK(it.test.node->keyspace().dirty_keys() == 0);
  CHECK(it.test.node->keyspace().size() == 1);
  CHECK(it.test.keys.switches == std::vector<uint64_t>{2});
}

TEST_CASE("another snapshot of the leader begins anew") {
  ReceiverTest it;
  it.chunk(0, std::string(20, 'a'));
  it.step();
  it.step();
  it.chunk(0, std::string(5, 'c'), kSnapshot + 1);
  CHECK(it.test.snapshots.discarded == 1);
  REQUIRE(it.test.snapshots.received.size() == 2);
  it.step();
  it.step();
  CHECK(it.test.snapshots.content == std::string(5, 'c'));
}

TEST_CASE("chunks that do not speak of one file are refused, and what came before them goes") {
  raft::InstallSnapshot chunk{.snapshot = kSnapshot, .last = {.term = 2, .index = kLast}, .size = 30, .checksum = 9, .offset = 20,
                              .cluster_time_ms = 1, .data = std::make_shared<const std::string>(10, 'b')};
  SUBCASE("another size") { chunk.size = 31; }
  SUBCASE("another checksum") { chunk.checksum = 8; }
  SUBCASE("another entry") { chunk.last.index = kLast + 1; }
  ReceiverTest it;
  it.chunk(0, std::string(20, 'a'));
  it.step();
  it.step();
  it.answer();
  it.send(chunk);
  const auto answer = it.answer();
  REQUIRE(answer);
  CHECK(answer->answer == raft::SnapshotAnswer::kRefused);
  CHECK(it.test.snapshots.discarded == 1);
  CHECK(it.test.snapshots.content.empty());
}

TEST_CASE("a snapshot that does not hold what it should is refused, and goes") {
  ReceiverTest it;
  it.receive_all();
  std::exchange(it.test.snapshots.finish_done, nullptr)(base::Status::error("keys-2.db: damaged"));
  it.test.turn();
  const auto answer = it.answer();
  REQUIRE(answer);
  CHECK(answer->answer == raft::SnapshotAnswer::kRefused);
  CHECK(it.test.snapshots.discarded == 1);
  CHECK(it.test.node->raft().applied_index() == 1);
}

TEST_CASE("a snapshot that came too late is not installed") {
  ReceiverTest it;
  it.receive_all();
  raft::AppendEntries append;
  append.previous = {.term = 1, .index = 1};
  for (raft::Index index = 2; index <= kLast + 1; ++index)
    append.entries.push_back({.id = {.term = 2, .index = index}, .payload = std::make_shared<const std::string>()});
  append.leader_commit = kLast + 1;
  it.send(append);
  REQUIRE(it.test.node->raft().applied_index() == kLast + 1);
  LoadedKeys loaded = it.loaded();
  const uint64_t keys = loaded.keyspace.size();
  REQUIRE(keys > 0);
  std::exchange(it.test.snapshots.finish_done, nullptr)(std::move(loaded));
  it.test.turn();
  CHECK(it.test.snapshots.discarded == 1);
  CHECK(it.test.snapshots.keys_freed == keys);   // Not by the loop, which would take long.
  CHECK(it.test.node->raft().applied_index() == kLast + 1);
}

TEST_CASE("a disk that is full refuses a snapshot, and a silent sender is forgotten") {
  ReceiverTest it;
  it.chunk(0, std::string(20, 'a'));
  it.test.snapshots.finish_step(base::Status::error("database or disk is full"));
  it.test.turn();
  const auto answer = it.answer();
  REQUIRE(answer);
  CHECK(answer->answer == raft::SnapshotAnswer::kRefused);
  it.chunk(0, std::string(20, 'a'));
  it.step();
  CHECK(it.test.snapshots.discarded == 1);
  it.test.ticks(ticks_in(SnapshotReceiver::kSilentUs / 1000) + 1);
  CHECK(it.test.snapshots.discarded == 2);
}

}  // namespace
}  // namespace leto::server::test
