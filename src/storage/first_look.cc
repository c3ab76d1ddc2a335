// Sizes and the WAL, before raft.db is opened; see first_look.h.
#include "storage/first_look.h"

#include <algorithm>
#include <utility>

#include "storage/aside.h"
#include "storage/peek.h"
#include "storage/vfs_file.h"
#include "storage/wal_scan.h"

namespace leto::storage {

namespace {

// 0 also if there is no such file, or if it cannot be told.
uint64_t size_of(const std::string& vfs, const std::string& path) {
  if (!file_exists(vfs, path)) return 0;
  base::Result<VfsFile> file = VfsFile::open(vfs, path, FileAccess::kRead);
  if (!file.is_ok()) return 0;
  base::Result<uint64_t> size = file.value().size();
  return size.is_ok() ? size.value() : 0;
}

}  // namespace

bool has_keys_files(const std::string& directory) {
  const std::vector<uint64_t> generations = keys_generations(directory);
  return std::any_of(generations.begin(), generations.end(), [&directory](uint64_t generation) {
    return file_bytes(keys_path(directory, generation)) > 0;
  });
}

bool has_known_versions(const std::string& vfs, const std::string& path) {
  constexpr uint64_t kVersionsAt = 18;
  constexpr char kVersionMax = 2;
  std::string versions(2, '\0');
  base::Result<VfsFile> file = VfsFile::open(vfs, path, FileAccess::kRead);
  if (!file.is_ok() || !file.value().read(kVersionsAt, versions).is_ok()) return true;
  return std::all_of(versions.begin(), versions.end(), [](char each) { return each > 0 && each <= kVersionMax; });
}

std::string lost_identity(const std::string& log_path) {
  return log_path + ": damaged: it does not say who this node is, but there are keys files";
}

base::Status look_at_log_files(const std::string& directory, const std::string& vfs) {
  const std::string log = directory + "/raft.db";
  const std::string wal = log + "-wal";
  // The file has a page before it has a WAL, and a row of who the node is before there are keys.
  if (size_of(vfs, log) == 0) {
    if (has_keys_files(directory)) return base::Status::error(log + ": damaged: it is gone or empty, but there are keys files");
    if (size_of(vfs, wal) > 0) return base::Status::error(log + ": damaged: it is gone or empty, but its WAL is not");
  }
  base::Result<WalScan> scan = scan_wal(vfs, log);
  if (!scan.is_ok()) return {};
  std::string lost = wal_damage(wal, scan.value(), peek_wal_bytes(vfs, log));
  return lost.empty() ? base::Status() : base::Status::error(std::move(lost));
}

}  // namespace leto::storage
