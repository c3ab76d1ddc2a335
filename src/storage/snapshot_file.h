// A keys file on its way from one node to another: the sender's consistent copy of it, the receiver's new one, and
// the removal of what neither needs. Refuses to know of connections, of Raft, and of which keys file is current: that
// is raft.db's keys_generation, and the one commit that changes it makes a received file current (D9).
//
// Invariants: a source pins the WAL of the file it copies only until its last step; a target's file is never the
// current one, and is whole, checked and durable when finish() returns; memory used is bounded by the bytes asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "keyspace/keyspace.h"
#include "raft/types.h"
#include "storage/key_store.h"

namespace leto::storage {

// So many sources at once: what remove_other_generations() looks for.
inline constexpr uint64_t kSpoolNumbers = 64;
// No keys file is taken that is larger: what the other side says is never believed beyond it.
inline constexpr uint64_t kSnapshotBytesMax = uint64_t{1} << 40;
// How far from the current generation remove_other_generations() looks.
inline constexpr uint64_t kGenerationsProbed = 16;

struct SnapshotSourceOptions {
  std::string directory;     // Absolute.
  std::string vfs;           // SQLite VFS name; empty: the default one.
  uint64_t generation = 1;   // Of the keys file to copy, which its owner has open.
  uint64_t number = 0;       // Of the copy, snapshot-<number>.spool: of no other source alive. Below kSpoolNumbers.
};

struct SnapshotStep {
  base::Status status = {};
  bool done = false;   // REQUIRES for another step: not done, and no error.
};

// The sender's: a consistent copy of a keys file as of its last commit before open().
class SnapshotSource {
 public:
  // Opens the keys file read-only beside its owner's connection, begins a read transaction that holds what is to be
  // copied, and reads the header. What the spool of that number held is gone. Opens files: belongs into a job.
  static base::Result<std::unique_ptr<SnapshotSource>> open(const SnapshotSourceOptions& options);
  // Removes the spool.
  virtual ~SnapshotSource() = default;

  // Copies about so many bytes, or once all is copied sums up so many. When done, nothing of the owner's file is held
  // any more. After an error nothing but the destructor may be called.
  virtual SnapshotStep step(size_t bytes_max) = 0;
  virtual const keyspace::StateHeader& header() const = 0;
  // REQUIRES once done, both: bytes of the copy, and their CRC-32C.
  virtual uint64_t size() const = 0;
  virtual uint32_t checksum() const = 0;
  // [offset, offset + bytes_max) as far as the copy goes. REQUIRES: done, offset <= size().
  virtual base::Result<std::string> read(uint64_t offset, size_t bytes_max) = 0;
};

struct SnapshotTargetOptions {
  std::string directory;     // Absolute.
  std::string vfs;           // SQLite VFS name; empty: the default one.
  uint64_t generation = 1;   // Not the current one.
  uint64_t size = 0;         // Of the whole file, as the sender declared it.
};

// What the sender said of the snapshot, and what this node knows.
struct SnapshotEnd {
  raft::EntryId last;      // The last entry it includes.
  uint32_t checksum = 0;   // CRC-32C of the whole file.
  raft::Term term = 0;     // Of this node: for its witness.
};

// The receiver's: writes a keys file under its final name.
class SnapshotTarget {
 public:
  // What a file of that generation held is gone. An error also for a size that no keys file has.
  static base::Result<std::unique_ptr<SnapshotTarget>> open(const SnapshotTargetOptions& options);
  // Removes the file unless it was finished.
  virtual ~SnapshotTarget() = default;

  // At offset(). An error if it goes beyond the declared size: nothing is written then. After one that the disk
  // gave, the same bytes may be appended again.
  virtual base::Status append(std::string_view bytes) = 0;
  virtual uint64_t offset() const = 0;
  // The file is read back and compared with the checksum; opened, its applied entry compared with `last`; all its
  // keys loaded into `keyspace` and compared with its digest; the sender's witness replaced by {last.index, term};
  // file and directory are synced, and the file is closed again. `header` is the file's. REQUIRES: `keyspace` is
  // empty, and of no use after an error. After an error nothing but discard() and the destructor may be called.
  virtual base::Status finish(const SnapshotEnd& end, keyspace::Keyspace& keyspace, keyspace::StateHeader& header) = 0;
  // Removes the file, also one that was finished; nothing but the destructor may be called then. REQUIRES: no raft.db says that it
  // is current.
  virtual void discard() = 0;
};

// At start and after a switch: keys files of the generations around `current`, and all spools, are gone. What cannot be
// removed stays: the next start tries again. REQUIRES: none of them is open.
void remove_other_generations(const std::string& directory, const std::string& vfs, uint64_t current);

}  // namespace leto::storage
