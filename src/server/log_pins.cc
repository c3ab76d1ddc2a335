#include "server/log_pins.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "server/tick.h"

namespace leto::server {

LogPins::LogPins(const Replica& replica, const ReplicaParts& parts)
    : replica_(replica), options_(parts.options), clock_(parts.environment.clock) {}

void LogPins::pin(raft::NodeId peer) {
  const std::vector<raft::PeerView> peers = replica_.raft().peers();
  const auto view = std::find_if(peers.begin(), peers.end(), [peer](const auto& each) { return each.node == peer; });
  if (view == peers.end()) return;
  unpin(peer);
  const uint64_t now_us = clock_.monotonic_us();
  Pin pin{.peer = peer, .keeps_after = view->match, .moved_us = now_us, .match = view->match, .advanced_us = now_us};
  begin_round(pin);
  pins_.push_back(pin);
}

void LogPins::unpin(raft::NodeId peer) {
  std::erase_if(pins_, [peer](const Pin& pin) { return pin.peer == peer; });
}

void LogPins::begin_round(Pin& pin) const {
  pin.round_end = replica_.raft().last().index;
  pin.round_bytes = replica_.applied_bytes();
}

void LogPins::note_progress(Pin& pin, const raft::PeerView& peer) const {
  if (peer.match > pin.match) {
    pin.match = peer.match;
    pin.advanced_us = clock_.monotonic_us();
  }
  if (peer.match < pin.round_end) return;
  pin.is_near = peer.match == replica_.raft().last().index || replica_.applied_bytes() - pin.round_bytes <= options_.log_window;
  begin_round(pin);
}

LogPins::End LogPins::end_of(const Pin& pin, const raft::PeerView& peer) const {
  if (peer.ticks_since_heard * kTickMs * 1000 > kSilentUs) return End::kSilent;
  if (pin.is_near) return End::kNear;
  return clock_.monotonic_us() - pin.advanced_us > kStuckUs ? End::kStuck : End::kNone;
}

void LogPins::say(End end) {
  if (end == End::kSilent) LETO_LOG(kNotice, "snapshot: a follower that had one is silent; the log is kept for it no longer");
  if (end == End::kStuck) LETO_LOG(kNotice, "snapshot: a follower that had one takes no entries; the log is kept for it no longer");
}

void LogPins::move(Pin& pin) const {
  const uint64_t now_us = clock_.monotonic_us();
  if (now_us - pin.moved_us < kMoveUs) return;
  pin.moved_us = now_us;
  pin.keeps_after = std::max(pin.keeps_after, pin.match);
}

void LogPins::on_tick() {
  if (pins_.empty()) return;
  const std::vector<raft::PeerView> peers = replica_.raft().peers();
  std::vector<Pin> kept;
  for (Pin& pin : pins_) {
    const auto peer = std::find_if(peers.begin(), peers.end(), [&](const auto& each) { return each.node == pin.peer; });
    if (peer == peers.end()) continue;
    note_progress(pin, *peer);
    const End end = end_of(pin, *peer);
    say(end);
    if (end != End::kNone) continue;
    move(pin);
    kept.push_back(pin);
  }
  pins_ = std::move(kept);
}

std::optional<raft::Index> LogPins::keeps_log_after() const {
  const auto least = std::min_element(pins_.begin(), pins_.end(), [](const Pin& left, const Pin& right) {
    return left.keeps_after < right.keeps_after;
  });
  return least == pins_.end() ? std::nullopt : std::optional(least->keeps_after);
}

}  // namespace leto::server
