// A keys file that is read to see whether it is sound: every database of it, and against its digest.
#include "storage/verify_keys.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "tests/storage/support.h"

namespace leto::storage {
namespace {

using keyspace::Item;
using keyspace::Keyspace;

Item checked_item(std::string bytes, uint64_t deadline_ms = 0) {
  return {.value = keyspace::make_string(std::move(bytes)), .version = {.index = 1, .position = 0}, .deadline_ms = deadline_ms};
}

// Keys in databases 0, 5 and 15: with a deadline, large, and in a namespace of another database.
void fill(const TestDisk& disk) {
  const auto store = open_keys(disk);
  Keyspace keys;
  keys.set(0, "a", checked_item("1"));
  keys.set(0, "mortal", checked_item("2", 1700000000000));
  keys.set(5, "large", checked_item(std::string(100000, 'x')));
  keys.set(9, "moved", checked_item("3"));
  keys.swap(9, 15);
  const keyspace::StateHeader header{.applied_index = 1, .applied_term = 1, .configuration = {}, .digest = keys.digest()};
  REQUIRE(store->flush(keys.freeze(header), {.index = 1, .term = 1}).is_ok());
  REQUIRE(store->close().is_ok());
}

std::string verdict(const TestDisk& disk) {
  const base::Status status = verify_keys_file("/disk", disk.name(), 1);
  return status.is_ok() ? "" : status.text();
}

TEST_CASE("a sound keys file is found sound, whatever is in it") {
  TestDisk disk("verify_sound");
  fill(disk);
  CHECK(verdict(disk) == "");
}

TEST_CASE("what is wrong in any database of a keys file is found, a row that is missing too") {
  struct Damage {
    const char* sql;
    const char* sentence;
  };
  for (const Damage& damage : {Damage{"DELETE FROM keys_1 WHERE key = x'61'", "its digest is"},
                               Damage{"DELETE FROM keys_1 WHERE deadline_ms > 0", "its digest is"},
                               Damage{"DELETE FROM keys_6", "its digest is"},
                               Damage{"DELETE FROM keys_10", "its digest is"},
                               Damage{"UPDATE chunks_6 SET bytes = zeroblob(16384) WHERE position = 2", "key \"large\" of database 5"},
                               Damage{"UPDATE keys_10 SET value = '4'", "key \"moved\" of database 15 has a wrong checksum"}}) {
    CAPTURE(damage.sql);
    TestDisk disk("verify_damage");
    fill(disk);
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open_v2("/disk/keys-1.db", &database, SQLITE_OPEN_READWRITE, disk.name().c_str()) == SQLITE_OK);
    CHECK(sqlite3_exec(database, damage.sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
    const std::string found = verdict(disk);
    CAPTURE(found);
    CHECK(found.find("keys-1.db: damaged: ") != std::string::npos);
    CHECK(found.find(damage.sentence) != std::string::npos);
  }
}

}  // namespace
}  // namespace leto::storage
