// Node: what it offers to commands that are not about keys.
#include <chrono>
#include <thread>

#include "base/log.h"
#include "base/sha256.h"
#include "server/flusher.h"
#include "server/forwarded.h"
#include "server/forwarder.h"
#include "server/info.h"
#include "server/membership.h"
#include "server/node.h"
#include "server/replica.h"
#include "server/snapshot_receiver.h"
#include "server/snapshot_sender.h"

namespace leto::server {
namespace {

// Host and port of "host:port"; port 0 if there is none.
std::pair<std::string, uint64_t> split_address(const std::string& text) {
  base::Result<Address> address = parse_address(text);
  if (!address.is_ok()) return {};
  return {address.value().host, address.value().port};
}

}  // namespace

void Node::check_bounds() const {
  replica_->check_bounds();
  forwarded_->check_bounds();
  forwarder_->check_bounds();
  snapshot_receiver_->check_bounds();
  snapshot_sender_->check_bounds();
}

std::string Node::info(const std::vector<std::string>& sections) {
  return info_text({.node = *this, .stats = stats_, .replica = *replica_, .flusher = *flusher_,
                    .disk_floor = *disk_floor_, .sender = *snapshot_sender_, .receiver = *snapshot_receiver_,
                    .environment = environment_, .clients = sessions_.size()},
                   sections);
}

std::vector<std::pair<std::string, std::string>> Node::config_get(command::Arguments patterns) {
  return server::config_get(options_, patterns);
}

base::Status Node::config_set(command::Arguments names_and_values) {
  base::Status status = server::config_set(options_, names_and_values);
  if (status.is_ok() && on_options_changed) on_options_changed();
  return status;
}

void Node::config_reset_stat() {
  stats_.reset();
  keyspace_.reset_counters();
}

std::vector<const command::Client*> Node::clients() {
  std::vector<const command::Client*> result;
  result.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) result.push_back(&session->client);
  return result;
}

command::RoleView Node::role() {
  const raft::Raft& raft = replica_->raft();
  command::RoleView view;
  view.leader = raft.role() == raft::Role::kLeader;
  view.offset = raft.applied_index();
  if (view.leader) {
    for (const raft::PeerView& peer : raft.peers()) {
      const raft::Member* member = raft.configuration().find(peer.node);
      if (member == nullptr || peer.node == identity_.node) continue;
      const auto [host, port] = split_address(member->client_address);
      view.replicas.push_back({.host = host, .port = port, .offset = peer.match});
    }
    return view;
  }
  if (const raft::Member* leader = raft.configuration().find(raft.leader())) {
    std::tie(view.leader_host, view.leader_port) = split_address(leader->client_address);
    view.link_state = "connected";
  }
  return view;
}

base::Status Node::authenticate(std::string_view user, std::string_view password) {
  // Digests, so that neither length nor content shows in the time it takes.
  const bool matches = base::equal_in_constant_time(base::sha256(password),
                                                    base::sha256(options_.requirepass));
  const bool granted = user == "default" && (options_.requirepass.empty() || matches);
  if (granted) return base::Status::ok();
  return base::Status::error("WRONGPASS invalid username-password pair or user is disabled.");
}

bool Node::password_required() { return !options_.requirepass.empty(); }

bool Node::debug_allowed(const command::Client& client) {
  if (options_.enable_debug_command == DebugCommand::kYes) return true;
  if (options_.enable_debug_command == DebugCommand::kNo) return false;
  return client.address.starts_with("127.") || client.address.starts_with("[::1]") ||
         client.address.starts_with("[::ffff:127.") || client.on_unix_socket ||
         client.address.empty();
}

uint64_t Node::monotonic_ms() { return environment_.clock.monotonic_us() / 1000; }

void Node::debug_sleep(uint64_t microseconds) {
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

void Node::debug_sync_delay(uint64_t milliseconds) {
  if (on_sync_delay) on_sync_delay(milliseconds);
}

// As long as Redis's, whose digest is a SHA-1.
std::string Node::digest() { return "00000000" + keyspace_.recompute_digest().hex(); }

void Node::join(command::Ticket ticket, const command::JoinRequest& request) {
  membership_->join(ticket, request);
}

void Node::leave(command::Ticket ticket, const command::LeaveRequest& request) { membership_->leave(ticket, request); }

void Node::transfer(command::Ticket ticket, std::string_view id) { membership_->transfer(ticket, id); }

// While it waits for its read index the replica alone knows of it, and ends it where none comes.
void Node::snapshot(command::Ticket ticket) {
  const Waiter waiter = std::move(tickets_.extract(ticket).mapped());
  replica_->at_read_index(waiter, [this](const SessionRef& session, Session::Sequence sequence) {
    session->find(sequence)->unlimited = true;
    const command::Ticket again = issue_ticket({.session = session, .sequence = sequence});
    const auto done = [this, again](const base::Status& status) {
      answer(again, status.is_ok() ? "" : "ERR the keys file was not written: " + status.text());
    };
    flusher_->flush(done, options_.request_timeout_ms * 1000);
  });
}

void Node::shutdown(command::Ticket ticket, const command::ShutdownRequest& request) {
  if (request.abort) {
    answer(ticket, shutting_down() ? "ERR a shutdown that has begun cannot be aborted"
                                   : "ERR No shutdown in progress.");
    return;
  }
  LETO_LOG(kNotice, "User requested shutdown...");
  if (on_shutdown_command) on_shutdown_command(request);
}

}  // namespace leto::server
