#include "server/peers.h"

#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "server/secure_random.h"

namespace leto::server {

namespace {

constexpr uint64_t kKeepaliveSeconds = 15;
// Data that a peer's machine does not acknowledge for so long: it is gone.
constexpr int kUserTimeoutMs = 5000;

// Entries and chunks of snapshots go over the connection on which no heartbeat waits behind them.
bool is_bulky(const raft::Message& message) {
  if (const auto* chunk = std::get_if<raft::InstallSnapshot>(&message.body)) return !chunk->data->empty();
  const auto* append = std::get_if<raft::AppendEntries>(&message.body);
  return append != nullptr && !append->entries.empty();
}

}  // namespace

Peers::Peers(Loop& loop, const Options& options, PeersSelf self)
    : loop_(loop), options_(options), self_(std::move(self)), random_(secure_random_number()) {}

Peers::~Peers() = default;

void Peers::set_self(PeersSelf self) {
  peers_.clear();
  members_.clear();
  members_ever_.clear();
  lost_.clear();
  adoptions_.clear();
  removed_told_ = false;
  for (const auto& each : accepted_) {
    // The one that brings the adoption has still to be answered.
    if (each->proved()) each->close();
  }
  self_ = std::move(self);
}

void Peers::set_addresses(const std::string& raft_address, const std::string& client_address) {
  self_.raft_address = raft_address;
  self_.client_address = client_address;
}

// --- Sending ---------------------------------------------------------------------------------------------

void Peers::send(raft::Message message) {
  const auto found = peers_.find(message.to);
  if (found == peers_.end()) return note_lost(message.to, 1);
  const bool bulky = is_bulky(message);
  peer::Encoded encoded = peer::encode(message);
  PeerConnection& connection = bulky || encoded.needs_parts() ? *found->second.bulk : *found->second.control;
  if (!connection.send(std::move(encoded))) return note_lost(message.to, 1);
  ++hooks_.stats->peer_messages_sent;
}

void Peers::note_lost(raft::NodeId node, uint64_t messages) {
  if (messages > 0) {
    hooks_.stats->peer_messages_dropped += messages;
    LETO_LOG(kDebug, "%llu messages to node %016llx were dropped", static_cast<unsigned long long>(messages),
             static_cast<unsigned long long>(node));
  }
  lost_.insert(node);
}

void Peers::on_turn_end() {
  for (auto& [node, peer] : peers_) {
    peer.control->flush();
    peer.bulk->flush();
  }
  if (some_closed_) forget_closed();
}

void Peers::on_tick() {
  const uint64_t now_ms = loop_.now_ms();
  for (auto& [node, peer] : peers_) {
    peer.control->on_tick(now_ms);
    peer.bulk->on_tick(now_ms);
  }
  for (const auto& each : accepted_) each->on_tick(now_ms);
  for (const raft::NodeId node : std::exchange(lost_, {})) hooks_.unreachable(node);
  forget_parted(now_ms);
  std::erase_if(adoptions_, [](const auto& adoption) { return adoption->finished(); });
}

bool Peers::all_sent() const {
  return std::none_of(peers_.begin(), peers_.end(), [](const auto& each) {
    const Peer& peer = each.second;
    return (peer.control->up() && peer.control->has_unsent()) || (peer.bulk->up() && peer.bulk->has_unsent());
  });
}

bool Peers::connected_to(raft::NodeId node) const {
  const auto found = peers_.find(node);
  return found != peers_.end() && found->second.control->up();
}

// --- Members ---------------------------------------------------------------------------------------------

void Peers::set_members(const raft::Configuration& configuration) {
  members_.clear();
  for (const raft::Member& member : configuration.members) {
    members_.insert(member.node);
    members_ever_.insert(member.node);
    if (member.node == self_.identity.node) continue;
    make_peer(member).in_configuration = true;
  }
  for (auto& [node, peer] : peers_) {
    if (!peer.in_configuration || members_.contains(node)) continue;
    peer.in_configuration = false;
    peer.parting_at_ms = loop_.now_ms() + kPartingMs;
  }
}

// Also for one that is there already: then under the address that is known now.
Peers::Peer& Peers::make_peer(const raft::Member& member) {
  Peer& peer = peers_[member.node];
  const bool same = peer.control != nullptr && peer.member.raft_address == member.raft_address &&
                    peer.member.id == member.id;
  peer.member = member;
  if (!same) connect(peer);
  return peer;
}

void Peers::connect(Peer& peer) {
  peer.control = std::make_unique<PeerConnection>(*this, peer.member, peer::ConnectionKind::kControl);
  peer.bulk = std::make_unique<PeerConnection>(*this, peer.member, peer::ConnectionKind::kBulk);
  // At once, not at the next tick.
  peer.control->on_tick(loop_.now_ms());
  peer.bulk->on_tick(loop_.now_ms());
}

void Peers::forget_parted(uint64_t now_ms) {
  std::erase_if(peers_, [&](const auto& each) {
    const bool parted = !each.second.in_configuration && now_ms >= each.second.parting_at_ms;
    if (parted) close_accepted(each.first);
    return parted;
  });
}

// If it dials again, the handshake tells it why not.
void Peers::close_accepted(raft::NodeId node) {
  for (const auto& each : accepted_) {
    if (each->proved() && each->node() == node) each->close();
  }
}

base::Result<Address> Peers::dialed_address(const raft::Member& member) const {
  base::Result<Address> address = parse_address(member.raft_address);
  if (!address.is_ok()) return address;
  const auto found = peers_.find(member.node);
  const std::string seen = found == peers_.end() ? "" : found->second.seen_host;
  const bool elsewhere = !seen.empty() && !is_loopback(seen);
  if (elsewhere && is_loopback(address.value().host)) address.value().host = seen;
  return address;
}

// --- Those who dial us -----------------------------------------------------------------------------------

size_t Peers::unproved() const {
  return static_cast<size_t>(
      std::count_if(accepted_.begin(), accepted_.end(), [](const auto& each) { return !each->proved(); }));
}

void Peers::accept(uv_stream_t* listener, StreamKind kind) {
  auto stream = std::make_unique<Stream>(loop_, kind);
  if (const int code = stream->accept_from(listener); code != 0) {
    LETO_LOG(kWarning, "a peer could not be accepted: %s", uv_strerror(code));
    return;
  }
  if (unproved() >= kUnprovedMax) {
    LETO_LOG(kVerbose, "peer at %s: too many connections wait to prove themselves", stream->remote_address().c_str());
    return;
  }
  tune(*stream);
  const bool guarded = options_.protected_mode && options_.requirepass.empty();
  if (guarded && !stream->remote_is_this_machine()) return refuse_stranger(*stream);
  accepted_.push_back(std::make_unique<AcceptedPeer>(*this, std::move(stream)));
  accepted_.back()->start();
}

void Peers::refuse_stranger(Stream& stream) {
  const std::string sentence =
      "protected mode: peers from other machines are refused because no password is set; set requirepass on all "
      "nodes, or `protected-mode no`";
  LETO_LOG(kWarning, "peer at %s was refused: %s", stream.remote_address().c_str(), sentence.c_str());
  std::string bytes;
  peer::put_frame(bytes, peer::FrameType::kRefuse,
                  peer::encode_payload(peer::Refuse{peer::RefusalCode::kWrongSecret, sentence}));
  // What the socket takes at once; then it is closed.
  [[maybe_unused]] const int code = stream.write(bytes);
}

void Peers::tune(Stream& stream) const {
  stream.set_no_delay();
  stream.set_keepalive(kKeepaliveSeconds);
  setsockopt(stream.file_descriptor(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof kUserTimeoutMs);
}

void Peers::refused(const peer::Hello& hello) {
  const bool other_cluster = !hello.cluster.empty() && hello.cluster != self_.identity.cluster_id;
  const bool means_this_id = hello.expected.id == self_.identity.id;
  if (other_cluster && means_this_id && hooks_.missed) hooks_.missed(hello);
}

// A later connection of the same peer and kind takes the place of the earlier one, which is dead or soon will be.
void Peers::proved(AcceptedPeer& accepted) {
  for (const auto& each : accepted_) {
    const bool replaced = each.get() != &accepted && !each->closed() && each->proved() &&
                          each->node() == accepted.node() && each->kind() == accepted.kind();
    if (replaced) each->close();
  }
  const peer::Hello& hello = accepted.hello();
  const raft::NodeId node = accepted.node();
  auto found = peers_.find(node);
  if (found == peers_.end() && !hello.raft_address.empty()) {
    // Not in the configuration known here, which may be behind: it has to be answered, or it stays so.
    raft::Member guest{.node = node, .id = hello.initiator.id, .raft_address = hello.raft_address,
                       .client_address = hello.client_address};
    peers_[node].seen_host = accepted.remote_host();
    make_peer(guest).parting_at_ms = loop_.now_ms() + kGuestMs;
    return;
  }
  if (found == peers_.end()) return;
  found->second.seen_host = accepted.remote_host();
  found->second.control->dial_soon();
  found->second.bulk->dial_soon();
}

void Peers::received(const raft::Message& message) {
  ++hooks_.stats->peer_messages_received;
  const auto found = peers_.find(message.from);
  if (found != peers_.end() && !found->second.in_configuration) found->second.parting_at_ms = loop_.now_ms() + kGuestMs;
  hooks_.message(message);
}

void Peers::forget_closed() {
  some_closed_ = false;
  std::erase_if(accepted_, [](const auto& each) { return each->closed(); });
}

void Peers::note_removed_here(const std::string& sentence) {
  if (std::exchange(removed_told_, true)) return;
  LETO_LOG(kWarning, "this node is no member any more: %s", sentence.c_str());
}

peer::Hello Peers::hello(peer::ConnectionKind kind, const peer::Identity& expected) const {
  peer::Hello hello;
  hello.kind = kind;
  hello.cluster = self_.identity.cluster_id;
  hello.initiator = {.node = self_.identity.node, .id = self_.identity.id};
  hello.expected = expected;
  hello.nonce = secure_random_bytes(peer::kNonceBytes);
  hello.raft_address = self_.raft_address;
  hello.client_address = self_.client_address;
  return hello;
}

peer::AcceptorSetup Peers::acceptor_setup() const {
  peer::AcceptorSetup setup;
  setup.self = {.node = self_.identity.node, .id = self_.identity.id};
  setup.cluster = self_.identity.cluster_id;
  setup.secret = self_.identity.cluster_secret;
  setup.client_address = self_.client_address;
  setup.nonce = secure_random_bytes(peer::kNonceBytes);
  setup.was_removed = [this](raft::NodeId node) { return members_ever_.contains(node) && !members_.contains(node); };
  if (setup.cluster.empty()) {
    setup.state = peer::AcceptorState::kEmpty;
  } else if (hooks_.may_be_adopted()) {
    setup.state = peer::AcceptorState::kFounderWithoutData;
  } else {
    setup.state = peer::AcceptorState::kMember;
  }
  return setup;
}

// --- Taking in -------------------------------------------------------------------------------------------

void Peers::adopt(const std::string& raft_address, raft::NodeId expected, const std::string& id, Dialed done) {
  if (adoptions_.size() >= kAdoptionsMax) {
    loop_.defer([done = std::move(done)] { done(base::Status::error("too many nodes are being dialed; try again")); });
    return;
  }
  adoptions_.push_back(std::make_unique<Adoption>(
      *this, AdoptionWish{.raft_address = raft_address, .expected = expected, .id = id}, std::move(done)));
}

base::Status Peers::adopted_by(const peer::Adopt& adoption) {
  if (!hooks_.may_be_adopted()) return base::Status::error("this node has data or members of its own");
  return hooks_.adopt(adoption);
}

void Peers::close_all() {
  adoptions_.clear();
  peers_.clear();
  accepted_.clear();
  lost_.clear();
}

}  // namespace leto::server
