// MULTI, DISCARD, WATCH, UNWATCH. https://redis.io/commands/?group=transactions
// EXEC is in transaction.cc; what a client's EXEC becomes is decided where it came in.
#include "command/handlers.h"

namespace leto::command {

void multi_command(Context& context) {
  Transaction& transaction = context.client->transaction;
  if (transaction.open) {
    context.reply.error("ERR MULTI calls can not be nested");
    return;
  }
  transaction.open = true;
  transaction.database = context.client->database;
  context.reply.ok();
}

void discard_command(Context& context) {
  if (!context.client->transaction.open) {
    context.reply.error("ERR DISCARD without MULTI");
    return;
  }
  context.client->transaction = {};
  context.reply.ok();
}

void watch_command(Context& context) {
  Transaction& transaction = context.client->transaction;
  if (transaction.open) {
    context.reply.error("ERR WATCH inside MULTI is not allowed");
    return;
  }
  if (transaction.unconfirmed > 0) --transaction.unconfirmed;
  context.reply.ok();
  // EXEC does nothing whatever else is watched.
  if (transaction.watched.touched()) return;
  for (const std::string_view key : context.arguments.subspan(1)) {
    const keyspace::Item* const item = context.keyspace.find(context.database, key);
    transaction.watched.add(context.keyspace.watches(), context.database, key,
                            item == nullptr ? keyspace::Version{} : item->version);
  }
}

void unwatch_command(Context& context) {
  context.client->transaction.watched.clear();
  context.client->transaction.unconfirmed = 0;
  context.reply.ok();
}

}  // namespace leto::command
