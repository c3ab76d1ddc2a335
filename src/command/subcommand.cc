// The table of subcommands. Knows no handler's insides.
#include "command/subcommand.h"

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "command/handlers.h"
#include "command/text.h"

namespace leto::command {

namespace {

constexpr uint32_t kClientFlags = kNoScript | kLoading;
constexpr uint32_t kConfigFlags = kAdmin | kNoScript | kLoading;

constexpr Subcommand kSubcommands[] = {
    {"client", "client|getname", client_getname_command, 2, kClientFlags, "2.6.9", "O(1)",
     "Get the current connection name"},
    {"client", "client|help", client_help_command, 2, kLoading, "5.0.0", "O(1)",
     "Show helpful text about the different subcommands"},
    {"client", "client|id", client_id_command, 2, kClientFlags, "5.0.0", "O(1)",
     "Returns the client ID for the current connection"},
    {"client", "client|info", client_info_command, 2, kClientFlags, "6.2.0", "O(1)",
     "Returns information about the current client connection."},
    {"client", "client|list", client_list_command, -2, kAdmin | kClientFlags, "2.4.0",
     "O(N) where N is the number of client connections", "Get the list of client connections"},
    {"client", "client|setinfo", client_setinfo_command, 4, kClientFlags, "7.2.0", "O(1)",
     "Set client or connection specific info"},
    {"client", "client|setname", client_setname_command, 3, kClientFlags, "2.6.9", "O(1)",
     "Set the current connection name"},
    {"command", "command|count", command_count_command, 2, kLoading, "2.8.13", "O(1)",
     "Get total number of Redis commands"},
    {"command", "command|docs", command_docs_command, -2, kLoading, "7.0.0",
     "O(N) where N is the number of commands to look up",
     "Get array of specific Redis command documentation"},
    {"command", "command|getkeys", command_getkeys_command, -4, kLoading, "2.8.13",
     "O(N) where N is the number of arguments to the command", "Extract keys given a full Redis command"},
    {"command", "command|getkeysandflags", command_getkeysandflags_command, -4, kLoading, "7.0.0",
     "O(N) where N is the number of arguments to the command",
     "Extract keys and access flags given a full Redis command"},
    {"command", "command|help", command_help_command, 2, kLoading, "5.0.0", "O(1)",
     "Show helpful text about the different subcommands"},
    {"command", "command|info", command_info_command, -2, kLoading, "2.8.13",
     "O(N) where N is the number of commands to look up",
     "Get array of specific Redis command details, or all when no argument is given."},
    {"command", "command|list", command_list_command, -2, kLoading, "7.0.0",
     "O(N) where N is the total number of Redis commands", "Get an array of Redis command names"},
    {"config", "config|get", config_get_command, -3, kConfigFlags, "2.0.0",
     "O(N) when N is the number of configuration parameters provided",
     "Get the values of configuration parameters"},
    {"config", "config|help", config_help_command, 2, kLoading, "5.0.0", "O(1)",
     "Show helpful text about the different subcommands"},
    {"config", "config|resetstat", config_resetstat_command, 2, kConfigFlags, "2.0.0", "O(1)",
     "Reset the stats returned by INFO"},
    {"config", "config|rewrite", config_rewrite_command, 2, kConfigFlags, "2.8.0", "O(1)",
     "Rewrite the configuration file with the in memory configuration"},
    {"config", "config|set", config_set_command, -4, kConfigFlags, "2.0.0",
     "O(N) when N is the number of configuration parameters provided",
     "Set configuration parameters to the given values"},
};

constexpr bool is_sorted_and_named() {
  for (size_t i = 0; i < std::size(kSubcommands); ++i) {
    const Subcommand& subcommand = kSubcommands[i];
    if (i > 0 && kSubcommands[i - 1].name >= subcommand.name) return false;
    if (!subcommand.name.starts_with(subcommand.parent)) return false;
    if (subcommand.name[subcommand.parent.size()] != '|') return false;
  }
  return true;
}
static_assert(is_sorted_and_named());

}  // namespace

std::span<const Subcommand> subcommands_of(std::string_view parent) {
  const auto is_its_own = [&](const Subcommand& subcommand) { return subcommand.parent == parent; };
  const Subcommand* const first = std::find_if(std::begin(kSubcommands), std::end(kSubcommands), is_its_own);
  return {first, std::find_if_not(first, std::end(kSubcommands), is_its_own)};
}

const Subcommand* find_subcommand(std::string_view parent, std::string_view name) {
  for (const Subcommand& subcommand : subcommands_of(parent)) {
    if (is_word(name, subcommand.name.substr(parent.size() + 1))) return &subcommand;
  }
  return nullptr;
}

void run_subcommand(Context& context) {
  LETO_ASSERT(context.arguments.size() >= 2, "a container without a subcommand passed check_request()");
  const Subcommand* const found =
      find_subcommand(lower_text(context.arguments[0]), context.arguments[1]);
  LETO_ASSERT(found != nullptr, "an unknown subcommand passed check_request()");
  found->handler(context);
}

void reply_help(Context& context, std::span<const std::string_view> lines) {
  context.reply.array(lines.size() + 3);
  context.reply.status(upper_text(context.arguments[0]) +
                       " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const std::string_view line : lines) context.reply.status(line);
  context.reply.status("HELP");
  context.reply.status("    Prints this help.");
}

}  // namespace leto::command
