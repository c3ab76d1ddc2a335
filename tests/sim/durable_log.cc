#include "tests/sim/durable_log.h"

#include "base/hash.h"

namespace leto::sim {

uint64_t hash_of(const raft::Entry& entry) {
  return base::hash64(*entry.payload, static_cast<uint64_t>(entry.kind) + 1);
}

void DurableLog::apply(const std::vector<storage::LogWrite>& writes) {
  for (const storage::LogWrite& write : writes) {
    if (write.hard_state) hard_state_ = *write.hard_state;
    if (write.truncate_from && *write.truncate_from <= entries_.size()) entries_.resize(*write.truncate_from - 1);
    for (const raft::Entry& entry : write.append) entries_.push_back(durable_entry(entry));
  }
}

}  // namespace leto::sim
