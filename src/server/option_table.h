// The one table of options. It makes -h, the check of leto.conf and of the command line, and CONFIG; a
// test keeps leto.conf and it the same. Private to the options of server/: others read struct Options.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/status.h"
#include "server/options.h"

namespace leto::server {

enum class ValueKind : uint8_t {
  kText,
  kPath,          // At most 4096 bytes, no NUL.
  kSocketPath,    // What fits sockaddr_un.
  kNodeName,      // Printable ASCII without spaces, quotes and backslashes, at most 64.
  kNumber,        // min..max
  kBytes,         // min..max; takes k, kb, m, mb, g, gb.
  kYesNo,
  kChoice,        // One of `choices`, which are separated by spaces.
  kFileMode,      // Octal.
  kAddress,
  kHostAddress,   // An address whose host is not empty.
  kOutputLimits,  // class hard soft seconds, for one or several classes.
};

struct ValueType {
  ValueKind kind = ValueKind::kText;
  uint64_t min = 0;
  uint64_t max = 0;
  std::string_view choices = {};
};

// An enum's two directions, as an index into the type's choices.
struct ChoiceField {
  uint64_t (*get)(const Options&);
  void (*set)(Options&, uint64_t);
};

// Where an option lives. Nothing: in Options::inert, by its name.
using Field = std::variant<std::monostate, std::string Options::*, uint64_t Options::*, bool Options::*,
                           Address Options::*, OutputLimits Options::*, ChoiceField>;

enum class Change : uint8_t { kAtStart, kAnyTime };  // Whether CONFIG SET may change it.

struct Option {
  std::string_view name;
  std::string_view default_text;  // As one would write it in leto.conf; empty: none.
  ValueType type;
  std::string_view unit;          // For people: "ms", "seconds", ...; empty if the value says it.
  Change change = Change::kAtStart;
  Field field;
  std::string_view help;          // Begins the line of -h.
};

// In the order of -h and leto.conf; the first kBasicOptions are the ones to begin with.
std::span<const Option> option_table();
inline constexpr size_t kBasicOptions = 5;

// Redis's parameters that are accepted by CONFIG SET, shown by CONFIG GET, and mean nothing here.
std::span<const Option> inert_parameters();

// Null if there is none of that name in the table; ASCII case does not matter.
const Option* find_option(std::string_view name);
const Option* find_inert_parameter(std::string_view name);

// What Leto calls the option that Redis calls `name`; empty if there is none.
std::string_view name_in_leto(std::string_view name);

bool equal_ignoring_case(std::string_view a, std::string_view b);

// The value as CONFIG GET shows it; set_option() takes it back.
std::string option_text(const Options& options, const Option& option);
// Reads `text` and puts it where the option lives; the error is Redis's reason, without a prefix, and
// leaves `options` as it was. Does not ask whether the option may be changed.
base::Status set_option(Options& options, const Option& option, std::string_view text);

// What no single option can tell: values that do not fit together.
base::Status check_together(const Options& options);

}  // namespace leto::server
