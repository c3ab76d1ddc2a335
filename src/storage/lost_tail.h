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

// An error, which names `file`, if term and vote are older than the log: they are written with an entry of a new term at the
// latest.
inline base::Status check_term(const std::string& file, const raft::Recovered& recovered) {
  if (recovered.hard_state.term >= recovered.last.term) return {};
  return base::Status::error(base::format(
      "%s: damaged: its term is %llu, but entry %llu has term %llu: term and vote were lost", file.c_str(),
      static_cast<unsigned long long>(recovered.hard_state.term), static_cast<unsigned long long>(recovered.last.index),
      static_cast<unsigned long long>(recovered.last.term)));
}

// The term that the log gives entry `index`; 0 if it has neither that entry nor, as the last one dropped, its term.
inline raft::Term term_in(const raft::Recovered& recovered, raft::Index index) {
  if (index == recovered.base.index) return recovered.base.term;
  if (index < recovered.base.index || index > recovered.last.index) return 0;
  raft::Term term = recovered.base.term;
  for (const raft::TermRun& run : recovered.terms) {
    if (run.first <= index) term = run.term;
  }
  return term;
}

// An error, which names the keys file `file`, if not even that has all that the log has dropped, or if the entry that it is at
// is another one in the log: then it is of another cluster.
inline base::Status check_beginning(const std::string& file, const raft::Recovered& recovered, raft::EntryId applied) {
  using Number = unsigned long long;
  if (recovered.base.index > applied.index) {
    return base::Status::error(base::format(
        "%s: damaged: the log begins behind entry %llu, the keys file is at %llu: entries between are missing", file.c_str(),
        Number{recovered.base.index}, Number{applied.index}));
  }
  const raft::Term term = term_in(recovered, applied.index);
  if (term == 0 || term == applied.term) return {};
  return base::Status::error(base::format(
      "%s: damaged: it is at entry %llu of term %llu, which has term %llu in the log: it belongs to another log", file.c_str(),
      Number{applied.index}, Number{applied.term}, Number{term}));
}

}  // namespace leto::storage
