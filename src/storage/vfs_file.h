// A file that is no database, or none at the moment, through the SQLite VFS that the databases use: so that the
// test disk sees it too, and so that closing it cannot take a database's locks along. Refuses to know what is in it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

struct sqlite3_file;
struct sqlite3_vfs;

namespace leto::storage {

enum class FileAccess : uint8_t { kRead, kMake };

class VfsFile {
 public:
  VfsFile() = default;
  ~VfsFile();
  VfsFile(VfsFile&& other) noexcept;
  VfsFile& operator=(VfsFile&& other) noexcept;

  // kRead: the file must be there. kMake: to read and write, made if it is missing. `vfs` empty: the default one.
  static base::Result<VfsFile> open(const std::string& vfs, const std::string& path, FileAccess access);

  const std::string& path() const { return path_; }
  base::Result<uint64_t> size();
  // Exactly bytes.size() of them; an error if the file ends before. REQUIRES: at most 1 GiB.
  base::Status read(uint64_t offset, std::string& bytes);
  base::Status write(uint64_t offset, std::string_view bytes);
  base::Status truncate(uint64_t size);
  // Bytes and length. The directory's entry is synced by the first sync of a WAL that is made beside it.
  base::Status sync();

 private:
  base::Status failed(const char* action, int code) const;
  void close();

  std::string path_;
  std::unique_ptr<std::string> name_;     // What SQLite was given: it keeps the pointer.
  std::unique_ptr<char[]> memory_;        // SQLite's file object.
  sqlite3_file* file_ = nullptr;
};

// Whether there is such a file; false also if it is empty, or that cannot be told.
bool file_exists(const std::string& vfs, const std::string& path);
// There is no such file, or it has no bytes.
bool is_empty_file(const std::string& vfs, const std::string& path);
// Durable when it returns. No error if there is no such file.
base::Status remove_file(const std::string& vfs, const std::string& path);
// `path` and the -wal, -shm and -journal beside it; these first, so that none is ever found beside another file.
base::Status remove_database(const std::string& vfs, const std::string& path);
// The same for one that nobody needs: what cannot be removed stays, and is no harm.
void discard_database(const std::string& vfs, const std::string& path);

std::string keys_path(const std::string& directory, uint64_t generation);
std::string spool_path(const std::string& directory, uint64_t number);

}  // namespace leto::storage
