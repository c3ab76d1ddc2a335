#include "storage/peek.h"

#include <sqlite3.h>

#include "base/format.h"
#include "storage/meta.h"
#include "storage/vfs_file.h"

namespace leto::storage {
namespace {

// The value of a row of `meta`, or empty: a page that a checkpoint was just writing proves nothing.
std::string row(sqlite3* database, const char* name) {
  sqlite3_stmt* statement = nullptr;
  std::string value;
  if (sqlite3_prepare_v2(database, "SELECT value, crc FROM meta WHERE name = ?", -1, &statement, nullptr) ==
      SQLITE_OK) {
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_bytes(statement, 0) > 0) {
      value.assign(static_cast<const char*>(sqlite3_column_blob(statement, 0)),
                   static_cast<size_t>(sqlite3_column_bytes(statement, 0)));
      if (sqlite3_column_int64(statement, 1) != meta_row_crc(name, value)) value.clear();
    }
  }
  sqlite3_finalize(statement);
  return value;
}

// Past its WAL, and nothing is made or changed. Calls `look` if there is such a file.
template <typename Look>
void with_file(const std::string& path, Look look, const std::string& vfs = "") {
  sqlite3* database = nullptr;
  if (sqlite3_open_v2(immutable_uri(path).c_str(), &database, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
                      vfs.empty() ? nullptr : vfs.c_str()) == SQLITE_OK) {
    look(database);
  }
  sqlite3_close(database);
}

base::Status check_format(const std::string& path, const std::string& format) {
  const uint64_t found = parse_decimal(format).value_or(kFormat);
  if (found <= kFormat) return {};
  return base::Status::error(base::format("%s has format %llu, this leto reads up to %llu", path.c_str(),
                                          static_cast<unsigned long long>(found),
                                          static_cast<unsigned long long>(kFormat)));
}

}  // namespace

base::Result<std::string> peek_id(const std::string& directory) {
  if (base::Status status = configure_sqlite(); !status.is_ok()) return status;
  std::string id, log_format, keys_format, generation;
  const std::string log = directory + "/raft.db";
  with_file(log, [&](sqlite3* database) {
    id = row(database, "id");
    log_format = row(database, "format");
    generation = row(database, "keys_generation");
  });
  if (base::Status status = check_format(log, log_format); !status.is_ok()) return status;
  if (!parse_decimal(generation)) return id;
  const std::string keys = directory + "/keys-" + generation + ".db";
  with_file(keys, [&](sqlite3* database) { keys_format = row(database, "format"); });
  if (base::Status status = check_format(keys, keys_format); !status.is_ok()) return status;
  return id;
}

uint64_t peek_semantics_level(const std::string& directory) {
  std::string generation, level;
  with_file(directory + "/raft.db", [&](sqlite3* database) { generation = row(database, "keys_generation"); });
  if (!parse_decimal(generation)) return 0;
  with_file(directory + "/keys-" + generation + ".db",
            [&](sqlite3* database) { level = row(database, "semantics_level"); });
  return parse_decimal(level).value_or(0);
}

uint64_t peek_wal_bytes(const std::string& vfs, const std::string& path) {
  if (!configure_sqlite().is_ok() || !file_exists(vfs, path)) return 0;
  std::string bytes;
  with_file(path, [&](sqlite3* database) { bytes = row(database, kWalBytes); }, vfs);
  return parse_decimal(bytes).value_or(0);
}

}  // namespace leto::storage
