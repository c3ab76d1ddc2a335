// When an entry is committed (sections 5.3 and 5.4.2; D5, D6).
#include <algorithm>
#include <array>
#include <cinttypes>
#include <functional>
#include <limits>

#include "base/assert.h"
#include "base/format.h"
#include "raft/state.h"

namespace leto::raft {

// D5: of the own log, too, only what is durable counts. D16: and of one that lost its tail nothing.
Index Raft::State::durable_at(NodeId node) const {
  if (node == self) return writes.durable_index();
  const Progress* peer = progress_of(node);
  return peer && !peer->lost_tail ? peer->match : 0;
}

// The highest index that a majority of the old or of the new voters has durably; no limit without such.
Index Raft::State::majority_has(bool incoming) const {
  std::array<Index, kMembersMax> has;
  size_t count = 0;
  for (const Member& member : configuration().members) {
    const bool is_counted = member.role == MemberRole::kVoter ||
                            member.role == (incoming ? MemberRole::kIncoming : MemberRole::kOutgoing);
    if (is_counted) has[count++] = durable_at(member.node);
  }
  if (count == 0) return std::numeric_limits<Index>::max();
  std::sort(has.begin(), has.begin() + count, std::greater<>());
  return has[count / 2];
}

void Raft::State::advance_commit() {
  if (!leads()) return;
  // D6: never beyond what this node may apply itself.
  const Index index = std::min({majority_has(false), majority_has(true), writes.durable_index()});
  if (index <= commit) return;
  // D5: an entry of an older term is committed by one of this term behind it, never by counting (Figure 8).
  if (log.id_at(index).term != term()) return;
  set_commit(index);
}

void Raft::State::set_commit(Index index) {
  LETO_ASSERT(index >= commit && index <= log.last().index,
              base::format("I6: commit %" PRIu64 " after %" PRIu64 ", last %" PRIu64, index, commit, log.last().index));
  if (index == commit) return;
  const Index before = commit;
  commit = index;
  const bool has_new_configuration = configurations.latest_index() > before && configurations.latest_index() <= index;
  configurations.forget_before(commit);
  if (!leads()) return;
  LETO_ASSERT(log.id_at(index).term == term(), base::format("D5: commit of an older term at %" PRIu64, index));
  LETO_ASSERT(index <= writes.durable_index(),
              base::format("D6: commit %" PRIu64 ", durable %" PRIu64, index, writes.durable_index()));
  release_uncommitted(before + 1, index);
  if (!has_new_configuration) return;
  drive_membership();
  leave_if_removed();
}

// Own entries stay cached until they are applied, so their sizes are known.
void Raft::State::release_uncommitted(Index from, Index to) {
  for (Index index = std::max(from, leading.term_start); index <= to; ++index) {
    const Entry* entry = log.cached(index);
    LETO_ASSERT(entry != nullptr, base::format("own entry %" PRIu64 " left the cache uncommitted", index));
    if (entry->kind == EntryKind::kCommands) leading.uncommitted_bytes -= entry->size();
  }
}

}  // namespace leto::raft
