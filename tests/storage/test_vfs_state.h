// What a TestDisk is made of. Private to test_vfs*.cc.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/storage/test_vfs.h"

struct sqlite3_vfs;

namespace leto::storage {

// One file: an inode, as entries may come and go while it is open.
struct DiskFile {
  struct Range {
    uint64_t offset = 0;
    uint64_t size = 0;
  };
  std::string current;
  std::string synced;
  std::vector<Range> unsynced;   // Written since the last sync; may overlap.

  void write(uint64_t offset, std::string_view bytes);
  void truncate(uint64_t size);
  void sync();
  bool is_synced() const { return unsynced.empty() && current.size() == synced.size(); }
  void lose_unsynced(base::Random& random);

  // SQLite's five lock levels, by the handles that hold them.
  std::map<const void*, int> locks;
  int writers = 0;

  // Shared memory: regions that all handles map, and slots locked shared (n holders) or exclusively (-1).
  std::vector<std::unique_ptr<std::vector<char>>> regions;
  std::array<int, 8> slots = {};
  int mappers = 0;
  void drop_holders();
};
using DiskFileRef = std::shared_ptr<DiskFile>;

// A change of the directory: `from` loses its entry (unless empty), `to` gets one for `file` (unless
// empty).
struct DirectoryChange {
  std::string from;
  std::string to;
  DiskFileRef file;
};
using Directory = std::map<std::string, DiskFileRef>;
void apply_change(const DirectoryChange& change, Directory& directory);

struct TestDisk::State {
  std::string name;
  std::unique_ptr<sqlite3_vfs> vfs;
  Directory current;                       // As it is,
  Directory synced;                        // as a power cut may find it,
  std::vector<DirectoryChange> unsynced;   // and what happened between.
  uint64_t epoch = 0;                           // Of the process; handles of an earlier one are dead.
  bool stopped = false;
  struct Armed {
    Fault fault;
    uint64_t number = 0;
    bool met = false;
  };
  std::vector<Armed> faults;
  uint64_t faults_added = 0;
  std::array<uint64_t, kEffects> reached = {};
  DiskCounters total;
  std::map<std::string, DiskCounters> by_path;
  std::function<void(const std::string&)> sync_hook = {};
  std::function<void(Effect, Operation)> fault_hook = [](Effect, Operation) {};
  int64_t time_ms = 1700000000000;
  size_t open_files = 0;
  bool two_writers = false;

  // Counts the operation, and says which fault it meets; null: none.
  struct Met {
    bool any = false;
    Effect effect = Effect::kIoError;
  };
  Met meet(Operation operation, const std::string& path);
  DiskFileRef find(const std::string& path) const;
  void change_directory(DirectoryChange change);
  void sync_directory();
  void end_process();
};

// The calls that SQLite makes; test_vfs_calls.cc.
std::unique_ptr<sqlite3_vfs> make_vfs(TestDisk::State* state);

}  // namespace leto::storage
