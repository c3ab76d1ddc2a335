// Loading a keys file; see load.h.
#include "storage/load.h"

#include <utility>

#include "base/format.h"

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
  const keyspace::Digest wanted = store.header().digest;
  if (keyspace.digest() == wanted) return {};
  return base::Status::error(base::format(
      "%s: damaged: its digest is %s, but its keys give %s",
      store.path().c_str(), wanted.hex().c_str(), keyspace.digest().hex().c_str()));
}

}  // namespace leto::storage
