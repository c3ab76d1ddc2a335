#include "storage/verify_keys.h"

#include "base/format.h"
#include "keyspace/digest.h"
#include "storage/meta.h"
#include "storage/state_rows.h"
#include "storage/vfs_file.h"

namespace leto::storage {

namespace {

// Within a read transaction: a flush may come meanwhile.
base::Status verify(Database& database) {
  Meta meta(database);
  if (base::Status status = meta.open(FileKind::kKeys); !status.is_ok()) return status;
  StateRows state;
  if (base::Status status = read_state(database, meta, state); !status.is_ok()) return status;
  Namespaces namespaces;
  base::Status status = namespaces.open_for_reading(database, state.header.databases.next_space);
  KeysSum sum;
  for (uint32_t db = 0; status.is_ok() && db < keyspace::kDatabases; ++db) status = add_keys(database, namespaces, db, sum);
  return status.is_ok() ? compare_digest(database.path(), state.header, sum.digest) : std::move(status);
}

}  // namespace

base::Status add_keys(Database& database, Namespaces& namespaces, uint32_t db, KeysSum& sum) {
  KeyTables* const tables = namespaces.find_database(db);
  if (tables == nullptr) return {};
  return tables->load(database, db, [&sum, db](std::string_view key, const keyspace::Item& item) {
    sum.digest = sum.digest + keyspace::item_digest(db, key, item);
    ++sum.keys;
  });
}

base::Status compare_digest(const std::string& path, const keyspace::StateHeader& header, const keyspace::Digest& found) {
  if (found == header.digest) return {};
  return base::Status::error(base::format("%s: damaged: its digest is %s, but its keys give %s", path.c_str(),
                                          header.digest.hex().c_str(), found.hex().c_str()));
}

base::Status verify_keys_file(const std::string& directory, const std::string& vfs, uint64_t generation) {
  base::Result<std::unique_ptr<Database>> opened =
      Database::open({.path = keys_path(directory, generation), .vfs = vfs, .read_only = true});
  if (!opened.is_ok()) return opened.take_status();
  Database& database = *opened.value();
  if (const int code = database.execute("BEGIN"); code != 0) return database.error("read it", code);
  base::Status status = verify(database);
  database.roll_back();
  return status;
}

base::Status verify_keys_pages(const std::string& directory, const std::string& vfs, uint64_t generation) {
  base::Result<std::unique_ptr<Database>> opened =
      Database::open({.path = keys_path(directory, generation), .vfs = vfs, .read_only = true});
  return opened.is_ok() ? opened.value()->check_pages() : opened.take_status();
}

}  // namespace leto::storage
