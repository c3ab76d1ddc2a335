// Names and values that exist once in a file; see meta.h.
#include "storage/meta.h"

#include <sqlite3.h>

#include <charconv>
#include <utility>

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/format.h"

namespace leto::storage {

namespace {

constexpr size_t kShownNameBytes = 64;

// A rotten name may have any bytes, and be long.
std::string shown(std::string_view name) {
  std::string text;
  for (const char byte : name.substr(0, kShownNameBytes)) {
    if (byte >= ' ' && byte <= '~' && byte != '\'' && byte != '\\') text += byte;
    else text += base::format("\\x%02x", static_cast<unsigned char>(byte));
  }
  return name.size() > kShownNameBytes ? text + "..." : text;
}

base::Status damaged(const Database& database, std::string_view name) {
  return base::Status::error(base::format("%s: damaged: the row '%s' of table meta has a wrong checksum or value",
                                          database.path().c_str(), shown(name).c_str()));
}

// Whoever made the file made it as Leto does.
bool has_format(Database& database) {
  uint64_t crc = 0;
  const bool asked = database.query("SELECT crc FROM meta WHERE name = 'format'", crc).is_ok();
  return asked && crc == meta_row_crc("format", std::to_string(kFormat));
}

}  // namespace

uint32_t meta_row_crc(std::string_view name, std::string_view value) {
  std::string head;
  base::put_string(head, name);
  return base::crc32c(value, base::crc32c(head));
}

std::optional<uint64_t> parse_decimal(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value);
  if (text.empty() || failure != std::errc() || stop != end) return std::nullopt;
  return value;
}

int Meta::create(FileKind kind) {
  const std::string id = std::to_string(static_cast<uint32_t>(kind));
  int code = database_.execute(
      "CREATE TABLE meta(name TEXT PRIMARY KEY, value, crc INTEGER NOT NULL) WITHOUT ROWID;"
      "PRAGMA application_id=" + id);
  if (code != SQLITE_OK) return code;
  // Not set_: it is prepared by open(), once the table is there.
  const std::string format = std::to_string(kFormat);
  return database_.execute(base::format("INSERT INTO meta VALUES('format', '%s', %u)", format.c_str(),
                                        meta_row_crc("format", format)));
}

base::Status Meta::open(FileKind kind) {
  uint64_t found = 0;
  if (base::Status status = database_.query("PRAGMA application_id", found); !status.is_ok()) return status;
  if (found != static_cast<uint64_t>(kind)) {
    const bool is_other = found == static_cast<uint64_t>(FileKind::kLog) || found == static_cast<uint64_t>(FileKind::kKeys);
    if (!is_other && has_format(database_)) {
      return base::Status::error(base::format("%s: damaged: its application_id is %llu", database_.path().c_str(),
                                              static_cast<unsigned long long>(found)));
    }
    return base::Status::error(
        base::format("%s: a database, but not one of Leto's of this kind (application_id %llu)",
                     database_.path().c_str(), static_cast<unsigned long long>(found)));
  }
  base::Status status = database_.prepare("SELECT value, crc FROM meta WHERE name = ?", get_);
  if (!status.is_ok()) return status;
  uint64_t format = 0;
  read("format", format, status);
  if (!status.is_ok()) return status;
  if (format > kFormat) {
    return base::Status::error(
        base::format("%s has format %llu, this leto reads up to %llu", database_.name().c_str(),
                     static_cast<unsigned long long>(format), static_cast<unsigned long long>(kFormat)));
  }
  if (format == 0) return damaged(database_, "format");
  status = check_rows();
  if (!status.is_ok()) return status;
  return database_.prepare_all({{&set_, "REPLACE INTO meta(name, value, crc) VALUES(?, ?, ?)"},
                                {&erase_, "DELETE FROM meta WHERE name = ?"}});
}

base::Status open_or_make(Database& database, Meta& meta, FileKind kind, int (*make_tables)(Database&)) {
  if (!database.is_new()) {
    base::Status status = meta.open(kind);
    return status.is_ok() ? database.set_up() : std::move(status);
  }
  if (base::Status status = database.set_up(); !status.is_ok()) return status;
  std::string failure;
  const auto make = [&] {
    const int code = make_tables(database);
    return code == SQLITE_OK ? meta.create(kind) : code;
  };
  if (database.transaction("make its tables", make, failure) != SQLITE_OK) return base::Status::error(std::move(failure));
  return meta.open(kind);
}

// A row whose name is rotten would else be taken for one that never was: no vote, no base.
base::Status Meta::check_rows() {
  return database_.for_each_row("SELECT name, value, crc FROM meta", [this](const Statement& row) {
    const bool sound = row.integer(2) == meta_row_crc(row.bytes(0), row.bytes(1));
    return sound ? base::Status() : damaged(database_, row.bytes(0));
  });
}

int Meta::set(std::string_view name, std::string_view value) {
  set_.bind_text(1, name);
  set_.bind_blob(2, value);
  set_.bind(3, meta_row_crc(name, value));
  return set_.run();
}

int Meta::set(std::string_view name, uint64_t value) {
  const std::string text = std::to_string(value);
  set_.bind_text(1, name);
  set_.bind_text(2, text);
  set_.bind(3, meta_row_crc(name, text));
  return set_.run();
}

int Meta::erase(std::string_view name) {
  erase_.bind_text(1, name);
  return erase_.run();
}

base::Result<std::optional<std::string>> Meta::get(std::string_view name) {
  const StatementScope scope(get_);
  get_.bind_text(1, name);
  const int code = get_.step();
  if (code == SQLITE_DONE) return std::optional<std::string>();
  if (code != SQLITE_ROW) return database_.error("read table meta", code);
  std::string value(get_.bytes(0));
  if (get_.integer(1) != meta_row_crc(name, value)) return damaged(database_, name);
  return std::optional<std::string>(std::move(value));
}

void Meta::read(std::string_view name, uint64_t& value, base::Status& status) {
  std::string text = std::to_string(value);
  read(name, text, status);
  if (!status.is_ok()) return;
  const std::optional<uint64_t> number = parse_decimal(text);
  if (!number) status = damaged(database_, name);
  else value = *number;
}

void Meta::read(std::string_view name, std::string& value, base::Status& status) {
  if (!status.is_ok()) return;
  base::Result<std::optional<std::string>> found = get(name);
  if (!found.is_ok()) status = found.take_status();
  else if (found.value()) value = *std::move(found.value());
}

}  // namespace leto::storage
