#include "peer/parts.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/coding.h"
#include "tests/peer/samples.h"

namespace leto::peer {
namespace {

using test::large_message;

// The payloads of all part frames of one message.
std::vector<std::string> parts_of(const raft::Message& message, uint64_t stream) {
  PartCutter cutter(encode(message), stream);
  std::string bytes;
  while (!cutter.done()) cutter.put_next(bytes);
  std::vector<std::string> payloads;
  for (test::OwnedFrame& frame : test::cut(bytes)) {
    REQUIRE(frame.type == FrameType::kPart);
    payloads.push_back(std::move(frame.payload));
  }
  return payloads;
}

// A part as a hostile or broken sender might write it.
std::string part_payload(const Part& part, std::string_view bytes) {
  std::string payload;
  base::put_u64(payload, part.route.from);
  base::put_u64(payload, part.route.to);
  base::put_varint(payload, part.route.term);
  base::put_u8(payload, static_cast<uint8_t>(part.type));
  base::put_varint(payload, part.stream);
  base::put_varint(payload, part.number);
  base::put_varint(payload, part.head_size);
  base::put_varint(payload, part.body_size);
  base::put_varint(payload, 0);
  return payload.append(bytes);
}

Part good_part() {
  return {.route = {.from = test::kFirst, .to = test::kSecond, .term = 7},
          .type = FrameType::kAppendEntries,
          .stream = 1,
          .number = 0,
          .head_size = 30,
          .body_size = kPartBytes};
}

std::string error_of(PartAssembler& assembler, std::string_view payload) {
  const base::Result<PartArrival> arrival = assembler.add(payload);
  return arrival.is_ok() ? "accepted" : arrival.status().text();
}

TEST_CASE("parts: only what is larger than a part needs parts") {
  const size_t head = encode(large_message(kPartBytes)).head.size();
  CHECK_FALSE(encode(large_message(kPartBytes - head)).needs_parts());
  CHECK(encode(large_message(kPartBytes - head + 1)).needs_parts());
}

TEST_CASE("parts: a large message comes whole, and each part before it is reported with its route") {
  for (const size_t size : {kPartBytes, 2 * kPartBytes, 3 * kPartBytes - 1, 3 * kPartBytes + 17}) {
    const raft::Message message = large_message(size);
    const std::vector<std::string> parts = parts_of(message, 1);
    CHECK(parts.size() == (encode(message).size() + kPartBytes - 1) / kPartBytes);
    PartAssembler assembler;
    for (size_t i = 0; i < parts.size(); ++i) {
      base::Result<PartArrival> arrival = assembler.add(parts[i]);
      REQUIRE(arrival.is_ok());
      CHECK(arrival.value().route == Route{.from = test::kFirst, .to = test::kSecond, .term = 7});
      REQUIRE(arrival.value().message.has_value() == (i + 1 == parts.size()));
      if (arrival.value().message) CHECK(test::operator==(*arrival.value().message, message));
    }
    CHECK(assembler.held() == 0);
  }
}

TEST_CASE("parts: a message of many small entries comes whole too") {
  raft::AppendEntries append;
  for (raft::Index index = 1; index <= 40000; ++index) {
    append.entries.push_back(test::entry_of({7, index}, "SET k " + std::to_string(index)));
  }
  const raft::Message message = test::message_of(append);
  PartAssembler assembler;
  std::optional<raft::Message> whole;
  for (const std::string& part : parts_of(message, 9)) {
    base::Result<PartArrival> arrival = assembler.add(part);
    REQUIRE(arrival.is_ok());
    whole = std::move(arrival.value().message);
  }
  REQUIRE(whole);
  CHECK(test::operator==(*whole, message));
}

TEST_CASE("parts: a new stream drops an unfinished one, an old stream is refused") {
  const std::vector<std::string> first = parts_of(large_message(2 * kPartBytes), 4);
  const std::vector<std::string> second = parts_of(large_message(kPartBytes), 5);
  PartAssembler assembler;
  REQUIRE(assembler.add(first[0]).is_ok());
  REQUIRE(assembler.add(second[0]).is_ok());
  CHECK(assembler.held() == kPartBytes);
  base::Result<PartArrival> arrival = assembler.add(second[1]);
  REQUIRE(arrival.is_ok());
  CHECK(arrival.value().message);
  CHECK(error_of(assembler, second[0]) == "part 0 of stream 5 begins a stream that has been");
  CHECK(error_of(assembler, first[0]) == "part 0 of stream 4 begins a stream that has been");
}

TEST_CASE(
    "parts: a part that is missing, doubled, of another stream or without a beginning is refused") {
  const std::vector<std::string> parts = parts_of(large_message(3 * kPartBytes), 1);
  const std::vector<std::string> others = parts_of(large_message(3 * kPartBytes), 2);
  const std::string refusal = " does not continue the part before it";
  {
    PartAssembler assembler;
    CHECK(error_of(assembler, parts[1]) == "part 1 of stream 1" + refusal);
  }
  {
    PartAssembler assembler;
    REQUIRE(assembler.add(parts[0]).is_ok());
    CHECK(error_of(assembler, parts[2]) == "part 2 of stream 1" + refusal);
  }
  {
    PartAssembler assembler;
    REQUIRE(assembler.add(parts[0]).is_ok());
    REQUIRE(assembler.add(parts[1]).is_ok());
    CHECK(error_of(assembler, parts[1]) == "part 1 of stream 1" + refusal);
  }
  {
    PartAssembler assembler;
    REQUIRE(assembler.add(parts[0]).is_ok());
    CHECK(error_of(assembler, others[1]) == "part 1 of stream 2" + refusal);
  }
}

TEST_CASE("parts: totals beyond their bounds are refused with the first part") {
  const std::string bytes(kPartBytes, 'x');
  PartAssembler assembler;
  Part part = good_part();
  part.body_size = kPartedBodyBytesMax + 1;
  CHECK(error_of(assembler, part_payload(part, bytes)) == "malformed Part: body size");
  part.body_size = ~uint64_t{0};
  CHECK(error_of(assembler, part_payload(part, bytes)) == "malformed Part: body size");
  part = good_part();
  part.head_size = kPartedHeadBytesMax + 1;
  CHECK(error_of(assembler, part_payload(part, bytes)) == "malformed Part: head size");
  part = good_part();
  part.body_size = 10;
  CHECK(error_of(assembler, part_payload(part, "0123456789")) ==
        "malformed Part: a message this small comes whole");
  CHECK(assembler.held() == 0);
}

TEST_CASE("parts: the largest message there may be is taken, and what is held of it is what came") {
  const std::string bytes(kPartBytes, 'x');
  PartAssembler assembler;
  Part part = good_part();
  part.head_size = kPartedHeadBytesMax;
  part.body_size = kPartedBodyBytesMax;
  CHECK(error_of(assembler, part_payload(part, bytes)) == "accepted");
  CHECK(assembler.held() == kPartBytes);
}

TEST_CASE("parts: a part of any size but the agreed one is refused") {
  for (const size_t size : {size_t{0}, size_t{1}, kPartBytes - 1, kPartBytes + 1}) {
    PartAssembler assembler;
    CHECK(error_of(assembler, part_payload(good_part(), std::string(size, 'x'))) ==
          "part 0 of stream 1 has the wrong size");
  }
}

TEST_CASE("parts: only an AppendEntries comes in parts, from someone, to someone") {
  const std::string bytes(kPartBytes, 'x');
  PartAssembler assembler;
  Part part = good_part();
  part.type = FrameType::kRequestVote;
  CHECK(error_of(assembler, part_payload(part, bytes)) == "malformed Part: type");
  part = good_part();
  part.route.from = raft::kNobody;
  CHECK(error_of(assembler, part_payload(part, bytes)) == "malformed Part: from");
  part = good_part();
  part.route.to = raft::kNobody;
  CHECK(error_of(assembler, part_payload(part, bytes)) == "malformed Part: to");
}

TEST_CASE("parts: a message of another route than its parts named is refused") {
  const Encoded encoded = encode(large_message(kPartBytes));
  const std::string whole = encoded.head + *encoded.body[0];
  Part part = good_part();
  part.route.term = 8;
  part.head_size = encoded.head.size();
  part.body_size = encoded.body_size;
  PartAssembler assembler;
  REQUIRE(assembler.add(part_payload(part, whole.substr(0, kPartBytes))).is_ok());
  part.number = 1;
  CHECK(error_of(assembler, part_payload(part, whole.substr(kPartBytes))) ==
        "malformed Part: the message is not of the route its parts named");
}

TEST_CASE("parts: no truncation of a part is accepted") {
  const std::string part = parts_of(large_message(kPartBytes), 1)[1];
  for (size_t size = 0; size < part.size(); ++size) {
    PartAssembler assembler;
    REQUIRE(assembler.add(parts_of(large_message(kPartBytes), 1)[0]).is_ok());
    REQUIRE_FALSE(assembler.add(std::string_view(part).substr(0, size)).is_ok());
  }
}

}  // namespace
}  // namespace leto::peer
