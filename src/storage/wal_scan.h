// How far a WAL can be read, and whether more was once committed behind that: SQLite stops at the first frame that does
// not fit, without a word. Reads the file as its format is documented (sqlite.org/fileformat2.html#walformat); writes
// nothing. Refuses to know what is in the pages.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace leto::storage {

struct WalScan {
  uint64_t frames_read = 0;      // From the start on, each fitting the one before.
  uint64_t commits_lost = 0;     // Commits of the same run behind the first that does not fit.
};

// An error if the file cannot be read; a missing or empty one has no frames. A power cut may leave one lost commit, which
// nobody was told of; two or more are damage, as a commit is only begun when the one before is synced.
base::Result<WalScan> scan_wal(const std::string& vfs, const std::string& path);

// The sentence about damage that a scan of `path` shows; empty if it shows none.
std::string lost_commits(const std::string& path, const WalScan& scan);

}  // namespace leto::storage
