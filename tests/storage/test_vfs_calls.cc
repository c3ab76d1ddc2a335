// What SQLite calls of a VFS, on a TestDisk. Each call first counts itself and asks which fault it meets.
#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "tests/storage/test_vfs_state.h"

namespace leto::storage {

namespace {

using State = TestDisk::State;

constexpr int kPathBytesMax = 512;
constexpr int kDeviceSectorBytes = 4096;   // What SQLite's Unix VFS says of any disk.

// SQLite allocates it, as its own kind of file; the rest hangs on `handle`.
struct Handle {
  State* state = nullptr;
  DiskFileRef file;
  std::string path;
  uint64_t epoch = 0;
  int flags = 0;
  bool syncs_directory = false;   // A journal that might be made by this open: its first sync is the directory's, too, as on Unix.
  bool persist_wal = false;
  bool maps = false;
  std::array<int, 8> held = {};   // Slots of shared memory: 1 shared, -1 exclusive.

  bool is_dead() const { return epoch != state->epoch || state->stopped; }
  // Its connection does; of a WAL SQLite asks to write in any case.
  bool owns() const { return (flags & SQLITE_OPEN_READWRITE) != 0 && (flags & SQLITE_OPEN_MAIN_DB) != 0; }
};

struct TestFile {
  sqlite3_file base;
  Handle* handle;
};

Handle& of(sqlite3_file* file) { return *reinterpret_cast<TestFile*>(file)->handle; }

State& of(sqlite3_vfs* vfs) { return *static_cast<State*>(vfs->pAppData); }

bool is_failure(Effect effect) {
  return effect == Effect::kIoError || effect == Effect::kFull || effect == Effect::kShortWrite ||
         effect == Effect::kForgetfulSync || effect == Effect::kStop;
}

// The code for an operation that met a fault; SQLITE_OK if the effect is none that fails.
int code_of(const State::Met& met, int io_error) {
  if (!met.any || !is_failure(met.effect)) return SQLITE_OK;
  return met.effect == Effect::kFull ? SQLITE_FULL : io_error;
}

// --- Bytes -------------------------------------------------------------------------------------------

int close_file(sqlite3_file* file) {
  Handle* handle = &of(file);
  if (handle->epoch == handle->state->epoch) {
    handle->file->locks.erase(handle);
    if (handle->owns()) --handle->file->writers;
  }
  if ((handle->flags & SQLITE_OPEN_DELETEONCLOSE) != 0) {
    handle->state->change_directory({.from = handle->path, .to = {}, .file = nullptr});
  }
  --handle->state->open_files;
  delete handle;
  return SQLITE_OK;
}

int read_file(sqlite3_file* file, void* buffer, int amount, sqlite3_int64 offset) {
  Handle& handle = of(file);
  if (handle.is_dead()) return SQLITE_IOERR_READ;
  const int code = code_of(handle.state->meet(Operation::kRead, handle.path), SQLITE_IOERR_READ);
  if (code != SQLITE_OK) return code == SQLITE_FULL ? SQLITE_IOERR_READ : code;
  const std::string& bytes = handle.file->current;
  const auto from = std::min(static_cast<size_t>(offset), bytes.size());
  const size_t size = std::min(static_cast<size_t>(amount), bytes.size() - from);
  std::memcpy(buffer, bytes.data() + from, size);
  std::memset(static_cast<char*>(buffer) + size, 0, static_cast<size_t>(amount) - size);
  handle.state->total.bytes_read += size;
  handle.state->by_path[handle.path].bytes_read += size;
  return size == static_cast<size_t>(amount) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

int write_file(sqlite3_file* file, const void* buffer, int amount, sqlite3_int64 offset) {
  Handle& handle = of(file);
  if (handle.is_dead()) return SQLITE_IOERR_WRITE;
  if ((handle.flags & SQLITE_OPEN_READWRITE) == 0) return SQLITE_READONLY;
  const State::Met met = handle.state->meet(Operation::kWrite, handle.path);
  auto size = static_cast<size_t>(amount);
  auto to = static_cast<uint64_t>(offset);
  if (met.any && met.effect == Effect::kLostWrite) return SQLITE_OK;
  if (met.any && met.effect == Effect::kMisdirected) to += kSectorBytes;
  const int code = code_of(met, SQLITE_IOERR_WRITE);
  if (code != SQLITE_OK) {
    size = met.effect == Effect::kShortWrite || met.effect == Effect::kStop ? size / 2 : 0;
  }
  if (size == 0) return code;
  handle.file->write(to, {static_cast<const char*>(buffer), size});
  handle.state->total.bytes_written += size;
  handle.state->by_path[handle.path].bytes_written += size;
  return code;
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  Handle& handle = of(file);
  if (handle.is_dead()) return SQLITE_IOERR_TRUNCATE;
  const int code = code_of(handle.state->meet(Operation::kTruncate, handle.path), SQLITE_IOERR_TRUNCATE);
  if (code == SQLITE_OK) handle.file->truncate(static_cast<uint64_t>(size));
  return code;
}

int sync_file(sqlite3_file* file, int) {
  Handle& handle = of(file);
  State& state = *handle.state;
  if (handle.is_dead()) return SQLITE_IOERR_FSYNC;
  if (state.sync_hook) state.sync_hook(handle.path);
  const State::Met met = state.meet(Operation::kSync, handle.path);
  if (met.any && met.effect == Effect::kLyingSync) return SQLITE_OK;
  if (met.any && met.effect == Effect::kForgetfulSync) handle.file->unsynced.clear();
  if (code_of(met, SQLITE_IOERR_FSYNC) != SQLITE_OK) return SQLITE_IOERR_FSYNC;
  handle.file->sync();
  if (std::exchange(handle.syncs_directory, false)) state.sync_directory();
  return SQLITE_OK;
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  Handle& handle = of(file);
  if (handle.is_dead()) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(handle.file->current.size());
  return SQLITE_OK;
}

// --- Locks -------------------------------------------------------------------------------------------

// The highest level that another handle holds.
int others_level(const Handle& handle) {
  int level = SQLITE_LOCK_NONE;
  for (const auto& [holder, held] : handle.file->locks) {
    if (holder != &handle) level = std::max(level, held);
  }
  return level;
}

int lock_file(sqlite3_file* file, int level) {
  Handle& handle = of(file);
  if (handle.is_dead()) return SQLITE_IOERR_LOCK;
  int& mine = handle.file->locks[&handle];
  if (mine >= level) return SQLITE_OK;
  const int theirs = others_level(handle);
  const bool busy = (level == SQLITE_LOCK_SHARED && theirs >= SQLITE_LOCK_PENDING) ||
                    (level == SQLITE_LOCK_RESERVED && theirs >= SQLITE_LOCK_RESERVED) ||
                    (level == SQLITE_LOCK_EXCLUSIVE && theirs >= SQLITE_LOCK_SHARED);
  if (busy) return SQLITE_BUSY;
  mine = level;
  return SQLITE_OK;
}

int unlock_file(sqlite3_file* file, int level) {
  Handle& handle = of(file);
  if (handle.epoch != handle.state->epoch) return SQLITE_OK;
  int& mine = handle.file->locks[&handle];
  mine = std::min(mine, level);
  return SQLITE_OK;
}

int check_reserved(sqlite3_file* file, int* reserved) {
  Handle& handle = of(file);
  if (handle.is_dead()) return SQLITE_IOERR_CHECKRESERVEDLOCK;
  *reserved = others_level(handle) >= SQLITE_LOCK_RESERVED ? 1 : 0;
  return SQLITE_OK;
}

// --- Shared memory -----------------------------------------------------------------------------------

int map_memory(sqlite3_file* file, int region, int size, int extend, void volatile** memory) {
  Handle& handle = of(file);
  *memory = nullptr;
  if (handle.is_dead()) return SQLITE_IOERR_SHMMAP;
  DiskFile& disk_file = *handle.file;
  if (!std::exchange(handle.maps, true)) ++disk_file.mappers;
  const auto index = static_cast<size_t>(region);
  if (index >= disk_file.regions.size() && extend == 0) return SQLITE_OK;
  while (index >= disk_file.regions.size()) {
    disk_file.regions.push_back(std::make_unique<std::vector<char>>(static_cast<size_t>(size)));
  }
  *memory = disk_file.regions[index]->data();
  return SQLITE_OK;
}

// Gives back, or takes, one slot; taking has been checked before.
void change_slot(int& held, int& slot, int flags) {
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    if (held == 1) --slot;
    if (held == -1) slot = 0;
    held = 0;
  } else if ((flags & SQLITE_SHM_EXCLUSIVE) != 0) {
    held = slot = -1;
  } else if (held == 0) {
    ++slot;
    held = 1;
  }
}

int lock_memory(sqlite3_file* file, int offset, int count, int flags) {
  Handle& handle = of(file);
  if (handle.epoch != handle.state->epoch) return SQLITE_IOERR_SHMLOCK;
  std::array<int, 8>& slots = handle.file->slots;
  const auto from = static_cast<size_t>(offset), end = static_cast<size_t>(offset + count);
  for (size_t i = from; i < end && (flags & SQLITE_SHM_LOCK) != 0; ++i) {
    const int others = handle.held[i] == 1 ? slots[i] - 1 : slots[i];
    const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    if (handle.held[i] != -1 && (exclusive ? others != 0 : others < 0)) return SQLITE_BUSY;
  }
  for (size_t i = from; i < end; ++i) change_slot(handle.held[i], slots[i], flags);
  return SQLITE_OK;
}

void memory_barrier(sqlite3_file*) {}

int unmap_memory(sqlite3_file* file, int) {
  Handle& handle = of(file);
  if (handle.epoch != handle.state->epoch || !std::exchange(handle.maps, false)) return SQLITE_OK;
  for (size_t i = 0; i < handle.held.size(); ++i) {
    change_slot(handle.held[i], handle.file->slots[i], SQLITE_SHM_UNLOCK);
  }
  // The last one out takes it along: whoever comes next recovers from the WAL.
  if (--handle.file->mappers == 0) handle.file->regions.clear();
  return SQLITE_OK;
}

// --- The rest of a file ------------------------------------------------------------------------------

int control_file(sqlite3_file* file, int operation, void* argument) {
  if (operation != SQLITE_FCNTL_PERSIST_WAL) return SQLITE_NOTFOUND;
  Handle& handle = of(file);
  int& value = *static_cast<int*>(argument);
  if (value < 0) value = handle.persist_wal ? 1 : 0;
  else handle.persist_wal = value != 0;
  return SQLITE_OK;
}

int sector_size(sqlite3_file*) { return kDeviceSectorBytes; }

// A write that is cut short by a power cut does not damage bytes beside it: as SQLite assumes on Unix.
int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

const sqlite3_io_methods kMethods = {
    2,           close_file,   read_file,      write_file,     truncate_file, sync_file,
    file_size,   lock_file,    unlock_file,    check_reserved, control_file,  sector_size,
    characteristics, map_memory, lock_memory,  memory_barrier, unmap_memory,  nullptr,
    nullptr,
};

// --- Files by name -----------------------------------------------------------------------------------

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* flags_out) {
  State& state = of(vfs);
  auto* opened = reinterpret_cast<TestFile*>(file);
  opened->base.pMethods = nullptr;
  const std::string path = name ? name : "temporary";
  const int code = code_of(state.meet(Operation::kOpen, path), SQLITE_CANTOPEN);
  if (code != SQLITE_OK) return code;
  DiskFileRef found = state.find(path);
  const bool made = found == nullptr;
  if (made && (flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
  if (made) {
    found = std::make_shared<DiskFile>();
    state.change_directory({.from = {}, .to = path, .file = found});
  }
  const bool journal =
      (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL)) != 0;
  opened->handle = new Handle{.state = &state,
                              .file = found,
                              .path = path,
                              .epoch = state.epoch,
                              .flags = flags,
                              .syncs_directory = (flags & SQLITE_OPEN_CREATE) != 0 && journal};
  if (opened->handle->owns() && ++found->writers > 1) state.two_writers = true;
  opened->base.pMethods = &kMethods;
  ++state.open_files;
  if (flags_out != nullptr) *flags_out = flags;
  return SQLITE_OK;
}

int delete_file(sqlite3_vfs* vfs, const char* name, int sync_directory) {
  State& state = of(vfs);
  if (!state.find(name)) return SQLITE_IOERR_DELETE_NOENT;
  const int code = code_of(state.meet(Operation::kDelete, name), SQLITE_IOERR_DELETE);
  if (code != SQLITE_OK) return SQLITE_IOERR_DELETE;
  state.change_directory({.from = name, .to = {}, .file = nullptr});
  if (sync_directory != 0) state.sync_directory();
  return SQLITE_OK;
}

// As on Unix, an empty file is not there for who asks whether it is.
int access_file(sqlite3_vfs* vfs, const char* name, int flags, int* result) {
  const DiskFileRef file = of(vfs).find(name);
  *result = file && (flags != SQLITE_ACCESS_EXISTS || !file->current.empty()) ? 1 : 0;
  return SQLITE_OK;
}

int full_path(sqlite3_vfs*, const char* name, int size, char* out) {
  const size_t bytes = std::strlen(name) + 1;
  if (bytes > static_cast<size_t>(size)) return SQLITE_CANTOPEN;
  std::memcpy(out, name, bytes);
  return SQLITE_OK;
}

// The same for everyone: seed_sqlite() is how to choose.
int random_bytes(sqlite3_vfs*, int size, char* out) {
  std::memset(out, 0x5a, static_cast<size_t>(size));
  return size;
}

int sleep_microseconds(sqlite3_vfs*, int microseconds) { return microseconds; }

constexpr sqlite3_int64 kJulianOffsetMs = 210866760000000;   // 1970 in SQLite's days since noon, 4714 BC.

int current_time_ms(sqlite3_vfs* vfs, sqlite3_int64* time) {
  *time = of(vfs).time_ms + kJulianOffsetMs;
  return SQLITE_OK;
}

int current_time(sqlite3_vfs* vfs, double* days) {
  *days = static_cast<double>(of(vfs).time_ms + kJulianOffsetMs) / 86400000.0;
  return SQLITE_OK;
}

int last_error(sqlite3_vfs*, int, char*) { return 0; }

}  // namespace

std::unique_ptr<sqlite3_vfs> make_vfs(TestDisk::State* state) {
  auto vfs = std::make_unique<sqlite3_vfs>();
  vfs->iVersion = 2;
  vfs->szOsFile = sizeof(TestFile);
  vfs->mxPathname = kPathBytesMax;
  vfs->zName = state->name.c_str();
  vfs->pAppData = state;
  vfs->xOpen = open_file;
  vfs->xDelete = delete_file;
  vfs->xAccess = access_file;
  vfs->xFullPathname = full_path;
  vfs->xRandomness = random_bytes;
  vfs->xSleep = sleep_microseconds;
  vfs->xCurrentTime = current_time;
  vfs->xCurrentTimeInt64 = current_time_ms;
  vfs->xGetLastError = last_error;
  return vfs;
}

}  // namespace leto::storage
