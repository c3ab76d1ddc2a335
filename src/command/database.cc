// Commands on whole databases: FLUSHDB, FLUSHALL, SWAPDB, DBSIZE. https://redis.io/commands/?group=server
#include <climits>

#include "base/number.h"
#include "command/handlers.h"
#include "command/text.h"

namespace leto::command {

namespace {

// What SWAPDB names, if it names two databases.
struct Pair {
  std::string error;
  uint32_t first = 0, second = 0;
};

Pair read_pair(Arguments arguments) {
  const std::optional<int64_t> first = base::parse_int64(arguments[1]);
  const std::optional<int64_t> second = base::parse_int64(arguments[2]);
  const auto is_int = [](const std::optional<int64_t>& number) { return number && *number >= INT_MIN && *number <= INT_MAX; };
  if (!is_int(first)) return {.error = "ERR invalid first DB index"};
  if (!is_int(second)) return {.error = "ERR invalid second DB index"};
  if (!is_database(*first) || !is_database(*second)) return {.error = std::string(kNoSuchDatabase)};
  return {.error = "", .first = static_cast<uint32_t>(*first), .second = static_cast<uint32_t>(*second)};
}

// True if it replied: the arguments are wrong.
bool refuses(Context& context, const std::string& refusal) {
  if (!refusal.empty()) context.reply.error(refusal);
  return !refusal.empty();
}

}  // namespace

// ASYNC and SYNC make no difference: the keys are gone at once, and freed in steps.
std::string flush_refusal(Arguments arguments) {
  if (arguments.size() == 1) return "";
  const bool known = arguments.size() == 2 && (is_word(arguments[1], "async") || is_word(arguments[1], "sync"));
  return known ? "" : std::string(kSyntaxError);
}

std::string swap_refusal(Arguments arguments) { return read_pair(arguments).error; }

void flushdb_command(Context& context) {
  if (refuses(context, flush_refusal(context.arguments))) return;
  context.keyspace.flush(context.database);
  context.reply.ok();
}

void flushall_command(Context& context) {
  if (refuses(context, flush_refusal(context.arguments))) return;
  for (uint32_t database = 0; database < keyspace::kDatabases; ++database) context.keyspace.flush(database);
  context.reply.ok();
}

void swapdb_command(Context& context) {
  const Pair pair = read_pair(context.arguments);
  if (refuses(context, pair.error)) return;
  context.keyspace.swap(pair.first, pair.second);
  context.reply.ok();
}

void dbsize_command(Context& context) {
  context.reply.integer(static_cast<int64_t>(context.keyspace.size(context.database)));
}

}  // namespace leto::command
