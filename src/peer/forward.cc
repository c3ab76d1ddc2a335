// The field lists of forwarded requests and their answers; see the header.
#include "peer/forward.h"

#include <limits>
#include <memory>
#include <utility>

#include "base/format.h"
#include "peer/fields.h"

namespace leto::peer {

namespace {

// A field list that holds lists: a count, then the elements.
class ListWriter : public FieldWriter {
 public:
  using FieldWriter::FieldWriter;

  template <typename Element, typename EachField>
  void list(const char* name, const std::vector<Element>& elements, size_t most, EachField each) {
    LETO_ASSERT(elements.size() <= most, base::format("%zu %s", elements.size(), name));
    base::put_varint(out(), elements.size());
    for (const Element& element : elements) each(*this, element);
  }
};

class ListReader : public FieldReader {
 public:
  using FieldReader::FieldReader;

  // Every element has at least one byte: a count beyond what is left is refused before anything is reserved.
  template <typename Element, typename EachField>
  void list(const char* name, std::vector<Element>& elements, size_t most, EachField each) {
    const uint64_t count = reader().varint_at_most(most);
    if (failed() || count > reader().left()) return refuse(name);
    for (uint64_t i = 0; i < count && !failed(); ++i) each(*this, elements.emplace_back());
  }
};

// --- The field lists -------------------------------------------------------------------------------------

template <typename Visitor, Of<ForwardedCommand> Value>
void fields(Visitor& visit, Value& command) {
  visit.number("a command's database", command.database);
  visit.list("arguments", command.arguments, kForwardArgumentsMax,
             [](auto& each, auto& argument) { each.bytes_between("an argument", argument, 0, kEntryBytesMax); });
}

template <typename Visitor, Of<ForwardedRequest> Value>
void fields(Visitor& visit, Value& request) {
  visit.flag("a request's resp3", request.resp3);
  visit.list("commands", request.commands, kForwardCommandsMax,
             [](auto& each, auto& command) { fields(each, command); });
}

template <typename Visitor, Of<ForwardAnswer> Value>
void fields(Visitor& visit, Value& answer) {
  visit.number("an answer's number", answer.number);
  visit.flag("an answer's taken", answer.taken);
  visit.bytes_between("an answer's reply", answer.reply, 0, kPartedBodyBytesMax);
}

template <typename Visitor, typename Value>
void stream_fields(Visitor& visit, Value& value) {
  visit.fixed("from", value.from);
  visit.fixed("to", value.to);
  visit.number("term", value.term);
  visit.fixed("life", value.life);
  visit.number("stream", value.stream);
}

template <typename Visitor, Of<Forward> Value>
void head_fields(Visitor& visit, Value& forward) {
  stream_fields(visit, forward);
  visit.number("first", forward.first);
  visit.end();
}

template <typename Visitor, Of<ForwardReply> Value>
void head_fields(Visitor& visit, Value& reply) {
  stream_fields(visit, reply);
  visit.number("applied", reply.applied);
  visit.number("closed_from", reply.closed_from);
  visit.end();
}

template <typename Visitor, Of<Forward> Value>
void body_fields(Visitor& visit, Value& forward) {
  visit.list("requests", forward.requests, kForwardRequestsMax,
             [](auto& each, auto& request) { fields(each, request); });
}

template <typename Visitor, Of<ForwardReply> Value>
void body_fields(Visitor& visit, Value& reply) {
  visit.list("answers", reply.answers, kForwardRequestsMax,
             [](auto& each, auto& answer) { fields(each, answer); });
}

// --- What the types alone do not say; null if it is so -------------------------------------------------

const char* broken_rule(const Forward& forward) {
  if (forward.stream == 0) return "stream";
  if (forward.first == 0 || forward.first > std::numeric_limits<uint64_t>::max() - kForwardRequestsMax) return "first";
  if (forward.requests.empty()) return "requests";
  for (const ForwardedRequest& request : forward.requests) {
    if (request.commands.empty()) return "commands";
    for (const ForwardedCommand& command : request.commands) {
      if (command.arguments.empty()) return "arguments";
    }
  }
  return nullptr;
}

const char* broken_rule(const ForwardReply& reply) {
  if (reply.stream == 0) return "stream";
  for (const ForwardAnswer& answer : reply.answers) {
    if (answer.number == 0) return "an answer's number";
    if (answer.taken == answer.reply.empty()) return "an answer's reply";
  }
  return nullptr;
}

constexpr FrameType type_of(const Forward&) { return FrameType::kForward; }
constexpr FrameType type_of(const ForwardReply&) { return FrameType::kForwardReply; }

template <typename Value>
Encoded encode_any(const Value& value) {
  LETO_ASSERT(value.from != raft::kNobody && value.to != raft::kNobody, "forwarded by or to nobody");
  const char* broken = broken_rule(value);
  LETO_ASSERT(broken == nullptr, broken);
  Encoded encoded;
  encoded.type = type_of(value);
  encoded.route = {.from = value.from, .to = value.to, .term = value.term};
  ListWriter head(encoded.head);
  head_fields(head, value);
  std::string body;
  ListWriter writer(body);
  body_fields(writer, value);
  LETO_ASSERT(body.size() <= kPartedBodyBytesMax, base::format("a body of %zu bytes", body.size()));
  encoded.body_size = body.size();
  encoded.body.push_back(std::make_shared<const std::string>(std::move(body)));
  encoded.bulky = encoded.size() > kControlForwardBytes;
  return encoded;
}

template <typename Value>
base::Status decode_body(std::string_view body, Value& value) {
  const FrameType type = type_of(value);
  ListReader reader(body);
  body_fields(reader, value);
  if (reader.failed()) return malformed(type, reader.failed_field());
  if (!reader.at_end()) return malformed(type, "its size");
  if (value.from == raft::kNobody) return malformed(type, "from");
  if (value.to == raft::kNobody) return malformed(type, "to");
  if (const char* broken = broken_rule(value)) return malformed(type, broken);
  return {};
}

template <typename Value>
base::Status decode_whole(std::string_view payload, Value& value) {
  FieldReader head(payload);
  head_fields(head, value);
  if (head.failed()) return malformed(type_of(value), head.failed_field());
  return decode_body(head.rest(), value);
}

template <typename Value>
base::Status decode_pieces(std::string_view head, std::string_view body, Value& value) {
  FieldReader reader(head);
  head_fields(reader, value);
  if (reader.failed()) return malformed(type_of(value), reader.failed_field());
  if (!reader.at_end()) return malformed(type_of(value), "its size");
  return decode_body(body, value);
}

constexpr size_t kVarintBytesMax = 10;

}  // namespace

size_t encoded_size(const ForwardedRequest& request) {
  size_t size = 2 * kVarintBytesMax;
  for (const ForwardedCommand& command : request.commands) {
    size += 2 * kVarintBytesMax;
    for (const std::string& argument : command.arguments) size += kVarintBytesMax / 2 + argument.size();
  }
  return size;
}

size_t encoded_size(const ForwardAnswer& answer) { return 3 * kVarintBytesMax + answer.reply.size(); }

Encoded encode(const Forward& forward) { return encode_any(forward); }
Encoded encode(const ForwardReply& reply) { return encode_any(reply); }

bool is_forward(FrameType type) { return type == FrameType::kForward || type == FrameType::kForwardReply; }

base::Status decode_payload(std::string_view payload, Forward& forward) { return decode_whole(payload, forward); }
base::Status decode_payload(std::string_view payload, ForwardReply& reply) { return decode_whole(payload, reply); }

base::Status decode_parted(std::string_view head, std::string_view body, Forward& forward) {
  return decode_pieces(head, body, forward);
}
base::Status decode_parted(std::string_view head, std::string_view body, ForwardReply& reply) {
  return decode_pieces(head, body, reply);
}

}  // namespace leto::peer
