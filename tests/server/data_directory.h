// A data directory under /tmp, empty at first and gone with the object; the log says nothing meanwhile.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/log.h"
#include "server/start.h"

namespace leto::server {

struct DataDirectory {
  // `below` is a path in a folder of its own, as "/a/b"; empty: that folder itself.
  explicit DataDirectory(const std::string& below = "") {
    char pattern[] = "/tmp/leto-server-test-XXXXXX";
    REQUIRE(mkdtemp(pattern) != nullptr);
    folder_ = pattern;
    path = folder_ + below;
    std::filesystem::create_directories(path);
    options.id = "id1";
    base::set_log_sink([](base::LogLevel, std::string_view) {});
  }
  ~DataDirectory() {
    base::set_log_sink(nullptr);
    std::filesystem::remove_all(folder_);
  }
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

  base::Result<OpenedDirectory> open() {
    base::Result<storage::DirectoryLock> lock = storage::DirectoryLock::acquire(path, "");
    REQUIRE(lock.is_ok());
    return open_directory(options, std::move(lock.value()));
  }
  // Both files are closed and the lock is let go.
  static void close(OpenedDirectory& opened) {
    CHECK(opened.keys->close().is_ok());
    CHECK(opened.log->close().is_ok());
    opened.keys.reset();
    opened.log.reset();
    opened.lock = {};
  }

  std::string path;
  Options options;

 private:
  std::string folder_;   // `path`, or what it is in.
};

}  // namespace leto::server
