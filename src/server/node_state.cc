// Node: where its keyspace comes from: the keys file at start, and later a snapshot of the leader's.
#include <utility>

#include "base/log.h"
#include "server/flusher.h"
#include "server/node.h"
#include "server/replica.h"
#include "server/snapshot_receiver.h"
#include "server/snapshot_sender.h"

namespace leto::server {

namespace {

constexpr uint64_t kSaysAfterUs = 60000000;

}  // namespace

// Until a snapshot brings them. As while they are loaded, but the core knows of it: it asks for the snapshot.
void Node::wait_for_keys() {
  loading_ = true;
  keys_asked_us_ = environment_.clock.monotonic_us();
  flusher_->hold(true);
  LETO_LOG(kWarning, "%s has lost its keys, not its log: it votes and appends on, and serves again once a leader has sent it a "
           "snapshot", identity_.id.c_str());
}

// Now and then, with what it depends on.
void Node::say_if_keys_are_late(uint64_t now_us) {
  const raft::Raft& raft = replica_->raft();
  const bool is_coming = snapshot_receiver_->receiving() || raft.installing();
  if (!raft.lacks_state() || is_coming || now_us - keys_asked_us_ < kSaysAfterUs) return;
  keys_asked_us_ = now_us;
  const raft::Member* leader = raft.configuration().find(raft.leader());
  const std::string who = leader != nullptr ? leader->id + " leads" : "nobody leads";
  LETO_LOG(kWarning, "keys: lost here, and no snapshot has come for a minute: %s", who.c_str());
}

// The node votes, appends and follows meanwhile; nothing is applied, flushed or served.
void Node::begin_loading() {
  loading_ = true;
  replica_->raft().hold_apply(true);
  flusher_->hold(true);
  environment_.keys_disk.load([this](base::Result<LoadedKeys> result) { loaded(std::move(result)); });
}

void Node::loaded(base::Result<LoadedKeys> result) {
  if (!result.is_ok()) return on_unusable(result.status().text());
  loading_ = false;
  replica_->adopt_state(std::move(result.value()));
  replica_->raft().hold_apply(false);
  flusher_->hold(false);
  LETO_LOG(kNotice, "keys: %llu loaded, as of entry %llu", static_cast<unsigned long long>(keyspace_.size()),
           static_cast<unsigned long long>(replica_->raft().applied_index()));
  environment_.waker.wake();
}

// What is sent is what was flushed. Whose log begins behind that asks again in a moment.
void Node::want_snapshot(raft::NodeId peer) {
  raft::Index least = 0;
  for (const raft::PeerView& view : replica_->raft().peers()) {
    if (view.node == peer) least = view.snapshot_min;
  }
  if (flusher_->flushed_index() >= least) return snapshot_sender_->want(peer, least);
  replica_->raft().snapshot_failed(peer);
  flusher_->flush([](const base::Status&) {});
}

void Node::on_snapshot_message(const raft::Message& message) {
  if (std::holds_alternative<raft::InstallSnapshotReply>(message.body)) return snapshot_sender_->on_answer(message);
  // What it is for is not known before what is here was loaded; the sender asks again.
  const bool may_come = !loading_ || replica_->raft().lacks_state();
  if (may_come && keys_file_switch_ == Switch::kNone) snapshot_receiver_->on_chunk(message);
}

// raft.db says already which file is current; until the store has it open nothing is flushed.
void Node::switch_keys_file_if_due() {
  if (keys_file_switch_ != Switch::kDue || environment_.keys_disk.busy()) return;
  keys_file_switch_ = Switch::kUnderWay;
  environment_.keys_disk.switch_to(identity_.keys_generation, [this](const base::Status& status) {
    if (!status.is_ok()) return on_unusable(status.text());
    keys_file_switch_ = Switch::kNone;
    flusher_->hold(false);
    environment_.waker.wake();
  });
}

}  // namespace leto::server
