// Connections: every pragma that durability rests on is as wanted, or the file is refused.
#include "storage/sqlite.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "tests/storage/support.h"

namespace leto::storage {

namespace {

std::unique_ptr<Database> open(const TestDisk& disk, bool exclusive) {
  base::Result<std::unique_ptr<Database>> database = Database::open(
      {.path = "/disk/a.db", .vfs = disk.name(), .exclusive = exclusive, .cache_bytes = 1 << 20});
  REQUIRE_MESSAGE(database.is_ok(), database.status().text());
  const base::Status status = database.value()->set_up();
  REQUIRE_MESSAGE(status.is_ok(), status.text());
  return std::move(database.value());
}

std::string pragma(Database& database, const std::string& name) {
  Statement statement;
  const base::Status status = database.prepare("PRAGMA " + name, statement);
  REQUIRE_MESSAGE(status.is_ok(), status.text());
  return statement.step() == SQLITE_ROW ? std::string(statement.bytes(0)) : "none";
}

}  // namespace

TEST_CASE("every pragma is what durability rests on") {
  for (const bool exclusive : {true, false}) {
    TestDisk disk("sqlite_pragmas");
    const auto database = open(disk, exclusive);
    CHECK(pragma(*database, "locking_mode") == (exclusive ? "exclusive" : "normal"));
    CHECK(pragma(*database, "journal_mode") == "wal");
    CHECK(pragma(*database, "synchronous") == "2");
    CHECK(pragma(*database, "wal_autocheckpoint") == "0");
    CHECK(pragma(*database, "journal_size_limit") == "-1");
    CHECK(pragma(*database, "secure_delete") == "0");
    CHECK(pragma(*database, "page_size") == "4096");
    CHECK(pragma(*database, "auto_vacuum") == "0");
    CHECK(pragma(*database, "temp_store") == "2");
    CHECK(pragma(*database, "cache_size") == "-1024");
    CHECK(pragma(*database, "cell_size_check") == "1");
    CHECK(pragma(*database, "busy_timeout") == (exclusive ? "0" : "1000"));
  }
}

TEST_CASE("a pragma that cannot be had refuses the file and says which") {
  TestDisk disk("sqlite_page_size");
  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open_v2("/disk/a.db", &other, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                          disk.name().c_str()) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "PRAGMA page_size=8192; CREATE TABLE t(a)", nullptr, nullptr, nullptr) ==
          SQLITE_OK);
  sqlite3_close(other);
  auto database = Database::open({.path = "/disk/a.db", .vfs = disk.name(), .exclusive = true});
  REQUIRE(database.is_ok());
  const base::Status status = database.value()->set_up();
  REQUIRE_FALSE(status.is_ok());
  CHECK(status.text() == "/disk/a.db: damaged: PRAGMA page_size is '8192' and not '4096'");
}

TEST_CASE("memory statistics are off, and the WAL stays when the last connection closes") {
  CHECK(configure_sqlite().is_ok());
  TestDisk disk("sqlite_persist");
  {
    const auto database = open(disk, true);
    REQUIRE(database->execute("CREATE TABLE t(a)") == SQLITE_OK);
  }
  CHECK(disk.exists("/disk/a.db-wal"));
  CHECK_FALSE(disk.exists("/disk/a.db-journal"));
  CHECK_FALSE(disk.exists("/disk/a.db-shm"));
  CHECK(sqlite3_memory_used() == 0);
}

TEST_CASE("a file has one owner in a process, until it lets go") {
  TestDisk disk("sqlite_owner"), other("sqlite_other_disk");
  auto first = open(disk, false);
  const DatabaseOptions options{.path = "/disk/a.db", .vfs = disk.name()};
  base::Result<std::unique_ptr<Database>> second = Database::open(options);
  REQUIRE_FALSE(second.is_ok());
  CHECK(second.status().text() == "/disk/a.db: in use by this process already");
  CHECK(Database::open({.path = "/disk/a.db", .vfs = other.name()}).is_ok());
  first.reset();
  CHECK(Database::open(options).is_ok());
}

TEST_CASE("a transaction is there after its commit, and gone after a roll back") {
  TestDisk disk("sqlite_transaction");
  const auto database = open(disk, true);
  CHECK(database->is_new());
  REQUIRE(database->execute("CREATE TABLE t(a)") == SQLITE_OK);
  REQUIRE(database->begin() == SQLITE_OK);
  REQUIRE(database->execute("INSERT INTO t VALUES(1)") == SQLITE_OK);
  database->roll_back();
  database->roll_back();
  uint64_t rows = 7;
  REQUIRE(database->query("SELECT count(*) FROM t", rows).is_ok());
  CHECK(rows == 0);
  REQUIRE(database->begin() == SQLITE_OK);
  REQUIRE(database->execute("INSERT INTO t VALUES(1)") == SQLITE_OK);
  REQUIRE(database->commit() == SQLITE_OK);
  REQUIRE(database->query("SELECT count(*) FROM t", rows).is_ok());
  CHECK(rows == 1);
}

TEST_CASE("errors name the file, what was wanted and SQLite's words") {
  TestDisk disk("sqlite_errors");
  const auto database = open(disk, true);
  Statement statement;
  const base::Status status = database->prepare("SELECT nonsense", statement);
  REQUIRE_FALSE(status.is_ok());
  CHECK(status.text() == "/disk/a.db: cannot prepare SELECT nonsense: no such column: nonsense (1)");
  CHECK_FALSE(statement);
}

TEST_CASE("frames are counted until a checkpoint took them out of use") {
  TestDisk disk("sqlite_frames");
  const auto database = open(disk, true);
  REQUIRE(database->execute("CREATE TABLE t(a)") == SQLITE_OK);
  const size_t frames = database->wal_frames();
  CHECK(frames > 0);
  REQUIRE(database->execute("INSERT INTO t VALUES(1)") == SQLITE_OK);
  CHECK(database->wal_frames() == frames + 1);
  CHECK(database->checkpoint_whole().is_ok());
  CHECK(database->wal_frames() == 0);
  REQUIRE(database->execute("INSERT INTO t VALUES(2)") == SQLITE_OK);
  CHECK(database->wal_frames() == 1);
}

TEST_CASE("a WAL is grown once, and a full disk does not mind") {
  TestDisk disk("sqlite_grow");
  const auto database = open(disk, true);
  REQUIRE(database->execute("CREATE TABLE t(a)") == SQLITE_OK);
  REQUIRE(database->checkpoint_whole().is_ok());
  uint64_t reached = 0;
  CHECK(database->grow_wal(200000, reached).is_ok());
  CHECK(reached == 200000);
  CHECK(disk.contents("/disk/a.db-wal").size() == 200000);
  CHECK(disk.is_synced("/disk/a.db-wal"));
  const uint64_t before = disk.operations_done();
  CHECK(database->grow_wal(100000, reached).is_ok());
  CHECK(reached == 200000);
  CHECK(disk.operations_done() == before);
  disk.add_fault({.at = 1, .kinds = kAnyChange, .effect = Effect::kFull, .sticky = true});
  CHECK(database->grow_wal(300000, reached).is_ok());
  CHECK(reached == 200000);
}

}  // namespace leto::storage
