#include "peer/inbox.h"

#include <utility>

#include "base/format.h"

namespace leto::peer {

namespace {

template <typename Message>
Route route_of(const Message& message) {
  return {.from = message.from, .to = message.to, .term = message.term};
}

template <typename Message>
base::Result<PartArrival> take_forward(std::string_view payload, std::optional<Message> PartArrival::* kind) {
  PartArrival arrival;
  Message& message = (arrival.*kind).emplace();
  base::Status status = decode_payload(payload, message);
  if (!status.is_ok()) return status;
  arrival.route = route_of(message);
  return arrival;
}

}  // namespace

base::Result<PartArrival> Inbox::take(const Frame& frame) {
  if (frame.type == FrameType::kPart) return parts_.add(frame.payload);
  if (frame.type == FrameType::kForward) return take_forward(frame.payload, &PartArrival::forward);
  if (frame.type == FrameType::kForwardReply) return take_forward(frame.payload, &PartArrival::forward_reply);
  if (!is_message(frame.type)) {
    return base::Status::error(base::format("a frame of type %u after the handshake", static_cast<unsigned>(frame.type)));
  }
  base::Result<raft::Message> message = decode(frame.type, frame.payload);
  if (!message.is_ok()) return message.take_status();
  PartArrival arrival{.route = route_of(message.value())};
  arrival.message = std::move(message.value());
  return arrival;
}

}  // namespace leto::peer
