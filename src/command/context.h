// Everything a handler is given. A handler that reads or writes keys is a function of (keyspace, arguments,
// database, stamp) alone: it runs at apply on every node, and nothing local may change what it does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "command/client.h"
#include "keyspace/keyspace.h"
#include "resp/reply.h"
#include "resp/request_parser.h"

namespace leto::command {

// When and as what a write is applied: from its entry, the same on every node.
struct Stamp {
  keyspace::Version version;
  uint64_t time_ms = 0;   // Cluster time.
  uint64_t seed = 0;
  uint16_t semantics = 1;   // The cluster's level: the rules to go by.
};

struct ShutdownRequest {
  bool now = false;
  bool force = false;
  bool abort = false;
};

struct RoleView {
  bool leader = false;
  uint64_t offset = 0;                 // Applied index: what ROLE calls the replication offset.
  std::string leader_host;
  uint64_t leader_port = 0;
  const char* link_state = "connect";  // A follower's: connect, connecting, sync, connected.
  struct Replica { std::string host; uint64_t port = 0; uint64_t offset = 0; };
  std::vector<Replica> replicas;       // A leader's.
};

struct JoinRequest {
  std::string raft_address{};
  std::string id{};
  uint64_t node = 0;                   // 0: not said; the leader dials and asks.
  std::string client_address{};
  bool learner = false;                // It never votes.
  std::string forwarding_host{};       // The machine on which it was said, if it is another one: loopback addresses are its.
};

struct LeaveRequest {
  std::string id{};
  bool force = false;                  // Also where those who are left may be no majority that answers and keeps up.
};

// Names a reply that comes later: see Context::defer().
using Ticket = uint64_t;

// What the node offers to commands that are not about keys. Implemented by server/; the deferred ones
// answer by the ticket once the thing has happened.
class Services {
 public:
  virtual ~Services() = default;
  virtual std::string info(const std::vector<std::string>& sections) = 0;   // Lower case; empty: default.
  virtual std::vector<std::pair<std::string, std::string>> config_get(Arguments patterns) = 0;
  virtual base::Status config_set(Arguments names_and_values) = 0;   // The error is a whole Redis error text.
  virtual void config_reset_stat() = 0;
  virtual std::vector<const Client*> clients() = 0;   // By their ids.
  virtual RoleView role() = 0;
  // What is wrong with user and password, as an error text ("WRONGPASS ..."), or ok.
  virtual base::Status authenticate(std::string_view user, std::string_view password) = 0;
  virtual bool password_required() = 0;
  virtual bool debug_allowed(const Client& client) = 0;
  virtual uint64_t monotonic_ms() = 0;
  virtual void debug_sleep(uint64_t microseconds) = 0;              // Blocks the loop, as Redis's does.
  virtual void debug_sync_delay(uint64_t milliseconds) = 0;         // Every fsync of raft.db waits so long; 0 ends it.
  virtual std::string digest() = 0;                                 // Recomputed; 40 hex digits.
  // Deferred.
  virtual void join(Ticket ticket, const JoinRequest& request) = 0;
  virtual void leave(Ticket ticket, const LeaveRequest& request) = 0;
  virtual void transfer(Ticket ticket, std::string_view id) = 0;   // An empty id: the best voter.
  virtual void snapshot(Ticket ticket) = 0;
  virtual void shutdown(Ticket ticket, const ShutdownRequest& request) = 0;
};

struct Context {
  keyspace::Keyspace& keyspace;
  Services* services;      // Null when a write is applied.
  Client* client;          // Null when a write is applied, and for reads but WATCH: use `database`.
  Arguments arguments;     // arguments[0] is the command's name as the client wrote it.
  resp::Reply& reply;
  uint32_t database = 0;
  Stamp stamp;
  LocalCommands* locals = nullptr;   // EXEC's, at the node that has its client.
  bool unheard = false;    // Nobody reads the reply: what changes nothing need not run.
  size_t reply_bytes_max = SIZE_MAX;   // EXEC's. Past it what changes nothing does not run either,
  bool cut_off = false;                // and this is set: the client cannot be told the rest.
  Ticket ticket = 0;
  bool deferred = false;   // Set by a handler whose reply comes later, by the ticket.
};

}  // namespace leto::command
