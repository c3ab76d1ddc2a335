#include "tests/sim/durable_log.h"

#include "base/hash.h"

namespace leto::sim {

uint64_t hash_of(const raft::Entry& entry) {
  return base::hash64(*entry.payload, static_cast<uint64_t>(entry.kind) + 1);
}

raft::Term DurableLog::term_at(raft::Index index) const {
  const DurableEntry* entry = find(index);
  if (entry != nullptr) return entry->term;
  return index == base_.index ? base_.term : 0;
}

void DurableLog::compact(raft::EntryId base) {
  if (base.index <= base_.index) return;
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(base.index - base_.index));
  base_ = base;
}

void DurableLog::apply(const std::vector<storage::LogWrite>& writes) {
  for (const storage::LogWrite& write : writes) {
    if (write.hard_state) hard_state_ = *write.hard_state;
    if (write.install) keys_generation_ = write.install->keys_generation;
    if (write.install && !write.install->keeps_log) {
      base_ = write.install->last;
      entries_.clear();
    }
    if (write.truncate_from && *write.truncate_from <= last()) entries_.resize(*write.truncate_from - base_.index - 1);
    for (const raft::Entry& entry : write.append) entries_.push_back(durable_entry(entry));
  }
}

}  // namespace leto::sim
