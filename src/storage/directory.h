// The data directory as a whole: that it is there and usable, and that one process alone uses it. Opens no
// database file, and no file that SQLite has open.
//
// The lock is flock() on the file LOCK, which names its holder for the one that comes second. The kernel
// drops it when the holder dies, however it dies.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace leto::storage {

class DirectoryLock {
 public:
  DirectoryLock() = default;
  ~DirectoryLock();
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&& other) noexcept;

  // Makes the directory (0700, its parents are not made) if it is missing, checks that it can be read and
  // written, and takes it for this process. An error is one sentence, and nothing is changed. Without an id
  // LOCK goes on naming its last holder until set_id().
  static base::Result<DirectoryLock> acquire(const std::string& directory, std::string_view id);

  // For a tool that changes the files of a node that does not run: the directory must be there; else as acquire().
  static base::Result<DirectoryLock> acquire_to_change(const std::string& directory);

  // For looking only: the directory must be there, and nothing is made or written. Taken if it has a LOCK.
  static base::Result<DirectoryLock> acquire_to_read(const std::string& directory);

  // Of the directory: absolute, without links or dots.
  const std::string& path() const { return path_; }
  // The id that the last holder, or this one, has left; empty if there is none.
  std::string last_id() const;
  // Once the id is known, if acquire() was called without: for the words the second process says.
  base::Status set_id(std::string_view id);

 private:
  // open()'s `flags` for LOCK; without O_CREAT it may be missing. `advice` is for who comes second.
  static base::Result<DirectoryLock> take(const std::string& directory, int flags, const char* advice);

  std::string path_;
  int file_ = -1;
};

// Makes what was made, removed or renamed in a directory durable.
base::Status sync_directory(const std::string& path);
// The same of the directory that has this name in it.
base::Status sync_parent(const std::string& path);

}  // namespace leto::storage
