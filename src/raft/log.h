// The log as the core sees it: where it begins and ends, the term of every entry (as runs), and the
// newest entries themselves within a bounded cache. It refuses to know what is durable (writes.h), what
// is committed, and how older entries are read back (Output::loads).
//
// Invariants: runs ascend in index and term; the cache is the consecutive tail [cache_first, last].
#pragma once

#include <vector>

#include "raft/entry_cache.h"
#include "raft/raft.h"

namespace leto::raft {

class Log {
 public:
  explicit Log(const Recovered& recovered);

  EntryId base() const { return base_; }
  EntryId last() const { return last_; }
  Index first_index() const { return base_.index + 1; }
  Index cache_first() const { return last_.index + 1 - cache_.size(); }
  size_t cache_bytes() const { return cache_.bytes(); }   // With what each entry takes beside its payload.

  // REQUIRES: base().index <= index <= last().index.
  EntryId id_at(Index index) const;
  // True if the log has exactly this entry, or it is the base.
  bool has(EntryId id) const;
  // The last entry at or before `index` whose term is at most `term`; the base if there is none. It is the
  // conflict hint of the thesis, section 5.3: nothing behind it can agree with a log that has (term, index).
  EntryId last_at_most(Index index, Term term) const;

  // REQUIRES: entry.id.index == last().index + 1 and its term is not below last().term.
  void append(Entry entry);
  // REQUIRES: base().index < index <= last().index.
  void truncate_from(Index index);

  // Entries up to `through` are forgotten: it becomes the base.
  // REQUIRES: base().index <= through <= last().index.
  void compact(Index through);
  // Nothing is left but `last`, as the base.
  void reset(EntryId last);

  // The entry if it is in memory, else null. Valid until the log changes.
  const Entry* cached(Index index) const;
  // Drops the oldest cached entries before `keep_from` until at most `bytes_max` bytes are cached.
  void evict(Index keep_from, size_t bytes_max);
  // Frees a bounded part of the cached entries that were dropped; call it now and then.
  void free_some() { cache_.free_some(kChunksFreedAtOnce); }

 private:
  static constexpr size_t kChunksFreedAtOnce = 4;

  EntryId base_;
  EntryId last_;
  std::vector<TermRun> runs_;
  EntryCache cache_;
};

}  // namespace leto::raft
