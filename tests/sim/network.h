// The network between machines: messages travel encoded by the real codec, and are delayed, lost, doubled and
// overtaken; links are cut in one direction or both. Refuses to know what a message means.
//
// What the real handshake guarantees holds here too: a message reaches only the node it was meant for, and
// only the process that was there when it was sent; one of an earlier process of the sender may still arrive.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "peer/codec.h"
#include "server/environment.h"
#include "tests/sim/machine.h"

namespace leto::sim {

struct Link {
  uint32_t cuts = 0;              // Nothing passes while there is one.
  Microseconds slow = 0;          // Added to every message.
  uint64_t drop = 0;              // In 10000, on top of the usual.
  Microseconds last_arrival = 0;  // Messages of one connection keep their order, unless they are reordered.
};

struct AdoptionRequest {
  std::string raft_address;
  raft::NodeId expected = raft::kNobody;
  std::string id;
  storage::Identity by;
};

class Network {
 public:
  explicit Network(World& world);
  // All machines there will be; once.
  void set_machines(const std::vector<std::unique_ptr<Machine>>& machines);

  void send(Machine& from, const peer::Encoded& encoded);
  // False if it is known at once that nothing of it can leave.
  bool send_forward(Machine& from, const peer::Forward& forward);
  void adopt(Machine& from, const AdoptionRequest& request, server::Network::Dialed done);
  // What a machine knows of the process of another one, as long as the two can speak.
  server::Network::Abilities abilities(const Machine& from, raft::NodeId node);
  // Between machines by number.
  Link& link(size_t from, size_t to) { return links_[from * (machines_.size() + 1) + to]; }
  void mend_all();
  // The connections of a machine broke: its peers hear of it, most of them.
  void connections_lost(const Machine& machine);

 private:
  struct Packet;
  void post(const std::shared_ptr<Packet>& packet);
  void arrive(const Packet& packet);
  void deliver(const Packet& packet);
  template <typename Message, typename Input>
  void deliver_forward(const Packet& packet, Input input);
  void lose(const Packet& packet, uint64_t reason);
  Machine* find(raft::NodeId node) const;
  // Of those who have its identity, the one that answers now at its address for `from`.
  Machine* reached(const Machine& from, raft::NodeId node) const;
  server::Network::Found answer_adoption(Machine& there) const;
  base::Result<server::Network::Found> dial(Machine& from, const AdoptionRequest& request);

  World& world_;
  base::Random random_;
  std::vector<Machine*> machines_;
  std::vector<Link> links_;
};

}  // namespace leto::sim
