// The replica's part of snapshots, as far as the core needs one to be tested: the keys file is what was
// applied, its bytes a digest of that, sent in chunks that may be lost, doubled and overtaken.
#include <algorithm>
#include <cinttypes>

#include "base/crc32c.h"
#include "base/format.h"
#include "base/hash.h"
#include "raft/harness.h"

namespace leto::raft_test {

using base::format;

namespace {

constexpr uint64_t kAskAgainTicks = 4;
constexpr uint64_t kGiveUpTicks = 24;

std::string bytes_of(const Snapshot& snapshot) {
  uint64_t digest = 0;
  for (const Entry& entry : snapshot.entries)
    digest = base::hash64(*entry.payload, digest + entry.id.term * 1000003 + static_cast<uint64_t>(entry.kind));
  return format("a snapshot at %" PRIu64 "/%" PRIu64 " with digest %016" PRIx64, snapshot.last.term,
                snapshot.last.index, digest);
}

}  // namespace

void Cluster::compact(NodeId id, Index through) {
  Node& node = this->node(id);
  node.applied_durable = std::max(node.applied_durable, through);
  node.raft->compact(through);
  if (through > node.disk.base) {
    node.disk.base = through;
    checker_.on_compact(node);
  }
  pump(id);
}

// The sender -----------------------------------------------------------------------------------------------

void Cluster::start_snapshot(Node& node, NodeId peer) {
  // Its own keys were never written.
  if (node.applied_durable == 0) return node.raft->snapshot_failed(peer);
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->entries.assign(node.applied.begin(), node.applied.begin() + static_cast<ptrdiff_t>(node.applied_durable));
  snapshot->initial = node.initial;
  snapshot->last = snapshot->entries.back().id;
  snapshot->configuration =
      configuration_at({.entries = snapshot->entries, .initial = node.initial}, snapshot->last.index);
  snapshot->bytes = bytes_of(*snapshot);
  snapshots_[snapshot->bytes] = snapshot;
  checker_.coverage().note(Reached::kSnapshotStarted);
  note(format("%" PRIu64 " starts snapshot %" PRIu64 " at %" PRIu64 " for %" PRIu64, node.id, ++node.snapshots_made,
              snapshot->last.index, peer));
  node.sending[peer] = {.number = node.snapshots_made, .snapshot = std::move(snapshot), .silent_ticks = 0};
  send_chunk(node, peer, 0, 0);
}

void Cluster::send_chunk(Node& node, NodeId peer, uint64_t offset, size_t bytes) {
  const Sending& sending = node.sending.at(peer);
  const Snapshot& snapshot = *sending.snapshot;
  node.raft->send_snapshot(peer, {.snapshot = sending.number,
                                  .last = snapshot.last,
                                  .size = snapshot.bytes.size(),
                                  .checksum = base::crc32c(snapshot.bytes),
                                  .offset = offset,
                                  .cluster_time_ms = 0,
                                  .data = make_payload(snapshot.bytes.substr(offset, bytes))});
}

void Cluster::on_snapshot_message(Node& node, const Message& message) {
  if (const auto* chunk = std::get_if<raft::InstallSnapshot>(&message.body)) return on_chunk(node, message.from, *chunk);
  on_snapshot_answer(node, message.from, std::get<raft::InstallSnapshotReply>(message.body));
}

void Cluster::on_snapshot_answer(Node& node, NodeId peer, const raft::InstallSnapshotReply& reply) {
  const auto sending = node.sending.find(peer);
  if (sending == node.sending.end() || sending->second.number != reply.snapshot) return;
  sending->second.silent_ticks = 0;
  if (reply.answer == raft::SnapshotAnswer::kRefused) return fail_snapshot(node.id, peer);
  if (reply.answer == raft::SnapshotAnswer::kInstalled) {
    node.sending.erase(sending);
  } else if (reply.offset < sending->second.snapshot->bytes.size()) {
    send_chunk(node, peer, reply.offset, node.chunk_bytes);
  }
}

void Cluster::fail_snapshot(NodeId id, NodeId peer) {
  Node& node = this->node(id);
  checker_.coverage().note(Reached::kSnapshotGivenUp);
  note(format("%" PRIu64 " gives up the snapshot for %" PRIu64, id, peer));
  node.sending.erase(peer);
  node.raft->snapshot_failed(peer);
}

void Cluster::tick_snapshots(Node& node) {
  if (node.raft->role() != raft::Role::kLeader) node.sending.clear();
  for (const raft::PeerView& peer : node.raft->peers()) {
    const auto sending = node.sending.find(peer.node);
    if (sending == node.sending.end()) continue;
    if (!peer.needs_snapshot) {
      node.sending.erase(sending);
    } else if (++sending->second.silent_ticks > kGiveUpTicks) {
      fail_snapshot(node.id, peer.node);
    } else if (sending->second.silent_ticks % kAskAgainTicks == 0) {
      send_chunk(node, peer.node, 0, 0);
    }
  }
}

// The receiver ---------------------------------------------------------------------------------------------

void Cluster::on_chunk(Node& node, NodeId from, const raft::InstallSnapshot& chunk) {
  if (node.received || node.raft->installing()) return;
  if (!node.receiving || node.receiving->from != from || node.receiving->number != chunk.snapshot)
    node.receiving = Receiving{.from = from, .number = chunk.snapshot, .bytes = ""};
  if (chunk.offset == node.receiving->bytes.size()) node.receiving->bytes += *chunk.data;
  if (node.receiving->bytes.size() == chunk.size) return receive_whole(node, chunk);
  node.raft->answer_snapshot(from, {.snapshot = chunk.snapshot,
                                    .answer = raft::SnapshotAnswer::kNeeds,
                                    .offset = node.receiving->bytes.size(),
                                    .match = 0});
}

void Cluster::receive_whole(Node& node, const raft::InstallSnapshot& chunk) {
  const auto found = snapshots_.find(node.receiving->bytes);
  node.receiving.reset();
  if (found == snapshots_.end() || base::crc32c(found->first) != chunk.checksum)
    return note("VIOLATION the bytes received are no snapshot");
  node.keys_files[++node.generation] = found->second;
  node.received = raft::SnapshotInstall{
      .last = chunk.last, .configuration = found->second->configuration, .keys_generation = node.generation};
  if (!node.keys_are_manual) offer_snapshot(node);
}

void Cluster::offer_snapshot(Node& node) {
  if (!node.received) return;
  const bool is_taken = node.raft->install_snapshot(*node.received);
  if (!is_taken) {
    checker_.coverage().note(Reached::kSnapshotDiscarded);
    note(format("%" PRIu64 " discards the snapshot at %" PRIu64, node.id, node.received->last.index));
    node.keys_files.erase(node.received->keys_generation);
  }
  node.received.reset();
}

void Cluster::install(NodeId id) {
  offer_snapshot(node(id));
  pump(id);
}

// The switch: one atomic change of the disk (D9).
void Cluster::switch_keys(Node& node, const raft::SnapshotInstall& install) {
  const Snapshot& snapshot = *node.keys_files.at(install.keys_generation);
  if (!install.keeps_log) {
    node.disk.log = snapshot.entries;
    node.disk.base = snapshot.last.index;
    node.disk.initial = snapshot.initial;
  }
  node.lacks_keys = false;
  node.applied_durable = snapshot.last.index;
  node.switched = install.keys_generation;
}

void Cluster::swap_keys(Node& node) {
  const std::shared_ptr<const Snapshot> snapshot = node.keys_files.at(*node.switched);
  node.applied = snapshot->entries;
  node.switched.reset();
  note(format("%" PRIu64 " goes on from a snapshot at %" PRIu64, node.id, snapshot->last.index));
  node.raft->snapshot_loaded();
  checker_.on_swap(node, *snapshot);
}

void Cluster::load_keys(NodeId id) {
  if (node(id).switched) swap_keys(node(id));
  pump(id);
}

}  // namespace leto::raft_test
