#include "server/uv_disk.h"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/server/loop_fixture.h"

namespace leto::server {
namespace {

using test::wait_for_condition;

// A log store that notes who calls what, and holds its jobs while told to.
class FakeLogStore final : public storage::LogStore {
 public:
  std::optional<storage::Identity> identity() const override { return std::nullopt; }
  base::Status set_identity(const storage::Identity&) override { return {}; }
  raft::Recovered recovered() const override { return {}; }
  base::Status reset(const storage::Identity&) override { return {}; }
  storage::WriteResult write(const std::vector<storage::LogWrite>&) override {
    note("write");
    ++commits;
    return result;
  }
  base::Result<std::vector<raft::Entry>> read(raft::Index from, raft::Index, size_t) override {
    note("read" + std::to_string(from));
    return std::vector<raft::Entry>{};
  }
  base::Result<raft::EntryId> compact(const storage::LogDrop& drop) override {
    note("compact" + std::to_string(drop.through));
    return raft::EntryId{.term = 1, .index = drop.through};
  }
  base::Result<storage::LogRoom> look_at_room(const storage::RoomWish& wish) override {
    note(wish.is_short ? "look-short" : "look");
    return storage::LogRoom{.free = 7};
  }
  bool checkpoint_due() const override { return frames >= 10; }
  base::Status checkpoint() override {
    note("checkpoint");
    frames = 0;
    return {};
  }
  storage::LogStoreCounters counters() const override { return {.commits = commits, .wal_frames = frames}; }
  base::Status close() override { return {}; }

  void note(const std::string& call) {
    on_loop_thread = std::this_thread::get_id() == loop_thread;
    calls += call + " ";
    std::unique_lock lock(mutex);
    released.wait(lock, [this] { return !held; });
  }
  void hold() { held = true; }
  void release() {
    {
      const std::lock_guard lock(mutex);
      held = false;
    }
    released.notify_all();
  }

  std::thread::id loop_thread = std::this_thread::get_id();
  storage::WriteResult result = storage::WriteResult::kDurable;
  std::string calls;
  uint64_t commits = 0;
  uint64_t frames = 0;
  bool on_loop_thread = false;

 private:
  std::mutex mutex;
  std::condition_variable released;
  bool held = false;
};

struct DiskUnderTest {
  static constexpr uint64_t kCheckpointFrames = 10;
  DiskUnderTest() {
    loop.start({.turn = [this] { disk.on_turn_end(); }, .tick = nullptr});
  }
  void write() {
    disk.write({}, false, [this](storage::WriteResult result) {
      ++written;
      last_result = result;
    });
  }
  bool write_now() {
    storage::WriteResult result{};
    return disk.write_now({}, result);
  }
  // Whether the loop comes to write itself, however slow the machine made a few commits before.
  bool becomes_fast() {
    return wait_for_condition(loop, [this] {
      if (write_now()) return true;
      if (disk.quiet()) write();
      return false;
    });
  }
  bool wait_quiet() {
    return wait_for_condition(loop, [this] { return disk.quiet(); });
  }
  Loop loop;
  FakeLogStore store;
  UvLogDisk disk{loop, store, kCheckpointFrames};
  int written = 0;
  storage::WriteResult last_result = storage::WriteResult::kDurable;
};

TEST_CASE("a write runs in a worker and is announced on the loop, with what became of it") {
  DiskUnderTest it;
  it.store.result = storage::WriteResult::kFull;
  it.write();
  CHECK(it.disk.busy());
  CHECK(it.written == 0);
  REQUIRE(it.wait_quiet());
  CHECK(it.written == 1);
  CHECK(it.last_result == storage::WriteResult::kFull);
  CHECK_FALSE(it.store.on_loop_thread);
  CHECK(it.disk.counters().commits == 1);
  CHECK(it.disk.times().commits == 1);
}

TEST_CASE("reads and writes take turns, so that neither starves") {
  DiskUnderTest it;
  it.store.hold();
  it.write();
  int reads = 0;
  const auto read = [&](base::Result<std::vector<raft::Entry>> entries) { reads += entries.is_ok(); };
  it.disk.read({.from = 1}, read);
  it.disk.read({.from = 2}, read);
  uv_run(it.loop.uv(), UV_RUN_NOWAIT);
  CHECK(reads == 0);
  it.store.release();
  REQUIRE(wait_for_condition(it.loop, [&] { return it.written == 1; }));
  it.write();   // Accepted though a read is under way.
  CHECK(it.disk.busy());
  REQUIRE(it.wait_quiet());
  CHECK(reads == 2);
  CHECK(it.written == 2);
  CHECK(it.store.calls == "write read1 write read2 ");
}

TEST_CASE("a read waits for the end of the turn, so that a write of the same turn goes first") {
  DiskUnderTest it;
  it.disk.read({.from = 7}, [](auto) {});
  it.write();
  REQUIRE(it.wait_quiet());
  CHECK(it.store.calls == "write read7 ");
}

TEST_CASE("a look at the room is a job of its own, behind the write of the turn and before the next one") {
  DiskUnderTest it;
  uint64_t free = 0;
  it.disk.look_at_room({.is_short = true}, [&](base::Result<storage::LogRoom> room) { free = room.value().free; });
  CHECK_FALSE(it.disk.quiet());
  it.write();
  REQUIRE(wait_for_condition(it.loop, [&] { return it.written == 1; }));
  it.write();
  REQUIRE(it.wait_quiet());
  CHECK(free == 7);
  CHECK(it.store.calls == "write look-short write ");
}

TEST_CASE("a checkpoint waits for an idle moment") {
  DiskUnderTest it;
  it.store.frames = DiskUnderTest::kCheckpointFrames;
  it.write();
  REQUIRE(it.wait_quiet());
  it.write();
  REQUIRE(it.wait_quiet());
  CHECK(it.store.calls == "write write ");
  Timer idle(it.loop);
  bool waited = false;
  idle.start(UvLogDisk::kIdleUs / 1000 + 5, [&] { waited = true; });
  REQUIRE(wait_for_condition(it.loop, [&] { return waited && it.disk.quiet() && it.store.frames == 0; }));
  CHECK(it.store.calls == "write write checkpoint ");
}

TEST_CASE("far past its limit a checkpoint goes before the next write, however many there are") {
  DiskUnderTest it;
  it.store.frames = DiskUnderTest::kCheckpointFrames * UvLogDisk::kForcedCheckpointFactor;
  int left = 3;
  std::function<void(storage::WriteResult)> next = [&](storage::WriteResult) {
    if (--left > 0) it.disk.write({}, false, next);
  };
  it.disk.write({}, false, next);
  REQUIRE(wait_for_condition(it.loop, [&] { return left == 0 && it.disk.quiet(); }));
  CHECK(it.store.calls == "write checkpoint write write ");
}

TEST_CASE("a write with a vote goes before any checkpoint") {
  DiskUnderTest it;
  it.store.frames = DiskUnderTest::kCheckpointFrames * UvLogDisk::kForcedCheckpointFactor;
  bool voted = false;
  it.disk.write({}, false, [&](storage::WriteResult) {
    it.disk.write({}, true, [&](storage::WriteResult) { voted = true; });
  });
  REQUIRE(wait_for_condition(it.loop, [&] { return voted && it.store.frames == 0 && it.disk.quiet(); }));
  CHECK(it.store.calls == "write write checkpoint ");
}

TEST_CASE("a checkpoint after a vote waits until the vote was announced") {
  DiskUnderTest it;
  it.store.frames = DiskUnderTest::kCheckpointFrames * UvLogDisk::kForcedCheckpointFactor;
  std::string calls_at_announcement;
  it.disk.write({}, true, [&](storage::WriteResult) { calls_at_announcement = it.store.calls; });
  REQUIRE(wait_for_condition(it.loop, [&] { return it.store.frames == 0 && it.disk.quiet(); }));
  CHECK(calls_at_announcement == "write ");
  CHECK(it.store.calls == "write checkpoint ");
}

TEST_CASE("no checkpoint begins once the end has begun") {
  DiskUnderTest it;
  it.store.frames = DiskUnderTest::kCheckpointFrames * UvLogDisk::kForcedCheckpointFactor;
  it.disk.end_checkpoints();
  it.write();
  REQUIRE(it.wait_quiet());
  for (int turn = 0; turn < 3; ++turn) uv_run(it.loop.uv(), UV_RUN_NOWAIT);
  CHECK(it.store.calls == "write ");
}

TEST_CASE("the loop itself writes only once the disk is known to be fast, and only if nothing waits") {
  DiskUnderTest it;
  for (uint64_t commit = 0; commit < UvLogDisk::kCommitsMeasuredMin; ++commit) {
    CHECK_FALSE(it.write_now());
    it.write();
    REQUIRE(it.wait_quiet());
  }
  CHECK(it.becomes_fast());
  CHECK(it.store.on_loop_thread);
  it.disk.set_sync_delay(1);
  CHECK_FALSE(it.write_now());
  it.disk.set_sync_delay(0);
  it.disk.read({.from = 1}, [](auto) {});
  CHECK_FALSE(it.write_now());
  REQUIRE(it.wait_quiet());
}

TEST_CASE("what is long is not written by the loop itself, however fast the disk was") {
  DiskUnderTest it;
  REQUIRE(it.becomes_fast());
  const auto payload = std::make_shared<const std::string>(UvLogDisk::kLoopWriteBytesMax + 1, 'p');
  storage::LogWrite write;
  write.append.push_back({.id = {.term = 1, .index = 1}, .payload = payload});
  storage::WriteResult result{};
  CHECK_FALSE(it.disk.write_now({write}, result));
  CHECK(it.becomes_fast());
}

TEST_CASE("a delayed commit counts as slow, and the loop keeps its hands off the disk for a while") {
  DiskUnderTest it;
  REQUIRE(it.becomes_fast());
  const uint64_t begin_us = it.loop.monotonic_us();
  it.disk.set_sync_delay(6);
  it.write();
  REQUIRE(it.wait_quiet());
  CHECK(it.loop.monotonic_us() - begin_us >= 6000);
  CHECK(it.disk.times().last_us >= 6000);
  it.disk.set_sync_delay(0);
  CHECK_FALSE(it.write_now());
}

}  // namespace
}  // namespace leto::server
