// GET, SET, INCR. https://redis.io/commands/?group=string
#include <limits>

#include "base/number.h"
#include "command/handlers.h"
#include "command/text.h"

namespace leto::command {

void get_command(Context& context) {
  const keyspace::Item* const item = context.keyspace.lookup(context.database, context.arguments[1]);
  if (item == nullptr) {
    context.reply.nil();
  } else {
    context.reply.bulk(item->value->string);
  }
}

void set_command(Context& context) {
  constexpr size_t kPlainArguments = 3;
  if (context.arguments.size() != kPlainArguments) {
    context.reply.error(kSyntaxError);
    return;
  }
  context.keyspace.set(context.database, context.arguments[1],
                       {.value = keyspace::make_string(std::string(context.arguments[2])),
                        .version = context.stamp.version});
  context.reply.ok();
}

void incr_command(Context& context) {
  const std::string_view key = context.arguments[1];
  const keyspace::Item* const item = context.keyspace.find(context.database, key);
  const std::optional<int64_t> before = item == nullptr ? 0 : base::parse_int64(item->value->string);
  if (!before) {
    context.reply.error(kNotAnInteger);
    return;
  }
  if (*before == std::numeric_limits<int64_t>::max()) {
    context.reply.error("ERR increment or decrement would overflow");
    return;
  }
  const int64_t after = *before + 1;
  const uint64_t deadline_ms = item == nullptr ? keyspace::kNoDeadline : item->deadline_ms;
  context.keyspace.set(context.database, key,
                       {.value = keyspace::make_string(std::to_string(after)),
                        .version = context.stamp.version,
                        .deadline_ms = deadline_ms});
  context.reply.integer(after);
}

}  // namespace leto::command
