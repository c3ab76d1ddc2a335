// The two tables of a namespace: one of keys (with the values that fit) and one of chunks (of the values that do not).
// Checks the CRC of all it reads. Refuses to know of databases, headers, witnesses and transactions.
//
//   keys_<ns>     key, type, version_index, version_position, deadline_ms, object, size, crc, value
//   chunks_<ns>   object, position, crc, bytes: of values above kInlineBytesMax; their row in keys_<ns> has
//                 an object, and an empty value
//   garbage       (namespaces.h) gets the object of a value that no key has any more
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "keyspace/keyspace.h"
#include "storage/key_store.h"
#include "storage/sqlite.h"

namespace leto::storage {

inline constexpr size_t kInlineBytesMax = 64 << 10;
inline constexpr size_t kChunkBytes = 16 << 10;

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
  // For load() and salvage() alone.
  base::Status open_for_reading(Database& database);
  // `object` is a number that no other value of this file has or had; it is used only if is_large().
  int put(std::string_view key, const keyspace::Item& item, uint64_t object);
  int erase(std::string_view key);
  // A renamed value whose chunks are in the file stays where it is. First, before anything else is put or erased,
  // take_object() takes it from `key`, if that has one of `size` bytes: else it gives 0. Then put_taken() gives it to another
  // key, or the same; and `key` itself is to be put or erased within the transaction.
  int take_object(std::string_view key, uint64_t size, uint64_t& object);
  int put_taken(std::string_view key, const keyspace::Item& item, uint64_t object);
  static bool is_large(const keyspace::Item& item);
  // Removes at most `chunks` chunks of `object`, the first ones first, and takes them off `chunks`: something is left
  // of it only if that comes to 0.
  int remove_chunks(Database& database, uint64_t object, uint64_t& chunks);

  // Keys; 0 also if they cannot be counted.
  uint64_t count(Database& database);
  // Visits each key once: an order that does not rise is damage like any other.
  using Visit = std::function<void(std::string_view key, keyspace::Item item)>;
  base::Status load(Database& database, uint32_t db, const Visit& visit);
  // The same, but of keys and pages that are damaged: what can be read is visited, in any order, and `damaged` gets a sentence
  // about each key that cannot, and about each place where keys may have been. An error if nothing can be read.
  using Damaged = std::function<void(const std::string& sentence)>;
  base::Status salvage(Database& database, uint32_t db, const Visit& visit, const Damaged& damaged);

 private:
  struct Row;
  int put_row(const Row& row);
  int put_chunks(uint64_t object, std::string_view bytes);
  int leave_chunks(std::string_view key);
  base::Status read_item(Database& database, const Statement& columns, std::optional<keyspace::Item>& item);
  base::Status load_chunks(Database& database, const Row& row, std::string& value);

  uint64_t name_;
  bool left_garbage_ = false;
  bool has_chunks_ = false;   // There is a chunk, or was since open(): overwritten keys may have some.
  Statement put_, erase_, put_chunk_, find_object_, take_, leave_, first_chunk_, remove_chunks_, chunks_;
};

}  // namespace leto::storage
