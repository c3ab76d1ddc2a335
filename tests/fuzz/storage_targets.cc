// Rotten data directories: sound files with some bytes changed.
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "base/assert.h"
#include "base/crc32c.h"
#include "storage/fatal.h"
#include "storage/key_store.h"
#include "storage/load.h"
#include "storage/log_store.h"
#include "storage/snapshot_file.h"
#include "tests/fuzz/targets.h"
#include "tests/storage/test_vfs.h"

namespace leto::fuzz {

namespace {

constexpr char kDirectory[] = "/fuzz";
constexpr size_t kPatchBytes = 4;

const std::string& golden(const char* name) {
  static std::string log, keys;
  std::string& content = name[0] == 'r' ? log : keys;
  if (!content.empty()) return content;
  std::ifstream file(std::string(LETO_SOURCE_DIR) + "/tests/golden/" + name, std::ios::binary);
  content.assign(std::istreambuf_iterator<char>(file), {});
  LETO_ASSERT(!content.empty(), name);
  return content;
}

std::string patched(const char* name, std::string_view patches) {
  std::string content = golden(name);
  for (; patches.size() >= kPatchBytes; patches.remove_prefix(kPatchBytes)) {
    const auto byte = [&](size_t place) { return static_cast<size_t>(static_cast<unsigned char>(patches[place])); };
    content[(byte(0) << 16 | byte(1) << 8 | byte(2)) % content.size()] = patches[3];
  }
  return content;
}

// One disk for all runs of a process: SQLite never forgets a VFS's name.
storage::TestDisk& fresh_disk() {
  static storage::TestDisk disk("fuzz");
  static const bool quiet = [] {
    storage::set_fatal_handler([](const std::string&) {});
    return true;
  }();
  LETO_ASSERT(quiet && disk.open_files() == 0, "a file is still open");
  for (const std::string& path : disk.paths()) disk.remove(path);
  disk.sync_directory();
  return disk;
}

}  // namespace

void open_log(std::string_view bytes) {
  storage::TestDisk& disk = fresh_disk();
  disk.set_contents(std::string(kDirectory) + "/raft.db", patched("raft-v1.db", bytes));
  storage::LogStoreOptions options;
  options.directory = kDirectory;
  options.vfs = disk.name();
  options.wal_bytes = 64 << 10;
  base::Result<std::unique_ptr<storage::LogStore>> opened = storage::LogStore::open(options);
  if (!opened.is_ok()) return;
  storage::LogStore& log = *opened.value();
  const raft::Recovered recovered = log.recovered();
  raft::Index next = recovered.base.index + 1;
  while (next <= recovered.last.index) {
    base::Result<std::vector<raft::Entry>> entries = log.read(next, recovered.last.index, 4096);
    if (!entries.is_ok()) return;
    LETO_ASSERT(!entries.value().empty(), "entries are missing, and nobody says so");
    next = entries.value().back().id.index + 1;
  }
  [[maybe_unused]] const bool closed = log.close().is_ok();
}

void open_keys(std::string_view bytes) {
  storage::TestDisk& disk = fresh_disk();
  disk.set_contents(std::string(kDirectory) + "/keys-1.db", patched("keys-v1.db", bytes));
  base::Result<std::unique_ptr<storage::KeyStore>> opened =
      storage::KeyStore::open({.directory = kDirectory, .vfs = disk.name(), .generation = 1});
  if (!opened.is_ok()) return;
  keyspace::Keyspace keyspace;
  if (!storage::load_keyspace(*opened.value(), keyspace).is_ok()) return;
  LETO_ASSERT(keyspace.digest() == opened.value()->header().digest, "loaded keys are not those of the digest");
}

// With the checksum of what is sent: what a sender whose file is rotten would say.
void receive_snapshot(std::string_view bytes) {
  storage::TestDisk& disk = fresh_disk();
  const std::string content = patched("keys-v1.db", bytes);
  base::Result<std::unique_ptr<storage::SnapshotTarget>> opened = storage::SnapshotTarget::open(
      {.directory = kDirectory, .vfs = disk.name(), .generation = 2, .size = content.size()});
  LETO_ASSERT(opened.is_ok(), "an empty disk takes a file");
  LETO_ASSERT(opened.value()->append(content).is_ok(), "an empty disk takes bytes");
  keyspace::Keyspace keyspace;
  keyspace::StateHeader header;
  const storage::SnapshotEnd end{.last = {.term = 2, .index = 6}, .checksum = base::crc32c(content), .term = 3};
  const base::Status finished = opened.value()->finish(end, keyspace, header);
  LETO_ASSERT(!finished.is_ok() || keyspace.digest() == header.digest, "loaded keys are not those of the digest");
  opened.value()->discard();
}

}  // namespace leto::fuzz
