// Where log lines go: standard output, or a file that is appended to and never reopened. One write per
// line, so that nothing is lost when the process dies. Refuses to know levels.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/status.h"

namespace leto::server {

class LogFile {
 public:
  // `path` empty: standard output.
  static base::Result<std::unique_ptr<LogFile>> open(const std::string& path);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  void write(base::LogLevel level, std::string_view text);
  // Redis's letter in each line: M leads or stands alone, S follows.
  void set_role(char role) { role_ = role; }

 private:
  explicit LogFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
  char role_ = 'M';
};

}  // namespace leto::server
