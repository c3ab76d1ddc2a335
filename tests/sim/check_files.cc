#include "tests/sim/check_files.h"

#include <sqlite3.h>

#include "storage/check.h"
#include "tests/sim/machine.h"

namespace leto::sim {

namespace {

// "ok", or what SQLite found.
std::string integrity(const std::string& path, const std::string& vfs) {
  sqlite3* handle = nullptr;
  std::string answer = "it cannot be opened";
  if (sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE, vfs.c_str()) == SQLITE_OK) {
    const auto take = [](void* to, int, char** values, char**) {
      *static_cast<std::string*>(to) = values[0] == nullptr ? "" : values[0];
      return 0;
    };
    // Else closing it would remove the WAL, which is damage.
    sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    char* error = nullptr;
    sqlite3_exec(handle, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA integrity_check", take, &answer, &error);
    if (error != nullptr) answer = error;
    sqlite3_free(error);
  }
  sqlite3_close(handle);
  return answer;
}

}  // namespace

std::string check_files(const storage::TestDisk& disk, uint64_t keys_generation) {
  const std::string keys = "keys-" + std::to_string(keys_generation) + ".db";
  for (const std::string& path : disk.paths()) {
    if (!path.ends_with(".db") || (path.find("/keys-") != std::string::npos && !path.ends_with(keys))) continue;
    const std::string answer = integrity(path, disk.name());
    if (answer != "ok") return path + ": " + answer;
  }
  // The digest of what is in the file is the one that the node had at that entry.
  const storage::CheckReport report = storage::check_directory(kDirectory, disk.name());
  return report.damages.empty() ? std::string() : report.damages.front();
}

}  // namespace leto::sim
