#include "server/log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/format.h"
#include "base/log_line.h"

namespace leto::server {

namespace {

constexpr mode_t kLogMode = 0644;

}  // namespace

base::Result<std::unique_ptr<LogFile>> LogFile::open(const std::string& path) {
  int descriptor = STDOUT_FILENO;
  if (!path.empty()) descriptor = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, kLogMode);
  if (descriptor < 0) {
    return base::Status::error(base::format("logfile: cannot open '%s': %s", path.c_str(), std::strerror(errno)));
  }
  return std::unique_ptr<LogFile>(new LogFile(descriptor));
}

LogFile::~LogFile() {
  if (descriptor_ != STDOUT_FILENO) ::close(descriptor_);
}

void LogFile::write(base::LogLevel level, std::string_view text) {
  base::LogMoment moment = base::log_moment_now();
  moment.role = role_;
  const std::string line = base::log_line(level, text, moment);
  // A log that cannot be written stops nothing.
  [[maybe_unused]] const ssize_t written = ::write(descriptor_, line.data(), line.size());
}

}  // namespace leto::server
