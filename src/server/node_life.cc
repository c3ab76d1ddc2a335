// Node: how it ends. Leadership is handed over, the keys are flushed, then the owner may close everything.
#include <utility>

#include "base/log.h"
#include "server/flusher.h"
#include "server/handover.h"
#include "server/node.h"
#include "server/replica.h"

namespace leto::server {

void Node::begin_shutdown(std::function<void()> done) {
  if (shutdown_ != Shutdown::kNo) return;
  shutdown_ = Shutdown::kTransferring;
  shutdown_done_ = std::move(done);
  shutdown_deadline_us_ =
      environment_.clock.monotonic_us() + options_.shutdown_timeout_seconds * 1000000;
  replica_->refuse_writes("CLUSTERDOWN this node is shutting down");
  const raft::NodeId successor = best_successor(replica_->raft(), identity_.node, options_.election_timeout_ms / kTickMs);
  const bool leads = replica_->raft().role() == raft::Role::kLeader;
  if (leads && successor != raft::kNobody) {
    LETO_LOG(kNotice, "shutting down: handing leadership over");
    const raft::TransferResult result = replica_->raft().transfer(successor);
    if (result != raft::TransferResult::kAccepted) {
      LETO_LOG(kWarning, "shutting down: nobody can take leadership over now");
    }
  }
  environment_.waker.wake();
}

bool Node::shutting_down() const { return shutdown_ != Shutdown::kNo; }

void Node::advance_shutdown() {
  if (shutdown_ == Shutdown::kDone) return;
  if (environment_.clock.monotonic_us() >= shutdown_deadline_us_) {
    LETO_LOG(kWarning, "shutting down: shutdown-timeout has passed; the log has what was acknowledged");
    finish_shutdown();
    return;
  }
  if (shutdown_ != Shutdown::kTransferring) return;
  const raft::Raft& raft = replica_->raft();
  const bool hands_over =
      raft.role() == raft::Role::kLeader && raft.transferring_to() != raft::kNobody;
  if (hands_over) return;
  shutdown_ = Shutdown::kFlushing;
  if (loading_ || !cannot_apply_.empty()) return finish_shutdown();
  flusher_->flush([this](const base::Status& status) {
    if (!status.is_ok()) {
      LETO_LOG(kWarning, "shutting down: the keys file was not written: %s", status.text().c_str());
    }
    finish_shutdown();
  });
}

void Node::finish_shutdown() {
  if (shutdown_ == Shutdown::kDone) return;
  shutdown_ = Shutdown::kDone;
  shutdown_done_();
}

}  // namespace leto::server
