// The options of a node: what they are, where they come from, how CONFIG reads and changes them. All of it
// is made from the one table in server/option_table.cc: names, defaults, ranges and texts are written
// nowhere else. Refuses to know what an option does.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "server/address.h"

namespace leto::server {

enum class ReadConsistency : uint8_t { kLinearizable, kLease, kLocal };
// A learner never votes.
enum class NodeRole : uint8_t { kVoter, kLearner };
enum class FollowerWrites : uint8_t { kError, kRedirect, kForward };
// Who may use a command that is meant for tests: nobody, clients on this machine, everybody.
enum class DebugCommand : uint8_t { kNo, kLocal, kYes };

// What may wait to be read by one client: past `hard_bytes`, or past `soft_bytes` for `soft_seconds` without
// a break, it is disconnected. 0: no limit.
struct OutputLimit {
  uint64_t hard_bytes = 0;
  uint64_t soft_bytes = 0;
  uint64_t soft_seconds = 0;
  bool operator==(const OutputLimit&) const = default;
};

struct OutputLimits {
  OutputLimit normal;
  OutputLimit replica;  // Has no clients in Leto; kept because CONFIG shows it.
  OutputLimit pubsub;
  bool operator==(const OutputLimits&) const = default;
};

// Sizes are bytes, times what the name says. The constructor gives the table's defaults.
struct Options {
  Options();

  // Who this node is and whom it speaks with.
  std::string id;             // Empty: the one kept in raftdir, or a new random one.
  Address join;               // A host that is empty is this machine.
  Address listen;
  Address raftbind;
  std::string raftdir;        // As given; the server makes it absolute. CONFIG GET dir answers it.
  NodeRole role = NodeRole::kVoter;   // Of a node that joins.
  Address raft_advertise;     // Not set: found out; see leto.conf.
  Address client_advertise;
  std::string join_user;
  std::string join_password;  // Empty: requirepass.
  // Of the cluster that this node joins, or is taken in by; empty: none.
  const std::string& cluster_password() const { return join_password.empty() ? requirepass : join_password; }

  // Clients.
  std::string requirepass;    // Empty: none.
  bool protected_mode = true;
  uint64_t maxclients = 0;
  uint64_t timeout_seconds = 0;    // 0: never.
  uint64_t tcp_keepalive_seconds = 0;
  uint64_t tcp_backlog = 0;
  std::string unixsocket;     // Empty: none.
  uint64_t unixsocketperm = 0;     // A file mode; 0: what umask leaves.
  uint64_t databases = 0;
  uint64_t proto_max_bulk_len = 0;
  uint64_t client_query_buffer_limit = 0;
  OutputLimits client_output_buffer_limit;
  DebugCommand enable_debug_command = DebugCommand::kLocal;

  // Consensus.
  uint64_t election_timeout_ms = 0;
  uint64_t heartbeat_interval_ms = 0;
  uint64_t disk_stall_timeout_setting_ms = 0;  // 0: as disk_stall_timeout_ms() says.
  uint64_t disk_stall_timeout_ms() const;
  uint64_t max_entry_bytes = 0;
  uint64_t request_timeout_ms = 0;
  uint64_t flush_interval_ms = 0;
  uint64_t flush_bytes = 0;
  uint64_t flush_lag_ms = 0;
  uint64_t flush_lag_bytes = 0;
  uint64_t log_window = 0;         // Bytes.
  uint64_t log_segment = 0;        // Bytes.
  uint64_t snapshot_rate = 0;      // Bytes a second; 0: as fast as it goes.
  uint64_t ballast_bytes = 0;     // 0: none.
  uint64_t disk_floor = 0;        // Bytes; 0: none.
  bool repair = true;              // Damage is repaired from the other nodes.
  ReadConsistency read_consistency = ReadConsistency::kLinearizable;
  FollowerWrites follower_writes = FollowerWrites::kError;

  // Life.
  uint64_t shutdown_timeout_seconds = 0;
  base::LogLevel loglevel = base::LogLevel::kNotice;
  std::string logfile;        // Empty: standard output.

  // Parameters of Redis that tools set and that mean nothing here, by name; CONFIG shows them.
  std::map<std::string, std::string, std::less<>> inert;
};

struct CommandLine {
  Options options;
  bool help_wanted = false;     // -h or --help came before any mistake; the rest was not read.
  bool version_wanted = false;  // -v or --version, likewise.
  std::string check_wanted;     // --check DIR: the directory, likewise.
  std::string recover_wanted;   // --recover DIR [--new-cluster]: the directory, likewise.
  bool new_cluster = false;
  std::string conf_file;        // Empty: none was named.
};

// `leto [FILE] [-x v | -x=v | --x v | --x=v]...`. Options of the command line override the file's. Reads FILE,
// which may have at most 1 MiB. Errors are one sentence; those of the file begin with "FILE:LINE: ".
base::Result<CommandLine> parse_command_line(int argc, const char* const* argv);

// Lines `x v`, split and quoted as redis.conf is; `#` begins a comment line. `name` is for the errors.
// `options` is left as it was on error.
base::Status parse_conf(std::string_view text, std::string_view name, Options& options);

// What `leto -h` prints.
std::string usage();

// (name, value) of what the names and globs match, each once, in the order of the patterns, then of the
// table. As in Redis a name without a glob is given back as it was written.
std::vector<std::pair<std::string, std::string>> config_get(const Options& options,
                                                            std::span<const std::string_view> patterns);

// `pairs` is name, value, name, value ...: REQUIRES an even number. Changes all of them, or none and gives
// Redis 7.0's error text, "ERR ..." included.
base::Status config_set(Options& options, std::span<const std::string_view> pairs);

}  // namespace leto::server
