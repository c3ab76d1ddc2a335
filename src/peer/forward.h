// What a follower hands to the leader for its clients, and what the leader answers, as frames. Knows the layout
// and nothing of clients, sessions or who leads; refuses what no sender of this protocol writes.
//
// A payload is a head (who, to whom, which stream, tagged fields) and a body: requests, or answers, one after the
// other. Like an append it travels as parts if it is larger than kPartBytes.
//
// Invariant: the requests of one stream are numbered from 1 without a gap, so that a receiver can tell what it had,
// what it misses and what it never saw.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "peer/codec.h"
#include "peer/frame.h"
#include "raft/types.h"

namespace leto::peer {

struct ForwardedCommand {
  uint32_t database = 0;
  std::vector<std::string> arguments;  // At least the name.
  bool operator==(const ForwardedCommand&) const = default;
};

// What one client asked for at once: a command. A transaction is one, too (command/transaction.h).
struct ForwardedRequest {
  bool resp3 = false;  // How the client wants its reply.
  std::vector<ForwardedCommand> commands;
  bool operator==(const ForwardedRequest&) const = default;
};

// Follower -> the leader of `term`.
struct Forward {
  raft::NodeId from = raft::kNobody;
  raft::NodeId to = raft::kNobody;
  raft::Term term = 0;
  uint64_t life = 0;    // Of the sending process; random.
  uint64_t stream = 0;  // Counts up in one life: a later one ends those before it.
  uint64_t first = 0;   // Number of requests.front() in the stream, from 1.
  std::vector<ForwardedRequest> requests;
  bool operator==(const Forward&) const = default;
};

struct ForwardAnswer {
  uint64_t number = 0;
  bool taken = false;  // False: it was not carried out and never will be. Then there is no reply.
  std::string reply;   // RESP, whole.
  bool operator==(const ForwardAnswer&) const = default;
};

struct ForwardReply {
  raft::NodeId from = raft::kNobody;
  raft::NodeId to = raft::kNobody;
  raft::Term term = 0;
  uint64_t life = 0;  // As in the request.
  uint64_t stream = 0;
  raft::Index applied = 0;   // Of the leader: what it answers is in the state up to here.
  uint64_t closed_from = 0;  // Nothing of the stream with this number or a higher one was or will be taken. 0: all was.
  std::vector<ForwardAnswer> answers;
  bool operator==(const ForwardReply&) const = default;
};

// What a request, or an answer, adds to a frame at most.
size_t encoded_size(const ForwardedRequest& request);
size_t encoded_size(const ForwardAnswer& answer);

// REQUIRES: all bounds of limits.h that concern it; a body of at most kPartedBodyBytesMax bytes.
Encoded encode(const Forward& forward);
Encoded encode(const ForwardReply& reply);

// True for kForward and kForwardReply.
bool is_forward(FrameType type);

// Reads the payload of a whole frame; an error names the malformed field.
base::Status decode_payload(std::string_view payload, Forward& forward);
base::Status decode_payload(std::string_view payload, ForwardReply& reply);
// The same for one that came in parts.
base::Status decode_parted(std::string_view head, std::string_view body, Forward& forward);
base::Status decode_parted(std::string_view head, std::string_view body, ForwardReply& reply);

}  // namespace leto::peer
