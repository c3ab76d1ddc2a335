// The network between machines: messages travel encoded by the real codec, and are delayed, lost, doubled and
// overtaken; links are cut in one direction or both. Where they arrive their bytes go through a connection (wire.h), two
// for each pair of processes and direction, as in the real server. Refuses to know what a message means.
//
// A message reaches only the node it was meant for, and only the process that was there when it was sent; one of an
// earlier process of the sender may still arrive.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "peer/codec.h"
#include "server/environment.h"
#include "tests/sim/machine.h"
#include "tests/sim/wire.h"

namespace leto::sim {

struct Link {
  uint32_t cuts = 0;              // Nothing passes while there is one.
  Microseconds slow = 0;          // Added to every message.
  uint64_t drop = 0;              // In 10000, on top of the usual.
  // By connection, control and bulk. Messages of one keep their order, unless they are reordered.
  std::array<Microseconds, 2> last_arrival = {};
};

struct AdoptionRequest {
  server::Network::AdoptionWish wish;
  storage::Identity by;
};

class Network {
 public:
  explicit Network(World& world);
  // All machines there will be; once.
  void set_machines(const std::vector<std::unique_ptr<Machine>>& machines);

  void send(Machine& from, peer::Encoded encoded);
  // False if it is known at once that nothing of it can leave.
  bool send_forward(Machine& from, const peer::Forward& forward);
  void adopt(Machine& from, const AdoptionRequest& request, server::Network::Dialed done);
  // What a machine knows of the process of another one, as long as the two can speak.
  server::Network::Abilities abilities(const Machine& from, raft::NodeId node);
  // Between machines by number.
  Link& link(size_t from, size_t to) { return links_[from * (machines_.size() + 1) + to]; }
  void mend_all();
  // Whoever dials `of` reaches `by` from now on, until leads_back(): its address was given to that one.
  void lead_elsewhere(Machine& of, Machine& by, Fault& fault);
  void lead_back(const Machine& of);
  // The connections of a machine broke: its peers hear of it, most of them.
  void connections_lost(const Machine& machine);

 private:
  struct Packet;
  void post(const std::shared_ptr<Packet>& packet);
  void arrive(const Packet& packet);
  // The one that is there, or another one that is to be made now.
  std::shared_ptr<Wire> wire_for(Machine& from, Machine& to, const peer::Encoded& message);
  std::shared_ptr<Wire> make_wire(Machine& from, Machine& to, const peer::Encoded& message);
  std::string draw_nonce();
  // False: the other side refused the handshake.
  bool comes_up(const Packet& packet);
  void deliver(Machine& to, peer::PartArrival arrival);
  void lose(const Packet& packet, uint64_t reason);
  Machine* find(raft::NodeId node) const;
  // Where `node` is, or was when it was last there: that address is dialed.
  Machine* address_of(raft::NodeId node);
  // Of those who have its identity, the one that answers now at its address for `from`.
  Machine* reached(const Machine& from, raft::NodeId node);
  server::Network::Found answer_adoption(Machine& there, bool was_member) const;
  base::Result<server::Network::Found> dial(Machine& from, const AdoptionRequest& request);

  World& world_;
  base::Random random_;
  std::vector<Machine*> machines_;
  std::vector<Link> links_;
  // By the sender's number, its life, the receiver's number, and whether it is the bulk connection.
  std::map<std::array<uint64_t, 4>, std::shared_ptr<Wire>> wires_;
  std::map<raft::NodeId, Machine*> addresses_;
  struct Detour {
    Machine* by = nullptr;
    Fault* fault = nullptr;
    bool was_met = false;
  };
  std::map<const Machine*, Detour> detours_;
};

}  // namespace leto::sim
