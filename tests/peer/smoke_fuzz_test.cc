// Random and damaged bytes into everything that reads bytes of strangers: nothing may crash, hang or hold
// more than its bound. Few rounds, fixed seeds; the fuzzers go on where this stops.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "peer/codec.h"
#include "peer/frame.h"
#include "peer/handshake.h"
#include "peer/parts.h"
#include "tests/peer/samples.h"

namespace leto::peer {
namespace {

constexpr FrameType kAllTypes[] = {FrameType::kHello,
                                   FrameType::kChallenge,
                                   FrameType::kProof,
                                   FrameType::kWelcome,
                                   FrameType::kRefuse,
                                   FrameType::kAdopt,
                                   FrameType::kRequestVote,
                                   FrameType::kRequestVoteReply,
                                   FrameType::kAppendEntries,
                                   FrameType::kAppendEntriesReply,
                                   FrameType::kTimeoutNow,
                                   FrameType::kReadIndexRequest,
                                   FrameType::kReadIndexReply,
                                   FrameType::kInstallSnapshot,
                                   FrameType::kInstallSnapshotReply,
                                   FrameType::kPart,
                                   FrameType::kForward,
                                   FrameType::kForwardReply,
                                   FrameType{0},
                                   FrameType{255}};

std::string random_bytes(base::Random& random, size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(random.below(256)));
  return bytes;
}

// One to four changes: a flipped bit, a cut, an insertion, a doubled piece, an extreme byte.
std::string damaged(base::Random& random, std::string bytes) {
  for (uint64_t changes = random.between(1, 4); changes > 0 && !bytes.empty(); --changes) {
    const size_t at = random.below(bytes.size());
    switch (random.below(5)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8))); break;
      case 1: bytes.resize(at); break;
      case 2: bytes.insert(at, random_bytes(random, random.between(1, 9))); break;
      case 3: bytes.insert(at, bytes.substr(at, random.below(40))); break;
      default: bytes[at] = random.chance(1, 2) ? '\xff' : '\x80'; break;
    }
  }
  return bytes;
}

std::vector<test::OwnedFrame> sample_payloads() {
  std::vector<test::OwnedFrame> frames;
  for (const test::Sample& sample : test::sample_frames()) frames.push_back(test::cut(sample.bytes)[0]);
  return frames;
}

TEST_CASE("smoke fuzz: a frame reader survives any bytes in any pieces and stays within its bound") {
  base::Random random(11);
  const std::vector<test::Sample> samples = test::sample_frames();
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (uint64_t frames = random.between(1, 4); frames > 0; --frames) {
      const std::string& sample = samples[random.below(samples.size())].bytes;
      bytes += random.chance(1, 2) ? sample : damaged(random, sample);
    }
    if (random.chance(1, 8)) bytes = random_bytes(random, random.below(3000));
    FrameReader reader;
    while (!bytes.empty()) {
      const size_t size = std::min<size_t>(bytes.size(), random.between(1, 200));
      reader.feed(std::string_view(bytes).substr(0, size));
      bytes.erase(0, size);
      for (Frame frame; reader.next(frame);) {
        REQUIRE(frame.payload.size() <= kHandshakeFrameBytesMax - kHeaderBytes);
      }
      REQUIRE(reader.buffered() < kHandshakeFrameBytesMax);
    }
    if (reader.error() != FrameError::kNone) REQUIRE_FALSE(reader.error_text().empty());
  }
}

TEST_CASE("smoke fuzz: what the codec accepts, it writes back as the same bytes") {
  base::Random random(12);
  const std::vector<test::OwnedFrame> samples = sample_payloads();
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    const test::OwnedFrame& sample = samples[random.below(samples.size())];
    std::string payload = damaged(random, sample.payload);
    if (random.chance(1, 8)) payload = random_bytes(random, random.below(100));
    const FrameType type =
        random.chance(1, 4) ? kAllTypes[random.below(std::size(kAllTypes))] : sample.type;
    base::Result<raft::Message> decoded = decode(type, payload);
    if (!decoded.is_ok()) continue;
    ++accepted;
    // Tagged fields that nobody knows are not written back.
    const Encoded again = encode(decoded.value());
    REQUIRE(again.type == type);
    REQUIRE(again.size() <= payload.size());
  }
  CHECK(accepted > 100);
}

TEST_CASE("smoke fuzz: an assembler survives damaged parts and holds no more than was announced") {
  base::Random random(13);
  std::string bytes;
  for (PartCutter cutter(encode(test::large_message(2 * kPartBytes)), 3); !cutter.done();)
    cutter.put_next(bytes);
  const std::vector<test::OwnedFrame> parts = test::cut(bytes);
  PartAssembler assembler;
  for (int round = 0; round < 300; ++round) {
    std::string payload = parts[random.below(parts.size())].payload;
    if (random.chance(3, 4)) {
      const size_t fields = 40;
      payload = damaged(random, payload.substr(0, fields)) + payload.substr(fields);
    }
    // Its outcome does not matter, only that it has one.
    if (!assembler.add(payload).is_ok() && random.chance(1, 2)) assembler = PartAssembler();
    REQUIRE(assembler.held() <= kPartedHeadBytesMax + kPartedBodyBytesMax);
  }
}

TEST_CASE("smoke fuzz: no random frame gets anyone through the handshake") {
  base::Random random(14);
  const std::vector<test::OwnedFrame> samples = sample_payloads();
  for (int round = 0; round < 5000; ++round) {
    AcceptorSetup setup = random.chance(1, 2) ? test::sample_member() : test::sample_empty();
    setup.nonce = random_bytes(random, kNonceBytes);
    Acceptor acceptor(setup);
    Hello hello = test::sample_hello(static_cast<ConnectionKind>(random.below(2)));
    hello.nonce = random_bytes(random, kNonceBytes);
    Initiator initiator(hello, std::string(test::kSecret));
    std::string out;
    initiator.start(out);
    for (int frames = 0; frames < 4; ++frames) {
      const test::OwnedFrame& sample = samples[random.below(samples.size())];
      const std::string payload = random.chance(1, 2) ? sample.payload : damaged(random, sample.payload);
      const Frame frame{.type = sample.type, .payload = payload};
      acceptor.on_frame(frame, out);
      initiator.on_frame(frame, out);
    }
    REQUIRE(acceptor.step() != HandshakeStep::kDone);
    REQUIRE(initiator.step() != HandshakeStep::kDone);
  }
}

}  // namespace
}  // namespace leto::peer
