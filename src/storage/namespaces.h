// The namespaces of a keys file: which logical database is which one, their tables, what waits to be removed, and the view
// `strings` for people. Refuses to know of headers, witnesses and transactions, and of single keys.
//
//   databases     db, namespace, crc: a database without a row is namespace db + 1 and has no tables
//   garbage       object, namespace: values that no key has any more, whose chunks are removed in steps
//   strings       a view
//
// Tables of a namespace that no database is (any more) are dead: nothing lists them but SQLite's own schema, so that a
// flush need not write anything about them and a start finds them again.
#pragma once

#include <array>
#include <map>
#include <optional>

#include "base/status.h"
#include "keyspace/keyspace.h"
#include "storage/dead_tables.h"
#include "storage/key_tables.h"
#include "storage/sqlite.h"

namespace leto::storage {

class Namespaces {
 public:
  // Makes its tables; within a transaction.
  static int create(Database& database);
  // Makes the table garbage if a file of an earlier Leto has none: SQLITE_OK or an error.
  static int add_garbage_table(Database& database);
  // Prepares all tables and reads which there are. `next`: the number for the next namespace, as far as that is known.
  base::Status open(Database& database, uint64_t next);
  // For load() alone, from a file that may be of an earlier Leto.
  base::Status open_for_reading(Database& database, uint64_t next);
  const keyspace::Databases& databases() const { return databases_; }
  // Null if it has no tables, as it never had a key.
  KeyTables* find(uint64_t name);
  KeyTables* find_database(uint32_t db) { return find(databases_.spaces[db]); }

  // The next three within one transaction, in this order. From now on the databases are these; what was put into
  // namespaces that are gone is dead.
  void change(const keyspace::Databases& databases);
  // Makes tables for a namespace that has none.
  int add(Database& database, uint64_t name);
  // Writes the rows, and the view anew. `cluster time` of the view is the row cluster_time_ms of meta.
  int finish(Database& database);
  // Forgets what was read; open() is next. After a transaction that failed.
  void forget();

  // Chunks or dead tables wait to be removed.
  bool has_garbage() const;
  // Removes about so many bytes of chunks, at least one; within a transaction.
  int sweep(Database& database, size_t bytes_max);
  // Removes a bounded part of what is dead; within a transaction.
  int bury(Database& database, size_t bytes_max) { return dead_.remove_some(database, bytes_max); }

 private:
  using OpenOne = base::Status (KeyTables::*)(Database&);
  base::Status open_each(Database& database, uint64_t next, OpenOne open_one);
  base::Status read_rows(Database& database);
  base::Status find_tables(Database& database, OpenOne open_one);
  void name_others();
  bool is_used(uint64_t name) const;
  std::optional<uint64_t> wanted_row(uint32_t db) const;
  int write_rows(Database& database);
  int make_view(Database& database);
  int next_garbage(uint64_t& object, uint64_t& name);

  keyspace::Databases databases_;
  std::array<std::optional<uint64_t>, keyspace::kDatabases> rows_;   // Of the table databases.
  std::map<uint64_t, KeyTables> tables_;   // Of namespaces that are databases.
  DeadTables dead_;
  Statement next_garbage_, drop_garbage_;
  bool has_garbage_ = false;   // As found by open() and sweep(); what puts left since is in their tables.
  bool view_is_old_ = false;
};

}  // namespace leto::storage
