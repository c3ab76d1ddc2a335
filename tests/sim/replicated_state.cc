#include "tests/sim/replicated_state.h"

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "command/entry.h"

namespace leto::sim {

void ReplicatedState::note(const raft::Entry& entry) {
  const auto [known, is_new] = known_.emplace(std::pair{entry.id.index, entry.id.term}, Known{});
  if (!is_new) return;
  if (entry.kind == raft::EntryKind::kConfiguration) {
    known->second.is_configuration = true;
    raft::Configuration& configuration = configurations_[known->first];
    LETO_ASSERT(raft::decode_configuration(*entry.payload, configuration), "a configuration cannot be read");
  }
  if (entry.kind != raft::EntryKind::kCommands) return;
  base::Result<command::EntryReader> opened = command::EntryReader::open(*entry.payload, UINT16_MAX);
  if (opened.is_ok()) known->second.time_ms = opened.value().header().time_ms;
}

void ReplicatedState::commit(raft::EntryId id) {
  const Known& known = known_.at({id.index, id.term});
  times_.push_back(std::max(known.time_ms, times_.empty() ? 0 : times_.back()));
  if (known.is_configuration) committed_configurations_[id.index] = id.term;
}

const raft::Configuration* ReplicatedState::configuration(raft::EntryId id) const {
  const auto found = configurations_.find({id.index, id.term});
  return found == configurations_.end() ? nullptr : &found->second;
}

const raft::Configuration* ReplicatedState::configuration_at(raft::Index index) const {
  const auto behind = committed_configurations_.upper_bound(index);
  if (behind == committed_configurations_.begin()) return nullptr;
  const auto& [at, term] = *std::prev(behind);
  return configuration({.term = term, .index = at});
}

// The leader's own stamps may be ahead of what it has applied; nobody's may be behind.
std::string ReplicatedState::judge(const keyspace::StateHeader& header) const {
  using Number = unsigned long long;
  const raft::Index applied = header.applied_index;
  if (applied == 0) return "";
  if (header.cluster_time_ms < times_[applied - 1]) {
    return base::format("the time at applied %llu is %llu, an entry before has %llu", Number{applied},
                        Number{header.cluster_time_ms}, Number{times_[applied - 1]});
  }
  const raft::Configuration* expected = configuration_at(applied);
  if (expected == nullptr || header.configuration == raft::encode_configuration(*expected)) return "";
  return base::format("the configuration at applied %llu is that of entry %llu, which is not the last one", Number{applied},
                      Number{header.configuration_index});
}

}  // namespace leto::sim
