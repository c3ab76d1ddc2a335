// What both sides of the handshake compute and say: macs over the transcript, and the names that
// sentences use. Knows no state of either side.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "peer/frame.h"
#include "peer/handshake_message.h"

namespace leto::peer {

// What both macs cover: Hello's payload, and Challenge's up to its mac, each behind its length.
// REQUIRES: `challenge` is what `challenge_payload` says, with or without its mac.
std::string handshake_transcript(std::string_view hello_payload, std::string_view challenge_payload,
                                 const Challenge& challenge);

// HMAC-SHA-256(secret, "leto acceptor" or "leto initiator", transcript): two labels, so that no side's mac
// can be played back as the other's.
enum class HandshakeSide : uint8_t { kAcceptor, kInitiator };
std::string handshake_mac(HandshakeSide side, const std::string& secret, const std::string& transcript);

// What shows that whoever says `adopt` knows `password`: HMAC-SHA-256(password, "leto adopt" and the transcript, and
// the payload of `adopt` without proofs, behind its length). So it is good for one Challenge, and for no other cluster,
// secret or node. REQUIRES: a password.
std::string adoption_proof(const std::string& password, const std::string& transcript, const Adopt& adopt);
// Whether one of adopt.proofs is that of `password`; takes the same time whichever it is.
bool has_adoption_proof(const std::string& password, const std::string& transcript, const Adopt& adopt);

// "0123...cdef" for the raw bytes of a cluster id; "none" for an empty one.
std::string cluster_name(std::string_view cluster);
// "id1 (uid 00000000000000a1)".
std::string identity_name(const Identity& identity);
// "versions 1 to 2".
std::string versions_name(uint32_t low, uint32_t high);

// Why a node that can apply entries up to `semantics` has no place in a cluster at `level`.
std::string semantics_refusal(const Identity& node, uint16_t semantics, uint16_t level);

// kTooLarge for a frame beyond the cap, kMalformed for every other broken stream.
RefusalCode refusal_code(FrameError error);

}  // namespace leto::peer
