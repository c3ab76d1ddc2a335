// One connection that a peer dialed: checks who it is, then takes its messages. Nothing of Raft is sent over
// it. Refuses to know what the messages say.
//
// Invariants: before the handshake is done the peer gets 1 KiB and one second; a message is handed on only
// if it is from the node that proved itself and to this one; bad bytes close the connection, and so does a frame that
// does not come to an end: its length may be damaged, and then what follows would be taken for the rest of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "peer/codec.h"
#include "peer/frame.h"
#include "peer/handshake.h"
#include "peer/inbox.h"
#include "server/stream.h"

namespace leto::server {

class Peers;

class AcceptedPeer final : private StreamUser {
 public:
  static constexpr uint64_t kHandshakeTimeoutMs = 1000;

  AcceptedPeer(Peers& peers, std::unique_ptr<Stream> stream);
  ~AcceptedPeer();

  void start();
  void on_tick(uint64_t now_ms);
  // Idempotent; the object lives until the end of the turn.
  void close();
  bool closed() const { return stream_ == nullptr; }
  bool proved() const { return proved_; }
  raft::NodeId node() const { return proved_ ? handshake_.hello().initiator.node : raft::kNobody; }
  peer::ConnectionKind kind() const { return handshake_.hello().kind; }
  const peer::Hello& hello() const { return handshake_.hello(); }
  const std::string& remote_host() const { return remote_host_; }

 private:
  void on_bytes(std::string_view bytes) override;
  void on_end(int error) override;
  void on_written() override {}
  size_t bytes_wanted() override;

  void on_frame(const peer::Frame& frame);
  void on_handshake_frame(const peer::Frame& frame);
  void on_client();
  void log_refusal() const;
  void reject(const std::string& why);
  bool answer(std::string& bytes);

  Peers& peers_;
  std::unique_ptr<Stream> stream_;   // Null once closed.
  std::string remote_host_;
  std::string remote_address_;
  peer::FrameReader frames_;
  peer::Acceptor handshake_;
  peer::Inbox inbox_;
  uint64_t frames_taken_ = 0;
  uint64_t frames_taken_before_ = 0;   // The last tick.
  uint64_t unfinished_since_ms_ = 0;   // The frame that has begun; 0: none has.
  bool heard_ = false;
  bool proved_ = false;
  bool parting_ = false;       // Everything was said; closed at the deadline, or when the peer closes.
  uint64_t deadline_ms_ = 0;   // Of the handshake.
  uint64_t read_turn_ = 0;     // The turn in which it last wanted to read;
  size_t read_in_turn_ = 0;    // what it has read in it.
};

}  // namespace leto::server
