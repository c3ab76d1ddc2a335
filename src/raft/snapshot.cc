// Snapshots and compaction (section 7; D9, D10): which peers need one, what a follower makes of a chunk, the
// switch to a snapshot that was received, and forgetting log. The bytes are the caller's: it copies the keys
// file, sends it in chunks, receives and verifies it. Here is only what a chunk or an answer means for the log.
//
// Invariants: a peer that the log does not reach is sent heartbeats and chunks, no appends; a node that switched to a
// snapshot hands nothing out, leads nothing and tells nobody of it until the new keyspace was swapped in; one that has lost its
// state hands nothing out, and leads only until another one can; nothing that was acknowledged is dropped for a snapshot.
#include <algorithm>
#include <cinttypes>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "raft/state.h"

namespace leto::raft {

bool Raft::State::is_sane_snapshot(const Message& message) const {
  const InstallSnapshot& chunk = std::get<InstallSnapshot>(message.body);
  if (!chunk.data || chunk.data->size() > kSnapshotChunkBytesMax) return false;
  if (chunk.offset > chunk.size || chunk.data->size() > chunk.size - chunk.offset) return false;
  return chunk.last.index > 0 && chunk.last.index < kIndexEnd && chunk.last.term <= message.term;
}

// --- The leader ------------------------------------------------------------------------------------------

bool Raft::State::waits_for_snapshot(const Progress& peer) const { return peer.next < log.first_index(); }

bool Raft::State::needs_snapshot(const Progress& peer) const { return peer.lacks_state || waits_for_snapshot(peer); }

// A copy for a peer that does not answer would be made in vain.
bool Raft::State::is_to_be_named(const Progress& peer) const {
  return !lacks_state && needs_snapshot(peer) && !peer.snapshot_named && !peer.awaits_contact &&
         peer.answers_lately(options.election_ticks) && now >= peer.snapshot_retry_at;
}

void Raft::State::name_snapshot_needs() {
  for (Progress& peer : leading.peers) {
    if (!is_to_be_named(peer)) continue;
    if (waits_for_snapshot(peer)) peer.forget_in_flight();
    peer.snapshot_named = true;
    peer.snapshot = 0;
    // Not with every attempt that fails.
    if (peer.snapshot_retry_at == 0 && peer.lacks_state) {
      LETO_LOG(kNotice, "raft: %s has its log, but its keys are lost: it needs a snapshot", name_of(peer.node).c_str());
    } else if (peer.snapshot_retry_at == 0) {
      LETO_LOG(kNotice, "raft: %s needs log from %" PRIu64 " on, the log begins at %" PRIu64 ": it needs a snapshot",
               name_of(peer.node).c_str(), peer.next, log.first_index());
    }
    output.start_snapshots.push_back(peer.node);
  }
}

// After each acknowledgement, by log or by snapshot.
void Raft::State::note_snapshot_progress(Progress& peer) const {
  if (peer.lacks_state || peer.match < log.base().index) return;
  peer.snapshot_named = false;
  peer.snapshot_retry_at = peer.snapshot = 0;
}

void Raft::State::send_snapshot(NodeId node, InstallSnapshot chunk) {
  LETO_ASSERT(chunk.data && chunk.data->size() <= kSnapshotChunkBytesMax && chunk.last.index <= applied,
              base::format("a chunk of a snapshot at %" PRIu64 ", applied %" PRIu64, chunk.last.index, applied));
  Progress* peer = leads() ? progress_of(node) : nullptr;
  if (!peer || !needs_snapshot(*peer)) return;
  peer->snapshot = chunk.snapshot;
  send(to(node, std::move(chunk)));
}

void Raft::State::set_snapshot_failed(NodeId node) {
  Progress* peer = leads() ? progress_of(node) : nullptr;
  if (!peer || !needs_snapshot(*peer)) return;
  peer->snapshot_named = false;
  peer->snapshot_retry_at = now + kSnapshotRetryHeartbeats * options.heartbeat_ticks;
}

void Raft::State::on_snapshot_reply(const Message& message) {
  const InstallSnapshotReply& reply = std::get<InstallSnapshotReply>(message.body);
  Progress* peer = hear_peer(message, reply.match);
  if (!peer) return;
  if (reply.answer == SnapshotAnswer::kNeeds && reply.snapshot == 0) return on_lacks_state(*peer, reply.match);
  output.snapshot_messages.push_back(message);
  if (reply.answer != SnapshotAnswer::kInstalled) return;
  const bool ends_stream = peer->snapshot != 0 && peer->snapshot == reply.snapshot;
  const bool has_state_again = std::exchange(peer->lacks_state, false);
  // The log went on past what it installed: the stream did its work, and another is needed.
  if (has_state_again || (ends_stream && reply.match < log.base().index)) peer->snapshot_named = false;
  if (reply.match <= peer->match) return;
  peer->acknowledged(reply.match);
  note_snapshot_progress(*peer);
  // Last, as a commit may end the leadership, and `peer` with it.
  advance_commit();
}

// Said again with each heartbeat until a snapshot is there. One that comes late makes a copy in vain, which is answered at once.
void Raft::State::on_lacks_state(Progress& peer, Index snapshot_min) {
  if (peer.lacks_state) return;
  peer.lacks_state = true;
  peer.snapshot_min = snapshot_min;
  peer.snapshot_named = false;
  peer.snapshot_retry_at = peer.snapshot = 0;
}

// --- The follower ----------------------------------------------------------------------------------------

// Of snapshot 0, which is nobody's.
void Raft::State::ask_for_state(const Message& message) {
  const bool is_heartbeat = std::get<AppendEntries>(message.body).entries.empty();
  if (!lacks_state || installing || !is_heartbeat) return;
  send(to(message.from, InstallSnapshotReply{.snapshot = 0, .answer = SnapshotAnswer::kNeeds, .offset = 0, .match = log.base().index}));
}

bool Raft::State::has_what_it_holds(const InstallSnapshot& chunk) const {
  return !lacks_state && (chunk.last.index <= commit || log.has(chunk.last));
}

void Raft::State::on_install_snapshot(const Message& message) {
  if (!hear_leader(message)) return;
  if (lost_tail) return drop(message, "D16: the tail of the log was lost, nothing is taken");
  const InstallSnapshot& chunk = std::get<InstallSnapshot>(message.body);
  const bool is_known = chunk.last.index <= commit && chunk.last.index >= log.base().index;
  if (is_known && log.id_at(chunk.last.index) != chunk.last) return drop(message, "it contradicts a committed entry");
  if (has_what_it_holds(chunk)) return answer_installed(message);
  // What this log has dropped since could not be applied again.
  if (chunk.last.index < log.base().index) {
    return answer_snapshot(message.from, {.snapshot = chunk.snapshot, .answer = SnapshotAnswer::kRefused, .offset = 0, .match = 0});
  }
  received_snapshot = {.from = message.from, .snapshot = chunk.snapshot, .last = chunk.last};
  output.snapshot_messages.push_back(message);
}

// D9: what the snapshot holds is here already. The log behind it is kept.
void Raft::State::answer_installed(const Message& message) {
  if (installing) return drop(message, "a snapshot is being installed");
  const InstallSnapshot& chunk = std::get<InstallSnapshot>(message.body);
  set_commit(std::max(commit, chunk.last.index));
  const Index match = std::max(chunk.last.index, std::min(commit, writes.durable_index()));
  Message reply = to(message.from, InstallSnapshotReply{.snapshot = chunk.snapshot,
                                                        .answer = SnapshotAnswer::kInstalled,
                                                        .offset = chunk.size,
                                                        .match = match});
  const bool is_durable = match <= writes.durable_index();
  if (is_durable) {
    send(std::move(reply));
  } else {
    send_when_durable(std::move(reply));
  }
}

void Raft::State::answer_snapshot(NodeId node, InstallSnapshotReply reply) {
  LETO_ASSERT(reply.answer != SnapshotAnswer::kInstalled ||
                  (!installing && reply.match <= applied && reply.match <= writes.durable_index()),
              base::format("D9: installed %" PRIu64 ", applied %" PRIu64 ", durable %" PRIu64, reply.match, applied,
                           writes.durable_index()));
  if (leads() || lost_tail || node != leader) return;
  send(to(node, reply));
}

bool Raft::State::is_installable(const SnapshotInstall& install) const {
  if (leads() || lost_tail || installing) return false;
  // Whose state is lost goes on from where its log begins, or from later.
  const bool is_of_use = lacks_state && log.has(install.last);
  if (install.last.index <= commit && !is_of_use) return false;
  LETO_ASSERT(install.last.term <= term() && install.configuration.index <= install.last.index,
              base::format("a snapshot at %" PRIu64 "/%" PRIu64 " with a configuration at %" PRIu64 " in term %" PRIu64,
                           install.last.term, install.last.index, install.configuration.index, term()));
  return true;
}

// The commit index is raised at once, as everything in a snapshot is committed.
bool Raft::State::install_snapshot(SnapshotInstall install) {
  if (!is_installable(install)) return false;
  if (log.has(install.last) && !lacks_state) {
    set_commit(install.last.index);
    return false;
  }
  if (role != Role::kFollower) become_follower(term(), kNobody, "installs a snapshot");
  LETO_LOG(kNotice, "raft: switches to a snapshot at %" PRIu64 "/%" PRIu64 "; its log ended at %" PRIu64,
           install.last.term, install.last.index, log.last().index);
  installing = install.last;
  loaded_for_apply.clear();
  install.keeps_log = log.has(install.last);
  if (install.keeps_log) {
    set_commit(std::max(commit, install.last.index));
    writes.install(std::move(install), 0);
  } else {
    switch_log(std::move(install));
  }
  return true;
}

// What of the old log is known to be a part of the snapshot, and may still be acknowledged, is what was committed or agrees
// with the log of this term's leader.
void Raft::State::switch_log(SnapshotInstall install) {
  const Index agreed_now = agreed.term == term() ? agreed.index : 0;
  const Index survives = std::min(std::max(commit, agreed_now), install.last.index - 1);
  log.reset(install.last);
  configurations.reset(install.configuration);
  commit = install.last.index;
  writes.install(std::move(install), survives);
}

void Raft::State::snapshot_loaded() {
  LETO_ASSERT(installing.has_value(), "a snapshot was loaded that was not being installed");
  LETO_ASSERT(writes.durable_index() >= installing->index,
              base::format("D9: swapped in at %" PRIu64 ", durable %" PRIu64, installing->index, writes.durable_index()));
  applied = handed_out = installing->index;
  lacks_state = false;
  const bool is_of_leader = received_snapshot.from == leader && received_snapshot.last == *installing;
  installing.reset();
  LETO_LOG(kNotice, "raft: goes on from a snapshot at %" PRIu64, applied);
  if (leader == kNobody || lost_tail) return;
  send(to(leader, InstallSnapshotReply{.snapshot = is_of_leader ? received_snapshot.snapshot : 0,
                                       .answer = SnapshotAnswer::kInstalled,
                                       .offset = 0,
                                       .match = applied}));
}

// --- Compaction ------------------------------------------------------------------------------------------

// That the key tables are durable at `through` is the caller's to assert (D10).
void Raft::State::compact(Index through) {
  LETO_ASSERT(through <= applied && !installing,
              base::format("D10: compaction through %" PRIu64 ", applied %" PRIu64, through, applied));
  if (through <= log.base().index) return;
  log.compact(through);
}

}  // namespace leto::raft
