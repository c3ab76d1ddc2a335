// See the header.
#include "peer/handshake_proof.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"
#include "base/sha256.h"

namespace leto::peer {

std::string handshake_transcript(std::string_view hello_payload, std::string_view challenge_payload,
                                 const Challenge& challenge) {
  const size_t mac_field = 1 + challenge.mac.size();  // Its length, and it.
  LETO_ASSERT(challenge_payload.size() > mac_field, base::format("%zu bytes", challenge_payload.size()));
  std::string transcript;
  base::put_string(transcript, hello_payload);
  base::put_string(transcript, challenge_payload.substr(0, challenge_payload.size() - mac_field));
  return transcript;
}

std::string handshake_mac(HandshakeSide side, const std::string& secret, const std::string& transcript) {
  LETO_ASSERT(secret.size() >= kSecretBytesMin, base::format("a secret of %zu bytes", secret.size()));
  const char* const label = side == HandshakeSide::kAcceptor ? "leto acceptor" : "leto initiator";
  return base::hmac_sha256(secret, label + transcript);
}

std::string adoption_proof(const std::string& password, const std::string& transcript, const Adopt& adopt) {
  LETO_ASSERT(!password.empty(), "a proof of no password");
  Adopt unproved = adopt;
  unproved.proofs.clear();
  std::string proved = "leto adopt" + transcript;
  base::put_string(proved, encode_payload(unproved));
  return base::hmac_sha256(password, proved);
}

bool has_adoption_proof(const std::string& password, const std::string& transcript, const Adopt& adopt) {
  const std::string expected = adoption_proof(password, transcript, adopt);
  bool found = false;
  for (size_t at = 0; at < adopt.proofs.size(); at += kMacBytes) {
    const bool fits = base::equal_in_constant_time(std::string_view(adopt.proofs).substr(at, kMacBytes), expected);
    found = fits || found;
  }
  return found;
}

std::string cluster_name(std::string_view cluster) {
  if (cluster.empty()) return "none";
  std::string name;
  for (const char byte : cluster) name += base::format("%02x", static_cast<unsigned char>(byte));
  return name;
}

std::string identity_name(const Identity& identity) {
  return base::format("%s (uid %016llx)", identity.id.empty() ? "a node" : identity.id.c_str(),
                      static_cast<unsigned long long>(identity.node));
}

std::string versions_name(uint32_t low, uint32_t high) {
  return low == high ? base::format("version %u", low) : base::format("versions %u to %u", low, high);
}

std::string semantics_refusal(const Identity& node, uint16_t semantics, uint16_t level) {
  return base::format("%s supports semantics up to level %u, the cluster is at level %u; upgrade %s",
                      identity_name(node).c_str(), semantics, level, node.id.c_str());
}

RefusalCode refusal_code(FrameError error) {
  return error == FrameError::kTooLarge ? RefusalCode::kTooLarge : RefusalCode::kMalformed;
}

}  // namespace leto::peer
