// Names and values that exist once, and the format that says who may read a file.
#include "storage/meta.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "tests/storage/support.h"

namespace leto::storage {

namespace {

// With an empty table meta of a log.
std::unique_ptr<Database> make_database(const TestDisk& disk) {
  auto database = Database::open({.path = "/disk/a.db", .vfs = disk.name(), .exclusive = true});
  REQUIRE(database.is_ok());
  REQUIRE(database.value()->set_up().is_ok());
  REQUIRE(Meta(*database.value()).create(FileKind::kLog) == SQLITE_OK);
  return std::move(database.value());
}

}  // namespace

TEST_CASE("meta gives back numbers, bytes and nothing for what was never set") {
  TestDisk disk("meta_values");
  const std::unique_ptr<Database> database = make_database(disk);
  Meta meta(*database);
  REQUIRE(meta.open(FileKind::kLog).is_ok());
  CHECK(meta.set("number", uint64_t{0xffffffffffffffff}) == SQLITE_OK);
  CHECK(meta.set("bytes", std::string_view("\0\xff", 2)) == SQLITE_OK);
  CHECK(meta.set("erased", uint64_t{1}) == SQLITE_OK);
  CHECK(meta.erase("erased") == SQLITE_OK);
  base::Status status;
  uint64_t number = 0, untouched = 5;
  std::string bytes;
  meta.read("number", number, status);
  meta.read("bytes", bytes, status);
  meta.read("erased", untouched, status);
  CHECK(status.is_ok());
  CHECK(number == 0xffffffffffffffff);
  CHECK(bytes == std::string("\0\xff", 2));
  CHECK(untouched == 5);
  meta.read("bytes", number, status);
  REQUIRE_FALSE(status.is_ok());
  CHECK(status.text() ==
        "/disk/a.db: damaged: the row 'bytes' of table meta has a wrong checksum or value");
}

TEST_CASE("a row whose name is rotten is found when the file is opened, not taken for a row that never was") {
  TestDisk disk("meta_rotten_name");
  const std::unique_ptr<Database> database = make_database(disk);
  Meta meta(*database);
  REQUIRE(meta.open(FileKind::kLog).is_ok());
  REQUIRE(meta.set("voted_for", uint64_t{7}) == SQLITE_OK);
  REQUIRE(database->execute("UPDATE meta SET name = 'voted_fos' WHERE name = 'voted_for'") == SQLITE_OK);
  const base::Status status = Meta(*database).open(FileKind::kLog);
  REQUIRE_FALSE(status.is_ok());
  CHECK(status.text() == "/disk/a.db: damaged: the row 'voted_fos' of table meta has a wrong checksum or value");
  // Whatever bytes it has, they do nothing to a terminal.
  REQUIRE(database->execute("UPDATE meta SET name = CAST(x'1b5b324a27ff' AS TEXT) WHERE name = 'voted_fos'") == SQLITE_OK);
  const base::Status rotten = Meta(*database).open(FileKind::kLog);
  REQUIRE_FALSE(rotten.is_ok());
  CHECK(rotten.text() ==
        "/disk/a.db: damaged: the row '\\x1b[2J\\x27\\xff' of table meta has a wrong checksum or value");
}

TEST_CASE("a decimal is digits that fit 64 bits") {
  CHECK(parse_decimal("0") == 0U);
  CHECK(parse_decimal("18446744073709551615") == 18446744073709551615U);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "18446744073709551616", "0x1", "1.0"}) {
    CHECK_MESSAGE(!parse_decimal(text), text);
  }
}

}  // namespace leto::storage
