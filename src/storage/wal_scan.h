// How far a WAL can be read, and whether more was once committed behind that: SQLite takes a WAL whose header does not fit for
// none, and stops at the first frame that does not fit, without a word. Reads the file as its format is documented
// (sqlite.org/fileformat2.html#walformat). Refuses to know what is in the pages.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace leto::storage {

enum class WalHeader : uint8_t {
  kNone,      // No file, one that ends before, or zeros.
  kSound,
  kDamaged,   // It fits neither itself nor, but for its number, the header before it.
};

struct WalScan {
  uint64_t bytes = 0;            // Of the whole file.
  WalHeader header = WalHeader::kNone;
  uint64_t frames_read = 0;      // From the start on, each fitting the one before.
  uint64_t commits_lost = 0;     // Commits of the same run behind the first frame that does not fit: the most in a row.
  bool ends_within = false;      // Right behind what was read are frames of one run before, two of which fit each other: this
                                 // run has not come there yet.
};

// The WAL of the database `path`. An error if it cannot be read. A power cut may leave one lost commit, which nobody was
// told of; two or more are damage, as a commit is only begun when the one before is synced. (Rot that hits several fields of
// the frame that ends the last commit but one makes the two look like one: nothing is left that could tell.) It may also leave a header of
// which half is written: SQLite begins a WAL anew only when all of it is in the database, synced; so such a WAL counts as
// without frames if that is so, and as damaged if not.
base::Result<WalScan> scan_wal(const std::string& vfs, const std::string& path);

// Before the owner of the database `path` opens it: a header that is half the next one's becomes again what it was. SQLite would
// begin the WAL anew with the salt that it finds there, and what is left of the run before could not be told from this one's.
// Nothing is written where that is not so. An error if it cannot be written or synced; harmless, and the next start tries again.
base::Status put_back_torn_header(const std::string& vfs, const std::string& path);

// The sentence about damage that a scan of `wal` shows, which once had `bytes_known` bytes and has never been shortened;
// empty if it shows none. One that is shorter now has lost commits unless this run is seen to end within it. (Zeros behind the
// run show nothing: what loses the end of a file may leave them, too.)
std::string wal_damage(const std::string& wal, const WalScan& scan, uint64_t bytes_known);

}  // namespace leto::storage
