// INFO: sections and fields that tools and docs rely on, as lines that a client can parse.
#include "server/info.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "command/entry.h"
#include "fake_environment.h"
#include "fake_leader.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

using Fields = std::map<std::string, std::string>;

// The lines "name:value"; every line must end in CR LF and be a field, a title or empty.
Fields fields_of(const std::string& text) {
  Fields fields;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find("\r\n", begin);
    REQUIRE(end != std::string::npos);
    const std::string line = text.substr(begin, end - begin);
    begin = end + 2;
    CHECK(line.find('\n') == std::string::npos);
    if (line.empty() || line.starts_with("# ")) continue;
    const size_t colon = line.find(':');
    REQUIRE_MESSAGE(colon != std::string::npos, line);
    const std::string name = line.substr(0, colon);
    const bool is_new = fields.emplace(name, line.substr(colon + 1)).second;
    // Replication and Raft both have a role, each in its words.
    CHECK_MESSAGE((is_new || name == "role"), line);
  }
  return fields;
}

bool is_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char each) { return each >= '0' && each <= '9'; });
}

void check_numbers(const Fields& fields, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    CAPTURE(name);
    REQUIRE(fields.contains(name));
    CHECK(is_number(fields.at(name)));
  }
}

Fields section(NodeUnderTest& test, const char* name) { return fields_of(test.node->info({name})); }

TEST_CASE("INFO has the fields of Redis that tools read, and its numbers parse") {
  NodeUnderTest test;
  test.lead();
  const Fields server = section(test, "server");
  for (const char* name : {"redis_version", "leto_version", "redis_mode", "os", "multiplexing_api"}) {
    CHECK_MESSAGE(server.contains(name), name);
  }
  check_numbers(server, {"arch_bits", "process_id", "tcp_port", "uptime_in_seconds", "uptime_in_days", "hz", "configured_hz"});
  CHECK(server.at("hz") == server.at("configured_hz"));
  check_numbers(section(test, "clients"), {"connected_clients", "maxclients"});
  check_numbers(section(test, "memory"), {"used_memory", "used_memory_rss", "maxmemory"});
  check_numbers(section(test, "persistence"),
                {"loading", "rdb_changes_since_last_save", "rdb_bgsave_in_progress", "aof_enabled"});
  check_numbers(section(test, "stats"),
                {"total_connections_received", "total_commands_processed", "instantaneous_ops_per_sec",
                 "total_net_input_bytes", "total_net_output_bytes", "rejected_connections", "expired_keys",
                 "evicted_keys", "keyspace_hits", "keyspace_misses", "total_error_replies", "unknown_outcomes",
                 "forward_requests", "forward_retries", "forward_unknown", "forward_served",
                 "protocol_errors", "loop_turn_cpu_usec_max", "loop_turn_cpu_max_at_msec"});
  check_numbers(section(test, "replication"), {"connected_slaves", "master_repl_offset"});
  const Fields cpu = section(test, "cpu");
  REQUIRE(cpu.contains("used_cpu_sys"));
  CHECK(std::strtod(cpu.at("used_cpu_user").c_str(), nullptr) >= 0);
}

TEST_CASE("INFO raft tells of roles, indexes, lags and of every member") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.peers.exchange();
  const Fields raft = section(test, "raft");
  check_numbers(raft, {"node", "term", "commit_index", "applied_index", "durable_index", "last_index",
                       "log_first_index", "log_bytes", "flushed_index", "flush_lag_entries", "flush_lag_keys",
                       "flush_lag_bytes", "flushes", "flush_failures", "flush_usec", "elections", "leader_changes",
                       "fsyncs", "entries_proposed", "entries_applied", "commands_applied", "read_index_rounds",
                       "reads_served", "snapshot_in_progress", "peer_messages_sent", "peer_messages_received",
                       "peer_messages_dropped", "members"});
  CHECK(raft.at("id") == "id1");
  CHECK(raft.at("raft_role") == "leader");
  CHECK(raft.at("leader") == "id1");
  CHECK(raft.at("leader_address") == "10.0.0.1:5379");
  CHECK(raft.at("commands_applied") == "1");
  CHECK(raft.at("flush_lag_keys") == "1");
  CHECK(raft.at("members") == "3");
  CHECK(raft.at("member2") == "id=id3,role=voter,raft=10.0.0.3:15379,client=10.0.0.3:5379,node=3");
  CHECK(raft.at("peer0").starts_with("id=id2,role=voter,address=10.0.0.2:15379,match="));
  CHECK(!raft.contains("peer2"));
  CHECK(raft.contains("commit_usec_histogram"));
  CHECK(raft.contains("batch_commands_histogram"));
}

TEST_CASE("INFO replication names a follower's master, and says when there is none") {
  NodeUnderTest test(3);
  Fields replication = section(test, "replication");
  CHECK(replication.at("role") == "slave");
  CHECK(replication.at("master_link_status") == "down");
  test.follow(2, 2);
  replication = section(test, "replication");
  CHECK(replication.at("master_host") == "10.0.0.2");
  CHECK(replication.at("master_port") == "5379");
  CHECK(replication.at("master_link_status") == "up");
}

TEST_CASE("INFO gives the sections that are asked for, by default all but the longest") {
  NodeUnderTest test;
  const std::string by_default = test.node->info({});
  CHECK(section(test, "default").size() == fields_of(by_default).size());
  for (const char* title : {"# Server", "# Clients", "# Memory", "# Persistence", "# Stats", "# Replication", "# CPU",
                            "# Raft", "# Errorstats", "# Keyspace"}) {
    CHECK_MESSAGE(by_default.find(title) != std::string::npos, title);
  }
  CHECK(by_default.find("# Commandstats") == std::string::npos);
  CHECK(test.node->info({"all"}).find("# Commandstats") != std::string::npos);
  CHECK(test.node->info({"everything"}).find("# Commandstats") != std::string::npos);
  const std::string two = test.node->info({"cpu", "clients"});
  CHECK(two.starts_with("# Clients\r\n"));
  CHECK(two.find("\r\n\r\n# CPU\r\n") != std::string::npos);
  CHECK(two.find("# Server") == std::string::npos);
  CHECK(test.node->info({"nosuch"}).empty());
}

TEST_CASE("what was refused is rejected and not processed, and each error that is answered counts, wherever it comes from") {
  LeaderUnderTest test;
  const Stats& stats = test.node->stats();
  const SessionRef session = test.node->open_session();
  test.peers.accept_appends = false;
  test.send(session, {"SET", "k", "v"});
  test.send(session, {"GET", "k"});
  test.turn();
  CHECK(stats.commands_processed == 2);
  test.lose_leadership_to(3);
  CHECK(test.take(session).starts_with("-UNKNOWN "));
  CHECK(stats.unknown_outcomes == 2);
  CHECK(stats.error_replies == 2);

  test.send(session, {"SET", "k", "v"});
  CHECK(test.take(session) == "-not leader\r\n");
  CHECK(stats.error_replies == 3);
  CHECK(stats.commands_processed == 2);
  CHECK(section(test, "commandstats").at("cmdstat_set").starts_with("calls=1,"));
  CHECK(section(test, "commandstats").at("cmdstat_set").find("rejected_calls=1,") != std::string::npos);

  test.send(session, {"GET", "k"});
  test.ticks(ticks_in(test.options.request_timeout_ms) + 20);
  CHECK(test.take(session).starts_with("-CLUSTERDOWN "));
  CHECK(stats.error_replies == 4);
}

// What redis-server 7.0.15 counts of the same requests.
TEST_CASE("commandstats tell subcommands apart, and what was rejected from what failed") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  const std::vector<std::vector<std::string_view>> requests = {
      {"CONFIG", "GET", "maxmemory"}, {"CONFIG", "foo"}, {"CONFIG"}, {"CONFIG", "SET", "nosuch", "1"}, {"CONFIG", "GET"},
      {"COMMAND", "foo"}, {"COMMAND", "COUNT"}, {"CLIENT", "SETNAME", "a b"}, {"MULTI"}, {"CLIENT", "SETNAME"}, {"EXEC"},
      {"MULTI"}, {"config", "get", "maxclients"}, {"GET", "a"}, {"CLIENT", "SETNAME", "x"}, {"EXEC"}, {"EXEC"}};
  for (const std::vector<std::string_view>& request : requests) {
    test.send(session, request);
    test.finish_all_disk();
  }
  const std::map<std::string, std::vector<const char*>> expected = {
      {"multi", {"calls=2,", ",rejected_calls=0,failed_calls=0"}},
      {"client|setname", {"calls=2,", ",rejected_calls=1,failed_calls=1"}},
      {"exec", {"calls=3,", ",rejected_calls=0,failed_calls=2"}},
      {"config", {"calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0"}},
      {"config|get", {"calls=2,", ",rejected_calls=1,failed_calls=0"}},
      {"config|set", {"calls=1,", ",rejected_calls=0,failed_calls=1"}},
      {"command|count", {"calls=1,", ",rejected_calls=0,failed_calls=0"}},
      {"get", {"calls=1,", ",rejected_calls=0,failed_calls=0"}}};
  const Fields found = section(test, "commandstats");
  CHECK(found.size() == expected.size());
  for (const auto& [name, ends] : expected) {
    const std::string field = "cmdstat_" + name;
    CAPTURE(field);
    REQUIRE(found.count(field) == 1);
    CHECK(found.at(field).starts_with(ends.front()));
    CHECK(found.at(field).ends_with(ends.back()));
  }
  const Fields errors = section(test, "errorstats");
  CHECK(errors.at("errorstat_ERR") == "count=8");
  CHECK(errors.at("errorstat_EXECABORT") == "count=1");
}

TEST_CASE("INFO counts keys, calls and errors") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "v"});
  test.send(session, {"INCR", "k"});
  test.send(session, {"SET", "k"});
  test.finish_all_disk();
  CHECK(section(test, "keyspace").at("db0") == "keys=1,expires=0,avg_ttl=0");
  const Fields commands = section(test, "commandstats");
  CHECK(commands.at("cmdstat_set").starts_with("calls=1,"));
  CHECK(commands.at("cmdstat_set").find("rejected_calls=1") != std::string::npos);
  CHECK(commands.at("cmdstat_incr").ends_with("failed_calls=1"));
  CHECK(section(test, "errorstats").at("errorstat_ERR") == "count=2");
  CHECK(section(test, "stats").at("total_error_replies") == "2");
}

TEST_CASE("INFO persistence: a start is over with the first command applied, whatever CONFIG RESETSTAT forgets") {
  FollowerUnderTest test;
  const auto entry = [] {
    command::EntryBuilder builder;
    builder.add(0, std::vector<std::string_view>{"SET", "k", "1"});
    return builder.finish({.time_ms = 1, .seed = 1});
  };
  const auto loading = [&] { return section(test, "persistence").at("loading"); };
  test.bring(raft::EntryKind::kCommands, entry());
  test.turn();
  CHECK(loading() == "1");
  test.finish_all_disk();
  CHECK(loading() == "0");
  test.send(test.node->open_session(), {"CONFIG", "RESETSTAT"});
  test.bring(raft::EntryKind::kCommands, entry());
  test.turn();
  REQUIRE(test.node->raft().applied_index() < test.node->raft().commit_index());
  CHECK(loading() == "0");
}

TEST_CASE("INFO persistence says how the last flush ended, not whether one ever failed") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  const auto status = [&] { return section(test, "persistence").at("rdb_last_bgsave_status"); };
  CHECK(status() == "ok");
  for (const char* error : {"disk I/O error", ""}) {
    test.send(session, {"SNAPSHOT"});
    test.turn();
    REQUIRE(test.keys.busy());
    test.keys.finish(*error == '\0' ? base::Status::ok() : base::Status::error(error));
    CHECK(status() == (*error == '\0' ? "ok" : "err"));
  }
}

TEST_CASE("INFO persistence says when the log's disk is full") {
  NodeUnderTest test;
  test.lead();
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "1"});
  test.turn();
  test.finish_disk(storage::WriteResult::kFull);
  CHECK(section(test, "persistence").at("aof_last_write_status") == "err");
}

TEST_CASE("INFO persistence calls a disk that is full low, also where disk-floor is off") {
  NodeUnderTest test;
  test.options.disk_floor = 0;
  test.lead();
  const SessionRef session = test.node->open_session();
  CHECK(section(test, "persistence").at("disk_low") == "0");
  test.send(session, {"SET", "k", "1"});
  test.turn();
  test.finish_disk(storage::WriteResult::kFull);
  CHECK(section(test, "persistence").at("disk_low") == "1");
  while (!test.disk.busy()) test.ticks(1);
  test.finish_disk();
  CHECK(section(test, "persistence").at("disk_low") == "0");
}

}  // namespace
}  // namespace leto::server::test
