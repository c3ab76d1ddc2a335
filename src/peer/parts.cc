// Cutting and putting together; see the header.
#include "peer/parts.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "peer/fields.h"

namespace leto::peer {

namespace {

template <typename Visitor, Of<Part> Value>
void fields(Visitor& visit, Value& part) {
  visit.fixed("from", part.route.from);
  visit.fixed("to", part.route.to);
  visit.number("term", part.route.term);
  visit.choice("type", part.type, FrameType::kForwardReply);
  visit.number("stream", part.stream);
  visit.number("number", part.number);
  visit.number("head size", part.head_size);
  visit.number("body size", part.body_size);
  visit.end();
}

unsigned long long wide(uint64_t number) { return number; }

base::Status refused(const char* why) {
  return base::Status::error(base::format("malformed Part: %s", why));
}

base::Status out_of_order(const Part& part, const char* why) {
  return base::Status::error(
      base::format("part %llu of stream %llu %s", wide(part.number), wide(part.stream), why));
}

template <typename Message>
Route route_of(const Message& message) {
  return {.from = message.from, .to = message.to, .term = message.term};
}

bool same_message(const Part& a, const Part& b) {
  return a.route == b.route && a.type == b.type && a.stream == b.stream && a.head_size == b.head_size &&
         a.body_size == b.body_size;
}

// What a first part must hold: the bounds are those of everything that follows.
base::Status check_first(const Part& part) {
  if (part.type != FrameType::kAppendEntries && !is_forward(part.type)) return refused("type");
  if (part.route.from == raft::kNobody) return refused("from");
  if (part.route.to == raft::kNobody) return refused("to");
  if (part.head_size > kPartedHeadBytesMax) return refused("head size");
  if (part.body_size > kPartedBodyBytesMax) return refused("body size");
  if (part.head_size + part.body_size <= kPartBytes) return refused("a message this small comes whole");
  return base::Status::ok();
}

}  // namespace

PartCutter::PartCutter(Encoded encoded, uint64_t stream) : encoded_(std::move(encoded)) {
  LETO_ASSERT(encoded_.needs_parts(), base::format("%zu bytes", encoded_.size()));
  LETO_ASSERT(encoded_.head.size() <= kPartedHeadBytesMax,
              base::format("head of %zu bytes", encoded_.head.size()));
  LETO_ASSERT(encoded_.body_size <= kPartedBodyBytesMax,
              base::format("body of %zu bytes", encoded_.body_size));
  LETO_ASSERT(stream > 0, "streams are counted from 1");
  part_ = {.route = encoded_.route,
           .type = encoded_.type,
           .stream = stream,
           .number = 0,
           .head_size = encoded_.head.size(),
           .body_size = encoded_.body_size};
}

void PartCutter::put_next(std::string& out) {
  LETO_ASSERT(!done(), base::format("stream %llu is done", wide(part_.stream)));
  std::string head;
  FieldWriter writer(head);
  fields(writer, std::as_const(part_));
  const size_t size = std::min(kPartBytes, encoded_.size() - sent_);
  std::vector<std::string_view> pieces = {head};
  take_pieces(pieces, size);
  out.reserve(out.size() + kHeaderBytes + head.size() + size);
  put_frame_header(out, FrameType::kPart, pieces);
  for (const std::string_view piece : pieces) out.append(piece);
  ++part_.number;
}

void PartCutter::take_pieces(std::vector<std::string_view>& pieces, size_t size) {
  if (sent_ < encoded_.head.size()) {
    pieces.push_back(std::string_view(encoded_.head).substr(sent_, size));
    sent_ += pieces.back().size();
    size -= pieces.back().size();
  }
  while (size > 0) {
    const std::string_view payload = *encoded_.body[payload_];
    const std::string_view piece = payload.substr(payload_offset_, size);
    pieces.push_back(piece);
    payload_offset_ += piece.size();
    sent_ += piece.size();
    size -= piece.size();
    if (payload_offset_ < payload.size()) continue;
    ++payload_;
    payload_offset_ = 0;
  }
}

base::Status PartAssembler::accept(const Part& part, size_t bytes) {
  if (part.number == 0) {
    base::Status status = check_first(part);
    if (!status.is_ok()) return status;
    if (part.stream <= part_.stream) return out_of_order(part, "begins a stream that has been");
    // What is left of an earlier stream: its sender gave it up.
    head_ = std::string();
    body_ = std::string();
  } else if (!unfinished_ || !same_message(part, part_) || part.number != part_.number + 1) {
    return out_of_order(part, "does not continue the part before it");
  }
  const uint64_t missing = part.head_size + part.body_size - held();
  if (bytes != std::min<uint64_t>(missing, kPartBytes)) return out_of_order(part, "has the wrong size");
  return base::Status::ok();
}

void PartAssembler::append(std::string_view bytes) {
  const size_t head_missing = part_.head_size - head_.size();
  head_.append(bytes.substr(0, head_missing));
  if (bytes.size() <= head_missing) return;
  // The address space at once: growing by doubling would copy a large body several times.
  if (body_.empty()) body_.reserve(part_.body_size);
  body_.append(bytes.substr(head_missing));
}

base::Result<PartArrival> PartAssembler::finish() {
  unfinished_ = false;
  const std::string head = std::exchange(head_, {});
  PartArrival arrival;
  base::Status status = finish_message(head, std::exchange(body_, {}), arrival);
  if (!status.is_ok()) return status;
  if (!(arrival.route == part_.route)) return refused("the message is not of the route its parts named");
  return arrival;
}

base::Status PartAssembler::finish_message(std::string_view head, std::string body, PartArrival& arrival) const {
  if (part_.type == FrameType::kForward) {
    base::Status status = decode_parted(head, body, arrival.forward.emplace());
    arrival.route = route_of(*arrival.forward);
    return status;
  }
  if (part_.type == FrameType::kForwardReply) {
    base::Status status = decode_parted(head, body, arrival.forward_reply.emplace());
    arrival.route = route_of(*arrival.forward_reply);
    return status;
  }
  base::Result<raft::Message> decoded = decode_parted(part_.type, head, std::move(body));
  if (!decoded.is_ok()) return decoded.take_status();
  arrival.message = std::move(decoded.value());
  arrival.route = route_of(*arrival.message);
  return {};
}

base::Result<PartArrival> PartAssembler::add(std::string_view payload) {
  Part part;
  FieldReader reader(payload);
  fields(reader, part);
  if (reader.failed()) return refused(reader.failed_field());
  const std::string_view bytes = reader.rest();
  base::Status status = accept(part, bytes.size());
  if (!status.is_ok()) return status;
  part_ = part;
  unfinished_ = true;
  append(bytes);
  if (held() == part.head_size + part.body_size) return finish();
  return PartArrival{.route = part.route};
}

}  // namespace leto::peer
