// What COMMAND tells of a command, in the words of Redis 7.0. Derived from the table, but for the few
// names at the top that Redis treats by hand.
#include "command/introspection.h"

#include <algorithm>

#include "command/text.h"

namespace leto::command {

namespace {

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

// In no admin group by its flags, yet of the category.
constexpr std::string_view kDangerous[] = {"flushall", "flushdb", "info", "role", "swapdb"};
constexpr std::string_view kAdministrative[] = {"role"};
constexpr std::string_view kKeyspace[] = {"dbsize", "flushall", "flushdb", "swapdb"};

struct FlagName {
  uint32_t flag;
  std::string_view name;
};
// Leto's kLoading is both of Redis's; so is kNoAuth.
constexpr FlagName kFlagNames[] = {
    {kWrite, "write"},     {kReadOnly, "readonly"}, {kDenyOom, "denyoom"}, {kAdmin, "admin"},
    {kNoScript, "noscript"}, {kLoading, "loading"},   {kLoading, "stale"},   {kFast, "fast"},
    {kNoAuth, "no_auth"},  {kNoAuth, "allow_busy"}, {kNoMulti, "no_multi"},
};
// Beside those that are allowed before AUTH.
constexpr std::string_view kAllowedBusy[] = {"discard", "multi", "shutdown", "unwatch", "watch"};

}  // namespace

Shown shown_command(const Command& command) {
  const std::span<const Subcommand> subcommands = subcommands_of(command.name);
  // COMMAND is a command of its own right beside its subcommands.
  const bool is_container = !subcommands.empty() && command.arity < -1;
  return {.name = command.name, .arity = command.arity, .flags = is_container ? 0 : command.flags,
          .first_key = command.first_key, .last_key = command.last_key, .key_step = command.key_step,
          .group = command.group, .since = command.since, .complexity = command.complexity,
          .summary = command.summary, .subcommands = subcommands};
}

Shown shown_subcommand(const Subcommand& subcommand) {
  return {.name = subcommand.name, .arity = subcommand.arity, .flags = subcommand.flags,
          .first_key = 0, .last_key = 0, .key_step = 0,
          .group = find_command(subcommand.parent)->group, .since = subcommand.since,
          .complexity = subcommand.complexity, .summary = subcommand.summary, .subcommands = {}};
}

Lookup look_up(std::string_view name) {
  const size_t bar = name.find('|');
  if (bar == std::string_view::npos) return {.command = find_command(name)};
  return {.subcommand = find_subcommand(lower_text(name.substr(0, bar)), name.substr(bar + 1))};
}

std::vector<std::string_view> flag_names(const Shown& shown) {
  std::vector<std::string_view> names;
  for (const FlagName& row : kFlagNames) {
    if ((shown.flags & row.flag) != 0) names.push_back(row.name);
  }
  if (shown.name == "exec") names.push_back("skip_slowlog");
  if (is_one_of(shown.name, kAllowedBusy)) names.push_back("allow_busy");
  return names;
}

std::vector<std::string_view> category_names(const Shown& shown) {
  const std::string_view parent = shown.name.substr(0, shown.name.find('|'));
  const bool is_container = !shown.subcommands.empty() && shown.flags == 0;
  const bool admin = (shown.flags & kAdmin) != 0;
  const bool connection = (shown.group == "connection" && !is_container) || parent == "command";
  const bool fast = (shown.flags & kFast) != 0;
  std::vector<std::string_view> names;
  const auto add_if = [&](bool condition, std::string_view name) {
    if (condition) names.push_back(name);
  };
  add_if(shown.group == "generic" || is_one_of(parent, kKeyspace), "@keyspace");
  add_if((shown.flags & kReadOnly) != 0, "@read");
  add_if((shown.flags & kWrite) != 0, "@write");
  add_if(shown.group == "string", "@string");
  add_if(admin || is_one_of(parent, kAdministrative), "@admin");
  add_if(fast, "@fast");
  add_if(!fast, "@slow");
  add_if(admin || is_one_of(parent, kDangerous), "@dangerous");
  add_if(connection, "@connection");
  add_if(shown.group == "transactions", "@transaction");
  return names;
}

}  // namespace leto::command
