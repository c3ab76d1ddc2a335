#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "command/introspection.h"
#include "command/table.h"

namespace leto::command {
namespace {

struct Row {
  std::string arity;
  std::string flags;
};

std::string trimmed(std::string text) {
  const size_t first = text.find_first_not_of(" `");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" `") - first + 1);
}

// The rows "| `name` | arity | flags | text |" of docs/commands.md.
std::map<std::string, Row> documented() {
  std::ifstream file(LETO_SOURCE_DIR "/docs/commands.md");
  REQUIRE(file.good());
  std::map<std::string, Row> rows;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::istringstream cells_of(line.substr(1));
    for (std::string cell; std::getline(cells_of, cell, '|');) cells.push_back(trimmed(cell));
    REQUIRE(cells.size() >= 4);
    const bool is_new = rows.emplace(cells[0], Row{cells[1], cells[2]}).second;
    CAPTURE(cells[0]);
    REQUIRE(is_new);
  }
  return rows;
}

std::string flags_text(uint32_t flags) {
  constexpr std::pair<uint32_t, const char*> kNames[] = {
      {kWrite, "write"},     {kReadOnly, "readonly"}, {kDenyOom, "denyoom"},    {kAdmin, "admin"},
      {kNoScript, "noscript"}, {kLoading, "loading"},   {kFast, "fast"},          {kNoAuth, "no_auth"},
      {kDeferred, "deferred"}, {kLeaderOnly, "leader"}, {kNoMulti, "no_multi"}, {kUnqueued, "unqueued"},
      {kWatch, "watch"},     {kExec, "exec"}};
  std::string text;
  for (const auto& [flag, name] : kNames) {
    if ((flags & flag) != 0) text += std::string(text.empty() ? "" : " ") + name;
  }
  return text;
}

TEST_CASE("docs/commands.md: it lists exactly the commands of the table, with their arity and flags") {
  const std::map<std::string, Row> rows = documented();
  std::vector<std::string> names;
  const auto check = [&](std::string_view name, int arity, uint32_t flags) {
    // A bar would end the cell.
    std::string shown(name);
    std::ranges::replace(shown, '|', ' ');
    names.push_back(shown);
    CAPTURE(shown);
    const auto row = rows.find(shown);
    REQUIRE(row != rows.end());
    CHECK(row->second.arity == std::to_string(arity));
    CHECK(row->second.flags == flags_text(flags));
  };
  for (const Command& command : commands()) {
    check(command.name, command.arity, command.flags);
    for (const Subcommand& subcommand : subcommands_of(command.name)) {
      check(subcommand.name, subcommand.arity, subcommand.flags);
    }
  }
  for (const auto& row : rows) {
    const std::string& name = row.first;
    CAPTURE(name);
    CHECK(std::ranges::find(names, name) != names.end());
  }
}

}  // namespace
}  // namespace leto::command
