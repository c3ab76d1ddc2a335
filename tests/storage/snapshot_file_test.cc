// A keys file that is copied and received in fair weather, and what a receiver refuses.
#include "storage/snapshot_file.h"

#include <doctest/doctest.h>

#include "base/format.h"
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
          .digest = keys.digest()};
}

void must_flush(KeyStore& store, Keyspace& keys, uint64_t index) {
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
  must_flush(*store, keys, 50);
  const keyspace::Digest digest = keys.digest();
  const auto source = open_source(disk);
  CHECK_FALSE(source->step(kStep).done);
  // What is committed meanwhile is not in the copy, and does not make it begin again.
  fill(keys, 2);
  must_flush(*store, keys, 60);
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

}  // namespace leto::storage
