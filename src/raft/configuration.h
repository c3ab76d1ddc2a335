// The configurations that the log contains, by index: the newest is in force, truncation pops (section 6,
// and scenario 8). There is no other "current configuration" anywhere. Refuses to know who leads.
#pragma once

#include <vector>

#include "raft/raft.h"

namespace leto::raft {

// Bytes of one member's id or address. A longer one is refused, from a peer and from a caller.
inline constexpr size_t kMemberTextMax = 512;

class ConfigurationHistory {
 public:
  explicit ConfigurationHistory(std::vector<ConfigurationAt> history);

  // In force; without members if the log has none yet.
  const Configuration& latest() const;
  // Where it is; 0 if there is none.
  Index latest_index() const { return history_.empty() ? 0 : history_.back().index; }
  // In force at `index`, which must not lie before the index last given to forget_before().
  const Configuration& at(Index index) const;
  // Whether one that is in force at `index`, or comes behind it, has the node for a voter. REQUIRES: of `index` the same.
  bool has_voter_since(Index index, NodeId node) const;
  // The same, of any voter but that node.
  bool has_other_voter_since(Index index, NodeId node) const;

  void append(Index index, Configuration configuration);
  void truncate_from(Index index);
  // Drops what is older than the configuration in force at `committed`.
  void forget_before(Index committed);
  // Nothing else is known but the one in force at a snapshot (scenario 6).
  void reset(ConfigurationAt in_force);

 private:
  // The first of history_ that is in force at `index`, or comes behind it.
  std::vector<ConfigurationAt>::const_iterator since(Index index) const;

  std::vector<ConfigurationAt> history_;
};

}  // namespace leto::raft
