// The subcommands of the container commands: the second half of the command table. Private to command/.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "command/table.h"

namespace leto::command {

struct Subcommand {
  std::string_view parent;      // Lower case.
  std::string_view name;        // "config|get"
  Handler handler;
  int arity;                    // Counts the parent's name too, as in Redis.
  uint32_t flags;
  std::string_view since;
  std::string_view complexity;
  std::string_view summary;
};

// Those of one parent, sorted by name; empty if it is no container.
std::span<const Subcommand> subcommands_of(std::string_view parent);
// Case-insensitive; null if there is none.
const Subcommand* find_subcommand(std::string_view parent, std::string_view name);

}  // namespace leto::command
