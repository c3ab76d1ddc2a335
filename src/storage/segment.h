// The segments of the log: tables log_<first index>, each with consecutive entries, dropped whole. Turns
// rows into entries and back, and checks each row it reads: its CRC32C covers index, term, kind and
// payload. Refuses to know of transactions, terms' order and what lies before or behind a segment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "raft/raft.h"
#include "storage/sqlite.h"

namespace leto::storage {

struct Segment {
  raft::Index first = 0;
  uint64_t entries = 0;
  uint64_t bytes = 0;   // Of payloads.
  raft::Index end() const { return first + entries; }
};

std::string segment_table(raft::Index first);

// Appends to one segment.
class SegmentWriter {
 public:
  // SQLITE_OK or an error; then nothing is open.
  int open(Database& database, raft::Index first);
  void close() { insert_ = {}; first_ = 0; }
  bool is_open(raft::Index first) const { return insert_ && first_ == first; }
  // The payload is read in place.
  int append(const raft::Entry& entry);

 private:
  Statement insert_;
  raft::Index first_ = 0;
};

// Which entries: [from, last], at most bytes_max payload bytes but at least one entry.
struct ReadRange {
  raft::Index from = 0;
  raft::Index last = 0;
  uint64_t bytes_max = 0;
};

// Appends the range's entries to `entries`, as far as the segment has them, and takes their bytes off
// range.bytes_max. `from` is moved behind the last one read. A wrong CRC or a missing index is an error
// that names it.
base::Status read_segment(Database& database, const Segment& segment, ReadRange& range,
                          std::vector<raft::Entry>& entries);

// What a segment really holds, found by its edges alone: the indexes are right, the count is as if there
// were no gap, the bytes are 0.
base::Result<Segment> measure_segment(Database& database, raft::Index first);

// What other tables say of the entries.
struct LogIndex {
  const std::vector<raft::TermRun>& terms;
  const std::vector<raft::Index>& configurations;   // Ascending.
};

// Reads each row of a segment, checks it, also against what `index` says of it, and sums up its bytes.
base::Status verify_segment(Database& database, Segment& segment, const LogIndex& index);

}  // namespace leto::storage
