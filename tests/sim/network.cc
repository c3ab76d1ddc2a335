#include "tests/sim/network.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/hash.h"
#include "tests/sim/process.h"

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x6e657477;
constexpr uint64_t kOutOf = 10000;
constexpr Microseconds kNoticeLow = 1 * kMillisecond, kNoticeHigh = 200 * kMillisecond;
constexpr Microseconds kAddressHolds = 150 * kMillisecond;

// Why a message is lost, in the trace.
enum Reason : uint64_t { kDropped = 1, kCut = 2, kNobodyThere = 3, kOtherProcess = 4, kOtherNode = 5 };

}  // namespace

struct Network::Packet {
  Machine* from = nullptr;
  Machine* to = nullptr;
  uint64_t from_life = 0;
  uint64_t to_life = 0;
  raft::NodeId to_node = raft::kNobody;
  raft::Term term = 0;
  peer::FrameType type = peer::FrameType::kTimeoutNow;
  bool parted = false;
  std::string head;
  std::string body;
};

Network::Network(World& world) : world_(world), random_(world.stream(kStream)) {}

void Network::set_machines(const std::vector<std::unique_ptr<Machine>>& machines) {
  for (const auto& machine : machines) machines_.push_back(machine.get());
  links_.resize((machines_.size() + 1) * (machines_.size() + 1));
}

void Network::mend_all() {
  for (Link& each : links_) each = {.cuts = 0, .slow = 0, .drop = 0, .last_arrival = each.last_arrival};
}

Machine* Network::find(raft::NodeId node) const {
  const auto found = std::find_if(machines_.begin(), machines_.end(),
                                  [node](const Machine* each) { return !each->runs_copy && each->node() == node; });
  return found == machines_.end() ? nullptr : *found;
}

// A copied directory that runs elsewhere says where it is, as one that has moved; then the other one says so again.
Machine* Network::reached(const Machine& from, raft::NodeId node) const {
  const auto copy = std::find_if(machines_.begin(), machines_.end(),
                                 [node](const Machine* each) { return each->runs_copy && each->node() == node; });
  const uint64_t shift = world_.scheduler.now() / kAddressHolds;
  const bool is_moved = copy != machines_.end() && base::mix64(shift * machines_.size() + from.number) % 2 == 1;
  return is_moved && *copy != &from ? *copy : find(node);
}

bool Network::send_forward(Machine& from, const peer::Forward& forward) {
  Machine* to = reached(from, forward.to);
  if (to == nullptr || to->process() == nullptr) return false;
  // A connection that broke is noticed, or not yet.
  if (link(from.number, to->number).cuts > 0 && random_.chance(1, 2)) return false;
  send(from, peer::encode(forward));
  return true;
}

void Network::send(Machine& from, const peer::Encoded& encoded) {
  Machine* to = reached(from, encoded.route.to);
  if (to == nullptr) return;
  auto packet = std::make_shared<Packet>();
  packet->from = &from;
  packet->to = to;
  packet->from_life = from.life();
  packet->to_life = to->life();
  packet->to_node = encoded.route.to;
  packet->term = encoded.route.term;
  packet->type = encoded.type;
  packet->parted = encoded.needs_parts();
  packet->head = encoded.head;
  for (const raft::Payload& payload : encoded.body) packet->body += *payload;
  world_.trace.add({.kind = EventKind::kSend, .machine = from.number, .a = to->number,
                    .b = static_cast<uint64_t>(encoded.type), .c = packet->term});
  post(packet);
  if (world_.healing || !random_.chance(world_.parameters.network.duplicate, kOutOf)) return;
  world_.coverage.note(Reached::kDuplicated);
  post(packet);
}

void Network::post(const std::shared_ptr<Packet>& packet) {
  const NetworkParameters& usual = world_.parameters.network;
  Link& way = link(packet->from->number, packet->to->number);
  if (way.cuts > 0) return lose(*packet, kCut);
  const bool dropped = random_.chance(way.drop, kOutOf) || (!world_.healing && random_.chance(usual.drop, kOutOf));
  if (dropped) {
    world_.coverage.note(Reached::kDropped);
    return lose(*packet, kDropped);
  }
  Microseconds delay = random_.between(usual.delay_low, usual.delay_high) + way.slow;
  Microseconds arrival = world_.scheduler.now() + delay;
  if (!world_.healing && random_.chance(usual.late, kOutOf)) {
    arrival += random_.below(usual.late_high);
    world_.coverage.note(Reached::kLateBeyondElection);
  } else if (!world_.healing && random_.chance(usual.reorder, kOutOf)) {
    arrival += random_.below(8 * usual.delay_high);
    world_.coverage.note(Reached::kReordered);
  } else {
    way.last_arrival = arrival = std::max(arrival, way.last_arrival);
  }
  world_.scheduler.at(arrival, [this, packet] { arrive(*packet); });
}

void Network::lose(const Packet& packet, uint64_t reason) {
  world_.trace.add({.kind = EventKind::kDrop, .machine = packet.to->number, .a = packet.from->number,
                    .b = static_cast<uint64_t>(packet.type), .c = reason});
}

void Network::arrive(const Packet& packet) {
  Machine& to = *packet.to;
  if (link(packet.from->number, to.number).cuts > 0) return lose(packet, kCut);
  if (to.process() == nullptr) return lose(packet, kNobodyThere);
  if (to.life() != packet.to_life) return lose(packet, kOtherProcess);
  if (to.node() != packet.to_node) return lose(packet, kOtherNode);
  if (packet.from->has_process() && packet.from->life() != packet.from_life) world_.coverage.note(Reached::kEarlierProcess);
  world_.trace.add({.kind = EventKind::kDeliver, .machine = to.number, .a = packet.from->number,
                    .b = static_cast<uint64_t>(packet.type), .c = packet.term});
  deliver(packet);
}

template <typename Message, typename Input>
void Network::deliver_forward(const Packet& packet, Input input) {
  Message message;
  const base::Status status = packet.parted ? peer::decode_parted(packet.head, packet.body, message)
                                            : peer::decode_payload(packet.head + packet.body, message);
  if (!status.is_ok()) return world_.fail("codec", "it cannot be decoded: " + status.text());
  packet.to->after(0, [to = packet.to, received = std::move(message), input] { input(to->process()->node(), received); });
}

void Network::deliver(const Packet& packet) {
  Machine& to = *packet.to;
  if (packet.type == peer::FrameType::kForward) {
    world_.coverage.note(Reached::kForwarded);
    return deliver_forward<peer::Forward>(
        packet, [](server::Node& node, const peer::Forward& forward) { node.on_forward(forward); });
  }
  if (packet.type == peer::FrameType::kForwardReply) {
    return deliver_forward<peer::ForwardReply>(
        packet, [](server::Node& node, const peer::ForwardReply& reply) { node.on_forward_reply(reply); });
  }
  base::Result<raft::Message> message = packet.parted
                                            ? peer::decode_parted(packet.type, packet.head, packet.body)
                                            : peer::decode(packet.type, packet.head + packet.body);
  if (!message.is_ok()) return world_.fail("codec", "a message cannot be decoded: " + message.status().text());
  to.after(0, [&to, received = std::move(message.value())] {
    to.process()->node().on_message(received);
  });
}

void Network::connections_lost(const Machine& machine) {
  for (Machine* other : machines_) {
    if (other == &machine || other->process() == nullptr || random_.chance(1, 4)) continue;
    other->after(random_.between(kNoticeLow, kNoticeHigh), [this, other, node = machine.node()] {
      world_.coverage.note(Reached::kUnreachable);
      other->process()->node().on_peer_unreachable(node);
    });
  }
}

server::Network::Abilities Network::abilities(const Machine& from, raft::NodeId node) {
  const Machine* there = find(node);
  if (there == nullptr || there->process() == nullptr || link(from.number, there->number).cuts > 0) return {};
  return {.known = true, .semantics = there->process()->semantics_supported(), .features = peer::kFeatures};
}

server::Network::Found Network::answer_adoption(Machine& there) const {
  server::Network::Found found;
  found.member = there.member();
  return found;
}

base::Result<server::Network::Found> Network::dial(Machine& from, const AdoptionRequest& request) {
  const auto found = std::find_if(machines_.begin(), machines_.end(), [&](const Machine* each) {
    return each->raft_address == request.raft_address;
  });
  if (found == machines_.end()) return base::Status::error("no such host");
  Machine& there = **found;
  const bool cut = link(from.number, there.number).cuts + link(there.number, from.number).cuts > 0;
  if (cut || there.process() == nullptr || there.paused()) return base::Status::error("no answer");
  if (request.expected != raft::kNobody && there.node() != request.expected) {
    return base::Status::error("another node answers there: " + there.id);
  }
  if (there.process()->semantics_supported() < from.process()->semantics_level())
    return base::Status::error(there.id + " is of a lower semantics level");
  const bool ours = there.process()->cluster_id() == request.by.cluster_id;
  if (ours || there.id != request.id) return answer_adoption(there);
  there.restart_delay = kMillisecond;
  if (base::Status status = there.process()->adopt(request.by); !status.is_ok()) return status;
  return answer_adoption(there);
}

void Network::adopt(Machine& from, const AdoptionRequest& request, server::Network::Dialed done) {
  const Microseconds there = random_.between(1, 20) * kMillisecond, back = random_.between(1, 20) * kMillisecond;
  from.after(there, [this, &from, request, done = std::move(done), back] {
    auto result = std::make_shared<base::Result<server::Network::Found>>(dial(from, request));
    from.after(back, [result, done] { done(std::move(*result)); });
  });
}

}  // namespace leto::sim
