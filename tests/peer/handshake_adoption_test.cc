// Adoption: a leader asks a node without a cluster who it is, and takes it in.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "peer/handshake.h"
#include "peer/handshake_proof.h"
#include "tests/peer/handshake_line.h"
#include "tests/peer/samples.h"

namespace leto::peer {
namespace {

using test::check_both_failed;
using test::kCluster;
using test::kSecond;
using test::Line;
using test::sample_hello;
using test::sample_member;

// A leader asks who is at an address it was given.
Hello asking() {
  Hello hello = sample_hello(ConnectionKind::kAdopt);
  hello.expected = {};
  return hello;
}

TEST_CASE("adoption: the leader learns who is there, without a mac, and may stop") {
  Line line(asking(), test::sample_empty(), "");
  line.run();
  REQUIRE(line.initiator.step() == HandshakeStep::kAnswered);
  const Challenge& challenge = line.initiator.challenge();
  CHECK(challenge.acceptor == Identity{kSecond, "id2"});
  CHECK(challenge.state == AcceptorState::kEmpty);
  CHECK(challenge.cluster.empty());
  CHECK(challenge.mac.empty());
  CHECK(line.acceptor.step() == HandshakeStep::kGoOn);
}

TEST_CASE("adoption: an empty node and a founder without data can be taken in") {
  AcceptorSetup founder = sample_member();
  founder.cluster = "founded-just-now";
  founder.state = AcceptorState::kFounderWithoutData;
  for (const AcceptorSetup& setup : {test::sample_empty(), founder}) {
    Line line(asking(), setup, "");
    line.run();
    REQUIRE(line.initiator.step() == HandshakeStep::kAnswered);
    std::string bytes;
    CHECK(line.initiator.adopt(test::sample_adopt(), {}, bytes) == HandshakeStep::kGoOn);
    line.deliver(bytes);
    REQUIRE(line.acceptor.step() == HandshakeStep::kAdoptionAsked);
    CHECK(line.acceptor.adoption() == test::sample_adopt());
    CHECK(line.initiator.step() == HandshakeStep::kGoOn);  // No Welcome before the caller says so.

    std::string welcome;
    CHECK(line.acceptor.answer_adoption(base::Status::ok(), welcome) == HandshakeStep::kDone);
    CHECK(line.initiator.on_frame(test::cut(welcome)[0].view(), bytes) == HandshakeStep::kDone);
  }
}

// Carries the line on to the acceptor's answer to an Adopt by a leader that knows these passwords.
void offer(Line& line, const std::vector<std::string>& known) {
  line.run();
  REQUIRE(line.initiator.step() == HandshakeStep::kAnswered);
  std::string bytes;
  line.initiator.adopt(test::sample_adopt(), known, bytes);
  line.deliver(bytes);
}

AcceptorSetup guarded_node() {
  AcceptorSetup setup = test::sample_empty();
  setup.password = "a password";
  return setup;
}

TEST_CASE("adoption: a node with a password is taken in by who knows it, among its two") {
  for (const std::vector<std::string>& known : std::vector<std::vector<std::string>>{
           {"a password"}, {"another", "a password"}, {"a password", "another"}}) {
    Line line(asking(), guarded_node(), "");
    offer(line, known);
    CHECK(line.acceptor.step() == HandshakeStep::kAdoptionAsked);
  }
}

TEST_CASE("adoption: a node with a password is not taken in by who knows none, or others") {
  using Passwords = std::vector<std::string>;
  for (const Passwords& known : std::vector<Passwords>{{}, {"another"}, {"a passworD", "a passwor"}}) {
    Line line(asking(), guarded_node(), "");
    offer(line, known);
    check_both_failed(line, RefusalCode::kWrongSecret, true);
    const std::string& sentence = line.initiator.refusal().sentence;
    CHECK(sentence.starts_with("id2 (uid b1b2b3b4b5b6b7b8) has a"));
    CHECK(sentence.find(known.empty() ? "set the same requirepass" : "as join-password") != std::string::npos);
  }
}

TEST_CASE("adoption: a node without a password is taken in by anybody, with or without one") {
  for (const std::vector<std::string>& known : std::vector<std::vector<std::string>>{{}, {"another"}}) {
    Line line(asking(), test::sample_empty(), "");
    offer(line, known);
    CHECK(line.acceptor.step() == HandshakeStep::kAdoptionAsked);
  }
}

TEST_CASE("adoption: a proof is good for the cluster and secret that it came with, and for no other") {
  for (std::string Adopt::*field : {&Adopt::cluster, &Adopt::secret}) {
    Line line(asking(), guarded_node(), "");
    line.touch = [field](test::OwnedFrame& frame) {
      if (frame.type != FrameType::kAdopt) return;
      Adopt adopt;
      REQUIRE(decode_payload(frame.payload, adopt).is_ok());
      (adopt.*field).front() ^= 1;
      frame.payload = encode_payload(adopt);
    };
    offer(line, {"a password"});
    check_both_failed(line, RefusalCode::kWrongSecret, true);
  }
}

TEST_CASE("adoption: a recording cannot be played back") {
  Line line(asking(), guarded_node(), "");
  offer(line, {"a password"});
  REQUIRE(line.acceptor.step() == HandshakeStep::kAdoptionAsked);
  AcceptorSetup later = guarded_node();
  later.nonce.front() ^= 1;
  Acceptor acceptor(later);
  std::string out;
  for (const test::OwnedFrame& frame : line.seen) {
    if (frame.type == FrameType::kHello || frame.type == FrameType::kAdopt) acceptor.on_frame(frame.view(), out);
  }
  REQUIRE(acceptor.step() == HandshakeStep::kFailed);
  CHECK(acceptor.refusal().code == RefusalCode::kWrongSecret);
}

TEST_CASE("adoption: a member is not adopted and says of which cluster it is one") {
  Line line(asking(), sample_member(), "");
  line.run();
  REQUIRE(line.initiator.step() == HandshakeStep::kAnswered);
  CHECK(line.initiator.challenge().state == AcceptorState::kMember);
  std::string bytes;
  line.initiator.adopt(test::sample_adopt(), {}, bytes);
  line.deliver(bytes);
  check_both_failed(line, RefusalCode::kAlreadyMember, true);
  CHECK(line.acceptor.refusal().sentence ==
        "id2 (uid b1b2b3b4b5b6b7b8) is already a member of cluster " + cluster_name(kCluster));
}

TEST_CASE("adoption: the node may say no, with its own reason") {
  Line line(asking(), test::sample_empty(), "");
  line.run();
  std::string bytes;
  line.initiator.adopt(test::sample_adopt(), {}, bytes);
  line.deliver(bytes);
  std::string refusal;
  CHECK(line.acceptor.answer_adoption(base::Status::error("the disk is full"), refusal) ==
        HandshakeStep::kFailed);
  CHECK(line.initiator.on_frame(test::cut(refusal)[0].view(), bytes) == HandshakeStep::kFailed);
  CHECK(line.initiator.refusal().code == RefusalCode::kAdoptionRefused);
  CHECK(line.initiator.refusal().sentence == "the disk is full");
}

TEST_CASE("adoption: answers that come too late, after the other side misbehaved, do nothing") {
  Line line(asking(), test::sample_empty(), "");
  line.run();
  std::string bytes;
  line.initiator.adopt(test::sample_adopt(), {}, bytes);
  line.deliver(bytes);
  REQUIRE(line.acceptor.step() == HandshakeStep::kAdoptionAsked);
  bytes.clear();
  CHECK(line.acceptor.on_frame({.type = FrameType::kProof, .payload = {}}, bytes) ==
        HandshakeStep::kFailed);
  bytes.clear();
  CHECK(line.acceptor.answer_adoption(base::Status::ok(), bytes) == HandshakeStep::kFailed);

  Line other(asking(), test::sample_empty(), "");
  other.run();
  CHECK(other.initiator.on_frame({.type = FrameType::kWelcome, .payload = {}}, bytes) ==
        HandshakeStep::kFailed);
  bytes.clear();
  CHECK(other.initiator.adopt(test::sample_adopt(), {}, bytes) == HandshakeStep::kFailed);
  CHECK(bytes.empty());
}

TEST_CASE("adoption: a node is not taken in under another node's uid") {
  Acceptor acceptor(test::sample_empty());
  std::string out;
  const std::string hello = encode_payload(asking());
  REQUIRE(acceptor.on_frame({.type = FrameType::kHello, .payload = hello}, out) == HandshakeStep::kGoOn);
  Adopt adopt = test::sample_adopt();
  adopt.adopted.node = 0x77;
  const std::string payload = encode_payload(adopt);
  CHECK(acceptor.on_frame({.type = FrameType::kAdopt, .payload = payload}, out) ==
        HandshakeStep::kFailed);
  CHECK(acceptor.refusal().code == RefusalCode::kWrongIdentity);
}

TEST_CASE("adoption: an expected uid that is not there is refused at once") {
  Hello hello = asking();
  hello.expected = {0x77, "id7"};
  Line line(hello, test::sample_empty(), "");
  line.run();
  check_both_failed(line, RefusalCode::kWrongIdentity, true);
  CHECK(line.acceptor.refusal().sentence ==
        "id7 (uid 0000000000000077) is not here, this is id2 (uid b1b2b3b4b5b6b7b8)");
}

}  // namespace
}  // namespace leto::peer
