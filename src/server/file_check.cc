#include "server/file_check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/format.h"
#include "server/start.h"

namespace leto::server {

namespace {

using base::Status;

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The data directory may be made only once everything else is right.
bool will_be_made(const std::string& folder, const Options& options) {
  const std::string directory = absolute_directory(options.raftdir);
  return !directory_exists(directory) && absolute_directory(folder) == directory;
}

// 0, or the errno that says why no file can be made beside `path`.
int folder_error(const std::string& path, const Options& options) {
  const std::string folder = folder_of(path);
  if (will_be_made(folder, options)) return 0;
  return ::access((folder + "/.").c_str(), W_OK | X_OK) == 0 ? 0 : errno;
}

int log_error(const Options& options) {
  struct stat found {};
  if (::stat(options.logfile.c_str(), &found) != 0) {
    return errno == ENOENT ? folder_error(options.logfile, options) : errno;
  }
  if (S_ISDIR(found.st_mode)) return EISDIR;
  return ::access(options.logfile.c_str(), W_OK) == 0 ? 0 : errno;
}

}  // namespace

Status check_files(const Options& options) {
  if (const int error = options.logfile.empty() ? 0 : log_error(options); error != 0) {
    return Status::error(base::format("logfile: cannot open '%s': %s", options.logfile.c_str(), std::strerror(error)));
  }
  const std::string& path = options.unixsocket;
  if (const int error = path.empty() ? 0 : folder_error(path, options); error != 0) {
    return Status::error(base::format("unixsocket: '%s' cannot be made: %s", path.c_str(), std::strerror(error)));
  }
  return {};
}

}  // namespace leto::server
