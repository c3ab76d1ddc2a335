// Both machines against each other, and against everyone who should not get through.
#include "peer/handshake.h"

#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "peer/handshake_proof.h"
#include "tests/peer/handshake_line.h"
#include "tests/peer/samples.h"

namespace leto::peer {
namespace {

using test::check_both_failed;
using test::kCluster;
using test::kFirst;
using test::kSecond;
using test::kSecret;
using test::Line;
using test::sample_hello;
using test::sample_member;

const std::string kSecretText{kSecret};

TEST_CASE("handshake: two members of one cluster get through, on both kinds of connection") {
  for (const ConnectionKind kind : {ConnectionKind::kControl, ConnectionKind::kBulk}) {
    Line line(sample_hello(kind), sample_member());
    line.run();
    CHECK(line.initiator.step() == HandshakeStep::kDone);
    CHECK(line.acceptor.step() == HandshakeStep::kDone);
    CHECK(line.acceptor.hello() == sample_hello(kind));
    CHECK(line.initiator.challenge() == line.acceptor.challenge());
    CHECK(line.initiator.challenge().acceptor == Identity{kSecond, "id2"});
    CHECK(line.seen.size() == 4);
  }
}

TEST_CASE("handshake: an initiator that does not know who is there gets through and learns it") {
  Hello hello = sample_hello(ConnectionKind::kControl);
  hello.expected = {};
  Line line(hello, sample_member());
  line.run();
  CHECK(line.initiator.step() == HandshakeStep::kDone);
  CHECK(line.initiator.challenge().client_address == "127.0.0.1:6379");
}

TEST_CASE("handshake: the highest common version and the common features are chosen") {
  Hello hello = sample_hello(ConnectionKind::kControl);
  hello.version_min = 2;
  hello.version_max = 5;
  hello.features = 0b0110;
  AcceptorSetup setup = sample_member();
  setup.version_min = 1;
  setup.version_max = 4;
  setup.features = 0b0011;
  Line line(hello, setup);
  line.run();
  REQUIRE(line.initiator.step() == HandshakeStep::kDone);
  CHECK(line.initiator.challenge().version == 4);
  CHECK(line.initiator.challenge().features == 0b0010);
}

TEST_CASE("handshake: without a common version the sentence says who is to be upgraded") {
  Hello hello = sample_hello(ConnectionKind::kControl);
  hello.version_min = 2;
  hello.version_max = 3;
  Line old_acceptor(hello, sample_member());
  old_acceptor.run();
  check_both_failed(old_acceptor, RefusalCode::kVersion, true);
  CHECK(old_acceptor.initiator.refusal().sentence ==
        "id2 (uid b1b2b3b4b5b6b7b8) speaks version 1 of the peer protocol, id1 (uid a1a2a3a4a5a6a7a8) "
        "speaks "
        "versions 2 to 3; upgrade id2");

  AcceptorSetup setup = sample_member();
  setup.version_min = setup.version_max = 9;
  Line old_initiator(sample_hello(ConnectionKind::kControl), setup);
  old_initiator.run();
  check_both_failed(old_initiator, RefusalCode::kVersion, true);
  CHECK(old_initiator.acceptor.refusal().sentence.find("upgrade id1") != std::string::npos);
}

TEST_CASE("handshake: a node of another cluster is refused and both clusters are named") {
  Hello hello = sample_hello(ConnectionKind::kControl);
  hello.cluster = "another--cluster";
  Line line(hello, sample_member());
  line.run();
  check_both_failed(line, RefusalCode::kAnotherCluster, true);
  const std::string& sentence = line.initiator.refusal().sentence;
  CHECK(sentence.find(cluster_name(kCluster)) != std::string::npos);
  CHECK(sentence.find(cluster_name("another--cluster")) != std::string::npos);
  CHECK_FALSE(line.initiator.refusal().peer_proved);
}

TEST_CASE("handshake: a founder that came up empty sees which id the other cluster expected of it") {
  AcceptorSetup setup = sample_member();
  setup.cluster = "founded-just-now";
  setup.state = AcceptorState::kFounderWithoutData;
  setup.self.node = 99;
  Line line(sample_hello(ConnectionKind::kControl), setup);
  line.run();
  check_both_failed(line, RefusalCode::kAnotherCluster, true);
  CHECK(line.acceptor.hello().cluster == kCluster);
  CHECK(line.acceptor.hello().expected == Identity{kSecond, "id2"});
}

TEST_CASE("handshake: a node in no cluster refuses a member's connection and says what to do") {
  Line line(sample_hello(ConnectionKind::kControl), test::sample_empty());
  line.run();
  check_both_failed(line, RefusalCode::kNoCluster, true);
  CHECK(line.acceptor.refusal().sentence ==
        "id2 (uid b1b2b3b4b5b6b7b8) is in no cluster yet; JOIN takes it into one");
}

TEST_CASE("handshake: another incarnation than the expected one refuses and names both") {
  AcceptorSetup setup = sample_member();
  setup.self = {0x77, "id2"};
  Line line(sample_hello(ConnectionKind::kControl), setup);
  line.run();
  check_both_failed(line, RefusalCode::kWrongIdentity, true);
  CHECK(line.acceptor.refusal().sentence ==
        "id2 (uid b1b2b3b4b5b6b7b8) is not here, this is id2 (uid 0000000000000077)");
}

TEST_CASE("handshake: a node that dials itself is refused") {
  Hello hello = sample_hello(ConnectionKind::kControl);
  hello.initiator = {kSecond, "id2"};
  Line line(hello, sample_member());
  line.run();
  check_both_failed(line, RefusalCode::kWrongIdentity, true);
  CHECK(line.acceptor.refusal().sentence.find("dialed itself") != std::string::npos);
}

TEST_CASE("handshake: the initiator refuses an acceptor with another secret before it proves anything") {
  Line line(sample_hello(ConnectionKind::kControl), sample_member(), "some other secret of 32 bytes...");
  line.run();
  check_both_failed(line, RefusalCode::kWrongSecret, false);
  for (const test::OwnedFrame& frame : line.seen) CHECK(frame.type != FrameType::kProof);
}

TEST_CASE("handshake: the acceptor refuses a proof made with another secret") {
  Line line(sample_hello(ConnectionKind::kControl), sample_member());
  line.touch = [](test::OwnedFrame& frame) {
    if (frame.type == FrameType::kProof)
      frame.payload = encode_payload(Proof{std::string(kMacBytes, 'x')});
  };
  line.run();
  check_both_failed(line, RefusalCode::kWrongSecret, true);
  CHECK(line.acceptor.refusal().sentence ==
        "id1 (uid a1a2a3a4a5a6a7a8) does not know the secret of cluster " + cluster_name(kCluster));
}

TEST_CASE("handshake: a removed member is told so, by one that has proved to know the secret") {
  AcceptorSetup setup = sample_member();
  setup.was_removed = [](raft::NodeId node) { return node == kFirst; };
  Line line(sample_hello(ConnectionKind::kControl), setup);
  line.run();
  check_both_failed(line, RefusalCode::kRemoved, true);
  CHECK(line.initiator.refusal().peer_proved);
}

TEST_CASE("handshake: a changed bit of Hello or Challenge under way is always found") {
  Line untouched(sample_hello(ConnectionKind::kControl), sample_member());
  untouched.run();
  for (const FrameType type : {FrameType::kHello, FrameType::kChallenge, FrameType::kProof}) {
    CAPTURE(frame_type_name(type));
    const size_t index = type == FrameType::kHello ? 0 : type == FrameType::kChallenge ? 1 : 2;
    const size_t bits = untouched.seen[index].payload.size() * 8;
    for (size_t bit = 0; bit < bits; ++bit) {
      Line line(sample_hello(ConnectionKind::kControl), sample_member());
      line.touch = [&](test::OwnedFrame& frame) {
        if (frame.type == type)
          frame.payload[bit / 8] = static_cast<char>(frame.payload[bit / 8] ^ (1 << (bit % 8)));
      };
      line.run();
      REQUIRE(line.acceptor.step() != HandshakeStep::kDone);
      REQUIRE(line.initiator.step() != HandshakeStep::kDone);
    }
  }
}

TEST_CASE("handshake: a recorded Hello and Proof played back get nowhere, as the nonce is another") {
  Line recorded(sample_hello(ConnectionKind::kControl), sample_member());
  recorded.run();
  REQUIRE(recorded.acceptor.step() == HandshakeStep::kDone);

  AcceptorSetup later = sample_member();
  later.nonce = std::string(kNonceBytes, 'L');
  Acceptor acceptor(later);
  std::string out;
  CHECK(acceptor.on_frame(recorded.seen[0].view(), out) == HandshakeStep::kGoOn);
  CHECK(acceptor.on_frame(recorded.seen[2].view(), out) == HandshakeStep::kFailed);
  CHECK(acceptor.refusal().code == RefusalCode::kWrongSecret);
}

TEST_CASE("handshake: a recorded Challenge played back does not convince the initiator") {
  Line recorded(sample_hello(ConnectionKind::kControl), sample_member());
  recorded.run();
  Hello hello = sample_hello(ConnectionKind::kControl);
  hello.nonce = std::string(kNonceBytes, 'L');
  Initiator initiator(hello, kSecretText);
  std::string out;
  initiator.start(out);
  CHECK(initiator.on_frame(recorded.seen[1].view(), out) == HandshakeStep::kFailed);
  CHECK(initiator.refusal().code == RefusalCode::kWrongSecret);
}

TEST_CASE("handshake: the acceptor's own mac sent back to it is no proof") {
  Line line(sample_hello(ConnectionKind::kControl), sample_member());
  std::string mac;
  line.touch = [&](test::OwnedFrame& frame) {
    if (frame.type == FrameType::kChallenge)
      mac = frame.payload.substr(frame.payload.size() - kMacBytes);
    if (frame.type == FrameType::kProof) frame.payload = encode_payload(Proof{mac});
  };
  line.run();
  check_both_failed(line, RefusalCode::kWrongSecret, true);
}

TEST_CASE(
    "handshake: a signed challenge of another member or cluster than the expected one is refused") {
  // The acceptor checks first; here it does not, as an impostor would not.
  const auto challenge_as = [](const AcceptorSetup& setup) {
    Hello hello = sample_hello(ConnectionKind::kControl);
    hello.expected = {};
    hello.cluster = setup.cluster;
    Acceptor acceptor(setup);
    std::string hello_frame, out;
    put_frame(hello_frame, FrameType::kHello, encode_payload(hello));
    acceptor.on_frame(test::cut(hello_frame)[0].view(), out);
    return test::cut(out)[0];
  };
  AcceptorSetup other_node = sample_member();
  other_node.self = {0x77, "id7"};
  AcceptorSetup other_cluster = sample_member();
  other_cluster.cluster = "another--cluster";
  for (const auto& [setup, code] : {std::pair{other_node, RefusalCode::kWrongIdentity},
                                    std::pair{other_cluster, RefusalCode::kAnotherCluster}}) {
    Initiator initiator(sample_hello(ConnectionKind::kControl), kSecretText);
    std::string out;
    initiator.start(out);
    CHECK(initiator.on_frame(challenge_as(setup).view(), out) == HandshakeStep::kFailed);
    CHECK(initiator.refusal().code == code);
    CHECK_FALSE(initiator.refusal().by_peer);
  }
}

TEST_CASE("handshake: a challenge that was not asked for this way is refused") {
  const auto step_of = [](const std::function<void(Challenge&)>& change) {
    Challenge challenge;
    challenge.cluster = kCluster;
    challenge.acceptor = {kSecond, "id2"};
    challenge.nonce = std::string(kNonceBytes, 'n');
    challenge.mac = std::string(kMacBytes, 'm');
    change(challenge);
    std::string frame, out;
    put_frame(frame, FrameType::kChallenge, encode_payload(challenge));
    Initiator initiator(sample_hello(ConnectionKind::kControl), kSecretText);
    initiator.start(out);
    initiator.on_frame(test::cut(frame)[0].view(), out);
    REQUIRE(initiator.step() == HandshakeStep::kFailed);
    return initiator.refusal().code;
  };
  CHECK(step_of([](Challenge& challenge) { challenge.mac.clear(); }) == RefusalCode::kMalformed);
  CHECK(step_of([](Challenge& challenge) { challenge.features = 1; }) == RefusalCode::kMalformed);
  CHECK(step_of([](Challenge& challenge) { challenge.version = 2; }) == RefusalCode::kVersion);
  CHECK(step_of([](Challenge& challenge) { challenge.acceptor.node = 0; }) == RefusalCode::kMalformed);
  CHECK(step_of([](Challenge&) {}) == RefusalCode::kWrongSecret);
}

TEST_CASE("handshake: frames out of order are refused on both sides") {
  std::string out;
  for (const FrameType type :
       {FrameType::kProof, FrameType::kAdopt, FrameType::kWelcome, FrameType::kRefuse,
        FrameType::kChallenge, FrameType::kAppendEntries, FrameType{99}}) {
    CAPTURE(static_cast<int>(type));
    Acceptor acceptor(sample_member());
    CHECK(acceptor.on_frame({.type = type, .payload = {}}, out) == HandshakeStep::kFailed);
    CHECK(acceptor.refusal().code == RefusalCode::kBadOrder);
  }
  for (const FrameType type : {FrameType::kHello, FrameType::kProof, FrameType::kAdopt,
                               FrameType::kWelcome, FrameType::kAppendEntries}) {
    CAPTURE(static_cast<int>(type));
    Initiator initiator(sample_hello(ConnectionKind::kControl), kSecretText);
    initiator.start(out);
    CHECK(initiator.on_frame({.type = type, .payload = {}}, out) == HandshakeStep::kFailed);
    CHECK(initiator.refusal().code == RefusalCode::kBadOrder);
  }
}

TEST_CASE("handshake: Adopt on a control connection and Proof on an adopt connection are out of order") {
  std::string bytes, out;
  put_frame(bytes, FrameType::kAdopt, encode_payload(test::sample_adopt()));
  for (const auto& [kind, type] : {std::pair{ConnectionKind::kControl, FrameType::kAdopt},
                                   std::pair{ConnectionKind::kAdopt, FrameType::kProof}}) {
    Acceptor acceptor(sample_member());
    const std::string hello = encode_payload(sample_hello(kind));
    REQUIRE(acceptor.on_frame({.type = FrameType::kHello, .payload = hello}, out) ==
            HandshakeStep::kGoOn);
    CHECK(acceptor.on_frame({.type = type, .payload = {}}, out) == HandshakeStep::kFailed);
    CHECK(acceptor.refusal().code == RefusalCode::kBadOrder);
  }
}

TEST_CASE("handshake: too large a frame and a broken stream are refused with the reader's sentence") {
  Acceptor acceptor(sample_member());
  FrameReader reader;
  std::string large, out;
  put_frame(large, FrameType::kHello, std::string(2000, 'x'));
  reader.feed(large);
  Frame frame;
  REQUIRE_FALSE(reader.next(frame));
  CHECK(acceptor.on_frame_error(reader.error(), reader.error_text(), out) == HandshakeStep::kFailed);
  CHECK(acceptor.refusal().code == RefusalCode::kTooLarge);
  Refuse refuse;
  REQUIRE(decode_payload(test::cut(out)[0].payload, refuse).is_ok());
  CHECK(refuse ==
        Refuse{RefusalCode::kTooLarge, "a Hello frame of 2020 bytes; at most 1024 are allowed now"});

  Initiator initiator(sample_hello(ConnectionKind::kControl), kSecretText);
  initiator.start(out);
  CHECK(initiator.on_frame_error(FrameError::kBadMagic, "not Leto", out) == HandshakeStep::kFailed);
  CHECK(initiator.refusal().code == RefusalCode::kMalformed);
}

TEST_CASE("handshake: after a failure both sides are silent") {
  Acceptor acceptor(sample_member());
  std::string out;
  acceptor.on_frame({.type = FrameType::kProof, .payload = {}}, out);
  out.clear();
  const std::string hello = encode_payload(sample_hello(ConnectionKind::kControl));
  CHECK(acceptor.on_frame({.type = FrameType::kHello, .payload = hello}, out) == HandshakeStep::kFailed);
  CHECK(acceptor.on_frame_error(FrameError::kBadMagic, "x", out) == HandshakeStep::kFailed);
  CHECK(out.empty());

  Initiator initiator(sample_hello(ConnectionKind::kControl), kSecretText);
  initiator.start(out);
  const std::string refusal = encode_payload(Refuse{RefusalCode::kNoCluster, "not yet"});
  out.clear();
  CHECK(initiator.on_frame({.type = FrameType::kRefuse, .payload = refusal}, out) ==
        HandshakeStep::kFailed);
  CHECK(initiator.on_frame({.type = FrameType::kWelcome, .payload = {}}, out) == HandshakeStep::kFailed);
  CHECK(out.empty());
  CHECK(initiator.refusal().sentence == "not yet");
}

TEST_CASE("handshake: group 1 and an initiator without a uid are refused") {
  std::string out;
  Hello hello = sample_hello(ConnectionKind::kControl);
  hello.group = 1;
  Acceptor acceptor(sample_member());
  const std::string payload = encode_payload(hello);
  CHECK(acceptor.on_frame({.type = FrameType::kHello, .payload = payload}, out) ==
        HandshakeStep::kFailed);
  CHECK(acceptor.refusal().sentence == "there is no group 1 here, only group 0");

  hello = sample_hello(ConnectionKind::kControl);
  hello.initiator.node = raft::kNobody;
  Acceptor second(sample_member());
  const std::string nobody = encode_payload(hello);
  CHECK(second.on_frame({.type = FrameType::kHello, .payload = nobody}, out) == HandshakeStep::kFailed);
  CHECK(second.refusal().code == RefusalCode::kMalformed);
}

TEST_CASE("handshake: both sides learn up to which semantics level the other goes") {
  Hello hello = sample_hello(ConnectionKind::kControl);
  hello.semantics = 2;
  AcceptorSetup setup = sample_member();
  setup.semantics = 3;
  setup.semantics_level = 2;
  Line line(hello, setup, kSecretText, 2);
  line.run();
  REQUIRE(line.initiator.step() == HandshakeStep::kDone);
  CHECK(line.initiator.challenge().semantics == 3);
  CHECK(line.acceptor.hello().semantics == 2);
}

TEST_CASE("handshake: who cannot apply the cluster's semantics level is refused by either side") {
  AcceptorSetup raised = sample_member();
  raised.semantics = raised.semantics_level = 2;
  Line old_initiator(sample_hello(ConnectionKind::kBulk), raised);
  old_initiator.run();
  check_both_failed(old_initiator, RefusalCode::kSemantics, true);
  CHECK(old_initiator.initiator.refusal().sentence ==
        "id1 (uid a1a2a3a4a5a6a7a8) supports semantics up to level 1, the cluster is at level 2; upgrade id1");
  Hello hello = sample_hello(ConnectionKind::kControl);
  hello.semantics = 2;
  Line old_acceptor(hello, sample_member(), kSecretText, 2);
  old_acceptor.run();
  check_both_failed(old_acceptor, RefusalCode::kSemantics, false);
  CHECK(old_acceptor.initiator.refusal().sentence ==
        "id2 (uid b1b2b3b4b5b6b7b8) supports semantics up to level 1, the cluster is at level 2; upgrade id2");
}

TEST_CASE("handshake: before the level is raised, nodes of both versions get through") {
  Hello hello = sample_hello(ConnectionKind::kControl);
  hello.semantics = 2;
  Line line(hello, sample_member());
  line.run();
  CHECK(line.acceptor.step() == HandshakeStep::kDone);
  CHECK(line.initiator.challenge().semantics == 1);
}

}  // namespace
}  // namespace leto::peer
