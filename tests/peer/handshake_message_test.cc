#include "peer/handshake_message.h"

#include <doctest/doctest.h>

#include <string>

#include "peer/frame.h"
#include "tests/base/hex.h"
#include "tests/peer/samples.h"

namespace leto::peer {
namespace {

template <typename Type>
void check_round_trip(const Type& value) {
  const std::string payload = encode_payload(value);
  Type back;
  REQUIRE(decode_payload(payload, back).is_ok());
  CHECK(back == value);
  for (size_t size = 0; size < payload.size(); ++size) {
    Type cut;
    REQUIRE_FALSE(decode_payload(std::string_view(payload).substr(0, size), cut).is_ok());
  }
  Type longer;
  CHECK_FALSE(decode_payload(payload + '\0', longer).is_ok());
  for (size_t bit = 0; bit < payload.size() * 8; ++bit) {
    std::string bad = payload;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    Type other;
    if (!decode_payload(bad, other).is_ok()) continue;
    REQUIRE_FALSE(other == value);
    REQUIRE(encode_payload(other) == bad);
  }
}

template <typename Type>
std::string error_of(const std::string& payload) {
  Type value;
  const base::Status status = decode_payload(payload, value);
  return status.is_ok() ? "accepted" : status.text();
}

Challenge sample_challenge() {
  Challenge challenge;
  challenge.features = 5;
  challenge.cluster = test::kCluster;
  challenge.acceptor = {test::kSecond, "id2"};
  challenge.nonce = std::string(kNonceBytes, 'n');
  challenge.state = AcceptorState::kFounderWithoutData;
  challenge.client_address = "127.0.0.1:6379";
  challenge.mac = std::string(kMacBytes, 'm');
  return challenge;
}

TEST_CASE(
    "handshake messages: each reads back; truncated, lengthened or flipped it is refused or another") {
  Hello hello = test::sample_hello(ConnectionKind::kBulk);
  hello.features = 0x8000000000000001;
  check_round_trip(hello);
  hello.cluster.clear();
  hello.expected = {};
  hello.raft_address.clear();
  hello.client_address.clear();
  check_round_trip(hello);
  check_round_trip(sample_challenge());
  Challenge unsigned_one = sample_challenge();
  unsigned_one.mac.clear();
  unsigned_one.cluster.clear();
  check_round_trip(unsigned_one);
  check_round_trip(Proof{std::string(kMacBytes, 'p')});
  check_round_trip(Welcome{});
  check_round_trip(Refuse{RefusalCode::kRemoved, "id1 was removed"});
  check_round_trip(test::sample_adopt());
}

TEST_CASE("handshake messages: an Adopt with proofs reads back, and is refused if it is cut") {
  for (size_t count = 1; count <= kAdoptProofsMax; ++count) {
    Adopt adopt = test::sample_adopt();
    adopt.proofs = std::string(count * kMacBytes, 'p');
    const std::string payload = encode_payload(adopt);
    Adopt back;
    REQUIRE(decode_payload(payload, back).is_ok());
    CHECK(back == adopt);
    for (size_t size = 0; size < payload.size(); ++size) {
      REQUIRE_FALSE(decode_payload(std::string_view(payload).substr(0, size), back).is_ok());
    }
  }
}

TEST_CASE("handshake messages: the largest of each fits into a frame of the handshake") {
  const Identity longest{~raft::NodeId{0}, std::string(kIdBytesMax, 'i')};
  const std::string address(kAddressBytesMax, 'a');
  Hello hello = test::sample_hello(ConnectionKind::kControl);
  hello.version_min = hello.version_max = hello.group = 0xffffffff;
  hello.initiator = hello.expected = longest;
  hello.raft_address = hello.client_address = address;
  Challenge challenge = sample_challenge();
  challenge.version = 0xffffffff;
  challenge.acceptor = longest;
  challenge.client_address = address;
  challenge.semantics = 0xffff;
  challenge.was_member = 1;
  const Adopt adopt{.cluster = std::string(test::kCluster), .secret = std::string(kSecretBytesMax, 's'), .adopted = longest,
                    .proofs = std::string(kAdoptProofsMax * kMacBytes, 'p')};
  const Refuse refuse{RefusalCode::kRemoved, std::string(kSentenceBytesMax, 's')};
  for (const std::string& payload : {encode_payload(hello), encode_payload(challenge),
                                     encode_payload(adopt), encode_payload(refuse)}) {
    CHECK(payload.size() + kHeaderBytes <= kHandshakeFrameBytesMax);
  }
}

// Replaces the only occurrence of `from` in the encoded sample Hello.
std::string hello_with(const std::string& from, const std::string& to) {
  std::string payload = encode_payload(test::sample_hello(ConnectionKind::kControl));
  const size_t at = payload.find(from);
  REQUIRE(at != std::string::npos);
  return payload.replace(at, from.size(), to);
}

TEST_CASE("handshake messages: ids, addresses and sizes beyond their rules are refused by name") {
  CHECK(error_of<Hello>(hello_with("\x03id1", "\x03id ")) == "malformed Hello: initiator.id");
  CHECK(error_of<Hello>(hello_with("\x03id1", std::string(1, '\0'))) == "malformed Hello: initiator.id");
  CHECK(error_of<Hello>(hello_with("\x03id1", "\x41" + std::string(65, 'x'))) ==
        "malformed Hello: initiator.id");
  CHECK(error_of<Hello>(hello_with("\x03id1", "\x40" + std::string(64, 'x'))) == "accepted");
  CHECK(error_of<Hello>(hello_with("\x03id2", "\x03i\n2")) == "malformed Hello: expected.id");
  CHECK(error_of<Hello>(hello_with("\x0f"
                                   "127.0.0.1:15379",
                                   "\x02"
                                   "a ")) == "malformed Hello: raft_address");
  CHECK(error_of<Hello>(hello_with("\x0f"
                                   "127.0.0.1:15379",
                                   "\x81\x02" + std::string(257, 'a'))) ==
        "malformed Hello: raft_address");
  CHECK(error_of<Hello>(hello_with("\x10" + std::string(test::kCluster), "\x01x")) ==
        "malformed Hello: cluster");
  CHECK(error_of<Refuse>(leto::test::from_hex("01"
                                              "00"
                                              "00")) == "malformed Refuse: sentence");
  CHECK(error_of<Refuse>(leto::test::from_hex("01"
                                              "01"
                                              "0a"
                                              "00")) == "malformed Refuse: sentence");
  CHECK(error_of<Adopt>(std::string(test::kCluster) + "\x0f" + std::string(15, 's')) ==
        "malformed Adopt: secret");
  CHECK(error_of<Adopt>(std::string(test::kCluster) + "\x41" + std::string(65, 's')) ==
        "malformed Adopt: secret");
  std::string adopt = encode_payload(test::sample_adopt());
  adopt.back() = '\x01';
  for (const size_t size : {size_t{0}, kMacBytes - 1, kMacBytes + 1, (kAdoptProofsMax + 1) * kMacBytes}) {
    CHECK(error_of<Adopt>(adopt + "\x01" + static_cast<char>(size) + std::string(size, 'p')) ==
          "malformed Adopt: proofs");
  }
}

TEST_CASE("handshake messages: an unknown kind is refused, an unknown refusal code is kept") {
  std::string payload = encode_payload(test::sample_hello(ConnectionKind::kAdopt));
  const size_t kind_offset = 1 + 1 + 8 + 1;
  REQUIRE(payload[kind_offset] == 2);
  payload[kind_offset] = 3;
  CHECK(error_of<Hello>(payload) == "malformed Hello: kind");

  Refuse refuse;
  REQUIRE(decode_payload(leto::test::from_hex("c8"
                                              "02"
                                              "6e6f"
                                              "00"),
                         refuse)
              .is_ok());
  CHECK(refuse == Refuse{RefusalCode{200}, "no"});
}

TEST_CASE("handshake messages: tagged fields of a later version are skipped, and stay under the mac") {
  const std::string payload = encode_payload(test::sample_hello(ConnectionKind::kControl));
  std::string later = payload.substr(0, payload.size() - 1) + leto::test::from_hex(
                                                                  "01"
                                                                  "09"
                                                                  "0161");
  Hello hello;
  REQUIRE(decode_payload(later, hello).is_ok());
  CHECK(hello == test::sample_hello(ConnectionKind::kControl));
}

TEST_CASE("fit_sentence: control characters and length never break a Refuse") {
  CHECK(fit_sentence("a\nb\x7f") == "a?b?");
  CHECK(fit_sentence("") == "no reason given");
  CHECK(fit_sentence(std::string(2000, 'x')) == std::string(kSentenceBytesMax, 'x'));
}

TEST_CASE("handshake messages: the semantics level is a tagged field, left out where it is the first") {
  Hello hello = test::sample_hello(ConnectionKind::kControl);
  const std::string without = encode_payload(hello);
  CHECK(without.back() == '\0');
  hello.semantics = 300;
  std::string with = encode_payload(hello);
  CHECK(with == without.substr(0, without.size() - 1) + std::string("\x01\x01\x02\xac\x02", 5));
  Hello back;
  REQUIRE(decode_payload(with, back).is_ok());
  CHECK(back == hello);
  Challenge challenge = sample_challenge();
  challenge.was_member = 1;
  const std::string level_unsaid = encode_payload(challenge);
  CHECK(level_unsaid.find(std::string("\x01\x02\x01\x01", 4)) != std::string::npos);   // One field, tag 2, one byte: 1.
  challenge.semantics = 2;
  Challenge challenge_back;
  REQUIRE(decode_payload(encode_payload(challenge), challenge_back).is_ok());
  CHECK(challenge_back == challenge);
}

TEST_CASE("handshake messages: a semantics level has one encoding, and a field nobody knows is skipped") {
  const std::string without = encode_payload(test::sample_hello(ConnectionKind::kControl));
  const std::string head = without.substr(0, without.size() - 1);
  const auto semantics_of = [&](const std::string& tagged) {
    Hello hello;
    REQUIRE(decode_payload(head + tagged, hello).is_ok());
    return hello.semantics;
  };
  CHECK(semantics_of(std::string("\x01\x02\x01\x07", 4)) == 1);                  // Tag 2.
  CHECK(semantics_of(std::string("\x02\x01\x01\x02\x09\x01\x07", 7)) == 2);      // Tags 1 and 9.
  for (const std::string& bad : {std::string("\x01\x01\x00", 3), std::string("\x01\x01\x01\x01", 4),
                                 std::string("\x01\x01\x01\x00", 4), std::string("\x01\x01\x02\x02\x00", 5),
                                 std::string("\x01\x01\x03\xff\xff\x07", 6)}) {
    CHECK(error_of<Hello>(head + bad) == "malformed Hello: semantics");
  }
  CHECK(error_of<Hello>(head + std::string("\x01\x01\x05\x02", 4)) == "malformed Hello: tagged fields");
}

}  // namespace
}  // namespace leto::peer
