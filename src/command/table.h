// The command table: the only list of commands. It drives lookup, arity errors, routing, COMMAND and
// docs/commands.md. Sorted by name and checked by static_assert.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "command/context.h"

namespace leto::command {

enum Flag : uint32_t {
  kWrite = 1u << 0,       // Changes keys: goes through the log and runs at apply, on every node.
  kReadOnly = 1u << 1,    // Reads keys: runs here, at a read index.
  kAdmin = 1u << 2,
  kFast = 1u << 3,
  kLoading = 1u << 4,     // Allowed while loading.
  kNoAuth = 1u << 5,      // Allowed before AUTH.
  kDenyOom = 1u << 6,
  kNoScript = 1u << 7,
  kDeferred = 1u << 8,    // Its reply comes later, by the ticket.
  kLeaderOnly = 1u << 9,  // Not about keys, but only a leader can do it: JOIN, LEAVE, TRANSFER. A follower hands it on.
  kNoMulti = 1u << 10,    // Not inside a transaction.
  kUnqueued = 1u << 11,   // Carried out at once also between MULTI and EXEC.
  kWatch = 1u << 12,      // Notes versions of keys for its client, at a read index.
  kExec = 1u << 13,       // Runs what is queued.
};

using Handler = void (*)(Context&);

struct Command {
  std::string_view name;      // Lower case.
  Handler handler;
  int arity;                  // As COMMAND shows it: negative means at least.
  uint32_t flags;
  int first_key, last_key, key_step;
  std::string_view group;     // "string", "generic", "connection", "server"
  std::string_view since;     // Redis version it came with, or Leto's
  std::string_view complexity;
  std::string_view summary;
};

std::span<const Command> commands();
// Case-insensitive; null if there is none.
const Command* find_command(std::string_view name);

// Its work is done by its subcommands.
bool is_container(const Command& command);

// The gates that need nothing but the table. Empty if the request may go on, else Redis's error text:
// "ERR unknown command 'x', with args beginning with: 'y' 'z' " / "ERR wrong number of arguments for 'get' command".
std::string check_request(const Command* command, Arguments arguments);

// Checks a write's arguments where that needs no state (SET with a bad option), so that a request that cannot
// succeed costs no log entry. Empty if fine.
std::string check_write(const Command& command, Arguments arguments);

// Name for INFO commandstats and CLIENT LIST: "get", "config|get". Of the table's own text.
std::string_view full_name(const Command& command, Arguments arguments);

}  // namespace leto::command
