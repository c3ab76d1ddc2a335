// Node: how it ends. Leadership is handed over, the keys are flushed, then the owner may close everything. Or it is removed
// from its cluster, and serves nobody any more.
#include <utility>

#include "base/log.h"
#include "server/flusher.h"
#include "server/forwarder.h"
#include "server/handover.h"
#include "server/membership.h"
#include "server/node.h"
#include "server/replica.h"
#include "server/tick.h"

namespace leto::server {

namespace {

constexpr const char* kShuttingDown = "CLUSTERDOWN this node is shutting down";
// So long clients that were served to the end are refused: else what they send just then would be lost with the connection, and
// they could not know that it did not happen.
constexpr uint64_t kRefusesUs = 50000;

}  // namespace

// --- Removal ---------------------------------------------------------------------------------------------

std::string Node::removal() const { return removed() ? "CLUSTERDOWN this node was removed from its cluster" : ""; }

std::string Node::end_of_service() const {
  if (std::string why = removal(); !why.empty()) return why;
  return shutdown_ >= Shutdown::kEnding ? kShuttingDown : "";
}

// What the leader has already taken is still answered.
void Node::refuse_what_waits_at_the_end() {
  const std::string why = end_of_service();
  replica_->cut_off(why);
  forwarder_->cut_off(why);
}

void Node::forward_when_served(const std::vector<std::string>& arguments, std::function<void(std::string error)> done) {
  Farewell farewell{.arguments = arguments, .done = std::move(done), .before = {}, .begun_us = environment_.clock.monotonic_us()};
  for (const auto& [id, session] : sessions_) {
    Session::Sequence end = session->front_sequence();
    // Behind what is answered by its ticket nothing is waited for: it may wait for this command.
    while (session->find(end) != nullptr && session->find(end)->state != RequestState::kDeferred) ++end;
    if (end > session->front_sequence()) farewell.before.push_back({.session = session, .sequence = end - 1});
  }
  farewells_.push_back(std::move(farewell));
  advance_farewells();
}

// For as long as an election takes at least: it is not waited for.
bool Node::fetches_nothing(const Session& session, uint64_t since_us) const {
  const uint64_t waits_us = environment_.clock.monotonic_us() - session.waits_since_us(since_us);
  return session.waits_for_client() && waits_us >= options_.election_timeout_ms * 1000;
}

void Node::advance_farewells() {
  const uint64_t now_us = environment_.clock.monotonic_us();
  for (Farewell& farewell : std::exchange(farewells_, {})) {
    // Not for long for who fetches slowly: by then it was said that it may happen yet.
    if (now_us - farewell.begun_us >= options_.request_timeout_ms * 1000) farewell.before.clear();
    std::erase_if(farewell.before, [&](const Waiter& last) {
      return last.session->closed() || last.session->front_sequence() > last.sequence || fetches_nothing(*last.session, farewell.begun_us);
    });
    if (farewell.before.empty()) {
      forwarder_->command(farewell.arguments, std::move(farewell.done));
    } else {
      farewells_.push_back(std::move(farewell));
    }
  }
}

// --- Shutdown --------------------------------------------------------------------------------------------

void Node::begin_shutdown(std::function<void()> done) {
  if (shutdown_ != Shutdown::kNo) return;
  shutdown_ = Shutdown::kAwaitsHandover;
  shutdown_done_ = std::move(done);
  shutdown_deadline_us_ =
      environment_.clock.monotonic_us() + options_.shutdown_timeout_seconds * 1000000;
  hand_over_to_end();
  environment_.waker.wake();
}

// One that is under way for another reason comes first: perhaps this node does not lead any more then.
void Node::hand_over_to_end() {
  if (membership_->handing_over()) return;
  shutdown_ = Shutdown::kTransferring;
  const raft::Raft& raft = replica_->raft();
  if (raft.role() == raft::Role::kLeader && raft.configuration().voter_count() > 1) {
    const raft::NodeId to =
        best_successor(raft, identity_.node, options_.election_timeout_ms / kTickMs, asked_to_lead_);
    // Nobody at all: that is said, once.
    if (to != raft::kNobody || asked_to_lead_.empty()) ask_to_lead_at_the_end(to);
  }
  // What is written before that is answered; what comes meanwhile goes to who leads then, if that is wanted.
  if (shutdown_ == Shutdown::kTransferring && !membership_->handing_over()) refuse_writes_to_end();
}

// Who did not take over is not asked again; the next one is, where there is time for it.
void Node::ask_to_lead_at_the_end(raft::NodeId to) {
  LETO_LOG(kNotice, "shutting down: handing leadership over");
  asked_to_lead_.insert(to);
  membership_->hand_over(to, [this](const std::string& error) {
    if (error.empty()) return;
    LETO_LOG(kWarning, "shutting down: leadership was not handed over: %s", error.c_str());
    const uint64_t takes_us = 2 * options_.election_timeout_ms * 1000;
    const bool has_time = environment_.clock.monotonic_us() + takes_us <= shutdown_deadline_us_;
    if (has_time && replica_->raft().role() == raft::Role::kLeader) shutdown_ = Shutdown::kAwaitsHandover;
  });
}

void Node::refuse_writes_to_end() { replica_->refuse_writes(kShuttingDown); }

bool Node::shutting_down() const { return shutdown_ != Shutdown::kNo; }

void Node::advance_shutdown() {
  if (shutdown_ == Shutdown::kDone) return;
  if (environment_.clock.monotonic_us() >= shutdown_deadline_us_) {
    LETO_LOG(kWarning, "shutting down: shutdown-timeout has passed; the log has what was acknowledged");
    finish_shutdown();
    return;
  }
  if (shutdown_ == Shutdown::kAwaitsHandover) hand_over_to_end();
  if (shutdown_ == Shutdown::kTransferring && !membership_->handing_over()) write_keys_to_end();
  if (shutdown_ == Shutdown::kEnding && may_end()) finish_shutdown();
}

void Node::write_keys_to_end() {
  refuse_writes_to_end();
  shutdown_ = Shutdown::kFlushing;
  if (loading_ || !cannot_apply_.empty()) return end_service();
  flusher_->flush([this](const base::Status& status) {
    if (!status.is_ok()) {
      LETO_LOG(kWarning, "shutting down: the keys file was not written: %s", status.text().c_str());
    }
    end_service();
  });
}

void Node::end_service() {
  if (shutdown_ == Shutdown::kDone) return;
  shutdown_ = Shutdown::kEnding;
  refuse_what_waits_at_the_end();
  const bool served_writes = options_.follower_writes == FollowerWrites::kForward && !sessions_.empty();
  if (served_writes) {
    end_at_us_ = environment_.clock.monotonic_us() + kRefusesUs;
    environment_.waker.wake_after_us(kRefusesUs);
  }
  if (may_end()) finish_shutdown();
}

bool Node::may_end() const { return forwarder_->idle() && environment_.clock.monotonic_us() >= end_at_us_; }

void Node::finish_shutdown() {
  if (shutdown_ == Shutdown::kDone) return;
  shutdown_ = Shutdown::kDone;
  shutdown_done_();
}

}  // namespace leto::server
