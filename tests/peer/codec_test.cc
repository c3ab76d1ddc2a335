#include "peer/codec.h"

#include <doctest/doctest.h>

#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/coding.h"
#include "tests/base/hex.h"
#include "tests/peer/samples.h"

namespace leto::peer {
namespace {

using test::kFirst;
using test::kSecond;
using test::message_of;

std::string payload_of(const raft::Message& message) {
  std::string frame;
  put_message(frame, encode(message));
  return frame.substr(kHeaderBytes);
}

raft::Message round_trip(const raft::Message& message) {
  const std::string payload = payload_of(message);
  base::Result<raft::Message> decoded = decode(encode(message).type, payload);
  REQUIRE(decoded.is_ok());
  return std::move(decoded.value());
}

// from, to and term 7, as every head begins.
std::string head_start() {
  std::string head;
  base::put_u64(head, kFirst);
  base::put_u64(head, kSecond);
  base::put_varint(head, 7);
  return head;
}

std::string error_of(FrameType type, const std::string& payload) {
  const base::Result<raft::Message> decoded = decode(type, payload);
  return decoded.is_ok() ? "accepted" : decoded.status().text();
}

// An AppendEntries head up to its entries.
std::string append_start(uint64_t previous_term, uint64_t previous_index) {
  std::string head = head_start();
  base::put_varint(head, previous_term);
  base::put_varint(head, previous_index);
  for (int i = 0; i < 4; ++i) base::put_varint(head, 0);
  return head;
}

void put_entry(std::string& head, uint64_t term, uint8_t kind, uint64_t size) {
  base::put_varint(head, term);
  base::put_u8(head, kind);
  base::put_varint(head, size);
}

TEST_CASE("codec: every message reads back as it was written") {
  for (const raft::Message& message : test::sample_messages()) {
    CAPTURE(frame_type_name(encode(message).type));
    CHECK(test::operator==(round_trip(message), message));
  }
}

TEST_CASE("codec: the largest numbers read back") {
  constexpr uint64_t kLargest = std::numeric_limits<uint64_t>::max();
  raft::Message reply{.from = kLargest, .to = 1, .term = kLargest, .body = {}};
  reply.body = raft::AppendEntriesReply{.accepted = false,
                                        .match = kLargest,
                                        .previous_index = kLargest,
                                        .hint = {kLargest, kLargest},
                                        .acknowledged = kLargest,
                                        .read_counter = kLargest};
  CHECK(test::operator==(round_trip(reply), reply));
}

void change(bool& value) { value = !value; }
void change(uint64_t& value) { ++value; }
void change(uint32_t& value) { ++value; }
void change(uint16_t& value) { ++value; }
void change(raft::SnapshotAnswer& value) { value = raft::SnapshotAnswer::kRefused; }

// Appends, for each of `messages` that has this field, the same message with another value in it.
template <typename Body, typename Field>
void vary(std::vector<raft::Message>& messages, Field Body::*field) {
  const std::vector<raft::Message> originals = messages;
  for (raft::Message message : originals) {
    Body* const body = std::get_if<Body>(&message.body);
    if (body == nullptr) continue;
    change(body->*field);
    messages.push_back(message);
  }
}

template <typename Body>
void vary_entry_id(std::vector<raft::Message>& messages, raft::EntryId Body::*field) {
  const std::vector<raft::Message> originals = messages;
  for (raft::Message message : originals) {
    Body* const body = std::get_if<Body>(&message.body);
    if (body == nullptr) continue;
    ++(body->*field).term;
    messages.push_back(message);
    --(body->*field).term;
    ++(body->*field).index;
    messages.push_back(message);
  }
}

// All values that differ from `message` in any set of fields, entries aside.
std::vector<raft::Message> variants_of(const raft::Message& message) {
  std::vector<raft::Message> all = {message, message, message, message};
  ++all[1].from;
  ++all[2].to;
  ++all[3].term;
  vary(all, &raft::RequestVote::pre_vote);
  vary(all, &raft::RequestVote::transfer);
  vary_entry_id(all, &raft::RequestVote::last);
  vary(all, &raft::RequestVoteReply::pre_vote);
  vary(all, &raft::RequestVoteReply::granted);
  vary(all, &raft::AppendEntries::leader_commit);
  vary(all, &raft::AppendEntries::acknowledged);
  vary(all, &raft::AppendEntries::read_counter);
  vary(all, &raft::AppendEntries::cluster_time_ms);
  vary(all, &raft::AppendEntries::silence_ticks);
  vary(all, &raft::AppendEntriesReply::accepted);
  vary(all, &raft::AppendEntriesReply::match);
  vary(all, &raft::AppendEntriesReply::previous_index);
  vary_entry_id(all, &raft::AppendEntriesReply::hint);
  vary(all, &raft::AppendEntriesReply::acknowledged);
  vary(all, &raft::AppendEntriesReply::read_counter);
  vary(all, &raft::ReadIndexRequest::context);
  vary(all, &raft::ReadIndexReply::context);
  vary(all, &raft::ReadIndexReply::ok);
  vary(all, &raft::ReadIndexReply::index);
  vary(all, &raft::ReadIndexReply::cluster_time_ms);
  vary(all, &raft::InstallSnapshot::snapshot);
  vary(all, &raft::InstallSnapshot::size);
  vary(all, &raft::InstallSnapshot::checksum);
  vary(all, &raft::InstallSnapshot::offset);
  vary_entry_id(all, &raft::InstallSnapshot::last);
  vary(all, &raft::InstallSnapshotReply::snapshot);
  vary(all, &raft::InstallSnapshotReply::answer);
  vary(all, &raft::InstallSnapshotReply::offset);
  vary(all, &raft::InstallSnapshotReply::match);
  return all;
}

raft::InstallSnapshot chunk_of(size_t bytes, uint64_t offset, uint64_t size) {
  return {.snapshot = 1,
          .last = {6, 300},
          .size = size,
          .checksum = 5,
          .offset = offset,
          .cluster_time_ms = 9,
          .data = std::make_shared<const std::string>(bytes, 'c')};
}

TEST_CASE("codec: a chunk of any allowed size reads back from one frame, also without bytes and at the end") {
  for (const size_t bytes : {size_t{0}, size_t{1}, kSnapshotChunkBytesMax}) {
    CAPTURE(bytes);
    for (const uint64_t behind : {uint64_t{0}, uint64_t{1} << 40}) {
      const raft::Message message = message_of(chunk_of(bytes, 7, 7 + bytes + behind));
      CHECK_FALSE(encode(message).needs_parts());
      CHECK(test::operator==(round_trip(message), message));
      std::string frame;
      put_message(frame, encode(message));
      CHECK(frame.size() <= kFrameBytesMax);
      CHECK(test::cut(frame).size() == 1);
    }
  }
}

TEST_CASE("codec: a chunk's bytes, cluster time and place change its frame") {
  std::set<std::string> payloads;
  raft::InstallSnapshot chunk = chunk_of(3, 7, 100);
  payloads.insert(payload_of(message_of(chunk)));
  chunk.cluster_time_ms = 10;
  payloads.insert(payload_of(message_of(chunk)));
  chunk.data = std::make_shared<const std::string>("ccd");
  payloads.insert(payload_of(message_of(chunk)));
  chunk.data = std::make_shared<const std::string>("cc");
  payloads.insert(payload_of(message_of(chunk)));
  CHECK(payloads.size() == 4);
}

TEST_CASE("codec: a change of any field changes the bytes and survives the way there and back") {
  for (const raft::Message& message : test::sample_messages()) {
    const FrameType type = encode(message).type;
    CAPTURE(frame_type_name(type));
    std::set<std::string> payloads;
    const std::vector<raft::Message> variants = variants_of(message);
    for (const raft::Message& variant : variants) {
      REQUIRE(test::operator==(round_trip(variant), variant));
      payloads.insert(payload_of(variant));
    }
    CHECK(payloads.size() == variants.size());
  }
}

TEST_CASE("codec: a change of `previous` or of an entry changes the bytes and survives too") {
  const auto append_of = [](raft::EntryId previous, raft::Term term, std::string_view bytes) {
    raft::AppendEntries append;
    append.previous = previous;
    append.entries = {test::entry_of({term, previous.index + 1}, bytes)};
    return message_of(append);
  };
  std::vector<raft::Message> variants = {append_of({6, 300}, 7, "a"), append_of({5, 300}, 7, "a"),
                                         append_of({6, 301}, 7, "a"), append_of({6, 300}, 8, "a"),
                                         append_of({6, 300}, 7, "b"), append_of({6, 300}, 7, "")};
  variants.push_back(variants[0]);
  std::get<raft::AppendEntries>(variants.back().body).entries[0].kind = raft::EntryKind::kConfiguration;
  std::set<std::string> payloads;
  for (const raft::Message& variant : variants) {
    CHECK(test::operator==(round_trip(variant), variant));
    payloads.insert(payload_of(variant));
  }
  CHECK(payloads.size() == variants.size());
}

TEST_CASE("codec: the scatter list shares the entries' payloads, and with the head it is the frame") {
  const raft::Message message = test::sample_messages()[2];
  const Encoded encoded = encode(message);
  REQUIRE(encoded.body.size() == 1);
  CHECK(encoded.body[0] == std::get<raft::AppendEntries>(message.body).entries[1].payload);
  std::string gathered, whole;
  put_head(gathered, encoded);
  gathered += *encoded.body[0];
  put_message(whole, encoded);
  CHECK(gathered == whole);
}

TEST_CASE("codec: no truncation of a payload is a message, and neither is one with a byte behind it") {
  for (const raft::Message& message : test::sample_messages()) {
    const FrameType type = encode(message).type;
    CAPTURE(frame_type_name(type));
    const std::string payload = payload_of(message);
    for (size_t size = 0; size < payload.size(); ++size) {
      REQUIRE_FALSE(decode(type, std::string_view(payload).substr(0, size)).is_ok());
    }
    CHECK_FALSE(decode(type, payload + '\0').is_ok());
  }
}

TEST_CASE("codec: whatever a flipped bit gives is refused or a message that writes the same bytes") {
  for (const raft::Message& message : test::sample_messages()) {
    const FrameType type = encode(message).type;
    const std::string payload = payload_of(message);
    for (size_t bit = 0; bit < payload.size() * 8; ++bit) {
      std::string bad = payload;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
      base::Result<raft::Message> decoded = decode(type, bad);
      if (decoded.is_ok()) REQUIRE(payload_of(decoded.value()) == bad);
    }
  }
}

TEST_CASE("codec: tagged fields at the end are skipped by a reader that does not know them") {
  std::string payload = head_start();
  payload += leto::test::from_hex("4d");  // context 77
  payload += leto::test::from_hex(
      "02"
      "01"
      "0161"
      "09"
      "03626364");
  base::Result<raft::Message> decoded = decode(FrameType::kReadIndexRequest, payload);
  REQUIRE(decoded.is_ok());
  CHECK(std::get<raft::ReadIndexRequest>(decoded.value().body).context == 77);
}

TEST_CASE("codec: tagged fields out of order, doubled, too many or cut are refused") {
  const std::string start = head_start() + '\x4d';
  for (const char* bad : {"02"
                          "09"
                          "0161"
                          "01"
                          "0161",
                          "02"
                          "01"
                          "0161"
                          "01"
                          "0161",
                          "01"
                          "00"
                          "0161",
                          "01"
                          "01"
                          "0261",
                          "02"
                          "01"
                          "0161",
                          "21"}) {
    CAPTURE(bad);
    CHECK(error_of(FrameType::kReadIndexRequest, start + leto::test::from_hex(bad)) ==
          "malformed ReadIndexRequest: tagged fields");
  }
}

TEST_CASE("codec: a frame that is no message of Raft is refused by its name") {
  CHECK(error_of(FrameType::kHello, "") == "Hello (frame type 1) is no Raft message");
  CHECK(error_of(FrameType{99}, "") == "unknown (frame type 99) is no Raft message");
  CHECK_FALSE(is_message(FrameType::kPart));
  CHECK(is_message(FrameType::kTimeoutNow));
}

TEST_CASE("codec: values that no sender writes are refused, and the sentence names the field") {
  const std::string end(1, '\0');
  std::string nobody(8, '\0');
  CHECK(error_of(FrameType::kTimeoutNow, nobody + head_start().substr(8) + end) ==
        "malformed TimeoutNow: from");
  CHECK(error_of(FrameType::kTimeoutNow, head_start().substr(0, 8) + nobody + '\x07' + end) ==
        "malformed TimeoutNow: to");
  CHECK(error_of(FrameType::kRequestVoteReply, head_start() + "\x02\x01" + end) ==
        "malformed RequestVoteReply: pre_vote");

  std::string unknown_kind = append_start(6, 300) + '\x01';
  put_entry(unknown_kind, 7, 3, 0);
  CHECK(error_of(FrameType::kAppendEntries, unknown_kind + end) ==
        "malformed AppendEntries: an entry's kind");
  std::string falling_term = append_start(6, 300) + '\x01';
  put_entry(falling_term, 5, 1, 0);
  CHECK(error_of(FrameType::kAppendEntries, falling_term + end) ==
        "malformed AppendEntries: an entry's term");
  std::string full_nothing = append_start(6, 300) + '\x01';
  put_entry(full_nothing, 7, 0, 1);
  CHECK(error_of(FrameType::kAppendEntries, full_nothing + end + "x") ==
        "malformed AppendEntries: an entry's size");
}

TEST_CASE("codec: counts and sizes beyond their bounds are refused before anything is kept for them") {
  const std::string end(1, '\0');
  std::string many = append_start(6, 300);
  base::put_varint(many, kEntriesMax + 1);
  CHECK(error_of(FrameType::kAppendEntries, many + end) == "malformed AppendEntries: entries");
  std::string more_than_bytes = append_start(6, 300);
  base::put_varint(more_than_bytes, kEntriesMax);
  CHECK(error_of(FrameType::kAppendEntries, more_than_bytes + end) ==
        "malformed AppendEntries: entries");
  std::string past_the_last_index = append_start(6, std::numeric_limits<uint64_t>::max()) + '\x01';
  put_entry(past_the_last_index, 7, 1, 0);
  CHECK(error_of(FrameType::kAppendEntries, past_the_last_index + end) ==
        "malformed AppendEntries: entries");
  std::string huge = append_start(6, 300) + '\x01';
  put_entry(huge, 7, 1, kEntryBytesMax + 1);
  CHECK(error_of(FrameType::kAppendEntries, huge + end) == "malformed AppendEntries: an entry's size");
  std::string absent = append_start(6, 300) + '\x01';
  put_entry(absent, 7, 1, kEntryBytesMax);
  CHECK(error_of(FrameType::kAppendEntries, absent + end) == "malformed AppendEntries: its size");
}

// An InstallSnapshot head with these numbers, and `bytes` behind it.
std::string chunk_payload(uint64_t size, uint64_t offset, uint64_t data_size, size_t bytes) {
  std::string payload = head_start();
  for (const uint64_t number : {uint64_t{1}, uint64_t{6}, uint64_t{300}, size, uint64_t{5}, offset, uint64_t{9}, data_size})
    base::put_varint(payload, number);
  base::put_varint(payload, 0);
  return payload + std::string(bytes, 'c');
}

TEST_CASE("codec: a chunk outside its file, beyond its bound or of another length is refused by name") {
  const FrameType type = FrameType::kInstallSnapshot;
  CHECK(error_of(type, chunk_payload(10, 4, 6, 6)) == "accepted");
  CHECK(error_of(type, chunk_payload(10, 5, 6, 6)) == "malformed InstallSnapshot: data");
  CHECK(error_of(type, chunk_payload(10, 11, 0, 0)) == "malformed InstallSnapshot: data");
  CHECK(error_of(type, chunk_payload(10, std::numeric_limits<uint64_t>::max(), 6, 6)) == "malformed InstallSnapshot: data");
  const size_t too_many = kSnapshotChunkBytesMax + 1;
  CHECK(error_of(type, chunk_payload(2 * too_many, 0, too_many, too_many)) == "malformed InstallSnapshot: data");
  CHECK(error_of(type, chunk_payload(10, 4, 6, 5)) == "malformed InstallSnapshot: its size");
  CHECK(error_of(type, chunk_payload(10, 4, 6, 7)) == "malformed InstallSnapshot: its size");
}

TEST_CASE("codec: an answer to a chunk that nobody defined is refused, and a chunk does not come in parts") {
  std::string reply = head_start();
  base::put_varint(reply, 1);
  base::put_u8(reply, 3);
  for (int i = 0; i < 3; ++i) base::put_varint(reply, 0);
  CHECK(error_of(FrameType::kInstallSnapshotReply, reply) == "malformed InstallSnapshotReply: answer");
  const Encoded chunk = encode(message_of(chunk_of(3, 0, 3)));
  CHECK_FALSE(decode_parted(FrameType::kInstallSnapshot, chunk.head, "ccc").is_ok());
}

}  // namespace
}  // namespace leto::peer
