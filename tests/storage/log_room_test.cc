// raft.db where room is short: what is given away and when it is made again, what the log has left, and how it is dropped to
// its end.
#include "storage/log_store.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "tests/storage/log_entries.h"
#include "tests/storage/support.h"

namespace leto::storage {

// --- Ballast -------------------------------------------------------------------------------------------

TEST_CASE("a full disk is given the ballast, and the job is run with its room") {
  TestDisk disk("log_ballast");
  LogStoreOptions options = small_log(disk);
  options.ballast_bytes = 100000;
  const auto store = open_log(options);
  CHECK(store->counters().has_ballast);
  CHECK(disk.contents("/disk/ballast").size() == 100000);
  disk.add_fault({.at = 1, .kinds = operations(Operation::kWrite), .effect = Effect::kFull, .path_part = "raft.db"});
  must_write(*store, {append(run(1, 1, 3))});
  CHECK_FALSE(disk.exists("/disk/ballast"));
  CHECK_FALSE(store->counters().has_ballast);
  // Nothing is left to give: the next time the job waits.
  disk.add_fault({.at = 1, .kinds = operations(Operation::kWrite), .effect = Effect::kFull, .path_part = "raft.db"});
  CHECK(store->write({append(run(1, 4, 4))}) == WriteResult::kFull);
  must_write(*store, {append(run(1, 4, 4))});
  CHECK(text_of(*store, 3, 9) == "1.3=value 3 1.4=value 4 ");
  REQUIRE(store->checkpoint().is_ok());
  CHECK_FALSE(store->counters().has_ballast);
  REQUIRE(store->look_at_room({}).is_ok());
  CHECK(store->counters().has_ballast);
  CHECK(disk.contents("/disk/ballast").size() == 100000);
}

TEST_CASE("the ballast is given away when that is wished for, and made again where there is room for more than it") {
  TestDisk disk("log_ballast_wish");
  uint64_t free = 1 << 20;
  LogStoreOptions options = small_log(disk);
  options.ballast_bytes = 100000;
  options.free_bytes = [&free](const std::string& directory) {
    CHECK(directory == "/disk");
    return base::Result<uint64_t>(free);
  };
  const auto store = open_log(options);
  REQUIRE(store->counters().has_ballast);
  free = 0;
  CHECK(store->look_at_room({.ballast = BallastWish::kGiveAway}).value().free == 0);
  CHECK_FALSE(store->counters().has_ballast);
  CHECK_FALSE(disk.exists("/disk/ballast"));
  free = 200499;
  REQUIRE(store->look_at_room({.beside_ballast = 500}).is_ok());
  CHECK_FALSE(store->counters().has_ballast);
  free = 200500;
  REQUIRE(store->look_at_room({.ballast = BallastWish::kLeave, .beside_ballast = 500}).is_ok());
  CHECK_FALSE(store->counters().has_ballast);
  REQUIRE(store->look_at_room({.beside_ballast = 500}).is_ok());
  CHECK(store->counters().has_ballast);
}

TEST_CASE("the room of the log is free disk and unused pages, less what is in the WAL alone") {
  TestDisk disk("log_room");
  LogStoreOptions options = small_log(disk);
  options.free_bytes = [](const std::string&) { return base::Result<uint64_t>(uint64_t{1000000}); };
  const auto store = open_log(options);
  const LogRoom empty = store->look_at_room({}).value();
  CHECK(empty.unused == 0);
  CHECK(empty.owed == 0);
  for (raft::Index index = 1; index <= 40; ++index) {
    const raft::Entry entry{.id = {.term = 1, .index = index}, .kind = raft::EntryKind::kCommands,
                            .payload = std::make_shared<const std::string>(10000, 'e')};
    must_write(*store, {{.append = {entry}}});
  }
  const LogRoom written = store->look_at_room({}).value();
  CHECK(written.owed >= 40 * 10000);
  CHECK(written.total() <= 1000000 - 40 * 10000);
  const LogRoom copied = store->look_at_room({.is_short = true}).value();
  CHECK(copied.owed == 0);
  CHECK(copied.total() == 1000000);
  for (int part = 0; part < 5; ++part) REQUIRE(store->compact(40).is_ok());
  CHECK(store->counters().segments == 0);
  const LogRoom dropped = store->look_at_room({}).value();
  CHECK(dropped.unused >= 40 * 10000);
  CHECK(dropped.total() == 1000000 + dropped.unused);
}

TEST_CASE("a look at the room that cannot be had is an error, and hurts nothing") {
  TestDisk disk("log_no_look");
  LogStoreOptions options = small_log(disk);
  options.free_bytes = [](const std::string&) -> base::Result<uint64_t> { return base::Status::error("no such disk"); };
  const auto store = open_log(options);
  CHECK(store->look_at_room({}).status().text() == "no such disk");
  must_write(*store, {append(run(1, 1, 3))});
}

TEST_CASE("a ballast is made only where as much room again is left") {
  TestDisk disk("log_ballast_room");
  LogStoreOptions options = small_log(disk);
  options.ballast_bytes = 100000;
  // Of its writes of 64 KiB the first two hold it, the fourth would be the end of twice its size.
  disk.add_fault({.at = 4, .kinds = operations(Operation::kWrite), .effect = Effect::kFull, .path_part = "ballast"});
  const auto store = open_log(options);
  CHECK(disk.times_reached(Effect::kFull) == 1);
  CHECK_FALSE(store->counters().has_ballast);
  CHECK_FALSE(disk.exists("/disk/ballast"));
  disk.add_fault({.at = 1, .kinds = operations(Operation::kWrite), .effect = Effect::kFull, .path_part = "ballast"});
  CHECK(store->look_at_room({}).value().ballast_failed);
  CHECK_FALSE(store->look_at_room({}).value().ballast_failed);
  CHECK(store->counters().has_ballast);
}

TEST_CASE("a start makes no ballast, and grows the WAL but a little, where that leaves less than is to be spared") {
  constexpr uint64_t kSpare = 300000, kBallast = 100000, kWal = 1 << 20;
  for (const uint64_t free : {kBallast + kSpare - 1, kBallast + kSpare, 2 * kWal - 1, 2 * kWal}) {
    TestDisk disk("log_start_room");
    LogStoreOptions options = small_log(disk);
    options.wal_bytes = kWal;
    options.ballast_bytes = kBallast;
    options.spare_bytes = kSpare;
    options.free_bytes = [free](const std::string&) { return base::Result<uint64_t>(free); };
    const auto store = open_log(options);
    CHECK(store->counters().has_ballast == (free >= kBallast + kSpare));
    const size_t wal_bytes = disk.contents("/disk/raft.db-wal").size();
    CHECK((wal_bytes >= kWal) == (free >= 2 * kWal));
    // It is there all the same, so that it is missed when it is gone.
    CHECK(wal_bytes >= 64 << 10);
    must_write(*store, {append(run(1, 1, 3))});
  }
}

TEST_CASE("a ballast of a process before is taken over if it is whole, whatever room there is, and else it goes") {
  TestDisk disk("log_ballast_found");
  uint64_t free = 1 << 20;
  LogStoreOptions options = small_log(disk);
  options.ballast_bytes = 100000;
  options.free_bytes = [&free](const std::string&) { return base::Result<uint64_t>(free); };
  REQUIRE(open_log(options)->close().is_ok());
  REQUIRE(disk.exists("/disk/ballast"));
  free = 0;
  {
    const auto store = open_log(options);
    CHECK(store->counters().has_ballast);
    REQUIRE(store->close().is_ok());
  }
  options.ballast_bytes = 99999;
  {
    const auto store = open_log(options);
    CHECK_FALSE(store->counters().has_ballast);
    CHECK_FALSE(disk.exists("/disk/ballast"));
    free = 1 << 20;
    REQUIRE(store->look_at_room({}).is_ok());
    CHECK(disk.contents("/disk/ballast").size() == 99999);
    REQUIRE(store->close().is_ok());
  }
}

TEST_CASE("a large ballast is made in parts, and goes if there is no room for the rest") {
  TestDisk disk("log_ballast_parts");
  constexpr uint64_t kStep = 32 << 20;
  uint64_t free = 0;
  LogStoreOptions options = small_log(disk);
  options.ballast_bytes = kStep;
  options.free_bytes = [&free](const std::string&) { return base::Result<uint64_t>(free); };
  const auto store = open_log(options);
  const auto look = [&](uint64_t free_now) {
    free = free_now;
    const LogRoom room = store->look_at_room({.beside_ballast = 500}).value();
    CHECK_FALSE(room.ballast_failed);
    return store->counters().has_ballast;
  };
  CHECK_FALSE(look(2 * kStep + 500));
  CHECK(disk.contents("/disk/ballast").size() == kStep);
  // What is written of it is not missing any more.
  CHECK_FALSE(look(kStep + 499));
  CHECK_FALSE(disk.exists("/disk/ballast"));
  CHECK_FALSE(look(2 * kStep + 500));
  CHECK(look(kStep + 500));
  CHECK(disk.contents("/disk/ballast").size() == kStep);
  CHECK(look(0));
  REQUIRE(store->look_at_room({.ballast = BallastWish::kGiveAway}).is_ok());
  CHECK_FALSE(disk.exists("/disk/ballast"));
}

// --- Compaction ------------------------------------------------------------------------------------------

TEST_CASE("short of room the last segment goes, too, if nothing of it is to be kept, and the log goes on behind its base") {
  TestDisk disk("log_compact_all");
  {
    const auto store = open_log(small_log(disk));
    LogWrite write = append(run(3, 1, 11));
    write.append.push_back(make_configuration_entry(3, 12, 1));
    must_write(*store, {write});
    REQUIRE(store->look_at_room({.is_short = true}).is_ok());
    CHECK(store->compact(11).value().index == 8);
    CHECK(store->compact({.through = 12, .bytes_kept = 1}).value().index == 8);
    CHECK(store->counters().segments == 1);
    CHECK(store->compact({.through = 12, .bytes_kept = 1, .had_through = 11}).value().index == 8);
    CHECK(store->compact({.through = 12, .bytes_kept = 1, .had_through = 12}).value() == raft::EntryId{.term = 3, .index = 12});
    CHECK(store->counters().segments == 0);
    CHECK(store->counters().log_bytes == 0);
    CHECK(store->compact(12).value().index == 12);
    REQUIRE(store->close().is_ok());
  }
  {
    const auto store = open_log(small_log(disk));
    CHECK(store->recovered().base == raft::EntryId{.term = 3, .index = 12});
    CHECK(store->recovered().last == raft::EntryId{.term = 3, .index = 12});
    CHECK(store->recovered().terms.empty());
    CHECK(store->recovered().configurations.empty());
    must_write(*store, {append(run(3, 13, 14))});
    // Not any more.
    CHECK(store->compact(14).value().index == 12);
    REQUIRE(store->close().is_ok());
  }
  const auto store = open_log(small_log(disk));
  CHECK(text_of(*store, 13, 14) == "3.13=value 13 3.14=value 14 ");
}

TEST_CASE("of the window what nobody lacks may go, and of what somebody lacks only what is beyond the window") {
  TestDisk disk("log_compact_had");
  const auto store = open_log(small_log(disk));
  must_write(*store, {append(run(3, 1, 40))});
  const uint64_t all = store->counters().log_bytes;
  CHECK(store->compact({.through = 40, .bytes_kept = all}).value().index == 0);
  CHECK(store->compact({.through = 40, .bytes_kept = all, .had_through = 17}).value().index == 16);
  CHECK(store->compact({.through = 15, .bytes_kept = all, .had_through = 40}).value().index == 16);
  const uint64_t rest = store->counters().log_bytes;
  CHECK(store->compact({.through = 40, .bytes_kept = rest - 1, .had_through = 17}).value().index == 16);
  CHECK(store->compact({.through = 40, .bytes_kept = rest / 2, .had_through = 17}).value().index > 16);
}

TEST_CASE("of the window no more is kept than there may be, and nothing if the last segment alone is more") {
  TestDisk disk("log_compact_max");
  const auto store = open_log(small_log(disk));
  must_write(*store, {append(run(3, 1, 40))});
  REQUIRE(store->look_at_room({.is_short = true}).is_ok());
  const uint64_t all = store->counters().log_bytes;
  CHECK(store->compact({.through = 40, .bytes_kept = all, .bytes_max = all}).value().index == 0);
  CHECK(store->compact({.through = 40, .bytes_kept = all, .bytes_max = all - 1}).value().index == 8);
  CHECK(store->compact({.through = 15, .bytes_kept = all, .bytes_max = 1}).value().index == 8);
  CHECK(store->compact({.through = 40, .bytes_kept = all, .bytes_max = all / 2}).value().index > 16);
  CHECK(store->compact({.through = 40, .bytes_kept = all, .bytes_max = 1}).value().index == 40);
}

TEST_CASE("short of room a segment ends early, so that it can be dropped early") {
  TestDisk disk("log_short_segments");
  LogStoreOptions options = small_log(disk);
  options.segment_entries_max = 1000;
  options.segment_bytes_max = 64 << 20;
  const auto store = open_log(options);
  const auto append_large = [&](raft::Index index) {
    const raft::Entry entry{.id = {.term = 1, .index = index}, .kind = raft::EntryKind::kCommands,
                            .payload = std::make_shared<const std::string>(kShortSegmentBytes, 'e')};
    must_write(*store, {{.append = {entry}}});
  };
  for (raft::Index index = 1; index <= 3; ++index) append_large(index);
  CHECK(store->counters().segments == 1);
  REQUIRE(store->look_at_room({.is_short = true}).is_ok());
  append_large(4);
  CHECK(store->counters().segments == 2);
  CHECK(store->compact(3).value().index == 3);
}

}  // namespace leto::storage
