#include "peer/forward.h"

#include <doctest/doctest.h>

#include <string>

#include "base/coding.h"
#include "base/random.h"
#include "peer/parts.h"
#include "tests/peer/samples.h"

namespace leto::peer {
namespace {

Forward large_forward(size_t size) {
  Forward forward = test::sample_forward();
  forward.requests = {{.resp3 = false, .commands = {{.database = 0, .arguments = {"SET", "k", std::string(size, 'x')}}}}};
  return forward;
}

std::string payload_of(const Encoded& encoded) {
  std::string bytes;
  put_message(bytes, encoded);
  return test::cut(bytes)[0].payload;
}

template <typename Message>
std::string forward_error_of(const std::string& payload) {
  Message message;
  const base::Status status = decode_payload(payload, message);
  return status.is_ok() ? "accepted" : status.text();
}

TEST_CASE("forward: requests and answers come back as they were written, whole and in parts") {
  Forward forward;
  REQUIRE(decode_payload(payload_of(encode(test::sample_forward())), forward).is_ok());
  CHECK(forward == test::sample_forward());
  ForwardReply reply;
  REQUIRE(decode_payload(payload_of(encode(test::sample_forward_reply())), reply).is_ok());
  CHECK(reply == test::sample_forward_reply());

  const Forward large = large_forward(3 * kPartBytes);
  PartCutter cutter(encode(large), 1);
  PartAssembler assembler;
  std::string bytes;
  while (!cutter.done()) cutter.put_next(bytes);
  const std::vector<test::OwnedFrame> parts = test::cut(bytes);
  REQUIRE(parts.size() == 4);
  for (size_t i = 0; i < parts.size(); ++i) {
    base::Result<PartArrival> arrival = assembler.add(parts[i].payload);
    REQUIRE(arrival.is_ok());
    CHECK(arrival.value().route == Route{.from = test::kFirst, .to = test::kSecond, .term = 7});
    CHECK_FALSE(arrival.value().message.has_value());
    CHECK(arrival.value().forward.has_value() == (i + 1 == parts.size()));
    if (arrival.value().forward) CHECK(*arrival.value().forward == large);
  }
}

TEST_CASE("forward: a large reply travels in parts too") {
  ForwardReply large = test::sample_forward_reply();
  large.answers[0].reply.assign(2 * kPartBytes, 'r');
  PartCutter cutter(encode(large), 1);
  PartAssembler assembler;
  std::string bytes;
  while (!cutter.done()) cutter.put_next(bytes);
  std::optional<ForwardReply> came;
  for (const test::OwnedFrame& part : test::cut(bytes)) {
    base::Result<PartArrival> arrival = assembler.add(part.payload);
    REQUIRE(arrival.is_ok());
    came = arrival.value().forward_reply;
  }
  REQUIRE(came.has_value());
  CHECK(*came == large);
}

// The head of sample_forward() with `first`, and a body.
std::string forward_payload(uint64_t stream, uint64_t first, const std::string& body) {
  std::string payload;
  base::put_u64(payload, test::kFirst);
  base::put_u64(payload, test::kSecond);
  base::put_varint(payload, 7);
  base::put_u64(payload, 99);
  base::put_varint(payload, stream);
  base::put_varint(payload, first);
  base::put_varint(payload, 0);
  return payload + body;
}

TEST_CASE("forward: what no sender writes is refused, and the field named") {
  const std::string request("\x01\x00\x01\x00\x01\x04PING", 10);
  CHECK(forward_error_of<Forward>(forward_payload(1, 1, request)) == "accepted");
  CHECK(forward_error_of<Forward>(forward_payload(0, 1, request)) == "malformed Forward: stream");
  CHECK(forward_error_of<Forward>(forward_payload(1, 0, request)) == "malformed Forward: first");
  CHECK(forward_error_of<Forward>(forward_payload(1, UINT64_MAX, request)) == "malformed Forward: first");
  CHECK(forward_error_of<Forward>(forward_payload(1, 1, request + "x")) == "malformed Forward: its size");
  CHECK(forward_error_of<Forward>(forward_payload(1, 1, std::string(1, '\0'))) == "malformed Forward: requests");
  CHECK(forward_error_of<Forward>(forward_payload(1, 1, std::string("\x01\x00\x00", 3))) == "malformed Forward: commands");
  CHECK(forward_error_of<Forward>(forward_payload(1, 1, std::string("\x01\x00\x01\x00\x00", 5))) == "malformed Forward: arguments");
  CHECK(forward_error_of<Forward>(forward_payload(1, 1, std::string("\x02\x00", 2))) == "malformed Forward: requests");
  CHECK(forward_error_of<Forward>(forward_payload(1, 1, "\x01\x02\x01\x01")) == "malformed Forward: a request's resp3");
}

TEST_CASE("forward: a count that the bytes cannot hold is refused before anything is reserved for it") {
  std::string requests;
  base::put_varint(requests, kForwardRequestsMax);
  CHECK(forward_error_of<Forward>(forward_payload(1, 1, requests)) == "malformed Forward: requests");
  std::string arguments("\x01\x00\x01\x00", 4);
  base::put_varint(arguments, kForwardArgumentsMax);
  CHECK(forward_error_of<Forward>(forward_payload(1, 1, arguments + "ab")) == "malformed Forward: arguments");
}

TEST_CASE("forward: an answer that was taken has a reply, and one that was not has none") {
  ForwardReply reply = test::sample_forward_reply();
  std::string payload = payload_of(encode(reply));
  // The last answer: number 4, not taken, no reply.
  REQUIRE(payload.ends_with(std::string("\x04\x00\x00", 3)));
  payload[payload.size() - 2] = 1;
  CHECK(forward_error_of<ForwardReply>(payload) == "malformed ForwardReply: an answer's reply");
}

TEST_CASE("forward: damaged payloads are refused or read, and never crash") {
  base::Random random(23);
  const std::string samples[] = {payload_of(encode(test::sample_forward())),
                                 payload_of(encode(test::sample_forward_reply()))};
  for (int round = 0; round < 5000; ++round) {
    std::string payload = samples[random.below(2)];
    for (uint64_t changes = random.between(1, 3); changes > 0 && !payload.empty(); --changes) {
      const size_t at = random.below(payload.size());
      if (random.chance(1, 3)) payload.resize(at);
      else payload[at] = static_cast<char>(random.below(256));
    }
    forward_error_of<Forward>(payload);
    forward_error_of<ForwardReply>(payload);
  }
}

TEST_CASE("forward: encoded_size() is never less than what a request or an answer takes") {
  const Forward forward = test::sample_forward();
  size_t size = 0;
  for (const ForwardedRequest& request : forward.requests) size += encoded_size(request);
  CHECK(encode(forward).body_size <= size + 10);
  const ForwardReply reply = test::sample_forward_reply();
  size = 0;
  for (const ForwardAnswer& answer : reply.answers) size += encoded_size(answer);
  CHECK(encode(reply).body_size <= size + 10);
}

}  // namespace
}  // namespace leto::peer
