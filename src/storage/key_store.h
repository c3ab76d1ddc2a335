// keys-<generation>.db: the key tables and, in the same transaction, everything else that is replicated
// state (keyspace::StateHeader) and the witness of the log's tail (D16). Written behind.
//
// Invariants: one read-write connection, which alone commits and checkpoints; a flush is one transaction, in
// however many steps, of which none but the last commits; every value carries a CRC32C that is checked when it is
// read. Refuses to know of threads: one call at a time, from any thread; the cut is only read.
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

struct FlushStep {
  base::Status status = {};
  bool done = false;   // The flush is durable. REQUIRES for another step: not done, and no error.
};

class KeyStore {
 public:
  // Opens or makes the file. What it found is durable when this returns (checkpointed whole).
  static base::Result<std::unique_ptr<KeyStore>> open(const KeyStoreOptions& options);
  virtual ~KeyStore() = default;

  // As of the last committed flush; zeros for a new file.
  virtual std::string path() const = 0;   // Of the file.
  virtual keyspace::StateHeader header() const = 0;
  virtual Witness witness() const = 0;
  // How many keys a logical database has; 0 also if that cannot be told. For making room before load().
  virtual uint64_t count_keys(uint32_t /* database */) { return 0; }
  // Calls `sink` for every key, once for each. The digest of what it gave is compared with the header's by the caller.
  using Sink = std::function<void(uint32_t database, std::string_view key, keyspace::Item item)>;
  virtual base::Status load(const Sink& sink) = 0;

  // A flush in steps: one transaction over several jobs. begin_flush() sorts the cut, which must live and stay as it
  // is until the flush has ended; each step writes about so many bytes of keys and values (one value whole, however
  // large), and the last one header and witness, and commits. On an error of either nothing of the cut is in the file
  // and no flush is under way: it may be begun anew, except after a failed fsync, when the process has ended. Nothing
  // but step_flush() and close(), which gives the flush up, may be called while one is under way.
  virtual base::Status begin_flush(const keyspace::Cut& cut, const Witness& witness) = 0;
  virtual FlushStep step_flush(size_t bytes_max) = 0;
  // All of it at once.
  virtual base::Status flush(const keyspace::Cut& cut, const Witness& witness);
  virtual base::Status write_witness(const Witness& witness) = 0;
  // Removes a bounded part of what overwritten and erased large values and flushed databases left behind, if any, in a
  // transaction of its own; then, whether or not that succeeded, a PASSIVE checkpoint of what there is. The first error.
  virtual base::Status checkpoint() = 0;
  // There is more to remove: another checkpoint() would go on.
  virtual bool has_garbage() const = 0;
  virtual base::Status close() = 0;
};

}  // namespace leto::storage
