// The table `meta` of both files: names and values that exist once, each row with a CRC32C over name and
// value. Its format row says which Leto may read the file; this table's own shape never changes.
// Refuses to know what the names mean, and of transactions but the one that makes the file: set() belongs into the caller's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "storage/sqlite.h"

namespace leto::storage {

// What kind of file it is: SQLite's application_id, shown by file(1).
enum class FileKind : uint32_t { kLog = 0x4c65746f, kKeys = 0x4c65746b };  // "Leto", "Letk".

// The format that this program writes, and the highest that it reads.
inline constexpr uint64_t kFormat = 1;

// The row in raft.db about its WAL's length.
inline constexpr const char* kWalBytes = "wal_bytes";

class Meta {
 public:
  explicit Meta(Database& database) : database_(database) {}

  // Makes the table and its format row. REQUIRES: a transaction.
  int create(FileKind kind);
  // Checks that the file is of this kind and format, and every row; prepares the rest. Writes nothing.
  base::Status open(FileKind kind);

  int set(std::string_view name, std::string_view value);
  int set(std::string_view name, uint64_t value);
  int erase(std::string_view name);
  // Nothing if there is no such row; an error that names it if its CRC is wrong.
  base::Result<std::optional<std::string>> get(std::string_view name);
  // Adds up several reads: `value` is left alone if the row is missing or `status` is an error already.
  void read(std::string_view name, uint64_t& value, base::Status& status);
  void read(std::string_view name, std::string& value, base::Status& status);

 private:
  base::Status check_rows();

  Database& database_;
  Statement set_, get_, erase_;
};

// The beginning of a connection that writes: Database::set_up() and Meta::open(). A file without tables gets those that
// `make_tables` makes, and this one. An error changes nothing in a file of another kind or of a newer format.
base::Status open_or_make(Database& database, Meta& meta, FileKind kind, int (*make_tables)(Database&));

// What the column crc of a row holds.
uint32_t meta_row_crc(std::string_view name, std::string_view value);

// A decimal number without sign that fits 64 bits, and nothing else.
std::optional<uint64_t> parse_decimal(std::string_view text);

}  // namespace leto::storage
