// The messages of the handshake as values, and their bytes. What each field means is docs/protocol.md's;
// who sends which when is handshake.h's. Knows no secret and computes no mac.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "peer/limits.h"
#include "raft/types.h"

namespace leto::peer {

// A node: the number that is its incarnation and the name people call it by.
struct Identity {
  raft::NodeId node = raft::kNobody;
  std::string id;
  bool operator==(const Identity&) const = default;
};

enum class ConnectionKind : uint8_t {
  kControl = 0,  // Small messages: votes, heartbeats, appends, replies.
  kBulk = 1,     // Parts of large ones, so that nothing small waits behind them.
  kAdopt = 2,    // To a node that is in no cluster and has no secret: who are you, and: come in.
};

// So long one frame may take to arrive, in milliseconds, once the handshake is done.
constexpr uint64_t frame_ms_max(ConnectionKind kind) {
  return kind == ConnectionKind::kBulk ? kBulkFrameMsMax : kControlFrameMsMax;
}

enum class AcceptorState : uint8_t {
  kMember = 0,              // In a cluster, with data or other members.
  kEmpty = 1,               // In no cluster; waits to be taken in.
  kFounderWithoutData = 2,  // Founded a cluster of its own that has no data and no other member.
};

// Why there will be no connection. Numbers on the wire: never changed. A number that this build does not
// know is kept as it is; the sentence says what it means.
enum class RefusalCode : uint8_t {
  kBadOrder = 1,
  kMalformed = 2,
  kTooLarge = 3,
  kVersion = 4,
  kAnotherCluster = 5,
  kNoCluster = 6,
  kWrongIdentity = 7,
  kWrongSecret = 8,
  kRemoved = 9,
  kAlreadyMember = 10,
  kAdoptionRefused = 11,
  kSemantics = 12,
};

// Initiator -> acceptor. Its fields never change in any version; new ones come as tagged fields.
struct Hello {
  uint32_t version_min = kProtocolVersionMin;
  uint32_t version_max = kProtocolVersionMax;
  uint64_t features = 0;  // Bits offered.
  uint32_t group = kGroup;
  ConnectionKind kind = ConnectionKind::kControl;
  std::string cluster;  // kClusterBytes raw bytes, or empty: in none.
  Identity initiator;
  Identity expected;  // Who the initiator believes is here; node 0 and an empty id: it does not know.
  std::string nonce;  // kNonceBytes, never used before.
  std::string raft_address;  // The initiator's, as it advertises them; may be empty.
  std::string client_address;
  uint16_t semantics = kSemanticsUnsaid;  // The highest level that the initiator can apply.
  bool operator==(const Hello&) const = default;
};

// Acceptor -> initiator.
struct Challenge {
  uint32_t version = kProtocolVersionMax;  // The one both will speak.
  uint64_t features = 0;                   // The offered bits that the acceptor knows too.
  std::string cluster;                     // As in Hello.
  Identity acceptor;
  std::string nonce;
  AcceptorState state = AcceptorState::kMember;
  std::string client_address;
  uint16_t semantics = kSemanticsUnsaid;  // As in Hello.
  uint16_t was_member = 0;                // 1: a configuration of that cluster had it, so it was removed if none has it now.
  std::string mac;  // kMacBytes; empty on a kAdopt connection, whose sides share no secret yet.
  bool operator==(const Challenge&) const = default;
};

// Initiator -> acceptor.
struct Proof {
  std::string mac;
  bool operator==(const Proof&) const = default;
};

// Acceptor -> initiator: from now on messages of Raft.
struct Welcome {
  bool operator==(const Welcome&) const = default;
};

// Either way: the connection ends.
struct Refuse {
  RefusalCode code = RefusalCode::kBadOrder;
  std::string sentence;
  bool operator==(const Refuse&) const = default;
};

// Initiator -> acceptor, kAdopt only: be a member of this cluster.
struct Adopt {
  std::string cluster;
  std::string secret;  // kSecretBytesMin to kSecretBytesMax.
  Identity adopted;    // The acceptor as its Challenge named it, and the id it gets in the cluster.
  std::string proofs;  // One mac for each password of the initiator's, one behind the other; at most kAdoptProofsMax.
  bool operator==(const Adopt&) const = default;
};

// The payload of the frame. A value that breaks its bound is a bug of the caller's.
std::string encode_payload(const Hello& hello);
std::string encode_payload(const Challenge& challenge);
std::string encode_payload(const Proof& proof);
std::string encode_payload(const Welcome& welcome);
std::string encode_payload(const Refuse& refuse);
std::string encode_payload(const Adopt& adopt);

// Reads a payload; an error names the malformed field.
base::Status decode_payload(std::string_view payload, Hello& hello);
base::Status decode_payload(std::string_view payload, Challenge& challenge);
base::Status decode_payload(std::string_view payload, Proof& proof);
base::Status decode_payload(std::string_view payload, Welcome& welcome);
base::Status decode_payload(std::string_view payload, Refuse& refuse);
base::Status decode_payload(std::string_view payload, Adopt& adopt);

// `sentence` cut to kSentenceBytesMax and without control characters, as Refuse carries it.
std::string fit_sentence(std::string sentence);

}  // namespace leto::peer
