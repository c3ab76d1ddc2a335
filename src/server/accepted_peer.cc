#include "server/accepted_peer.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "server/peers.h"

namespace leto::server {

AcceptedPeer::AcceptedPeer(Peers& peers, std::unique_ptr<Stream> stream)
    : peers_(peers),
      stream_(std::move(stream)),
      remote_host_(stream_->remote_host()),
      remote_address_(stream_->remote_address()),
      frames_(peer::kHandshakeFrameBytesMax),
      handshake_(peers.acceptor_setup(stream_->local_host())),
      deadline_ms_(peers.loop().now_ms() + kHandshakeTimeoutMs) {
  stream_->set_user(this);
}

AcceptedPeer::~AcceptedPeer() = default;

void AcceptedPeer::start() { stream_->start_reading(); }

void AcceptedPeer::on_tick(uint64_t now_ms) {
  if (closed()) return;
  if (!proved_ && now_ms >= deadline_ms_) return close();
  if (!proved_ || parting_) return;
  const bool goes_on = frames_.buffered() == 0 || frames_taken_ != frames_taken_before_ || unfinished_since_ms_ == 0;
  frames_taken_before_ = frames_taken_;
  if (goes_on) {
    unfinished_since_ms_ = frames_.buffered() == 0 ? 0 : now_ms;
    return;
  }
  if (now_ms - unfinished_since_ms_ > peer::frame_ms_max(kind())) reject("it does not finish a frame");
}

void AcceptedPeer::on_bytes(std::string_view bytes) {
  read_in_turn_ += bytes.size();
  if (parting_) return;
  if (!std::exchange(heard_, true) && bytes.starts_with('*')) return on_client();
  frames_.feed(bytes);
  peer::Frame frame;
  while (!closed() && !parting_ && frames_.next(frame)) on_frame(frame);
  if (!closed() && frames_.error() != peer::FrameError::kNone) reject(frames_.error_text());
}

size_t AcceptedPeer::bytes_wanted() {
  if (std::exchange(read_turn_, peers_.turn()) != peers_.turn()) read_in_turn_ = 0;
  return Peers::kReadBytesPerTurn - std::min(Peers::kReadBytesPerTurn, read_in_turn_);
}

void AcceptedPeer::on_frame(const peer::Frame& frame) {
  if (!proved_) return on_handshake_frame(frame);
  ++frames_taken_;
  base::Result<peer::PartArrival> arrival = inbox_.take(frame);
  if (!arrival.is_ok()) return reject(arrival.status().text());
  peer::PartArrival& arrived = arrival.value();
  if (arrived.route.from != node() || arrived.route.to != peers_.self().identity.node) {
    return reject("a message in another node's name, or to another node");
  }
  if (arrived.message) return peers_.received(*arrived.message);
  if (arrived.forward) return peers_.received(std::move(*arrived.forward));
  if (arrived.forward_reply) return peers_.received(*arrived.forward_reply);
  peers_.received(arrived.route);
}

bool AcceptedPeer::answer(std::string& bytes) {
  const int code = stream_->write(bytes);
  if (code == 0 || code == UV_EAGAIN) return true;
  close();
  return false;
}

void AcceptedPeer::on_handshake_frame(const peer::Frame& frame) {
  std::string bytes;
  peer::HandshakeStep step = handshake_.on_frame(frame, bytes);
  if (step == peer::HandshakeStep::kAdoptionAsked) {
    step = handshake_.answer_adoption(peers_.adopted_by(handshake_.adoption()), bytes);
  }
  if (!answer(bytes)) return;
  const bool adopts = handshake_.hello().kind == peer::ConnectionKind::kAdopt;
  if (step == peer::HandshakeStep::kFailed) {
    log_refusal();
    parting_ = true;
    if (!adopts) peers_.refused(handshake_.hello());
  } else if (step == peer::HandshakeStep::kDone && adopts) {
    parting_ = true;
  } else if (step == peer::HandshakeStep::kDone) {
    proved_ = true;
    frames_.set_frame_bytes_max(peer::kFrameBytesMax);
    peers_.proved(*this);
  }
}

// Somebody wants this node and does not get it: that is for a person to judge. The rest is everyday life.
void AcceptedPeer::log_refusal() const {
  const peer::Refusal& refusal = handshake_.refusal();
  const bool adopts = handshake_.hello().kind == peer::ConnectionKind::kAdopt;
  const bool unwanted = adopts && !refusal.by_peer && !refusal.sentence.ends_with(Network::kBusy);
  const char* const what = refusal.by_peer ? "refused" : "was refused";
  if (unwanted) {
    LETO_LOG(kWarning, "peer at %s %s: %s", remote_address_.c_str(), what, refusal.sentence.c_str());
  } else {
    LETO_LOG(kVerbose, "peer at %s %s: %s", remote_address_.c_str(), what, refusal.sentence.c_str());
  }
}

// A request as clients send them: whoever took this port for theirs is told in their own words.
void AcceptedPeer::on_client() {
  LETO_LOG(kVerbose, "peer at %s is disconnected: it speaks as a client does", remote_address_.c_str());
  std::string bytes = "-" + peers_.client_refusal() + "\r\n";
  if (answer(bytes)) parting_ = true;
}

void AcceptedPeer::reject(const std::string& why) {
  LETO_LOG(kWarning, "peer at %s is disconnected: %s", remote_address_.c_str(), why.c_str());
  if (proved_) peers_.note_silenced(node());
  close();
}

void AcceptedPeer::on_end(int error) {
  LETO_LOG(kDebug, "peer at %s: %s", remote_address_.c_str(), uv_strerror(error));
  if (proved_) peers_.note_silenced(node());
  close();
}

void AcceptedPeer::close() {
  if (closed()) return;
  stream_.reset();
  peers_.note_closed();
}

}  // namespace leto::server
