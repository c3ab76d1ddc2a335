// What is wrong with a data directory: looks at everything that a start would read, and at all that a start leaves to
// later, and changes nothing. Refuses to know how damage is mended.
//
// Its read-only connections go past the locks and keep the WAL's index in memory, so that no file is made or touched; so
// nobody else may use the directory meanwhile. (SQLite's `immutable` would not read the WAL, where the newest commits are.)
#pragma once

#include <string>
#include <vector>

namespace leto::storage {

struct CheckReport {
  std::vector<std::string> notes;     // What was looked at, and what was found, for a person.
  std::vector<std::string> damages;   // Each one sentence that names the file. Empty: sound.
};

// The VFS for a real disk: check_directory()'s `vfs`.
inline constexpr const char* kVfsWithoutLocks = "unix-none";

// REQUIRES: no other process, and no store of this one, uses the directory.
CheckReport check_directory(const std::string& directory, const std::string& vfs);

}  // namespace leto::storage
