// The tables of raft.db beside the segments, and what open() reads from all of them: who this node is, hard
// state, which segments there are, where terms start, where configurations are. Checks what it reads.
// Refuses to know of writing entries and of commits.
//
//   meta            format, term, voted_for, base_index, base_term (the last entry dropped), and the identity:
//                   id, node, cluster_id, cluster_secret, keys_generation, founded (the cluster's id again, as long as
//                   this directory founded it and has no other member)
//   segments        first: the index of log_<first>'s first entry; bytes: of its payloads, 0 while it is
//                   the last segment
//   terms           first, term: the entries from `first` to before the next row's have this term
//   configurations  idx: the entries of kind kConfiguration
#pragma once

#include <optional>
#include <vector>

#include "base/status.h"
#include "storage/log_store.h"
#include "storage/meta.h"
#include "storage/segment.h"
#include "storage/sqlite.h"

namespace leto::storage {

// The entries of so many last segments are all read and checked at start; earlier ones when they are used.
inline constexpr size_t kVerifiedSegments = 2;

struct LogContents {
  std::optional<Identity> identity;
  std::vector<Segment> segments;   // Ascending, without a gap.
  std::vector<raft::Index> configurations;   // What table configurations says: ascending.
  raft::Recovered recovered;
};

// Within the caller's transaction: SQLITE_OK or an error.
int create_log_tables(Database& database);
int write_identity(Meta& meta, const Identity& identity);
int erase_founded(Meta& meta);
int write_hard_state(Meta& meta, const raft::HardState& hard_state);
int write_base(Meta& meta, raft::EntryId base);
int erase_base(Meta& meta);

// Reads and checks. Writes nothing. An error names the file, and the entry or row that is damaged or
// missing.
base::Status read_log(Database& database, Meta& meta, LogContents& contents);

// Of a file that read_log() refuses: the identity, if all of it is sound, and each configuration that is; nothing else.
LogContents read_what_is_left(Database& database, Meta& meta);

}  // namespace leto::storage
