// Every limit of the peer protocol, in one place. docs/protocol.md lists them; its test compares.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/node_id.h"
#include "raft/message.h"

namespace leto::peer {

// --- Versions: what this build speaks. The handshake picks one. -----------------------------------------

inline constexpr uint8_t kHeaderVersion = 1;
inline constexpr uint32_t kProtocolVersionMin = 1;
inline constexpr uint32_t kProtocolVersionMax = 1;
// Bits of the handshake: frames beyond the first ones, sent only to who knows them.
inline constexpr uint64_t kFeatureSnapshots = 1 << 0;   // InstallSnapshot, InstallSnapshotReply.
inline constexpr uint64_t kFeatureForward = 1 << 1;     // Forward, ForwardReply.
inline constexpr uint64_t kFeatures = kFeatureSnapshots | kFeatureForward;
inline constexpr uint16_t kSemanticsUnsaid = 1;   // The level of who says none.
inline constexpr uint32_t kGroup = 0;  // The only Raft group there is.

// --- Frames ---------------------------------------------------------------------------------------------

inline constexpr size_t kHeaderBytes = 20;
inline constexpr size_t kHandshakeFrameBytesMax =
    1 << 10;                                       // Header and payload, before the handshake is done,
inline constexpr size_t kFrameBytesMax = 1 << 20;  // and after.

// What a damaged length makes of a connection lasts no longer. Through a bulk connection fit 26 KB a second with it.
inline constexpr uint64_t kControlFrameMsMax = 1000;
inline constexpr uint64_t kBulkFrameMsMax = 10000;

// --- Messages -------------------------------------------------------------------------------------------

inline constexpr size_t kEntryBytesMax =
    (64 << 20) + (1 << 20);                     // max-entry-bytes and slack for entry headers.
inline constexpr size_t kEntriesMax = 1 << 18;  // Of one AppendEntries.
inline constexpr size_t kTaggedFieldsMax = 32;  // At the end of one payload.
inline constexpr size_t kSnapshotChunkBytesMax = raft::kSnapshotChunkBytesMax;  // Of one InstallSnapshot.

// --- Parts ----------------------------------------------------------------------------------------------

inline constexpr size_t kPartBytes = 256 << 10;  // A larger AppendEntries travels as parts of this size.
inline constexpr size_t kPartedHeadBytesMax =
    4 << 20;  // What such a payload holds before the entries' bytes,
inline constexpr size_t kPartedBodyBytesMax = kEntryBytesMax;  // and those bytes.

// --- Forwarded requests -----------------------------------------------------------------------------------

inline constexpr size_t kControlForwardBytes = 16 << 10;   // Larger ones do not go before Raft's own small messages.
inline constexpr size_t kForwardRequestsMax = 16384;       // Requests, or answers, of one frame.
inline constexpr size_t kForwardCommandsMax = 1 << 20;     // Commands of one request.
inline constexpr size_t kForwardArgumentsMax = 1 << 20;    // Arguments of one command.

// --- Handshake ------------------------------------------------------------------------------------------

inline constexpr size_t kClusterBytes = 16;
inline constexpr size_t kNonceBytes = 32;
inline constexpr size_t kMacBytes = 32;
inline constexpr size_t kSecretBytesMin = 16;
inline constexpr size_t kSecretBytesMax = 64;
inline constexpr size_t kIdBytesMax = base::kNodeIdBytesMax;
inline constexpr size_t kAddressBytesMax = 256;
inline constexpr size_t kSentenceBytesMax = 512;
inline constexpr size_t kAdoptProofsMax = 2;  // A node's requirepass and its join-password.

static_assert(kSnapshotChunkBytesMax + 1024 <= kFrameBytesMax, "a chunk and its own fields fit into a frame");
static_assert(kPartBytes + 1024 <= kFrameBytesMax, "a part and its own fields fit into a frame");

}  // namespace leto::peer
