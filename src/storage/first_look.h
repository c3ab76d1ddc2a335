// What is wrong with raft.db as far as its files alone show it, before SQLite touches them: SQLite takes a database that is
// empty for a new one and deletes its WAL, and takes a WAL that it cannot read for none. Reads, and changes nothing.
// Refuses to know what is in the tables, and what is done about damage.
#pragma once

#include <string>

#include "base/status.h"

namespace leto::storage {

// A node was made here: keys are only ever written beside a raft.db that says whose they are. Of a real disk: the files of
// a test's VFS are not listed.
bool has_keys_files(const std::string& directory);

// The sentence of a raft.db without a row of who the node is, where has_keys_files().
std::string lost_identity(const std::string& log_path);

// The two version bytes of a database's header: SQLite only reads a file with a higher one. True if they cannot be read.
bool has_known_versions(const std::string& vfs, const std::string& path);

// An error says which damage; OK if none is seen, also if a file cannot be read: opening it tells why.
base::Status look_at_log_files(const std::string& directory, const std::string& vfs);

}  // namespace leto::storage
