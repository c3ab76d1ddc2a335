// Commands on keys of any type: DEL, EXISTS, DBSIZE. https://redis.io/commands/?group=generic
#include "command/handlers.h"

namespace leto::command {

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

void dbsize_command(Context& context) {
  context.reply.integer(static_cast<int64_t>(context.keyspace.size(context.database)));
}

}  // namespace leto::command
