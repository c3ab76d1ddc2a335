// What a node offers to commands, for tests: answers are set beforehand, calls are written down.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/glob.h"
#include "command/context.h"
#include "command/table.h"
#include "keyspace/keyspace.h"
#include "resp/reply.h"

namespace leto::command {

class FakeServices : public Services {
 public:
  explicit FakeServices(keyspace::Keyspace& keyspace) : keyspace_(keyspace) {}

  std::string info(const std::vector<std::string>& sections) override {
    std::string text = "sections";
    for (const std::string& section : sections) text += ":" + section;
    return text;
  }
  std::vector<std::pair<std::string, std::string>> config_get(Arguments patterns) override {
    std::vector<std::pair<std::string, std::string>> found;
    for (const auto& [name, value] : options) {
      for (const std::string_view pattern : patterns) {
        if (!base::glob_match(pattern, name, base::GlobCase::kIgnored)) continue;
        found.emplace_back(name, value);
        break;
      }
    }
    return found;
  }
  base::Status config_set(Arguments pairs) override {
    for (size_t i = 0; i < pairs.size(); i += 2) {
      if (!options.contains(std::string(pairs[i]))) {
        return base::Status::error("ERR Unknown option or number of arguments for CONFIG SET - '" +
                                   std::string(pairs[i]) + "'");
      }
      options[std::string(pairs[i])] = pairs[i + 1];
    }
    return {};
  }
  void config_reset_stat() override { calls.push_back("reset-stat"); }
  std::vector<const Client*> clients() override { return connected; }
  RoleView role() override { return role_view; }
  base::Status authenticate(std::string_view user, std::string_view given) override {
    if (user == "default" && (password.empty() || given == password)) return {};
    return base::Status::error("WRONGPASS invalid username-password pair or user is disabled.");
  }
  bool password_required() override { return !password.empty(); }
  bool debug_allowed(const Client&) override { return allows_debug; }
  uint64_t monotonic_ms() override { return now_ms; }
  void debug_sleep(uint64_t microseconds) override { calls.push_back("sleep " + std::to_string(microseconds)); }
  void debug_sync_delay(uint64_t milliseconds) override {
    calls.push_back("sync-delay " + std::to_string(milliseconds));
  }
  std::string digest() override { return std::string(8, '0') + keyspace_.recompute_digest().hex(); }
  void join(Ticket ticket, const JoinRequest& request) override {
    calls.push_back(called(ticket) + "join " + request.raft_address + " " + request.id + " " +
                    std::to_string(request.node) + " " + request.client_address + (request.learner ? " learner" : ""));
  }
  void leave(Ticket ticket, const LeaveRequest& request) override {
    calls.push_back(called(ticket) + "leave " + request.id + (request.force ? " force" : ""));
  }
  void transfer(Ticket ticket, std::string_view id) override {
    calls.push_back(called(ticket) + "transfer " + std::string(id));
  }
  void snapshot(Ticket ticket) override { calls.push_back(called(ticket) + "snapshot"); }
  void shutdown(Ticket ticket, const ShutdownRequest& request) override {
    calls.push_back(called(ticket) + "shutdown" + (request.now ? " now" : "") + (request.force ? " force" : "") +
                    (request.abort ? " abort" : ""));
  }

  std::map<std::string, std::string> options{{"appendonly", "no"}, {"maxmemory", "0"}, {"save", ""}};
  std::vector<const Client*> connected;
  RoleView role_view{.leader = true, .offset = 0, .leader_host = "", .leader_port = 0, .replicas = {}};
  std::string password;
  bool allows_debug = true;
  uint64_t now_ms = 0;
  std::vector<std::string> calls;   // "#7 leave id2"

 private:
  static std::string called(Ticket ticket) { return "#" + std::to_string(ticket) + " "; }
  keyspace::Keyspace& keyspace_;
};

// One client and one node: runs requests as a server of one node would, without a log between.
struct Fixture {
  Fixture() {
    client.id = 3;
    client.address = "127.0.0.1:50000";
    client.local_address = "127.0.0.1:5379";
    client.file_descriptor = 8;
    services.connected.push_back(&client);
  }

  // The bytes of the reply; "(later)" if it was deferred.
  std::string run(const std::vector<std::string>& words) {
    const std::vector<std::string_view> arguments(words.begin(), words.end());
    return run_views(arguments);
  }
  std::string run_views(Arguments arguments) {
    std::string out;
    resp::Reply reply(out, client.protocol);
    const Command* const command = find_command(arguments[0]);
    std::string error = check_request(command, arguments);
    if (error.empty() && (command->flags & kWrite) != 0) error = check_write(*command, arguments);
    if (!error.empty()) {
      reply.error(error);
      return out;
    }
    client.last_command = full_name(*command, arguments);
    const bool is_write = (command->flags & kWrite) != 0;
    if (is_write) ++stamp.version.index;
    Context context{.keyspace = keyspace,
                    .services = is_write ? nullptr : &services,
                    .client = is_write ? nullptr : &client,
                    .arguments = arguments,
                    .reply = reply,
                    .database = client.database,
                    .stamp = stamp,
                    .ticket = 7};
    command->handler(context);
    return context.deferred ? "(later)" : out;
  }

  keyspace::Keyspace keyspace;
  FakeServices services{keyspace};
  Client client;
  Stamp stamp;
};

}  // namespace leto::command
