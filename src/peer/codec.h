// raft::Message to the payload of a frame and back. Knows the layout of every message and nothing of
// terms, votes or logs; it refuses what no sender of this protocol writes, so that the core sees only
// values that keep their bounds.
//
// A payload is a head (from, to, term, the message's fields, tagged fields) and, for AppendEntries and
// InstallSnapshot, a body: the entries' bytes one after the other, or the chunk's. The head says how it is cut.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "peer/frame.h"
#include "raft/message.h"

namespace leto::peer {

// Whose message it is; every part of a large one carries it too.
struct Route {
  raft::NodeId from = raft::kNobody;
  raft::NodeId to = raft::kNobody;
  raft::Term term = 0;
  bool operator==(const Route&) const = default;
};

// A message ready to be sent. The body shares the entries' payloads and copies none.
struct Encoded {
  FrameType type = FrameType::kTimeoutNow;
  Route route;
  std::string head;
  std::vector<raft::Payload> body;
  size_t body_size = 0;
  bool bulky = false;   // Goes over the connection on which no heartbeat waits behind it.

  size_t size() const { return head.size() + body_size; }
  // True if it has to travel as parts (parts.h). A chunk of a snapshot fits into one frame.
  bool needs_parts() const { return type != FrameType::kInstallSnapshot && size() > kPartBytes; }
};

// REQUIRES: from and to are nodes; entries are consecutive after `previous`, at most kEntriesMax, each at
// most kEntryBytesMax bytes, and without bytes if kNothing; a chunk is within kSnapshotChunkBytesMax and its file.
Encoded encode(const raft::Message& message);

// Appends header and head; the caller sends the body's payloads, in order, right behind it.
// REQUIRES: !encoded.needs_parts().
void put_head(std::string& out, const Encoded& encoded);
// Appends the whole frame, copying the body. REQUIRES: !encoded.needs_parts().
void put_message(std::string& out, const Encoded& encoded);

// True for the frame types that decode() knows.
bool is_message(FrameType type);

// The message of one frame, or a sentence that names the malformed field. Views nothing of `payload`.
base::Result<raft::Message> decode(FrameType type, std::string_view payload);
// The same for a message that came in parts; a single entry takes over `body` without a copy.
base::Result<raft::Message> decode_parted(FrameType type, std::string_view head, std::string body);

}  // namespace leto::peer
