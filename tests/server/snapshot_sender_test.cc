// What a leader does for followers that its log does not reach: one copy, in chunks, within window and rate.
#include "server/snapshot_sender.h"

#include <doctest/doctest.h>

#include "fake_environment.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

constexpr uint64_t kCopyBytes = 10 * SnapshotSender::kChunkBytes;

// A leader of three whose log begins behind what node 3 has; node 2 answers, node 3 is played by the test. Or of five, with 4 and 5.
struct SenderTest {
  explicit SenderTest(std::map<raft::NodeId, Network::Abilities> abilities = {}, std::set<raft::NodeId> those_behind = {3})
      : behind(std::move(those_behind)), test(2 * behind.size() + 1), peers(test, {2, 3, 4, 5}) {
    test.network.others = std::move(abilities);
    test.options.snapshot_rate = 0;
    peers.elect();
    for (FakeLogDisk::Compaction& each : std::exchange(test.disk.compactions, {})) each.done(raft::EntryId{});
    const SessionRef session = test.node->open_session();
    for (const raft::NodeId node : behind) peers.answering.erase(node);
    for (const char* key : {"a", "b", "c"}) {
      test.send(session, {"SET", key, "1"});
      peers.exchange();
    }
    test.send(session, {"SNAPSHOT"});
    peers.exchange();
    REQUIRE(test.keys.busy());
    test.keys.finish(base::Status::ok());
    test.turn();
    REQUIRE(!test.disk.compactions.empty());
    last = {.term = test.node->raft().term(), .index = test.node->raft().applied_index()};
    const FakeLogDisk::Compaction compaction = std::move(test.disk.compactions.back());
    test.disk.compactions.clear();
    compaction.done(last);
    test.turn();
    // Whatever it is sent, it has nothing of it.
    raft::AppendEntriesReply refusal;
    refusal.accepted = false;
    refusal.previous_index = test.node->raft().last().index;
    for (const raft::NodeId node : behind) from(node, refusal);
    heartbeat_three();
  }
  void from(raft::NodeId node, raft::Body body) {
    test.node->on_message({.from = node, .to = 1, .term = test.node->raft().term(), .body = std::move(body)});
    test.turn();
  }
  void from_three(raft::Body body) { from(3, std::move(body)); }
  // Answers what it was sent as one whose log is empty.
  void heartbeat_three(int rounds = 50) {
    for (int round = 0; round < rounds && test.snapshots.copies.empty(); ++round) {
      test.ticks(1);
      for (const raft::Message& message : std::exchange(test.network.sent, {})) {
        const auto* append = std::get_if<raft::AppendEntries>(&message.body);
        if (!behind.contains(message.to) || append == nullptr) continue;
        raft::AppendEntriesReply reply;
        reply.previous_index = append->previous.index;
        reply.accepted = append->previous.index <= 1;
        reply.match = reply.accepted ? append->previous.index : 0;
        reply.hint = reply.accepted ? raft::EntryId{} : raft::EntryId{.term = 1, .index = 1};
        reply.read_counter = append->read_counter;
        from(message.to, reply);
      }
    }
  }
  void finish_copy() {
    REQUIRE(test.snapshots.copy_done != nullptr);
    SnapshotDisk::Copy copy;
    copy.header.applied_index = last.index;
    copy.header.applied_term = last.term;
    copy.size = kCopyBytes;
    copy.checksum = 7;
    std::exchange(test.snapshots.copy_done, nullptr)(std::move(copy));
    test.ticks(1);
  }
  // Serves all reads of the copy; the chunks that left, by whom they are for.
  std::map<raft::NodeId, std::vector<raft::InstallSnapshot>> all_chunks() {
    while (!test.snapshots.reads.empty()) {
      FakeSnapshotDisk::Read read = std::move(test.snapshots.reads.front());
      test.snapshots.reads.erase(test.snapshots.reads.begin());
      read.done(std::string(read.bytes_max, 'x'));
      test.turn();
    }
    std::map<raft::NodeId, std::vector<raft::InstallSnapshot>> result;
    for (const raft::Message& message : std::exchange(test.network.sent, {})) {
      const auto* chunk = std::get_if<raft::InstallSnapshot>(&message.body);
      if (chunk != nullptr) result[message.to].push_back(*chunk);
    }
    return result;
  }
  std::vector<raft::InstallSnapshot> chunks() { return all_chunks()[3]; }
  void needs(uint64_t snapshot, uint64_t offset, raft::NodeId node = 3) {
    from(node, raft::InstallSnapshotReply{
        .snapshot = snapshot, .answer = raft::SnapshotAnswer::kNeeds, .offset = offset, .match = 0});
  }
  // Time goes by; whoever is sent a chunk answers it at once. `each` runs after each tick, with what each node was sent.
  using Sent = std::map<raft::NodeId, uint64_t>;
  template <typename Each>
  void stream(uint64_t seconds, Each each) {
    Sent sent;
    for (int tick = 0; tick < ticks_in(seconds * 1000); ++tick) {
      test.ticks(1);
      for (const auto& [node, list] : all_chunks()) {
        for (const raft::InstallSnapshot& chunk : list) {
          sent[node] = chunk.offset + chunk.data->size();
          needs(chunk.snapshot, sent[node], node);
        }
      }
      // All are heard, or this node would lead no more.
      raft::AppendEntriesReply heard;
      heard.accepted = true;
      heard.match = heard.previous_index = last.index;
      for (const raft::NodeId node : peers.answering) from(node, heard);
      each(std::as_const(sent));
    }
  }
  void refuse() {
    const uint64_t snapshot = chunks().at(0).snapshot;
    from_three(raft::InstallSnapshotReply{
        .snapshot = snapshot, .answer = raft::SnapshotAnswer::kRefused, .offset = 0, .match = 0});
  }
  void install(uint64_t snapshot) {
    from_three(raft::InstallSnapshotReply{
        .snapshot = snapshot, .answer = raft::SnapshotAnswer::kInstalled, .offset = 0, .match = last.index});
  }
  // Node 3 acknowledges the log up to there.
  void has(raft::Index match) {
    raft::AppendEntriesReply reply;
    reply.accepted = true;
    reply.match = reply.previous_index = match;
    from_three(reply);
  }
  // Time goes by, and all the while node 3 says that it has so much.
  void pass(uint64_t microseconds, raft::Index match) {
    for (int tick = 0; tick < ticks_in(microseconds / 1000); ++tick) {
      if (tick % 10 == 0) has(match);
      peers.ticks(1);
    }
  }
  // So many entries of a kilobyte, durable in the keys file.
  void write(int entries) {
    const SessionRef session = test.node->open_session();
    for (int entry = 0; entry < entries; ++entry) {
      test.send(session, {"SET", "d", std::string(1000, 'v')});
      peers.exchange();
    }
    test.send(session, {"SNAPSHOT"});
    peers.exchange();
    REQUIRE(test.keys.busy());
    test.keys.finish(base::Status::ok());
    test.turn();
  }
  // Does what compactions are asked for; the highest entry that one may drop, 0 if there was none.
  raft::Index dropped_through() {
    raft::Index through = 0;
    while (!test.disk.compactions.empty()) {
      const FakeLogDisk::Compaction compaction = std::move(test.disk.compactions.back());
      test.disk.compactions.clear();
      through = std::max(through, compaction.drop.through);
      compaction.done(raft::EntryId{.term = last.term, .index = compaction.drop.through});
      test.turn();
    }
    return through;
  }
  std::string info() {
    const SessionRef session = test.node->open_session();
    test.send(session, {"INFO", "raft"});
    return test.take(session);
  }
  const std::set<raft::NodeId> behind;
  NodeUnderTest test;
  FakePeers peers;
  raft::EntryId last;
};

TEST_CASE("a follower whose log ends before the leader's begins gets a copy of the keys file, within a window") {
  SenderTest it;
  REQUIRE(it.test.snapshots.copies == std::vector<uint64_t>{1});
  it.finish_copy();
  const std::vector<raft::InstallSnapshot> first = it.chunks();
  REQUIRE(first.size() == SnapshotSender::kWindowBytes / SnapshotSender::kChunkBytes);
  for (size_t place = 0; place < first.size(); ++place) {
    CHECK(first[place].offset == place * SnapshotSender::kChunkBytes);
    CHECK(first[place].data->size() == SnapshotSender::kChunkBytes);
    CHECK(first[place].last == it.last);
    CHECK(first[place].size == kCopyBytes);
    CHECK(first[place].checksum == 7);
  }
  it.needs(first[0].snapshot, SnapshotSender::kChunkBytes);
  CHECK(it.chunks().size() == 1);
  CHECK(it.info().find("snapshot0:id=id3,sent=262144,size=2621440\r\n") != std::string::npos);
}

TEST_CASE("what is not acknowledged is sent again after a while, from there on") {
  SenderTest it;
  it.finish_copy();
  const uint64_t snapshot = it.chunks()[0].snapshot;
  it.needs(snapshot, SnapshotSender::kChunkBytes);
  it.chunks();
  it.peers.ticks(ticks_in(SnapshotSender::kResendUs / 1000) + 2);
  const std::vector<raft::InstallSnapshot> again = it.chunks();
  REQUIRE(!again.empty());
  CHECK(again[0].offset == SnapshotSender::kChunkBytes);
}

TEST_CASE("an answer about another snapshot counts for nothing") {
  SenderTest it;
  it.finish_copy();
  const uint64_t snapshot = it.chunks()[0].snapshot;
  it.needs(snapshot + 1, SnapshotSender::kChunkBytes);
  CHECK(it.chunks().empty());
}

TEST_CASE("the log behind a snapshot that is under way is kept, and no longer than until it has that as well") {
  SenderTest it;
  it.finish_copy();
  const uint64_t snapshot = it.chunks()[0].snapshot;
  it.write(1);
  const raft::Index applied = it.test.node->raft().applied_index();
  REQUIRE(applied > it.last.index);
  CHECK(it.dropped_through() <= it.last.index);
  it.install(snapshot);
  it.test.ticks(1);
  CHECK(it.test.disk.compactions.empty());
  it.peers.answering = {2, 3};
  it.peers.ticks(5);
  it.test.ticks(2);
  CHECK(it.dropped_through() == applied);
  CHECK(it.test.snapshots.copies_dropped == 1);
}

TEST_CASE("a follower that had a snapshot keeps the log behind what it has until it is within log-window of the end") {
  SenderTest it;
  it.test.options.log_window = 2000;
  it.finish_copy();
  const uint64_t snapshot = it.chunks()[0].snapshot;
  it.write(10);
  it.install(snapshot);
  // One entry behind the snapshot is not all that it needs.
  it.has(it.last.index + 1);
  it.write(1);
  CHECK(it.dropped_through() <= it.last.index + 1);
  SUBCASE("what it has had is dropped meanwhile") {
    it.has(it.last.index + 5);
    it.pass(LogPins::kMoveUs + 100000, it.last.index + 5);
    CHECK(it.dropped_through() == it.last.index + 5);
    // It has what was there at its installation; but since then more than the window was written.
    it.write(1);
    it.has(it.last.index + 10);
    it.test.ticks(1);
    CHECK(it.dropped_through() <= it.last.index + 10);
    // It has what was there a moment ago, and one entry was written since.
    it.write(1);
    it.has(it.last.index + 12);
    REQUIRE(it.test.node->raft().last().index == it.last.index + 13);
    it.test.ticks(1);
    it.test.turn();
    CHECK(it.dropped_through() == it.test.node->raft().applied_index());
  }
  SUBCASE("it may be long without anything new, as long as it is heard,") {
    it.pass(3 * LogPins::kSilentUs, it.last.index + 1);
    CHECK(it.dropped_through() <= it.last.index + 1);
    CHECK(it.test.snapshots.copies.size() == 1);
  }
  SUBCASE("but not for ever: its disk may take nothing") {
    it.pass(LogPins::kStuckUs - 1000000, it.last.index + 1);
    it.has(it.last.index + 2);
    it.pass(LogPins::kStuckUs - 1000000, it.last.index + 2);
    CHECK(it.dropped_through() <= it.last.index + 2);
    it.pass(1500000, it.last.index + 2);
    CHECK(it.dropped_through() == it.test.node->raft().applied_index());
  }
  SUBCASE("it falls silent") {
    it.peers.ticks(ticks_in(LogPins::kSilentUs / 1000) + 2);
    CHECK(it.dropped_through() == it.test.node->raft().applied_index());
  }
  SUBCASE("this node leads no more") {
    it.test.lose_leadership_to(2);
    it.test.turn();
    CHECK(it.dropped_through() == it.test.node->raft().applied_index());
  }
}

TEST_CASE("a follower that refuses gets another snapshot later, and the copy goes meanwhile") {
  SenderTest it;
  it.finish_copy();
  it.refuse();
  CHECK(it.test.snapshots.copies_dropped == 1);
  it.test.snapshots.copies.clear();
  it.heartbeat_three();
  it.test.ticks(200);
  CHECK(it.test.snapshots.copies.size() == 1);
}

TEST_CASE("a copy that was refused is sent to nobody more, and a new one is made once nobody uses it") {
  SenderTest it({}, {4, 5});
  it.test.options.snapshot_rate = SnapshotSender::kChunkBytes / 4;
  it.finish_copy();
  uint64_t snapshot = 0, chunks_to_four = 0;
  const auto stream = [&] {
    it.test.ticks(1);
    for (const auto& [node, list] : it.all_chunks()) {
      for (const raft::InstallSnapshot& chunk : list) {
        snapshot = chunk.snapshot;
        chunks_to_four += node == 4;
        it.needs(snapshot, chunk.offset + chunk.data->size(), node);
      }
    }
    for (const raft::NodeId node : {2u, 3u, 4u, 5u}) {
      raft::AppendEntriesReply heard;
      heard.accepted = true;
      heard.match = heard.previous_index = node < 4 ? it.last.index : 0;
      it.from(node, heard);
    }
  };
  while (chunks_to_four == 0) stream();
  const auto refuse = [&](raft::NodeId node) {
    it.from(node, raft::InstallSnapshotReply{.snapshot = snapshot, .answer = raft::SnapshotAnswer::kRefused, .offset = 0, .match = 0});
  };
  refuse(4);
  chunks_to_four = 0;
  it.test.snapshots.copies.clear();
  for (int tick = 0; tick < ticks_in(4 * SnapshotSender::kRefusedUs / 1000); ++tick) stream();
  CHECK(chunks_to_four == 0);
  CHECK(it.test.snapshots.copies_dropped == 0);
  refuse(5);
  CHECK(it.test.snapshots.copies_dropped == 1);
  for (int tick = 0; tick < ticks_in(4 * SnapshotSender::kRefusedUs / 1000); ++tick) stream();
  CHECK(it.test.snapshots.copies.size() == 1);
}

TEST_CASE("who refuses again and again is not sent a whole copy each time at once") {
  SenderTest it;
  std::vector<uint64_t> ticks;
  for (int time = 0; time < 10; ++time) {
    it.finish_copy();
    it.refuse();
    it.test.snapshots.copies.clear();
    for (ticks.push_back(0); it.test.snapshots.copies.empty() && ticks.back() < 20000; ++ticks.back()) it.heartbeat_three(1);
  }
  CHECK(ticks.front() * kTickMs < 2 * SnapshotSender::kRefusedUs / 1000);
  CHECK(ticks.back() * kTickMs >= SnapshotSender::kRefusedUsMax / 1000);
  CHECK(ticks.back() * kTickMs < 2 * SnapshotSender::kRefusedUsMax / 1000);
}

TEST_CASE("a refusal makes the leader read its own keys file, once in ten minutes; it ends if that is damaged") {
  SenderTest it;
  std::vector<std::string> said;
  it.test.node->on_unusable = [&said](const std::string& why) { said.push_back(why); };
  it.finish_copy();
  it.refuse();
  REQUIRE(it.test.snapshots.verified == std::vector<uint64_t>{1});
  SUBCASE("it is sound: the follower had its own reasons") {
    it.test.snapshots.verify_done({});
    it.test.snapshots.copies.clear();
    it.heartbeat_three(200);
    it.finish_copy();
    it.refuse();
    CHECK(it.test.snapshots.verified.size() == 1);
    CHECK(said.empty());
  }
  SUBCASE("it cannot be read just now") {
    it.test.snapshots.verify_done(base::Status::error("keys-1.db: cannot read it: out of memory"));
    CHECK(said.empty());
  }
  SUBCASE("it is damaged") {
    it.test.snapshots.verify_done(base::Status::error("keys-1.db: damaged: its digest is 1, but its keys give 2"));
    CHECK(said == std::vector<std::string>{"keys-1.db: damaged: its digest is 1, but its keys give 2"});
  }
}

TEST_CASE("a leader that is none any more sends nothing and keeps no copy") {
  SenderTest it;
  it.finish_copy();
  it.chunks();
  it.test.node->on_message(heartbeat_of(2, it.test.node->raft().term() + 1));
  it.test.turn();
  CHECK(it.test.snapshots.copies_dropped == 1);
  it.test.ticks(300);
  CHECK(it.chunks().empty());
}

TEST_CASE("snapshot-rate bounds what leaves in a second") {
  SenderTest it;
  it.test.options.snapshot_rate = SnapshotSender::kChunkBytes;
  it.finish_copy();
  uint64_t sent = 0;
  for (int tick = 0; tick < 300; ++tick) {
    it.test.ticks(1);
    for (const raft::InstallSnapshot& chunk : it.chunks()) {
      sent = chunk.offset + chunk.data->size();
      it.needs(chunk.snapshot, sent);
    }
  }
  // Three seconds' worth, what had gathered before, and one chunk that may overdraw.
  CHECK(sent >= 2 * SnapshotSender::kChunkBytes);
  CHECK(sent <= kCopyBytes);
  CHECK(it.test.node->stats().snapshot_bytes_sent <= (2 << 20) + 5 * SnapshotSender::kChunkBytes);
}

TEST_CASE("several followers have even shares of snapshot-rate, however low it is, and none is given up while it owes nothing") {
  SenderTest it({}, {4, 5});
  uint64_t rate = 0;
  SUBCASE("a chunk in a tick") { rate = SnapshotSender::kChunkBytes * 100; }
  SUBCASE("a chunk in two seconds") { rate = SnapshotSender::kChunkBytes / 2; }
  SUBCASE("a chunk in forty seconds") { rate = 100; }
  SUBCASE("less than a byte in a tick") { rate = 60; }
  it.test.options.snapshot_rate = rate;
  it.finish_copy();
  it.stream(300, [](const SenderTest::Sent& sent) {
    const uint64_t four = sent.contains(4) ? sent.at(4) : 0, five = sent.contains(5) ? sent.at(5) : 0;
    REQUIRE(std::max(four, five) - std::min(four, five) <= SnapshotSender::kChunkBytes);
  });
  CHECK(it.test.snapshots.copies.size() == 1);
  CHECK(it.test.node->stats().snapshot_bytes_sent >= 2 * 4096);
}

TEST_CASE("a follower that owes an answer is given up after a while, also if others have one to give") {
  SenderTest it({}, {4, 5});
  it.test.options.snapshot_rate = SnapshotSender::kChunkBytes;
  it.finish_copy();
  const uint64_t snapshot = it.all_chunks().begin()->second.at(0).snapshot;
  uint64_t tick = 0;
  const auto sending_to = [&] { return it.info().find("snapshots_sent_now:2") != std::string::npos ? 2 : 1; };
  for (; tick < 3000 && sending_to() == 2; ++tick) {
    it.test.ticks(1);
    for (const auto& [node, list] : it.all_chunks()) {
      if (node == 4) it.needs(snapshot, list.back().offset + list.back().data->size(), 4);
    }
    raft::AppendEntriesReply heard;
    heard.accepted = true;
    heard.match = heard.previous_index = it.last.index;
    for (const raft::NodeId node : it.peers.answering) it.from(node, heard);
  }
  CHECK(tick * kTickMs >= SnapshotSender::kGiveUpUs / 1000 - 1000);
  CHECK(tick * kTickMs <= SnapshotSender::kGiveUpUs / 1000 + 1000);
}

TEST_CASE("a copy that cannot be made is not tried again at once, but ever later") {
  SenderTest it;
  std::vector<uint64_t> ticks;
  for (int time = 0; time < 10; ++time) {
    REQUIRE(it.test.snapshots.copy_done != nullptr);
    std::exchange(it.test.snapshots.copy_done, nullptr)(base::Status::error("the disk is full"));
    it.test.snapshots.copies.clear();
    for (ticks.push_back(0); it.test.snapshots.copies.empty() && ticks.back() < 20000; ++ticks.back()) it.heartbeat_three(1);
  }
  CHECK(ticks.front() * kTickMs >= SnapshotSender::kRefusedUs / 1000);
  CHECK(ticks.front() * kTickMs < 2 * SnapshotSender::kRefusedUs / 1000);
  CHECK(ticks.back() * kTickMs >= SnapshotSender::kRefusedUsMax / 1000);
  CHECK(ticks.back() * kTickMs < 2 * SnapshotSender::kRefusedUsMax / 1000);
}

TEST_CASE("a follower that does not know frames of snapshots gets none, and one as soon as it does") {
  SenderTest it({{3, {.known = true, .semantics = 1, .features = peer::kFeatureForward}}});
  CHECK(it.test.snapshots.copies.empty());
  it.test.network.others.clear();
  it.heartbeat_three();
  CHECK(it.test.snapshots.copies.size() == 1);
}

TEST_CASE("a snapshot-rate that is less than a chunk a tick is kept as well") {
  SenderTest it;
  it.test.options.snapshot_rate = SnapshotSender::kChunkBytes / 4;
  it.finish_copy();
  for (int tick = 0; tick < 300; ++tick) {
    it.test.ticks(1);
    for (const raft::InstallSnapshot& chunk : it.chunks()) it.needs(chunk.snapshot, chunk.offset + chunk.data->size());
  }
  CHECK(it.test.node->stats().snapshot_bytes_sent >= SnapshotSender::kChunkBytes / 2);
  CHECK(it.test.node->stats().snapshot_bytes_sent <= 2 * SnapshotSender::kChunkBytes);
}

TEST_CASE("chunks carry cluster time, as appends do") {
  SenderTest it;
  it.finish_copy();
  const std::vector<raft::InstallSnapshot> chunks = it.chunks();
  REQUIRE(!chunks.empty());
  CHECK(chunks.front().cluster_time_ms >= it.test.clock.wall);
}

}  // namespace
}  // namespace leto::server::test
