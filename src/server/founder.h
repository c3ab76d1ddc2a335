// A node that founded its cluster and is alone in it, though it is a member of another one: it came up with an empty
// directory. What its directory says of that from one process to the next. Refuses to know how it is found out.
//
// Invariants: a directory that was marked serves nothing any more unless it joins, whatever started it; what it holds of
// acknowledged writes is never thrown away.
//
//   misplaced   why it ended, in one sentence, until it is a member of another cluster
#pragma once

#include <string>

#include "base/status.h"
#include "server/options.h"
#include "server/start.h"

namespace leto::server {

// Every later start without -join is refused with that sentence.
base::Status mark_misplaced(const std::string& directory, const std::string& sentence);
// That sentence; empty if there is none.
std::string misplaced_sentence(const std::string& directory);
// It is a member of the cluster that missed it: no error if there is no mark.
base::Status forget_misplaced(const std::string& directory);

// Whether a write was ever proposed in its log; empty entries and configurations are none. An error is one of reading.
base::Result<bool> has_commands(storage::LogStore& log, const raft::Recovered& recovered);

// What the mark makes of a start. With -join a founder without commands is as a new node is, and joins; one with commands
// is refused, and so is every one without -join. A directory that went over to another cluster loses its mark.
// REQUIRES: the log is open and the identity known, the keys file is not open.
base::Status judge_mark(const Options& options, OpenedDirectory& opened);

}  // namespace leto::server
