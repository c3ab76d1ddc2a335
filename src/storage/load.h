// From a keys file to the keyspace it holds, and whether it is that. Refuses to know of files and of the log.
#pragma once

#include "base/status.h"
#include "keyspace/keyspace.h"
#include "storage/key_store.h"

namespace leto::storage {

// Loads every key of `store` into `keyspace` and compares the digest of what it loaded with the header's. An error is
// one sentence that names the file and what is damaged in it. REQUIRES: `keyspace` is empty.
base::Status load_keyspace(KeyStore& store, keyspace::Keyspace& keyspace);

}  // namespace leto::storage
