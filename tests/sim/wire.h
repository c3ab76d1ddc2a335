// One connection from a process to another: messages become the bytes that the real server would write, and what reads
// them there makes messages of them again; the real handshake comes first. Bytes are flipped, cut off and made larger
// here, as the seed says. Refuses to know how long bytes are under way, and what a message says.
//
// Invariant: of a frame that was damaged, and of whatever follows it, nothing comes out.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "peer/handshake.h"
#include "peer/inbox.h"
#include "tests/sim/world.h"

namespace leto::sim {

// Why a connection is no more, in the trace.
enum class WireEnd : uint64_t { kNone, kRefused, kBadBytes, kCutInFrame, kStuck, kCutInParts, kGone };

struct WireSetup {
  World& world;
  base::Random& random;
  peer::Hello hello;              // Of the sender's process; its kind is the connection's.
  std::string secret;
  uint16_t semantics_level = 0;
  std::function<void(peer::PartArrival)> deliver;
  std::function<void(WireEnd)> on_end;   // Once; nothing more comes.
  std::function<bool()> passes;   // Whether bytes get through just now.
};

class Wire : public std::enable_shared_from_this<Wire> {
 public:
  // Of one message, in bytes; what does not fit is dropped, as by server::PeerConnection.
  static constexpr size_t kQueueBytesMax = 16 << 20;

  explicit Wire(WireSetup setup);

  // Both prove who they are, when the first message arrives. False: it was refused, and is over.
  bool shake_hands(const peer::AcceptorSetup& acceptor);
  bool is_up() const { return up_; }
  WireEnd end() const { return end_; }
  Microseconds ended_at() const { return ended_at_; }
  raft::NodeId expected() const { return setup_.hello.expected.node; }
  // A message has come so far that its bytes can be read, behind those before it. REQUIRES: is_up() and end() is kNone.
  // False if there is no room for it.
  bool take(const std::shared_ptr<const peer::Encoded>& message);
  // It waits for the rest of a frame.
  bool is_stuck() const { return end_ == WireEnd::kNone && frames_.buffered() > 0; }
  void close(WireEnd why);
  // The receiver's process is gone, or the sender's with half of a message: nothing more comes, and who notices is the
  // network's affair.
  void forget() { end_ = WireEnd::kGone; }
  bool is_in_parts() const { return cutter_ != nullptr; }

 private:
  void go_on();
  void send_part();
  void transmit(std::string bytes);
  bool damage(std::string& bytes);
  void flip_bit(std::string& bytes);
  void make_oversized(std::string& bytes);
  void read(std::string_view bytes);
  void read_in_pieces(std::string_view bytes);
  void watch_stuck();

  WireSetup setup_;
  peer::FrameReader frames_;
  peer::Inbox inbox_;
  std::deque<std::shared_ptr<const peer::Encoded>> queue_;
  size_t queued_bytes_ = 0;
  std::unique_ptr<peer::PartCutter> cutter_;   // Of the message that is being sent in parts.
  uint64_t streams_ = 0;
  bool up_ = false;
  bool damaged_ = false;      // Bytes were changed: nothing may come out any more.
  WireEnd end_ = WireEnd::kNone;
  Microseconds ended_at_ = 0;
};

}  // namespace leto::sim
