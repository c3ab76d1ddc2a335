// Rotten data directories: sound files with some bytes changed.
#include <memory>
#include <string>

#include "base/assert.h"
#include "base/crc32c.h"
#include "storage/key_store.h"
#include "storage/load.h"
#include "storage/log_store.h"
#include "storage/snapshot_file.h"
#include "tests/fuzz/sample_files.h"
#include "tests/fuzz/targets.h"

namespace leto::fuzz {

void open_log(std::string_view bytes) {
  storage::TestDisk& disk = fresh_disk();
  disk.set_contents(std::string(kDirectory) + "/raft.db", patched(golden("raft-v1.db"), bytes));
  base::Result<std::unique_ptr<storage::LogStore>> opened = storage::LogStore::open(log_on(disk));
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
  disk.set_contents(std::string(kDirectory) + "/keys-1.db", patched(golden("keys-v1.db"), bytes));
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
  const std::string content = patched(golden("keys-v1.db"), bytes);
  base::Result<std::unique_ptr<storage::SnapshotTarget>> opened = storage::SnapshotTarget::open(
      {.directory = kDirectory, .vfs = disk.name(), .generation = 2, .size = content.size()});
  LETO_ASSERT(opened.is_ok(), "an empty disk takes a file");
  LETO_ASSERT(opened.value()->append(content).is_ok(), "an empty disk takes bytes");
  keyspace::Keyspace keyspace;
  keyspace::StateHeader header;
  const storage::SnapshotEnd end{.last = kGoldenApplied, .checksum = base::crc32c(content), .term = 6};
  const base::Status finished = opened.value()->finish(end, keyspace, header);
  LETO_ASSERT(finished.is_ok() || !bytes.empty(), "a sound file is refused");
  LETO_ASSERT(!finished.is_ok() || keyspace.digest() == header.digest, "loaded keys are not those of the digest");
  opened.value()->discard();
}

}  // namespace leto::fuzz
