// The handshake of two nodes as two pure state machines: frames in, frames out, no clock, no socket, no
// random source. Both prove that they know the cluster's secret over a transcript of what both said, so
// neither a stranger, nor a replay, nor a changed byte of Hello or Challenge gets through. Who adopts shares no secret
// with the other side yet: it shows that it knows the password, if the other side has one.
//
//   control, bulk   Hello ->  <- Challenge{mac}   Proof{mac} ->   <- Welcome
//   adopt           Hello ->  <- Challenge        Adopt{proofs} ->   <- Welcome
//
// In place of any of them either side may send Refuse, which ends it. Invariants: no mac, identity or
// cluster is believed before all of its checks passed; a machine that failed says nothing more.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "peer/frame.h"
#include "peer/handshake_message.h"

namespace leto::peer {

enum class HandshakeStep : uint8_t {
  kGoOn,           // Feed the next frame.
  kAnswered,       // Initiator of kAdopt: challenge() says who is there; adopt(), or close.
  kAdoptionAsked,  // Acceptor: adoption() says by whom; answer_adoption().
  kDone,           // The connection is up; hello() and challenge() are true.
  kFailed,         // refusal() says why; send what is in `out`, then close.
};

// Why it failed.
struct Refusal {
  RefusalCode code = RefusalCode::kBadOrder;
  std::string sentence;  // For the log, and for the operator.
  bool by_peer = false;  // The other side said so.
  // The peer had proved that it knows the secret before it said so. Only then act on kRemoved.
  bool peer_proved = false;
};

// The side that dials.
class Initiator {
 public:
  // `hello` goes out as it is; `secret` is not used for kAdopt.
  // REQUIRES: for kControl and kBulk a cluster and a secret of at least kSecretBytesMin.
  // `semantics_level`: the cluster's; who cannot apply it is refused, but for kAdopt, where the caller judges.
  Initiator(Hello hello, std::string secret, uint16_t semantics_level = kSemanticsUnsaid);

  // Appends the Hello. Once, before anything else.
  void start(std::string& out);
  // Takes one frame, appends what is to be sent.
  HandshakeStep on_frame(const Frame& frame, std::string& out);
  // The stream broke (FrameReader's error): always kFailed.
  HandshakeStep on_frame_error(FrameError error, const std::string& text, std::string& out);
  // The answer to kAnswered, with a proof of each of `passwords`; does nothing if the handshake has failed since.
  // REQUIRES: adopt.adopted.node is the acceptor's; adopt.proofs is empty; at most kAdoptProofsMax passwords, none empty.
  HandshakeStep adopt(Adopt adopt, const std::vector<std::string>& passwords, std::string& out);

  HandshakeStep step() const { return step_; }
  const Hello& hello() const { return hello_; }
  // REQUIRES: a step of kAnswered or kDone was reached. On kAnswered these are claims without proof.
  const Challenge& challenge() const { return challenge_; }
  // REQUIRES: step() == kFailed.
  const Refusal& refusal() const { return refusal_; }

 private:
  enum class Await : uint8_t { kChallenge, kNothing, kWelcome };

  HandshakeStep on_challenge(std::string_view payload, std::string& out);
  HandshakeStep on_welcome(std::string_view payload, std::string& out);
  HandshakeStep on_refuse(std::string_view payload);
  bool check_challenge(std::string_view payload, std::string& out);
  bool check_peer(std::string& out);
  HandshakeStep fail(RefusalCode code, std::string sentence, std::string& out);

  Hello hello_;
  std::string secret_;
  uint16_t semantics_level_;
  std::string hello_payload_;
  Challenge challenge_;
  std::string transcript_;
  Await await_ = Await::kChallenge;
  HandshakeStep step_ = HandshakeStep::kGoOn;
  Refusal refusal_;
  bool peer_proved_ = false;
};

// What the accepting node is when a connection arrives.
struct AcceptorSetup {
  uint32_t version_min = kProtocolVersionMin;
  uint32_t version_max = kProtocolVersionMax;
  uint64_t features = 0;
  uint16_t semantics = kSemanticsUnsaid;        // The highest level that this node can apply,
  uint16_t semantics_level = kSemanticsUnsaid;  // and the cluster's: who cannot apply that is refused.
  Identity self;
  std::string cluster;  // Empty: in none.
  std::string secret;   // Of the cluster; empty if in none.
  std::string password; // Of the cluster that may take it in; empty: any may.
  AcceptorState state = AcceptorState::kEmpty;
  bool was_member = false;  // A configuration of that cluster had it.
  std::string client_address;
  std::string nonce;  // kNonceBytes, never used before.
  // True for a node that was a member of this cluster and was removed. May be empty: none was.
  std::function<bool(raft::NodeId)> was_removed;
};

// The side that is dialed.
class Acceptor {
 public:
  // REQUIRES: with a cluster comes a secret of at least kSecretBytesMin; kEmpty means without a cluster.
  explicit Acceptor(AcceptorSetup setup);

  HandshakeStep on_frame(const Frame& frame, std::string& out);
  HandshakeStep on_frame_error(FrameError error, const std::string& text, std::string& out);
  // The answer to kAdoptionAsked, once the adoption is durable: Welcome, or a refusal with the reason.
  // Does nothing if the handshake has failed since.
  HandshakeStep answer_adoption(const base::Status& status, std::string& out);

  HandshakeStep step() const { return step_; }
  // What the initiator claims; true once step() is kDone on kControl and kBulk. A founder without data
  // looks at `cluster` and `expected` of a refused one: does another cluster list its id?
  const Hello& hello() const { return hello_; }
  const Challenge& challenge() const { return challenge_; }
  // REQUIRES: a step of kAdoptionAsked was reached.
  const Adopt& adoption() const { return adoption_; }
  // REQUIRES: step() == kFailed.
  const Refusal& refusal() const { return refusal_; }

 private:
  enum class Await : uint8_t { kHello, kProof, kAdopt, kNothing };

  HandshakeStep on_hello(std::string_view payload, std::string& out);
  HandshakeStep on_proof(std::string_view payload, std::string& out);
  HandshakeStep on_adopt(std::string_view payload, std::string& out);
  HandshakeStep on_refuse(std::string_view payload);
  bool check_version(std::string& out);
  bool check_identity(std::string& out);
  bool check_semantics(std::string& out);
  bool check_cluster(std::string& out);
  bool check_password(std::string& out);
  void send_challenge(std::string_view hello_payload, std::string& out);
  HandshakeStep fail(RefusalCode code, std::string sentence, std::string& out);

  AcceptorSetup setup_;
  Hello hello_;
  Challenge challenge_;
  Adopt adoption_;
  std::string transcript_;
  Await await_ = Await::kHello;
  HandshakeStep step_ = HandshakeStep::kGoOn;
  Refusal refusal_;
};

}  // namespace leto::peer
