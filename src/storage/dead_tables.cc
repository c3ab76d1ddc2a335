// Rows from the front, then the table; see dead_tables.h.
#include "storage/dead_tables.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstdint>

#include "base/assert.h"

namespace leto::storage {

namespace {

// Of a row beside its key and value.
constexpr uint64_t kRowBytes = 48;

// A kind of table: how its rows are looked through, and removed up to one of them.
struct Kind {
  bool of_keys;
  const char* rows;        // The two columns that say where a row is, and its bytes;
  const char* order;       // first to last.
  const char* removal;
};
constexpr Kind kKeys = {true, "key, 0, length(key) + CASE object WHEN 0 THEN size ELSE 0 END", "key", "key < ?1"};
constexpr Kind kChunks = {false, "object, position, length(bytes)", "object, position", "(object, position) < (?1, ?2)"};

const Kind& kind_of(const std::string& table) { return table.starts_with("keys_") ? kKeys : kChunks; }

struct Front {
  std::string key;           // Of the first row that stays: of kKeys,
  uint64_t object = 0;       // and of kChunks.
  uint64_t position = 0;
  bool found = false;        // There is such a row.
  bool is_little = false;    // All of the table may be dropped.
  uint64_t bytes = 0;        // Of the rows before it, or of all.
};

// Looks through no more than kDroppedBytesMax, or bytes_max if that is more.
int find_front(Statement& rows, bool of_keys, size_t bytes_max, Front& front) {
  uint64_t bytes = 0;
  int code = rows.step();
  for (; code == SQLITE_ROW && (!front.found || bytes <= kDroppedBytesMax); code = rows.step()) {
    if (!front.found && bytes >= bytes_max && bytes > 0) {
      front.found = true;
      if (of_keys) front.key = rows.bytes(0);
      else front.object = rows.integer(0);
      front.position = rows.integer(1);
      front.bytes = bytes;
    }
    bytes += rows.integer(2) + kRowBytes;
  }
  front.is_little = code == SQLITE_DONE;
  if (front.is_little) front.bytes = bytes;
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

// Of `table`, of which `front` is to be what is left, if anything is.
int remove_up_to(Database& database, const std::string& table, const Front& front) {
  if (front.is_little) return database.execute("DROP TABLE " + table);
  const Kind& kind = kind_of(table);
  Statement removal;
  if (!database.prepare("DELETE FROM " + table + " WHERE " + kind.removal, removal).is_ok()) return database.last_code();
  if (kind.of_keys) {
    removal.bind_blob(1, front.key);
  } else {
    removal.bind(1, front.object);
    removal.bind(2, front.position);
  }
  return removal.run();
}

int look_for_front(Database& database, const std::string& table, size_t bytes_max, Front& front) {
  const Kind& kind = kind_of(table);
  Statement rows;
  const std::string sql = std::string("SELECT ") + kind.rows + " FROM " + table + " ORDER BY " + kind.order;
  if (!database.prepare(sql, rows).is_ok()) return database.last_code();
  return find_front(rows, kind.of_keys, bytes_max, front);
}

}  // namespace

int DeadTables::remove_some(Database& database, size_t bytes_max) {
  for (size_t left = bytes_max; left > 0 && !tables_.empty();) {
    const std::string& table = tables_.back();
    Front front;
    if (const int code = look_for_front(database, table, left, front); code != SQLITE_OK) return code;
    LETO_ASSERT(front.is_little || front.bytes > 0, table + ": nothing of it would be removed");
    if (const int code = remove_up_to(database, table, front); code != SQLITE_OK) return code;
    if (front.is_little) tables_.pop_back();
    left -= std::min<uint64_t>(left, std::max<uint64_t>(front.bytes, kRowBytes));
  }
  return SQLITE_OK;
}

}  // namespace leto::storage
