#include "peer/frame.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/coding.h"
#include "tests/base/hex.h"
#include "tests/peer/samples.h"

namespace leto::peer {
namespace {

std::string frame_of(FrameType type, std::string_view payload) {
  std::string out;
  put_frame(out, type, payload);
  return out;
}

// What a reader makes of these bytes, all at once.
FrameError error_of(std::string_view bytes, size_t cap = kFrameBytesMax) {
  FrameReader reader(cap);
  reader.feed(bytes);
  Frame frame;
  while (reader.next(frame)) {
  }
  return reader.error();
}

TEST_CASE("frame: a frame is its header, as documented, and its payload") {
  const std::string bytes = frame_of(FrameType::kTimeoutNow, "abc");
  REQUIRE(bytes.size() == kHeaderBytes + 3);
  CHECK(leto::test::to_hex(bytes.substr(0, 16)) ==
        "4c45544f"
        "01"
        "14"
        "0000"
        "00000000"
        "03000000");
  CHECK(bytes.substr(kHeaderBytes) == "abc");
}

TEST_CASE("frame: a header for pieces is the header for the whole") {
  std::string pieces;
  put_frame_header(pieces, FrameType::kPart, {"ab", "", "cde"});
  CHECK(pieces + "abcde" == frame_of(FrameType::kPart, "abcde"));
}

TEST_CASE("frame: frames come out as they went in, however the bytes are cut") {
  const std::string bytes = frame_of(FrameType::kHello, "first") + frame_of(FrameType::kWelcome, "") +
                            frame_of(FrameType::kPart, std::string(700, 'x'));
  for (size_t step = 1; step <= bytes.size(); ++step) {
    FrameReader reader;
    std::vector<std::string> payloads;
    for (size_t at = 0; at < bytes.size(); at += step) {
      reader.feed(std::string_view(bytes).substr(at, step));
      for (Frame frame; reader.next(frame);) payloads.emplace_back(frame.payload);
    }
    REQUIRE(reader.error() == FrameError::kNone);
    REQUIRE(payloads == std::vector<std::string>{"first", "", std::string(700, 'x')});
    REQUIRE(reader.buffered() == 0);
  }
}

TEST_CASE("frame: views of several frames live until the next feed, and point into one buffer") {
  FrameReader reader;
  reader.feed(frame_of(FrameType::kHello, "one") + frame_of(FrameType::kProof, "two"));
  Frame first, second, none;
  REQUIRE(reader.next(first));
  REQUIRE(reader.next(second));
  CHECK_FALSE(reader.next(none));
  CHECK(first.payload == "one");
  CHECK(second.payload == "two");
  CHECK(second.payload.data() - first.payload.data() == static_cast<ptrdiff_t>(3 + kHeaderBytes));
}

TEST_CASE("frame: a payload beyond the cap is refused as soon as its header is there") {
  const std::string largest =
      frame_of(FrameType::kHello, std::string(kHandshakeFrameBytesMax - kHeaderBytes, 'x'));
  CHECK(error_of(largest, kHandshakeFrameBytesMax) == FrameError::kNone);

  const std::string larger =
      frame_of(FrameType::kHello, std::string(kHandshakeFrameBytesMax - kHeaderBytes + 1, 'x'));
  FrameReader reader;
  reader.feed(larger.substr(0, kHeaderBytes));
  Frame frame;
  CHECK_FALSE(reader.next(frame));
  CHECK(reader.error() == FrameError::kTooLarge);
  CHECK(reader.error_text() == "a Hello frame of 1025 bytes; at most 1024 are allowed now");
}

TEST_CASE("frame: a length of four gigabytes is refused and nothing is kept for it") {
  std::string bytes = frame_of(FrameType::kPart, "");
  base::set_u32(bytes, 12, 0xffffffff);
  FrameReader reader(kFrameBytesMax);
  reader.feed(bytes);
  Frame frame;
  CHECK_FALSE(reader.next(frame));
  CHECK(reader.error() == FrameError::kTooLarge);
  CHECK(reader.buffered() == 0);
}

TEST_CASE("frame: the cap can be raised between two frames of one feed") {
  FrameReader reader;
  reader.feed(frame_of(FrameType::kWelcome, "") + frame_of(FrameType::kPart, std::string(5000, 'x')));
  Frame frame;
  REQUIRE(reader.next(frame));
  reader.set_frame_bytes_max(kFrameBytesMax);
  REQUIRE(reader.next(frame));
  CHECK(frame.payload.size() == 5000);
}

TEST_CASE("frame: each kind of damage has its error") {
  const std::string good = frame_of(FrameType::kTimeoutNow, "abc");
  const auto with = [&](size_t offset, char byte) {
    std::string bad = good;
    bad[offset] = byte;
    return error_of(bad);
  };
  CHECK(with(0, 'X') == FrameError::kBadMagic);
  CHECK(with(4, 2) == FrameError::kBadHeaderVersion);
  CHECK(with(5, 21) == FrameError::kBadChecksum);
  CHECK(with(6, 1) == FrameError::kUnknownFlags);
  CHECK(with(8, 1) == FrameError::kUnknownGroup);
  CHECK(with(16, static_cast<char>(good[16] ^ 1)) == FrameError::kBadChecksum);
  CHECK(with(20, 'A') == FrameError::kBadChecksum);
}

TEST_CASE("frame: a client that dialed the wrong port is known by its first bytes") {
  FrameReader reader;
  reader.feed("*1");
  Frame frame;
  CHECK_FALSE(reader.next(frame));
  CHECK(reader.error() == FrameError::kBadMagic);
  CHECK(reader.error_text().find("peers' port") != std::string::npos);
}

TEST_CASE("frame: after an error nothing comes out, whatever is fed") {
  FrameReader reader;
  reader.feed("garbage");
  Frame frame;
  CHECK_FALSE(reader.next(frame));
  for (int i = 0; i < 1000; ++i) reader.feed(frame_of(FrameType::kHello, "hello"));
  CHECK_FALSE(reader.next(frame));
  CHECK(reader.error() == FrameError::kBadMagic);
  CHECK(reader.buffered() == 0);
}

TEST_CASE("frame: no truncation and no flipped bit of any sample gives a frame") {
  for (const test::Sample& sample : test::sample_frames()) {
    CAPTURE(sample.name);
    for (size_t size = 0; size < sample.bytes.size(); ++size) {
      FrameReader reader(kFrameBytesMax);
      reader.feed(std::string_view(sample.bytes).substr(0, size));
      Frame frame;
      REQUIRE_FALSE(reader.next(frame));
      REQUIRE(reader.error() == FrameError::kNone);
    }
    for (size_t bit = 0; bit < sample.bytes.size() * 8; ++bit) {
      std::string bad = sample.bytes;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
      FrameReader reader(kFrameBytesMax);
      reader.feed(bad);
      Frame frame;
      REQUIRE_FALSE(reader.next(frame));
    }
  }
}

}  // namespace
}  // namespace leto::peer
