// keys-<generation>.db: the key tables and, in the same transaction, everything else that is replicated
// state (keyspace::StateHeader) and the witness of the log's tail (D16). Written behind.
//
// Invariants: one read-write connection, which alone commits and checkpoints; a flush is one transaction;
// every value carries a CRC32C that is checked when it is read. Refuses to know of threads: one call at a
// time, from any thread; the cut is only read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "keyspace/keyspace.h"

namespace leto::storage {

// D16: the highest entry known to be committed and durable here when it was written.
struct Witness {
  uint64_t index = 0;
  uint64_t term = 0;
};

struct KeyStoreOptions {
  std::string directory;      // Absolute.
  std::string vfs;            // SQLite VFS name; empty: the default one.
  uint64_t generation = 1;
};

class KeyStore {
 public:
  // Opens or makes the file. What it found is durable when this returns (checkpointed whole).
  static base::Result<std::unique_ptr<KeyStore>> open(const KeyStoreOptions& options);
  virtual ~KeyStore() = default;

  // As of the last committed flush; zeros for a new file.
  virtual keyspace::StateHeader header() const = 0;
  virtual Witness witness() const = 0;
  // Calls `sink` for every key. The digest of what it gave is compared with the header's by the caller.
  using Sink = std::function<void(uint32_t database, std::string_view key, keyspace::Item item)>;
  virtual base::Status load(const Sink& sink) = 0;

  // One transaction, durable when it returns. On error nothing of the cut is in the file (it may be tried
  // again), except after a failed fsync: then the process has ended.
  virtual base::Status flush(const keyspace::Cut& cut, const Witness& witness) = 0;
  virtual base::Status write_witness(const Witness& witness) = 0;
  // A PASSIVE checkpoint of what there is.
  virtual base::Status checkpoint() = 0;
  virtual base::Status close() = 0;
};

}  // namespace leto::storage
