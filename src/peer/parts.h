// A message too large for one frame, cut into part frames and put together again, so that no step of
// either loop handles more than kPartBytes and a receiver hears its leader while a large entry is under
// way. Knows nothing of what the message says beyond its route, and of no connection: a connection has one
// assembler, which holds at most one unfinished message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "peer/codec.h"
#include "peer/forward.h"

namespace leto::peer {

// The fields of a Part frame, without its bytes.
struct Part {
  Route route;
  FrameType type = FrameType::kAppendEntries;  // Of the frame that was cut.
  uint64_t stream = 0;                         // Counts up by the sender, per connection, from 1.
  uint64_t number = 0;                         // Of this part in its stream, from 0.
  uint64_t head_size = 0;                      // Of the whole message,
  uint64_t body_size = 0;                      // not of this part.
};

// Cuts one message. Every part but the last carries exactly kPartBytes.
class PartCutter {
 public:
  // `stream` is larger than that of any earlier message on the same connection.
  // REQUIRES: encoded.needs_parts(); its head and body within kPartedHeadBytesMax and kPartedBodyBytesMax.
  PartCutter(Encoded encoded, uint64_t stream);

  bool done() const { return sent_ == encoded_.size(); }
  // Appends the next Part frame. REQUIRES: !done().
  void put_next(std::string& out);

 private:
  // The next `size` bytes of head and body, in pieces; moves on behind them.
  void take_pieces(std::vector<std::string_view>& pieces, size_t size);

  Encoded encoded_;
  Part part_;
  size_t sent_ = 0;            // Bytes of head and body cut off so far.
  size_t payload_ = 0;         // Where the body goes on: in which payload,
  size_t payload_offset_ = 0;  // and where in it.
};

// What one part frame brought. Each tells the receiver that the sender of `route` lives and is at it:
// a follower resets its election timer if that is its leader, at its term.
struct PartArrival {
  Route route;
  // With the last part, one of them: the whole message.
  std::optional<raft::Message> message = {};
  std::optional<Forward> forward = {};
  std::optional<ForwardReply> forward_reply = {};
};

class PartAssembler {
 public:
  // Takes the payload of a Part frame. A first part drops what an earlier stream left unfinished. An
  // error (malformed, out of order, beyond a bound) ends the connection.
  base::Result<PartArrival> add(std::string_view payload);

  // Bytes held of an unfinished message: at most kPartedHeadBytesMax + kPartedBodyBytesMax.
  size_t held() const { return head_.size() + body_.size(); }

 private:
  base::Status accept(const Part& part, size_t bytes);
  void append(std::string_view bytes);
  base::Result<PartArrival> finish();
  base::Status finish_message(std::string_view head, std::string body, PartArrival& arrival) const;

  Part part_;  // The last one taken; stream 0 if there was none.
  bool unfinished_ = false;
  std::string head_;
  std::string body_;
};

}  // namespace leto::peer
