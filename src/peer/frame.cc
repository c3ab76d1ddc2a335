// Writing and reading frames; see the header for the layout.
#include "peer/frame.h"

#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "base/format.h"

namespace leto::peer {

namespace {

constexpr std::string_view kMagic = "LETO";
constexpr size_t kLengthOffset = 12;
constexpr size_t kChecksumOffset = 16;

uint32_t payload_length(std::string_view header) {
  base::Reader reader(header.substr(kLengthOffset));
  return reader.u32();
}

}  // namespace

bool begins_frame(std::string_view bytes) { return bytes.starts_with(kMagic); }

const char* frame_type_name(FrameType type) {
  switch (type) {
    case FrameType::kHello: return "Hello";
    case FrameType::kChallenge: return "Challenge";
    case FrameType::kProof: return "Proof";
    case FrameType::kWelcome: return "Welcome";
    case FrameType::kRefuse: return "Refuse";
    case FrameType::kAdopt: return "Adopt";
    case FrameType::kRequestVote: return "RequestVote";
    case FrameType::kRequestVoteReply: return "RequestVoteReply";
    case FrameType::kAppendEntries: return "AppendEntries";
    case FrameType::kAppendEntriesReply: return "AppendEntriesReply";
    case FrameType::kTimeoutNow: return "TimeoutNow";
    case FrameType::kReadIndexRequest: return "ReadIndexRequest";
    case FrameType::kReadIndexReply: return "ReadIndexReply";
    case FrameType::kInstallSnapshot: return "InstallSnapshot";
    case FrameType::kInstallSnapshotReply: return "InstallSnapshotReply";
    case FrameType::kPart: return "Part";
    case FrameType::kForward: return "Forward";
    case FrameType::kForwardReply: return "ForwardReply";
  }
  return "unknown";
}

void put_frame_header(std::string& out, FrameType type, const std::vector<std::string_view>& pieces) {
  size_t length = 0;
  for (const std::string_view piece : pieces) length += piece.size();
  LETO_ASSERT(length <= kFrameBytesMax - kHeaderBytes,
              base::format("%zu payload bytes in a %s frame", length, frame_type_name(type)));

  const size_t start = out.size();
  out.append(kMagic);
  base::put_u8(out, kHeaderVersion);
  base::put_u8(out, static_cast<uint8_t>(type));
  base::put_u16(out, 0);
  base::put_u32(out, kGroup);
  base::put_u32(out, static_cast<uint32_t>(length));
  uint32_t checksum = base::crc32c(std::string_view(out).substr(start));
  for (const std::string_view piece : pieces) checksum = base::crc32c(piece, checksum);
  base::put_u32(out, checksum);
}

void put_frame(std::string& out, FrameType type, std::string_view payload) {
  put_frame_header(out, type, {payload});
  out.append(payload);
}

void FrameReader::feed(std::string_view bytes) {
  if (error_ != FrameError::kNone) return;
  buffer_.erase(0, consumed_);
  consumed_ = 0;
  buffer_.append(bytes);
}

bool FrameReader::fail(FrameError error, std::string text) {
  error_ = error;
  error_text_ = std::move(text);
  // Not cleared: views of frames given out before still point into it.
  consumed_ = buffer_.size();
  return false;
}

bool FrameReader::check_header(std::string_view header) {
  base::Reader reader(header);
  if (reader.bytes(kMagic.size()) != kMagic) {
    return fail(FrameError::kBadMagic,
                "not a frame of Leto's peer protocol; is this a client that dialed "
                "the peers' port?");
  }
  const unsigned version = reader.u8();
  if (version != kHeaderVersion) {
    return fail(FrameError::kBadHeaderVersion,
                base::format("frame header version %u; this node knows %u", version, kHeaderVersion));
  }
  const FrameType type = static_cast<FrameType>(reader.u8());
  const unsigned flags = reader.u16();
  if (flags != 0) {
    return fail(FrameError::kUnknownFlags,
                base::format("unknown flags 0x%04x in a %s frame", flags, frame_type_name(type)));
  }
  const unsigned group = reader.u32();
  if (group != kGroup) {
    return fail(FrameError::kUnknownGroup,
                base::format("a frame for group %u; this node knows only group %u", group, kGroup));
  }
  const size_t length = reader.u32();
  if (length > frame_bytes_max_ - kHeaderBytes) {
    return fail(FrameError::kTooLarge,
                base::format("a %s frame of %zu bytes; at most %zu are allowed now",
                             frame_type_name(type), kHeaderBytes + length, frame_bytes_max_));
  }
  return true;
}

bool FrameReader::next(Frame& frame) {
  const std::string_view rest = std::string_view(buffer_).substr(consumed_);
  // A stranger is known by its first bytes; it need not send a whole header.
  const std::string_view start = rest.substr(0, kMagic.size());
  if (start != kMagic.substr(0, start.size())) return check_header(rest);
  if (rest.size() < kHeaderBytes) return false;
  const std::string_view header = rest.substr(0, kHeaderBytes);
  if (!check_header(header)) return false;

  const size_t length = payload_length(header);
  if (rest.size() < kHeaderBytes + length) return false;
  const std::string_view payload = rest.substr(kHeaderBytes, length);
  base::Reader stored(header.substr(kChecksumOffset));
  const uint32_t expected = stored.u32();
  const uint32_t checksum = base::crc32c(payload, base::crc32c(header.substr(0, kChecksumOffset)));
  if (checksum != expected) {
    return fail(
        FrameError::kBadChecksum,
        base::format("a frame's checksum is %08x where its bytes give %08x", expected, checksum));
  }
  consumed_ += kHeaderBytes + length;
  frame = {.type = static_cast<FrameType>(header[5]), .payload = payload};
  return true;
}

}  // namespace leto::peer
