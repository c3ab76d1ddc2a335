#include "server/peers.h"

#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "base/node_id.h"
#include "server/own_address.h"
#include "server/secure_random.h"

namespace leto::server {

namespace {

constexpr uint64_t kKeepaliveSeconds = 15;
// Data that a peer's machine does not acknowledge for so long: it is gone.
constexpr int kUserTimeoutMs = 5000;

bool is_of_snapshot(const raft::Message& message) {
  return std::holds_alternative<raft::InstallSnapshot>(message.body) ||
         std::holds_alternative<raft::InstallSnapshotReply>(message.body);
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
  silenced_.clear();
  adoptions_.clear();
  own_member_ = {};
  say_at_ms_ = 0;
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
  if (is_of_snapshot(message) && (abilities(message.to).features & peer::kFeatureSnapshots) == 0) {
    ++hooks_.stats->peer_messages_dropped;
    LETO_LOG(kDebug, "nothing of a snapshot is sent to %s: it does not know such frames, or is not connected",
             found->second.member.id.c_str());
    return;
  }
  peer::Encoded encoded = peer::encode(message);
  PeerConnection& connection = encoded.bulky ? *found->second.bulk : *found->second.control;
  if (!connection.send(std::move(encoded))) return note_lost(message.to, 1);
  ++hooks_.stats->peer_messages_sent;
}

template <typename Message>
bool Peers::send_by_size(Peer& peer, const Message& message) {
  peer::Encoded encoded = peer::encode(message);
  PeerConnection& connection = encoded.bulky ? *peer.bulk : *peer.control;
  connection.dial_if_just_broken();
  if (!connection.send(std::move(encoded))) return false;
  ++hooks_.stats->peer_messages_sent;
  return true;
}

// Never over a connection that is being made: what did not leave can be sent elsewhere.
bool Peers::send_forward(const peer::Forward& forward) {
  const auto found = peers_.find(forward.to);
  if (found == peers_.end() || !found->second.control->up() || !found->second.bulk->up()) return false;
  return (found->second.control->features() & peer::kFeatureForward) != 0 && send_by_size(found->second, forward);
}

// Nobody else wants an answer: it waits for a connection that is being made. Who asked knows such frames.
void Peers::send_forward_reply(const peer::ForwardReply& reply) {
  const auto found = peers_.find(reply.to);
  if (found != peers_.end() && send_by_size(found->second, reply)) return;
  ++hooks_.stats->peer_messages_dropped;
  LETO_LOG(kDebug, "%zu answers to node %016llx were dropped: it cannot be reached", reply.answers.size(),
           static_cast<unsigned long long>(reply.to));
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
  ++turn_;
  for (auto& [node, peer] : peers_) {
    size_t budget = kControlBytesPerTurn;
    peer.control->flush(budget);
  }
  flush_bulk();
  if (some_closed_) forget_closed();
}

// In a circle: the one that had the last of a turn's bytes is the last of the next turn.
void Peers::flush_bulk() {
  size_t budget = kBulkBytesPerTurn;
  auto next = peers_.lower_bound(bulk_next_);
  for (size_t left = peers_.size(); left > 0; --left) {
    if (next == peers_.end()) next = peers_.begin();
    next->second.bulk->flush(budget);
    bulk_next_ = next->first + 1;
    if (budget == 0) return loop_.wake();
    ++next;
  }
}

void Peers::on_tick() {
  const uint64_t now_ms = loop_.now_ms();
  for (auto& [node, peer] : peers_) {
    peer.control->on_tick(now_ms);
    peer.bulk->on_tick(now_ms);
  }
  for (const auto& each : accepted_) each->on_tick(now_ms);
  for (const raft::NodeId node : std::exchange(lost_, {})) hooks_.unreachable(node);
  for (const raft::NodeId node : std::exchange(silenced_, {})) {
    if (hooks_.silenced) hooks_.silenced(node);
  }
  if (say_at_ms_ != 0 && now_ms >= say_at_ms_) say_own_addresses(now_ms);
  forget_parted(now_ms);
  std::erase_if(adoptions_, [](const auto& adoption) { return adoption->finished(); });
}

Network::Abilities Peers::abilities(raft::NodeId node) const {
  const auto found = peers_.find(node);
  if (found == peers_.end() || !found->second.control->up()) return {};
  const PeerConnection& control = *found->second.control;
  return {.known = true, .semantics = control.semantics(), .features = control.features()};
}

std::string Peers::machine_of(raft::NodeId node) const {
  const auto found = peers_.find(node);
  if (found == peers_.end()) return {};
  const std::string& host = found->second.seen_host;
  return is_real_host(host) && !may_be_here(host) ? host : "";
}

std::string Peers::id_of(raft::NodeId node) const {
  const auto found = peers_.find(node);
  return found == peers_.end() ? "" : found->second.member.id;
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

void Peers::set_members(const raft::Configuration& in_force, const raft::Configuration& committed) {
  members_.clear();
  for (const raft::Member& member : committed.members) {
    members_.insert(member.node);
    members_ever_.insert(member.node);
  }
  const raft::Member* own = in_force.find(self_.identity.node);
  own_member_ = own == nullptr ? raft::Member{} : *own;
  for (const raft::Member& member : in_force.members) {
    members_.insert(member.node);
    if (member.node == self_.identity.node) continue;
    make_peer(member).in_configuration = true;
  }
  compare_own_addresses("");
  for (auto& [node, peer] : peers_) {
    if (!peer.in_configuration || in_force.find(node) != nullptr) continue;
    peer.in_configuration = false;
    peer.parting_at_ms = loop_.now_ms() + kPartingMs;
  }
}

// Also for one that is there already: then it is dialed, the next time, at the address that is known now.
Peers::Peer& Peers::make_peer(const raft::Member& member) {
  Peer& peer = peers_[member.node];
  const std::string before = dialed_text(peer);
  const bool same_id = peer.control != nullptr && peer.member.id == member.id;
  if (peer.member.raft_address != member.raft_address) peer.said_address.clear();
  peer.member = member;
  const std::string now = dialed_text(peer);
  if (!same_id) {
    connect(peer);
  } else if (now != before) {
    set_address(peer, now);
  }
  return peer;
}

void Peers::set_address(Peer& peer, const std::string& raft_address) {
  peer.control->set_address(raft_address);
  peer.bulk->set_address(raft_address);
}

void Peers::connect(Peer& peer) {
  raft::Member dialed = peer.member;
  dialed.raft_address = dialed_text(peer);
  peer.control = std::make_unique<PeerConnection>(*this, dialed, peer::ConnectionKind::kControl);
  peer.bulk = std::make_unique<PeerConnection>(*this, dialed, peer::ConnectionKind::kBulk);
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

std::string Peers::dialed_text(const Peer& peer) const {
  const std::string& text = peer.said_address.empty() ? peer.member.raft_address : peer.said_address;
  base::Result<Address> address = parse_address(text);
  const bool elsewhere = !peer.seen_host.empty() && !is_loopback(peer.seen_host);
  if (!address.is_ok() || !elsewhere || !is_loopback(address.value().host)) return text;
  address.value().host = peer.seen_host;
  return address.value().text();
}

base::Result<Address> Peers::dialed_address(const raft::Member& member) const {
  const auto found = peers_.find(member.node);
  return parse_address(found == peers_.end() ? member.raft_address : dialed_text(found->second));
}

// Over a loopback connection, too, it is said where this node is for other machines.
raft::Member Peers::told_self(const std::string& socket_host) const {
  const bool seen = !seen_from_elsewhere_.empty() && !is_real_host(socket_host) && may_be_here(seen_from_elsewhere_);
  const std::string& host = seen ? seen_from_elsewhere_ : socket_host;
  const auto host_of = [&host](const std::string& known) {
    base::Result<Address> address = parse_address(known);
    return told_host(address.is_ok() ? address.value().host : "", host);
  };
  raft::Member told = own_member_;
  told.raft_address = own_raft_address(options_, host_of(own_member_.raft_address));
  told.client_address = own_client_address(options_, host_of(own_member_.client_address));
  return told;
}

void Peers::reached_from(const std::string& socket_host, const std::string& peer_host) {
  if (is_real_host(socket_host) && !may_be_here(peer_host)) {
    seen_from_elsewhere_ = socket_host;
    warn_if_only_here(socket_host, peer_host);
  }
  compare_own_addresses(socket_host);
}

void Peers::compare_own_addresses(const std::string& socket_host) {
  if (own_member_.node == raft::kNobody) return;
  const raft::Member told = told_self(socket_host);
  if (told == own_member_) return;
  if (hooks_.moved) hooks_.moved(told);
  say_at_ms_ = loop_.now_ms() + kSayAgainMs;
}

// Addresses are said in a Hello. Those of this node may have become known, or changed, since; and only the leader can
// put them into the configuration.
void Peers::say_own_addresses(uint64_t now_ms) {
  say_at_ms_ = 0;
  if (own_member_.node == raft::kNobody) return;
  for (auto& [node, peer] : peers_) {
    PeerConnection& bulk = *peer.bulk;
    if (!bulk.up()) continue;
    const raft::Member told = told_self(bulk.local_host());
    if (told == own_member_ || bulk.has_said(told)) continue;
    if (bulk.has_unsent()) {
      say_at_ms_ = now_ms + kSayAgainMs;
    } else {
      bulk.dial_anew();
    }
  }
}

// Only by an option: what is found out is no loopback address then.
void Peers::warn_if_only_here(const std::string& socket_host, const std::string& peer_host) {
  const auto is_only_here = [](const std::string& text) {
    base::Result<Address> address = parse_address(text);
    return address.is_ok() && is_loopback(address.value().host);
  };
  const std::string raft_address = own_raft_address(options_, socket_host);
  const std::string client_address = own_client_address(options_, socket_host);
  if (warned_of_loopback_ || (!is_only_here(raft_address) && !is_only_here(client_address))) return;
  warned_of_loopback_ = true;
  LETO_LOG(kWarning,
           "there is a member on another machine, %s, but this node says that its peers' port is at %s and its clients' port at "
           "%s: a loopback address cannot be reached from there. Leave the host out of -raftbind and -listen, or name %s, "
           "or say -raft-advertise and -client-advertise",
           peer_host.c_str(), raft_address.c_str(), client_address.c_str(), socket_host.c_str());
}

// --- Those who dial us -----------------------------------------------------------------------------------

void Peers::make_room() {
  std::map<std::string, size_t> waiting;   // By host.
  size_t count = 0;
  for (const auto& each : accepted_) {
    if (each->proved() || each->closed()) continue;
    ++waiting[each->remote_host()];
    ++count;
  }
  if (count < kUnprovedMax) return;
  const auto most = std::max_element(waiting.begin(), waiting.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  const auto oldest = std::find_if(accepted_.begin(), accepted_.end(), [&most](const auto& each) {
    return !each->proved() && !each->closed() && each->remote_host() == most->first;
  });
  LETO_LOG(kVerbose, "peer at %s is disconnected: too many connections wait to prove themselves", most->first.c_str());
  (*oldest)->close();
}

void Peers::accept(uv_stream_t* listener, StreamKind kind) {
  auto stream = std::make_unique<Stream>(loop_, kind);
  if (const int code = stream->accept_from(listener); code != 0) {
    LETO_LOG(kWarning, "a peer could not be accepted: %s", uv_strerror(code));
    return;
  }
  tune(*stream);
  const bool guarded = options_.protected_mode && options_.requirepass.empty();
  if (guarded && !stream->remote_is_loopback()) return refuse_stranger(*stream);
  make_room();
  accepted_.push_back(std::make_unique<AcceptedPeer>(*this, std::move(stream)));
  accepted_.back()->start();
}

void Peers::refuse_stranger(Stream& stream) {
  const std::string sentence =
      "protected mode: only peers that come over loopback (127.0.0.1 or ::1) are served because no password is set; set "
      "requirepass on all nodes, or `protected-mode no`";
  LETO_LOG(kWarning, "peer at %s was refused: %s", stream.remote_address().c_str(), sentence.c_str());
  std::string bytes;
  peer::put_frame(bytes, peer::FrameType::kRefuse,
                  peer::encode_payload(peer::Refuse{peer::RefusalCode::kWrongSecret, sentence}));
  // What the socket takes at once; then it is closed.
  [[maybe_unused]] const int code = stream.write(bytes);
}

std::string Peers::client_refusal() const {
  return base::format("ERR this is the peers' port of %s; its clients' port is %u", self_.identity.id.c_str(), options_.listen.port);
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
    if (!replaced) continue;
    each->close();
    note_silenced(accepted.node());
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
  if (found != peers_.end()) note_addresses(found->second, accepted);
}

// It is dialed where it says it is, whatever the configuration says, so that it can be elected, or elect.
void Peers::note_addresses(Peer& peer, const AcceptedPeer& accepted) {
  const std::string before = dialed_text(peer);
  const std::string seen_before = peer.seen_host;
  const peer::Hello& hello = accepted.hello();
  raft::Member told = peer.member;
  const std::string raft_address = heard_address(hello.raft_address, told.raft_address, accepted.remote_host());
  const std::string client_address = heard_address(hello.client_address, told.client_address, accepted.remote_host());
  if (!raft_address.empty()) told.raft_address = raft_address;
  if (!client_address.empty()) told.client_address = client_address;
  peer.seen_host = accepted.remote_host();
  peer.said_address = raft_address;
  if (peer.in_configuration && told != peer.member && hooks_.moved) hooks_.moved(told);
  const std::string now = dialed_text(peer);
  // Its machine has another address: of the old one nothing may be heard, not even that connections are over.
  const bool moved = is_real_host(seen_before) && is_real_host(peer.seen_host) && peer.seen_host != seen_before;
  if (now != before && moved) return connect(peer);
  if (now != before) set_address(peer, now);
  peer.control->dial_soon();
  peer.bulk->dial_soon();
}

// Who this node once knew as a member and does not any more; or anybody it does not know, if it must know them all. A removal
// that is not committed may yet come to nothing, or need the vote of who leaves.
bool Peers::was_removed(raft::NodeId node) const {
  if (members_.contains(node)) return false;
  return members_ever_.contains(node) || (hooks_.knows_members && hooks_.knows_members());
}

void Peers::note_received(raft::NodeId from) {
  ++hooks_.stats->peer_messages_received;
  const auto found = peers_.find(from);
  const bool is_guest = found != peers_.end() && !found->second.in_configuration;
  // Who was removed is let go, however much it says, and is told so when it dials again.
  if (is_guest && !was_removed(from)) found->second.parting_at_ms = loop_.now_ms() + kGuestMs;
}

void Peers::received(const raft::Message& message) {
  note_received(message.from);
  hooks_.message(message);
}

void Peers::received(peer::Forward forward) {
  note_received(forward.from);
  hooks_.forward(std::move(forward));
}

void Peers::received(const peer::ForwardReply& reply) {
  note_received(reply.from);
  hooks_.forward_reply(reply);
}

void Peers::forget_closed() {
  some_closed_ = false;
  std::erase_if(accepted_, [](const auto& each) { return each->closed(); });
}

void Peers::note_removed_here(const std::string& sentence) {
  if (hooks_.removed) hooks_.removed(sentence);
}

// Who is in no configuration yet does not know what it is called there, and says nothing of its addresses.
peer::Hello Peers::hello(peer::ConnectionKind kind, const peer::Identity& expected,
                         const std::string& socket_host) const {
  peer::Hello hello;
  hello.kind = kind;
  hello.features = self_.features;
  hello.semantics = self_.semantics;
  hello.cluster = self_.identity.cluster_id;
  hello.initiator = {.node = self_.identity.node, .id = self_.identity.id};
  hello.expected = expected;
  // A configuration of long ago may name what could not be said.
  if (!base::is_node_id(expected.id)) hello.expected.id.clear();
  hello.nonce = secure_random_bytes(peer::kNonceBytes);
  if (own_member_.node == raft::kNobody) return hello;
  const raft::Member told = told_self(socket_host);
  hello.raft_address = told.raft_address;
  hello.client_address = told.client_address;
  return hello;
}

peer::AcceptorSetup Peers::acceptor_setup(const std::string& socket_host) const {
  peer::AcceptorSetup setup;
  setup.features = self_.features;
  setup.semantics = self_.semantics;
  setup.semantics_level = semantics_level_;
  setup.self = {.node = self_.identity.node, .id = self_.identity.id};
  setup.cluster = self_.identity.cluster_id;
  setup.secret = self_.identity.cluster_secret;
  setup.password = options_.cluster_password();
  setup.client_address =
      is_loopback(socket_host) ? self_.client_address : own_client_address(options_, socket_host);
  setup.nonce = secure_random_bytes(peer::kNonceBytes);
  setup.was_removed = [this](raft::NodeId node) { return was_removed(node); };
  setup.was_member = hooks_.was_member && hooks_.was_member();
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

void Peers::adopt(AdoptionWish wish, Dialed done) {
  if (adoptions_.size() >= kAdoptionsMax) {
    loop_.defer([done = std::move(done)] { done(base::Status::error("too many nodes are being dialed; try again")); });
    return;
  }
  adoptions_.push_back(std::make_unique<Adoption>(*this, std::move(wish), std::move(done)));
}

std::vector<std::string> Peers::passwords() const {
  std::vector<std::string> passwords;
  if (!options_.requirepass.empty()) passwords.push_back(options_.requirepass);
  const std::string& other = options_.join_password;
  if (!other.empty() && other != options_.requirepass) passwords.push_back(other);
  return passwords;
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
  silenced_.clear();
}

}  // namespace leto::server
