// A keys file that is copied and received in fair weather, and what a receiver refuses.
#include "storage/snapshot_file.h"

#include <doctest/doctest.h>

#include "base/crc32c.h"
#include "keyspace/keyspace.h"
#include "storage/key_tables.h"
#include "storage/load.h"
#include "storage/vfs_file.h"
#include "tests/storage/support.h"

namespace leto::storage {

namespace {

using keyspace::Keyspace;
using keyspace::StateHeader;

constexpr size_t kStep = 8 << 10;

void set(Keyspace& keys, const std::string& key, std::string bytes, uint64_t index) {
  keys.set(0, key, {.value = keyspace::make_string(std::move(bytes)), .version = {.index = index, .position = 0}});
}

StateHeader header_of(const Keyspace& keys, uint64_t index) {
  return {.applied_index = index, .applied_term = 2, .configuration = "who", .configuration_index = 1,
          .digest = keys.digest(), .semantics_level = 2};
}

void must_flush_all(KeyStore& store, Keyspace& keys, uint64_t index) {
  const base::Status status = store.flush(keys.freeze(header_of(keys, index)), {.index = index + 100, .term = 9});
  REQUIRE_MESSAGE(status.is_ok(), status.text());
}

void fill(Keyspace& keys, uint64_t index) {
  for (int i = 0; i < 200; ++i) set(keys, "key " + std::to_string(i), std::string(100, 'v'), index);
  set(keys, "large", std::string(kInlineBytesMax * 2, 'l'), index);
}

std::unique_ptr<SnapshotSource> open_source(const TestDisk& disk) {
  base::Result<std::unique_ptr<SnapshotSource>> source =
      SnapshotSource::open({.directory = "/disk", .vfs = disk.name(), .generation = 1, .number = 3});
  REQUIRE_MESSAGE(source.is_ok(), source.status().text());
  return std::move(source.value());
}

// How many steps it took.
size_t copy_all(SnapshotSource& source) {
  for (size_t steps = 1;; ++steps) {
    const SnapshotStep step = source.step(kStep);
    REQUIRE_MESSAGE(step.status.is_ok(), step.status.text());
    if (step.done) return steps;
  }
}

// A whole copy of a keys file at entry 50, which nobody has open.
std::unique_ptr<SnapshotSource> copied_source(const TestDisk& disk) {
  Keyspace keys;
  fill(keys, 1);
  {
    const auto store = open_keys(disk);
    must_flush_all(*store, keys, 50);
  }
  auto source = open_source(disk);
  copy_all(*source);
  return source;
}

std::unique_ptr<SnapshotTarget> open_target(const TestDisk& disk, uint64_t size) {
  base::Result<std::unique_ptr<SnapshotTarget>> target =
      SnapshotTarget::open({.directory = "/other", .vfs = disk.name(), .generation = 2, .size = size});
  REQUIRE_MESSAGE(target.is_ok(), target.status().text());
  return std::move(target.value());
}

void send(SnapshotSource& source, SnapshotTarget& target) {
  while (target.offset() < source.size()) {
    base::Result<std::string> bytes = source.read(target.offset(), 5000);
    REQUIRE_MESSAGE(bytes.is_ok(), bytes.status().text());
    REQUIRE(target.append(bytes.value()).is_ok());
  }
}

struct Finished {
  std::string error;
  Keyspace keys;
  StateHeader header;
};

Finished finish(SnapshotTarget& target, raft::EntryId last, uint32_t checksum) {
  Finished finished;
  const base::Status status =
      target.finish({.last = last, .checksum = checksum, .term = 7}, finished.keys, finished.header);
  if (!status.is_ok()) finished.error = status.text();
  return finished;
}

}  // namespace

TEST_CASE("a keys file is copied while its owner goes on, and received with keys, header and a witness of its own") {
  TestDisk disk("snapshot_round");
  const auto store = open_keys(disk);
  Keyspace keys;
  fill(keys, 1);
  must_flush_all(*store, keys, 50);
  const keyspace::Digest digest = keys.digest();
  const auto source = open_source(disk);
  CHECK_FALSE(source->step(kStep).done);
  // What is committed meanwhile is not in the copy, and does not make it begin again.
  fill(keys, 2);
  must_flush_all(*store, keys, 60);
  REQUIRE(store->checkpoint().is_ok());
  CHECK(copy_all(*source) > 10);
  CHECK(source->header().applied_index == 50);
  CHECK(source->header().digest == digest);
  const auto target = open_target(disk, source->size());
  send(*source, *target);
  Finished finished = finish(*target, {.term = 2, .index = 50}, source->checksum());
  REQUIRE(finished.error == "");
  CHECK(finished.header.applied_index == 50);
  CHECK(finished.header.configuration == "who");
  CHECK(finished.header.semantics_level == 2);
  CHECK(finished.keys.recompute_digest() == digest);
  CHECK(finished.keys.dirty_keys() == 0);
  base::Result<std::unique_ptr<KeyStore>> received =
      KeyStore::open({.directory = "/other", .vfs = disk.name(), .generation = 2});
  REQUIRE(received.is_ok());
  CHECK(received.value()->witness().index == 50);
  CHECK(received.value()->witness().term == 7);
  Keyspace loaded;
  CHECK(load_keyspace(*received.value(), loaded).is_ok());
  CHECK_FALSE(disk.had_two_writers());
}

TEST_CASE("what arrives damaged, short, or as another snapshot than announced is refused by name and removed") {
  TestDisk disk("snapshot_refused");
  const auto source = copied_source(disk);
  const raft::EntryId last{.term = 2, .index = 50};
  const std::string name = "/other/keys-2.db";
  SUBCASE("a flipped bit in the file") {
    const auto target = open_target(disk, source->size());
    send(*source, *target);
    disk.flip_bit(name, disk.contents(name).find("vvvv"), 0);
    CHECK(contains(finish(*target, last, source->checksum()).error, name + ": damaged: the snapshot's checksum is"));
  }
  SUBCASE("a flipped bit that the sender had summed up, too") {
    const auto target = open_target(disk, source->size());
    send(*source, *target);
    // Some of the places are unused parts of pages.
    const std::string value(100, 'v');
    for (size_t at = 0; (at = disk.contents(name).find(value, at)) != std::string::npos; ++at) {
      disk.flip_bit(name, at, 0);
    }
    const uint32_t checksum = base::crc32c(disk.contents(name));
    CHECK(contains(finish(*target, last, checksum).error, name + ": damaged: key "));
  }
  SUBCASE("the end before all bytes") {
    const auto target = open_target(disk, source->size());
    REQUIRE(target->append(source->read(0, 10000).value()).is_ok());
    CHECK(contains(finish(*target, last, source->checksum()).error, name + ": it has 10000 bytes of "));
  }
  SUBCASE("another entry than the last included") {
    const auto target = open_target(disk, source->size());
    send(*source, *target);
    CHECK(contains(finish(*target, {.term = 2, .index = 49}, source->checksum()).error,
                   "it holds the keys at entry 50 of term 2, announced were those at 49 of term 2"));
  }
  SUBCASE("no database at all") {
    const auto target = open_target(disk, 8192);
    const std::string bytes(8192, 'x');
    REQUIRE(target->append(bytes).is_ok());
    CHECK(contains(finish(*target, last, base::crc32c(bytes)).error, name + ": not a database"));
  }
  SUBCASE("an empty database") {
    const auto target = open_target(disk, 1);
    REQUIRE(target->append("").is_ok());
    CHECK_FALSE(finish(*target, last, 0).error.empty());
  }
  CHECK_FALSE(disk.exists(name));
  CHECK_FALSE(disk.exists(name + "-wal"));
}

TEST_CASE("a snapshot that arrived whole stays, unless it is discarded as it is not needed any more") {
  TestDisk disk("snapshot_not_needed");
  const auto source = copied_source(disk);
  for (const bool is_needed : {true, false}) {
    auto target = open_target(disk, source->size());
    send(*source, *target);
    REQUIRE(finish(*target, {.term = 2, .index = 50}, source->checksum()).error.empty());
    if (!is_needed) target->discard();
    target.reset();
    CHECK(disk.exists("/other/keys-2.db") == is_needed);
  }
}

TEST_CASE("no more is written than was announced, and no size is believed that no keys file has") {
  TestDisk disk("snapshot_bounds");
  for (const uint64_t size : {uint64_t{0}, kSnapshotBytesMax + 1}) {
    CHECK_FALSE(
        SnapshotTarget::open({.directory = "/other", .vfs = disk.name(), .generation = 2, .size = size}).is_ok());
  }
  const auto target = open_target(disk, 100);
  REQUIRE(target->append(std::string(60, 'a')).is_ok());
  CHECK_FALSE(target->append(std::string(41, 'b')).is_ok());
  CHECK(target->offset() == 60);
  CHECK(disk.contents("/other/keys-2.db").size() == 60);
  CHECK(target->append(std::string(40, 'b')).is_ok());
  CHECK_FALSE(target->append("c").is_ok());
  target->discard();
  CHECK_FALSE(disk.exists("/other/keys-2.db"));
  CHECK(disk.open_files() == 0);   // A file that is open takes up its room although it is removed.
}

TEST_CASE("bytes that a full disk did not take may be appended again") {
  TestDisk disk("snapshot_full");
  const auto target = open_target(disk, 100);
  disk.add_fault({.at = 1, .kinds = operations(Operation::kWrite), .effect = Effect::kShortWrite});
  CHECK_FALSE(target->append(std::string(100, 'a')).is_ok());
  CHECK(target->offset() == 0);
  CHECK(target->append(std::string(100, 'b')).is_ok());
  CHECK(disk.contents("/other/keys-2.db") == std::string(100, 'b'));
}

TEST_CASE("an earlier file of the generation, and its WAL, are gone before the new one is written") {
  TestDisk disk("snapshot_stale");
  Keyspace keys;
  set(keys, "stale", "x", 1);
  {
    base::Result<std::unique_ptr<KeyStore>> stale =
        KeyStore::open({.directory = "/other", .vfs = disk.name(), .generation = 2});
    REQUIRE(stale.is_ok());
    must_flush_all(*stale.value(), keys, 5);
  }
  CHECK(disk.exists("/other/keys-2.db-wal"));
  const auto target = open_target(disk, 100);
  CHECK_FALSE(disk.exists("/other/keys-2.db-wal"));
  CHECK(disk.contents("/other/keys-2.db").empty());
}

TEST_CASE("a copy that is given up leaves nothing, and lets go of the WAL") {
  TestDisk disk("snapshot_given_up");
  const auto store = open_keys(disk);
  Keyspace keys;
  fill(keys, 1);
  must_flush_all(*store, keys, 50);
  {
    const auto source = open_source(disk);
    CHECK_FALSE(source->step(kStep).done);
    CHECK(disk.exists("/disk/snapshot-3.spool"));
  }
  CHECK_FALSE(disk.exists("/disk/snapshot-3.spool"));
  REQUIRE(store->checkpoint().is_ok());
  // All of the WAL was copied: the next flush begins it anew.
  const size_t before = disk.contents("/disk/keys-1.db-wal").size();
  for (uint64_t i = 2; i < 6; ++i) {
    set(keys, "a", "b", i);
    must_flush_all(*store, keys, 50 + i);
  }
  CHECK(disk.contents("/disk/keys-1.db-wal").size() == before);
}

TEST_CASE("a finished copy no longer holds the keys file, and is read in any order") {
  TestDisk disk("snapshot_done");
  const auto store = open_keys(disk);
  Keyspace keys;
  fill(keys, 1);
  must_flush_all(*store, keys, 50);
  const auto source = open_source(disk);
  copy_all(*source);
  const std::string whole = disk.contents("/disk/snapshot-3.spool");
  CHECK(source->size() == whole.size());
  CHECK(source->checksum() == base::crc32c(whole));
  CHECK(source->read(5000, 100).value() == whole.substr(5000, 100));
  CHECK(source->read(0, 100).value() == whole.substr(0, 100));
  CHECK(source->read(whole.size() - 10, 100).value() == whole.substr(whole.size() - 10));
  CHECK(source->read(whole.size(), 100).value().empty());
  // Closing the owner while the copy lives asserts in SQLite's own bookkeeping if something is held.
  CHECK(store->close().is_ok());
}

TEST_CASE("of keys files and spools only the current keys file is left") {
  TestDisk disk("snapshot_removal");
  for (const char* path : {"/d/keys-4.db", "/d/keys-4.db-wal", "/d/keys-5.db", "/d/keys-5.db-wal", "/d/keys-6.db",
                           "/d/keys-6.db-wal", "/d/keys-6.db-shm", "/d/snapshot-0.spool", "/d/snapshot-63.spool",
                           "/d/raft.db"}) {
    disk.set_contents(path, "x");
  }
  // As they are when the disk was full at once.
  for (const char* path : {"/d/keys-3.db", "/d/keys-7.db-wal", "/d/snapshot-1.spool"}) disk.set_contents(path, "");
  remove_other_generations("/d", disk.name(), 5);
  CHECK(disk.paths() == std::vector<std::string>{"/d/keys-5.db", "/d/keys-5.db-wal", "/d/raft.db"});
}

}  // namespace leto::storage
