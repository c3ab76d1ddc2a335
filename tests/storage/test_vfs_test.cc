// The simulated disk does what its header says: tests are only as good as it.
#include "tests/storage/test_vfs.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <set>

#include "tests/storage/support.h"

namespace leto::storage {

namespace {

// One file as SQLite would use it.
class RawFile {
 public:
  RawFile(const TestDisk& disk, const char* path, int kind = SQLITE_OPEN_MAIN_DB) {
    sqlite3_vfs* vfs = sqlite3_vfs_find(disk.name().c_str());
    memory_.resize(static_cast<size_t>(vfs->szOsFile));
    code = vfs->xOpen(vfs, path, file(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | kind, nullptr);
  }
  ~RawFile() {
    if (file()->pMethods != nullptr) file()->pMethods->xClose(file());
  }
  int write(const std::string& bytes, int64_t offset) {
    return file()->pMethods->xWrite(file(), bytes.data(), static_cast<int>(bytes.size()), offset);
  }
  int sync() { return file()->pMethods->xSync(file(), SQLITE_SYNC_NORMAL); }
  int truncate(int64_t size) { return file()->pMethods->xTruncate(file(), size); }
  int read(std::string& bytes, int64_t offset) {
    return file()->pMethods->xRead(file(), bytes.data(), static_cast<int>(bytes.size()), offset);
  }
  int lock(int level) { return file()->pMethods->xLock(file(), level); }

  int code = 0;

 private:
  sqlite3_file* file() { return reinterpret_cast<sqlite3_file*>(memory_.data()); }
  std::vector<char> memory_;
};

std::string sectors(char letter, size_t count) { return std::string(count * kSectorBytes, letter); }

Fault fault(Operation operation, Effect effect, bool sticky = false) {
  return {.at = 1, .kinds = operations(operation), .effect = effect, .sticky = sticky};
}

}  // namespace

TEST_CASE("a kill keeps what was written, and the old handle is dead") {
  TestDisk disk("vfs_kill");
  RawFile file(disk, "/f");
  REQUIRE(file.write("abc", 0) == SQLITE_OK);
  disk.kill();
  CHECK(disk.contents("/f") == "abc");
  CHECK(file.write("x", 0) == SQLITE_IOERR_WRITE);
  CHECK(file.sync() == SQLITE_IOERR_FSYNC);
  std::string bytes(3, ' ');
  CHECK(file.read(bytes, 0) == SQLITE_IOERR_READ);
  RawFile again(disk, "/f");
  CHECK(again.read(bytes, 0) == SQLITE_OK);
  CHECK(bytes == "abc");
}

TEST_CASE("a power cut keeps synced sectors and some of the others") {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    TestDisk disk("vfs_cut");
    base::Random random(seed);
    {
      RawFile file(disk, "/f");
      REQUIRE(file.write(sectors('a', 3), 0) == SQLITE_OK);
      REQUIRE(file.sync() == SQLITE_OK);
      disk.sync_directory();
      CHECK(disk.is_synced("/f"));
      REQUIRE(file.write(sectors('b', 2), kSectorBytes) == SQLITE_OK);
      CHECK_FALSE(disk.is_synced("/f"));
      disk.power_cut(random);
    }
    const std::string bytes = disk.contents("/f");
    REQUIRE(bytes.size() == 3 * kSectorBytes);
    CHECK(bytes.substr(0, kSectorBytes) == sectors('a', 1));
    seen.insert({bytes[0], bytes[kSectorBytes], bytes[2 * kSectorBytes]});
    CHECK(disk.is_synced("/f"));
  }
  CHECK(seen == std::set<std::string>{"aaa", "aab", "aba", "abb"});
}

TEST_CASE("a power cut may leave a file at its old length, its new one or between") {
  std::set<size_t> lengths;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    TestDisk disk("vfs_length");
    base::Random random(seed);
    {
      disk.set_contents("/f", "old");
      RawFile file(disk, "/f");
      REQUIRE(file.truncate(2000) == SQLITE_OK);
      disk.power_cut(random);
    }
    lengths.insert(disk.contents("/f").size());
  }
  CHECK(*lengths.begin() == 3);
  CHECK(*lengths.rbegin() == 2000);
  CHECK(lengths.size() > 10);
}

TEST_CASE("an unsynced directory entry may be lost, and the first sync of a journal keeps all of them") {
  size_t kept = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    TestDisk disk("vfs_entry");
    base::Random random(seed);
    {
      RawFile file(disk, "/f");
      REQUIRE(file.sync() == SQLITE_OK);
      disk.power_cut(random);
      kept += disk.exists("/f");
    }
    {
      RawFile database(disk, "/d");
      RawFile journal(disk, "/d-journal", SQLITE_OPEN_MAIN_JOURNAL);
      REQUIRE(journal.sync() == SQLITE_OK);
      disk.power_cut(random);
    }
    CHECK(disk.exists("/d"));
    CHECK(disk.exists("/d-journal"));
  }
  CHECK(kept > 10);
  CHECK(kept < 90);
}

TEST_CASE("a rename is seen whole or not at all after a power cut") {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    TestDisk disk("vfs_rename");
    base::Random random(seed);
    disk.set_contents("/new", "new");
    disk.set_contents("/f", "old");
    disk.rename("/new", "/f");
    CHECK(disk.contents("/f") == "new");
    disk.power_cut(random);
    seen.insert(disk.contents("/f") + (disk.exists("/new") ? "+" : ""));
  }
  CHECK(seen == std::set<std::string>{"new", "old+"});
}

TEST_CASE("faults come at the operation they were asked for, once or always, and are counted") {
  TestDisk disk("vfs_faults");
  RawFile file(disk, "/f");
  disk.add_fault({.at = 2,
                  .kinds = operations(Operation::kWrite),
                  .effect = Effect::kIoError,
                  .sticky = false,
                  .path_part = "f"});
  disk.add_fault(
      {.at = 1, .kinds = kAnyOperation, .effect = Effect::kIoError, .sticky = true, .path_part = "other"});
  CHECK(file.write("a", 0) == SQLITE_OK);
  CHECK(file.sync() == SQLITE_OK);
  CHECK(file.write("b", 1) == SQLITE_IOERR_WRITE);
  CHECK(file.write("c", 1) == SQLITE_OK);
  CHECK(disk.contents("/f") == "ac");
  CHECK(disk.times_reached(Effect::kIoError) == 1);
  CHECK(RawFile(disk, "/other").code == SQLITE_CANTOPEN);
  CHECK(RawFile(disk, "/other").code == SQLITE_CANTOPEN);
  disk.clear_faults();
  disk.add_fault(fault(Operation::kWrite, Effect::kFull, true));
  CHECK(file.write("d", 0) == SQLITE_FULL);
  CHECK(file.write("d", 0) == SQLITE_FULL);
  CHECK(disk.counters("/f").of(Operation::kWrite) == 5);
  CHECK(disk.counters("/f").bytes_written == 2);
  CHECK(disk.counters().of(Operation::kSync) == 1);
}

TEST_CASE("writes that are short, lost or misdirected do just that") {
  TestDisk disk("vfs_writes");
  RawFile file(disk, "/f");
  disk.add_fault(fault(Operation::kWrite, Effect::kShortWrite));
  CHECK(file.write("abcd", 0) == SQLITE_IOERR_WRITE);
  CHECK(disk.contents("/f") == "ab");
  disk.add_fault(fault(Operation::kWrite, Effect::kLostWrite));
  CHECK(file.write("abcd", 0) == SQLITE_OK);
  CHECK(disk.contents("/f") == "ab");
  disk.add_fault(fault(Operation::kWrite, Effect::kMisdirected));
  CHECK(file.write("x", 0) == SQLITE_OK);
  CHECK(disk.contents("/f") == "ab" + std::string(kSectorBytes - 2, '\0') + "x");
}

TEST_CASE("a sync that lies, fails or forgets leaves the bytes unsynced, each in its way") {
  for (const Effect effect : {Effect::kLyingSync, Effect::kIoError, Effect::kForgetfulSync}) {
    TestDisk disk("vfs_syncs");
    disk.set_contents("/f", "old");
    RawFile file(disk, "/f");
    REQUIRE(file.write("new", 0) == SQLITE_OK);
    disk.add_fault(fault(Operation::kSync, effect));
    CHECK(file.sync() == (effect == Effect::kLyingSync ? SQLITE_OK : SQLITE_IOERR_FSYNC));
    CHECK(disk.synced_contents("/f") == "old");
    CHECK(disk.contents("/f") == "new");
    CHECK(file.sync() == SQLITE_OK);
    CHECK(disk.synced_contents("/f") == (effect == Effect::kForgetfulSync ? "old" : "new"));
  }
}

TEST_CASE("a stopped machine answers nothing until its process has ended") {
  TestDisk disk("vfs_stop");
  RawFile file(disk, "/f");
  disk.add_fault(fault(Operation::kWrite, Effect::kStop));
  CHECK(file.write("abcd", 0) == SQLITE_IOERR_WRITE);
  CHECK(disk.stopped());
  CHECK(file.sync() == SQLITE_IOERR_FSYNC);
  CHECK(RawFile(disk, "/g").code == SQLITE_CANTOPEN);
  disk.kill();
  CHECK_FALSE(disk.stopped());
  CHECK(disk.contents("/f") == "ab");
  CHECK(RawFile(disk, "/g").code == SQLITE_OK);
}

TEST_CASE("a machine that was stopped by hand answers nothing until its process has ended") {
  TestDisk disk("vfs_stop_by_hand");
  RawFile file(disk, "/f");
  CHECK(file.write("a", 0) == SQLITE_OK);
  disk.stop();
  CHECK(file.write("b", 0) != SQLITE_OK);
  disk.kill();
  CHECK(disk.contents("/f") == "a");
  RawFile again(disk, "/f");
  CHECK(again.write("c", 0) == SQLITE_OK);
}

TEST_CASE("the hook hears of each sync, and flipped bits and old images are there at once") {
  TestDisk disk("vfs_outside");
  std::string heard;
  disk.on_sync([&](const std::string& path) { heard += path + ";"; });
  {
    RawFile file(disk, "/f");
    REQUIRE(file.write("a", 0) == SQLITE_OK);
    REQUIRE(file.sync() == SQLITE_OK);
    disk.sync_directory();
  }
  CHECK(heard == "/f;");
  const auto image = disk.synced_image();
  disk.flip_bit("/f", 0, 1);
  CHECK(disk.contents("/f") == "c");
  CHECK(disk.synced_contents("/f") == "c");
  disk.set_contents("/g", "later");
  disk.restore(image);
  CHECK(disk.contents("/f") == "a");
  CHECK(disk.paths() == std::vector<std::string>{"/f"});
}

TEST_CASE("locks keep a second writer out until the first ends or is killed") {
  TestDisk disk("vfs_locks");
  RawFile first(disk, "/f"), second(disk, "/f");
  CHECK(disk.had_two_writers());
  for (const int level : {SQLITE_LOCK_SHARED, SQLITE_LOCK_RESERVED}) CHECK(first.lock(level) == SQLITE_OK);
  CHECK(second.lock(SQLITE_LOCK_SHARED) == SQLITE_OK);
  CHECK(second.lock(SQLITE_LOCK_RESERVED) == SQLITE_BUSY);
  CHECK(first.lock(SQLITE_LOCK_EXCLUSIVE) == SQLITE_BUSY);
  disk.kill();
  RawFile third(disk, "/f");
  for (const int level : {SQLITE_LOCK_SHARED, SQLITE_LOCK_RESERVED, SQLITE_LOCK_EXCLUSIVE}) {
    CHECK(third.lock(level) == SQLITE_OK);
  }
}

TEST_CASE("the same calls with the same seed make the same bytes") {
  std::map<std::string, std::string> images[2];
  for (auto& image : images) {
    seed_sqlite(7);
    TestDisk disk("vfs_same");
    base::Random random(7);
    {
      const auto store = open_log(small_log(disk));
      for (raft::Index i = 1; i <= 30; ++i) {
        LogWrite write;
        write.append.push_back(make_entry(1, i, std::string(i * 10, 'x')));
        REQUIRE(store->write({write}) == WriteResult::kDurable);
      }
      disk.power_cut(random);
    }
    image = disk.synced_image();
  }
  CHECK(images[0] == images[1]);
}

}  // namespace leto::storage
