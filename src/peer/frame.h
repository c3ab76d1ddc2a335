// Frames: what all bytes between two nodes are made of. A header of kHeaderBytes, then the payload:
//
//   0  4  magic "LETO"
//   4  1  header version, 1
//   5  1  type
//   6  2  flags, 0
//   8  4  group, 0
//  12  4  payload length
//  16  4  CRC-32C of bytes 0-15 and the payload
//
// Knows nothing of what a payload means, of sockets, or of who is on the other side. Invariants: a length
// is compared with the cap before a byte is kept for it; after an error nothing more comes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "peer/limits.h"

namespace leto::peer {

// Numbers on the wire: never changed, never used again.
enum class FrameType : uint8_t {
  kHello = 1,
  kChallenge = 2,
  kProof = 3,
  kWelcome = 4,
  kRefuse = 5,
  kAdopt = 6,
  kRequestVote = 16,
  kRequestVoteReply = 17,
  kAppendEntries = 18,
  kAppendEntriesReply = 19,
  kTimeoutNow = 20,
  kReadIndexRequest = 21,
  kReadIndexReply = 22,
  kInstallSnapshot = 23,
  kInstallSnapshotReply = 24,
  kPart = 32,
  kForward = 40,
  kForwardReply = 41,
};

// "Hello" ... "ForwardReply"; "unknown" for a number that is none of them.
const char* frame_type_name(FrameType type);

struct Frame {
  FrameType type = FrameType::kHello;  // May be a number that this build does not know.
  std::string_view payload;
};

// Whether a stream that begins with `bytes` is one of frames: enough of them are there to tell.
bool begins_frame(std::string_view bytes);

// Appends one frame. REQUIRES: kHeaderBytes + payload.size() <= kFrameBytesMax.
void put_frame(std::string& out, FrameType type, std::string_view payload);

// Appends only the header of a frame whose payload is `pieces`, in this order, for senders that gather.
// REQUIRES: as put_frame.
void put_frame_header(std::string& out, FrameType type, const std::vector<std::string_view>& pieces);

enum class FrameError : uint8_t {
  kNone,
  kBadMagic,
  kBadHeaderVersion,
  kUnknownFlags,
  kUnknownGroup,
  kTooLarge,
  kBadChecksum,
};

// Cuts a stream of bytes into frames. Holds at most one unfinished frame and what was fed since the last
// next(): call next() until it gives none before feeding again.
class FrameReader {
 public:
  // `frame_bytes_max` counts header and payload.
  explicit FrameReader(size_t frame_bytes_max = kHandshakeFrameBytesMax)
      : frame_bytes_max_(frame_bytes_max) {}

  // For the frames that next() has not given yet.
  void set_frame_bytes_max(size_t frame_bytes_max) { frame_bytes_max_ = frame_bytes_max; }

  // Invalidates all views given by next(). After an error the bytes are dropped.
  void feed(std::string_view bytes);

  // True if a whole frame was there; its payload is a view that lives until the next feed(). False if
  // more bytes are needed, or if error() says that the stream is broken for good.
  bool next(Frame& frame);

  FrameError error() const { return error_; }
  // One sentence. REQUIRES: error() != kNone.
  const std::string& error_text() const { return error_text_; }

  // Bytes held that no next() has given yet.
  size_t buffered() const { return buffer_.size() - consumed_; }

 private:
  bool fail(FrameError error, std::string text);
  bool check_header(std::string_view header);

  size_t frame_bytes_max_;
  std::string buffer_;
  size_t consumed_ = 0;  // <= buffer_.size(); everything before it was given out.
  FrameError error_ = FrameError::kNone;
  std::string error_text_;
};

}  // namespace leto::peer
