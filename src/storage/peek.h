// What the two files say of themselves, read without touching anything in the directory: so that a start that is to be
// refused leaves everything as it was.
#pragma once

#include <string>

#include "base/status.h"

namespace leto::storage {

// The -id of the node that `directory` belongs to; empty if that cannot be told from the file alone, past its
// WAL (it is new, or was killed at once), and then opening it tells. An error if its format, or that of the
// keys file it names, is newer than this program's. Reads nothing but the tables `meta`, whose rows are checked.
base::Result<std::string> peek_id(const std::string& directory);

// The semantics level that the keys file in `directory` says; 0 if that cannot be told from the files alone.
uint64_t peek_semantics_level(const std::string& directory);

// How long raft.db at `path` says that its WAL is at least; 0 if it does not say so, as one of before that was noted.
uint64_t peek_wal_bytes(const std::string& vfs, const std::string& path);

}  // namespace leto::storage
