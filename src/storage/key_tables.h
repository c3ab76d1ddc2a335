// The tables of a keys file: per namespace one of keys (with the values that fit) and one of chunks (of the
// values that do not), which logical database is which namespace, what waits to be removed, and the view
// `strings` for people.
// Checks the CRC of all it reads. Refuses to know of headers, witnesses and transactions.
//
//   databases     db, namespace, crc
//   keys_<ns>     key, type, version_index, version_position, deadline_ms, object, size, crc, value
//   chunks_<ns>   object, position, crc, bytes: of values above kInlineBytesMax; their row in keys_<ns> has
//                 an object, and an empty value
//   garbage       object, namespace: values that no key has any more, whose chunks are removed in steps
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "keyspace/keyspace.h"
#include "storage/key_store.h"
#include "storage/meta.h"
#include "storage/sqlite.h"

namespace leto::storage {

inline constexpr size_t kInlineBytesMax = 64 << 10;
inline constexpr size_t kChunkBytes = 16 << 10;

// One namespace: what one logical database holds.
class KeyTables {
 public:
  explicit KeyTables(uint64_t name) : name_(name) {}

  uint64_t name() const { return name_; }
  // A value with chunks was replaced or erased since open().
  bool left_garbage() const { return left_garbage_; }
  void forget_garbage() { left_garbage_ = false; }
  // Within a transaction: SQLITE_OK or an error.
  int create(Database& database);
  base::Status open(Database& database);
  // For load() alone.
  base::Status open_for_reading(Database& database);
  // `object` is a number that no other value of this file has or had; it is used only if is_large().
  int put(std::string_view key, const keyspace::Item& item, uint64_t object);
  int erase(std::string_view key);
  static bool is_large(const keyspace::Item& item);
  // Removes at most `chunks` chunks of `object`, the first ones first, and takes them off `chunks`: something is left
  // of it only if that comes to 0.
  int remove_chunks(Database& database, uint64_t object, uint64_t& chunks);

  // Keys; 0 also if they cannot be counted.
  uint64_t count(Database& database);
  // Visits each key once: an order that does not rise is damage like any other.
  using Visit = std::function<void(std::string_view key, keyspace::Item item)>;
  base::Status load(Database& database, uint32_t db, const Visit& visit);

 private:
  struct Row;
  int put_row(const Row& row);
  int put_chunks(uint64_t object, std::string_view bytes);
  int leave_chunks(std::string_view key);
  base::Status load_chunks(Database& database, const Row& row, std::string& value);

  uint64_t name_;
  bool left_garbage_ = false;
  bool has_chunks_ = false;   // There is a chunk, or was since open(): overwritten keys may have some.
  Statement put_, erase_, put_chunk_, find_object_, leave_, first_chunk_, remove_chunks_, chunks_;
};

// Which namespaces there are.
class Namespaces {
 public:
  // Makes its tables; within a transaction.
  static int create(Database& database);
  // Makes the table garbage if a file of an earlier Leto has none: SQLITE_OK or an error.
  static int add_garbage_table(Database& database);
  // Prepares all tables and reads which there are.
  base::Status open(Database& database);
  // For load() alone, from a file that may be of an earlier Leto.
  base::Status open_for_reading(Database& database) { return open_each(database, &KeyTables::open_for_reading); }
  // Null if the database was never written.
  KeyTables* find(uint32_t db) { return tables_[db] ? &*tables_[db] : nullptr; }
  // Makes tables for a database that has none, and the view anew; within a transaction. `cluster time` of
  // the view is the row cluster_time_ms of meta.
  int add(Database& database, uint32_t db);
  // Forgets what was read; open() is next. After a transaction that failed.
  void forget();

  // Chunks wait to be removed.
  bool has_garbage() const;
  // Removes about so many bytes of them, at least one chunk; within a transaction.
  int sweep(Database& database, size_t bytes_max);

 private:
  base::Status open_each(Database& database, base::Status (KeyTables::*open_one)(Database&));
  int make_view(Database& database);
  KeyTables* find_name(uint64_t name);
  int next_garbage(uint64_t& object, uint64_t& name);
  std::array<std::optional<KeyTables>, keyspace::kDatabases> tables_;
  Statement next_garbage_, drop_garbage_;
  bool has_garbage_ = false;   // As found by open() and sweep(); what puts left since is in their tables.
};

}  // namespace leto::storage
