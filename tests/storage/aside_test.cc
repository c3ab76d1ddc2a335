// Notes and folders on a real directory.
#include "storage/aside.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "storage/damage.h"

namespace leto::storage {
namespace {

struct Folder {
  Folder() {
    char pattern[] = "/tmp/leto-aside-test-XXXXXX";
    REQUIRE(mkdtemp(pattern) != nullptr);
    path = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  void make(const std::string& name) const { REQUIRE(write_note(path + "/" + name, name).is_ok()); }
  bool has(const std::string& name) const { return std::filesystem::exists(path + "/" + name); }
  std::string path;
};

}  // namespace

TEST_CASE("a note is replaced whole, and gone when it is removed") {
  Folder folder;
  const std::string path = folder.path + "/note";
  CHECK(read_note(path).empty());
  REQUIRE(write_note(path, "one\n").is_ok());
  REQUIRE(write_note(path, "two\n").is_ok());
  CHECK(read_note(path) == "two\n");
  CHECK_FALSE(folder.has("note.new"));
  REQUIRE(remove_note(path).is_ok());
  REQUIRE(remove_note(path).is_ok());
  CHECK(read_note(path).empty());
}

TEST_CASE("databases are moved with all that belongs to them, and nothing else is") {
  Folder folder;
  for (const char* name : {"raft.db", "raft.db-wal", "keys-3.db", "keys-3.db-shm", "keys-12.db", "keys-x.db", "LOCK", "ballast"}) {
    folder.make(name);
  }
  CHECK(keys_generations(folder.path) == std::vector<uint64_t>{3, 12});
  REQUIRE(move_databases(folder.path, "damaged-1", Databases::kKeys).is_ok());
  for (const char* name : {"keys-3.db", "keys-3.db-shm", "keys-12.db"}) CHECK(folder.has(std::string("damaged-1/") + name));
  for (const char* name : {"raft.db", "raft.db-wal", "keys-x.db", "LOCK", "ballast"}) CHECK(folder.has(name));
  REQUIRE(move_databases(folder.path, "damaged-1", Databases::kAll).is_ok());
  for (const char* name : {"damaged-1/raft.db", "damaged-1/raft.db-wal", "keys-x.db", "LOCK", "ballast"}) CHECK(folder.has(name));
}

TEST_CASE("a database is moved before its WAL: cut off between, nothing is left that could be taken for an older state of it") {
  Folder folder;
  for (const char* name : {"raft.db-wal", "raft.db"}) folder.make(name);
  // So the WAL cannot be moved.
  std::filesystem::create_directories(folder.path + "/damaged-1/raft.db-wal/in the way");
  CHECK_FALSE(move_databases(folder.path, "damaged-1", Databases::kLog).is_ok());
  CHECK(folder.has("damaged-1/raft.db"));
  CHECK_FALSE(folder.has("raft.db"));
}

TEST_CASE("the oldest folders go, the newest are kept") {
  Folder folder;
  for (const uint64_t at : {5u, 9u, 10u, 100u}) {
    const std::string name = free_folder(folder.path, at);
    CHECK(name == "damaged-" + std::to_string(at));
    REQUIRE(move_databases(folder.path, name, Databases::kAll).is_ok());
    folder.make(name + "/raft.db");
  }
  CHECK(free_folder(folder.path, 9) == "damaged-11");
  prune_folders(folder.path, 2);
  CHECK_FALSE(folder.has("damaged-5"));
  CHECK_FALSE(folder.has("damaged-9"));
  CHECK(folder.has("damaged-10/raft.db"));
  CHECK(folder.has("damaged-100/raft.db"));
}

TEST_CASE("damage is told from what may be different the next time") {
  CHECK(is_damage("/d/raft.db: damaged: entry 3 has a wrong checksum"));
  CHECK(is_damage("/d/raft.db: not a database (26)"));
  CHECK_FALSE(is_damage("/d/raft.db: the disk is full"));
  CHECK_FALSE(is_damage("/d/raft.db: in use by another process"));
  CHECK_FALSE(is_damage("/d/raft.db has format 2, this leto reads up to 1"));
}

}  // namespace leto::storage
