#include "storage/free_space.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>

#include "base/format.h"

namespace leto::storage {

base::Result<uint64_t> free_bytes(const std::string& directory) {
  struct statvfs found = {};
  if (::statvfs(directory.c_str(), &found) != 0) {
    return base::Status::error(
        base::format("cannot see how much room %s has: %s", directory.c_str(), std::strerror(errno)));
  }
  return uint64_t{found.f_bavail} * found.f_frsize;
}

}  // namespace leto::storage
