#include "server/adoption.h"

#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "peer/handshake_proof.h"
#include "server/peers.h"

namespace leto::server {

Adoption::Adoption(Peers& peers, Network::AdoptionWish wish, Network::Dialed done)
    : peers_(peers),
      wish_(std::move(wish)),
      done_(std::move(done)),
      timer_(peers.loop()),
      handshake_(peers.hello(peer::ConnectionKind::kAdopt, {}, ""), "") {
  base::Result<Address> address = parse_address(wish_.raft_address);
  if (!address.is_ok()) {
    timer_.start(0, [this] { finish(base::Status::error("'" + wish_.raft_address + "' is no address")); });
    return;
  }
  timer_.start(kTimeoutMs, [this] {
    nobody_answers(reached_ ? "no answer; is that the peers' port (raftbind) of a node?" : "no answer");
  });
  dial(peers_.loop(), address.value(), kTimeoutMs);
}

Adoption::~Adoption() = default;

void Adoption::on_reached() {
  reached_ = true;
  std::string hello;
  handshake_.start(hello);
  say(std::move(hello));
}

void Adoption::on_bytes(std::string_view bytes) {
  if (bytes.starts_with('-') && frames_.buffered() == 0) return on_client_port(bytes.substr(1));
  frames_.feed(bytes);
  peer::Frame frame;
  while (!finished() && frames_.next(frame)) on_frame(frame);
  if (!finished() && frames_.error() != peer::FrameError::kNone) on_failure(frames_.error_text());
}

// It answers as to a client; no frame begins so.
void Adoption::on_client_port(std::string_view answer) {
  const std::string_view line = answer.substr(0, answer.find_first_of("\r\n"));
  on_failure(peer::fit_sentence("that is no peers' port (raftbind), it answers as to a client: " + std::string(line)));
}

void Adoption::on_frame(const peer::Frame& frame) {
  std::string answer;
  const peer::HandshakeStep step = handshake_.on_frame(frame, answer);
  if (step == peer::HandshakeStep::kAnswered) on_challenge(answer);
  if (finished()) return;
  say(std::move(answer));
  if (finished()) return;
  if (step == peer::HandshakeStep::kDone) return succeed();
  if (step == peer::HandshakeStep::kFailed) on_refusal();
}

std::string Adoption::objection(const peer::Challenge& challenge) const {
  const peer::Identity& there = challenge.acceptor;
  if (wish_.expected != raft::kNobody && there.node != wish_.expected) {
    return "another node answers there: " + there.id;
  }
  if (there.node == peers_.self().identity.node) return "that is the address of " + there.id + " itself, which leads";
  if (challenge.semantics < peers_.semantics_level()) {
    return peer::semantics_refusal(there, challenge.semantics, peers_.semantics_level());
  }
  if (challenge.cluster == peers_.self().identity.cluster_id) return {};
  if (challenge.state == peer::AcceptorState::kMember) {
    return base::format("node %s is a member of another cluster, %s, or has data of its own; start it with an "
                        "empty -raftdir",
                        there.id.c_str(), peer::cluster_name(challenge.cluster).c_str());
  }
  return {};
}

void Adoption::on_challenge(std::string& answer) {
  const peer::Challenge& challenge = handshake_.challenge();
  if (const std::string why = objection(challenge); !why.empty()) return on_failure(why);
  const storage::Identity& self = peers_.self().identity;
  const bool ours = challenge.cluster == self.cluster_id;
  // Who is called otherwise is not taken in; whoever asked decides what to say.
  if (ours || !wish_.takes_in || challenge.acceptor.id != wish_.id) return succeed();
  handshake_.adopt({.cluster = self.cluster_id, .secret = self.cluster_secret, .adopted = challenge.acceptor, .proofs = {}},
                   peers_.passwords(), answer);
}

void Adoption::succeed() {
  const peer::Challenge& challenge = handshake_.challenge();
  Network::Found found;
  found.member.node = challenge.acceptor.node;
  found.member.id = challenge.acceptor.id;
  found.member.raft_address = wish_.raft_address;
  found.member.client_address = challenge.client_address;
  const bool ours = challenge.cluster == peers_.self().identity.cluster_id;
  found.was_member = challenge.was_member != 0 && ours;
  found.is_foreign = !ours && !wish_.takes_in;
  finish(std::move(found));
}

// Whoever asked for it may be a node that nobody watches.
void Adoption::on_refusal() {
  const std::string& why = handshake_.refusal().sentence;
  if (!why.ends_with(Network::kBusy)) {
    LETO_LOG(kNotice, "%s at %s was not taken in: %s", wish_.id.c_str(), wish_.raft_address.c_str(), why.c_str());
  }
  on_failure(why);
}

void Adoption::on_failure(const std::string& why) {
  if (!reached_) return nobody_answers(why);
  finish(base::Status::error(why));
}

void Adoption::nobody_answers(const std::string& why) { finish(Network::Found{.silence = why}); }

void Adoption::finish(base::Result<Network::Found> result) {
  timer_.stop();
  hang_up();
  const Network::Dialed done = std::exchange(done_, nullptr);
  if (done) done(std::move(result));
}

}  // namespace leto::server
