// What every machine must hold beside its keys at one applied index (I13): the configuration and the time, by the entries that
// were committed. Pure: refuses to know machines.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "keyspace/keyspace.h"
#include "raft/raft.h"

namespace leto::sim {

class ReplicatedState {
 public:
  // An entry that somebody has; known by index and term.
  void note(const raft::Entry& entry);
  // Is committed now. REQUIRES: it was noted, and all before it were committed.
  void commit(raft::EntryId id);
  raft::Index committed() const { return times_.size(); }
  // Null if no such entry was noted, or it is no configuration.
  const raft::Configuration* configuration(raft::EntryId id) const;
  // The latest committed one at or below `index`; null if there is none.
  const raft::Configuration* configuration_at(raft::Index index) const;
  // What is wrong with a state of `header`, which is about to be written or was received. Empty: nothing. REQUIRES: it is committed.
  std::string judge(const keyspace::StateHeader& header) const;

 private:
  struct Known {
    uint64_t time_ms = 0;
    bool is_configuration = false;
  };
  std::map<std::pair<raft::Index, raft::Term>, Known> known_;
  std::map<std::pair<raft::Index, raft::Term>, raft::Configuration> configurations_;
  std::vector<uint64_t> times_;                          // The highest stamp up to entry i + 1.
  std::map<raft::Index, raft::Term> committed_configurations_;
};

}  // namespace leto::sim
