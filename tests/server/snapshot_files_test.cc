// Whether there is room for a copy or for what comes is asked before a byte of it is written.
#include "server/snapshot_files.h"

#include <doctest/doctest.h>

#include <optional>

#include "tests/storage/support.h"

namespace leto::server {
namespace {

// Runs jobs on the spot; what is asked for calls back before it returns, which these tests allow.
class JobsOnTheSpot final : public JobRunner {
 public:
  void run(std::function<void()> work, std::function<void()> done) override {
    work();
    done();
  }
};

// The keys file /disk/keys-1.db of some size, and a disk that has `free` bytes left.
struct FilesUnderTest {
  FilesUnderTest() {
    const std::unique_ptr<storage::KeyStore> store = storage::open_keys(disk);
    CHECK(store->close().is_ok());
    keys_bytes = disk.contents("/disk/keys-1.db").size() + disk.contents("/disk/keys-1.db-wal").size();
  }
  std::string copy() {
    std::string said = "nothing";
    files.copy(1, [&said](const base::Result<SnapshotDisk::Copy>& result) {
      said = result.is_ok() ? "" : result.status().text();
    });
    return said;
  }
  std::string receive(uint64_t bytes) {
    std::string said = "nothing";
    files.receive(2, bytes, [&said](const base::Status& status) { said = status.is_ok() ? "" : status.text(); });
    return said;
  }
  static constexpr uint64_t kBallastBytes = 1000;
  static constexpr uint64_t kSpareBytes = kBallastBytes + (16 << 20);
  storage::TestDisk disk{"snapshot_files"};
  uint64_t keys_bytes = 0;
  std::optional<uint64_t> free = 0;   // Nothing: it cannot be told.
  JobsOnTheSpot jobs;
  Options options = [] {
    Options given;
    given.ballast_bytes = kBallastBytes;
    return given;
  }();
  SnapshotFiles files{jobs, jobs,
                      {.directory = "/disk",
                       .vfs = disk.name(),
                       .free_bytes = [this](const std::string&) {
                         return free ? base::Result<uint64_t>(*free) : base::Status::error("no such call");
                       }},
                      options};
};

TEST_CASE("what comes is refused by a sentence, and nothing is written, unless there is room for it and more") {
  FilesUnderTest test;
  constexpr uint64_t kBytes = 5000;
  test.free = kBytes + FilesUnderTest::kSpareBytes - 1;
  CHECK(test.receive(kBytes) == "a file of 5000 bytes needs 16783216 bytes of room in /disk, and 16783215 are free");
  test.files.discard();
  for (const std::string& path : test.disk.paths()) CHECK(path.find("keys-2") == std::string::npos);
  test.free = *test.free + 1;
  CHECK(test.receive(kBytes) == "");
  test.files.discard();
}

TEST_CASE("the keys file is not copied unless there is room for the copy and more") {
  FilesUnderTest test;
  REQUIRE(test.keys_bytes > 0);
  test.free = test.keys_bytes + FilesUnderTest::kSpareBytes - 1;
  CHECK(test.copy().find(" bytes of room in /disk, and ") != std::string::npos);
  for (const std::string& path : test.disk.paths()) CHECK(path.find("spool") == std::string::npos);
  test.free = *test.free + 1;
  CHECK(test.copy() == "");
  test.files.drop_copy();
}

TEST_CASE("with a snapshot the disk must not be short of room, however large disk-floor is, and 16 MB stay in any case") {
  FilesUnderTest test;
  test.options.disk_floor = 20 << 20;
  test.free = 5000 + FilesUnderTest::kBallastBytes + (40 << 20) - 1;
  CHECK(test.receive(5000) != "");
  test.free = *test.free + 1;
  CHECK(test.receive(5000) == "");
  test.files.discard();
  test.free = test.keys_bytes + FilesUnderTest::kBallastBytes + (40 << 20) - 1;
  CHECK(test.copy() != "");
  test.options.disk_floor = 0;
  CHECK(test.copy() == "");
  test.files.drop_copy();
  test.free = test.keys_bytes + FilesUnderTest::kSpareBytes - 1;
  CHECK(test.copy() != "");
}

TEST_CASE("where it cannot be told how much room there is, writing will tell") {
  FilesUnderTest test;
  test.free.reset();
  CHECK(test.receive(5000) == "");
  test.files.discard();
}

}  // namespace
}  // namespace leto::server
