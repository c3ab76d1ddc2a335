// The command table and how it is searched. Knows no handler's insides and no connection.
#include "command/table.h"

#include <array>

#include "command/handlers.h"
#include "command/subcommand.h"
#include "command/text.h"

namespace leto::command {

namespace {

constexpr std::string_view kLetoVersion = "Leto 0.1";

// name, handler, arity, flags, first key, last key, step, group, since, complexity, summary
constexpr Command kCommands[] = {
    {"auth", auth_command, -2, kNoScript | kLoading | kFast | kNoAuth, 0, 0, 0, "connection", "1.0.0",
     "O(N) where N is the number of passwords defined for the user", "Authenticate to the server"},
    {"client", run_subcommand, -2, kLoading, 0, 0, 0, "connection", "2.4.0", "Depends on subcommand.",
     "A container for client connection commands"},
    {"command", command_command, -1, kLoading, 0, 0, 0, "server", "2.8.13",
     "O(N) where N is the total number of Redis commands", "Get array of Redis command details"},
    {"config", run_subcommand, -2, kAdmin | kNoScript | kLoading, 0, 0, 0, "server", "2.0.0",
     "Depends on subcommand.", "A container for server configuration commands"},
    {"dbsize", dbsize_command, 1, kReadOnly | kFast, 0, 0, 0, "server", "1.0.0", "O(1)",
     "Return the number of keys in the selected database"},
    {"debug", debug_command, -2, kAdmin | kNoScript | kLoading, 0, 0, 0, "server", "1.0.0",
     "Depends on subcommand.", "A container for debugging commands"},
    {"del", del_command, -2, kWrite, 1, -1, 1, "generic", "1.0.0",
     "O(N) where N is the number of keys that will be removed.", "Delete a key"},
    {"delete", del_command, -2, kWrite, 1, -1, 1, "generic", kLetoVersion,
     "O(N) where N is the number of keys that will be removed.", "Delete a key; another name of DEL"},
    {"discard", discard_command, 1, kNoScript | kLoading | kFast | kUnqueued, 0, 0, 0, "transactions", "2.0.0",
     "O(N), when N is the number of queued commands", "Discard all commands issued after MULTI"},
    {"echo", echo_command, 2, kLoading | kFast, 0, 0, 0, "connection", "1.0.0", "O(1)",
     "Echo the given string"},
    {"exec", exec_command, 1, kNoScript | kLoading | kUnqueued | kExec, 0, 0, 0, "transactions", "1.2.0",
     "Depends on commands in the transaction", "Execute all commands issued after MULTI"},
    {"exists", exists_command, -2, kReadOnly | kFast, 1, -1, 1, "generic", "1.0.0",
     "O(N) where N is the number of keys to check.", "Determine if a key exists"},
    {"flushall", flushall_command, -1, kWrite, 0, 0, 0, "server", "1.0.0",
     "O(N) where N is the total number of keys in all databases", "Remove all keys from all databases"},
    {"flushdb", flushdb_command, -1, kWrite, 0, 0, 0, "server", "1.0.0",
     "O(N) where N is the number of keys in the selected database", "Remove all keys from the current database"},
    {"get", get_command, 2, kReadOnly | kFast, 1, 1, 1, "string", "1.0.0", "O(1)",
     "Get the value of a key"},
    {"hello", hello_command, -1, kNoScript | kLoading | kFast | kNoAuth, 0, 0, 0, "connection", "6.0.0",
     "O(1)", "Handshake with Redis"},
    {"incr", incr_command, 2, kWrite | kDenyOom | kFast, 1, 1, 1, "string", "1.0.0", "O(1)",
     "Increment the integer value of a key by one"},
    {"info", info_command, -1, kLoading, 0, 0, 0, "server", "1.0.0", "O(1)",
     "Get information and statistics about the server"},
    {"join", join_command, -3, kAdmin | kNoScript | kNoMulti | kDeferred | kLeaderOnly, 0, 0, 0, "server",
     kLetoVersion, "O(1) log entries", "Add the node at a peer address to the cluster"},
    {"leave", leave_command, -2, kAdmin | kNoScript | kNoMulti | kDeferred | kLeaderOnly, 0, 0, 0, "server",
     kLetoVersion, "O(1) log entries", "Remove a node from the cluster"},
    {"multi", multi_command, 1, kNoScript | kLoading | kFast | kUnqueued, 0, 0, 0, "transactions", "1.2.0", "O(1)",
     "Mark the start of a transaction block"},
    {"ping", ping_command, -1, kFast, 0, 0, 0, "connection", "1.0.0", "O(1)",
     "Ping the server"},
    {"quit", quit_command, -1, kNoScript | kLoading | kFast | kNoAuth | kUnqueued, 0, 0, 0, "connection", "1.0.0",
     "O(1)", "Close the connection"},
    {"readonly", readonly_command, 1, kLoading | kFast, 0, 0, 0, "connection", "3.0.0", "O(1)",
     "Enables reads from this node's own state for a connection"},
    {"readwrite", readwrite_command, 1, kLoading | kFast, 0, 0, 0, "connection", "3.0.0", "O(1)",
     "Disables reads from this node's own state for a connection"},
    {"rename", rename_command, 3, kWrite, 1, 2, 1, "generic", "1.0.0", "O(1)", "Rename a key"},
    {"renamenx", renamenx_command, 3, kWrite | kFast, 1, 2, 1, "generic", "1.0.0", "O(1)",
     "Rename a key, only if the new key does not exist"},
    {"reset", reset_command, 1, kNoScript | kLoading | kFast | kNoAuth | kUnqueued, 0, 0, 0, "connection", "6.2.0",
     "O(1)", "Reset the connection"},
    {"role", role_command, 1, kNoScript | kLoading | kFast, 0, 0, 0, "server", "2.8.12", "O(1)",
     "Return the role of the instance in the context of replication"},
    {"select", select_command, 2, kLoading | kFast, 0, 0, 0, "connection", "1.0.0", "O(1)",
     "Change the selected database for the current connection"},
    {"set", set_command, -3, kWrite | kDenyOom, 1, 1, 1, "string", "1.0.0", "O(1)",
     "Set the string value of a key"},
    {"shutdown", shutdown_command, -1, kAdmin | kNoScript | kLoading | kNoMulti | kDeferred, 0, 0, 0, "server",
     "1.0.0", "O(N) where N is the number of changed keys",
     "Write what changed to disk and then shut down the server"},
    {"snapshot", snapshot_command, 1, kAdmin | kNoScript | kNoMulti | kDeferred, 0, 0, 0, "server", kLetoVersion,
     "O(N) where N is the number of changed keys",
     "Write what changed to the key tables, durably"},
    {"swapdb", swapdb_command, 3, kWrite | kFast, 0, 0, 0, "server", "4.0.0",
     "O(N) where N is the count of clients watching or blocking on keys from both databases", "Swaps two Redis databases"},
    {"transfer", transfer_command, -1, kAdmin | kNoScript | kNoMulti | kDeferred | kLeaderOnly, 0, 0, 0, "server",
     kLetoVersion, "O(1)", "Hand leadership over to another node"},
    {"unwatch", unwatch_command, 1, kNoScript | kLoading | kFast, 0, 0, 0, "transactions", "2.2.0", "O(1)",
     "Forget about all watched keys"},
    {"watch", watch_command, -2, kNoScript | kLoading | kFast | kUnqueued | kWatch, 1, -1, 1, "transactions", "2.2.0",
     "O(1) for every key.", "Watch the given keys to determine execution of the MULTI/EXEC block"},
};
constexpr size_t kCount = std::size(kCommands);

constexpr bool is_lower(std::string_view text) {
  for (const char character : text) {
    if (character < 'a' || character > 'z') return false;
  }
  return !text.empty();
}

constexpr bool is_sound(const Command& command) {
  const bool has_keys = command.first_key != 0;
  const bool touches_keys = (command.flags & (kWrite | kReadOnly | kWatch)) != 0;
  const bool both = (command.flags & kWrite) != 0 && (command.flags & kReadOnly) != 0;
  return is_lower(command.name) && command.arity != 0 && !both &&
         (touches_keys || !has_keys) && (!has_keys || command.key_step > 0) && !command.summary.empty();
}

constexpr bool is_sorted_and_sound() {
  for (size_t i = 0; i < kCount; ++i) {
    if (!is_sound(kCommands[i])) return false;
    if (i > 0 && kCommands[i - 1].name >= kCommands[i].name) return false;
  }
  return true;
}
static_assert(is_sorted_and_sound());

// Open addressing over twice as many slots as there are commands; built when this file is compiled.
constexpr size_t kSlots = 128;
static_assert(2 * kCount <= kSlots && (kSlots & (kSlots - 1)) == 0);
constexpr uint8_t kFree = 0xff;
static_assert(kCount < kFree);

constexpr size_t slot_of(std::string_view name) {
  uint32_t hash = 2166136261;
  for (const char character : name) hash = (hash ^ static_cast<uint8_t>(lower(character))) * 16777619;
  return (hash ^ (hash >> 15)) % kSlots;
}

constexpr std::array<uint8_t, kSlots> make_slots() {
  std::array<uint8_t, kSlots> slots{};
  slots.fill(kFree);
  for (size_t i = 0; i < kCount; ++i) {
    size_t slot = slot_of(kCommands[i].name);
    while (slots[slot] != kFree) slot = (slot + 1) % kSlots;
    slots[slot] = static_cast<uint8_t>(i);
  }
  return slots;
}
constexpr std::array<uint8_t, kSlots> kSlotTable = make_slots();

constexpr size_t longest_name() {
  size_t longest = 0;
  for (const Command& command : kCommands) longest = std::max(longest, command.name.size());
  return longest;
}
constexpr size_t kNameMax = longest_name();

bool arity_fits(int arity, size_t count) {
  return arity > 0 ? count == static_cast<size_t>(arity) : count >= static_cast<size_t>(-arity);
}

std::string unknown_command(Arguments arguments) {
  std::string shown_arguments;
  for (size_t i = 1; i < arguments.size() && shown_arguments.size() < kShownMax; ++i) {
    shown_arguments += "'" + shown(arguments[i], kShownMax - shown_arguments.size()) + "' ";
  }
  return "ERR unknown command '" + shown(arguments[0], kShownMax) + "', with args beginning with: " +
         shown_arguments;
}

}  // namespace

std::span<const Command> commands() { return kCommands; }

const Command* find_command(std::string_view name) {
  if (name.size() > kNameMax) return nullptr;
  for (size_t slot = slot_of(name); kSlotTable[slot] != kFree; slot = (slot + 1) % kSlots) {
    const Command& command = kCommands[kSlotTable[slot]];
    if (is_word(name, command.name)) return &command;
  }
  return nullptr;
}

bool is_container(const Command& command) { return command.handler == run_subcommand || command.handler == command_command; }

std::string check_request(const Command* command, Arguments arguments) {
  if (command == nullptr) return unknown_command(arguments);
  std::string_view name = command->name;
  int arity = command->arity;
  if (is_container(*command) && arguments.size() >= 2) {
    const Subcommand* const subcommand = find_subcommand(name, arguments[1]);
    if (subcommand == nullptr) {
      return "ERR unknown subcommand '" + shown(arguments[1], kShownMax) + "'. Try " + upper_text(name) +
             " HELP.";
    }
    name = subcommand->name;
    arity = subcommand->arity;
  }
  return arity_fits(arity, arguments.size()) ? "" : wrong_arity(name);
}

std::string check_write(const Command& command, Arguments arguments) {
  constexpr size_t kPlainSetArguments = 3;
  if (command.handler == set_command && arguments.size() > kPlainSetArguments) return std::string(kSyntaxError);
  if (command.handler == flushall_command || command.handler == flushdb_command) return flush_refusal(arguments);
  if (command.handler == swapdb_command) return swap_refusal(arguments);
  return "";
}

std::string_view full_name(const Command& command, Arguments arguments) {
  if (!is_container(command) || arguments.size() < 2) return command.name;
  const Subcommand* const subcommand = find_subcommand(command.name, arguments[1]);
  return subcommand != nullptr ? subcommand->name : command.name;
}

}  // namespace leto::command
