// What peers send: frames, and the handshake.
#include <algorithm>
#include <string>

#include "base/assert.h"
#include "peer/codec.h"
#include "peer/forward.h"
#include "peer/frame.h"
#include "peer/handshake.h"
#include "peer/parts.h"
#include "tests/fuzz/targets.h"
#include "tests/peer/samples.h"

namespace leto::fuzz {

namespace {

// Checksums are not what a fuzzer should have to find: type and length, then the payload.
bool next_frame(std::string_view& bytes, peer::Frame& frame) {
  if (bytes.size() < 3) return false;
  frame.type = static_cast<peer::FrameType>(bytes[0]);
  const size_t size = static_cast<unsigned char>(bytes[1]) + 256 * static_cast<unsigned char>(bytes[2]);
  frame.payload = bytes.substr(3, size);
  bytes.remove_prefix(std::min(bytes.size(), size + 3));
  return true;
}

void read_message(const peer::Frame& frame) {
  base::Result<raft::Message> message = peer::decode(frame.type, frame.payload);
  if (!message.is_ok()) return;
  LETO_ASSERT(peer::encode(message.value()).size() <= frame.payload.size(), "it grew by being read");
}

}  // namespace

void read_frames(std::string_view bytes) {
  peer::FrameReader reader(peer::kFrameBytesMax);
  reader.feed(bytes);
  for (peer::Frame frame; reader.next(frame);) read_message(frame);
  peer::PartAssembler parts;
  for (peer::Frame frame; next_frame(bytes, frame);) {
    if (frame.type == peer::FrameType::kPart) {
      if (!parts.add(frame.payload).is_ok()) parts = peer::PartAssembler();
      LETO_ASSERT(parts.held() <= peer::kPartedHeadBytesMax + peer::kPartedBodyBytesMax, "it holds too much");
    } else if (frame.type == peer::FrameType::kForward) {
      peer::Forward forward;
      [[maybe_unused]] const bool readable = peer::decode_payload(frame.payload, forward).is_ok();
    } else if (frame.type == peer::FrameType::kForwardReply) {
      peer::ForwardReply reply;
      [[maybe_unused]] const bool readable = peer::decode_payload(frame.payload, reply).is_ok();
    } else {
      read_message(frame);
    }
  }
}

void shake_hands(std::string_view bytes) {
  if (bytes.empty()) return;
  const bool member = (bytes.front() & 1) != 0;
  bytes.remove_prefix(1);
  peer::AcceptorSetup setup = member ? peer::test::sample_member() : peer::test::sample_empty();
  setup.nonce = std::string(peer::kNonceBytes, 'n');
  peer::Acceptor acceptor(setup);
  // Other nonces than those of the samples, whose proofs are in the corpus.
  peer::Hello hello = peer::test::sample_hello(peer::ConnectionKind::kControl);
  hello.nonce = std::string(peer::kNonceBytes, 'i');
  peer::Initiator initiator(hello, std::string(peer::test::kSecret));
  std::string out;
  initiator.start(out);
  for (peer::Frame frame; next_frame(bytes, frame);) {
    acceptor.on_frame(frame, out);
    initiator.on_frame(frame, out);
  }
  LETO_ASSERT(!member || acceptor.step() != peer::HandshakeStep::kDone, "somebody came in without the secret");
  LETO_ASSERT(initiator.step() != peer::HandshakeStep::kDone, "somebody was trusted without the secret");
}

}  // namespace leto::fuzz
