#include "tests/sim/network.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"
#include "tests/sim/process.h"

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x6e657477;
constexpr uint64_t kOutOf = 10000;
constexpr Microseconds kNoticeLow = 1 * kMillisecond, kNoticeHigh = 200 * kMillisecond;
constexpr Microseconds kAddressHolds = 150 * kMillisecond;

constexpr Microseconds kDialsAgain = 50 * kMillisecond;

// Why a message is lost, in the trace.
enum Reason : uint64_t { kDropped = 1, kCut = 2, kNobodyThere = 3, kOtherProcess = 4, kRefused = 5, kBroken = 6, kNoRoom = 7 };

}  // namespace

struct Network::Packet {
  Machine* from = nullptr;
  Machine* to = nullptr;
  uint64_t from_life = 0;
  uint64_t to_life = 0;
  std::shared_ptr<Wire> wire;
  std::shared_ptr<const peer::Encoded> message;
};

Network::Network(World& world) : world_(world), random_(world.stream(kStream)) {}

void Network::set_machines(const std::vector<std::unique_ptr<Machine>>& machines) {
  for (const auto& machine : machines) machines_.push_back(machine.get());
  links_.resize((machines_.size() + 1) * (machines_.size() + 1));
}

void Network::mend_all() {
  for (Link& each : links_) each = {.cuts = 0, .slow = 0, .drop = 0, .last_arrival = each.last_arrival};
  detours_.clear();
  const auto wires = wires_;
  for (const auto& [key, wire] : wires) {
    if (wire->is_stuck()) wire->close(WireEnd::kStuck);
  }
}

void Network::lead_elsewhere(Machine& of, Machine& by, Fault& fault) { detours_[&of] = {.by = &by, .fault = &fault}; }

void Network::lead_back(const Machine& of) { detours_.erase(&of); }

Machine* Network::find(raft::NodeId node) const {
  const auto found = std::find_if(machines_.begin(), machines_.end(),
                                  [node](const Machine* each) { return !each->runs_copy && each->node() == node; });
  return found == machines_.end() ? nullptr : *found;
}

Machine* Network::address_of(raft::NodeId node) {
  if (Machine* there = find(node)) addresses_[node] = there;
  const auto known = addresses_.find(node);
  return known == addresses_.end() ? nullptr : known->second;
}

// A copied directory that runs elsewhere says where it is, as one that has moved; then the other one says so again.
Machine* Network::reached(const Machine& from, raft::NodeId node) {
  const auto copy = std::find_if(machines_.begin(), machines_.end(),
                                 [node](const Machine* each) { return each->runs_copy && each->node() == node; });
  const uint64_t shift = world_.scheduler.now() / kAddressHolds;
  const bool is_moved = copy != machines_.end() && base::mix64(shift * machines_.size() + from.number) % 2 == 1;
  if (is_moved && *copy != &from) return *copy;
  Machine* there = address_of(node);
  const auto detour = detours_.find(there);
  if (detour != detours_.end()) there = detour->second.by;
  return there == &from ? nullptr : there;
}

bool Network::send_forward(Machine& from, const peer::Forward& forward) {
  Machine* to = reached(from, forward.to);
  if (to == nullptr || to->process() == nullptr) return false;
  // A connection that broke is noticed, or not yet.
  if (link(from.number, to->number).cuts > 0 && random_.chance(1, 2)) return false;
  peer::Encoded message = peer::encode(forward);
  if (wire_for(from, *to, message)->end() != WireEnd::kNone) return false;
  send(from, std::move(message));
  return true;
}

std::shared_ptr<Wire> Network::wire_for(Machine& from, Machine& to, const peer::Encoded& message) {
  std::shared_ptr<Wire>& wire = wires_[{from.number, from.life(), to.number, message.bulky}];
  const bool is_over = wire != nullptr && wire->end() != WireEnd::kNone;
  const bool dials_again = is_over && world_.scheduler.now() >= wire->ended_at() + kDialsAgain;
  if (wire == nullptr || wire->expected() != message.route.to || dials_again) wire = make_wire(from, to, message);
  return wire;
}

std::shared_ptr<Wire> Network::make_wire(Machine& from, Machine& to, const peer::Encoded& message) {
  const Process& process = *from.process();
  const Machine* expected = address_of(message.route.to);
  peer::Hello hello;
  hello.kind = message.bulky ? peer::ConnectionKind::kBulk : peer::ConnectionKind::kControl;
  hello.features = peer::kFeatures;
  hello.cluster = process.identity().cluster_id;
  hello.initiator = {.node = from.node(), .id = process.identity().id};
  hello.expected = {.node = message.route.to, .id = expected->id};
  hello.nonce = draw_nonce();
  hello.raft_address = from.raft_address;
  hello.client_address = from.client_address;
  hello.semantics = process.semantics_supported();
  const auto on_end = [this, &from, life = from.life(), node = message.route.to](WireEnd why) {
    world_.trace.text(from.number, base::format("a connection ends, reason %llu", static_cast<unsigned long long>(why)));
    if (from.life() != life || from.process() == nullptr) return;
    from.after(random_.between(1, kNoticeLow), [&from, node] { from.process()->node().on_peer_unreachable(node); });
  };
  return std::make_shared<Wire>(WireSetup{
      .world = world_, .random = random_, .hello = std::move(hello), .secret = process.identity().cluster_secret,
      .semantics_level = process.semantics_level(),
      .deliver = [this, &to](peer::PartArrival arrival) { deliver(to, std::move(arrival)); }, .on_end = on_end,
      .passes = [this, &from, &to] { return link(from.number, to.number).cuts == 0; }});
}

std::string Network::draw_nonce() {
  std::string nonce;
  while (nonce.size() < peer::kNonceBytes) nonce.push_back(static_cast<char>(random_.next()));
  return nonce;
}

void Network::send(Machine& from, peer::Encoded encoded) {
  Machine* to = reached(from, encoded.route.to);
  if (to == nullptr) return;
  auto packet = std::make_shared<Packet>();
  packet->from = &from;
  packet->to = to;
  packet->from_life = from.life();
  packet->to_life = to->life();
  packet->wire = wire_for(from, *to, encoded);
  packet->message = std::make_shared<const peer::Encoded>(std::move(encoded));
  world_.trace.add({.kind = EventKind::kSend, .machine = from.number, .a = to->number,
                    .b = static_cast<uint64_t>(packet->message->type), .c = packet->message->route.term});
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
    const Microseconds late = random_.below(usual.late_high);
    arrival += late;
    if (late > packet->to->options.election_timeout_ms * kMillisecond) world_.coverage.note(Reached::kLateBeyondElection);
  } else if (!world_.healing && random_.chance(usual.reorder, kOutOf)) {
    arrival += random_.below(8 * usual.delay_high);
    world_.coverage.note(Reached::kReordered);
  } else {
    Microseconds& last = way.last_arrival[packet->message->bulky];
    last = arrival = std::max(arrival, last);
  }
  world_.scheduler.at(arrival, [this, packet] { arrive(*packet); });
}

void Network::lose(const Packet& packet, uint64_t reason) {
  world_.trace.add({.kind = EventKind::kDrop, .machine = packet.to->number, .a = packet.from->number,
                    .b = static_cast<uint64_t>(packet.message->type), .c = reason});
}

void Network::arrive(const Packet& packet) {
  Machine& to = *packet.to;
  if (link(packet.from->number, to.number).cuts > 0) return lose(packet, kCut);
  if (to.process() == nullptr) return lose(packet, kNobodyThere);
  if (to.life() != packet.to_life) return lose(packet, kOtherProcess);
  if (packet.wire->end() != WireEnd::kNone) return lose(packet, kBroken);
  if (!packet.wire->is_up() && !comes_up(packet)) return lose(packet, kRefused);
  if (!packet.wire->take(packet.message)) return lose(packet, kNoRoom);
  if (packet.from->has_process() && packet.from->life() != packet.from_life) world_.coverage.note(Reached::kEarlierProcess);
  world_.trace.add({.kind = EventKind::kDeliver, .machine = to.number, .a = packet.from->number,
                    .b = static_cast<uint64_t>(packet.message->type), .c = packet.message->route.term});
}

bool Network::comes_up(const Packet& packet) {
  const Process& process = *packet.to->process();
  peer::AcceptorSetup acceptor;
  acceptor.features = peer::kFeatures;
  acceptor.semantics = process.semantics_supported();
  acceptor.semantics_level = process.semantics_level();
  acceptor.self = {.node = packet.to->node(), .id = process.identity().id};
  acceptor.cluster = process.identity().cluster_id;
  acceptor.secret = process.identity().cluster_secret;
  acceptor.state = acceptor.cluster.empty() ? peer::AcceptorState::kEmpty : peer::AcceptorState::kMember;
  acceptor.client_address = packet.to->client_address;
  acceptor.nonce = draw_nonce();
  if (packet.wire->shake_hands(acceptor)) return true;
  world_.coverage.note(Reached::kHandshakeRefused);
  for (auto& [of, detour] : detours_) {
    if (detour.by != packet.to || of->node() != packet.message->route.to || std::exchange(detour.was_met, true)) continue;
    world_.note(*detour.fault, Reached::kRecycledAddress, packet.from->number,
                base::format(": dials machine %zu and reaches %zu, which refuses", of->number, packet.to->number));
  }
  return false;
}

void Network::deliver(Machine& to, peer::PartArrival arrival) {
  if (arrival.message) {
    to.after(0, [&to, received = std::move(*arrival.message)] { to.process()->node().on_message(received); });
  } else if (arrival.forward) {
    world_.coverage.note(Reached::kForwarded);
    to.after(0, [&to, received = std::move(*arrival.forward)] { to.process()->node().on_forward(received); });
  } else if (arrival.forward_reply) {
    to.after(0, [&to, received = std::move(*arrival.forward_reply)] { to.process()->node().on_forward_reply(received); });
  }
}

void Network::connections_lost(const Machine& machine) {
  std::erase_if(wires_, [&machine](const auto& each) {
    const auto& [key, wire] = each;
    const bool sends = key[0] == machine.number, receives = key[2] == machine.number;
    if (receives || (sends && wire->is_in_parts())) wire->forget();
    return sends || receives;
  });
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

server::Network::Found Network::answer_adoption(Machine& there, bool was_member) const {
  server::Network::Found found{.was_member = was_member};
  found.member = there.member();
  return found;
}

base::Result<server::Network::Found> Network::dial(Machine& from, const AdoptionRequest& request) {
  const auto found = std::find_if(machines_.begin(), machines_.end(), [&](const Machine* each) {
    return each->raft_address == request.wish.raft_address;
  });
  if (found == machines_.end()) return server::Network::Found{.silence = "no such host"};
  Machine& there = **found;
  const bool cut = link(from.number, there.number).cuts + link(there.number, from.number).cuts > 0;
  if (cut || there.process() == nullptr || there.paused()) return server::Network::Found{.silence = "no answer"};
  if (request.wish.expected != raft::kNobody && there.node() != request.wish.expected) {
    return base::Status::error("another node answers there: " + there.id);
  }
  if (there.process()->semantics_supported() < from.process()->semantics_level())
    return base::Status::error(there.id + " is of a lower semantics level");
  const bool ours = there.process()->cluster_id() == request.by.cluster_id;
  if (ours || !request.wish.takes_in || there.id != request.wish.id) {
    server::Network::Found stays = answer_adoption(there, ours && there.process()->node().was_member());
    stays.is_foreign = !ours && !request.wish.takes_in;
    return stays;
  }
  there.restart_delay = kMillisecond;
  if (base::Status status = there.process()->adopt(request.by); !status.is_ok()) return status;
  return answer_adoption(there, false);
}

void Network::adopt(Machine& from, const AdoptionRequest& request, server::Network::Dialed done) {
  const Microseconds there = random_.between(1, 20) * kMillisecond, back = random_.between(1, 20) * kMillisecond;
  from.after(there, [this, &from, request, done = std::move(done), back] {
    auto result = std::make_shared<base::Result<server::Network::Found>>(dial(from, request));
    from.after(back, [result, done] { done(std::move(*result)); });
  });
}

}  // namespace leto::sim
