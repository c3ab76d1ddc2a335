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
  DataDirectory() {
    char pattern[] = "/tmp/leto-server-test-XXXXXX";
    REQUIRE(mkdtemp(pattern) != nullptr);
    path = pattern;
    options.id = "id1";
    base::set_log_sink([](base::LogLevel, std::string_view) {});
  }
  ~DataDirectory() {
    base::set_log_sink(nullptr);
    std::filesystem::remove_all(path);
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
};

}  // namespace leto::server
