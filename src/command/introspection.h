// A command or a subcommand, as COMMAND shows either. Private to command/.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "command/subcommand.h"
#include "command/table.h"

namespace leto::command {

struct Shown {
  std::string_view name;
  int arity;
  uint32_t flags;          // None for a container: its subcommands have them, as in Redis.
  int first_key, last_key, key_step;
  std::string_view group;
  std::string_view since;
  std::string_view complexity;
  std::string_view summary;
  std::span<const Subcommand> subcommands;
};

Shown shown_command(const Command& command);
Shown shown_subcommand(const Subcommand& subcommand);

// "get" or "config|get", in any case; null if there is none.
struct Lookup {
  const Command* command = nullptr;
  const Subcommand* subcommand = nullptr;
  bool found() const { return command != nullptr || subcommand != nullptr; }
  Shown shown() const { return subcommand != nullptr ? shown_subcommand(*subcommand) : shown_command(*command); }
};
Lookup look_up(std::string_view name);

// As COMMAND INFO shows them, in Redis's order: "readonly", "fast"; "@read", "@string", "@fast".
std::vector<std::string_view> flag_names(const Shown& shown);
std::vector<std::string_view> category_names(const Shown& shown);

}  // namespace leto::command
