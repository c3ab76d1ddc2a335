// One frame of every type, always the same bytes: the examples of docs/protocol.md and of
// tests/golden/frame-v1.hex, and the seeds of the tests that damage frames.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "peer/codec.h"
#include "peer/forward.h"
#include "peer/handshake.h"
#include "raft/message.h"

namespace leto::peer::test {

struct Sample {
  std::string name;
  std::string bytes;  // A whole frame.
};

inline constexpr raft::NodeId kFirst = 0xa1a2a3a4a5a6a7a8;
inline constexpr raft::NodeId kSecond = 0xb1b2b3b4b5b6b7b8;
inline constexpr std::string_view kCluster = "cluster-id-16byt";
inline constexpr std::string_view kSecret = "a secret of thirty-two bytes....";

raft::Message message_of(raft::Body body);
raft::Entry entry_of(raft::EntryId id, std::string_view bytes);

// Every kind of message once, AppendEntries also without and with several entries.
std::vector<raft::Message> sample_messages();
// The names of these, as docs/protocol.md has them.
inline constexpr const char* kMessageNames[] = {
    "RequestVote",    "RequestVoteReply", "AppendEntries",  "AppendEntries (heartbeat)", "AppendEntriesReply", "TimeoutNow",
    "ReadIndexRequest", "ReadIndexReply", "InstallSnapshot", "InstallSnapshotReply"};
Forward sample_forward();
ForwardReply sample_forward_reply();
// All frame types, in the order of docs/protocol.md.
std::vector<Sample> sample_frames();

// The two sides of sample_frames()'s handshake: id1 dials id2.
Hello sample_hello(ConnectionKind kind);
AcceptorSetup sample_member();
AcceptorSetup sample_empty();
Adopt sample_adopt();

// A message whose only entry has `size` bytes, no two neighbours alike.
raft::Message large_message(size_t size);

// Every frame of `bytes`, copied. Fails the test if there is anything else.
struct OwnedFrame {
  FrameType type;
  std::string payload;
  Frame view() const { return {.type = type, .payload = payload}; }
};
std::vector<OwnedFrame> cut(std::string_view bytes);

bool operator==(const raft::Message& a, const raft::Message& b);

}  // namespace leto::peer::test
