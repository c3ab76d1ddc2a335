// D16: tells whether raft.db lost what it had promised, at its end or its beginning, from what both files say. Pure.
#pragma once

#include <string>

#include "base/format.h"
#include "base/status.h"
#include "raft/raft.h"
#include "storage/key_store.h"

namespace leto::storage {

// `applied`: StateHeader::applied_index. True: the node must neither vote nor acknowledge nor campaign
// under this identity.
inline bool lost_tail(const raft::Recovered& recovered, const Witness& witness, uint64_t applied) {
  return recovered.last.index < witness.index || recovered.hard_state.term < witness.term ||
         recovered.last.index < applied;
}

// An error, which names `file`, if not even the keys file has all that the log has dropped.
inline base::Status check_beginning(const std::string& file, const raft::Recovered& recovered, uint64_t applied) {
  if (recovered.base.index <= applied) return {};
  return base::Status::error(base::format(
      "%s: damaged: the log begins behind entry %llu, the keys file is at %llu: entries between are missing", file.c_str(),
      static_cast<unsigned long long>(recovered.base.index), static_cast<unsigned long long>(applied)));
}

}  // namespace leto::storage
