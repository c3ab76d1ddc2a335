// What raft.db of one machine is known to hold for sure: kept from the writes that have returned, not from
// what the core believes. The invariants ask it. Refuses to know SQLite and roles.
#pragma once

#include <cstdint>
#include <vector>

#include "raft/raft.h"
#include "storage/log_store.h"

namespace leto::sim {

struct DurableEntry {
  raft::Term term = 0;
  uint64_t hash = 0;      // Of kind and payload.
  raft::EntryKind kind = raft::EntryKind::kNothing;
  bool operator==(const DurableEntry&) const = default;
};

uint64_t hash_of(const raft::Entry& entry);
inline DurableEntry durable_entry(const raft::Entry& entry) {
  return {.term = entry.id.term, .hash = hash_of(entry), .kind = entry.kind};
}

class DurableLog {
 public:
  void apply(const std::vector<storage::LogWrite>& writes);
  void clear() { *this = DurableLog(); }

  const raft::HardState& hard_state() const { return hard_state_; }
  void set_hard_state(const raft::HardState& hard_state) { hard_state_ = hard_state; }
  raft::EntryId base() const { return base_; }
  raft::Index last() const { return base_.index + entries_.size(); }
  // Null if there is none, or if it was compacted.
  const DurableEntry* find(raft::Index index) const {
    return index <= base_.index || index > last() ? nullptr : &entries_[index - base_.index - 1];
  }
  // Null entries up to the base are there, in a way: they are part of a snapshot.
  bool includes(raft::Index index) const { return index <= last(); }
  raft::Term term_at(raft::Index index) const;
  void begin_at(raft::EntryId base) { base_ = base; }
  // Nothing if it begins behind that already.
  void compact(raft::EntryId base);
  void append(const DurableEntry& entry) { entries_.push_back(entry); }
  // Which keys file it says to be current.
  void set_keys_generation(uint64_t generation) { keys_generation_ = generation; }
  bool operator==(const DurableLog&) const = default;

 private:
  raft::HardState hard_state_;
  raft::EntryId base_;
  uint64_t keys_generation_ = 1;
  std::vector<DurableEntry> entries_;   // Behind the base.
};

}  // namespace leto::sim
