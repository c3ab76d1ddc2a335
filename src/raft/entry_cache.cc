#include "raft/entry_cache.h"

#include <algorithm>
#include <utility>

namespace leto::raft {

const Entry& EntryCache::at(size_t place) const {
  const size_t behind_first = place + skipped_;
  return chunks_[behind_first / kEntriesPerChunk].entries[behind_first % kEntriesPerChunk];
}

void EntryCache::push_back(Entry entry) {
  if (chunks_.empty() || chunks_.back().entries.size() == kEntriesPerChunk) {
    chunks_.emplace_back();
    chunks_.back().entries.reserve(kEntriesPerChunk);
  }
  Chunk& last = chunks_.back();
  ++size_;
  bytes_ += cost(entry);
  last.bytes += cost(entry);
  last.entries.push_back(std::move(entry));
}

void EntryCache::bury(Chunk chunk) {
  bytes_ -= chunk.bytes;
  dropped_.push_back(std::move(chunk));
}

void EntryCache::drop_front(size_t count) {
  size_ -= count;
  while (count > 0 && count >= in_first()) {
    count -= in_first();
    bury(std::move(chunks_.front()));
    chunks_.pop_front();
    skipped_ = 0;
  }
  for (; count > 0; --count) {
    Entry& entry = chunks_.front().entries[skipped_++];
    chunks_.front().bytes -= cost(entry);
    bytes_ -= cost(entry);
    entry = {};
  }
}

void EntryCache::drop_back(size_t count) {
  size_ -= count;
  while (count > 0) {
    Chunk& last = chunks_.back();
    const size_t in_last = last.entries.size() - (chunks_.size() == 1 ? skipped_ : 0);
    if (count >= in_last) {
      count -= in_last;
      bury(std::move(last));
      chunks_.pop_back();
      if (chunks_.empty()) skipped_ = 0;
      continue;
    }
    for (; count > 0; --count) {
      last.bytes -= cost(last.entries.back());
      bytes_ -= cost(last.entries.back());
      last.entries.pop_back();
    }
  }
}

void EntryCache::shrink(size_t bytes_max, size_t count_max) {
  count_max = std::min(count_max, size_);
  while (bytes_ > bytes_max && count_max > 0) {
    const bool whole = count_max >= in_first() && bytes_ - chunks_.front().bytes >= bytes_max;
    const size_t count = whole ? in_first() : 1;
    count_max -= count;
    drop_front(count);
  }
}

void EntryCache::free_some(size_t chunks_max) {
  for (; chunks_max > 0 && !dropped_.empty(); --chunks_max) dropped_.pop_front();
}

}  // namespace leto::raft
