// A disk that fails, is full or stands still, for a real node: preloaded (LD_PRELOAD) before the C library, it asks at each sync and
// each write of a file what the file `bad-disk` beside that file says of it. A line "sync fails NAME", "write fails NAME", "write
// full NAME" or "sync stalls NAME" befalls the file NAME: an I/O error, or no space, and nothing done, or no answer until the line
// is gone. Leto and SQLite grow files by writes alone, so nothing else finds a disk full. See bad_disk.tcl.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace {

constexpr long kLookAgainNs = 5'000'000;

// Copies nothing and calls no malloc: it stands below both.
bool says(const char* what, int descriptor) {
  char link[64], path[PATH_MAX + 16], wanted[NAME_MAX + 32], told[1024];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, PATH_MAX);
  if (length <= 0) return false;
  path[length] = '\0';
  char* const slash = strrchr(path, '/');
  if (slash == nullptr) return false;
  snprintf(wanted, sizeof wanted, "%s %.255s\n", what, slash + 1);
  strcpy(slash + 1, "bad-disk");
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t size = read(file, told, sizeof told - 1);
  close(file);
  told[size > 0 ? size : 0] = '\0';
  return strstr(told, wanted) != nullptr;
}

int sync_by(long call, int descriptor) {
  const timespec a_while = {0, kLookAgainNs};
  while (says("sync stalls", descriptor)) nanosleep(&a_while, nullptr);
  if (!says("sync fails", descriptor)) return static_cast<int>(syscall(call, descriptor));
  errno = EIO;
  return -1;
}

}  // namespace

extern "C" {

int fsync(int descriptor) { return sync_by(SYS_fsync, descriptor); }
int fdatasync(int descriptor) { return sync_by(SYS_fdatasync, descriptor); }

ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t offset) {
  const int error = says("write fails", descriptor) ? EIO : says("write full", descriptor) ? ENOSPC : 0;
  if (error == 0) return syscall(SYS_pwrite64, descriptor, bytes, size, offset);
  errno = error;
  return -1;
}
}
