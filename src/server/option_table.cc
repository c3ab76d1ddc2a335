// The rows, and how they are found. Everything a person reads about an option is here or in leto.conf.
#include "server/option_table.h"

#include <algorithm>

#include "base/format.h"
#include "server/tick.h"

namespace leto::server {
namespace {

constexpr uint64_t kMegabyte = 1 << 20;
constexpr uint64_t kSecondsMax = 2147483647;       // Redis's bound of its times.
constexpr uint64_t kClientsMax = 1000000;
constexpr uint64_t kDatabases = 16;
constexpr uint64_t kEntryBytesMax = 64 * kMegabyte;  // Frames and jobs are bounded by it too.
constexpr uint64_t kBulkBytesMax = 512 * kMegabyte;  // Redis's default, and the most a value can have there.
constexpr uint64_t kQueryBufferMax = uint64_t{1} << 34;
constexpr uint64_t kWaitMsMax = 3600 * 1000;
constexpr uint64_t kElectionMsMax = 60 * 1000;
constexpr uint64_t kBytesMax = uint64_t{1} << 62;
constexpr uint64_t kLogBytesMax = uint64_t{1} << 40;
constexpr uint64_t kLogSegmentMin = 64 << 10;
constexpr uint64_t kLogSegmentMax = uint64_t{1} << 30;

constexpr ValueType kTextType{.kind = ValueKind::kText};
constexpr ValueType kPathType{.kind = ValueKind::kPath};
constexpr ValueType kYesNoType{.kind = ValueKind::kYesNo};
constexpr ValueType kAddressType{.kind = ValueKind::kAddress};
constexpr ValueType kHostAddressType{.kind = ValueKind::kHostAddress};

constexpr ValueType number(uint64_t min, uint64_t max) {
  return {.kind = ValueKind::kNumber, .min = min, .max = max};
}
constexpr ValueType bytes(uint64_t min, uint64_t max) {
  return {.kind = ValueKind::kBytes, .min = min, .max = max};
}
constexpr ValueType choice(std::string_view choices) {
  return {.kind = ValueKind::kChoice, .choices = choices};
}

template <auto member>
uint64_t get_choice(const Options& options) {
  return static_cast<uint64_t>(options.*member);
}
template <auto member, typename Enum>
void set_choice(Options& options, uint64_t value) {
  options.*member = static_cast<Enum>(value);
}
template <auto member>
constexpr ChoiceField choice_field() {
  using Enum = std::remove_reference_t<decltype(std::declval<Options&>().*member)>;
  return {.get = &get_choice<member>, .set = &set_choice<member, Enum>};
}

constexpr Option kOptions[] = {
    // name, default, type, unit, change, field, help
    {"id", "", {.kind = ValueKind::kNodeName}, "", Change::kAtStart, &Options::id,
     "node id (default: a random one, made once and kept in raftdir)"},
    {"join", "", kAddressType, "", Change::kAtStart, &Options::join, "client address of any node of a cluster to join"},
    {"listen", ":5379", kAddressType, "", Change::kAtStart, &Options::listen, "client address"},
    {"raftbind", ":15379", kAddressType, "", Change::kAtStart, &Options::raftbind, "peer address"},
    {"raftdir", "./", kPathType, "", Change::kAtStart, &Options::raftdir, "data directory"},

    {"client-advertise", "", kHostAddressType, "", Change::kAtStart, &Options::client_advertise,
     "client address told to others (default: found out)"},
    {"raft-advertise", "", kHostAddressType, "", Change::kAtStart, &Options::raft_advertise,
     "peer address told to the other nodes (default: found out)"},
    {"join-user", "", kTextType, "", Change::kAtStart, &Options::join_user, "user for -join (default: none named)"},
    {"join-password", "", kTextType, "", Change::kAtStart, &Options::join_password,
     "password for -join (default: requirepass)"},

    {"role", "voter", choice("voter learner"), "", Change::kAtStart, choice_field<&Options::role>(),
     "what it is to be in the cluster it joins"},

    {"requirepass", "", kTextType, "", Change::kAnyTime, &Options::requirepass, "password of clients"},
    {"protected-mode", "yes", kYesNoType, "", Change::kAnyTime, &Options::protected_mode,
     "without requirepass, refuse other machines"},
    {"unixsocket", "", {.kind = ValueKind::kSocketPath}, "", Change::kAtStart, &Options::unixsocket,
     "also listen on this Unix socket"},
    {"unixsocketperm", "0", {.kind = ValueKind::kFileMode}, "", Change::kAtStart, &Options::unixsocketperm,
     "its file mode, octal; 0 leaves it to umask"},
    {"tcp-backlog", "511", number(1, kSecondsMax), "", Change::kAtStart, &Options::tcp_backlog,
     "connections that wait to be accepted"},
    {"tcp-keepalive", "300", number(0, kSecondsMax), "seconds", Change::kAnyTime, &Options::tcp_keepalive_seconds,
     "probe silent clients after; 0: never"},
    {"timeout", "0", number(0, kSecondsMax), "seconds", Change::kAnyTime, &Options::timeout_seconds,
     "disconnect idle clients after; 0: never"},
    {"maxclients", "10000", number(1, kClientsMax), "", Change::kAnyTime, &Options::maxclients, "clients at once"},
    {"databases", "16", number(kDatabases, kDatabases), "", Change::kAtStart, &Options::databases,
     "logical databases"},
    {"proto-max-bulk-len", "64mb", bytes(kMegabyte, kBulkBytesMax), "", Change::kAnyTime,
     &Options::proto_max_bulk_len, "longest argument of a command"},
    {"client-query-buffer-limit", "128mb", bytes(kMegabyte, kQueryBufferMax), "", Change::kAnyTime,
     &Options::client_query_buffer_limit, "bytes of unfinished requests of a client"},
    {"client-output-buffer-limit", "normal 64mb 64mb 10 replica 256mb 64mb 60 pubsub 32mb 8mb 60",
     {.kind = ValueKind::kOutputLimits}, "", Change::kAnyTime, &Options::client_output_buffer_limit,
     "replies that may wait for a client: class hard soft seconds"},
    {"enable-debug-command", "local", choice("no local yes"), "", Change::kAtStart,
     choice_field<&Options::enable_debug_command>(), "who may use DEBUG"},

    {"election-timeout", "400", number(10 * kTickMs, kElectionMsMax), "ms", Change::kAtStart,
     &Options::election_timeout_ms, "silence of the leader before an election"},
    {"heartbeat-interval", "50", number(kTickMs, kElectionMsMax), "ms", Change::kAtStart,
     &Options::heartbeat_interval_ms, "between two signs of life of a leader"},
    {"disk-stall-timeout", "0", number(0, kWaitMsMax), "ms", Change::kAnyTime,
     &Options::disk_stall_timeout_setting_ms, "a leader whose disk hangs hands over; 0: two election timeouts"},
    {"max-entry-bytes", "64mb", bytes(kMegabyte, kEntryBytesMax), "", Change::kAtStart, &Options::max_entry_bytes,
     "largest command, all its arguments together"},
    {"request-timeout", "5000", number(1, kWaitMsMax), "ms", Change::kAnyTime, &Options::request_timeout_ms,
     "no client waits longer for an answer, but for SNAPSHOT"},
    {"flush-interval", "5000", number(100, kWaitMsMax), "ms", Change::kAnyTime, &Options::flush_interval_ms,
     "changed keys reach the keys file after at most so long"},
    {"flush-bytes", "64mb", bytes(kMegabyte, kQueryBufferMax), "", Change::kAnyTime, &Options::flush_bytes,
     "or once so many bytes of keys, values or log have changed"},
    {"flush-lag", "60000", number(1000, kWaitMsMax), "ms", Change::kAnyTime, &Options::flush_lag_ms,
     "writers are slowed down while unflushed changes are older"},
    {"flush-lag-bytes", "512mb", bytes(kMegabyte, kLogBytesMax), "", Change::kAnyTime, &Options::flush_lag_bytes,
     "or have more bytes"},
    {"log-window", "64mb", bytes(0, kLogBytesMax), "", Change::kAnyTime, &Options::log_window,
     "log kept for followers that lag"},
    {"log-segment", "64mb", bytes(kLogSegmentMin, kLogSegmentMax), "", Change::kAtStart, &Options::log_segment,
     "the log is dropped in pieces of about so many bytes"},
    {"snapshot-rate", "64mb", bytes(0, kLogBytesMax), "", Change::kAnyTime, &Options::snapshot_rate,
     "bytes of snapshots sent in a second; 0: no limit"},
    {"ballast-bytes", "16mb", bytes(0, kQueryBufferMax), "", Change::kAtStart, &Options::ballast_bytes,
     "size of a file that is given away when the disk is full; 0: none"},
    {"disk-floor", "8mb", bytes(0, kLogBytesMax), "", Change::kAnyTime, &Options::disk_floor,
     "with less room on the disk writes are refused; 0: until it is full"},
    {"repair", "yes", kYesNoType, "", Change::kAtStart, &Options::repair,
     "a node with damaged files joins its cluster again by itself"},
    {"read-consistency", "linearizable", choice("linearizable lease local"), "", Change::kAnyTime,
     choice_field<&Options::read_consistency>(), "how reads are served"},
    {"follower-writes", "error", choice("error redirect forward"), "", Change::kAnyTime,
     choice_field<&Options::follower_writes>(), "what a follower does with writes"},

    {"shutdown-timeout", "10", number(0, kSecondsMax), "seconds", Change::kAnyTime,
     &Options::shutdown_timeout_seconds, "most a clean shutdown may take"},
    {"loglevel", "notice", choice("debug verbose notice warning"), "", Change::kAnyTime,
     choice_field<&Options::loglevel>(), "lowest level that is logged"},
    {"logfile", "", kPathType, "", Change::kAtStart, &Options::logfile, "log file (default: standard output)"},
};

constexpr Option inert(std::string_view name, std::string_view default_text, const ValueType& type) {
  return {name, default_text, type, "", Change::kAnyTime, std::monostate(), ""};
}

// The defaults are Redis's where they are not untrue here: every write is durable before it is answered.
constexpr Option kInertParameters[] = {
    inert("save", "", kTextType),
    inert("appendonly", "yes", kYesNoType),
    inert("appendfsync", "always", choice("everysec always no")),
    inert("no-appendfsync-on-rewrite", "no", kYesNoType),
    inert("auto-aof-rewrite-percentage", "100", number(0, kSecondsMax)),
    inert("auto-aof-rewrite-min-size", "64mb", bytes(0, kBytesMax)),
    inert("aof-use-rdb-preamble", "yes", kYesNoType),
    inert("stop-writes-on-bgsave-error", "yes", kYesNoType),
    inert("rdbcompression", "yes", kYesNoType),
    inert("rdbchecksum", "yes", kYesNoType),
    inert("maxmemory", "0", bytes(0, kBytesMax)),
    inert("maxmemory-policy", "noeviction",
          choice("volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu allkeys-random "
                 "noeviction")),
    inert("maxmemory-samples", "5", number(1, kSecondsMax)),
    inert("lazyfree-lazy-eviction", "no", kYesNoType),
    inert("lazyfree-lazy-expire", "no", kYesNoType),
    inert("lazyfree-lazy-server-del", "no", kYesNoType),
    inert("lazyfree-lazy-user-del", "no", kYesNoType),
    inert("lazyfree-lazy-user-flush", "no", kYesNoType),
    inert("activedefrag", "no", kYesNoType),
    inert("activerehashing", "yes", kYesNoType),
    inert("hz", "100", number(0, kSecondsMax)),
    inert("dynamic-hz", "yes", kYesNoType),
    inert("io-threads", "1", number(1, 128)),
    inert("repl-diskless-sync", "yes", kYesNoType),
    inert("min-replicas-to-write", "0", number(0, kSecondsMax)),
    inert("min-replicas-max-lag", "10", number(0, kSecondsMax)),
};

struct OtherName {
  std::string_view redis;
  std::string_view leto;
};
constexpr OtherName kOtherNames[] = {
    {"port", "listen"},
    {"bind", "listen"},
    {"dir", "raftdir"},
    {"replicaof", "join"},
    {"slaveof", "join"},
    {"masterauth", "join-password"},
    {"masteruser", "join-user"},
    {"cluster-port", "raftbind"},
    {"cluster-node-timeout", "election-timeout"},
    {"cluster-announce-ip", "client-advertise"},
    {"cluster-announce-port", "client-advertise"},
    {"cluster-announce-bus-port", "raft-advertise"},
    {"replica-announce-ip", "client-advertise"},
    {"replica-announce-port", "client-advertise"},
};

char lower(char character) {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a') : character;
}

const Option* find_in(std::span<const Option> rows, std::string_view name) {
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&](const Option& option) { return equal_ignoring_case(option.name, name); });
  return found == rows.end() ? nullptr : &*found;
}

}  // namespace

std::span<const Option> option_table() {
  return kOptions;
}

std::span<const Option> inert_parameters() {
  return kInertParameters;
}

const Option* find_option(std::string_view name) {
  return find_in(kOptions, name);
}

const Option* find_inert_parameter(std::string_view name) {
  return find_in(kInertParameters, name);
}

std::string_view name_in_leto(std::string_view name) {
  const auto* found = std::find_if(std::begin(kOtherNames), std::end(kOtherNames),
                                   [&](const OtherName& other) { return equal_ignoring_case(other.redis, name); });
  return found == std::end(kOtherNames) ? std::string_view() : found->leto;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

base::Status check_together(const Options& options) {
  if (options.raftdir.empty()) return base::Status::error("raftdir is empty; ./ is the directory in which leto was started");
  if (options.heartbeat_interval_ms * 2 > options.election_timeout_ms) {
    return base::Status::error(base::format(
        "heartbeat-interval (%llu ms) must be at most half of election-timeout (%llu ms)",
        static_cast<unsigned long long>(options.heartbeat_interval_ms),
        static_cast<unsigned long long>(options.election_timeout_ms)));
  }
  if (options.listen == options.raftbind) {
    return base::Status::error("listen and raftbind are both " + options.listen.text() +
                               "; clients and peers need an address each");
  }
  return base::Status::ok();
}

Options::Options() {
  for (const auto& rows : {option_table(), inert_parameters()}) {
    for (const Option& option : rows) {
      const base::Status status = set_option(*this, option, option.default_text);
      LETO_ASSERT(status.is_ok(), std::string(option.name) + ": " + status.text());
    }
  }
}

uint64_t Options::disk_stall_timeout_ms() const {
  return disk_stall_timeout_setting_ms != 0 ? disk_stall_timeout_setting_ms : 2 * election_timeout_ms;
}

}  // namespace leto::server
