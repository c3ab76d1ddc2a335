// Loading a keys file; see load.h.
#include "storage/load.h"

#include <utility>

#include "storage/verify_keys.h"

namespace leto::storage {

base::Status load_keyspace(KeyStore& store, keyspace::Keyspace& keyspace) {
  keyspace.name_spaces(store.header().databases);
  for (uint32_t database = 0; database < keyspace::kDatabases; ++database) {
    keyspace.reserve(database, store.count_keys(database));
  }
  base::Status loaded = store.load([&](uint32_t database, std::string_view key, keyspace::Item item) {
    keyspace.load(database, key, std::move(item));
  });
  if (!loaded.is_ok()) return loaded;
  return compare_digest(store.path(), store.header(), keyspace.digest());
}

}  // namespace leto::storage
