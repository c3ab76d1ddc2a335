#include "raft/log.h"

#include <algorithm>
#include <cinttypes>

#include "base/assert.h"
#include "base/format.h"

namespace leto::raft {

Log::Log(const Recovered& recovered)
    : base_(recovered.base), last_(recovered.last), runs_(recovered.terms) {
  Index expected_first = base_.index + 1;
  Term term = base_.term;
  for (const TermRun& run : runs_) {
    LETO_ASSERT(run.first >= expected_first && run.term >= term && run.first <= last_.index,
                base::format("run of term %" PRIu64 " at %" PRIu64, run.term, run.first));
    expected_first = run.first + 1;
    term = run.term;
  }
  const bool is_empty = last_.index == base_.index;
  LETO_ASSERT(is_empty == runs_.empty() && (is_empty || runs_.front().first == base_.index + 1),
              base::format("base %" PRIu64 ", last %" PRIu64 ", %zu runs", base_.index, last_.index, runs_.size()));
  LETO_ASSERT(last_.term == term, base::format("last term %" PRIu64 ", last run %" PRIu64, last_.term, term));
}

EntryId Log::id_at(Index index) const {
  LETO_ASSERT(index >= base_.index && index <= last_.index,
              base::format("index %" PRIu64 " of (%" PRIu64 ", %" PRIu64 "]", index, base_.index, last_.index));
  if (index == base_.index) return base_;
  if (index >= runs_.back().first) return {.term = runs_.back().term, .index = index};
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                      [](Index wanted, const TermRun& run) { return wanted < run.first; });
  return {.term = std::prev(after)->term, .index = index};
}

bool Log::has(EntryId id) const {
  return id.index >= base_.index && id.index <= last_.index && id_at(id.index) == id;
}

EntryId Log::last_at_most(Index index, Term term) const {
  index = std::min(index, last_.index);
  for (size_t i = runs_.size(); i-- > 0 && index > base_.index;) {
    if (runs_[i].first > index) continue;
    if (runs_[i].term <= term) return {.term = runs_[i].term, .index = index};
    index = runs_[i].first - 1;
  }
  return base_;
}

void Log::append(Entry entry) {
  LETO_ASSERT(entry.id.index == last_.index + 1 && entry.id.term >= last_.term,
              base::format("entry %" PRIu64 "/%" PRIu64 " behind %" PRIu64 "/%" PRIu64, entry.id.term,
                           entry.id.index, last_.term, last_.index));
  if (runs_.empty() || runs_.back().term != entry.id.term)
    runs_.push_back({.first = entry.id.index, .term = entry.id.term});
  last_ = entry.id;
  cache_.push_back(std::move(entry));
}

void Log::truncate_from(Index index) {
  LETO_ASSERT(index > base_.index && index <= last_.index,
              base::format("truncating from %" PRIu64 " in (%" PRIu64 ", %" PRIu64 "]", index, base_.index,
                           last_.index));
  const EntryId new_last = id_at(index - 1);
  cache_.drop_back(std::min<size_t>(cache_.size(), last_.index + 1 - index));
  while (!runs_.empty() && runs_.back().first >= index) runs_.pop_back();
  last_ = new_last;
}

void Log::compact(Index through) {
  const EntryId new_base = id_at(through);
  if (through >= cache_first()) cache_.drop_front(std::min<size_t>(cache_.size(), through + 1 - cache_first()));
  if (through == last_.index) {
    runs_.clear();
  } else {
    while (runs_.size() > 1 && runs_[1].first <= through + 1) runs_.erase(runs_.begin());
    runs_.front().first = through + 1;
  }
  base_ = new_base;
}

void Log::reset(EntryId last) {
  base_ = last_ = last;
  runs_.clear();
  cache_.drop_back(cache_.size());
}

const Entry* Log::cached(Index index) const {
  if (index > last_.index || index < cache_first()) return nullptr;
  return &cache_.at(index - cache_first());
}

void Log::evict(Index keep_from, size_t bytes_max) {
  if (keep_from > cache_first()) cache_.shrink(bytes_max, keep_from - cache_first());
}

}  // namespace leto::raft
