#include "server/peer_connection.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "server/peers.h"

namespace leto::server {

namespace {

const char* kind_name(peer::ConnectionKind kind) {
  return kind == peer::ConnectionKind::kControl ? "control" : "bulk";
}

}  // namespace

PeerConnection::PeerConnection(Peers& peers, raft::Member peer, peer::ConnectionKind kind)
    : peers_(peers), peer_(std::move(peer)), kind_(kind) {}

PeerConnection::~PeerConnection() = default;

bool PeerConnection::send(peer::Encoded message) {
  const size_t bound = kind_ == peer::ConnectionKind::kControl ? kControlQueueBytesMax : kBulkQueueBytesMax;
  // While it is being dialed messages wait for it, so that an election does not wait for the next one.
  if (state_ == State::kWaiting) return false;
  if (!queue_.empty() && queued_bytes_ + message.size() > bound) return false;
  queued_bytes_ += message.size();
  queue_.push_back(std::move(message));
  return true;
}

void PeerConnection::fill() {
  while (bytes_.size() < kWriteBytes) {
    if (cutter_) {
      cutter_->put_next(bytes_);
      if (cutter_->done()) cutter_.reset();
      continue;
    }
    if (queue_.empty()) return;
    peer::Encoded message = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= message.size();
    if (message.needs_parts()) {
      cutter_.emplace(std::move(message), next_stream_++);
    } else {
      peer::put_message(bytes_, message);
    }
  }
}

void PeerConnection::flush(size_t& budget) {
  while (state_ == State::kUp && budget > 0) {
    const bool goes_on = stream().write_in_flight();
    if (goes_on && !stream().may_go_on()) return;
    if (!goes_on) fill();
    if (!goes_on && bytes_.empty()) return;
    const size_t before = bytes_.size() + stream().unsent_bytes();
    if (const int code = goes_on ? stream().go_on() : stream().write(bytes_); code != 0) return on_failure(uv_strerror(code));
    const size_t moved = before - stream().unsent_bytes();
    if (moved > 0) unmoved_since_ms_ = 0;
    budget -= std::min(budget, moved);
  }
  // The rest has its turn when the others had theirs.
  if (state_ == State::kUp && has_unsent()) peers_.loop().wake();
}

void PeerConnection::dial_soon() {
  if (state_ == State::kWaiting) deadline_ms_ = 0;
}

void PeerConnection::dial_if_just_broken() {
  if (state_ == State::kWaiting && backoff_ms_ <= 2 * kBackoffMsMin) dial_peer(peers_.loop().now_ms());
}

void PeerConnection::set_address(const std::string& raft_address) {
  peer_.raft_address = raft_address;
  if (state_ == State::kUp) return;
  backoff_ms_ = kBackoffMsMin;
  handshake_.reset();
  dial_peer(peers_.loop().now_ms());
}

void PeerConnection::dial_anew() {
  LETO_ASSERT(up() && !has_unsent(), peer_.id);
  next_stream_ = 1;
  dial_peer(peers_.loop().now_ms());
}

void PeerConnection::on_tick(uint64_t now_ms) {
  if (state_ == State::kWaiting && now_ms >= deadline_ms_) return dial_peer(now_ms);
  if (state_ == State::kHandshake && now_ms >= deadline_ms_) return on_failure("no answer to the handshake");
  if (state_ != State::kUp) return;
  const size_t unsent = stream().unsent_bytes();
  if (unsent == 0 || unmoved_since_ms_ == 0) {
    unmoved_since_ms_ = unsent == 0 ? 0 : now_ms;
  } else if (now_ms - unmoved_since_ms_ > kStuckMsMax) {
    on_failure("it takes nothing any more");
  }
}

void PeerConnection::dial_peer(uint64_t now_ms) {
  deadline_ms_ = now_ms;
  base::Result<Address> address = peers_.dialed_address(peer_);
  if (!address.is_ok()) return on_failure("'" + peer_.raft_address + "' is no address");
  state_ = State::kConnecting;
  dial(peers_.loop(), address.value(), kConnectTimeoutMs);
}

void PeerConnection::on_reached() {
  stream().set_kept_capacity(Stream::kBytesPerWrite);
  peers_.tune(stream());
  state_ = State::kHandshake;
  deadline_ms_ = peers_.loop().now_ms() + kHandshakeTimeoutMs;
  frames_ = peer::FrameReader(peer::kHandshakeFrameBytesMax);
  const std::string socket_host = stream().local_host();
  handshake_.emplace(peers_.hello(kind_, {.node = peer_.node, .id = peer_.id}, socket_host),
                     peers_.self().identity.cluster_secret, peers_.semantics_level());
  std::string hello;
  handshake_->start(hello);
  say(std::move(hello));
}

void PeerConnection::on_bytes(std::string_view bytes) {
  // Once it is up, nothing comes this way.
  if (state_ != State::kHandshake) return on_failure("it sends where it should listen");
  frames_.feed(bytes);
  peer::Frame frame;
  while (state_ == State::kHandshake && frames_.next(frame)) on_handshake_frame(frame);
  if (state_ == State::kHandshake && frames_.error() != peer::FrameError::kNone) on_failure(frames_.error_text());
}

void PeerConnection::on_handshake_frame(const peer::Frame& frame) {
  std::string answer;
  const peer::HandshakeStep step = handshake_->on_frame(frame, answer);
  if (const int code = stream().write(answer); code != 0 && code != UV_EAGAIN) return on_failure(uv_strerror(code));
  if (step == peer::HandshakeStep::kDone) return came_up();
  if (step != peer::HandshakeStep::kFailed) return;
  const peer::Refusal refusal = handshake_->refusal();
  if (refusal.code == peer::RefusalCode::kRemoved && refusal.peer_proved) peers_.note_removed_here(refusal.sentence);
  on_failure(refusal.sentence);
}

void PeerConnection::came_up() {
  state_ = State::kUp;
  backoff_ms_ = kBackoffMsMin;
  failure_told_ = false;
  semantics_ = handshake_->challenge().semantics;
  features_ = handshake_->challenge().features;
  said_raft_address_ = handshake_->hello().raft_address;
  said_client_address_ = handshake_->hello().client_address;
  handshake_.reset();
  unmoved_since_ms_ = 0;
  peers_.reached_from(stream().local_host(), stream().remote_host());
  if (kind_ != peer::ConnectionKind::kControl) return;
  LETO_LOG(kNotice, "connected to %s at %s", peer_.id.c_str(), peer_.raft_address.c_str());
}

void PeerConnection::on_failure(const std::string& why) {
  const bool was_up = state_ == State::kUp;
  const uint64_t lost = queue_.size();
  hang_up();
  handshake_.reset();
  cutter_.reset();
  queue_.clear();
  queued_bytes_ = 0;
  bytes_.clear();
  next_stream_ = 1;
  state_ = State::kWaiting;
  deadline_ms_ = peers_.loop().now_ms() + backoff_ms_ + peers_.random().below(backoff_ms_ / 2 + 1);
  backoff_ms_ = std::min(backoff_ms_ * 2, kBackoffMsMax);
  if ((was_up || !failure_told_) && kind_ == peer::ConnectionKind::kControl) {
    LETO_LOG(kNotice, "%s %s at %s: %s", was_up ? "lost" : "cannot reach", peer_.id.c_str(),
             peer_.raft_address.c_str(), why.c_str());
    failure_told_ = true;
  } else {
    LETO_LOG(kDebug, "%s connection to %s at %s: %s", kind_name(kind_), peer_.id.c_str(), peer_.raft_address.c_str(),
             why.c_str());
  }
  if (was_up || lost > 0) peers_.note_lost(peer_.node, lost);
}

}  // namespace leto::server
