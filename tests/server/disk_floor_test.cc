// A disk that fills up: when writes are refused and when they go on, what a node does for its own room, and that all else is
// served meanwhile.
#include "server/disk_floor.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "fake_environment.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

constexpr uint64_t kFloor = 8 << 20;   // disk-floor's default.
constexpr uint64_t kMuch = uint64_t{1} << 30;

bool gives(const storage::RoomWish& wish) { return wish.ballast == storage::BallastWish::kGiveAway; }

// A node that leads, and whose log's disk says what the test wants.
struct FloorTest {
  explicit FloorTest(size_t voters = 1) : test(voters), peers(test, others(voters)) {
    REQUIRE(test.options.disk_floor == kFloor);
    if (voters == 1) {
      test.lead();
    } else {
      peers.elect();
    }
    session = test.node->open_session();
    see(kMuch);
  }
  static std::set<raft::NodeId> others(size_t voters) {
    std::set<raft::NodeId> nodes;
    for (raft::NodeId number = 2; number <= voters; ++number) nodes.insert(number);
    return nodes;
  }
  // The next look finds so much; gives what was wished for with it.
  storage::RoomWish see(const storage::LogRoom& room) {
    for (int tick = 0; tick < ticks_in(1100) && !test.disk.look.done; ++tick) peers.ticks(1);
    REQUIRE(test.disk.look.done);
    const storage::RoomWish wish = test.disk.look.wish;
    if (gives(wish)) test.disk.counts.has_ballast = false;
    std::exchange(test.disk.look.done, nullptr)(room);
    test.turn();
    return wish;
  }
  storage::RoomWish see(uint64_t free) { return see(storage::LogRoom{.free = free}); }
  std::string ask(const std::vector<std::string_view>& arguments) {
    test.send(session, arguments);
    peers.exchange();
    return NodeUnderTest::take(session);
  }
  bool is_low() {
    const std::string info = ask({"INFO", "persistence"});
    REQUIRE(info.find("\r\ndisk_low:") != std::string::npos);
    return info.find("disk_low:1\r\n") != std::string::npos;
  }
  void flush(base::Status status) {
    test.turn();
    REQUIRE(test.keys.busy());
    test.keys.finish(std::move(status));
    test.turn();
  }
  // What was asked for is dropped, or nothing is left to drop.
  void compact() {
    test.turn();
    while (!test.disk.compactions.empty()) {
      std::exchange(test.disk.compactions, {}).front().done(raft::EntryId{});
      test.turn();
    }
  }
  NodeUnderTest test;
  FakePeers peers;
  SessionRef session;
};

TEST_CASE("below disk-floor a write is refused before it is proposed, and all else goes on") {
  FloorTest it;
  CHECK(it.ask({"SET", "k", "1"}) == "+OK\r\n");
  it.see(kFloor - 1);
  const raft::Index last = it.test.node->raft().last().index;
  for (const auto& write : std::vector<std::vector<std::string_view>>{{"SET", "k", "2"}, {"DEL", "k"}, {"FLUSHALL"}}) {
    CHECK(it.ask(write) == "-MISCONF the disk has 7.9 MB left, less than disk-floor (8.0 MB)\r\n");
  }
  CHECK(it.test.node->raft().last().index == last);
  CHECK(!it.test.disk.busy());
  CHECK(it.ask({"GET", "k"}) == "$1\r\n1\r\n");
  CHECK(it.ask({"CONFIG", "SET", "timeout", "0"}) == "+OK\r\n");
  const std::string info = it.ask({"INFO", "persistence"});
  CHECK(info.find("disk_room_bytes:8388607\r\ndisk_low:1\r\n") != std::string::npos);
  it.see(kMuch);
  CHECK(!it.is_low());
  CHECK(it.ask({"SET", "k", "2"}) == "+OK\r\n");
}

TEST_CASE("a write that was taken before the disk was low is not refused") {
  FloorTest it;
  for (int tick = 0; tick < ticks_in(1100) && !it.test.disk.look.done; ++tick) it.test.ticks(1);
  const SessionRef early = it.test.node->open_session();
  it.test.send(early, {"SET", "k", "1"});
  it.see(kFloor - 1);
  it.test.finish_all_disk();
  CHECK(NodeUnderTest::take(early) == "+OK\r\n");
}

TEST_CASE("a low disk refuses a write of a transaction when it is queued, and EXEC when it came later") {
  FloorTest it;
  const SessionRef early = it.test.node->open_session();
  it.test.send(early, {"MULTI"});
  it.test.send(early, {"SET", "k", "1"});
  NodeUnderTest::take(early);
  it.see(0);
  it.test.send(early, {"EXEC"});
  CHECK(NodeUnderTest::take(early).starts_with("-EXECABORT Transaction discarded because of: MISCONF the disk has 0.0 MB "));
  CHECK(it.ask({"MULTI"}) == "+OK\r\n");
  CHECK(it.ask({"SET", "k", "1"}).starts_with("-MISCONF the disk has "));
  CHECK(it.ask({"EXEC"}).starts_with("-EXECABORT "));
}

TEST_CASE("a disk that is short of room is not low: the keys are flushed at once and the log loses its window") {
  FloorTest it;
  it.test.options.flush_interval_ms = 3600000;
  CHECK(it.ask({"SET", "k", "1"}) == "+OK\r\n");
  it.compact();
  CHECK(!it.test.keys.busy());
  CHECK(!it.see(kFloor).is_short);
  CHECK(it.ask({"SET", "k", "2"}) == "+OK\r\n");
  // It is looked at again at once, as the log is to know.
  it.test.ticks(1);
  CHECK(it.test.disk.look.done != nullptr);
  it.flush({});
  REQUIRE(it.test.disk.compactions.size() == 1);
  CHECK(it.test.disk.compactions[0].drop.bytes_kept == it.test.options.log_window);
  CHECK(it.test.disk.compactions[0].drop.had_through == 0);
  it.compact();
  const storage::RoomWish wish = it.see(kFloor);
  CHECK(wish.is_short);
  CHECK(!gives(wish));
  REQUIRE(it.test.disk.compactions.size() == 1);
  CHECK(it.test.disk.compactions[0].drop.had_through == it.test.disk.compactions[0].drop.through);
  CHECK(it.test.disk.compactions[0].drop.through > 0);
  it.compact();
  it.see(2 * kFloor);
  REQUIRE(it.test.disk.compactions.size() == 1);
  CHECK(it.test.disk.compactions[0].drop.had_through == 0);
}

TEST_CASE("unused pages of raft.db are room, what a checkpoint will take is none") {
  FloorTest it;
  it.see({.free = 0, .unused = 2 * kFloor, .owed = 0});
  CHECK(!it.is_low());
  it.see({.free = 0, .unused = 2 * kFloor, .owed = kFloor + 1});
  CHECK(it.is_low());
  CHECK(storage::LogRoom{.free = 3, .unused = 4, .owed = 9}.total() == 0);
}

TEST_CASE("a low disk gives the ballast away at once, and is low until all that can be dropped was") {
  FloorTest it;
  it.test.disk.counts.has_ballast = true;
  CHECK(it.ask({"SET", "k", "1"}) == "+OK\r\n");
  it.compact();
  it.see(kFloor - 1);
  CHECK(it.test.disk.look.done == nullptr);
  it.test.ticks(1);
  REQUIRE(it.test.disk.look.done);
  const storage::RoomWish wish = it.see(2 * kFloor);   // With the ballast's.
  CHECK(gives(wish));
  CHECK(wish.beside_ballast == 2 * kFloor);
  CHECK(it.is_low());
  CHECK(it.ask({"SET", "k", "2"}) ==
        "-MISCONF the disk has 16.0 MB left; it was full, or below disk-floor (8.0 MB), and must have twice as much\r\n");
  it.flush({});
  REQUIRE(!it.test.disk.compactions.empty());
  it.see(2 * kFloor);
  CHECK(it.is_low());
  it.compact();
  it.see(2 * kFloor - 1);
  CHECK(it.is_low());
  it.see(2 * kFloor);
  CHECK(!it.is_low());
  CHECK(!gives(it.see(kMuch)));
}

TEST_CASE("a disk is not taken for one that has dropped all it can before the log and the compactor knew that it is low") {
  FloorTest it;
  it.test.disk.counts.has_ballast = true;
  CHECK(it.ask({"SET", "k", "1"}) == "+OK\r\n");
  // What there is is flushed, and dropped as far as the window lets it be.
  it.ask({"SNAPSHOT"});
  it.flush({});
  it.compact();
  it.see(kFloor - 1);
  it.see(2 * kFloor);   // With the ballast's.
  CHECK(it.is_low());
  CHECK(it.test.disk.compactions.size() == 1);
  it.see(2 * kFloor);
  CHECK(it.is_low());
  it.compact();
  it.see(2 * kFloor);
  CHECK(!it.is_low());
}

TEST_CASE("unused pages of raft.db are no room for the ballast") {
  FloorTest it;
  it.test.disk.counts.has_ballast = true;
  CHECK(it.ask({"SET", "k", "1"}) == "+OK\r\n");
  it.see(0);
  it.see({.free = 2 * kFloor, .unused = kMuch});
  CHECK(it.is_low());
}

TEST_CASE("with room for the ballast besides, the disk is not low any more, whatever became of the flush") {
  FloorTest it;
  it.test.disk.counts.has_ballast = true;
  CHECK(it.ask({"SET", "k", "1"}) == "+OK\r\n");
  it.see(0);
  it.flush(base::Status::error("keys-1.db: cannot flush: database or disk is full"));
  it.see(2 * kFloor + it.test.options.ballast_bytes - 1);
  CHECK(it.is_low());
  it.see(2 * kFloor + it.test.options.ballast_bytes);
  CHECK(!it.is_low());
}

TEST_CASE("a flush that failed on a low disk is tried again with every look") {
  FloorTest it;
  CHECK(it.ask({"SET", "k", "1"}) == "+OK\r\n");
  it.see(0);
  for (int attempt = 0; attempt < 3; ++attempt) {
    it.flush(base::Status::error("keys-1.db: cannot flush: database or disk is full"));
    it.see(0);
  }
  it.flush({});
  CHECK(it.test.keys.flushes == 4);
}

TEST_CASE("while the disk is low every look brings a flush, which cuts the WAL of the keys file; while it is short, changes do") {
  FloorTest it;
  it.see(0);
  it.flush({});
  it.see(0);
  it.flush({});
  it.see(kMuch);
  const int flushes = it.test.keys.flushes;
  it.see(kFloor);
  it.see(kFloor);
  CHECK(it.test.keys.flushes == flushes);
}

TEST_CASE("a ballast that a write had to give away makes the disk low, however much room there is") {
  FloorTest it;
  it.test.disk.counts.has_ballast = true;
  it.test.ticks(1);
  CHECK(!it.is_low());
  it.test.disk.counts.has_ballast = false;
  it.test.ticks(1);
  CHECK(it.is_low());
}

TEST_CASE("a ballast that a write had to give away is not made again at once, one that was given for room is") {
  FloorTest it;
  const auto makes = [&it] { return it.see(kMuch).ballast == storage::BallastWish::kMake; };
  it.test.disk.counts.has_ballast = true;
  it.see(0);
  CHECK(gives(it.see(kMuch)));
  CHECK(!it.is_low());
  CHECK(makes());
  it.test.disk.counts.has_ballast = true;
  it.test.ticks(1);
  it.test.disk.counts.has_ballast = false;
  it.test.ticks(1);
  CHECK(it.is_low());
  CHECK(gives(it.see(kMuch)));
  for (uint64_t second = 0; second < DiskFloor::kBallastPauseUs / 1000000 - 3; ++second) CHECK(!makes());
  for (int second = 0; second < 3; ++second) it.see(kMuch);
  CHECK(makes());
}

TEST_CASE("a ballast that cannot be made is not tried again at once") {
  FloorTest it;
  const auto makes = [&it](bool fails) {
    return it.see({.free = kMuch, .ballast_failed = fails}).ballast == storage::BallastWish::kMake;
  };
  CHECK(makes(true));
  for (uint64_t second = 0; second < DiskFloor::kBallastPauseUs / 1000000 - 3; ++second) CHECK(!makes(false));
  for (int second = 0; second < 4; ++second) makes(false);
  CHECK(makes(false));
  CHECK(!it.is_low());
}

TEST_CASE("a flush that failed is given the ballast where nothing else is free, though the log has room") {
  FloorTest it;
  it.test.disk.counts.has_ballast = true;
  CHECK(it.ask({"SET", "k", "1"}) == "+OK\r\n");
  const storage::LogRoom room{.free = 4096, .unused = kMuch};
  CHECK(!gives(it.see(room)));
  it.flush(base::Status::error("keys-1.db: cannot flush: database or disk is full"));
  CHECK(gives(it.see(room)));
  // What the log has left is written.
  it.see(room);
  CHECK(!it.is_low());
  CHECK(it.ask({"SET", "k", "2"}) == "+OK\r\n");
}

TEST_CASE("a fast writer does not pass the floor between two looks") {
  FloorTest it;
  it.test.options.disk_floor = 4096;
  for (int write = 0; write < 10; ++write) it.ask({"SET", "k", std::string(50, 'v')});
  it.test.ticks(1);
  CHECK(it.test.disk.look.done == nullptr);
  it.ask({"SET", "k", std::string(1024, 'v')});
  it.test.ticks(1);
  CHECK(it.test.disk.look.done != nullptr);
}

TEST_CASE("disk-floor 0 refuses nothing, also when the disk is low already") {
  FloorTest it;
  it.see(0);
  CHECK(it.is_low());
  CHECK(it.ask({"CONFIG", "SET", "disk-floor", "0"}) == "+OK\r\n");
  it.see(0);
  CHECK(!it.is_low());
  it.test.disk.counts.has_ballast = true;
  it.test.ticks(1);
  it.test.disk.counts.has_ballast = false;
  it.see(0);
  CHECK(!it.is_low());
  CHECK(it.ask({"SET", "k", "1"}) == "+OK\r\n");
}

TEST_CASE("a disk that nobody can look at stays as it was") {
  FloorTest it;
  for (int tick = 0; tick < ticks_in(1100) && !it.test.disk.look.done; ++tick) it.test.ticks(1);
  std::exchange(it.test.disk.look.done, nullptr)(base::Status::error("cannot see how much room /d has: I/O error"));
  CHECK(!it.is_low());
  it.see(0);
  CHECK(it.is_low());
}

// --- In a cluster ----------------------------------------------------------------------------------------

// Of several, whose peers are told to take over, or not.
struct FloorHandoverTest : FloorTest {
  explicit FloorHandoverTest(size_t voters) : FloorTest(voters) {}
  // Who was told to within so many milliseconds; nobody does.
  std::vector<raft::NodeId> told(uint64_t milliseconds) {
    std::vector<raft::NodeId> nodes;
    for (int tick = 0; tick < ticks_in(milliseconds); ++tick) {
      test.ticks(1);
      for (const raft::Message& message : test.network.sent) {
        const bool is_told = std::holds_alternative<raft::TimeoutNow>(message.body);
        if (is_told && (nodes.empty() || nodes.back() != message.to)) nodes.push_back(message.to);
      }
      peers.exchange();
      if (test.disk.look.done) std::exchange(test.disk.look.done, nullptr)(storage::LogRoom{.free = 0});
    }
    return nodes;
  }
};

TEST_CASE("a leader whose disk is low hands over, at most every ten seconds and ever more seldom, to one after the other, and leads on") {
  FloorHandoverTest it(3);
  CHECK(it.told(2000) == std::vector<raft::NodeId>{2});
  CHECK(it.told(7000).empty());
  CHECK(it.told(10000) == std::vector<raft::NodeId>{3});
  CHECK(it.told(10000) == std::vector<raft::NodeId>{2});
  // Once round: twice as long, and so on.
  CHECK(it.told(11000).empty());
  CHECK(it.told(10000) == std::vector<raft::NodeId>{3});
  CHECK(it.told(20000) == std::vector<raft::NodeId>{2});
  CHECK(it.told(29000).empty());
  CHECK(it.told(10000) == std::vector<raft::NodeId>{3});
  CHECK(it.test.node->raft().role() == raft::Role::kLeader);
  CHECK(it.ask({"SET", "k", "1"}).starts_with("-MISCONF "));
  CHECK(it.ask({"GET", "k"}) == "$-1\r\n");
}

TEST_CASE("a leader that was away, or whose disk had room meanwhile, hands over at once when it is low again") {
  FloorHandoverTest it(3);
  CHECK(it.told(25000).size() == 3);
  SUBCASE("it had room") {
    it.see(kMuch);
    it.see(kMuch);
  }
  SUBCASE("another one led") {
    it.test.lose_leadership_to(2);
    it.peers.elect();
  }
  CHECK(it.told(2000).size() == 1);
}

TEST_CASE("leadership is not handed to who does not answer, nor to who lags") {
  FloorHandoverTest it(3);
  it.peers.takes_no_entries = {2};
  CHECK(it.ask({"SET", "k", "1"}) == "+OK\r\n");
  CHECK(it.told(25000) == std::vector<raft::NodeId>{3});
}

TEST_CASE("a node whose disk is low is not told to lead, but for want of a leader it stands for election") {
  FloorTest it(3);
  it.test.lose_leadership_to(2);
  it.see(0);
  const raft::Term term = it.test.node->raft().term();
  it.test.node->on_message({.from = 2, .to = 1, .term = term, .body = raft::TimeoutNow{}});
  it.test.finish_all_disk();
  CHECK(it.test.node->raft().role() == raft::Role::kFollower);
  CHECK(it.test.node->raft().term() == term);
  it.peers.elect();
  CHECK(it.test.node->raft().role() == raft::Role::kLeader);
}

// Of three, of which node 2 takes no entries; one is flushed that it lacks.
struct LaggingFollowerTest : FloorTest {
  LaggingFollowerTest() : FloorTest(3) {
    peers.takes_no_entries = {2};
    CHECK(ask({"SET", "k", "1"}) == "+OK\r\n");
  }
  // So much of the log nobody is to lack any more, as of now.
  raft::Index had() {
    raft::Index through = 0;
    for (const FakeLogDisk::Compaction& each : test.disk.compactions) through = std::max(through, each.drop.had_through);
    compact();
    return through;
  }
  // Every look finds so much.
  void wait(uint64_t milliseconds, uint64_t free) {
    for (uint64_t passed = 0; passed < milliseconds; passed += 500) {
      peers.ticks(ticks_in(500));
      if (test.disk.look.done) std::exchange(test.disk.look.done, nullptr)(storage::LogRoom{.free = free});
      if (test.keys.busy()) test.keys.finish({});
    }
  }
};

TEST_CASE("a log that is short of room keeps what a follower that answers has not got yet, until it has it") {
  LaggingFollowerTest it;
  it.see(kFloor);
  it.see(kFloor);
  it.compact();
  it.flush({});
  const raft::Index last = it.test.node->raft().last().index;
  CHECK(it.had() < last);
  it.wait(10000, kFloor);
  CHECK(it.had() < last);
  it.peers.takes_no_entries.clear();
  it.peers.ticks(ticks_in(1000));
  CHECK(it.had() == last);
}

TEST_CASE("what a follower gets on with does not cost raft.db a job each time") {
  LaggingFollowerTest it;
  for (int write = 0; write < 20; ++write) it.ask({"SET", "k", "1"});
  it.see(kFloor);
  it.see(kFloor);
  it.flush({});
  it.compact();
  const raft::Raft& raft = it.test.node->raft();
  int jobs = 0;
  for (int entry = 20; entry > 0; --entry) {
    raft::AppendEntriesReply reply;
    reply.accepted = true;
    reply.match = reply.previous_index = raft.last().index - static_cast<raft::Index>(entry);
    it.test.node->on_message({.from = 2, .to = 1, .term = raft.term(), .body = reply});
    it.test.turn();
    jobs += static_cast<int>(it.test.disk.compactions.size());
    it.compact();
  }
  CHECK(jobs <= 1);
  it.peers.ticks(ticks_in(600));
  CHECK(it.test.disk.compactions.size() == 1);
}

TEST_CASE("a follower that takes nothing does not keep a low disk low: its log is dropped after a while") {
  LaggingFollowerTest it;
  it.see(0);
  it.see(0);
  it.flush({});
  const raft::Index last = it.test.node->raft().last().index;
  CHECK(it.had() < last);
  it.wait(AwaitedFollowers::kPatienceUs / 1000 + 1000, 0);
  CHECK(it.had() == last);
  CHECK(it.is_low());
  it.see(2 * kFloor);
  CHECK(!it.is_low());
}

TEST_CASE("a follower that is short keeps the window, as it may lead next, and one that is low the end of it") {
  FloorTest it(3);
  CHECK(it.ask({"SET", "k", "1"}) == "+OK\r\n");
  it.peers.answering.clear();
  it.test.lose_leadership_to(2);
  it.compact();
  it.see(kFloor);
  it.see(kFloor);
  it.flush({});
  REQUIRE(it.test.node->raft().role() != raft::Role::kLeader);
  REQUIRE(!it.test.disk.compactions.empty());
  for (const FakeLogDisk::Compaction& each : it.test.disk.compactions) {
    CHECK(each.drop.had_through == 0);
    CHECK(each.drop.bytes_kept == it.test.options.log_window);
    CHECK(each.drop.bytes_max == UINT64_MAX);
  }
  it.compact();
  it.see(0);
  it.see(0);
  REQUIRE(!it.test.disk.compactions.empty());
  const storage::LogDrop drop = it.test.disk.compactions.back().drop;
  CHECK(drop.through > 1);
  CHECK(drop.had_through == 0);
  CHECK(drop.bytes_kept == it.test.options.log_window);
  CHECK(drop.bytes_max == kFloor / 2);
}

}  // namespace
}  // namespace leto::server::test
