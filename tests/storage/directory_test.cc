// The data directory: made if missing, usable, and one process's alone. On the real file system.
#include "storage/directory.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "storage/log_store.h"
#include "tests/storage/support.h"

namespace leto::storage {

namespace {

// A directory that is gone when the test is.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "leto-test-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = std::filesystem::canonical(pattern).string();
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  std::string path;
};

std::string refusal(const std::string& directory) {
  const base::Result<DirectoryLock> lock = DirectoryLock::acquire(directory, "id2");
  return lock.is_ok() ? "" : lock.status().text();
}

}  // namespace

TEST_CASE("a missing data directory is made for its owner alone, and its path is absolute") {
  const Scratch scratch;
  base::Result<DirectoryLock> lock = DirectoryLock::acquire(scratch.path + "/./data", "id1");
  REQUIRE(lock.is_ok());
  CHECK(lock.value().path() == scratch.path + "/data");
  struct stat found = {};
  REQUIRE(stat(lock.value().path().c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0700);
}

TEST_CASE("who takes a directory without an id leaves what its last holder wrote") {
  const Scratch scratch;
  REQUIRE(DirectoryLock::acquire(scratch.path, "id1").is_ok());
  const base::Result<DirectoryLock> lock = DirectoryLock::acquire(scratch.path, "");
  REQUIRE(lock.is_ok());
  CHECK(contains(refusal(scratch.path), "(-id id1);"));
}

TEST_CASE("the second process is told who holds the directory") {
  const Scratch scratch;
  base::Result<DirectoryLock> lock = DirectoryLock::acquire(scratch.path, "id1");
  REQUIRE(lock.is_ok());
  const std::string pid = std::to_string(getpid());
  CHECK(refusal(scratch.path) ==
        scratch.path + " is in use by process " + pid + " (-id id1); give this node its own -raftdir");
  REQUIRE(lock.value().set_id("x").is_ok());
  CHECK(contains(refusal(scratch.path), "process " + pid + " (-id x);"));
  REQUIRE(lock.value().set_id("").is_ok());
  CHECK(contains(refusal(scratch.path), "process " + pid + ";"));
  DirectoryLock moved = std::move(lock.value());
  CHECK(refusal(scratch.path) != "");
  moved = DirectoryLock();
  CHECK(refusal(scratch.path) == "");
}

TEST_CASE("who only reads a directory needs no LOCK in it and makes none, but gives way to its holder") {
  const Scratch scratch;
  CHECK(DirectoryLock::acquire_to_read(scratch.path).is_ok());
  CHECK(std::filesystem::is_empty(scratch.path));
  CHECK_FALSE(DirectoryLock::acquire_to_read(scratch.path + "/none").is_ok());
  REQUIRE(DirectoryLock::acquire_to_change(scratch.path).is_ok());
  const base::Result<DirectoryLock> holder = DirectoryLock::acquire(scratch.path, "id1");
  REQUIRE(holder.is_ok());
  CHECK_FALSE(DirectoryLock::acquire_to_read(scratch.path).is_ok());
}

TEST_CASE("a directory that is a file, has no parent or is locked away is refused by name") {
  const Scratch scratch;
  std::ofstream(scratch.path + "/file") << "text";
  CHECK(refusal(scratch.path + "/file") ==
        scratch.path + "/file is not a directory: raftdir must name one");
  CHECK(refusal(scratch.path + "/no/data") ==
        "cannot make the data directory " + scratch.path + "/no/data: No such file or directory");
  if (geteuid() == 0) return;  // Root may read and write everywhere.
  std::filesystem::permissions(scratch.path,
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  CHECK(contains(refusal(scratch.path), "cannot read and write the data directory"));
  std::filesystem::permissions(scratch.path, std::filesystem::perms::owner_all);
}

TEST_CASE("the stores work on the real file system, with the files that are documented") {
  const Scratch scratch;
  LogStoreOptions options;
  options.directory = scratch.path;
  for (raft::Index i = 1; i <= 3; ++i) {
    const auto log = open_log(options);
    CHECK(log->recovered().last.index == i - 1);
    LogWrite write;
    write.append.push_back(make_entry(1, i, "x"));
    REQUIRE(log->write({write}) == WriteResult::kDurable);
    base::Result<std::unique_ptr<KeyStore>> keys =
        KeyStore::open({.directory = scratch.path, .vfs = {}, .generation = 4});
    REQUIRE_MESSAGE(keys.is_ok(), keys.status().text());
    CHECK(keys.value()->witness().index == i - 1);
    REQUIRE(keys.value()->write_witness({.index = i, .term = 1}).is_ok());
    if (i == 2) continue;  // Ends without a close, as a crash does.
    REQUIRE(log->close().is_ok());
    REQUIRE(keys.value()->close().is_ok());
  }
  CHECK(std::filesystem::file_size(scratch.path + "/raft.db-wal") == options.wal_bytes);
  for (const char* file : {"raft.db", "raft.db-wal", "keys-4.db"}) {
    CHECK(std::filesystem::exists(scratch.path + "/" + file));
  }
  CHECK_FALSE(std::filesystem::exists(scratch.path + "/raft.db-shm"));
}

}  // namespace leto::storage
