// COMMAND and its subcommands. https://redis.io/commands/command
//
// Key specifications and tips are shown for what Leto has; arguments, which are optional in COMMAND DOCS,
// are left out.
#include <algorithm>

#include "base/assert.h"
#include "base/glob.h"
#include "command/handlers.h"
#include "command/introspection.h"
#include "command/text.h"

namespace leto::command {

namespace {

// What a command does to its keys: as COMMAND INFO says it, with Redis's remark on it, and in the form that
// Leto has, which COMMAND GETKEYSANDFLAGS asks for.
struct KeyUse {
  std::string_view name;
  std::span<const std::string_view> flags;
  std::span<const std::string_view> flags_of_request;
  std::string_view notes;
  // Of the second key, where it is used otherwise than the first: then each has a specification of its own.
  std::span<const std::string_view> flags_of_second = {};
};
constexpr std::string_view kReads[] = {"RO", "access"};
constexpr std::string_view kLooks[] = {"RO"};
constexpr std::string_view kUpdates[] = {"RW", "access", "update"};
constexpr std::string_view kSets[] = {"RW", "access", "update", "variable_flags"};
constexpr std::string_view kOverwrites[] = {"OW", "update"};
constexpr std::string_view kDeletes[] = {"RM", "delete"};
constexpr std::string_view kTakes[] = {"RW", "access", "delete"};
constexpr std::string_view kInserts[] = {"OW", "insert"};
constexpr KeyUse kKeyUses[] = {
    {"del", kDeletes, kDeletes, ""},
    {"delete", kDeletes, kDeletes, ""},
    {"exists", kLooks, kLooks, ""},
    {"get", kReads, kReads, ""},
    {"incr", kUpdates, kUpdates, ""},
    {"rename", kTakes, kTakes, "", kOverwrites},
    {"renamenx", kTakes, kTakes, "", kInserts},
    {"set", kSets, kOverwrites, "RW and ACCESS due to the optional `GET` argument"},
    {"watch", kLooks, kLooks, ""},
};

struct Tips {
  std::string_view name;
  std::span<const std::string_view> tips;
};
constexpr std::string_view kShardSum[] = {"request_policy:multi_shard", "response_policy:agg_sum"};
constexpr std::string_view kAllShardsSum[] = {"request_policy:all_shards", "response_policy:agg_sum"};
constexpr std::string_view kAllShards[] = {"request_policy:all_shards", "response_policy:all_succeeded"};
constexpr std::string_view kAllNodes[] = {"request_policy:all_nodes", "response_policy:all_succeeded"};
constexpr std::string_view kInfoTips[] = {"nondeterministic_output", "request_policy:all_shards",
                                          "response_policy:special"};
constexpr std::string_view kNondeterministic[] = {"nondeterministic_output"};
constexpr std::string_view kUnordered[] = {"nondeterministic_output_order"};
constexpr Tips kTips[] = {
    {"client|info", kNondeterministic}, {"client|list", kNondeterministic}, {"command", kUnordered},
    {"command|docs", kUnordered},       {"command|info", kUnordered},       {"command|list", kUnordered},
    {"config|set", kAllNodes},          {"dbsize", kAllShardsSum},          {"del", kShardSum},
    {"delete", kShardSum},              {"exists", kShardSum},              {"flushall", kAllShards},
    {"flushdb", kAllShards},            {"info", kInfoTips},
    {"ping", kAllShards},
};

template <typename Row, size_t kRows>
const Row* find_row(const Row (&rows)[kRows], std::string_view name) {
  const auto found = std::ranges::find(rows, name, &Row::name);
  return found == std::end(rows) ? nullptr : &*found;
}

void reply_statuses(resp::Reply& reply, std::span<const std::string_view> texts) {
  reply.set(texts.size());
  for (const std::string_view text : texts) reply.status(text);
}

void reply_named_type(resp::Reply& reply, std::string_view name, std::string_view type) {
  reply.bulk(name);
  reply.map(2);
  reply.bulk("type");
  reply.bulk(type);
  reply.bulk("spec");
}

void reply_named_integer(resp::Reply& reply, std::string_view name, int value) {
  reply.bulk(name);
  reply.integer(value);
}

// One that begins at `first_key`; `last_key` is relative to it, but from the end of the arguments if negative.
struct KeyRange {
  int first_key, last_key, key_step;
};

void reply_key_specification(resp::Reply& reply, const KeyRange& range, const KeyUse& use) {
  reply.map(use.notes.empty() ? 3 : 4);
  if (!use.notes.empty()) {
    reply.bulk("notes");
    reply.bulk(use.notes);
  }
  reply.bulk("flags");
  reply_statuses(reply, use.flags);
  reply_named_type(reply, "begin_search", "index");
  reply.map(1);
  reply_named_integer(reply, "index", range.first_key);
  reply_named_type(reply, "find_keys", "range");
  reply.map(3);
  reply_named_integer(reply, "lastkey", range.last_key);
  reply_named_integer(reply, "keystep", range.key_step);
  reply_named_integer(reply, "limit", 0);
}

void reply_key_specifications(resp::Reply& reply, const Shown& shown, const KeyUse& use) {
  if (!use.flags_of_second.empty()) {
    reply.set(2);
    reply_key_specification(reply, {shown.first_key, 0, shown.key_step}, use);
    KeyUse second = use;
    second.flags = use.flags_of_second;
    return reply_key_specification(reply, {shown.last_key, 0, shown.key_step}, second);
  }
  reply.set(1);
  const int last_key = shown.last_key < 0 ? shown.last_key : shown.last_key - shown.first_key;
  reply_key_specification(reply, {shown.first_key, last_key, shown.key_step}, use);
}

void reply_info(resp::Reply& reply, const Shown& shown) {
  reply.array(10);
  reply.bulk(shown.name);
  reply.integer(shown.arity);
  reply_statuses(reply, flag_names(shown));
  reply.integer(shown.first_key);
  reply.integer(shown.last_key);
  reply.integer(shown.key_step);
  reply_statuses(reply, category_names(shown));
  const Tips* const tips = find_row(kTips, shown.name);
  const std::span<const std::string_view> texts = tips == nullptr ? std::span<const std::string_view>() : tips->tips;
  reply.set(texts.size());
  for (const std::string_view text : texts) reply.bulk(text);
  const KeyUse* const use = find_row(kKeyUses, shown.name);
  if (use == nullptr) {
    reply.set(0);
  } else {
    reply_key_specifications(reply, shown, *use);
  }
  reply.set(shown.subcommands.size());
  for (const Subcommand& subcommand : shown.subcommands) reply_info(reply, shown_subcommand(subcommand));
}

void reply_docs(resp::Reply& reply, const Shown& shown) {
  const std::pair<std::string_view, std::string_view> fields[] = {{"summary", shown.summary},
                                                                  {"since", shown.since},
                                                                  {"group", shown.group},
                                                                  {"complexity", shown.complexity}};
  reply.bulk(shown.name);
  reply.map(std::size(fields) + (shown.subcommands.empty() ? 0 : 1));
  for (const auto& [name, text] : fields) {
    reply.bulk(name);
    reply.bulk(text);
  }
  if (shown.subcommands.empty()) return;
  reply.bulk("subcommands");
  reply.map(shown.subcommands.size());
  for (const Subcommand& subcommand : shown.subcommands) reply_docs(reply, shown_subcommand(subcommand));
}

// What COMMAND LIST's FILTERBY lets pass.
struct Filter {
  std::string_view kind;
  std::string_view text;

  bool passes(const Shown& shown) const {
    if (kind.empty()) return true;
    if (is_word(kind, "pattern")) return base::glob_match(text, shown.name, base::GlobCase::kIgnored);
    // Leto has no modules, so nothing is of one.
    if (is_word(kind, "module")) return false;
    return std::ranges::any_of(category_names(shown),
                               [&](std::string_view name) { return is_word(text, name.substr(1)); });
  }
  bool is_known() const {
    return kind.empty() || is_word(kind, "pattern") || is_word(kind, "module") || is_word(kind, "aclcat");
  }
};

// It is one that has some, and says another.
bool names_no_subcommand(const Command& command, Arguments request) {
  return request.size() > 1 && !subcommands_of(command.name).empty() && find_subcommand(command.name, request[1]) == nullptr;
}

// The keys of the request behind COMMAND GETKEYS; none after an error was replied.
std::vector<std::string_view> keys_of_request(Context& context) {
  const Arguments request = context.arguments.subspan(2);
  const Command* const command = find_command(request[0]);
  std::vector<std::string_view> keys;
  if (command == nullptr || names_no_subcommand(*command, request)) {
    context.reply.error("ERR Invalid command specified");
  } else if (command->first_key == 0) {
    context.reply.error("ERR The command has no key arguments");
  } else if (!check_request(command, request).empty()) {
    context.reply.error("ERR Invalid number of arguments specified for command");
  } else {
    const int last = command->last_key < 0 ? static_cast<int>(request.size()) + command->last_key : command->last_key;
    for (int i = command->first_key; i <= last; i += command->key_step) {
      keys.push_back(request[static_cast<size_t>(i)]);
    }
  }
  return keys;
}

}  // namespace

void command_command(Context& context) {
  if (context.arguments.size() >= 2) {
    run_subcommand(context);
    return;
  }
  context.reply.array(commands().size());
  for (const Command& command : commands()) reply_info(context.reply, shown_command(command));
}

void command_count_command(Context& context) {
  context.reply.integer(static_cast<int64_t>(commands().size()));
}

void command_docs_command(Context& context) {
  std::vector<Shown> wanted;
  for (const std::string_view name : context.arguments.subspan(2)) {
    const Lookup found = look_up(name);
    if (found.found()) wanted.push_back(found.shown());
  }
  if (context.arguments.size() == 2) {
    for (const Command& command : commands()) wanted.push_back(shown_command(command));
  }
  context.reply.map(wanted.size());
  for (const Shown& shown : wanted) reply_docs(context.reply, shown);
}

void command_getkeys_command(Context& context) {
  const std::vector<std::string_view> keys = keys_of_request(context);
  if (keys.empty()) return;
  context.reply.array(keys.size());
  for (const std::string_view key : keys) context.reply.bulk(key);
}

void command_getkeysandflags_command(Context& context) {
  const std::vector<std::string_view> keys = keys_of_request(context);
  if (keys.empty()) return;
  const KeyUse* const use = find_row(kKeyUses, find_command(context.arguments[2])->name);
  LETO_ASSERT(use != nullptr, "a command with keys has no row in kKeyUses");
  context.reply.array(keys.size());
  for (const std::string_view& key : keys) {
    context.reply.array(2);
    context.reply.bulk(key);
    const bool is_second = !use->flags_of_second.empty() && &key != &keys.front();
    reply_statuses(context.reply, is_second ? use->flags_of_second : use->flags_of_request);
  }
}

void command_help_command(Context& context) {
  constexpr std::string_view kLines[] = {
      "(no subcommand)",
      "    Return details about all Redis commands.",
      "COUNT",
      "    Return the total number of commands in this Redis server.",
      "LIST",
      "    Return a list of all commands in this Redis server.",
      "INFO [<command-name> ...]",
      "    Return details about multiple Redis commands.",
      "    If no command names are given, documentation details for all",
      "    commands are returned.",
      "DOCS [<command-name> ...]",
      "    Return documentation details about multiple Redis commands.",
      "    If no command names are given, documentation details for all",
      "    commands are returned.",
      "GETKEYS <full-command>",
      "    Return the keys from a full Redis command.",
      "GETKEYSANDFLAGS <full-command>",
      "    Return the keys and the access flags from a full Redis command.",
  };
  reply_help(context, kLines);
}

void command_info_command(Context& context) {
  const Arguments names = context.arguments.subspan(2);
  if (names.empty()) {
    context.reply.array(commands().size());
    for (const Command& command : commands()) reply_info(context.reply, shown_command(command));
    return;
  }
  context.reply.array(names.size());
  for (const std::string_view name : names) {
    const Lookup found = look_up(name);
    if (found.found()) {
      reply_info(context.reply, found.shown());
    } else {
      context.reply.nil();
    }
  }
}

void command_list_command(Context& context) {
  const Arguments arguments = context.arguments;
  constexpr size_t kFiltered = 5;
  Filter filter;
  if (arguments.size() == kFiltered && is_word(arguments[2], "filterby")) {
    filter = {.kind = arguments[3], .text = arguments[4]};
  } else if (arguments.size() != 2) {
    context.reply.error(kSyntaxError);
    return;
  }
  if (!filter.is_known()) {
    context.reply.error(kSyntaxError);
    return;
  }
  std::vector<std::string_view> names;
  for (const Command& command : commands()) {
    const Shown shown = shown_command(command);
    if (filter.passes(shown)) names.push_back(shown.name);
    for (const Subcommand& subcommand : shown.subcommands) {
      if (filter.passes(shown_subcommand(subcommand))) names.push_back(subcommand.name);
    }
  }
  context.reply.array(names.size());
  for (const std::string_view name : names) context.reply.bulk(name);
}

}  // namespace leto::command
