// The side that dials; see handshake.h.
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/sha256.h"
#include "peer/handshake.h"
#include "peer/handshake_proof.h"

namespace leto::peer {

using base::format;

Initiator::Initiator(Hello hello, std::string secret, uint16_t semantics_level)
    : hello_(std::move(hello)), secret_(std::move(secret)), semantics_level_(semantics_level) {
  const bool adopts = hello_.kind == ConnectionKind::kAdopt;
  LETO_ASSERT(adopts || (!hello_.cluster.empty() && secret_.size() >= kSecretBytesMin),
              format("cluster id of %zu bytes, secret of %zu", hello_.cluster.size(), secret_.size()));
}

void Initiator::start(std::string& out) {
  LETO_ASSERT(hello_payload_.empty(), "a second Hello");
  hello_payload_ = encode_payload(hello_);
  put_frame(out, FrameType::kHello, hello_payload_);
}

HandshakeStep Initiator::fail(RefusalCode code, std::string sentence, std::string& out) {
  refusal_ = {.code = code,
              .sentence = fit_sentence(std::move(sentence)),
              .by_peer = false,
              .peer_proved = peer_proved_};
  put_frame(out, FrameType::kRefuse, encode_payload(Refuse{code, refusal_.sentence}));
  await_ = Await::kNothing;
  return step_ = HandshakeStep::kFailed;
}

HandshakeStep Initiator::on_refuse(std::string_view payload) {
  Refuse refuse;
  const base::Status status = decode_payload(payload, refuse);
  if (!status.is_ok()) refuse = {RefusalCode::kMalformed, status.text()};
  refusal_ = {
      .code = refuse.code, .sentence = refuse.sentence, .by_peer = true, .peer_proved = peer_proved_};
  await_ = Await::kNothing;
  return step_ = HandshakeStep::kFailed;
}

HandshakeStep Initiator::on_frame_error(FrameError error, const std::string& text, std::string& out) {
  if (step_ == HandshakeStep::kFailed) return step_;
  return fail(refusal_code(error), text, out);
}

HandshakeStep Initiator::on_frame(const Frame& frame, std::string& out) {
  LETO_ASSERT(!hello_payload_.empty() && step_ != HandshakeStep::kDone,
              "a frame before start() or after the end");
  if (step_ == HandshakeStep::kFailed) return step_;
  if (frame.type == FrameType::kRefuse) return on_refuse(frame.payload);
  if (frame.type == FrameType::kChallenge && await_ == Await::kChallenge)
    return on_challenge(frame.payload, out);
  if (frame.type == FrameType::kWelcome && await_ == Await::kWelcome)
    return on_welcome(frame.payload, out);
  return fail(
      RefusalCode::kBadOrder,
      format("a %s frame came where the handshake does not have it", frame_type_name(frame.type)), out);
}

// Who is there, and do we want it. Appends the refusal if not.
bool Initiator::check_peer(std::string& out) {
  const bool adopts = hello_.kind == ConnectionKind::kAdopt;
  if (!adopts && challenge_.cluster != hello_.cluster) {
    fail(RefusalCode::kAnotherCluster,
         format("%s is in cluster %s, this node in %s", identity_name(challenge_.acceptor).c_str(),
                cluster_name(challenge_.cluster).c_str(), cluster_name(hello_.cluster).c_str()),
         out);
    return false;
  }
  if (hello_.expected.node != raft::kNobody && challenge_.acceptor.node != hello_.expected.node) {
    fail(RefusalCode::kWrongIdentity,
         format("%s was expected here, %s answered", identity_name(hello_.expected).c_str(),
                identity_name(challenge_.acceptor).c_str()),
         out);
    return false;
  }
  if (!adopts && challenge_.semantics < semantics_level_) {
    fail(RefusalCode::kSemantics, semantics_refusal(challenge_.acceptor, challenge_.semantics, semantics_level_), out);
    return false;
  }
  return true;
}

bool Initiator::check_challenge(std::string_view payload, std::string& out) {
  const base::Status status = decode_payload(payload, challenge_);
  if (!status.is_ok()) {
    fail(RefusalCode::kMalformed, status.text(), out);
    return false;
  }
  const bool adopts = hello_.kind == ConnectionKind::kAdopt;
  const bool well_formed = challenge_.mac.empty() == adopts && challenge_.acceptor.node != raft::kNobody;
  if (!well_formed || (challenge_.features & ~hello_.features) != 0) {
    fail(RefusalCode::kMalformed, "malformed Challenge: mac, uid or features do not fit the Hello", out);
    return false;
  }
  if (challenge_.version < hello_.version_min || challenge_.version > hello_.version_max) {
    fail(RefusalCode::kVersion,
         format("%s chose protocol version %u; this node offered %s",
                identity_name(challenge_.acceptor).c_str(), challenge_.version,
                versions_name(hello_.version_min, hello_.version_max).c_str()),
         out);
    return false;
  }
  return check_peer(out);
}

HandshakeStep Initiator::on_challenge(std::string_view payload, std::string& out) {
  if (!check_challenge(payload, out)) return step_;
  transcript_ = handshake_transcript(hello_payload_, payload, challenge_);
  if (hello_.kind == ConnectionKind::kAdopt) {
    await_ = Await::kNothing;
    return step_ = HandshakeStep::kAnswered;
  }
  if (!base::equal_in_constant_time(challenge_.mac,
                                    handshake_mac(HandshakeSide::kAcceptor, secret_, transcript_))) {
    return fail(
        RefusalCode::kWrongSecret,
        format("%s does not know the secret of cluster %s; was one of the two directories copied or "
               "restored from elsewhere?",
               identity_name(challenge_.acceptor).c_str(), cluster_name(hello_.cluster).c_str()),
        out);
  }
  peer_proved_ = true;
  const Proof proof{handshake_mac(HandshakeSide::kInitiator, secret_, transcript_)};
  put_frame(out, FrameType::kProof, encode_payload(proof));
  await_ = Await::kWelcome;
  return step_;
}

HandshakeStep Initiator::adopt(Adopt adopt, const std::vector<std::string>& passwords, std::string& out) {
  // The acceptor may have gone or misbehaved while the caller made up its mind.
  if (step_ == HandshakeStep::kFailed) return step_;
  LETO_ASSERT(step_ == HandshakeStep::kAnswered, format("step %d", static_cast<int>(step_)));
  LETO_ASSERT(adopt.adopted.node == challenge_.acceptor.node,
              format("adopting %s where %s is", identity_name(adopt.adopted).c_str(),
                     identity_name(challenge_.acceptor).c_str()));
  std::string proofs;
  for (const std::string& password : passwords) proofs += adoption_proof(password, transcript_, adopt);
  adopt.proofs = std::move(proofs);
  put_frame(out, FrameType::kAdopt, encode_payload(adopt));
  await_ = Await::kWelcome;
  return step_ = HandshakeStep::kGoOn;
}

HandshakeStep Initiator::on_welcome(std::string_view payload, std::string& out) {
  Welcome welcome;
  const base::Status status = decode_payload(payload, welcome);
  if (!status.is_ok()) return fail(RefusalCode::kMalformed, status.text(), out);
  await_ = Await::kNothing;
  return step_ = HandshakeStep::kDone;
}

}  // namespace leto::peer
