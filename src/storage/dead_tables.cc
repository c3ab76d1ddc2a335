// Rows from the front, then the table; see dead_tables.h.
#include "storage/dead_tables.h"

#include <sqlite3.h>

#include <cstdint>

namespace leto::storage {

namespace {

// Of a row beside its key and value.
constexpr uint64_t kRowBytes = 48;

// A kind of table: how its rows are looked through, and removed up to one of them.
struct Kind {
  const char* rows;        // The two columns that say where a row is, and its bytes; in order.
  const char* removal;
};
constexpr Kind kKeys = {"key, 0, length(key) + CASE object WHEN 0 THEN size ELSE 0 END", "key < ?1"};
constexpr Kind kChunks = {"object, position, length(bytes)", "(object, position) < (?1, ?2)"};

struct Front {
  std::string key;           // Of the first row that stays: of kKeys,
  uint64_t object = 0;       // and of kChunks.
  uint64_t position = 0;
  bool found = false;        // There is such a row.
  bool is_little = false;    // All of the table may be dropped.
};

// Looks through no more than kDroppedBytesMax.
int find_front(Statement& rows, bool of_keys, size_t bytes_max, Front& front) {
  uint64_t bytes = 0;
  int code = rows.step();
  for (; code == SQLITE_ROW && bytes <= kDroppedBytesMax; code = rows.step()) {
    if (!front.found && bytes >= bytes_max && bytes > 0) {
      front.found = true;
      if (of_keys) front.key = rows.bytes(0);
      else front.object = rows.integer(0);
      front.position = rows.integer(1);
    }
    bytes += rows.integer(2) + kRowBytes;
  }
  front.is_little = code == SQLITE_DONE;
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

}  // namespace

int DeadTables::remove_some(Database& database, size_t bytes_max) {
  if (tables_.empty()) return SQLITE_OK;
  const std::string& table = tables_.back();
  const bool of_keys = table.starts_with("keys_");
  const Kind& kind = of_keys ? kKeys : kChunks;
  Front front;
  {
    Statement rows;
    const std::string order = of_keys ? " ORDER BY key" : " ORDER BY object, position";
    if (!database.prepare(std::string("SELECT ") + kind.rows + " FROM " + table + order, rows).is_ok()) return database.last_code();
    if (const int code = find_front(rows, of_keys, bytes_max, front); code != SQLITE_OK) return code;
  }
  if (front.is_little || !front.found) {
    const int code = database.execute("DROP TABLE " + table);
    if (code == SQLITE_OK) tables_.pop_back();
    return code;
  }
  Statement removal;
  if (!database.prepare("DELETE FROM " + table + " WHERE " + kind.removal, removal).is_ok()) return database.last_code();
  if (of_keys) {
    removal.bind_blob(1, front.key);
  } else {
    removal.bind(1, front.object);
    removal.bind(2, front.position);
  }
  return removal.run();
}

}  // namespace leto::storage
