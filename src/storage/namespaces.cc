// Which database is which namespace; see namespaces.h.
#include "storage/namespaces.h"

#include <sqlite3.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/format.h"
#include "storage/meta.h"

namespace leto::storage {

namespace {

using Number = unsigned long long;

uint32_t database_crc(uint64_t db, uint64_t name) {
  std::string both;
  base::put_u64(both, db);
  base::put_u64(both, name);
  return base::crc32c(both);
}

// The number behind `kind` in the name of a table that is one of these.
std::optional<uint64_t> number_in(std::string_view table, std::string_view kind) {
  return table.starts_with(kind) ? parse_decimal(table.substr(kind.size())) : std::nullopt;
}

}  // namespace

int Namespaces::create(Database& database) {
  const int code = database.execute(
      "CREATE TABLE databases(db INTEGER PRIMARY KEY, namespace INTEGER NOT NULL UNIQUE,"
      " crc INTEGER NOT NULL)");
  return code == SQLITE_OK ? add_garbage_table(database) : code;
}

int Namespaces::add_garbage_table(Database& database) {
  return database.execute(
      "CREATE TABLE IF NOT EXISTS garbage(object INTEGER PRIMARY KEY, namespace INTEGER NOT NULL)");
}

void Namespaces::forget() {
  next_garbage_ = {};
  drop_garbage_ = {};
  tables_.clear();
  dead_.clear();
}

// --- Reading -----------------------------------------------------------------------------------------

base::Status Namespaces::open_each(Database& database, uint64_t next, OpenOne open_one) {
  databases_ = {};
  databases_.next_space = std::max(databases_.next_space, next);
  view_is_old_ = false;
  base::Status status = read_rows(database);
  return status.is_ok() ? find_tables(database, open_one) : std::move(status);
}

base::Status Namespaces::read_rows(Database& database) {
  rows_.fill({});
  const char* const sql = "SELECT db, namespace, crc FROM databases ORDER BY db";
  base::Status status = database.for_each_row(sql, [&](const Statement& row) {
    const uint64_t db = row.integer(0), name = row.integer(1);
    if (db >= rows_.size() || name == 0 || row.integer(2) != database_crc(db, name)) {
      return base::Status::error(base::format("%s: damaged: database %llu has a wrong checksum",
                                              database.path().c_str(), Number{db}));
    }
    rows_[db] = databases_.spaces[db] = name;
    databases_.next_space = std::max(databases_.next_space, name + 1);
    return base::Status();
  });
  if (status.is_ok()) name_others();
  return status;
}

// An earlier Leto numbered namespaces in the order in which they came.
void Namespaces::name_others() {
  for (uint32_t db = 0; db < rows_.size(); ++db) {
    const uint64_t usual = db + uint64_t{1};
    const bool taken = std::find(rows_.begin(), rows_.end(), std::optional(usual)) != rows_.end();
    if (!rows_[db]) databases_.spaces[db] = taken ? databases_.next_space++ : usual;
  }
}

bool Namespaces::is_used(uint64_t name) const {
  return std::find(databases_.spaces.begin(), databases_.spaces.end(), name) != databases_.spaces.end();
}

base::Status Namespaces::find_tables(Database& database, OpenOne open_one) {
  std::vector<uint64_t> found;
  const char* const sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
  base::Status listed = database.for_each_row(sql, [&](const Statement& row) {
    const std::string table(row.bytes(0));
    const std::optional<uint64_t> keys = number_in(table, "keys_");
    const std::optional<uint64_t> name = keys ? keys : number_in(table, "chunks_");
    if (!name) return base::Status();
    if (!is_used(*name)) dead_.add(table);
    else if (keys) found.push_back(*name);
    databases_.next_space = std::max(databases_.next_space, *name + 1);
    return base::Status();
  });
  if (!listed.is_ok()) return listed;
  for (const uint64_t name : found) {
    KeyTables& tables = tables_.emplace(name, KeyTables(name)).first->second;
    if (base::Status status = (tables.*open_one)(database); !status.is_ok()) return status;
  }
  return {};
}

base::Status Namespaces::open_for_reading(Database& database, uint64_t next) {
  return open_each(database, next, &KeyTables::open_for_reading);
}

base::Status Namespaces::open(Database& database, uint64_t next) {
  base::Status status = open_each(database, next, &KeyTables::open);
  if (!status.is_ok()) return status;
  status = database.prepare_all({{&next_garbage_, "SELECT object, namespace FROM garbage ORDER BY object LIMIT 1"},
                                 {&drop_garbage_, "DELETE FROM garbage WHERE object = ?"}});
  uint64_t any = 0;
  if (status.is_ok()) status = database.query("SELECT EXISTS(SELECT 1 FROM garbage)", any);
  has_garbage_ = any != 0;
  return status;
}

KeyTables* Namespaces::find(uint64_t name) {
  const auto found = tables_.find(name);
  return found == tables_.end() ? nullptr : &found->second;
}

// --- Changing ----------------------------------------------------------------------------------------

void Namespaces::change(const keyspace::Databases& databases) {
  databases_ = databases;
  for (auto each = tables_.begin(); each != tables_.end();) {
    if (is_used(each->first)) {
      ++each;
      continue;
    }
    has_garbage_ |= each->second.left_garbage();
    dead_.add("keys_" + std::to_string(each->first));
    dead_.add("chunks_" + std::to_string(each->first));
    each = tables_.erase(each);
  }
}

int Namespaces::add(Database& database, uint64_t name) {
  view_is_old_ = true;
  KeyTables& tables = tables_.emplace(name, KeyTables(name)).first->second;
  const int code = tables.create(database);
  if (code != SQLITE_OK) return code;
  return tables.open(database).is_ok() ? SQLITE_OK : database.last_code();
}

int Namespaces::finish(Database& database) {
  const int code = write_rows(database);
  if (code != SQLITE_OK || !view_is_old_) return code;
  view_is_old_ = false;
  return make_view(database);
}

std::optional<uint64_t> Namespaces::wanted_row(uint32_t db) const {
  const uint64_t name = databases_.spaces[db];
  if (name == db + uint64_t{1} && !tables_.contains(name)) return {};
  return name;
}

// First none of those that change: two databases may exchange their namespaces, and no two rows have the same.
int Namespaces::write_rows(Database& database) {
  std::string removals, additions;
  for (uint32_t db = 0; db < rows_.size(); ++db) {
    const std::optional<uint64_t> wanted = wanted_row(db);
    if (rows_[db] == wanted) continue;
    if (rows_[db]) removals += base::format("DELETE FROM databases WHERE db = %u;", db);
    if (wanted) {
      additions += base::format("INSERT INTO databases VALUES(%u, %llu, %u);", db, Number{*wanted}, database_crc(db, *wanted));
    }
    rows_[db] = wanted;
    view_is_old_ = true;
  }
  return view_is_old_ ? database.execute(removals + additions) : SQLITE_OK;
}

// For people: what redis-cli shows. Keys past their deadline are gone there, too.
int Namespaces::make_view(Database& database) {
  std::string selects;
  for (uint32_t db = 0; db < rows_.size(); ++db) {
    const Number name = databases_.spaces[db];
    if (!tables_.contains(name)) continue;
    if (!selects.empty()) selects += " UNION ALL ";
    selects += base::format(
        "SELECT %u AS db, CAST(key AS TEXT) AS key,"
        " CASE object WHEN 0 THEN CAST(value AS TEXT) ELSE (SELECT group_concat(CAST(bytes AS TEXT), '')"
        " FROM (SELECT bytes FROM chunks_%llu c WHERE c.object = k.object ORDER BY c.position)) END AS "
        "value,"
        " CASE deadline_ms WHEN 0 THEN NULL ELSE datetime(deadline_ms / 1000, 'unixepoch') END AS expires"
        " FROM keys_%llu k WHERE deadline_ms = 0 OR deadline_ms >="
        " (SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'cluster_time_ms')",
        db, name, name);
  }
  if (selects.empty()) selects = "SELECT 0 AS db, '' AS key, '' AS value, NULL AS expires WHERE 0";
  return database.execute("DROP VIEW IF EXISTS strings; CREATE VIEW strings AS " + selects);
}

// --- Garbage -----------------------------------------------------------------------------------------

bool Namespaces::has_garbage() const {
  return has_garbage_ || !dead_.is_empty() ||
         std::any_of(tables_.begin(), tables_.end(), [](const auto& each) { return each.second.left_garbage(); });
}

int Namespaces::sweep(Database& database, size_t bytes_max) {
  for (uint64_t chunks = std::max<uint64_t>(1, bytes_max / kChunkBytes); chunks > 0;) {
    uint64_t object = 0, name = 0;
    int code = next_garbage(object, name);
    if (code == SQLITE_DONE) {
      has_garbage_ = false;
      for (auto& each : tables_) each.second.forget_garbage();
      return SQLITE_OK;
    }
    if (code != SQLITE_ROW) return code;
    KeyTables* const tables = find(name);
    // Of a namespace that is gone only this row is left, which counts as much as a chunk.
    if (tables == nullptr) --chunks;
    code = tables ? tables->remove_chunks(database, object, chunks) : SQLITE_OK;
    drop_garbage_.bind(1, object);
    if (code == SQLITE_OK && (chunks > 0 || tables == nullptr)) code = drop_garbage_.run();
    if (code != SQLITE_OK) return code;
  }
  has_garbage_ = true;
  return SQLITE_OK;
}

// SQLITE_ROW, SQLITE_DONE, or an error.
int Namespaces::next_garbage(uint64_t& object, uint64_t& name) {
  const StatementScope scope(next_garbage_);
  const int code = next_garbage_.step();
  if (code != SQLITE_ROW) return code;
  object = next_garbage_.integer(0);
  name = next_garbage_.integer(1);
  return code;
}

}  // namespace leto::storage
