// Node: how it ends. Leadership is handed over, the keys are flushed, then the owner may close everything. Or it is removed
// from its cluster, and serves nobody any more.
#include <utility>

#include "base/log.h"
#include "server/flusher.h"
#include "server/forwarder.h"
#include "server/membership.h"
#include "server/node.h"
#include "server/replica.h"

namespace leto::server {

std::string Node::removal() const { return removed() ? "CLUSTERDOWN this node was removed from its cluster" : ""; }

// What it still has of its clients would wait in vain for a read index, or for a leader to take it. What the leader has
// already taken is still answered.
void Node::end_service_if_removed() {
  replica_->cut_off(removal());
  forwarder_->cut_off(removal());
}

void Node::begin_shutdown(std::function<void()> done) {
  if (shutdown_ != Shutdown::kNo) return;
  shutdown_ = Shutdown::kTransferring;
  shutdown_done_ = std::move(done);
  shutdown_deadline_us_ =
      environment_.clock.monotonic_us() + options_.shutdown_timeout_seconds * 1000000;
  const raft::Raft& raft = replica_->raft();
  if (raft.role() == raft::Role::kLeader && raft.configuration().voter_count() > 1) {
    LETO_LOG(kNotice, "shutting down: handing leadership over");
    membership_->hand_over([](const std::string& error) {
      if (!error.empty()) LETO_LOG(kWarning, "shutting down: leadership was not handed over: %s", error.c_str());
    });
  }
  // What is written before that is answered; what other nodes forward meanwhile goes to who leads then.
  if (!membership_->handing_over()) refuse_writes_to_end();
  environment_.waker.wake();
}

void Node::refuse_writes_to_end() { replica_->refuse_writes("CLUSTERDOWN this node is shutting down"); }

bool Node::shutting_down() const { return shutdown_ != Shutdown::kNo; }

void Node::advance_shutdown() {
  if (shutdown_ == Shutdown::kDone) return;
  if (environment_.clock.monotonic_us() >= shutdown_deadline_us_) {
    LETO_LOG(kWarning, "shutting down: shutdown-timeout has passed; the log has what was acknowledged");
    finish_shutdown();
    return;
  }
  if (shutdown_ != Shutdown::kTransferring || membership_->handing_over()) return;
  refuse_writes_to_end();
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
