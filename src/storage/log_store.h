// raft.db: the Raft log, term and vote, and who this node is. On the path of every acknowledged write.
//
// Invariants: one read-write connection and no other; synchronous=FULL, WAL, EXCLUSIVE; every pragma is
// read back; write() is one transaction and one commit; each row carries a CRC32C that is checked when
// it is read; the WAL was checkpointed wholly before open() returns, so that what is readable is durable.
// Refuses to know what an entry means, and of threads: one call at a time, from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "raft/raft.h"
#include "storage/free_space.h"

namespace leto::storage {

// Who this node is; kept in raft.db from its first moment on.
struct Identity {
  std::string id;               // -id
  raft::NodeId node = 0;        // Its incarnation.
  std::string cluster_id;       // 16 raw bytes; empty: member of no cluster yet.
  std::string cluster_secret;   // 32 raw bytes; empty likewise.
  uint64_t keys_generation = 1; // Which keys-<gen>.db is current.
  // This directory founded the cluster, and nobody else was ever a member of it: ends with the first configuration in the
  // log that names another one.
  bool founded = false;
};

struct LogStoreOptions {
  std::string directory;              // Absolute.
  std::string vfs;                    // SQLite VFS name; empty: the default one.
  uint64_t segment_entries_max = 64 << 10;
  uint64_t segment_bytes_max = 64 << 20;
  size_t checkpoint_frames = 1000;    // A checkpoint is due past so many WAL frames.
  size_t wal_bytes = 16 << 20;        // The WAL is grown to so many by open(), so that commits overwrite.
  uint64_t ballast_bytes = 0;         // Of the file to be given away when the disk is full; 0: none.
  FreeBytes free_bytes = {};          // Not set: there is always room.
  uint64_t spare_bytes = 0;           // open() makes no ballast, and grows the WAL but a little, unless that leaves so many bytes
                                      // free, and as many as it takes.
  bool must_have_identity = false;    // There are keys files: a raft.db without an identity has lost it, and is damaged.
};

// A snapshot takes the log's place, or that of the keys alone (D9).
struct LogInstall {
  raft::EntryId last;             // The last entry the snapshot includes: the log's base from then on, unless it stays.
  uint64_t keys_generation = 0;   // The keys file that holds it, and is durable.
  bool keeps_log = false;         // REQUIRES: the log has `last`, or it is its base.
};

// One atomic change (D4), in this order: install, truncation, appends. The pointers' payloads are shared and
// only read.
struct LogWrite {
  std::optional<raft::HardState> hard_state = {};
  std::optional<raft::Index> truncate_from = {};
  std::vector<raft::Entry> append = {};
  // The whole log goes unless it is kept, what earlier writes of the same job appended included; identity()'s
  // keys_generation changes with it.
  std::optional<LogInstall> install = {};
};

// compact() drops at most so many segments, so that its job stays short.
inline constexpr size_t kSegmentsPerCompaction = 4;

// What compact() may drop.
struct LogDrop {
  raft::Index through = 0;       // At the most; durable in the keys file.
  uint64_t bytes_kept = 0;       // Of payload, at the end of the log: for followers that lag,
  raft::Index had_through = 0;   // though nothing of what lies at or before this, which none of them lacks,
  uint64_t bytes_max = UINT64_MAX;   // nor what would make it more than this.
};

enum class BallastWish : uint8_t { kLeave, kMake, kGiveAway };

// What look_at_room() is to do besides looking.
struct RoomWish {
  bool is_short = false;          // From now on the log begins a new segment with every kShortSegmentBytes, and compact()
                                  // with nothing to keep drops the last one, too; the WAL is checkpointed now.
  BallastWish ballast = BallastWish::kMake;   // kMake: if it is missing and there is room for it, twice its size and
  uint64_t beside_ballast = 0;                // so many bytes; a part with each look.
};
inline constexpr uint64_t kShortSegmentBytes = 1 << 20;

// Of the disk, in bytes.
struct LogRoom {
  uint64_t free = 0;     // Of the file system.
  uint64_t unused = 0;   // Of raft.db: pages that the log fills before the file grows.
  uint64_t owed = 0;     // By which the next checkpoint lengthens raft.db.
  bool ballast_failed = false;   // It was to be made, and could not be written.
  // What the log can still take.
  uint64_t total() const;
};

// kFull: rolled back whole, though the ballast was given away; run the same job again (D15). Any other failure of a write or fsync does not
// return: the process ends there and then, with the error on stderr.
enum class WriteResult : uint8_t { kDurable, kFull };

struct LogStoreCounters {
  uint64_t commits = 0;
  uint64_t checkpoints = 0;
  uint64_t wal_frames = 0;   // Now in the WAL.
  uint64_t log_bytes = 0;    // Payload bytes of all entries kept.
  raft::EntryId base = {};   // The last entry dropped.
  uint64_t segments = 0;     // Tables of entries.
  bool has_ballast = false;  // There is something to give away when the disk is full.
};

class LogStore {
 public:
  // Opens or makes raft.db. Errors (one sentence, naming the file): not a database, a newer format, damaged
  // rows, locked by another process. Touches nothing on error.
  static base::Result<std::unique_ptr<LogStore>> open(const LogStoreOptions& options);
  virtual ~LogStore() = default;

  // Empty if this directory was made just now: then set_identity() must be the first write.
  virtual std::optional<Identity> identity() const = 0;
  virtual base::Status set_identity(const Identity& identity) = 0;
  // Log, hard state and configurations found by open(); `applied` is left 0. Of configurations only those of
  // entries that are still in the log: the one in force at the base is in the keys file. The log may be empty
  // behind a base.
  virtual raft::Recovered recovered() const = 0;
  // Drops log, hard state and configuration and takes another identity, in one transaction: a node without
  // data of its own joins a cluster.
  virtual base::Status reset(const Identity& identity) = 0;

  // One transaction, one commit, one fsync, for all of `writes` in order. May fsync for seconds.
  virtual WriteResult write(const std::vector<LogWrite>& writes) = 0;
  // Entries [from, last], whole, at most max_bytes but at least one. Fewer if the log ends before.
  // A row with a wrong CRC is an error that names the file and index.
  virtual base::Result<std::vector<raft::Entry>> read(raft::Index from, raft::Index last,
                                                      size_t max_bytes) = 0;

  // D10: drops whole segments of what may go, the last one only if RoomWish says so, at most kSegmentsPerCompaction of
  // them, in one transaction with the new base and the rows of their terms and configurations. Gives the new base: the old
  // one if there was nothing to drop. An error is a full disk: rolled back whole. Never in the job that carries a vote.
  // REQUIRES: the keys file is durable at `through`.
  virtual base::Result<raft::EntryId> compact(const LogDrop& drop) = 0;
  base::Result<raft::EntryId> compact(raft::Index through) { return compact(LogDrop{.through = through}); }

  // A PASSIVE checkpoint if one is due; never in the job that carries a vote.
  virtual bool checkpoint_due() const = 0;
  virtual base::Status checkpoint() = 0;
  // How much room the log has, after what was wished for; what of that fails is no error. Never in the job that carries
  // a vote.
  virtual base::Result<LogRoom> look_at_room(const RoomWish& wish) = 0;

  virtual LogStoreCounters counters() const = 0;
  // Checkpoints all and closes. The directory's lock is released by the destructor.
  virtual base::Status close() = 0;
};

}  // namespace leto::storage
