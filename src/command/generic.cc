// Commands on keys of any type: DEL, EXISTS, RENAME, RENAMENX. https://redis.io/commands/?group=generic
#include "command/handlers.h"

namespace leto::command {

namespace {

constexpr std::string_view kNoSuchKey = "ERR no such key";

bool exists(const Context& context, std::string_view key) { return context.keyspace.find(context.database, key) != nullptr; }

// REQUIRES: the first key exists. Does nothing if the two are one.
void rename_key(Context& context) {
  const std::string_view from = context.arguments[1], to = context.arguments[2];
  if (from != to) context.keyspace.rename(context.database, {.from = from, .to = to, .version = context.stamp.version});
}

}  // namespace

void del_command(Context& context) {
  int64_t erased = 0;
  for (const std::string_view key : context.arguments.subspan(1)) {
    erased += context.keyspace.erase(context.database, key);
  }
  context.reply.integer(erased);
}

void exists_command(Context& context) {
  int64_t found = 0;
  for (const std::string_view key : context.arguments.subspan(1)) {
    found += context.keyspace.lookup(context.database, key) != nullptr;
  }
  context.reply.integer(found);
}

void rename_command(Context& context) {
  if (!exists(context, context.arguments[1])) {
    context.reply.error(kNoSuchKey);
    return;
  }
  rename_key(context);
  context.reply.ok();
}

void renamenx_command(Context& context) {
  if (!exists(context, context.arguments[1])) {
    context.reply.error(kNoSuchKey);
    return;
  }
  const bool is_free = !exists(context, context.arguments[2]);
  if (is_free) rename_key(context);
  context.reply.integer(is_free);
}

}  // namespace leto::command
