#include "command/transaction.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "command/handlers.h"
#include "command/semantics.h"
#include "command/table.h"
#include "resp/reply_scan.h"

namespace leto::command {
namespace {

struct Condition {
  uint32_t database = 0;
  std::string_view key;
  keyspace::Version version;
};

constexpr size_t kVarintBytesMax = 10;
// EXEC's name, its conditions and its commands.
constexpr size_t kBeforeCommands = 2;
constexpr std::string_view kExecName = "exec";

bool is_keyed(const Command& command) { return (command.flags & (kWrite | kReadOnly)) != 0; }

bool read_condition(base::Reader& reader, Condition& condition) {
  condition.database = static_cast<uint32_t>(reader.varint_at_most(keyspace::kDatabases - 1));
  condition.key = reader.string();
  condition.version.index = reader.varint();
  condition.version.position = static_cast<uint32_t>(reader.varint_at_most(UINT32_MAX));
  return !reader.failed();
}

bool conditions_are_well_formed(std::string_view bytes, uint32_t databases) {
  base::Reader reader(bytes);
  Condition condition;
  for (uint64_t left = reader.varint_at_most(bytes.size()); left > 0; --left) {
    if (!read_condition(reader, condition) || condition.database >= databases) return false;
  }
  return reader.at_end();
}

bool conditions_hold(std::string_view bytes, const keyspace::Keyspace& keyspace) {
  base::Reader reader(bytes);
  Condition condition;
  for (uint64_t left = reader.varint(); left > 0; --left) {
    const bool read = read_condition(reader, condition);
    LETO_ASSERT(read, base::format("conditions of %zu bytes passed check_exec()", bytes.size()));
    const keyspace::Item* const item = keyspace.find(condition.database, condition.key);
    if (condition.version != (item == nullptr ? keyspace::Version{} : item->version)) return false;
  }
  return true;
}

bool decode(std::string_view bytes, CommandView& view) {
  base::Reader reader(bytes);
  return read_command(reader, view) && reader.at_end();
}

constexpr Command exec_row(uint32_t flags) {
  return {.name = kExecName, .handler = exec_command, .arity = 1, .flags = flags, .first_key = 0, .last_key = 0, .key_step = 0,
          .group = "transactions", .since = "", .complexity = "", .summary = ""};
}

}  // namespace

// --- Watched keys ----------------------------------------------------------------------------------------

WatchedKeys& WatchedKeys::operator=(WatchedKeys&& other) noexcept {
  if (this != &other) clear();
  state_ = std::move(other.state_);
  return *this;
}

void WatchedKeys::add(const std::shared_ptr<keyspace::Watches>& watches, uint32_t database, std::string_view key,
                      keyspace::Version version) {
  if (state_ == nullptr) state_ = std::make_unique<State>(State{.watches = watches, .keys = {}});
  if (!state_->keys.try_emplace({database, std::string(key)}, version).second) return;
  state_->bytes += bytes_of(key);
  watches->add(database, key, &state_->touched);
}

void WatchedKeys::clear() {
  const std::unique_ptr<State> state = std::move(state_);
  if (state == nullptr) return;
  for (const auto& [place, version] : state->keys) state->watches->remove(place.first, place.second, &state->touched);
}

size_t WatchedKeys::bytes_of(std::string_view key) { return 4 * kVarintBytesMax + key.size(); }

std::string WatchedKeys::conditions() const {
  std::string bytes;
  base::put_varint(bytes, state_ == nullptr ? 0 : state_->keys.size());
  if (state_ == nullptr) return bytes;
  for (const auto& [place, version] : state_->keys) {
    base::put_varint(bytes, place.first);
    base::put_string(bytes, place.second);
    base::put_varint(bytes, version.index);
    base::put_varint(bytes, version.position);
  }
  return bytes;
}

// --- The queue -------------------------------------------------------------------------------------------

size_t Transaction::bytes_of(Arguments arguments) { return kVarintBytesMax + EntryBuilder::encoded_size(arguments); }

void Transaction::add(const Command& command, Arguments arguments) {
  QueuedCommand queued{.command = &command, .encoded = {}};
  put_command(queued.encoded, database, arguments);
  bytes += kVarintBytesMax + queued.encoded.size();
  queue.push_back(std::move(queued));
}

size_t Transaction::entry_bytes() const {
  return (2 + kBeforeCommands + 1) * kVarintBytesMax + kExecName.size() + watched.bytes() + bytes;
}

void Transaction::refuse() {
  refused = true;
  queue = {};
  bytes = 0;
}

void LocalCommands::run_before(size_t place, resp::Reply& reply) {
  CommandView view;
  for (; next < commands.size() && commands[next].place <= place; ++next) {
    const QueuedCommand& queued = commands[next].queued;
    const bool decoded = decode(queued.encoded, view);
    LETO_ASSERT(decoded, base::format("a queued command of %zu bytes", queued.encoded.size()));
    run(*queued.command, view.arguments, reply);
  }
}

std::shared_ptr<LocalCommands> take_local_commands(Transaction& transaction) {
  auto locals = std::make_shared<LocalCommands>();
  std::vector<QueuedCommand> keyed;
  for (QueuedCommand& queued : transaction.queue) {
    if (is_keyed(*queued.command)) {
      keyed.push_back(std::move(queued));
    } else {
      locals->commands.push_back({.place = keyed.size(), .queued = std::move(queued)});
    }
  }
  transaction.queue = std::move(keyed);
  return locals->commands.empty() ? nullptr : locals;
}

std::vector<std::string_view> exec_arguments(const Transaction& transaction, const std::string& conditions) {
  std::vector<std::string_view> arguments{kExecName, conditions};
  arguments.reserve(kBeforeCommands + transaction.queue.size());
  for (const QueuedCommand& queued : transaction.queue) arguments.push_back(queued.encoded);
  return arguments;
}

// --- EXEC as a command -----------------------------------------------------------------------------------

const Command& exec_of_writes() {
  static constexpr Command kRow = exec_row(kWrite | kDenyOom);
  return kRow;
}

const Command& exec_of_reads() {
  static constexpr Command kRow = exec_row(kReadOnly);
  return kRow;
}

std::string check_exec(Arguments arguments, uint32_t databases) {
  const std::string malformed = "ERR a transaction that cannot be read";
  if (arguments.size() <= kBeforeCommands || !conditions_are_well_formed(arguments[1], databases)) return malformed;
  CommandView view;
  bool writes = false;
  for (const std::string_view each : arguments.subspan(kBeforeCommands)) {
    if (!decode(each, view) || view.database >= databases) return malformed;
    const Command* const command = find_command(view.arguments.front());
    if (std::string error = check_request(command, view.arguments); !error.empty()) return error;
    if (!is_keyed(*command)) return "ERR a transaction of another node holds a command that is not about keys";
    writes = writes || (command->flags & kWrite) != 0;
  }
  return writes ? "" : malformed;
}

std::optional<std::string_view> first_key_of(const Command& command, Arguments arguments) {
  if (command.first_key != 0) return arguments[static_cast<size_t>(command.first_key)];
  if (command.handler != exec_command) return std::nullopt;
  CommandView view;
  for (const std::string_view each : arguments.subspan(std::min(kBeforeCommands, arguments.size()))) {
    if (!decode(each, view)) continue;
    const auto first_key = static_cast<size_t>(find_command(view.arguments.front())->first_key);
    if (first_key > 0) return view.arguments[first_key];
  }
  return std::nullopt;
}

// Whoever applies it, the keys' commands run here, in one go.
void exec_command(Context& context) {
  LETO_ASSERT(context.arguments.size() >= kBeforeCommands, "an EXEC without its conditions");
  if (!conditions_hold(context.arguments[1], context.keyspace)) return context.reply.nil_array();
  const Arguments commands = context.arguments.subspan(kBeforeCommands);
  LocalCommands* const locals = context.locals;
  context.reply.array(commands.size() + (locals == nullptr ? 0 : locals->commands.size()));
  CommandView view;
  for (size_t place = 0; place < commands.size(); ++place) {
    if (locals != nullptr) locals->run_before(place, context.reply);
    const bool decoded = decode(commands[place], view);
    LETO_ASSERT(decoded, base::format("a command of %zu bytes in a transaction", commands[place].size()));
    apply_test_rules(context.stamp.semantics, view);
    const Command* const command = find_command(view.arguments.front());
    LETO_ASSERT(command != nullptr && is_keyed(*command), "a transaction names a command on keys that this version does not know");
    const bool only_reads = (command->flags & kWrite) == 0;
    context.cut_off = context.cut_off || context.reply.bytes() > context.reply_bytes_max;
    if (only_reads && (context.unheard || context.cut_off)) continue;
    Context each{.keyspace = context.keyspace, .services = nullptr, .client = nullptr, .arguments = view.arguments,
                 .reply = context.reply, .database = view.database, .stamp = context.stamp};
    command->handler(each);
  }
  if (locals != nullptr) locals->run_before(commands.size(), context.reply);
}

bool splice(std::string_view reply, LocalCommands& locals, resp::Reply& out) {
  std::vector<std::string_view> elements;
  if (reply.starts_with("*-1\r\n") || reply.starts_with('_') || reply.starts_with('-')) {
    out.raw(reply);
    return true;
  }
  if (!resp::split_array(reply, elements)) return false;
  out.array(elements.size() + locals.commands.size());
  for (size_t place = 0; place < elements.size(); ++place) {
    locals.run_before(place, out);
    out.raw(elements[place]);
  }
  locals.run_before(elements.size(), out);
  return true;
}

}  // namespace leto::command
