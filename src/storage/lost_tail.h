// D16: tells whether raft.db lost what it had promised, from what both files say. Pure.
#pragma once

#include "raft/raft.h"
#include "storage/key_store.h"

namespace leto::storage {

// `applied`: StateHeader::applied_index. True: the node must neither vote nor acknowledge nor campaign
// under this identity.
inline bool lost_tail(const raft::Recovered& recovered, const Witness& witness, uint64_t applied) {
  return recovered.last.index < witness.index || recovered.hard_state.term < witness.term ||
         recovered.last.index < applied;
}

}  // namespace leto::storage
