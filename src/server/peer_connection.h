// One connection that this node dials to a peer and sends over: connects, proves who it is, sends, and does
// it again when it breaks. What the peer sends comes over connections that the peer dials (accepted_peer.h).
// Refuses to know what the messages say.
//
// Invariants: a message leaves only after the handshake; what is queued is bounded, and beyond the bound
// messages are dropped, never waited for; after a break nothing of the old connection is sent.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "peer/codec.h"
#include "peer/frame.h"
#include "peer/handshake.h"
#include "peer/parts.h"
#include "raft/types.h"
#include "server/caller.h"

namespace leto::server {

class Peers;

class PeerConnection final : private Caller {
 public:
  static constexpr uint64_t kConnectTimeoutMs = 1000;
  static constexpr uint64_t kHandshakeTimeoutMs = 1000;
  static constexpr uint64_t kBackoffMsMin = 20;
  static constexpr uint64_t kBackoffMsMax = 1000;
  // Unsent bytes that do not move for so long mean that the peer is gone.
  static constexpr uint64_t kStuckMsMax = 4000;
  // Messages that wait to be sent; one message always fits.
  static constexpr size_t kControlQueueBytesMax = 4 << 20;
  static constexpr size_t kBulkQueueBytesMax = 16 << 20;
  // Put into bytes at once, and one message more: together no more than one write of the stream takes.
  static constexpr size_t kWriteBytes = 128 << 10;
  static_assert(kWriteBytes + peer::kPartBytes + 4096 <= Stream::kBytesPerWrite && peer::kSnapshotChunkBytesMax <= peer::kPartBytes,
                "a turn does not end with the same few bytes of each part unsent");

  PeerConnection(Peers& peers, raft::Member peer, peer::ConnectionKind kind);
  ~PeerConnection();

  // False if it was dropped.
  bool send(peer::Encoded message);
  // Sends what is queued, as far as the socket and `budget` take it, which is lowered by the bytes sent; what is left
  // wakes the loop. At the end of the turn.
  void flush(size_t& budget);
  // Every tick: dials when the time has come, gives up what takes too long.
  void on_tick(uint64_t now_ms);
  // The peer was just heard of: no need to wait longer before dialing.
  void dial_soon();
  // It has just broken, and there is something to say to a peer that lives: dials at once, so that send() takes it.
  void dial_if_just_broken();
  // Where it is dialed from now on. Works on while it is up: an address is no reason to lose what is under way.
  void set_address(const std::string& raft_address);
  // Hangs up and dials, so that another Hello is said. Nothing is lost. REQUIRES: up() and !has_unsent().
  void dial_anew();
  bool up() const { return state_ == State::kUp; }
  // As its handshake said. REQUIRES: up().
  uint16_t semantics() const { return semantics_; }
  uint64_t features() const { return features_; }
  // The addresses of its Hello. REQUIRES: up().
  bool has_said(const raft::Member& self) const {
    return said_raft_address_ == self.raft_address && said_client_address_ == self.client_address;
  }
  std::string local_host() const { return stream().local_host(); }
  bool has_unsent() const {
    return queued_bytes_ > 0 || !bytes_.empty() || cutter_ || (is_connected() && stream().unsent_bytes() > 0);
  }
  const raft::Member& peer() const { return peer_; }

 private:
  enum class State : uint8_t { kWaiting, kConnecting, kHandshake, kUp };

  void on_reached() override;
  void on_bytes(std::string_view bytes) override;
  void on_failure(const std::string& why) override;
  // What is left goes at the end of the turn.
  void on_written() override { unmoved_since_ms_ = 0; }

  void dial_peer(uint64_t now_ms);
  void on_handshake_frame(const peer::Frame& frame);
  void came_up();
  // Moves queued messages into bytes_, up to kWriteBytes.
  void fill();

  Peers& peers_;
  raft::Member peer_;
  const peer::ConnectionKind kind_;
  State state_ = State::kWaiting;
  uint64_t deadline_ms_ = 0;      // Of kWaiting: when to dial; of the handshake: when to give up.
  uint16_t semantics_ = 0;
  uint64_t features_ = 0;
  std::string said_raft_address_;
  std::string said_client_address_;
  uint64_t backoff_ms_ = kBackoffMsMin;
  bool failure_told_ = false;     // One line per outage at notice level.
  peer::FrameReader frames_;
  std::optional<peer::Initiator> handshake_;

  std::deque<peer::Encoded> queue_;
  size_t queued_bytes_ = 0;
  std::optional<peer::PartCutter> cutter_;   // Of the message being sent in parts.
  uint64_t next_stream_ = 1;
  std::string bytes_;
  uint64_t unmoved_since_ms_ = 0;  // 0: nothing waits, or some of it moved since it was looked at.
};

}  // namespace leto::server
