// Reads and writes the values of options, with Redis's words for what is wrong. Knows no option by name.
#include <algorithm>
#include <optional>

#include "base/format.h"
#include "base/node_id.h"
#include "base/number.h"
#include "resp/split_line.h"
#include "server/option_table.h"

namespace leto::server {
namespace {

using base::Result;
using base::Status;

constexpr size_t kTextBytesMax = 4096;
constexpr size_t kSocketPathBytesMax = 107;  // sockaddr_un holds 108 with the final NUL.
constexpr uint64_t kFileModeMax = 0777;

// A value that was read: as a number where it is one (yes: 1, a choice: its index), and as canonical text.
struct Value {
  uint64_t number = 0;
  std::string text;
};

std::string number_text(uint64_t number) {
  return std::to_string(number);
}

// The n-th of words separated by spaces; empty past the last.
std::string_view word_at(std::string_view words, uint64_t position) {
  for (; position > 0 && !words.empty(); --position) {
    words.remove_prefix(std::min(words.size(), words.find(' ')));
    if (!words.empty()) words.remove_prefix(1);
  }
  return words.substr(0, words.find(' '));
}

Result<Value> in_range(const ValueType& type, int64_t number) {
  if (number >= 0 && static_cast<uint64_t>(number) >= type.min && static_cast<uint64_t>(number) <= type.max) {
    return Value{.number = static_cast<uint64_t>(number), .text = number_text(static_cast<uint64_t>(number))};
  }
  return Status::error("argument must be between " + number_text(type.min) + " and " + number_text(type.max) +
                       " inclusive");
}

Result<Value> parse_number(const ValueType& type, std::string_view text) {
  const std::optional<int64_t> number = base::parse_int64(text);
  if (!number) return Status::error("argument couldn't be parsed into an integer");
  return in_range(type, *number);
}

// As redis.conf: 1k is 1000 bytes, 1kb is 1024.
std::optional<uint64_t> unit_bytes(std::string_view unit) {
  struct Unit {
    std::string_view name;
    uint64_t bytes;
  };
  static constexpr Unit kUnits[] = {{"", 1},           {"b", 1},       {"k", 1000},          {"kb", 1 << 10},
                                    {"m", 1000000},    {"mb", 1 << 20}, {"g", 1000000000},    {"gb", 1 << 30}};
  for (const Unit& known : kUnits) {
    if (equal_ignoring_case(known.name, unit)) return known.bytes;
  }
  return std::nullopt;
}

std::optional<int64_t> parse_memory(std::string_view text) {
  const size_t digits = std::min(text.size(), text.find_first_not_of("0123456789"));
  const std::optional<int64_t> number = base::parse_int64(text.substr(0, digits));
  const std::optional<uint64_t> unit = unit_bytes(text.substr(digits));
  int64_t product = 0;
  if (!number || !unit || __builtin_mul_overflow(*number, *unit, &product)) return std::nullopt;
  return product;
}

Result<Value> parse_bytes(const ValueType& type, std::string_view text) {
  const std::optional<int64_t> number = parse_memory(text);
  if (!number) return Status::error("argument must be a memory value");
  return in_range(type, *number);
}

Result<Value> parse_yes_no(std::string_view text) {
  if (equal_ignoring_case(text, "yes")) return Value{.number = 1, .text = "yes"};
  if (equal_ignoring_case(text, "no")) return Value{.number = 0, .text = "no"};
  return Status::error("argument must be 'yes' or 'no'");
}

Result<Value> parse_choice(const ValueType& type, std::string_view text) {
  std::string known;
  for (uint64_t position = 0;; ++position) {
    const std::string_view word = word_at(type.choices, position);
    if (word.empty()) break;
    if (equal_ignoring_case(word, text)) return Value{.number = position, .text = std::string(word)};
    known += (known.empty() ? "" : ", ") + std::string(word);
  }
  return Status::error("argument(s) must be one of the following: " + known);
}

Result<Value> parse_file_mode(std::string_view text) {
  const bool octal = !text.empty() && text.find_first_not_of("01234567") == std::string_view::npos;
  uint64_t mode = octal ? 0 : kFileModeMax + 1;
  for (size_t position = 0; octal && position < text.size() && mode <= kFileModeMax; ++position) {
    mode = mode * 8 + static_cast<uint64_t>(text[position] - '0');
  }
  if (mode > kFileModeMax) return Status::error("argument must be a file mode between 0 and 777 octal");
  return Value{.number = mode, .text = base::format("%o", static_cast<unsigned>(mode))};
}

Result<Value> parse_text(std::string_view text, size_t bytes_max) {
  if (text.size() > bytes_max) return Status::error(base::format("argument is longer than %zu bytes", bytes_max));
  return Value{.text = std::string(text)};
}

// What the system would cut short at a NUL is no path.
Result<Value> parse_path(std::string_view text, size_t bytes_max) {
  if (text.find('\0') != std::string_view::npos) return Status::error("argument has a NUL byte in it");
  return parse_text(text, bytes_max);
}

// The empty one is made up at the first start.
Result<Value> parse_node_name(std::string_view text) {
  if (text.empty() || base::is_node_id(text)) return Value{.text = std::string(text)};
  return Status::error(std::string("argument must be a node's id: ") + base::kNodeIdRule);
}

Result<Value> parse_address_value(std::string_view text, bool host_needed) {
  if (text.empty()) return Value{};
  Result<Address> address = parse_address(text);
  if (!address.is_ok()) return address.take_status();
  if (host_needed && address.value().host.empty()) {
    return Status::error("argument must be an address with a host: host:port or [ipv6]:port");
  }
  return Value{.text = address.value().text()};
}

// Output limits --------------------------------------------------------------------------------

OutputLimit* limit_of_class(OutputLimits& limits, std::string_view name) {
  if (equal_ignoring_case(name, "normal")) return &limits.normal;
  if (equal_ignoring_case(name, "slave") || equal_ignoring_case(name, "replica")) return &limits.replica;
  if (equal_ignoring_case(name, "pubsub")) return &limits.pubsub;
  return nullptr;
}

std::string limit_text(const char* name, const OutputLimit& limit) {
  return base::format("%s %llu %llu %llu", name, static_cast<unsigned long long>(limit.hard_bytes),
                      static_cast<unsigned long long>(limit.soft_bytes),
                      static_cast<unsigned long long>(limit.soft_seconds));
}

// Redis writes the old name of the class, and reads both.
std::string limits_text(const OutputLimits& limits) {
  return limit_text("normal", limits.normal) + " " + limit_text("slave", limits.replica) + " " +
         limit_text("pubsub", limits.pubsub);
}

// Classes that `text` does not name keep their limits.
Status change_limits(OutputLimits& limits, std::string_view text) {
  constexpr size_t kWordsOfClass = 4;
  std::vector<std::string> words;
  if (!resp::split_line(text, words) || words.empty() || words.size() % kWordsOfClass != 0) {
    return Status::error("Wrong number of arguments in buffer limit configuration.");
  }
  OutputLimits changed = limits;
  for (size_t at = 0; at < words.size(); at += kWordsOfClass) {
    OutputLimit* limit = limit_of_class(changed, words[at]);
    if (limit == nullptr) return Status::error("Invalid client class specified in buffer limit configuration.");
    const std::optional<int64_t> hard = parse_memory(words[at + 1]);
    const std::optional<int64_t> soft = parse_memory(words[at + 2]);
    const std::optional<int64_t> seconds = base::parse_int64(words[at + 3]);
    if (!hard || !soft || !seconds || *seconds < 0) {
      return Status::error("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    }
    *limit = {static_cast<uint64_t>(*hard), static_cast<uint64_t>(*soft), static_cast<uint64_t>(*seconds)};
  }
  limits = changed;
  return Status::ok();
}

// Any kind but kOutputLimits, whose classes are changed one by one.
Result<Value> parse_value(const ValueType& type, std::string_view text) {
  switch (type.kind) {
    case ValueKind::kText: return parse_text(text, kTextBytesMax);
    case ValueKind::kPath: return parse_path(text, kTextBytesMax);
    case ValueKind::kSocketPath: return parse_path(text, kSocketPathBytesMax);
    case ValueKind::kNodeName: return parse_node_name(text);
    case ValueKind::kNumber: return parse_number(type, text);
    case ValueKind::kBytes: return parse_bytes(type, text);
    case ValueKind::kYesNo: return parse_yes_no(text);
    case ValueKind::kChoice: return parse_choice(type, text);
    case ValueKind::kFileMode: return parse_file_mode(text);
    case ValueKind::kAddress: return parse_address_value(text, false);
    case ValueKind::kHostAddress: return parse_address_value(text, true);
    case ValueKind::kOutputLimits: break;
  }
  LETO_ASSERT(false, base::format("value kind %d", static_cast<int>(type.kind)));
}

// Puts a value that was read where the option lives.
struct Store {
  Options& options;
  const Option& option;
  const Value& value;

  void operator()(std::monostate) const { options.inert[std::string(option.name)] = value.text; }
  void operator()(std::string Options::*field) const { options.*field = value.text; }
  void operator()(uint64_t Options::*field) const { options.*field = value.number; }
  void operator()(bool Options::*field) const { options.*field = value.number != 0; }
  void operator()(Address Options::*field) const {
    options.*field = value.text.empty() ? Address{} : std::move(parse_address(value.text).value());
  }
  void operator()(OutputLimits Options::*) const { LETO_ASSERT(false, std::string(option.name)); }
  void operator()(ChoiceField field) const { field.set(options, value.number); }
};

struct Show {
  const Options& options;
  const Option& option;

  std::string operator()(std::monostate) const { return options.inert.find(option.name)->second; }
  std::string operator()(std::string Options::*field) const { return options.*field; }
  std::string operator()(uint64_t Options::*field) const {
    const uint64_t number = options.*field;
    if (option.type.kind == ValueKind::kFileMode) return base::format("%o", static_cast<unsigned>(number));
    return number_text(number);
  }
  std::string operator()(bool Options::*field) const { return options.*field ? "yes" : "no"; }
  std::string operator()(Address Options::*field) const { return (options.*field).text(); }
  std::string operator()(OutputLimits Options::*field) const { return limits_text(options.*field); }
  std::string operator()(ChoiceField field) const {
    return std::string(word_at(option.type.choices, field.get(options)));
  }
};

}  // namespace

std::string option_text(const Options& options, const Option& option) {
  return std::visit(Show{options, option}, option.field);
}

base::Status set_option(Options& options, const Option& option, std::string_view text) {
  if (const auto* limits = std::get_if<OutputLimits Options::*>(&option.field)) {
    return change_limits(options.**limits, text);
  }
  Result<Value> value = parse_value(option.type, text);
  if (!value.is_ok()) return value.take_status();
  std::visit(Store{options, option, value.value()}, option.field);
  return Status::ok();
}

}  // namespace leto::server
