// A disk that exists in memory only, as a SQLite VFS: deterministic, with power cuts, kills and faults. The
// storage tests and the simulator run the real stores on it.
//
// What it models. A file is two images: what the kernel has (reads see it) and what is synced, in sectors
// of 512 bytes. A directory entry is synced on its own, as SQLite's Unix VFS does it: by the first sync of
// a journal or WAL that was made, by a delete that asks for it, or by sync_directory(). All paths are one
// directory; a rename is atomic. What it does not model: reordering between a sector's own versions (the
// newest or the synced one survives), permissions, other processes.
//
// Not thread-safe: one thread at a time uses a disk, as the simulator does. No operation depends on
// anything but the calls made and the numbers given.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace leto::storage {

inline constexpr size_t kSectorBytes = 512;

// What SQLite asks a VFS for; a fault names the kinds it meets.
enum class Operation : uint8_t { kOpen, kRead, kWrite, kSync, kTruncate, kDelete };
inline constexpr size_t kOperations = 6;
using OperationSet = uint32_t;
constexpr OperationSet operations(Operation operation) { return 1U << static_cast<uint32_t>(operation); }
inline constexpr OperationSet kAnyOperation = (1U << kOperations) - 1;
inline constexpr OperationSet kAnyChange = kAnyOperation & ~operations(Operation::kRead);

enum class Effect : uint8_t {
  kIoError,  // The operation fails and changes nothing. A sync that fails leaves all of its file unsynced.
  kFull,     // The same, with "disk full". Meets writes, opens and truncations only.
  kShortWrite,     // The first half of a write is done, then it fails. Other operations: as kIoError.
  kForgetfulSync,  // A sync fails, and what it should have synced never will be, though reads see it until
                   // a power cut.
  kLyingSync,      // A sync says it succeeded, and nothing is synced.
  kLostWrite,      // A write says it succeeded, and nothing is written.
  kMisdirected,    // A write goes one sector further than asked for, and says that it succeeded.
  kStop,  // The machine stops: this operation (a write: all but its first half) and all later ones fail
          // until kill() or power_cut().
};
inline constexpr size_t kEffects = 8;
const char* effect_name(Effect effect);

struct Fault {
  uint64_t at = 1;                    // Meets the at-th matching operation from now on; 1 is the next.
  OperationSet kinds = kAnyChange;    // As far as the effect can befall them.
  Effect effect = Effect::kIoError;
  bool sticky = false;                // All later matching operations, too.
  std::string path_part = {};              // Only files whose path contains it; empty: all.
};

struct DiskCounters {
  std::array<uint64_t, kOperations> operations = {};   // By Operation.
  uint64_t bytes_written = 0;
  uint64_t bytes_read = 0;
  uint64_t of(Operation operation) const { return operations[static_cast<size_t>(operation)]; }
};

class TestDisk {
 public:
  // Registers a VFS under `name`, which must be another than that of any other disk alive.
  explicit TestDisk(const std::string& name);
  // REQUIRES: no file is open any more (a connection that was killed counts until it is closed).
  ~TestDisk();
  TestDisk(const TestDisk&) = delete;
  TestDisk& operator=(const TestDisk&) = delete;

  const std::string& name() const;   // For LogStoreOptions::vfs.

  // The end of the process. After either, every open handle fails whatever it is asked, except to be
  // closed; locks and shared memory are gone; a kStop is over, other faults stay.
  // Before them: the machine stops now, as a kStop makes it. What a process leaves to its destructors does nothing then.
  void stop();
  void kill();                            // What was written stays.
  void power_cut(
      base::Random& random);  // Of what was not synced a random subset of sectors and entries stays.

  // The number by which it can be removed, before it was met or after.
  uint64_t add_fault(const Fault& fault);
  void remove_fault(uint64_t number);
  void clear_faults();
  bool stopped() const;   // A kStop was met.

  // Called when a fault has befallen an operation, a sticky one the first time only. Must not throw, nor call the disk.
  void on_fault(std::function<void(Effect effect, Operation operation)> hook);

  // Called at the start of each sync with the file's path: for latency, or to look. Must not throw, nor
  // call the disk.
  void on_sync(std::function<void(const std::string& path)> hook);

  // What SQLite was told the time is, in ms since 1970; fixed until set again.
  void set_time_ms(int64_t time_ms);

  // Looking, and changing from outside. Paths as SQLite was given them.
  const DiskCounters& counters() const;
  DiskCounters counters(const std::string& path) const;
  uint64_t operations_done() const;                       // Of kAnyChange.
  uint64_t times_reached(Effect effect) const;            // So often a fault of this effect was met.
  size_t open_files() const;
  // More than one connection had the same database open for writing.
  bool had_two_writers() const;

  bool exists(const std::string& path) const;
  std::vector<std::string> paths() const;                 // Sorted.
  std::string contents(
      const std::string& path) const;  // As a read would see it; empty if there is no such file.
  std::string synced_contents(const std::string& path) const;
  bool is_synced(const std::string& path) const;          // Bytes, length and directory entry.
  void set_contents(const std::string& path, std::string_view bytes);   // Synced, entry included.
  void flip_bit(const std::string& path, uint64_t byte,
                unsigned bit);                            // In both images. REQUIRES: byte is in the file.
  void remove(const std::string& path);                   // Unsynced until sync_directory().
  void rename(const std::string& from, const std::string& to);   // Likewise; replaces `to`.
  void sync_directory();
  // A copy of everything that is synced, to be brought back later: an old backup, or a cloned disk.
  std::map<std::string, std::string> synced_image() const;
  void restore(const std::map<std::string, std::string>& image);

  struct State;   // test_vfs_state.h

 private:
  std::unique_ptr<State> state_;
};

// SQLite draws random numbers (the WAL's salt) from one generator per process. Seeding it before a run
// makes every byte that the run writes the same each time.
void seed_sqlite(uint32_t seed);

}  // namespace leto::storage
