// Data directories: what is read of a WAL without SQLite, `leto --check`, and a start with strange notes, LOCK and files.
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "base/assert.h"
#include "base/format.h"
#include "keyspace/keyspace.h"
#include "server/repair.h"
#include "server/start.h"
#include "storage/check.h"
#include "storage/key_store.h"
#include "storage/load.h"
#include "storage/log_store.h"
#include "storage/sqlite.h"
#include "storage/wal_scan.h"
#include "tests/fuzz/sample_files.h"
#include "tests/fuzz/targets.h"

namespace leto::fuzz {

namespace {

const std::string kLog = std::string(kDirectory) + "/raft.db";
const std::string kWal = kLog + "-wal";
const std::string kKeys = std::string(kDirectory) + "/keys-1.db";

// Frames up to the last commit that SQLite would read; 0 also if it refuses the files.
uint64_t frames_that_sqlite_reads(storage::TestDisk& disk) {
  base::Result<std::unique_ptr<storage::Database>> opened =
      storage::Database::open({.path = kLog, .vfs = disk.name(), .exclusive = true});
  if (!opened.is_ok()) return 0;
  int frames = 0, copied = 0;
  const int code = sqlite3_wal_checkpoint_v2(opened.value()->handle(), "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
  return code == SQLITE_OK && frames > 0 ? static_cast<uint64_t>(frames) : 0;
}

// The WAL of a mode: the bytes as they are, a sound one with patches, or that with all its checksums made right again.
std::string make_wal(std::string_view bytes) {
  enum : size_t { kRaw, kPatched, kSummed, kRawSummed, kModes };
  const size_t mode = take_number(bytes, 1) % kModes;
  std::string wal = mode == kPatched || mode == kSummed ? patched(sound_wal(), bytes) : std::string(bytes);
  if (mode == kSummed || mode == kRawSummed) sum_wal_anew(wal);
  return wal;
}

// Six bytes each: which file, what is done to it, and where with what.
void change_files(std::map<std::string, std::string>& files, std::string_view bytes) {
  static const std::string names[] = {kLog, kWal, kKeys};
  enum : size_t { kPatch, kTruncate, kRemove, kZero, kActions };
  constexpr size_t kActionBytes = 6;
  constexpr size_t kZeroBytes = 512;
  while (bytes.size() >= kActionBytes) {
    const std::string& name = names[take_number(bytes, 1) % std::size(names)];
    const size_t action = take_number(bytes, 1) % kActions;
    const std::string_view patch = bytes.substr(0, 4);
    const size_t at = take_number(bytes, 3);
    bytes.remove_prefix(1);
    const auto found = files.find(name);
    if (found == files.end() || found->second.empty()) continue;
    std::string& content = found->second;
    if (action == kPatch) content = patched(std::move(content), patch);
    if (action == kTruncate) content.resize(at % content.size());
    if (action == kRemove) files.erase(found);
    if (action == kZero) content.replace(at % content.size(), kZeroBytes, kZeroBytes, '\0');
  }
}

// What a start does before it answers anybody; true if it finds nothing wrong.
bool opens(storage::TestDisk& disk) {
  base::Result<std::unique_ptr<storage::LogStore>> log = storage::LogStore::open(log_on(disk));
  if (!log.is_ok()) return false;
  base::Result<std::unique_ptr<storage::KeyStore>> keys =
      storage::KeyStore::open({.directory = kDirectory, .vfs = disk.name(), .generation = 1});
  keyspace::Keyspace keyspace;
  return keys.is_ok() && storage::load_keyspace(*keys.value(), keyspace).is_ok();
}

// A directory on the real file system, in one of its own; both go with the object, as a fuzzer's process ends without destructors.
class RealDirectory {
 public:
  RealDirectory() {
    const bool in_memory = std::filesystem::exists("/dev/shm");
    std::string pattern = std::string(in_memory ? "/dev/shm" : "/tmp") + "/leto-fuzz-XXXXXX";
    LETO_ASSERT(mkdtemp(pattern.data()) != nullptr, pattern);
    around_ = pattern;
    path_ = around_ + "/data";
    std::filesystem::create_directory(path_);
  }
  ~RealDirectory() { std::filesystem::remove_all(around_); }
  RealDirectory(const RealDirectory&) = delete;
  RealDirectory& operator=(const RealDirectory&) = delete;

  void write(const std::string& name, std::string_view content) const {
    std::ofstream(path_ + "/" + name, std::ios::binary) << content;
  }
  const std::string& path() const { return path_; }
  // Nothing was made outside of it.
  bool is_alone() const {
    const auto entries = std::filesystem::directory_iterator(around_);
    return std::distance(begin(entries), end(entries)) == 1;
  }

 private:
  std::string around_, path_;
};

// Each: which file, two bytes of length, and that much of content. Databases are sound ones with patches.
void write_files(const RealDirectory& directory, std::string_view bytes) {
  static constexpr const char* kNames[] = {"damaged", "rejoin", "rejoin.begun", "LOCK", "raft.db", "keys-1.db", "raft.db-wal", "keys-2.db"};
  while (!bytes.empty()) {
    const std::string name = kNames[take_number(bytes, 1) % std::size(kNames)];
    const std::string_view content = bytes.substr(0, take_number(bytes, 2));
    bytes.remove_prefix(content.size());
    if (name == "raft.db") {
      directory.write(name, patched(golden("raft-v1.db"), content));
    } else if (name == "keys-1.db") {
      directory.write(name, patched(golden("keys-v1.db"), content));
    } else if (name == "raft.db-wal") {
      directory.write(name, make_wal(content));
    } else {
      directory.write(name, content);
    }
  }
}

void check_note(const std::string& directory) {
  const std::optional<server::Rejoin> rejoin = server::read_rejoin(directory);
  if (!rejoin) return;
  const std::string text = server::rejoin_text(*rejoin);
  const std::optional<server::Rejoin> again = server::parse_rejoin(text);
  LETO_ASSERT(again && server::rejoin_text(*again) == text, "a note is read otherwise than it was written");
}

}  // namespace

void scan_strange_wal(std::string_view bytes) {
  storage::TestDisk& disk = fresh_disk();
  const std::string wal = make_wal(bytes);
  disk.set_contents(kLog, golden("raft-v1.db"));
  disk.set_contents(kWal, wal);
  base::Result<storage::WalScan> scan = storage::scan_wal(disk.name(), kLog);
  LETO_ASSERT(scan.is_ok(), scan.status().text());
  LETO_ASSERT(disk.contents(kWal) == wal, "looking changed it");
  constexpr size_t kFrameBytesMin = 512;
  LETO_ASSERT(scan.value().frames_read + scan.value().commits_lost <= wal.size() / kFrameBytesMin, "more frames than bytes");
  const uint64_t read = frames_that_sqlite_reads(disk);
  LETO_ASSERT(read <= scan.value().frames_read,
              base::format("SQLite reads %llu frames, the scan %llu", static_cast<unsigned long long>(read),
                           static_cast<unsigned long long>(scan.value().frames_read)));
}

void check_strange_directory(std::string_view bytes) {
  std::map<std::string, std::string> files{{kLog, golden("raft-v1.db")}, {kWal, sound_wal()}, {kKeys, golden("keys-v1.db")}};
  storage::TestDisk& disk = fresh_disk();
  change_files(files, bytes);
  for (const auto& [path, content] : files) disk.set_contents(path, content);
  const storage::CheckReport report = storage::check_directory(kDirectory, disk.name());
  LETO_ASSERT(disk.paths().size() == files.size(), "looking made or removed a file");
  for (const auto& [path, content] : files) LETO_ASSERT(disk.contents(path) == content, path + ": looking changed it");
  if (!report.damages.empty()) return;
  LETO_ASSERT(opens(disk), "what is said to be sound does not open");
}

void start_in_strange_directory(std::string_view bytes) {
  const RealDirectory directory;
  write_files(directory, bytes);
  server::Options options;
  check_note(directory.path());
  base::Result<storage::DirectoryLock> lock = storage::DirectoryLock::acquire(directory.path(), "");
  LETO_ASSERT(lock.is_ok(), lock.status().text());
  base::Result<storage::DirectoryLock> second = storage::DirectoryLock::acquire_to_read(directory.path());
  LETO_ASSERT(!second.is_ok() && !second.status().text().empty(), "two have one directory");
  base::Result<server::OpenedDirectory> opened = server::open_directory(options, std::move(lock.value()));
  LETO_ASSERT(opened.is_ok() || !opened.status().text().empty(), "an error without a sentence");
  LETO_ASSERT(directory.is_alone(), "a start made something outside of its directory");
}

}  // namespace leto::fuzz
