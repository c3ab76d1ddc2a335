// The field lists of Raft's messages and what drives them; see the header.
#include "peer/codec.h"

#include <limits>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/format.h"
#include "peer/fields.h"

namespace leto::peer {

namespace {

using raft::AppendEntries;
using raft::AppendEntriesReply;
using raft::InstallSnapshot;
using raft::InstallSnapshotReply;
using raft::Message;
using raft::ReadIndexReply;
using raft::ReadIndexRequest;
using raft::RequestVote;
using raft::RequestVoteReply;
using raft::TimeoutNow;

constexpr raft::EntryKind kLargestEntryKind = raft::EntryKind::kConfiguration;
constexpr raft::SnapshotAnswer kLargestSnapshotAnswer = raft::SnapshotAnswer::kRefused;
constexpr size_t kEntryFieldBytesMin = 3;  // Term, kind and size, a byte each.

// --- The field lists -------------------------------------------------------------------------------------

template <typename Visitor, Of<RequestVote> Value>
void fields(Visitor& visit, Value& vote) {
  visit.flag("pre_vote", vote.pre_vote);
  visit.flag("transfer", vote.transfer);
  visit.entry_id("last", vote.last);
}

template <typename Visitor, Of<RequestVoteReply> Value>
void fields(Visitor& visit, Value& reply) {
  visit.flag("pre_vote", reply.pre_vote);
  visit.flag("granted", reply.granted);
}

template <typename Visitor, Of<AppendEntries> Value>
void fields(Visitor& visit, Value& append) {
  visit.entry_id("previous", append.previous);
  visit.number("leader_commit", append.leader_commit);
  visit.number("acknowledged", append.acknowledged);
  visit.number("read_counter", append.read_counter);
  visit.number("cluster_time_ms", append.cluster_time_ms);
  visit.entries("entries", append.previous, append.entries);
}

template <typename Visitor, Of<AppendEntriesReply> Value>
void fields(Visitor& visit, Value& reply) {
  visit.flag("accepted", reply.accepted);
  visit.number("match", reply.match);
  visit.number("previous_index", reply.previous_index);
  visit.entry_id("hint", reply.hint);
  visit.number("acknowledged", reply.acknowledged);
  visit.number("read_counter", reply.read_counter);
}

template <typename Visitor, Of<TimeoutNow> Value>
void fields(Visitor&, Value&) {}

template <typename Visitor, Of<ReadIndexRequest> Value>
void fields(Visitor& visit, Value& request) {
  visit.number("context", request.context);
}

template <typename Visitor, Of<ReadIndexReply> Value>
void fields(Visitor& visit, Value& reply) {
  visit.number("context", reply.context);
  visit.flag("ok", reply.ok);
  visit.number("index", reply.index);
  visit.number("cluster_time_ms", reply.cluster_time_ms);
}

template <typename Visitor, Of<InstallSnapshot> Value>
void fields(Visitor& visit, Value& chunk) {
  visit.number("snapshot", chunk.snapshot);
  visit.entry_id("last", chunk.last);
  visit.number("size", chunk.size);
  visit.number("checksum", chunk.checksum);
  visit.number("offset", chunk.offset);
  visit.number("cluster_time_ms", chunk.cluster_time_ms);
  visit.chunk("data", chunk);
}

template <typename Visitor, Of<InstallSnapshotReply> Value>
void fields(Visitor& visit, Value& reply) {
  visit.number("snapshot", reply.snapshot);
  visit.choice("answer", reply.answer, kLargestSnapshotAnswer);
  visit.number("offset", reply.offset);
  visit.number("match", reply.match);
}

template <typename Visitor, Of<Message> Value>
void route_fields(Visitor& visit, Value& message) {
  visit.fixed("from", message.from);
  visit.fixed("to", message.to);
  visit.number("term", message.term);
}

// The end of the head: what not every version says.
template <typename Visitor, typename Value>
void tagged_fields(Visitor& visit, Value&) {
  visit.end();
}

template <typename Visitor, Of<AppendEntries> Value>
void tagged_fields(Visitor& visit, Value& append) {
  visit.end_with({{.tag = 1, .name = "silence_ticks", .value = append.silence_ticks, .usual = 0}});
}

// An entry's index is not sent: entries are consecutive after `previous`.
template <typename Visitor, Of<raft::Entry> Value>
void entry_fields(Visitor& visit, Value& entry,
                  std::conditional_t<std::is_const_v<Value>, size_t, size_t&> size) {
  visit.number("an entry's term", entry.id.term);
  visit.choice("an entry's kind", entry.kind, kLargestEntryKind);
  visit.number("an entry's size", size);
}

// --- The frame type of each ------------------------------------------------------------------------------

template <typename Type>
constexpr FrameType kTypeOf = FrameType::kHello;
template <>
constexpr FrameType kTypeOf<RequestVote> = FrameType::kRequestVote;
template <>
constexpr FrameType kTypeOf<RequestVoteReply> = FrameType::kRequestVoteReply;
template <>
constexpr FrameType kTypeOf<AppendEntries> = FrameType::kAppendEntries;
template <>
constexpr FrameType kTypeOf<AppendEntriesReply> = FrameType::kAppendEntriesReply;
template <>
constexpr FrameType kTypeOf<TimeoutNow> = FrameType::kTimeoutNow;
template <>
constexpr FrameType kTypeOf<ReadIndexRequest> = FrameType::kReadIndexRequest;
template <>
constexpr FrameType kTypeOf<ReadIndexReply> = FrameType::kReadIndexReply;
template <>
constexpr FrameType kTypeOf<InstallSnapshot> = FrameType::kInstallSnapshot;
template <>
constexpr FrameType kTypeOf<InstallSnapshotReply> = FrameType::kInstallSnapshotReply;

// True if `size` bytes of a chunk lie within its file and the bound.
bool chunk_fits(const InstallSnapshot& chunk, uint64_t size) {
  return size <= kSnapshotChunkBytesMax && chunk.offset <= chunk.size && size <= chunk.size - chunk.offset;
}

// --- Writing ---------------------------------------------------------------------------------------------

class MessageWriter : public FieldWriter {
 public:
  explicit MessageWriter(Encoded& encoded) : FieldWriter(encoded.head), encoded_(encoded) {}

  void entries(const char*, const raft::EntryId& previous, const std::vector<raft::Entry>& entries) {
    LETO_ASSERT(entries.size() <= kEntriesMax, base::format("%zu entries", entries.size()));
    base::put_varint(out(), entries.size());
    raft::Index index = previous.index;
    for (const raft::Entry& entry : entries) {
      LETO_ASSERT(
          entry.id.index == ++index,
          base::format("entry %llu where %llu follows", static_cast<unsigned long long>(entry.id.index),
                       static_cast<unsigned long long>(index)));
      put_entry(entry);
    }
  }

  void chunk(const char*, const InstallSnapshot& chunk) {
    LETO_ASSERT(chunk.data && chunk_fits(chunk, chunk.data->size()),
                base::format("a chunk of %zu bytes at %llu of %llu", chunk.data ? chunk.data->size() : size_t{0},
                             static_cast<unsigned long long>(chunk.offset),
                             static_cast<unsigned long long>(chunk.size)));
    base::put_varint(out(), chunk.data->size());
    put_body(chunk.data);
  }

 private:
  void put_body(const raft::Payload& payload) {
    if (payload->empty()) return;
    encoded_.body.push_back(payload);
    encoded_.body_size += payload->size();
  }
  void put_entry(const raft::Entry& entry) {
    const size_t size = entry.size();
    LETO_ASSERT(size <= kEntryBytesMax, base::format("an entry of %zu bytes", size));
    LETO_ASSERT(size == 0 || entry.kind != raft::EntryKind::kNothing,
                base::format("a kNothing entry of %zu bytes", size));
    entry_fields(*this, entry, size);
    put_body(entry.payload);
  }

  Encoded& encoded_;
};

// --- Reading ---------------------------------------------------------------------------------------------

class MessageReader : public FieldReader {
 public:
  explicit MessageReader(std::string_view head) : FieldReader(head) {}

  void entries(const char* name, const raft::EntryId& previous, std::vector<raft::Entry>& entries) {
    const uint64_t count = reader().varint_at_most(kEntriesMax);
    const bool too_many = count > reader().left() / kEntryFieldBytesMin ||
                          count > std::numeric_limits<raft::Index>::max() - previous.index;
    if (failed() || too_many) return refuse(name);
    entries.reserve(count);
    sizes_.reserve(count);
    raft::EntryId last = previous;
    while (entries.size() < count && read_entry(last, entries.emplace_back())) {
    }
  }

  void chunk(const char* name, InstallSnapshot& chunk) {
    const uint64_t size = reader().varint_at_most(kSnapshotChunkBytesMax);
    if (failed() || !chunk_fits(chunk, size)) return refuse(name);
    sizes_.push_back(size);
    body_size_ = size;
  }

  // How the body is cut, one size per entry; of a chunk its only one.
  const std::vector<size_t>& sizes() const { return sizes_; }
  size_t body_size() const { return body_size_; }

 private:
  bool read_entry(raft::EntryId& last, raft::Entry& entry) {
    size_t size = 0;
    entry_fields(*this, entry, size);
    if (size > kEntryBytesMax) refuse("an entry's size");
    if (size > 0 && entry.kind == raft::EntryKind::kNothing) refuse("an entry's size");
    if (entry.id.term < last.term) refuse("an entry's term");
    if (failed()) return false;
    entry.id.index = last.index + 1;
    last = entry.id;
    sizes_.push_back(size);
    body_size_ += size;  // At most kEntriesMax * kEntryBytesMax: no overflow.
    return true;
  }

  std::vector<size_t> sizes_;
  size_t body_size_ = 0;
};

template <typename Type>
void read_body(MessageReader& reader, Message& message) {
  Type& body = message.body.emplace<Type>();
  fields(reader, body);
  tagged_fields(reader, body);
}

using ReadBody = void (*)(MessageReader&, Message&);

ReadBody body_reader(FrameType type) {
  switch (type) {
    case kTypeOf<RequestVote>: return read_body<RequestVote>;
    case kTypeOf<RequestVoteReply>: return read_body<RequestVoteReply>;
    case kTypeOf<AppendEntries>: return read_body<AppendEntries>;
    case kTypeOf<AppendEntriesReply>: return read_body<AppendEntriesReply>;
    case kTypeOf<TimeoutNow>: return read_body<TimeoutNow>;
    case kTypeOf<ReadIndexRequest>: return read_body<ReadIndexRequest>;
    case kTypeOf<ReadIndexReply>: return read_body<ReadIndexReply>;
    case kTypeOf<InstallSnapshot>: return read_body<InstallSnapshot>;
    case kTypeOf<InstallSnapshotReply>: return read_body<InstallSnapshotReply>;
    default: return nullptr;
  }
}

// Everything but the body. Leaves the reader behind the tagged fields.
base::Status read_head(FrameType type, MessageReader& reader, Message& message) {
  const ReadBody read = body_reader(type);
  if (read == nullptr) {
    return base::Status::error(base::format("%s (frame type %u) is no Raft message", frame_type_name(type),
                                            static_cast<unsigned>(type)));
  }
  route_fields(reader, message);
  read(reader, message);
  if (reader.failed()) return malformed(type, reader.failed_field());
  if (message.from == raft::kNobody) return malformed(type, "from");
  if (message.to == raft::kNobody) return malformed(type, "to");
  return base::Status::ok();
}

void cut_body(std::string_view body, const std::vector<size_t>& sizes, Message& message) {
  if (auto* chunk = std::get_if<InstallSnapshot>(&message.body)) {
    chunk->data = std::make_shared<const std::string>(body);
    return;
  }
  if (sizes.empty()) return;
  std::vector<raft::Entry>& entries = std::get<AppendEntries>(message.body).entries;
  for (size_t i = 0; i < sizes.size(); ++i) {
    entries[i].payload = std::make_shared<const std::string>(body.substr(0, sizes[i]));
    body.remove_prefix(sizes[i]);
  }
}

// Entries and chunks of snapshots.
bool is_bulky(const Message& message) {
  if (const auto* chunk = std::get_if<InstallSnapshot>(&message.body)) return !chunk->data->empty();
  const auto* append = std::get_if<AppendEntries>(&message.body);
  return append != nullptr && !append->entries.empty();
}

}  // namespace

Encoded encode(const Message& message) {
  LETO_ASSERT(message.from != raft::kNobody && message.to != raft::kNobody, "a message of or to nobody");
  Encoded encoded;
  encoded.route = {.from = message.from, .to = message.to, .term = message.term};
  MessageWriter writer(encoded);
  route_fields(writer, message);
  std::visit(
      [&](const auto& body) {
        encoded.type = kTypeOf<std::remove_cvref_t<decltype(body)>>;
        fields(writer, body);
        tagged_fields(writer, body);
      },
      message.body);
  encoded.bulky = is_bulky(message) || encoded.needs_parts();
  return encoded;
}

void put_head(std::string& out, const Encoded& encoded) {
  LETO_ASSERT(!encoded.needs_parts(), base::format("%zu bytes", encoded.size()));
  std::vector<std::string_view> pieces = {encoded.head};
  for (const raft::Payload& payload : encoded.body) pieces.push_back(*payload);
  put_frame_header(out, encoded.type, pieces);
  out.append(encoded.head);
}

void put_message(std::string& out, const Encoded& encoded) {
  out.reserve(out.size() + kHeaderBytes + encoded.size());
  put_head(out, encoded);
  for (const raft::Payload& payload : encoded.body) out.append(*payload);
}

bool is_message(FrameType type) { return body_reader(type) != nullptr; }

base::Result<Message> decode(FrameType type, std::string_view payload) {
  Message message;
  MessageReader reader(payload);
  base::Status status = read_head(type, reader, message);
  if (!status.is_ok()) return status;
  const std::string_view body = reader.rest();
  if (body.size() != reader.body_size()) return malformed(type, "its size");
  cut_body(body, reader.sizes(), message);
  return message;
}

base::Result<Message> decode_parted(FrameType type, std::string_view head, std::string body) {
  Message message;
  MessageReader reader(head);
  base::Status status = read_head(type, reader, message);
  if (!status.is_ok()) return status;
  if (!std::holds_alternative<AppendEntries>(message.body)) return malformed(type, "in parts");
  if (!reader.at_end() || body.size() != reader.body_size()) return malformed(type, "its size");
  if (reader.sizes().size() == 1) {
    std::get<AppendEntries>(message.body).entries[0].payload =
        std::make_shared<const std::string>(std::move(body));
  } else {
    cut_body(body, reader.sizes(), message);
  }
  return message;
}

}  // namespace leto::peer
