// CONFIG GET and CONFIG SET over the table of options, with Redis 7.0's replies.
#include <algorithm>

#include "base/glob.h"
#include "command/text.h"
#include "server/option_table.h"
#include "server/options.h"

namespace leto::server {
namespace {

using base::Status;
using NamesAndValues = std::vector<std::pair<std::string, std::string>>;

// Redis's names for what Leto keeps under others: shown, never set.
struct DerivedParameter {
  std::string_view name;
  std::string (*text)(const Options&);
};
constexpr DerivedParameter kDerived[] = {
    {"port", [](const Options& options) { return std::to_string(options.listen.port); }},
    {"bind", [](const Options& options) { return options.listen.host.empty() ? "* -::*" : options.listen.host; }},
    {"dir", [](const Options& options) { return options.raftdir; }},
};

// Every parameter that CONFIG knows, by its own name.
NamesAndValues all_parameters(const Options& options) {
  NamesAndValues all;
  for (const auto& rows : {option_table(), inert_parameters()}) {
    for (const Option& option : rows) all.emplace_back(option.name, option_text(options, option));
  }
  for (const DerivedParameter& derived : kDerived) all.emplace_back(derived.name, derived.text(options));
  return all;
}

bool has_name(const NamesAndValues& found, std::string_view name) {
  return std::any_of(found.begin(), found.end(),
                     [&](const auto& parameter) { return equal_ignoring_case(parameter.first, name); });
}

bool is_derived(std::string_view name) {
  return std::any_of(std::begin(kDerived), std::end(kDerived),
                     [&](const DerivedParameter& derived) { return equal_ignoring_case(derived.name, name); });
}

Status failed(std::string_view name, std::string_view why) {
  return Status::error("ERR CONFIG SET failed (possibly related to argument '" + std::string(name) + "') - " +
                       std::string(why));
}

const Option* find_any(std::string_view name) {
  const Option* option = find_option(name);
  return option != nullptr ? option : find_inert_parameter(name);
}

// Whether `name` can be set at all, and was not set by an earlier pair of the same command.
Status check_name(std::string_view name, std::span<const std::string_view> earlier_pairs) {
  const Option* option = find_any(name);
  if (option == nullptr && !is_derived(name)) {
    return Status::error("ERR Unknown option or number of arguments for CONFIG SET - '" + command::shown(name) + "'");
  }
  if (option == nullptr || option->change == Change::kAtStart) return failed(name, "can't set immutable config");
  for (size_t at = 0; at < earlier_pairs.size(); at += 2) {
    if (equal_ignoring_case(earlier_pairs[at], name)) return failed(name, "duplicate parameter");
  }
  return Status::ok();
}

}  // namespace

NamesAndValues config_get(const Options& options, std::span<const std::string_view> patterns) {
  const NamesAndValues all = all_parameters(options);
  NamesAndValues found;
  for (const std::string_view pattern : patterns) {
    const bool glob = base::is_glob(pattern);
    for (const auto& [name, value] : all) {
      if (!base::glob_match(pattern, name, base::GlobCase::kIgnored) || has_name(found, name)) continue;
      found.emplace_back(glob ? name : std::string(pattern), value);
    }
  }
  return found;
}

base::Status config_set(Options& options, std::span<const std::string_view> pairs) {
  LETO_ASSERT(pairs.size() % 2 == 0, std::to_string(pairs.size()));
  for (size_t at = 0; at < pairs.size(); at += 2) {
    Status status = check_name(pairs[at], pairs.first(at));
    if (!status.is_ok()) return status;
  }
  Options changed = options;
  for (size_t at = 0; at < pairs.size(); at += 2) {
    const Option& option = *find_any(pairs[at]);
    const Status status = set_option(changed, option, pairs[at + 1]);
    if (!status.is_ok()) return failed(option.name, status.text());
  }
  options = std::move(changed);
  return Status::ok();
}

}  // namespace leto::server
