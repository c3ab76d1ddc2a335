#include "server/semantics_raiser.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace leto::server {

SemanticsRaiser::SemanticsRaiser(Replica& replica, const ReplicaParts& parts, raft::NodeId self,
                                 std::function<bool()> changes_wait)
    : replica_(replica),
      network_(parts.environment.network),
      self_(self),
      supported_(parts.semantics_supported),
      changes_wait_(std::move(changes_wait)) {
  network_.set_semantics_level(replica_.semantics_level());
}

uint16_t SemanticsRaiser::level_of_all() const {
  uint16_t level = supported_;
  for (const raft::Member& member : replica_.raft().configuration().members) {
    if (member.node == self_) continue;
    const Network::Abilities abilities = network_.abilities(member.node);
    level = std::min(level, abilities.known ? abilities.semantics : uint16_t{0});
  }
  return level;
}

void SemanticsRaiser::advance() {
  if (supported_ <= replica_.semantics_level() || proposed_ != 0) return;
  const raft::Raft& raft = replica_.raft();
  // What an earlier leader proposed may be in what is still to be applied.
  if (!raft.leads_and_committed_in_term() || raft.applied_index() < raft.commit_index() || changes_wait_()) return;
  const uint16_t level = level_of_all();
  if (level <= replica_.semantics_level() || !replica_.raise_semantics(level)) return;
  proposed_ = level;
  // From here on nobody comes in who could not go on behind that entry.
  network_.set_semantics_level(level);
  LETO_LOG(kNotice, "all %zu members support semantics level %u: raising it", raft.configuration().members.size(), level);
}

void SemanticsRaiser::leadership_lost() {
  proposed_ = 0;
  level_changed();
}

void SemanticsRaiser::level_changed() {
  if (proposed_ != 0 && replica_.semantics_level() < proposed_) return;
  proposed_ = 0;
  network_.set_semantics_level(replica_.semantics_level());
}

}  // namespace leto::server
