// leto.conf is the reference of the options: what it says of each must be what the table says.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "server/option_table.h"

namespace leto::server {
namespace {

std::string conf_text() {
  std::ifstream file(std::string(LETO_SOURCE_DIR) + "/leto.conf");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> conf_lines() {
  std::vector<std::string> lines;
  std::istringstream text(conf_text());
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

std::string size_text(uint64_t bytes) {
  const char* units[] = {"", "kb", "mb", "gb"};
  size_t unit = 0;
  for (; unit < 3 && bytes % 1024 == 0 && bytes != 0; ++unit) bytes /= 1024;
  return std::to_string(bytes) + units[unit];
}

std::string values_text(const Option& option) {
  const ValueType& type = option.type;
  switch (type.kind) {
    case ValueKind::kText: return "text";
    case ValueKind::kPath:
    case ValueKind::kSocketPath: return "path";
    case ValueKind::kNodeName: return "at most 64 of: letters, digits, _ . : -";
    case ValueKind::kNumber: return std::to_string(type.min) + ".." + std::to_string(type.max);
    case ValueKind::kBytes: return size_text(type.min) + ".." + size_text(type.max);
    case ValueKind::kYesNo: return "yes|no";
    case ValueKind::kFileMode: return "octal";
    case ValueKind::kAddress: return "address";
    case ValueKind::kHostAddress: return "host:port";
    case ValueKind::kOutputLimits: return "class hard soft seconds ...";
    case ValueKind::kChoice: break;
  }
  std::string choices(type.choices);
  std::replace(choices.begin(), choices.end(), ' ', '|');
  return choices;
}

// "# [0..2147483647 seconds; CONFIG SET]"
std::string facts_of(const Option& option) {
  std::string values = values_text(option);
  if (!option.unit.empty()) values += " " + std::string(option.unit);
  return "# [" + values + "; " + (option.change == Change::kAnyTime ? "CONFIG SET" : "at start") + "]";
}

// "# timeout 0"
std::string default_line(const Option& option) {
  const bool quotes = option.default_text.empty() || option.type.kind == ValueKind::kAddress ||
                      option.type.kind == ValueKind::kPath;
  const std::string text(option.default_text);
  return "# " + std::string(option.name) + " " + (quotes ? '"' + text + '"' : text);
}

TEST_CASE("leto.conf: has every option of the table once, with its default, its values and how it changes") {
  const std::vector<std::string> lines = conf_lines();
  for (const Option& option : option_table()) {
    CAPTURE(default_line(option));
    CAPTURE(facts_of(option));
    REQUIRE(std::count(lines.begin(), lines.end(), default_line(option)) == 1);
    const auto line = std::find(lines.begin(), lines.end(), default_line(option));
    REQUIRE(line != lines.begin());
    CHECK(*(line - 1) == facts_of(option));
  }
}

TEST_CASE("leto.conf: has no options but those of the table") {
  const std::vector<std::string> lines = conf_lines();
  const auto facts = std::count_if(lines.begin(), lines.end(),
                                   [](const std::string& line) { return line.starts_with("# ["); });
  CHECK(static_cast<size_t>(facts) == option_table().size());
}

TEST_CASE("leto.conf: sets the data directory of a first try and nothing else") {
  Options options;
  REQUIRE(parse_conf(conf_text(), "leto.conf", options).is_ok());
  CHECK(options.raftdir == "./data");
  const Options defaults;
  for (const Option& option : option_table()) {
    if (option.name == "raftdir") continue;
    CAPTURE(std::string(option.name));
    CHECK(option_text(options, option) == option_text(defaults, option));
  }
}

TEST_CASE("leto.conf: its commented defaults are lines it would take") {
  std::string all;
  for (const Option& option : option_table()) all += default_line(option).substr(2) + "\n";
  Options options;
  const base::Status status = parse_conf(all, "leto.conf", options);
  CHECK_MESSAGE(status.is_ok(), (status.is_ok() ? "" : status.text()));
}

}  // namespace
}  // namespace leto::server
