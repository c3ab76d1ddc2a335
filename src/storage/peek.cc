#include "storage/peek.h"

#include <sqlite3.h>

#include <cstring>

#include "base/format.h"
#include "storage/meta.h"

namespace leto::storage {
namespace {

// A path as the path of a URI.
std::string escaped(const std::string& path) {
  std::string result;
  for (const char character : path) {
    if (std::strchr("%?#", character) != nullptr) {
      result += base::format("%%%02x", static_cast<unsigned>(static_cast<unsigned char>(character)));
    } else {
      result += character;
    }
  }
  return result;
}

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

}  // namespace

base::Result<std::string> peek_id(const std::string& directory) {
  if (base::Status status = configure_sqlite(); !status.is_ok()) return status;
  // Immutable: no locks, no WAL, no -shm, nothing made or changed.
  const std::string uri = "file:" + escaped(directory + "/raft.db") + "?immutable=1";
  sqlite3* database = nullptr;
  std::string id, format;
  if (sqlite3_open_v2(uri.c_str(), &database, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr) == SQLITE_OK) {
    id = row(database, "id");
    format = row(database, "format");
  }
  sqlite3_close(database);
  const uint64_t found = parse_decimal(format).value_or(kFormat);
  if (found <= kFormat) return id;
  return base::Status::error(base::format("%s/raft.db has format %llu, this leto reads up to %llu",
                                          directory.c_str(), static_cast<unsigned long long>(found),
                                          static_cast<unsigned long long>(kFormat)));
}

}  // namespace leto::storage
