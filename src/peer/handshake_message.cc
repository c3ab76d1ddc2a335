// The field lists of the handshake's messages; see the header.
#include "peer/handshake_message.h"

#include "peer/fields.h"

namespace leto::peer {

namespace {

constexpr uint64_t kSemanticsTag = 1;
constexpr uint64_t kWasMemberTag = 2;   // Of Challenge.
constexpr uint64_t kProofsTag = 1;      // Of Adopt.

template <typename Visitor, Of<Hello> Value>
void fields(Visitor& visit, Value& hello) {
  visit.number("version_min", hello.version_min);
  visit.number("version_max", hello.version_max);
  visit.fixed("features", hello.features);
  visit.number("group", hello.group);
  visit.choice("kind", hello.kind, ConnectionKind::kAdopt);
  visit.bytes_or_none("cluster", hello.cluster, kClusterBytes);
  visit.fixed("initiator.node", hello.initiator.node);
  visit.text("initiator.id", hello.initiator.id, TextKind::kId);
  visit.fixed("expected.node", hello.expected.node);
  visit.text_or_none("expected.id", hello.expected.id, TextKind::kId);
  visit.bytes("nonce", hello.nonce, kNonceBytes);
  visit.text_or_none("raft_address", hello.raft_address, TextKind::kAddress);
  visit.text_or_none("client_address", hello.client_address, TextKind::kAddress);
  visit.end_with({{kSemanticsTag, "semantics", hello.semantics, kSemanticsUnsaid}});
}

// The mac stands behind the tagged fields: it covers all bytes before it.
template <typename Visitor, Of<Challenge> Value>
void fields(Visitor& visit, Value& challenge) {
  visit.number("version", challenge.version);
  visit.fixed("features", challenge.features);
  visit.bytes_or_none("cluster", challenge.cluster, kClusterBytes);
  visit.fixed("acceptor.node", challenge.acceptor.node);
  visit.text("acceptor.id", challenge.acceptor.id, TextKind::kId);
  visit.bytes("nonce", challenge.nonce, kNonceBytes);
  visit.choice("state", challenge.state, AcceptorState::kFounderWithoutData);
  visit.text_or_none("client_address", challenge.client_address, TextKind::kAddress);
  visit.end_with({{kSemanticsTag, "semantics", challenge.semantics, kSemanticsUnsaid},
                  {kWasMemberTag, "was_member", challenge.was_member, 0}});
  visit.bytes_or_none("mac", challenge.mac, kMacBytes);
}

template <typename Visitor, Of<Proof> Value>
void fields(Visitor& visit, Value& proof) {
  visit.bytes("mac", proof.mac, kMacBytes);
  visit.end();
}

template <typename Visitor, Of<Welcome> Value>
void fields(Visitor& visit, Value&) {
  visit.end();
}

template <typename Visitor, Of<Refuse> Value>
void fields(Visitor& visit, Value& refuse) {
  visit.choice("code", refuse.code, RefusalCode{0xff});
  visit.text("sentence", refuse.sentence, TextKind::kSentence);
  visit.end();
}

template <typename Visitor, Of<Adopt> Value>
void fields(Visitor& visit, Value& adopt) {
  visit.bytes("cluster", adopt.cluster, kClusterBytes);
  visit.bytes_between("secret", adopt.secret, kSecretBytesMin, kSecretBytesMax);
  visit.fixed("adopted.node", adopt.adopted.node);
  visit.text("adopted.id", adopt.adopted.id, TextKind::kId);
  visit.end_with_macs(kProofsTag, "proofs", adopt.proofs, kAdoptProofsMax);
}

template <typename Type>
std::string written(const Type& value) {
  std::string payload;
  FieldWriter writer(payload);
  fields(writer, value);
  return payload;
}

template <typename Type>
base::Status read(std::string_view payload, FrameType type, Type& value) {
  FieldReader reader(payload);
  fields(reader, value);
  if (reader.failed()) return malformed(type, reader.failed_field());
  return reader.at_end() ? base::Status() : malformed(type, "its size");
}

}  // namespace

std::string encode_payload(const Hello& hello) { return written(hello); }
std::string encode_payload(const Challenge& challenge) { return written(challenge); }
std::string encode_payload(const Proof& proof) { return written(proof); }
std::string encode_payload(const Welcome& welcome) { return written(welcome); }
std::string encode_payload(const Refuse& refuse) { return written(refuse); }
std::string encode_payload(const Adopt& adopt) { return written(adopt); }

base::Status decode_payload(std::string_view payload, Hello& hello) { return read(payload, FrameType::kHello, hello); }
base::Status decode_payload(std::string_view payload, Challenge& challenge) { return read(payload, FrameType::kChallenge, challenge); }
base::Status decode_payload(std::string_view payload, Proof& proof) { return read(payload, FrameType::kProof, proof); }
base::Status decode_payload(std::string_view payload, Welcome& welcome) { return read(payload, FrameType::kWelcome, welcome); }
base::Status decode_payload(std::string_view payload, Refuse& refuse) { return read(payload, FrameType::kRefuse, refuse); }
base::Status decode_payload(std::string_view payload, Adopt& adopt) { return read(payload, FrameType::kAdopt, adopt); }

std::string fit_sentence(std::string sentence) {
  sentence.resize(sentence.size() < kSentenceBytesMax ? sentence.size() : kSentenceBytesMax);
  for (char& c : sentence) {
    if (!is_text(std::string_view(&c, 1), TextKind::kSentence)) c = '?';
  }
  return sentence.empty() ? "no reason given" : sentence;
}

}  // namespace leto::peer
