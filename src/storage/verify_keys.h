// Whether the values in a keys file are those that its digest was made of, without keeping them. Refuses to know of the log.
#pragma once

#include <string>

#include "base/status.h"
#include "keyspace/keyspace.h"
#include "storage/namespaces.h"
#include "storage/sqlite.h"

namespace leto::storage {

struct KeysSum {
  uint64_t keys = 0;
  keyspace::Digest digest;
};

// Adds all keys of one database, each row and chunk checked.
base::Status add_keys(Database& database, Namespaces& namespaces, uint32_t db, KeysSum& sum);
// An error if that is not what the header says.
base::Status compare_digest(const std::string& path, const keyspace::StateHeader& header, const keyspace::Digest& found);

// Reads the whole keys file of a generation past every cache of its owner's, on a read-only connection of its own, as of
// its last commit. The error names the file and what is damaged in it.
base::Status verify_keys_file(const std::string& directory, const std::string& vfs, uint64_t generation);

// The same of its pages alone, also those that no key is on any more: of garbage, and unused ones.
base::Status verify_keys_pages(const std::string& directory, const std::string& vfs, uint64_t generation);

}  // namespace leto::storage
