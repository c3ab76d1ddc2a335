// The newest entries of the log, in memory. However many are dropped at once, it costs a step for each chunk of them: they are
// freed later, in bounded steps. Refuses to know which may be dropped.
//
// Invariants: all chunks but the last are full; of the first one `skipped_` entries are dropped already.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "raft/types.h"

namespace leto::raft {

class EntryCache {
 public:
  static constexpr size_t kEntriesPerChunk = 256;
  // What an entry takes beside its payload: itself, the payload's string and its control block, as malloc rounds them.
  static constexpr size_t kOverheadBytes = sizeof(Entry) + sizeof(std::string) + 32;

  size_t size() const { return size_; }
  // Payloads, and kOverheadBytes for each.
  size_t bytes() const { return bytes_; }
  // REQUIRES: place < size().
  const Entry& at(size_t place) const;
  void push_back(Entry entry);
  // REQUIRE: count <= size().
  void drop_front(size_t count);
  void drop_back(size_t count);
  // Drops from the front until at most `bytes_max` are left, `count_max` entries at most.
  void shrink(size_t bytes_max, size_t count_max);

  // Frees dropped entries, of so many chunks at most.
  void free_some(size_t chunks_max);
  // Chunks that wait for that.
  size_t waiting() const { return dropped_.size(); }

 private:
  struct Chunk {
    std::vector<Entry> entries;
    size_t bytes = 0;   // Of those that are not dropped.
  };

  static size_t cost(const Entry& entry) { return entry.size() + kOverheadBytes; }
  size_t in_first() const { return chunks_.front().entries.size() - skipped_; }
  void bury(Chunk chunk);

  std::deque<Chunk> chunks_;
  std::deque<Chunk> dropped_;
  size_t skipped_ = 0;
  size_t size_ = 0;
  size_t bytes_ = 0;
};

}  // namespace leto::raft
