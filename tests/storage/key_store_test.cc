// keys-<generation>.db in fair weather: what a flush wrote is loaded again, and what people see of it.
#include "storage/key_store.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "keyspace/keyspace.h"
#include "storage/load.h"
#include "storage/lost_tail.h"
#include "tests/storage/support.h"

namespace leto::storage {

namespace {

using keyspace::Item;
using keyspace::Keyspace;
using keyspace::StateHeader;

const char* const kFile = "/disk/keys-1.db";

Item item(std::string bytes, uint64_t index = 1, uint32_t position = 0, uint64_t deadline_ms = 0) {
  return {.value = keyspace::make_string(std::move(bytes)),
          .version = {.index = index, .position = position},
          .deadline_ms = deadline_ms};
}

StateHeader header_at(const Keyspace& keys, uint64_t index) {
  return {.applied_index = index,
          .applied_term = 3,
          .cluster_time_ms = 1700000000000,
          .hash_seed = 0xffffffffffffffff,
          .configuration = raft::encode_configuration(make_configuration(3)),
          .configuration_index = 2,
          .digest = keys.digest(),
          .semantics_level = 7};
}

void must_flush(KeyStore& store, Keyspace& keys, uint64_t index) {
  const StateHeader header = header_at(keys, index);
  const base::Status status = store.flush(keys.freeze(header), {.index = index, .term = 3});
  REQUIRE_MESSAGE(status.is_ok(), status.text());
}

base::Status load(KeyStore& store, Keyspace& keys) {
  return store.load([&](uint32_t database, std::string_view key, Item loaded) {
    keys.load(database, key, std::move(loaded));
  });
}

void execute(const TestDisk& disk, const std::string& sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open_v2(kFile, &database, SQLITE_OPEN_READWRITE, disk.name().c_str()) == SQLITE_OK);
  const int code = sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr);
  CHECK_MESSAGE(code == SQLITE_OK, sqlite3_errmsg(database));
  sqlite3_close(database);
}

std::string large_value() {
  std::string bytes(200000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>('a' + i % 23);
  return bytes;
}

}  // namespace

TEST_CASE("a new keys file has a header of zeros and no key") {
  TestDisk disk("keys_new");
  const auto store = open_keys(disk);
  CHECK(store->header().applied_index == 0);
  CHECK(store->header().digest == keyspace::Digest{});
  CHECK(store->header().configuration.empty());
  CHECK(store->witness().index == 0);
  Keyspace keys;
  REQUIRE(load(*store, keys).is_ok());
  CHECK(keys.size() == 0);
}

TEST_CASE("keys of several databases, header and witness are found after a reopen") {
  TestDisk disk("keys_reopen");
  Keyspace keys;
  const std::string binary("\0\xff\n'\"", 5);
  keys.set(0, "a", item("b", 5, 1));
  keys.set(0, "", item("", 6, 4000000000));
  keys.set(0, binary, item(binary, 7, 0, 1800000000000));
  keys.set(15, "a", item("of database 15", 8));
  keys.set(3, "large", item(large_value(), 9));
  keys.set(3, "just fits", item(std::string(64 << 10, 'f'), 10));
  keys.set(3, "just not", item(std::string((64 << 10) + 1, 'n'), 11));
  {
    const auto store = open_keys(disk);
    must_flush(*store, keys, 42);
    REQUIRE(store->close().is_ok());
  }
  const auto store = open_keys(disk);
  const StateHeader header = store->header();
  CHECK(header.applied_index == 42);
  CHECK(header.applied_term == 3);
  CHECK(header.cluster_time_ms == 1700000000000);
  CHECK(header.hash_seed == 0xffffffffffffffff);
  CHECK(header.configuration == raft::encode_configuration(make_configuration(3)));
  CHECK(header.configuration_index == 2);
  CHECK(header.semantics_level == 7);
  CHECK(header.digest == keys.digest());
  CHECK(store->witness().index == 42);
  CHECK(store->witness().term == 3);
  Keyspace loaded;
  REQUIRE(load(*store, loaded).is_ok());
  CHECK(loaded.digest() == header.digest);
  CHECK(loaded.recompute_digest() == header.digest);
  CHECK(loaded.size() == 7);
  REQUIRE(loaded.find(0, binary) != nullptr);
  CHECK(loaded.find(0, binary)->value->string == binary);
  CHECK(loaded.find(0, "")->version.position == 4000000000);
  CHECK(loaded.find(3, "large")->value->string == large_value());
  CHECK(select(disk, "SELECT count(*) FROM chunks_4") == "18;");
}

TEST_CASE("a keys file that VACUUM made small while nobody had it open holds what it held") {
  TestDisk disk("keys_vacuum");
  Keyspace keys;
  for (int key = 0; key < 1000; ++key) keys.set(0, "key" + std::to_string(key), item(std::string(1000, 'v')));
  keys.set(3, "large", item(large_value()));
  {
    const auto store = open_keys(disk);
    must_flush(*store, keys, 1);
    for (int key = 10; key < 1000; ++key) keys.erase(0, "key" + std::to_string(key));
    must_flush(*store, keys, 2);
    REQUIRE(store->close().is_ok());
  }
  const std::string before = select(disk, "PRAGMA page_count");
  execute(disk, "VACUUM");
  CHECK(std::stoi(select(disk, "PRAGMA page_count")) < std::stoi(before) / 5);
  const auto store = open_keys(disk);
  CHECK(store->header().applied_index == 2);
  CHECK(store->witness().index == 2);
  Keyspace loaded;
  REQUIRE(load(*store, loaded).is_ok());
  CHECK(loaded.size() == 11);
  CHECK(loaded.recompute_digest() == keys.digest());
  keys.set(0, "after", item("w"));
  must_flush(*store, keys, 3);
}

TEST_CASE("overwritten and erased large values are left behind by the flush and removed by the checkpoint") {
  TestDisk disk("keys_chunks");
  const auto store = open_keys(disk);
  Keyspace keys;
  for (const char* key : {"to small", "to large", "erased", "kept"}) keys.set(0, key, item(large_value()));
  must_flush(*store, keys, 1);
  CHECK(select(disk, "SELECT count(*) FROM chunks_1") == "52;");
  keys.set(0, "to small", item("small"));
  keys.set(0, "to large", item(std::string(70000, 'l')));
  CHECK(keys.erase(0, "erased"));
  CHECK_FALSE(keys.erase(0, "never there"));
  must_flush(*store, keys, 2);
  CHECK(select(disk, "SELECT count(*) FROM garbage") == "3;");
  REQUIRE(store->checkpoint().is_ok());
  CHECK(select(disk, "SELECT count(*) FROM garbage") == "0;");
  CHECK(select(disk, "SELECT count(*) FROM chunks_1") == "18;");
  CHECK(select(disk, "SELECT count(*) FROM keys_1") == "3;");
  Keyspace loaded;
  REQUIRE(load(*store, loaded).is_ok());
  CHECK(loaded.recompute_digest() == keys.digest());
}

TEST_CASE("large values of two lives of a node do not mix") {
  TestDisk disk("keys_objects");
  Keyspace keys;
  for (const char* key : {"first", "second"}) {
    const auto store = open_keys(disk);
    keys.set(0, key, item(large_value() + key));
    must_flush(*store, keys, 1);
    REQUIRE(store->close().is_ok());
  }
  Keyspace loaded;
  REQUIRE(load(*open_keys(disk), loaded).is_ok());
  CHECK(loaded.recompute_digest() == keys.digest());
  CHECK(select(disk, "SELECT group_concat(object) FROM keys_1") == "1,2;");
}

TEST_CASE("a key that was set and erased between two flushes never reaches the file") {
  TestDisk disk("keys_tombstone");
  const auto store = open_keys(disk);
  Keyspace keys;
  keys.set(4, "short life", item("x"));
  CHECK(keys.erase(4, "short life"));
  must_flush(*store, keys, 1);
  CHECK(select(disk, "SELECT count(*) FROM databases") == "0;");
}

TEST_CASE("a flush is one transaction and one sync, but for one more after the WAL began anew") {
  TestDisk disk("keys_one_sync");
  const auto store = open_keys(disk);
  Keyspace keys;
  for (uint64_t i = 1; i <= 10; ++i) {
    for (int k = 0; k < 50; ++k) keys.set(0, "key " + std::to_string(k), item(std::to_string(i)));
    const uint64_t before = disk.counters().of(Operation::kSync);
    must_flush(*store, keys, i);
    CHECK(disk.counters().of(Operation::kSync) - before == (i == 1 || i == 6 ? 2 : 1));
    if (i == 5) REQUIRE(store->checkpoint().is_ok());
  }
}

TEST_CASE("a witness alone is written without a key") {
  TestDisk disk("keys_witness");
  {
    const auto store = open_keys(disk);
    REQUIRE(store->write_witness({.index = 77, .term = 8}).is_ok());
    CHECK(store->witness().index == 77);
    disk.kill();
  }
  const auto store = open_keys(disk);
  CHECK(store->witness().index == 77);
  CHECK(store->witness().term == 8);
  CHECK(store->header().applied_index == 0);
}

TEST_CASE("the view strings shows what redis-cli shows, also while the file is open for writing") {
  TestDisk disk("keys_view");
  const auto store = open_keys(disk);
  Keyspace keys;
  keys.set(0, "a", item("b"));
  keys.set(0, "gone", item("x", 1, 0, 1699999999999));
  keys.set(0, "leaves", item("y", 1, 0, 1700000000000));
  keys.set(9, "large", item(large_value()));
  must_flush(*store, keys, 1);
  CHECK(select(disk, "SELECT * FROM strings WHERE db = 0 ORDER BY key") ==
        "0|a|b|NULL;0|leaves|y|2023-11-14 22:13:20;");
  CHECK(select(disk, "SELECT value FROM strings WHERE db = 9") == large_value() + ";");
  CHECK_FALSE(disk.had_two_writers());
}

TEST_CASE("a WAL that one large flush made long is cut by the first commit behind its checkpoint") {
  TestDisk disk("keys_wal_cut");
  const std::string wal = std::string(kFile) + "-wal";
  const auto store = open_keys(disk);
  Keyspace keys;
  for (int i = 0; i < 40; ++i) keys.set(0, "key" + std::to_string(i), item(large_value()));
  must_flush(*store, keys, 1);
  CHECK(disk.contents(wal).size() > 8000000);
  REQUIRE(store->checkpoint().is_ok());
  CHECK(disk.contents(wal).size() > 8000000);
  must_flush(*store, keys, 2);
  CHECK(disk.contents(wal).size() <= 4 << 20);
}

TEST_CASE("a reader that holds the WAL does not stop flushes and checkpoints") {
  TestDisk disk("keys_reader");
  const auto store = open_keys(disk);
  Keyspace keys;
  keys.set(0, "a", item("old"));
  must_flush(*store, keys, 1);
  sqlite3* reader = nullptr;
  REQUIRE(sqlite3_open_v2(kFile, &reader, SQLITE_OPEN_READONLY, disk.name().c_str()) == SQLITE_OK);
  REQUIRE(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM keys_1", nullptr, nullptr, nullptr) ==
          SQLITE_OK);
  keys.set(0, "a", item("new"));
  must_flush(*store, keys, 2);
  CHECK(store->checkpoint().is_ok());
  CHECK(select(disk, "SELECT value FROM strings") == "new;");
  sqlite3_close(reader);
  REQUIRE(store->close().is_ok());
  CHECK(open_keys(disk)->header().applied_index == 2);
}

TEST_CASE("damage in the rows of a keys file is named") {
  struct Damage {
    const char* sql;
    const char* sentence;
  };
  const Damage damages[] = {
      {"UPDATE keys_1 SET value = 'c' WHERE key = x'61'", "key \"a\" of database 0 has a wrong checksum"},
      {"UPDATE keys_1 SET deadline_ms = 1 WHERE key = x'61'",
       "key \"a\" of database 0 has a wrong checksum"},
      {"UPDATE keys_1 SET version_position = version_position + 1",
       "key \"a\" of database 0 has a wrong checksum"},
      {"UPDATE keys_1 SET key = x'0a' WHERE key = x'61'",
       "key \"\\x0a\" of database 0 has a wrong checksum"},
      {"UPDATE chunks_1 SET bytes = zeroblob(16384) WHERE position = 2",
       "key \"large\" of database 0 has a wrong"},
      {"DELETE FROM chunks_1 WHERE position = 0",
       "key \"large\" of database 0 has a wrong checksum or missing parts"},
      {"DELETE FROM chunks_1 WHERE position = 12",
       "key \"large\" of database 0 has a wrong checksum or missing parts"},
      {"UPDATE databases SET namespace = 2", "database 0 has a wrong checksum"},
      {"UPDATE meta SET value = '9' WHERE name = 'applied_index'", "the row 'applied_index' of table meta"},
      {"UPDATE meta SET value = '9' WHERE name = 'witness_term'", "the row 'witness_term' of table meta"},
      {"DROP TABLE chunks_1", "cannot prepare"},
  };
  for (const Damage& damage : damages) {
    CAPTURE(damage.sql);
    TestDisk disk("keys_damage");
    {
      const auto store = open_keys(disk);
      Keyspace keys;
      keys.set(0, "a", item("b"));
      keys.set(0, "large", item(large_value()));
      must_flush(*store, keys, 1);
      REQUIRE(store->close().is_ok());
    }
    execute(disk, damage.sql);
    std::string refusal = keys_refusal(disk);
    if (refusal.empty()) {
      Keyspace keys;
      const base::Status status = load(*open_keys(disk), keys);
      refusal = status.is_ok() ? "" : status.text();
    }
    CHECK_MESSAGE(contains(refusal, damage.sentence), refusal);
    CHECK(refusal.starts_with("/disk/keys-1.db: "));
  }
}

TEST_CASE("a flipped bit of a value in the keys file is named") {
  TestDisk disk("keys_flip");
  {
    const auto store = open_keys(disk);
    Keyspace keys;
    keys.set(7, "user:1", item("a value that is easy to find"));
    must_flush(*store, keys, 1);
    REQUIRE(store->close().is_ok());
  }
  disk.remove("/disk/keys-1.db-wal");
  disk.flip_bit(kFile, disk.contents(kFile).find("easy to find"), 3);
  Keyspace keys;
  const base::Status status = load(*open_keys(disk), keys);
  REQUIRE_FALSE(status.is_ok());
  CHECK(status.text() ==
        "/disk/keys-1.db: damaged: key \"user:1\" of database 7 has a wrong checksum or missing parts");
}

TEST_CASE("a newer keys file, a second open and a raft.db in its place are refused") {
  TestDisk disk("keys_refused");
  {
    const auto store = open_keys(disk);
    CHECK(keys_refusal(disk) == "/disk/keys-1.db: in use by this process already");
    REQUIRE(store->close().is_ok());
  }
  // The CRC-32C of "\x06format2".
  execute(disk, "UPDATE meta SET value='2', crc=1019923686 WHERE name='format'");
  CHECK(keys_refusal(disk) == "keys-1.db has format 2, this leto reads up to 1");
  const auto log = open_log(small_log(disk));
  REQUIRE(log->close().is_ok());
  disk.set_contents(kFile, disk.contents("/disk/raft.db"));
  disk.remove("/disk/keys-1.db-wal");
  CHECK(contains(keys_refusal(disk), "a database, but not one of Leto's of this kind"));
}

TEST_CASE("a failed write of a flush leaves the file as it was, and the same cut goes in later") {
  for (const Effect effect : {Effect::kIoError, Effect::kFull}) {
    TestDisk disk("keys_retry");
    const FatalThrows throws;
    const auto store = open_keys(disk);
    Keyspace keys;
    keys.set(0, "a", item("b"));
    const StateHeader header = header_at(keys, 1);
    const keyspace::Cut cut = keys.freeze(header);
    const auto writes = operations(Operation::kWrite);
    disk.add_fault({.at = 3, .kinds = writes, .effect = effect, .sticky = true});
    for (int i = 0; i < 2; ++i) CHECK_FALSE(store->flush(cut, {.index = 1, .term = 1}).is_ok());
    CHECK(store->header().applied_index == 0);
    CHECK(store->witness().index == 0);
    disk.clear_faults();
    CHECK(store->flush(cut, {.index = 1, .term = 1}).is_ok());
    Keyspace loaded;
    REQUIRE(load(*store, loaded).is_ok());
    CHECK(loaded.recompute_digest() == keys.digest());
  }
}

TEST_CASE("a failed sync of a flush ends the process") {
  TestDisk disk("keys_fatal");
  const FatalThrows throws;
  const auto store = open_keys(disk);
  disk.add_fault({.at = 1, .kinds = operations(Operation::kSync), .effect = Effect::kIoError});
  CHECK_THROWS_AS((void)store->write_witness({.index = 1, .term = 1}), DiskDied);
}

TEST_CASE("a failed sync of a checkpoint ends the process, also where what was to be removed before it could not be") {
  TestDisk disk("keys_sweep_sync");
  const FatalThrows throws;
  const auto store = open_keys(disk);
  Keyspace keys;
  keys.set(0, "a", item(large_value()));
  must_flush(*store, keys, 1);
  CHECK(keys.erase(0, "a"));
  must_flush(*store, keys, 2);
  disk.add_fault({.at = 1, .kinds = operations(Operation::kWrite), .effect = Effect::kFull});
  disk.add_fault({.at = 1, .kinds = operations(Operation::kSync), .effect = Effect::kIoError, .sticky = true});
  CHECK_THROWS_AS(static_cast<void>(store->checkpoint()), DiskDied);
}

TEST_CASE("a log that lost its tail is known by the witness") {
  raft::Recovered recovered;
  recovered.hard_state.term = 4;
  recovered.last = {.term = 4, .index = 10};
  CHECK_FALSE(lost_tail(recovered, {.index = 10, .term = 4}, 10));
  CHECK(lost_tail(recovered, {.index = 11, .term = 4}, 10));
  CHECK(lost_tail(recovered, {.index = 10, .term = 5}, 10));
  CHECK(lost_tail(recovered, {.index = 10, .term = 4}, 11));
}

TEST_CASE(
    "a flipped bit in the WAL of the log, which SQLite passes over in silence, is seen by the witness") {
  TestDisk disk("keys_wal_flip");
  LogStoreOptions options = small_log(disk);
  {
    const auto log = open_log(options);
    const auto keys = open_keys(disk);
    for (raft::Index i = 1; i <= 6; ++i) {
      LogWrite write;
      write.append.push_back(make_entry(1, i, "wal value " + std::to_string(i)));
      write.hard_state = raft::HardState{.term = 1, .voted_for = 1};
      REQUIRE(log->write({write}) == WriteResult::kDurable);
    }
    REQUIRE(keys->write_witness({.index = 6, .term = 1}).is_ok());
    disk.kill();
  }
  const std::string wal = disk.contents("/disk/raft.db-wal");
  disk.flip_bit("/disk/raft.db-wal", wal.find("wal value 4"), 1);
  const auto log = open_log(options);
  CHECK(log->recovered().last.index == 3);
  CHECK(lost_tail(log->recovered(), open_keys(disk)->witness(), 0));
}

// --- Flushes in steps ---------------------------------------------------------------------------------

namespace {

// The steps that it took; REQUIREs that it succeeds.
size_t flush_in_steps(KeyStore& store, const keyspace::Cut& cut, size_t bytes_max) {
  REQUIRE(store.begin_flush(cut, {.index = 1, .term = 1}).is_ok());
  for (size_t steps = 1;; ++steps) {
    const FlushStep step = store.step_flush(bytes_max);
    REQUIRE_MESSAGE(step.status.is_ok(), step.status.text());
    if (step.done) return steps;
  }
}

}  // namespace

TEST_CASE("a flush in steps is one transaction, which nobody sees before its last step") {
  TestDisk disk("keys_steps");
  const auto store = open_keys(disk);
  Keyspace keys;
  keys.set(0, "before", item("1"));
  must_flush(*store, keys, 1);
  for (int i = 0; i < 100; ++i) keys.set(0, "key " + std::to_string(i), item(std::string(93, 'v')));
  keys.set(5, "a new database", item("2"));
  const keyspace::Cut cut = keys.freeze(header_at(keys, 7));
  REQUIRE(store->begin_flush(cut, {.index = 9, .term = 3}).is_ok());
  size_t steps = 1;
  for (FlushStep step; !(step = store->step_flush(1000)).done; ++steps) {
    REQUIRE_MESSAGE(step.status.is_ok(), step.status.text());
    CHECK(select(disk, "SELECT count(*) FROM keys_1") == "1;");
    CHECK(store->header().applied_index == 1);
  }
  // Some 99 bytes a key: eleven in a step.
  CHECK(steps == 10);
  CHECK(store->header().applied_index == 7);
  CHECK(store->witness().index == 9);
  CHECK(select(disk, "SELECT count(*) FROM keys_1; SELECT count(*) FROM keys_6") == "101;1;");
}

TEST_CASE("a flush whose step failed has left nothing, and may be begun anew with the same cut") {
  TestDisk disk("keys_steps_fail");
  const auto store = open_keys(disk);
  Keyspace keys;
  keys.set(0, "a", item(large_value()));
  keys.set(9, "b", item("2"));
  const keyspace::Cut cut = keys.freeze(header_at(keys, 7));
  REQUIRE(store->begin_flush(cut, {}).is_ok());
  CHECK_FALSE(store->step_flush(1).done);
  disk.add_fault({.at = 1, .kinds = operations(Operation::kWrite), .effect = Effect::kFull, .sticky = true});
  FlushStep step;
  while (step.status.is_ok() && !step.done) step = store->step_flush(1);
  CHECK(contains(step.status.text(), "cannot flush keys"));
  REQUIRE(store->begin_flush(cut, {}).is_ok());
  CHECK_FALSE(store->step_flush(1 << 30).status.is_ok());
  disk.clear_faults();
  CHECK(select(disk, "SELECT count(*) FROM databases") == "0;");
  CHECK(flush_in_steps(*store, cut, 1) == 2);
  Keyspace loaded;
  REQUIRE(load(*store, loaded).is_ok());
  CHECK(loaded.digest() == keys.digest());
}

TEST_CASE("a flush that is under way at the end is given up") {
  TestDisk disk("keys_steps_close");
  Keyspace keys;
  keys.set(0, "a", item("1"));
  const keyspace::Cut cut = keys.freeze(header_at(keys, 7));
  {
    const auto store = open_keys(disk);
    REQUIRE(store->begin_flush(cut, {}).is_ok());
    REQUIRE(store->close().is_ok());
  }
  CHECK(open_keys(disk)->header().applied_index == 0);
}

TEST_CASE("what an erased value leaves is removed in bounded steps, also after a restart") {
  TestDisk disk("keys_garbage");
  Keyspace keys;
  {
    const auto store = open_keys(disk);
    keys.set(0, "a", item(std::string(10 << 20, 'a')));
    must_flush(*store, keys, 1);
    CHECK(select(disk, "SELECT count(*) FROM chunks_1") == "640;");
    CHECK(keys.erase(0, "a"));
    must_flush(*store, keys, 2);
    CHECK(select(disk, "SELECT count(*) FROM chunks_1") == "640;");
    REQUIRE(store->checkpoint().is_ok());
    CHECK(select(disk, "SELECT count(*) FROM chunks_1") == "384;");
    REQUIRE(store->close().is_ok());
  }
  const auto store = open_keys(disk);
  REQUIRE(store->checkpoint().is_ok());
  CHECK(select(disk, "SELECT count(*) FROM chunks_1") == "128;");
  // A large value that is written pays for the removal of as much.
  keys.set(0, "b", item(std::string(1 << 20, 'b')));
  must_flush(*store, keys, 3);
  CHECK(select(disk, "SELECT count(*) FROM chunks_1") == "128;");
  REQUIRE(store->checkpoint().is_ok());
  REQUIRE(store->checkpoint().is_ok());
  CHECK(select(disk, "SELECT count(*) FROM chunks_1; SELECT count(*) FROM garbage") == "64;0;");
  Keyspace loaded;
  REQUIRE(load(*store, loaded).is_ok());
  CHECK(loaded.digest() == keys.digest());
}

TEST_CASE("garbage that cannot be read does not stop the checkpoints of the rest") {
  TestDisk disk("keys_garbage_rotten");
  Keyspace keys;
  {
    const auto store = open_keys(disk);
    keys.set(0, "a", item(std::string(1 << 20, 'a')));
    must_flush(*store, keys, 1);
    CHECK(keys.erase(0, "a"));
    must_flush(*store, keys, 2);
    REQUIRE(store->close().is_ok());
  }
  disk.remove(std::string(kFile) + "-wal");
  // The number of the page that is next, before a page full of a value.
  disk.flip_bit(kFile, disk.contents(kFile).find(std::string(4092, 'a')) - 4, 7);
  const auto store = open_keys(disk);
  for (uint64_t index = 3; index < 23; ++index) {
    keys.set(0, "b", item(std::string(50'000, static_cast<char>('a' + index))));
    must_flush(*store, keys, index);
    const base::Status status = store->checkpoint();
    REQUIRE_FALSE(status.is_ok());
    CHECK_MESSAGE(status.text().starts_with("/disk/keys-1.db: damaged: "), status.text());
  }
  CHECK(disk.contents(std::string(kFile) + "-wal").size() < 200'000);
  Keyspace loaded;
  REQUIRE(load(*store, loaded).is_ok());
  CHECK(loaded.digest() == keys.digest());
}

// --- Whole databases, and renames ---------------------------------------------------------------------

namespace {

void rename(Keyspace& keys, uint32_t database, const std::string& from, const std::string& to) {
  keys.rename(database, {.from = from, .to = to, .version = {.index = 50, .position = 1}});
}

// What the file holds, loaded as a start does it.
void check_file(KeyStore& store, const Keyspace& keys) {
  Keyspace loaded;
  const base::Status status = load_keyspace(store, loaded);
  REQUIRE_MESSAGE(status.is_ok(), status.text());
  CHECK(loaded.recompute_digest() == keys.recompute_digest());
  CHECK(loaded.databases() == keys.databases());
}

const std::string kObjects = "SELECT group_concat(object || '=' || key, ' ') FROM (SELECT * FROM keys_1 ORDER BY object, key)";

}  // namespace

TEST_CASE("a renamed large value keeps its chunks: its row alone is written") {
  TestDisk disk("keys_rename");
  const auto store = open_keys(disk);
  Keyspace keys;
  keys.set(0, "a", item(std::string(8 << 20, 'a')));
  keys.set(0, "b", item(large_value()));
  must_flush(*store, keys, 1);
  REQUIRE(store->checkpoint().is_ok());
  rename(keys, 0, "a", "c");
  const uint64_t before = disk.counters().bytes_written;
  must_flush(*store, keys, 2);
  CHECK(disk.counters().bytes_written - before < 100'000);
  CHECK(select(disk, kObjects) == "1=c 2=b;");
  CHECK(select(disk, "SELECT count(*) FROM garbage") == "0;");
  check_file(*store, keys);
}

TEST_CASE("renamed large values go round, in chains and over others, and only what is replaced is left behind") {
  TestDisk disk("keys_renames");
  const auto store = open_keys(disk);
  Keyspace keys;
  for (const char* key : {"a", "b", "c", "d"}) keys.set(0, key, item(large_value() + key));
  must_flush(*store, keys, 1);
  CHECK(select(disk, kObjects) == "1=a 2=b 3=c 4=d;");
  // An exchange, a chain there and back, and one over another.
  for (const auto& [from, to] : {std::pair("a", "t"), {"b", "a"}, {"t", "b"}, {"c", "e"}, {"e", "f"}, {"f", "c"}}) {
    rename(keys, 0, from, to);
  }
  must_flush(*store, keys, 2);
  CHECK(select(disk, kObjects) == "1=b 2=a 3=c 4=d;");
  CHECK(select(disk, "SELECT count(*) FROM garbage") == "0;");
  check_file(*store, keys);
  rename(keys, 0, "a", "d");
  rename(keys, 0, "b", "x");
  keys.set(0, "x", item("small"));
  rename(keys, 0, "c", "y");
  keys.set(0, "c", item(large_value() + "new"));
  must_flush(*store, keys, 3);
  CHECK(select(disk, kObjects) == "0=x 2=d 3=y 5=c;");
  // The new large value has paid for the removal of some.
  CHECK(select(disk, "SELECT group_concat(object) FROM garbage UNION SELECT count(*) FROM chunks_1 WHERE object IN (1, 4)") == "14;1,4;");
  check_file(*store, keys);
  REQUIRE(store->checkpoint().is_ok());
  CHECK(select(disk, "SELECT count(*) FROM chunks_1") == "39;");
  check_file(*store, keys);
}

TEST_CASE("a rename whose flush failed moves the value when the cut is tried again, and the cut after it goes by that") {
  TestDisk disk("keys_rename_fails");
  const auto store = open_keys(disk);
  Keyspace keys;
  for (const char* key : {"a", "b"}) keys.set(0, key, item(large_value() + key));
  must_flush(*store, keys, 1);
  rename(keys, 0, "a", "x");
  const keyspace::Cut cut = keys.freeze(header_at(keys, 2));
  rename(keys, 0, "x", "y");
  rename(keys, 0, "b", "a");
  disk.add_fault({.at = 1, .kinds = operations(Operation::kWrite), .effect = Effect::kFull, .sticky = true});
  CHECK_FALSE(store->flush(cut, {.index = 2, .term = 3}).is_ok());
  disk.clear_faults();
  CHECK(store->flush(cut, {.index = 2, .term = 3}).is_ok());
  CHECK(select(disk, kObjects) == "1=x 2=b;");
  must_flush(*store, keys, 3);
  CHECK(select(disk, kObjects) == "1=y 2=a;");
  check_file(*store, keys);
}

constexpr char kTablesOfKeys[] =
    "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE name LIKE '%\\_%' ESCAPE '\\'"
    " AND type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name)";

TEST_CASE("a flushed database takes a new namespace, and its old tables go in bounded steps, also after a restart") {
  TestDisk disk("keys_flushdb");
  Keyspace keys;
  const auto tables = [&] { return select(disk, kTablesOfKeys); };
  {
    const auto store = open_keys(disk);
    for (int i = 0; i < 800; ++i) keys.set(0, "key " + std::to_string(i), item(std::string(60'000, 'v')));
    for (int i = 0; i < 3; ++i) keys.set(0, "large " + std::to_string(i), item(large_value()));
    keys.set(2, "other", item("1"));
    must_flush(*store, keys, 1);
    keys.erase(0, "large 1");
    must_flush(*store, keys, 2);
    keys.flush(0);
    keys.flush(2);
    keys.set(0, "new", item("2"));
    const uint64_t before = disk.counters().bytes_written;
    must_flush(*store, keys, 3);
    CHECK(disk.counters().bytes_written - before < 100'000);
    CHECK(tables() == "chunks_1,chunks_17,chunks_3,keys_1,keys_17,keys_3;");
    CHECK(select(disk, "SELECT db, namespace FROM databases ORDER BY db") == "0|17;2|18;");
    CHECK(select(disk, "SELECT db, key, value FROM strings") == "0|new|2;");
    CHECK(store->has_garbage());
    check_file(*store, keys);
    REQUIRE(store->close().is_ok());
  }
  const auto store = open_keys(disk);
  size_t steps = 0;
  for (; store->has_garbage() && steps < 100; ++steps) {
    const uint64_t before = disk.counters().bytes_written;
    REQUIRE(store->checkpoint().is_ok());
    REQUIRE(disk.counters().bytes_written - before < 20 << 20);
    check_file(*store, keys);
  }
  // 46 MiB of rows: some 14 are removed in steps of 4, what is left in one; and three small tables.
  CHECK(steps >= 6);
  CHECK(steps <= 12);
  CHECK(tables() == "chunks_17,keys_17;");
  CHECK(select(disk, "SELECT count(*) FROM garbage") == "0;");
}

TEST_CASE("the old tables of a flushed database go without a restart, too") {
  TestDisk disk("keys_flushdb_running");
  Keyspace keys;
  const auto store = open_keys(disk);
  keys.set(0, "a", item("1"));
  keys.set(0, "large", item(large_value()));
  must_flush(*store, keys, 1);
  keys.flush(0);
  keys.set(0, "new", item("2"));
  must_flush(*store, keys, 2);
  for (int steps = 0; store->has_garbage() && steps < 100; ++steps) REQUIRE(store->checkpoint().is_ok());
  CHECK(select(disk, kTablesOfKeys) == "chunks_17,keys_17;");
  check_file(*store, keys);
}

TEST_CASE("no table of a flushed database that is large goes in one step, whatever was written before or with it") {
  TestDisk disk("keys_flushdb_large");
  Keyspace keys;
  const auto store = open_keys(disk);
  const auto write = [&](uint32_t database, int from, int count) {
    for (int i = from; i < from + count; ++i) keys.set(database, "key " + std::to_string(i), item(std::string(60'000, 'v')));
  };
  // 48 MB, and nothing of it is garbage.
  for (uint64_t index = 1; index <= 4; ++index) {
    write(0, 200 * static_cast<int>(index), 200);
    must_flush(*store, keys, index);
    REQUIRE(store->checkpoint().is_ok());
  }
  keys.flush(0);
  SUBCASE("much was written before, little since") {
    must_flush(*store, keys, 5);
    REQUIRE(store->checkpoint().is_ok());
    CHECK(select(disk, "SELECT count(*) > 700 FROM keys_1") == "1;");
  }
  SUBCASE("as much goes as twice what was written since, though that is more than what may be dropped at once") {
    write(1, 0, 300);
    must_flush(*store, keys, 5);
    REQUIRE(store->checkpoint().is_ok());
    const std::string left = select(disk, "SELECT count(*) FROM keys_1");
    CHECK_MESSAGE(left == "200;", left);
  }
}

TEST_CASE("swapped databases exchange their rows, and nothing else is written") {
  TestDisk disk("keys_swap");
  Keyspace keys;
  {
    const auto store = open_keys(disk);
    keys.set(0, "a", item("of 0"));
    keys.set(5, "a", item(large_value()));
    must_flush(*store, keys, 1);
    keys.swap(0, 5);
    keys.swap(5, 9);
    keys.swap(1, 2);
    must_flush(*store, keys, 2);
    CHECK(select(disk, "SELECT db, namespace FROM databases ORDER BY db") == "0|6;1|3;2|2;5|10;9|1;");
    CHECK(select(disk, "SELECT db, key FROM strings ORDER BY db") == "0|a;9|a;");
    check_file(*store, keys);
    REQUIRE(store->close().is_ok());
  }
  const auto store = open_keys(disk);
  check_file(*store, keys);
  // Back again: a database that is what it was at the beginning, and has no key, needs no row.
  keys.swap(1, 2);
  keys.flush(9);
  must_flush(*store, keys, 3);
  CHECK(select(disk, "SELECT db, namespace FROM databases ORDER BY db") == "0|6;5|10;9|17;");
  check_file(*store, keys);
}

TEST_CASE("no number of a namespace is used twice, whatever was flushed before a restart") {
  TestDisk disk("keys_numbers");
  Keyspace keys;
  {
    const auto store = open_keys(disk);
    for (int i = 0; i < 3; ++i) {
      keys.set(0, "a", item("1"));
      keys.flush(0);
    }
    must_flush(*store, keys, 1);
    REQUIRE(store->close().is_ok());
  }
  const auto store = open_keys(disk);
  Keyspace loaded;
  REQUIRE(load_keyspace(*store, loaded).is_ok());
  CHECK(loaded.databases().spaces[0] == 19);
  CHECK(loaded.databases().next_space == 20);
}

TEST_CASE("a file in which namespaces were numbered as they came is read") {
  TestDisk disk("keys_numbered");
  {
    const auto store = open_keys(disk);
    Keyspace keys;
    keys.swap(3, 1);
    keys.set(3, "a", item("b"));
    must_flush(*store, keys, 1);
    REQUIRE(store->close().is_ok());
  }
  execute(disk, "DELETE FROM databases WHERE db = 1; DELETE FROM meta WHERE name = 'next_namespace'");
  const auto store = open_keys(disk);
  Keyspace keys;
  REQUIRE(load_keyspace(*store, keys).is_ok());
  CHECK(keys.size(3) == 1);
  CHECK(keys.databases().spaces[3] == 2);
  CHECK(keys.databases().spaces[1] == 17);
  CHECK(keys.databases().next_space == 18);
}

}  // namespace leto::storage
