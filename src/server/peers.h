// The other nodes: two connections dialed to each for what this node sends, the connections they dialed for
// what they send, and the taking in of new nodes. Refuses to know Raft beyond who a message is for.
//
// Invariants: messages are handed on only from nodes that proved themselves; nothing here waits for a peer;
// everything that is kept for a peer is bounded.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "command/semantics.h"
#include "peer/handshake.h"
#include "server/accepted_peer.h"
#include "server/address.h"
#include "server/adoption.h"
#include "server/environment.h"
#include "server/loop.h"
#include "server/options.h"
#include "server/peer_connection.h"
#include "server/stats.h"

namespace leto::server {

// Who this node is to its peers.
struct PeersSelf {
  storage::Identity identity;
  std::string raft_address;      // As they reach it.
  std::string client_address;
  // What this program can: the highest semantics level, and bits of peer::kFeatures.
  uint16_t semantics = command::kSemanticsSupported;
  uint64_t features = peer::kFeatures;
};

// What happens when. All are set, and may be set anew between two callbacks.
struct PeersHooks {
  std::function<void(const raft::Message&)> message;
  // A part of a message of that node, in that term, which is not whole yet.
  std::function<void(raft::NodeId, raft::Term)> part = nullptr;
  std::function<void(peer::Forward)> forward = nullptr;
  std::function<void(const peer::ForwardReply&)> forward_reply = nullptr;
  std::function<void(raft::NodeId)> unreachable;
  // A connection over which it spoke broke: what it said last may be lost.
  std::function<void(raft::NodeId)> silenced = nullptr;
  // Whether this node may be taken into another cluster now.
  std::function<bool()> may_be_adopted;
  // Makes this node an empty member of that cluster; durable when it returns.
  std::function<base::Status(const peer::Adopt&)> adopt;
  // A node of another cluster believes that a member of it with this node's id is here.
  std::function<void(const peer::Hello&)> missed = nullptr;
  // A member that proved itself refused this node as one that was removed.
  std::function<void(const std::string& sentence)> removed = nullptr;
  // Whether the committed configuration known here is the newest: then who is not in it was removed.
  std::function<bool()> knows_members = nullptr;
  // A configuration of this node's cluster had it once.
  std::function<bool()> was_member = nullptr;
  // A member is at other addresses than the configuration says, or this node itself is.
  std::function<void(const raft::Member&)> moved = nullptr;
  Stats* stats = nullptr;
};

class Peers final : public Network {
 public:
  // Connections that have not proved who they are. For one more another one goes: of the host that has most of them, the
  // oldest; so nobody keeps members out by holding, or opening, many.
  static constexpr size_t kUnprovedMax = 64;
  static constexpr size_t kAdoptionsMax = 16;
  // Entries, snapshots and large forwards that leave in one turn, over all connections; and what one turn reads from
  // one connection. The small messages of a peer have a budget of their own, so heartbeats always leave.
  static constexpr size_t kBulkBytesPerTurn = 512 << 10;
  static constexpr size_t kControlBytesPerTurn = 256 << 10;
  static constexpr size_t kReadBytesPerTurn = 256 << 10;
  // A member that left is still told so for a while.
  static constexpr uint64_t kPartingMs = 2000;
  // One that is in no configuration known here is answered as long as it speaks, and so much longer.
  static constexpr uint64_t kGuestMs = 5000;
  // What the others do not know of this node's addresses is said once more after so long: the leader itself, or one
  // that hears the leader, needs no more.
  static constexpr uint64_t kSayAgainMs = 300;

  // `options` outlives this.
  Peers(Loop& loop, const Options& options, PeersSelf self);
  ~Peers() override;

  void set_hooks(PeersHooks hooks) { hooks_ = std::move(hooks); }
  // Closes everything: it was said under the old identity.
  void set_self(PeersSelf self);
  const PeersSelf& self() const { return self_; }
  // Said in the handshakes from now on.
  void set_addresses(const std::string& raft_address, const std::string& client_address);

  void send(raft::Message message) override;
  bool send_forward(const peer::Forward& forward) override;
  void send_forward_reply(const peer::ForwardReply& reply) override;
  void set_members(const raft::Configuration& in_force, const raft::Configuration& committed) override;
  void adopt(AdoptionWish wish, Dialed done) override;
  Abilities abilities(raft::NodeId node) const override;
  std::string machine_of(raft::NodeId node) const override;
  std::string id_of(raft::NodeId node) const override;
  void set_semantics_level(uint16_t level) override { semantics_level_ = level; }
  uint16_t semantics_level() const { return semantics_level_; }

  void accept(uv_stream_t* listener, StreamKind kind);
  // Sends what the turn has queued.
  void on_turn_end();
  uint64_t turn() const { return turn_; }
  void on_tick();
  void close_all();
  // Nothing waits to be sent over connections that are up.
  bool all_sent() const;
  // Up to send to; for INFO and tests.
  bool connected_to(raft::NodeId node) const;

  // For connections --------------------------------------------------------------------------
  Loop& loop() { return loop_; }
  base::Random& random() { return random_; }
  // `socket_host`: the local host of the socket over which it is said; empty: none yet.
  peer::Hello hello(peer::ConnectionKind kind, const peer::Identity& expected, const std::string& socket_host) const;
  peer::AcceptorSetup acceptor_setup(const std::string& socket_host) const;
  // What a client is told that took the peers' port for its own.
  std::string client_refusal() const;
  // What a node that this one takes in may ask it to know: of a cluster whose nodes have several passwords one is
  // everybody's, or theirs who join.
  std::vector<std::string> passwords() const;
  // Where to dial a member: where it said it is, else its address; or, if that is a loopback address of another
  // machine, the one it was seen at.
  base::Result<Address> dialed_address(const raft::Member& member) const;
  // A peer at `peer_host` was reached from `socket_host`, which may be what the others are to know of this node.
  void reached_from(const std::string& socket_host, const std::string& peer_host);
  void tune(Stream& stream) const;
  void received(const peer::Route& of_part) { hooks_.part(of_part.from, of_part.term); }
  void received(const raft::Message& message);
  void received(peer::Forward forward);
  void received(const peer::ForwardReply& reply);
  void proved(AcceptedPeer& accepted);
  void refused(const peer::Hello& hello);
  base::Status adopted_by(const peer::Adopt& adoption);
  void note_closed() { some_closed_ = true; }
  void note_lost(raft::NodeId node, uint64_t messages);
  void note_silenced(raft::NodeId node) { silenced_.insert(node); }
  void note_removed_here(const std::string& sentence);

 private:
  struct Peer {
    raft::Member member;
    bool in_configuration = false;
    uint64_t parting_at_ms = 0;      // When it is forgotten, if it is not in the configuration.
    std::string seen_host;           // Where its connections come from.
    std::string said_address;        // Where it said it is, since the configuration last changed that.
    std::unique_ptr<PeerConnection> control;
    std::unique_ptr<PeerConnection> bulk;
  };

  template <typename Message>
  bool send_by_size(Peer& peer, const Message& message);
  void note_received(raft::NodeId from);
  void flush_bulk();
  Peer& make_peer(const raft::Member& member);
  void connect(Peer& peer);
  static void set_address(Peer& peer, const std::string& raft_address);
  std::string dialed_text(const Peer& peer) const;
  void note_addresses(Peer& peer, const AcceptedPeer& accepted);
  raft::Member told_self(const std::string& socket_host) const;
  void compare_own_addresses(const std::string& socket_host);
  void say_own_addresses(uint64_t now_ms);
  void warn_if_only_here(const std::string& socket_host, const std::string& peer_host);
  bool was_removed(raft::NodeId node) const;
  void forget_parted(uint64_t now_ms);
  void close_accepted(raft::NodeId node);
  void forget_closed();
  void make_room();
  void refuse_stranger(Stream& stream);

  Loop& loop_;
  const Options& options_;
  PeersSelf self_;
  PeersHooks hooks_;
  base::Random random_;
  std::map<raft::NodeId, Peer> peers_;
  std::set<raft::NodeId> members_ever_;        // Of committed configurations that were known here.
  std::set<raft::NodeId> members_;             // By the configuration in force, or by the committed one.
  uint16_t semantics_level_ = peer::kSemanticsUnsaid;
  raft::Member own_member_;          // In the configuration; kNobody: it is not.
  std::string seen_from_elsewhere_;  // The local host of a connection to another machine; empty: there was none.
  uint64_t say_at_ms_ = 0;           // When to look who has not heard this node's addresses; 0: not at all.
  bool warned_of_loopback_ = false;
  std::set<raft::NodeId> lost_;      // Told to the node at the next tick, at most once per tick each.
  std::set<raft::NodeId> silenced_;  // Likewise.
  std::vector<std::unique_ptr<AcceptedPeer>> accepted_;
  std::vector<std::unique_ptr<Adoption>> adoptions_;
  bool some_closed_ = false;
  uint64_t turn_ = 1;
  raft::NodeId bulk_next_ = raft::kNobody;   // From this one on the bulk connections have their turn.
};

}  // namespace leto::server
