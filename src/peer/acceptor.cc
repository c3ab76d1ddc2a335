// The side that is dialed; see handshake.h.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/sha256.h"
#include "peer/handshake.h"
#include "peer/handshake_proof.h"

namespace leto::peer {

using base::format;

Acceptor::Acceptor(AcceptorSetup setup) : setup_(std::move(setup)) {
  LETO_ASSERT(setup_.self.node != raft::kNobody, "an acceptor without a uid");
  LETO_ASSERT(setup_.cluster.empty() == (setup_.state == AcceptorState::kEmpty),
              format("state %d, cluster %s", static_cast<int>(setup_.state),
                     cluster_name(setup_.cluster).c_str()));
  LETO_ASSERT(setup_.cluster.empty() || setup_.secret.size() >= kSecretBytesMin,
              format("a secret of %zu bytes", setup_.secret.size()));
}

HandshakeStep Acceptor::fail(RefusalCode code, std::string sentence, std::string& out) {
  refusal_ = {.code = code,
              .sentence = fit_sentence(std::move(sentence)),
              .by_peer = false,
              .peer_proved = false};
  put_frame(out, FrameType::kRefuse, encode_payload(Refuse{code, refusal_.sentence}));
  await_ = Await::kNothing;
  return step_ = HandshakeStep::kFailed;
}

HandshakeStep Acceptor::on_refuse(std::string_view payload) {
  Refuse refuse;
  const base::Status status = decode_payload(payload, refuse);
  if (!status.is_ok()) refuse = {RefusalCode::kMalformed, status.text()};
  refusal_ = {.code = refuse.code, .sentence = refuse.sentence, .by_peer = true, .peer_proved = false};
  await_ = Await::kNothing;
  return step_ = HandshakeStep::kFailed;
}

HandshakeStep Acceptor::on_frame_error(FrameError error, const std::string& text, std::string& out) {
  if (step_ == HandshakeStep::kFailed) return step_;
  return fail(refusal_code(error), text, out);
}

HandshakeStep Acceptor::on_frame(const Frame& frame, std::string& out) {
  LETO_ASSERT(step_ != HandshakeStep::kDone, "a frame after the end of the handshake");
  if (step_ == HandshakeStep::kFailed) return step_;
  if (frame.type == FrameType::kHello && await_ == Await::kHello) return on_hello(frame.payload, out);
  if (frame.type == FrameType::kProof && await_ == Await::kProof) return on_proof(frame.payload, out);
  if (frame.type == FrameType::kAdopt && await_ == Await::kAdopt) return on_adopt(frame.payload, out);
  if (frame.type == FrameType::kRefuse && await_ != Await::kHello) return on_refuse(frame.payload);
  return fail(
      RefusalCode::kBadOrder,
      format("a %s frame came where the handshake does not have it", frame_type_name(frame.type)), out);
}

bool Acceptor::check_version(std::string& out) {
  const uint32_t version = std::min(hello_.version_max, setup_.version_max);
  if (version >= hello_.version_min && version >= setup_.version_min) {
    challenge_.version = version;
    return true;
  }
  const Identity& older = hello_.version_max < setup_.version_min ? hello_.initiator : setup_.self;
  fail(RefusalCode::kVersion,
       format("%s speaks %s of the peer protocol, %s speaks %s; upgrade %s",
              identity_name(setup_.self).c_str(),
              versions_name(setup_.version_min, setup_.version_max).c_str(),
              identity_name(hello_.initiator).c_str(),
              versions_name(hello_.version_min, hello_.version_max).c_str(), older.id.c_str()),
       out);
  return false;
}

// Who adopts judges by the Challenge who is here.
bool Acceptor::check_identity(std::string& out) {
  if (hello_.kind != ConnectionKind::kAdopt && hello_.initiator.node == setup_.self.node) {
    fail(RefusalCode::kWrongIdentity,
         format("%s dialed itself; two members have one address, or a directory was copied",
                identity_name(setup_.self).c_str()),
         out);
    return false;
  }
  if (hello_.expected.node != raft::kNobody && hello_.expected.node != setup_.self.node) {
    fail(RefusalCode::kWrongIdentity,
         format("%s is not here, this is %s", identity_name(hello_.expected).c_str(),
                identity_name(setup_.self).c_str()),
         out);
    return false;
  }
  return true;
}

// Who adopts has a cluster of its own, and judges this node by that.
bool Acceptor::check_semantics(std::string& out) {
  if (hello_.kind == ConnectionKind::kAdopt || hello_.semantics >= setup_.semantics_level) return true;
  fail(RefusalCode::kSemantics, semantics_refusal(hello_.initiator, hello_.semantics, setup_.semantics_level), out);
  return false;
}

bool Acceptor::check_cluster(std::string& out) {
  if (hello_.kind == ConnectionKind::kAdopt) return true;
  if (setup_.cluster.empty()) {
    fail(RefusalCode::kNoCluster,
         format("%s is in no cluster yet; JOIN takes it into one", identity_name(setup_.self).c_str()),
         out);
    return false;
  }
  if (hello_.cluster != setup_.cluster) {
    fail(RefusalCode::kAnotherCluster,
         format("%s is in cluster %s, %s in cluster %s", identity_name(setup_.self).c_str(),
                cluster_name(setup_.cluster).c_str(), identity_name(hello_.initiator).c_str(),
                cluster_name(hello_.cluster).c_str()),
         out);
    return false;
  }
  return true;
}

HandshakeStep Acceptor::on_hello(std::string_view payload, std::string& out) {
  const base::Status status = decode_payload(payload, hello_);
  if (!status.is_ok()) return fail(RefusalCode::kMalformed, status.text(), out);
  if (hello_.initiator.node == raft::kNobody)
    return fail(RefusalCode::kMalformed, "malformed Hello: initiator.node", out);
  if (hello_.group != kGroup) {
    return fail(RefusalCode::kMalformed,
                format("there is no group %u here, only group %u", hello_.group, kGroup), out);
  }
  // Another cluster before another identity: a directory that was made anew is both, and the first
  // sentence is the one that says so.
  if (!check_version(out) || !check_cluster(out) || !check_identity(out) || !check_semantics(out)) return step_;
  send_challenge(payload, out);
  return step_;
}

void Acceptor::send_challenge(std::string_view hello_payload, std::string& out) {
  challenge_.features = hello_.features & setup_.features;
  challenge_.semantics = setup_.semantics;
  challenge_.cluster = setup_.cluster;
  challenge_.acceptor = setup_.self;
  challenge_.nonce = setup_.nonce;
  challenge_.state = setup_.state;
  challenge_.was_member = setup_.was_member ? 1 : 0;
  challenge_.client_address = setup_.client_address;
  const bool adopts = hello_.kind == ConnectionKind::kAdopt;
  transcript_ = handshake_transcript(hello_payload, encode_payload(challenge_), challenge_);
  if (!adopts) challenge_.mac = handshake_mac(HandshakeSide::kAcceptor, setup_.secret, transcript_);
  put_frame(out, FrameType::kChallenge, encode_payload(challenge_));
  await_ = adopts ? Await::kAdopt : Await::kProof;
}

HandshakeStep Acceptor::on_proof(std::string_view payload, std::string& out) {
  Proof proof;
  const base::Status status = decode_payload(payload, proof);
  if (!status.is_ok()) return fail(RefusalCode::kMalformed, status.text(), out);
  const std::string expected = handshake_mac(HandshakeSide::kInitiator, setup_.secret, transcript_);
  if (!base::equal_in_constant_time(proof.mac, expected)) {
    return fail(RefusalCode::kWrongSecret,
                format("%s does not know the secret of cluster %s",
                       identity_name(hello_.initiator).c_str(), cluster_name(setup_.cluster).c_str()),
                out);
  }
  // Only now: whoever knows the secret may be told who is a member, and only from one who proved that
  // it knows it will the other side believe it.
  if (setup_.was_removed && setup_.was_removed(hello_.initiator.node)) {
    return fail(RefusalCode::kRemoved,
                format("%s was removed from cluster %s", identity_name(hello_.initiator).c_str(),
                       cluster_name(setup_.cluster).c_str()),
                out);
  }
  put_frame(out, FrameType::kWelcome, encode_payload(Welcome{}));
  await_ = Await::kNothing;
  return step_ = HandshakeStep::kDone;
}

// Whoever takes a node in gives it a new life, and gets its clients: with a password not everybody may.
bool Acceptor::check_password(std::string& out) {
  if (setup_.password.empty() || has_adoption_proof(setup_.password, transcript_, adoption_)) return true;
  const std::string self = identity_name(setup_.self);
  fail(RefusalCode::kWrongSecret,
       adoption_.proofs.empty()
           ? format("%s has a password, and %s, which wants to take it in, shows that it knows none: set the same requirepass "
                    "on all nodes of the cluster; a node with an older program is to be upgraded first",
                    self.c_str(), identity_name(hello_.initiator).c_str())
           : format("%s has another password than %s, which wants to take it in; give it the requirepass of the cluster that "
                    "it is to enter as join-password",
                    self.c_str(), identity_name(hello_.initiator).c_str()),
       out);
  return false;
}

HandshakeStep Acceptor::on_adopt(std::string_view payload, std::string& out) {
  const base::Status status = decode_payload(payload, adoption_);
  if (!status.is_ok()) return fail(RefusalCode::kMalformed, status.text(), out);
  if (adoption_.adopted.node != setup_.self.node) {
    return fail(RefusalCode::kWrongIdentity,
                format("%s is not here, this is %s", identity_name(adoption_.adopted).c_str(),
                       identity_name(setup_.self).c_str()),
                out);
  }
  if (setup_.state == AcceptorState::kMember) {
    return fail(RefusalCode::kAlreadyMember,
                format("%s is already a member of cluster %s", identity_name(setup_.self).c_str(),
                       cluster_name(setup_.cluster).c_str()),
                out);
  }
  if (!check_password(out)) return step_;
  await_ = Await::kNothing;
  return step_ = HandshakeStep::kAdoptionAsked;
}

HandshakeStep Acceptor::answer_adoption(const base::Status& status, std::string& out) {
  // The initiator may have gone or misbehaved while the answer was being made.
  if (step_ == HandshakeStep::kFailed) return step_;
  LETO_ASSERT(step_ == HandshakeStep::kAdoptionAsked, format("step %d", static_cast<int>(step_)));
  if (!status.is_ok()) return fail(RefusalCode::kAdoptionRefused, status.text(), out);
  put_frame(out, FrameType::kWelcome, encode_payload(Welcome{}));
  return step_ = HandshakeStep::kDone;
}

}  // namespace leto::peer
