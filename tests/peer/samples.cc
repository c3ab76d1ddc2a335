#include "tests/peer/samples.h"

#include <doctest/doctest.h>

#include <variant>

#include "peer/parts.h"

namespace leto::peer::test {

using raft::AppendEntries;
using raft::AppendEntriesReply;
using raft::Entry;
using raft::EntryKind;
using raft::Message;

Message message_of(raft::Body body) {
  return {.from = kFirst, .to = kSecond, .term = 7, .body = std::move(body)};
}

Entry entry_of(raft::EntryId id, std::string_view bytes) {
  const EntryKind kind = bytes.empty() ? EntryKind::kNothing : EntryKind::kCommands;
  return {.id = id, .kind = kind, .payload = std::make_shared<const std::string>(bytes)};
}

std::vector<Message> sample_messages() {
  const AppendEntries heartbeat{.previous = {6, 300},
                                .leader_commit = 299,
                                .acknowledged = 300,
                                .read_counter = 12,
                                .cluster_time_ms = 1795445066123,
                                .entries = {}};
  AppendEntries append = heartbeat;
  append.entries = {entry_of({7, 301}, ""), entry_of({7, 302}, "SET a 1")};
  return {
      message_of(raft::RequestVote{.pre_vote = true, .transfer = false, .last = {6, 300}}),
      message_of(raft::RequestVoteReply{.pre_vote = false, .granted = true}),
      message_of(append),
      message_of(heartbeat),
      message_of(AppendEntriesReply{
          .accepted = true, .match = 302, .previous_index = 300, .hint = {0, 0}, .read_counter = 12}),
      message_of(raft::TimeoutNow{}),
      message_of(raft::ReadIndexRequest{.context = 77}),
      message_of(raft::ReadIndexReply{
          .context = 77, .ok = true, .index = 302, .cluster_time_ms = 1795445066124}),
      message_of(raft::InstallSnapshot{.snapshot = 3,
                                       .last = {6, 300},
                                       .size = 2000,
                                       .checksum = 0xc1c2c3c4,
                                       .offset = 990,
                                       .cluster_time_ms = 1795445066125,
                                       .data = std::make_shared<const std::string>("last bytes")}),
      message_of(raft::InstallSnapshotReply{
          .snapshot = 3, .answer = raft::SnapshotAnswer::kInstalled, .offset = 2000, .match = 300}),
  };
}

namespace {

std::string numbered_bytes(size_t size, int first) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(first + static_cast<int>(i)));
  return bytes;
}

std::string last_part() {
  // 8 bytes of the body are left for the second part.
  const size_t head = encode(large_message(kPartBytes)).head.size();
  PartCutter cutter(encode(large_message(kPartBytes - head + 8)), 5);
  std::string out;
  while (!cutter.done()) {
    out.clear();
    cutter.put_next(out);
  }
  return out;
}

void add(std::vector<Sample>& samples, const char* name, std::string& bytes) {
  samples.push_back({name, std::exchange(bytes, {})});
}

void add_handshake(std::vector<Sample>& samples) {
  Initiator initiator(sample_hello(ConnectionKind::kControl), std::string(kSecret));
  Acceptor acceptor(sample_member());
  std::string bytes;
  initiator.start(bytes);
  const std::string hello = bytes;
  add(samples, "Hello", bytes);
  acceptor.on_frame(cut(hello)[0].view(), bytes);
  const std::string challenge = bytes;
  add(samples, "Challenge", bytes);
  initiator.on_frame(cut(challenge)[0].view(), bytes);
  const std::string proof = bytes;
  add(samples, "Proof", bytes);
  acceptor.on_frame(cut(proof)[0].view(), bytes);
  add(samples, "Welcome", bytes);
  put_frame(bytes, FrameType::kRefuse,
            encode_payload(Refuse{RefusalCode::kNoCluster, "id2 is in no cluster yet"}));
  add(samples, "Refuse", bytes);
  put_frame(bytes, FrameType::kAdopt, encode_payload(sample_adopt()));
  add(samples, "Adopt", bytes);
}

}  // namespace

std::vector<Sample> sample_frames() {
  std::vector<Sample> samples;
  add_handshake(samples);
  size_t i = 0;
  for (const Message& message : sample_messages()) {
    std::string bytes;
    put_message(bytes, encode(message));
    add(samples, kMessageNames[i++], bytes);
  }
  std::string part = last_part();
  add(samples, "Part", part);
  std::string bytes;
  put_message(bytes, encode(sample_forward()));
  add(samples, "Forward", bytes);
  put_message(bytes, encode(sample_forward_reply()));
  add(samples, "ForwardReply", bytes);
  return samples;
}

Forward sample_forward() {
  return {.from = kFirst,
          .to = kSecond,
          .term = 7,
          .life = 0xc1c2c3c4c5c6c7c8,
          .stream = 2,
          .first = 3,
          .requests = {{.resp3 = false, .commands = {{.database = 0, .arguments = {"SET", "a", "1"}}}},
                       {.resp3 = true, .commands = {{.database = 0, .arguments = {"INCR", "n"}}}}}};
}

ForwardReply sample_forward_reply() {
  return {.from = kFirst,
          .to = kSecond,
          .term = 7,
          .life = 0xc1c2c3c4c5c6c7c8,
          .stream = 2,
          .applied = 302,
          .closed_from = 4,
          .answers = {{.number = 3, .taken = true, .reply = "+OK\r\n"}, {.number = 4, .taken = false, .reply = ""}}};
}

Hello sample_hello(ConnectionKind kind) {
  Hello hello;
  hello.kind = kind;
  hello.cluster = kCluster;
  hello.initiator = {kFirst, "id1"};
  hello.expected = {kSecond, "id2"};
  hello.nonce = numbered_bytes(kNonceBytes, 0x40);
  hello.raft_address = "127.0.0.1:15379";
  hello.client_address = "127.0.0.1:5379";
  return hello;
}

AcceptorSetup sample_member() {
  AcceptorSetup setup;
  setup.self = {kSecond, "id2"};
  setup.cluster = kCluster;
  setup.secret = kSecret;
  setup.state = AcceptorState::kMember;
  setup.client_address = "127.0.0.1:6379";
  setup.nonce = numbered_bytes(kNonceBytes, 0x60);
  return setup;
}

AcceptorSetup sample_empty() {
  AcceptorSetup setup = sample_member();
  setup.cluster.clear();
  setup.secret.clear();
  setup.state = AcceptorState::kEmpty;
  return setup;
}

Adopt sample_adopt() {
  return {.cluster = std::string(kCluster), .secret = std::string(kSecret), .adopted = {kSecond, "id2"}, .proofs = {}};
}

Message large_message(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 256);
  AppendEntries append;
  append.previous = {7, 300};
  append.entries = {entry_of({7, 301}, bytes)};
  return message_of(std::move(append));
}

std::vector<OwnedFrame> cut(std::string_view bytes) {
  FrameReader reader(kFrameBytesMax);
  reader.feed(bytes);
  std::vector<OwnedFrame> frames;
  for (Frame frame; reader.next(frame);) frames.push_back({frame.type, std::string(frame.payload)});
  REQUIRE(reader.error() == FrameError::kNone);
  REQUIRE(reader.buffered() == 0);
  return frames;
}

namespace {

bool same(const Entry& a, const Entry& b) {
  return a.id == b.id && a.kind == b.kind && *a.payload == *b.payload;
}

struct SameBody {
  bool operator()(const raft::RequestVote& a, const raft::RequestVote& b) const {
    return a.pre_vote == b.pre_vote && a.transfer == b.transfer && a.last == b.last;
  }
  bool operator()(const raft::RequestVoteReply& a, const raft::RequestVoteReply& b) const {
    return a.pre_vote == b.pre_vote && a.granted == b.granted;
  }
  bool operator()(const AppendEntries& a, const AppendEntries& b) const {
    if (a.previous != b.previous || a.leader_commit != b.leader_commit || a.acknowledged != b.acknowledged ||
        a.read_counter != b.read_counter || a.cluster_time_ms != b.cluster_time_ms ||
        a.silence_ticks != b.silence_ticks || a.entries.size() != b.entries.size()) {
      return false;
    }
    for (size_t i = 0; i < a.entries.size(); ++i) {
      if (!same(a.entries[i], b.entries[i])) return false;
    }
    return true;
  }
  bool operator()(const AppendEntriesReply& a, const AppendEntriesReply& b) const {
    return a.accepted == b.accepted && a.match == b.match && a.previous_index == b.previous_index &&
           a.hint == b.hint && a.acknowledged == b.acknowledged && a.read_counter == b.read_counter;
  }
  bool operator()(const raft::TimeoutNow&, const raft::TimeoutNow&) const { return true; }
  bool operator()(const raft::ReadIndexRequest& a, const raft::ReadIndexRequest& b) const {
    return a.context == b.context;
  }
  bool operator()(const raft::ReadIndexReply& a, const raft::ReadIndexReply& b) const {
    return a.context == b.context && a.ok == b.ok && a.index == b.index &&
           a.cluster_time_ms == b.cluster_time_ms;
  }
  bool operator()(const raft::InstallSnapshot& a, const raft::InstallSnapshot& b) const {
    return a.snapshot == b.snapshot && a.last == b.last && a.size == b.size && a.checksum == b.checksum &&
           a.offset == b.offset && a.cluster_time_ms == b.cluster_time_ms && *a.data == *b.data;
  }
  bool operator()(const raft::InstallSnapshotReply& a, const raft::InstallSnapshotReply& b) const {
    return a.snapshot == b.snapshot && a.answer == b.answer && a.offset == b.offset && a.match == b.match;
  }
  template <typename A, typename B>
  bool operator()(const A&, const B&) const {
    return false;
  }
};

}  // namespace

bool operator==(const Message& a, const Message& b) {
  return a.from == b.from && a.to == b.to && a.term == b.term && std::visit(SameBody{}, a.body, b.body);
}

}  // namespace leto::peer::test
