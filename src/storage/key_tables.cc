// Keys and values as rows; see key_tables.h.
#include "storage/key_tables.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/format.h"
#include "storage/key_walk.h"

namespace leto::storage {

namespace {

using Number = unsigned long long;

constexpr size_t kShownKeyBytes = 64;  // Of a key, in an error.
constexpr const char* kColumns = "key, type, version_index, version_position, deadline_ms, object, size, crc, value";

std::string table(const char* kind, uint64_t name) { return kind + std::to_string(name); }

std::string shown(std::string_view key) {
  std::string out;
  for (const char byte : key.substr(0, kShownKeyBytes)) {
    if (byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\') out += byte;
    else out += base::format("\\x%02x", static_cast<unsigned char>(byte));
  }
  return key.size() > kShownKeyBytes ? out + "..." : out;
}

base::Status damaged_value(const Database& database, uint32_t db, std::string_view key) {
  return base::Status::error(
      base::format("%s: damaged: key \"%s\" of database %u has a wrong checksum or missing parts",
                   database.path().c_str(), shown(key).c_str(), db));
}

uint32_t chunk_crc(uint64_t object, uint64_t position, std::string_view bytes) {
  std::string head;
  base::put_u64(head, object);
  base::put_u64(head, position);
  return base::crc32c(bytes, base::crc32c(head));
}

}  // namespace

// A row of keys_<ns>; `value` is empty if there is an object.
struct KeyTables::Row {
  std::string_view key;
  uint64_t type = 0;
  keyspace::Version version;
  uint64_t deadline_ms = 0;
  uint64_t object = 0;
  uint64_t size = 0;
  std::string_view value;

  uint32_t crc(uint64_t name) const {
    std::string head;
    for (const uint64_t field :
         {name, type, version.index, uint64_t{version.position}, deadline_ms, object, size}) {
      base::put_u64(head, field);
    }
    base::put_string(head, key);
    return base::crc32c(value, base::crc32c(head));
  }
};

int KeyTables::create(Database& database) {
  return database.execute(
      "CREATE TABLE " + table("keys_", name_) +
      "(key BLOB PRIMARY KEY, type INTEGER NOT NULL, version_index INTEGER NOT NULL,"
      " version_position INTEGER NOT NULL, deadline_ms INTEGER NOT NULL, object INTEGER NOT NULL,"
      " size INTEGER NOT NULL, crc INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE " + table("chunks_", name_) +
      "(object INTEGER NOT NULL, position INTEGER NOT NULL, crc INTEGER NOT NULL, bytes BLOB NOT NULL,"
      " PRIMARY KEY(object, position)) WITHOUT ROWID");
}

base::Status KeyTables::open(Database& database) {
  const std::string keys = table("keys_", name_), chunks = table("chunks_", name_);
  base::Status status = database.prepare_all({
      {&put_, "REPLACE INTO " + keys + "(" + kColumns + ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      {&erase_, "DELETE FROM " + keys + " WHERE key = ?"},
      {&find_object_, "SELECT object, size FROM " + keys + " WHERE key = ?"},
      {&take_, "UPDATE " + keys + " SET object = 0 WHERE key = ?"},
      {&put_chunk_, "INSERT INTO " + chunks + "(object, position, crc, bytes) VALUES(?, ?, ?, ?)"},
      {&leave_, base::format("INSERT INTO garbage(object, namespace) VALUES(?, %llu)", Number{name_})},
      {&first_chunk_, "SELECT position FROM " + chunks + " WHERE object = ? ORDER BY position LIMIT 1"},
      {&remove_chunks_, "DELETE FROM " + chunks + " WHERE object = ? AND position < ?"},
  });
  uint64_t any = 0;
  if (status.is_ok()) status = database.query("SELECT EXISTS(SELECT 1 FROM " + chunks + ")", any);
  has_chunks_ = any != 0;
  return status.is_ok() ? open_for_reading(database) : std::move(status);
}

base::Status KeyTables::open_for_reading(Database& database) {
  return database.prepare("SELECT position, crc, bytes FROM " + table("chunks_", name_) +
                              " WHERE object = ? ORDER BY position", chunks_);
}

bool KeyTables::is_large(const keyspace::Item& item) { return item.value->string.size() > kInlineBytesMax; }

int KeyTables::put(std::string_view key, const keyspace::Item& item, uint64_t object) {
  const std::string& bytes = item.value->string;
  const bool large = is_large(item);
  Row row{.key = key, .type = static_cast<uint64_t>(item.value->type), .version = item.version,
          .deadline_ms = item.deadline_ms, .object = large ? object : 0, .size = bytes.size(), .value = {}};
  if (!large) row.value = bytes;
  int code = leave_chunks(key);
  if (code == SQLITE_OK) code = put_row(row);
  return code == SQLITE_OK && large ? put_chunks(object, bytes) : code;
}

int KeyTables::put_taken(std::string_view key, const keyspace::Item& item, uint64_t object) {
  const int code = leave_chunks(key);
  return code != SQLITE_OK ? code : put_row({.key = key, .type = static_cast<uint64_t>(item.value->type), .version = item.version,
                                             .deadline_ms = item.deadline_ms, .object = object,
                                             .size = item.value->string.size(), .value = {}});
}

int KeyTables::take_object(std::string_view key, uint64_t size, uint64_t& object) {
  object = 0;
  {
    const StatementScope scope(find_object_);
    find_object_.bind_blob(1, key);
    const int code = find_object_.step();
    if (code != SQLITE_ROW) return code == SQLITE_DONE ? SQLITE_OK : code;
    if (find_object_.integer(1) != size) return SQLITE_OK;
    object = find_object_.integer(0);
  }
  if (object == 0) return SQLITE_OK;
  take_.bind_blob(1, key);
  return take_.run();
}

int KeyTables::put_row(const Row& row) {
  put_.bind_blob(1, row.key);
  put_.bind(2, row.type);
  put_.bind(3, row.version.index);
  put_.bind(4, row.version.position);
  put_.bind(5, row.deadline_ms);
  put_.bind(6, row.object);
  put_.bind(7, row.size);
  put_.bind(8, row.crc(name_));
  put_.bind_blob(9, row.value);
  return put_.run();
}

int KeyTables::put_chunks(uint64_t object, std::string_view bytes) {
  has_chunks_ = true;
  for (uint64_t position = 0; !bytes.empty(); ++position) {
    const std::string_view chunk = bytes.substr(0, kChunkBytes);
    put_chunk_.bind(1, object);
    put_chunk_.bind(2, position);
    put_chunk_.bind(3, chunk_crc(object, position, chunk));
    put_chunk_.bind_blob(4, chunk);
    if (const int code = put_chunk_.run(); code != SQLITE_OK) return code;
    bytes.remove_prefix(chunk.size());
  }
  return SQLITE_OK;
}

int KeyTables::erase(std::string_view key) {
  const int code = leave_chunks(key);
  erase_.bind_blob(1, key);
  return code == SQLITE_OK ? erase_.run() : code;
}

// Looks the key up only where values with chunks exist.
int KeyTables::leave_chunks(std::string_view key) {
  if (!has_chunks_) return SQLITE_OK;
  uint64_t object = 0;
  {
    const StatementScope scope(find_object_);
    find_object_.bind_blob(1, key);
    const int code = find_object_.step();
    if (code != SQLITE_ROW && code != SQLITE_DONE) return code;
    if (code == SQLITE_ROW) object = find_object_.integer(0);
  }
  if (object == 0) return SQLITE_OK;
  left_garbage_ = true;
  leave_.bind(1, object);
  return leave_.run();
}

int KeyTables::remove_chunks(Database& database, uint64_t object, uint64_t& chunks) {
  uint64_t first = 0;
  {
    const StatementScope scope(first_chunk_);
    first_chunk_.bind(1, object);
    const int code = first_chunk_.step();
    if (code != SQLITE_ROW) return code == SQLITE_DONE ? SQLITE_OK : code;
    first = first_chunk_.integer(0);
  }
  remove_chunks_.bind(1, object);
  remove_chunks_.bind(2, first + chunks);
  if (const int code = remove_chunks_.run(); code != SQLITE_OK) return code;
  chunks -= std::min(chunks, database.changes());
  return SQLITE_OK;
}

uint64_t KeyTables::count(Database& database) {
  uint64_t keys = 0;
  return database.query("SELECT count(*) FROM " + table("keys_", name_), keys).is_ok() ? keys : 0;
}

base::Status KeyTables::load(Database& database, uint32_t db, const Visit& visit) {
  Statement rows;
  base::Status status = database.prepare("SELECT " + std::string(kColumns) + " FROM " + table("keys_", name_) + " ORDER BY key", rows);
  if (!status.is_ok()) return status;
  std::optional<std::string> before;
  int code = rows.step();
  for (; code == SQLITE_ROW; code = rows.step()) {
    const std::string_view key = rows.bytes(0);
    std::optional<keyspace::Item> item;
    if (status = read_item(database, rows, item); !status.is_ok()) return status;
    if (!item || (before && *before >= key)) return damaged_value(database, db, key);
    before = key;
    visit(key, std::move(*item));
  }
  return code == SQLITE_DONE ? base::Status() : database.error("read " + table("keys_", name_), code);
}

base::Status KeyTables::salvage(Database& database, uint32_t db, const Visit& visit, const Damaged& damaged) {
  const auto keep = [&](const Statement& row) {
    std::optional<keyspace::Item> item;
    // What cannot be read is damaged, whatever SQLite calls it.
    const bool sound = read_item(database, row, item).is_ok() && item;
    if (sound) visit(row.bytes(0), std::move(*item));
    else damaged(damaged_value(database, db, row.bytes(0)).text());
  };
  const auto gap = [&](const std::string& last) {
    damaged(base::format("%s: damaged: keys of database %u cannot be read, behind \"%s\"", database.path().c_str(), db,
                         shown(last).c_str()));
  };
  KeyWalk walk(database);
  base::Status status = walk.open(table("keys_", name_), kColumns);
  if (status.is_ok()) walk.run(keep, gap);
  return status;
}

// The item of a row of kColumns; none if that is not what was written.
base::Status KeyTables::read_item(Database& database, const Statement& columns, std::optional<keyspace::Item>& item) {
  const uint64_t position = columns.integer(3);
  const Row row{.key = columns.bytes(0), .type = columns.integer(1),
                .version = {.index = columns.integer(2), .position = static_cast<uint32_t>(position)},
                .deadline_ms = columns.integer(4), .object = columns.integer(5), .size = columns.integer(6),
                .value = columns.bytes(8)};
  if (row.type != static_cast<uint64_t>(keyspace::Type::kString) || position > UINT32_MAX || columns.integer(7) != row.crc(name_))
    return {};
  std::string value(row.value);
  base::Status status = row.object != 0 ? load_chunks(database, row, value) : base::Status();
  if (status.is_ok() && value.size() == row.size)
    item = {.value = keyspace::make_string(std::move(value)), .version = row.version, .deadline_ms = row.deadline_ms};
  return status;
}

// Gives what of the value is sound; the caller compares the size.
base::Status KeyTables::load_chunks(Database& database, const Row& row, std::string& value) {
  const StatementScope scope(chunks_);
  chunks_.bind(1, row.object);
  int code = chunks_.step();
  for (uint64_t position = 0; code == SQLITE_ROW; ++position, code = chunks_.step()) {
    const std::string_view bytes = chunks_.bytes(2);
    const bool sound = chunks_.integer(0) == position && value.size() + bytes.size() <= row.size &&
                       chunks_.integer(1) == chunk_crc(row.object, position, bytes);
    if (!sound) return {};
    value += bytes;
  }
  return code == SQLITE_DONE ? base::Status() : database.error("read " + table("chunks_", name_), code);
}

}  // namespace leto::storage
