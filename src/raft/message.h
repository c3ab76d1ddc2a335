// The RPCs of Raft as values. What each field means is the paper's; where Leto adds one it says why.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "raft/types.h"

namespace leto::raft {

// Section 5.2; with `pre_vote` the question of section 9.6 of the thesis, which changes nobody's term
// and whose message carries the term the candidate WOULD start.
struct RequestVote {
  bool pre_vote = false;
  bool transfer = false;  // Sent because of TimeoutNow: the receiver does not protect the old leader.
  EntryId last;           // The candidate's last entry.
};

struct RequestVoteReply {
  bool pre_vote = false;
  bool granted = false;
};

// Section 5.3. Without entries it is the heartbeat. Its `previous` is then the peer's known match, so
// that it can never be refused because an append overtook it. `acknowledged` is what the receiver told this
// leader, in this term, to have durably: a receiver that has it no more lost synced data (D16).
struct AppendEntries {
  EntryId previous;
  Index leader_commit = 0;
  Index acknowledged = 0;
  uint64_t read_counter = 0;     // D13: the reply gives it back and so confirms leadership.
  uint64_t cluster_time_ms = 0;  // Filled in by the replica when it sends; the core ignores it.
  uint16_t silence_ticks = 0;    // D18: the sender's leases rely on so long a silence; 0: an older version, which does not say it.
  std::vector<Entry> entries;    // Consecutive, after `previous`.
};

// `match` counts if accepted: everything up to it is durable at the sender and equal to the leader's.
// If refused, `hint` is the last entry of the sender that may still agree (the thesis, 5.3: conflict
// terms), and `previous_index` says which append was refused, so that an old refusal can be told; so does
// `acknowledged`, which is that append's: without it a loss could not be told from a refusal of long ago.
struct AppendEntriesReply {
  bool accepted = false;
  Index match = 0;
  Index previous_index = 0;
  EntryId hint;
  Index acknowledged = 0;
  uint64_t read_counter = 0;
};

// The thesis, section 3.10: campaign at once.
struct TimeoutNow {};

// A follower asks the leader for a read index on behalf of its clients (thesis 6.4).
struct ReadIndexRequest {
  uint64_t context = 0;
};
struct ReadIndexReply {
  uint64_t context = 0;
  bool ok = false;                // False: the answerer does not lead, or lost its majority.
  Index index = 0;
  uint64_t cluster_time_ms = 0;   // Filled in by the replica.
};

// Section 7: one chunk of the leader's keys file. (sender, snapshot) names the stream: only the same one is
// resumed.
inline constexpr size_t kSnapshotChunkBytesMax = 256 << 10;
struct InstallSnapshot {
  uint64_t snapshot = 0;         // The sender's number for it, never used again by that sender in its term.
  EntryId last;                  // The last entry included.
  uint64_t size = 0;             // Of the whole file,
  uint32_t checksum = 0;         // and its CRC-32C.
  uint64_t offset = 0;           // Where `data` begins in the file.
  uint64_t cluster_time_ms = 0;  // Filled in by the replica when it sends; the core ignores it.
  Payload data;                  // Never null, at most kSnapshotChunkBytesMax; empty: asks how far the receiver is.
};

enum class SnapshotAnswer : uint8_t {
  // Everything before `offset` is kept: go on there. Of snapshot 0: the sender has lost its state machine, and needs a snapshot
  // at `match` or later.
  kNeeds = 0,
  kInstalled = 1,  // The sender's durable state includes `match`.
  kRefused = 2,    // It cannot now; its log says why.
};

struct InstallSnapshotReply {
  uint64_t snapshot = 0;
  SnapshotAnswer answer = SnapshotAnswer::kNeeds;
  uint64_t offset = 0;
  Index match = 0;
};

using Body = std::variant<RequestVote, RequestVoteReply, AppendEntries, AppendEntriesReply, TimeoutNow,
                          ReadIndexRequest, ReadIndexReply, InstallSnapshot, InstallSnapshotReply>;

struct Message {
  NodeId from = kNobody;
  NodeId to = kNobody;
  Term term = 0;
  Body body;
};

}  // namespace leto::raft
