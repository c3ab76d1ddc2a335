// Files through a VFS; see vfs_file.h.
#include "storage/vfs_file.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "storage/sqlite.h"

namespace leto::storage {

namespace {

using Number = unsigned long long;

// SQLite's unix VFS takes an int for the size of a read or write, and less than 128 KiB at once.
constexpr size_t kStepBytes = 64 << 10;

sqlite3_vfs* find_vfs(const std::string& name) { return sqlite3_vfs_find(name.empty() ? nullptr : name.c_str()); }

base::Status no_vfs(const std::string& name) { return base::Status::error("SQLite has no VFS " + name); }

}  // namespace

VfsFile::~VfsFile() { close(); }

VfsFile::VfsFile(VfsFile&& other) noexcept
    : path_(std::move(other.path_)), name_(std::move(other.name_)), memory_(std::move(other.memory_)),
      file_(std::exchange(other.file_, nullptr)) {}

VfsFile& VfsFile::operator=(VfsFile&& other) noexcept {
  if (this == &other) return *this;
  close();
  path_ = std::move(other.path_);
  name_ = std::move(other.name_);
  memory_ = std::move(other.memory_);
  file_ = std::exchange(other.file_, nullptr);
  return *this;
}

void VfsFile::close() {
  if (file_ != nullptr) file_->pMethods->xClose(file_);
  file_ = nullptr;
}

base::Status VfsFile::failed(const char* action, int code) const {
  return base::Status::error(
      base::format("%s: cannot %s: %s (%d)", path_.c_str(), action, sqlite3_errstr(code), code));
}

base::Result<VfsFile> VfsFile::open(const std::string& vfs, const std::string& path, FileAccess access) {
  if (base::Status status = configure_sqlite(); !status.is_ok()) return status;
  sqlite3_vfs* const system = find_vfs(vfs);
  if (system == nullptr) return no_vfs(vfs);
  VfsFile opened;
  opened.path_ = path;
  opened.name_ = std::make_unique<std::string>(path);
  opened.memory_ = std::make_unique<char[]>(static_cast<size_t>(system->szOsFile));
  auto* const file = reinterpret_cast<sqlite3_file*>(opened.memory_.get());
  file->pMethods = nullptr;
  const int mode = access == FileAccess::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  int given = 0;
  const int code =
      system->xOpen(system, opened.name_->c_str(), file, mode | SQLITE_OPEN_MAIN_DB, &given);
  if (file->pMethods != nullptr) opened.file_ = file;
  if (code != SQLITE_OK) return opened.failed("open it", code);
  // The unix VFS opens read-only what it may not write.
  if (access == FileAccess::kMake && (given & SQLITE_OPEN_READONLY) != 0) {
    return opened.failed("open it", SQLITE_READONLY);
  }
  return opened;
}

base::Result<uint64_t> VfsFile::size() {
  sqlite3_int64 bytes = 0;
  const int code = file_->pMethods->xFileSize(file_, &bytes);
  if (code != SQLITE_OK) return failed("read its size", code);
  return static_cast<uint64_t>(bytes);
}

base::Status VfsFile::read(uint64_t offset, std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const size_t step = std::min(bytes.size() - done, kStepBytes);
    const int code = file_->pMethods->xRead(file_, bytes.data() + done, static_cast<int>(step),
                                            static_cast<sqlite3_int64>(offset + done));
    if (code != SQLITE_OK) return failed("read it", code);
    done += step;
  }
  return {};
}

base::Status VfsFile::write(uint64_t offset, std::string_view bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const size_t step = std::min(bytes.size() - done, kStepBytes);
    const int code = file_->pMethods->xWrite(file_, bytes.data() + done, static_cast<int>(step),
                                             static_cast<sqlite3_int64>(offset + done));
    if (code != SQLITE_OK) return failed("write it", code);
    done += step;
  }
  return {};
}

base::Status VfsFile::truncate(uint64_t size) {
  const int code = file_->pMethods->xTruncate(file_, static_cast<sqlite3_int64>(size));
  return code == SQLITE_OK ? base::Status() : failed("shorten it", code);
}

base::Status VfsFile::sync() {
  const int code = file_->pMethods->xSync(file_, SQLITE_SYNC_NORMAL);
  return code == SQLITE_OK ? base::Status() : failed("sync it", code);
}

bool file_exists(const std::string& vfs, const std::string& path) {
  if (!configure_sqlite().is_ok()) return false;
  sqlite3_vfs* const system = find_vfs(vfs);
  int there = 0;
  return system != nullptr &&
         system->xAccess(system, path.c_str(), SQLITE_ACCESS_EXISTS, &there) == SQLITE_OK && there != 0;
}

bool is_empty_file(const std::string& vfs, const std::string& path) {
  if (!file_exists(vfs, path)) return true;
  base::Result<VfsFile> opened = VfsFile::open(vfs, path, FileAccess::kRead);
  if (!opened.is_ok()) return false;
  base::Result<uint64_t> size = opened.value().size();
  return size.is_ok() && size.value() == 0;
}

base::Status remove_file(const std::string& vfs, const std::string& path) {
  if (base::Status status = configure_sqlite(); !status.is_ok()) return status;
  sqlite3_vfs* const system = find_vfs(vfs);
  if (system == nullptr) return no_vfs(vfs);
  const int code = system->xDelete(system, path.c_str(), 1);
  if (code == SQLITE_OK || code == SQLITE_IOERR_DELETE_NOENT) return {};
  return base::Status::error(base::format("cannot remove %s: %s (%d)", path.c_str(), sqlite3_errstr(code), code));
}

base::Status remove_database(const std::string& vfs, const std::string& path) {
  base::Status status;
  for (const char* suffix : {"-wal", "-shm", "-journal", ""}) {
    if (!status.is_ok()) return status;
    status = remove_file(vfs, path + suffix);
  }
  return status;
}

void discard_database(const std::string& vfs, const std::string& path) {
  // Without asking first: SQLite says of an empty file that it is not there.
  if (!remove_database(vfs, path).is_ok()) return;
}

std::string keys_path(const std::string& directory, uint64_t generation) {
  return base::format("%s/keys-%llu.db", directory.c_str(), Number{generation});
}

std::string spool_path(const std::string& directory, uint64_t number) {
  return base::format("%s/snapshot-%llu.spool", directory.c_str(), Number{number});
}

}  // namespace leto::storage
