// Making and locking the data directory; see directory.h.
#include "storage/directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/format.h"

namespace leto::storage {

namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kLockMode = 0600;
constexpr size_t kHolderBytesMax = 512;   // Of LOCK; more than a pid and the longest id.

base::Status failed(const char* action, const std::string& path) {
  return base::Status::error(base::format("cannot %s %s: %s", action, path.c_str(), std::strerror(errno)));
}

base::Status check_usable(const std::string& path) {
  struct stat found = {};
  if (stat(path.c_str(), &found) != 0) return failed("use the data directory", path);
  if (!S_ISDIR(found.st_mode)) {
    return base::Status::error(path + " is not a directory: raftdir must name one");
  }
  if (access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
    return failed("read and write the data directory", path);
  }
  return {};
}

// A power cut must not take a new one, with all that was acknowledged in it.
base::Status make_directory(const std::string& path) {
  const bool made = mkdir(path.c_str(), kDirectoryMode) == 0;
  if (!made && errno != EEXIST) return failed("make the data directory", path);
  base::Status status = check_usable(path);
  return made && status.is_ok() ? sync_parent(path) : std::move(status);
}

base::Result<std::string> absolute(const std::string& path) {
  char* found = realpath(path.c_str(), nullptr);
  if (found == nullptr) return failed("use the data directory", path);
  std::string result = found;
  std::free(found);
  return result;
}

// "pid id" without an end of line, as LOCK's holder wrote it.
std::string line_in(int file) {
  char text[kHolderBytesMax];
  const ssize_t size = pread(file, text, sizeof text, 0);
  std::string line(text, size > 0 ? static_cast<size_t>(size) : 0);
  line.resize(std::min(line.find('\n'), line.size()));
  return line;
}

std::string holder(int file) {
  const std::string line = line_in(file);
  const size_t space = line.find(' ');
  if (space == std::string::npos) return line.empty() ? "another process" : "process " + line;
  return "process " + line.substr(0, space) + " (-id " + line.substr(space + 1) + ")";
}

constexpr const char* kStopFirst = "stop that one first";

}  // namespace

base::Status sync_directory(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = file >= 0 && fsync(file) == 0;
  base::Status status = synced ? base::Status() : failed("sync", path);
  if (file >= 0) ::close(file);
  return status;
}

base::Status sync_parent(const std::string& path) {
  std::string parent = path;
  while (parent.size() > 1 && parent.ends_with('/')) parent.pop_back();
  const size_t slash = parent.rfind('/');
  return sync_directory(slash == std::string::npos ? "." : parent.substr(0, slash + 1));
}

DirectoryLock::~DirectoryLock() {
  if (file_ >= 0) ::close(file_);
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  return *this;
}

base::Result<DirectoryLock> DirectoryLock::take(const std::string& directory, int flags, const char* advice) {
  base::Result<std::string> path = absolute(directory);
  if (!path.is_ok()) return path.take_status();
  DirectoryLock lock;
  lock.path_ = path.value();
  const std::string file = lock.path_ + "/LOCK";
  lock.file_ = ::open(file.c_str(), flags | O_CLOEXEC, kLockMode);
  const bool may_be_missing = (flags & O_CREAT) == 0;
  if (lock.file_ < 0 && may_be_missing && errno == ENOENT) return lock;
  if (lock.file_ < 0) return failed("open", file);
  if (flock(lock.file_, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return failed("lock", file);
  return base::Status::error(
      base::format("%s is in use by %s; %s", lock.path_.c_str(), holder(lock.file_).c_str(), advice));
}

base::Result<DirectoryLock> DirectoryLock::acquire(const std::string& directory, std::string_view id) {
  if (base::Status status = make_directory(directory); !status.is_ok()) return status;
  base::Result<DirectoryLock> lock = take(directory, O_RDWR | O_CREAT, "give this node its own -raftdir");
  if (!lock.is_ok()) return lock;
  // Without an id yet, what the last holder wrote stays: a start that is refused changes nothing.
  struct stat found = {};
  if (id.empty() && fstat(lock.value().file_, &found) == 0 && found.st_size > 0) return lock;
  if (base::Status status = lock.value().set_id(id); !status.is_ok()) return status;
  return lock;
}

base::Result<DirectoryLock> DirectoryLock::acquire_to_change(const std::string& directory) {
  return take(directory, O_RDWR | O_CREAT, kStopFirst);
}

base::Result<DirectoryLock> DirectoryLock::acquire_to_read(const std::string& directory) {
  return take(directory, O_RDONLY, kStopFirst);
}

std::string DirectoryLock::last_id() const {
  const std::string line = line_in(file_);
  const size_t space = line.find(' ');
  return space == std::string::npos ? "" : line.substr(space + 1);
}

base::Status DirectoryLock::set_id(std::string_view id) {
  std::string line = std::to_string(getpid());
  if (!id.empty()) line.append(" ").append(id);
  line += '\n';
  const ssize_t written = pwrite(file_, line.data(), line.size(), 0);
  if (written != static_cast<ssize_t>(line.size())) return failed("write", path_ + "/LOCK");
  if (ftruncate(file_, static_cast<off_t>(line.size())) != 0) return failed("write", path_ + "/LOCK");
  return {};
}

}  // namespace leto::storage
