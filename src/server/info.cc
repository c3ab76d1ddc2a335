#include "server/info.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "base/format.h"
#include "peer/handshake_proof.h"
#include "server/disk_floor.h"
#include "server/flusher.h"
#include "server/node.h"
#include "server/option_table.h"
#include "server/replica.h"
#include "server/snapshot_receiver.h"
#include "server/snapshot_sender.h"
#include "command/redis_version.h"
#include "server/version.h"

namespace leto::server {
namespace {

using Section = void (*)(std::string& out, const InfoSource& source);

void field(std::string& out, const char* name, std::string_view value) {
  out.append(name).append(":").append(value).append("\r\n");
}

void number(std::string& out, const char* name, uint64_t value) {
  field(out, name, std::to_string(value));
}

std::string human_bytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "K", "M", "G", "T"};
  if (bytes < 1024) return base::format("%lluB", static_cast<unsigned long long>(bytes));
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return base::format("%.2f%s", value, kUnits[unit]);
}

// The second number of /proc/self/statm is resident pages.
uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long long size = 0, resident = 0;
  const int fields = std::fscanf(file, "%llu %llu", &size, &resident);
  std::fclose(file);
  return fields == 2 ? resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

bool is_loading(const InfoSource& source) {
  if (source.node.loading()) return true;
  return source.replica.raft().applied_index() < source.replica.raft().commit_index() &&
         !source.replica.raft().leads_and_committed_in_term() &&
         !source.replica.has_applied_commands();
}

void server_section(std::string& out, const InfoSource& source) {
  utsname system{};
  uname(&system);
  const uint64_t uptime_s =
      (source.environment.clock.monotonic_us() - source.stats.started_us) / 1000000;
  field(out, "redis_version", command::kRedisVersion);
  field(out, "leto_version", kVersion);
  field(out, "redis_mode", "standalone");
  field(out, "os", base::format("%s %s %s", system.sysname, system.release, system.machine));
  number(out, "arch_bits", sizeof(void*) * 8);
  field(out, "multiplexing_api", "libuv");
  number(out, "process_id", static_cast<uint64_t>(getpid()));
  number(out, "tcp_port", source.node.options().listen.port);
  number(out, "uptime_in_seconds", uptime_s);
  number(out, "uptime_in_days", uptime_s / 86400);
  number(out, "hz", 1000 / kTickMs);
  field(out, "configured_hz", option_text(source.node.options(), *find_inert_parameter("hz")));
}

void clients_section(std::string& out, const InfoSource& source) {
  number(out, "connected_clients", source.clients);
  number(out, "maxclients", source.node.options().maxclients);
  number(out, "blocked_clients", 0);
}

void memory_section(std::string& out, const InfoSource& source) {
  const uint64_t resident = resident_bytes();
  const uint64_t used = source.node.keyspace().memory_used();
  number(out, "used_memory", used);
  field(out, "used_memory_human", human_bytes(used));
  number(out, "used_memory_rss", resident);
  field(out, "used_memory_rss_human", human_bytes(resident));
  number(out, "maxmemory", 0);
  field(out, "maxmemory_human", "0B");
  field(out, "maxmemory_policy", "noeviction");
  field(out, "mem_allocator", "libc");
  number(out, "lazyfree_pending_objects", 0);
}

void persistence_section(std::string& out, const InfoSource& source) {
  number(out, "loading", is_loading(source) ? 1 : 0);
  number(out, "rdb_changes_since_last_save", source.flusher.lag_keys());
  number(out, "rdb_bgsave_in_progress", source.flusher.flushing() ? 1 : 0);
  field(out, "rdb_last_bgsave_status", source.flusher.last_failed() ? "err" : "ok");
  number(out, "aof_enabled", 1);
  number(out, "aof_rewrite_in_progress", 0);
  field(out, "aof_last_write_status", source.replica.disk_full() ? "err" : "ok");
  number(out, "disk_room_bytes", source.disk_floor.room());
  number(out, "disk_low", source.disk_floor.low() || source.replica.disk_full() ? 1 : 0);
}

void stats_section(std::string& out, const InfoSource& source) {
  const Stats& stats = source.stats;
  number(out, "total_connections_received", stats.connections_received);
  number(out, "total_commands_processed", stats.commands_processed);
  number(out, "instantaneous_ops_per_sec", stats.operations_per_second());
  number(out, "total_net_input_bytes", stats.input_bytes);
  number(out, "total_net_output_bytes", stats.output_bytes);
  number(out, "rejected_connections", stats.rejected_connections);
  number(out, "expired_keys", 0);
  number(out, "evicted_keys", 0);
  number(out, "keyspace_hits", source.node.keyspace().hits());
  number(out, "keyspace_misses", source.node.keyspace().misses());
  number(out, "total_error_replies", stats.error_replies);
  number(out, "unknown_outcomes", stats.unknown_outcomes);
  number(out, "forward_requests", stats.forward_requests);
  number(out, "forward_retries", stats.forward_retries);
  number(out, "forward_unknown", stats.forward_unknown);
  number(out, "forward_served", stats.forward_served);
  number(out, "protocol_errors", stats.protocol_errors);
  number(out, "loop_turn_cpu_usec_max", stats.loop_turn_cpu_usec_max);
  number(out, "loop_turn_cpu_max_at_msec", stats.loop_turn_cpu_max_at_ms);
}

void replication_section(std::string& out, const InfoSource& source) {
  const raft::Raft& raft = source.replica.raft();
  const bool leads = raft.role() == raft::Role::kLeader;
  field(out, "role", leads ? "master" : "slave");
  if (leads) {
    const size_t others = raft.configuration().members.size();
    number(out, "connected_slaves", others > 0 ? others - 1 : 0);
  } else {
    const raft::Member* leader = raft.configuration().find(raft.leader());
    base::Result<Address> address = parse_address(leader == nullptr ? "" : leader->client_address);
    field(out, "master_host", address.is_ok() ? address.value().host : "");
    number(out, "master_port", address.is_ok() ? address.value().port : 0);
    field(out, "master_link_status", leader == nullptr ? "down" : "up");
    number(out, "connected_slaves", 0);
  }
  number(out, "master_repl_offset", raft.applied_index());
}

void cpu_section(std::string& out, const InfoSource&) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return base::format("%ld.%06ld", static_cast<long>(time.tv_sec), static_cast<long>(time.tv_usec));
  };
  field(out, "used_cpu_sys", seconds(usage.ru_stime));
  field(out, "used_cpu_user", seconds(usage.ru_utime));
}

void raft_peers(std::string& out, const InfoSource& source) {
  const raft::Raft& raft = source.replica.raft();
  size_t number_of_peer = 0;
  for (const raft::PeerView& peer : raft.peers()) {
    const raft::Member* member = raft.configuration().find(peer.node);
    if (member == nullptr || peer.node == source.node.identity().node) continue;
    out += base::format(
        "peer%zu:id=%s,role=%s,address=%s,match=%llu,next=%llu,lag=%llu,last_contact_ms=%llu,"
        "in_flight=%zu,in_flight_bytes=%zu\r\n",
        number_of_peer++, member->id.c_str(), raft::member_role_name(member->role),
        member->raft_address.c_str(), static_cast<unsigned long long>(peer.match),
        static_cast<unsigned long long>(peer.next),
        static_cast<unsigned long long>(raft.last().index - std::min(raft.last().index, peer.match)),
        static_cast<unsigned long long>(peer.ticks_since_heard * kTickMs), peer.in_flight_messages,
        peer.in_flight_bytes);
  }
}

void raft_members(std::string& out, const raft::Configuration& configuration) {
  number(out, "members", configuration.members.size());
  size_t number_of_member = 0;
  for (const raft::Member& member : configuration.members) {
    out += base::format("member%zu:id=%s,role=%s,raft=%s,client=%s,node=%llu\r\n", number_of_member++,
                        member.id.c_str(), raft::member_role_name(member.role),
                        member.raft_address.c_str(), member.client_address.c_str(),
                        static_cast<unsigned long long>(member.node));
  }
}

void snapshot_fields(std::string& out, const InfoSource& source) {
  const Stats& stats = source.stats;
  const std::vector<SnapshotSender::View> sending = source.sender.views();
  const bool receives = source.receiver.receiving();
  number(out, "snapshot_in_progress", receives || !sending.empty() ? 1 : 0);
  number(out, "snapshots_sent_now", sending.size());
  number(out, "snapshots_made", stats.snapshots_made);
  number(out, "snapshots_installed", stats.snapshots_installed);
  number(out, "snapshot_bytes_sent", stats.snapshot_bytes_sent);
  number(out, "snapshot_bytes_received", stats.snapshot_bytes_received);
  number(out, "snapshot_receiving_bytes", receives ? source.receiver.received() : 0);
  number(out, "snapshot_receiving_size", receives ? source.receiver.size() : 0);
  size_t number_of_transfer = 0;
  for (const SnapshotSender::View& view : sending) {
    const raft::Member* member = source.replica.raft().configuration().find(view.peer);
    out += base::format("snapshot%zu:id=%s,sent=%llu,size=%llu\r\n", number_of_transfer++,
                        member == nullptr ? "" : member->id.c_str(), static_cast<unsigned long long>(view.sent),
                        static_cast<unsigned long long>(view.size));
  }
}

void raft_section(std::string& out, const InfoSource& source) {
  const raft::Raft& raft = source.replica.raft();
  const Stats& stats = source.stats;
  const raft::Member* leader = raft.configuration().find(raft.leader());
  const storage::LogStoreCounters log = source.environment.log_disk.counters();
  field(out, "id", source.node.identity().id);
  number(out, "node", source.node.identity().node);
  field(out, "cluster_id", source.node.identity().cluster_id.empty()
                               ? ""
                               : peer::cluster_name(source.node.identity().cluster_id));
  const raft::Member* own = raft.configuration().find(source.node.identity().node);
  number(out, "founder", source.node.identity().founded ? 1 : 0);
  field(out, "member_role", own == nullptr || source.node.removed() ? "none" : raft::member_role_name(own->role));
  field(out, "raft_role", raft::role_name(raft.role()));
  field(out, "role", raft::role_name(raft.role()));
  number(out, "term", raft.term());
  field(out, "leader", leader == nullptr ? "" : leader->id);
  field(out, "leader_address", leader == nullptr ? "" : leader->client_address);
  number(out, "semantics_level", source.node.semantics_level());
  number(out, "semantics_level_supported", source.replica.semantics_supported());
  number(out, "commit_index", raft.commit_index());
  number(out, "applied_index", raft.applied_index());
  number(out, "durable_index", raft.durable_index());
  number(out, "last_index", raft.last().index);
  number(out, "log_first_index", raft.first_index());
  number(out, "log_bytes", log.log_bytes);
  number(out, "flushed_index", source.flusher.flushed_index());
  number(out, "flush_lag_entries", raft.applied_index() - source.flusher.flushed_index());
  number(out, "flush_lag_keys", source.flusher.lag_keys());
  number(out, "flush_lag_bytes", source.flusher.lag_bytes());
  number(out, "flush_lag_ms", source.flusher.lag_ms());
  number(out, "flush_behind", source.flusher.behind() ? 1 : 0);
  number(out, "flushes", stats.flushes);
  number(out, "flush_failures", stats.flush_failures);
  number(out, "flush_usec", stats.flush_microseconds);
  number(out, "log_segments", log.segments);
  number(out, "compactions", stats.compactions);
  number(out, "elections", stats.elections);
  number(out, "leader_changes", stats.leader_changes);
  number(out, "fsyncs", log.commits);
  field(out, "commit_usec_histogram", stats.commit_microseconds.text());
  field(out, "batch_commands_histogram", stats.batch_commands.text());
  number(out, "entries_proposed", stats.entries_proposed);
  number(out, "entries_applied", stats.entries_applied);
  number(out, "commands_applied", stats.commands_applied);
  number(out, "read_index_rounds", stats.read_rounds);
  number(out, "reads_served", stats.reads_served);
  snapshot_fields(out, source);
  number(out, "peer_messages_sent", stats.peer_messages_sent);
  number(out, "peer_messages_received", stats.peer_messages_received);
  number(out, "peer_messages_dropped", stats.peer_messages_dropped);
  raft_members(out, raft.configuration());
  raft_peers(out, source);
}

void keyspace_section(std::string& out, const InfoSource& source) {
  for (uint32_t database = 0; database < keyspace::kDatabases; ++database) {
    const uint64_t keys = source.node.keyspace().size(database);
    if (keys == 0) continue;
    out += base::format("db%u:keys=%llu,expires=%llu,avg_ttl=0\r\n", database,
                        static_cast<unsigned long long>(keys),
                        static_cast<unsigned long long>(source.node.keyspace().expires(database)));
  }
}

void command_line(std::string& out, std::string_view name, const CommandStats& stats) {
  if (stats.calls + stats.rejected == 0) return;
  const uint64_t microseconds = stats.nanoseconds / 1000;
  const double per_call = stats.calls == 0 ? 0 : static_cast<double>(microseconds) / static_cast<double>(stats.calls);
  out += base::format("cmdstat_%.*s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu\r\n",
                      static_cast<int>(name.size()), name.data(), static_cast<unsigned long long>(stats.calls),
                      static_cast<unsigned long long>(microseconds), per_call, static_cast<unsigned long long>(stats.rejected),
                      static_cast<unsigned long long>(stats.failed));
}

void commandstats_section(std::string& out, const InfoSource& source) {
  const auto table = command::commands();
  for (size_t place = 0; place < source.stats.commands.size(); ++place) command_line(out, table[place].name, source.stats.commands[place]);
  for (const auto& [name, stats] : source.stats.subcommands) command_line(out, name, stats);
}

void errorstats_section(std::string& out, const InfoSource& source) {
  for (const auto& [code, count] : source.stats.errors) {
    out += base::format("errorstat_%s:count=%llu\r\n", code.c_str(),
                        static_cast<unsigned long long>(count));
  }
}

struct SectionRow {
  const char* name;
  const char* title;
  Section write;
  bool by_default;
};

constexpr SectionRow kSections[] = {
    {"server", "# Server", server_section, true},
    {"clients", "# Clients", clients_section, true},
    {"memory", "# Memory", memory_section, true},
    {"persistence", "# Persistence", persistence_section, true},
    {"stats", "# Stats", stats_section, true},
    {"replication", "# Replication", replication_section, true},
    {"cpu", "# CPU", cpu_section, true},
    {"raft", "# Raft", raft_section, true},
    {"commandstats", "# Commandstats", commandstats_section, false},
    {"errorstats", "# Errorstats", errorstats_section, true},
    {"keyspace", "# Keyspace", keyspace_section, true},
};

bool wants(const std::vector<std::string>& sections, const SectionRow& row) {
  if (sections.empty()) return row.by_default;
  return std::any_of(sections.begin(), sections.end(), [&row](const std::string& name) {
    return name == row.name || name == "all" || name == "everything" ||
           (name == "default" && row.by_default);
  });
}

}  // namespace

std::string info_text(const InfoSource& source, const std::vector<std::string>& sections) {
  std::string out;
  for (const SectionRow& row : kSections) {
    if (!wants(sections, row)) continue;
    if (!out.empty()) out.append("\r\n");
    out.append(row.title).append("\r\n");
    row.write(out, source);
  }
  return out;
}

}  // namespace leto::server
