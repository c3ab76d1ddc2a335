// CLIENT and its subcommands. https://redis.io/commands/client-list
#include <algorithm>

#include "base/format.h"
#include "base/number.h"
#include "command/handlers.h"
#include "command/text.h"

namespace leto::command {

namespace {

std::string flags_of(const Client& client) {
  std::string flags;
  if (client.transaction.open || client.transaction.running > 0) flags += 'x';
  if (client.transaction.watched.touched()) flags += 'd';
  if (client.on_unix_socket) flags += 'U';
  if (client.readonly) flags += 'r';
  return flags.empty() ? "N" : flags;
}

using Long = unsigned long long;

// -1: there is no MULTI.
long long queued_commands(const Transaction& transaction) {
  if (transaction.running > 0) return static_cast<long long>(transaction.running);
  return transaction.open ? static_cast<long long>(transaction.queue.size()) : -1;
}

// One line of CLIENT LIST, with the fields of Redis 7.0 in its order, then those of 7.2 about the library.
std::string describe(const Client& client, uint64_t now_ms) {
  const auto seconds_since = [&](uint64_t then_ms) {
    return static_cast<Long>(now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0);
  };
  std::string line = base::format(
      "id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu flags=%s db=%u", static_cast<Long>(client.id),
      client.address.c_str(), client.local_address.c_str(), client.file_descriptor, client.name.c_str(),
      seconds_since(client.created_ms), seconds_since(client.last_active_ms), flags_of(client).c_str(),
      client.database);
  line += base::format(
      " sub=0 psub=0 ssub=0 multi=%lld qbuf=%zu qbuf-free=0 argv-mem=0 multi-mem=%zu rbs=0 rbp=0 obl=0 oll=0 "
      "omem=%zu tot-mem=%zu",
      queued_commands(client.transaction), client.query_buffer_bytes, client.transaction.bytes, client.output_buffer_bytes,
      client.query_buffer_bytes + client.transaction.bytes + client.output_buffer_bytes + sizeof(Client));
  line += base::format(" events=r cmd=%s user=default redir=-1 resp=%d lib-name=%s lib-ver=%s\n",
                       client.last_command.empty() ? "NULL" : client.last_command.c_str(), client.protocol,
                       client.library_name.c_str(), client.library_version.c_str());
  return line;
}

std::string describe_all(Context& context, const std::vector<const Client*>& clients) {
  const uint64_t now_ms = context.services->monotonic_ms();
  std::string lines;
  for (const Client* const client : clients) lines += describe(*client, now_ms);
  return lines;
}

void list_type(Context& context) {
  const std::string_view type = context.arguments[3];
  constexpr std::string_view kNone[] = {"master", "slave", "replica", "pubsub"};
  if (is_word(type, "normal")) {
    context.reply.verbatim(describe_all(context, context.services->clients()));
  } else if (std::ranges::any_of(kNone, [&](std::string_view none) { return is_word(type, none); })) {
    context.reply.verbatim("");
  } else {
    context.reply.error("ERR Unknown client type '" + shown(type) + "'");
  }
}

void list_ids(Context& context) {
  const std::vector<const Client*> clients = context.services->clients();
  std::vector<const Client*> wanted;
  for (const std::string_view argument : context.arguments.subspan(3)) {
    const std::optional<int64_t> id = base::parse_int64(argument);
    if (!id) {
      context.reply.error("ERR Invalid client ID");
      return;
    }
    // They come by their ids.
    const auto found = std::ranges::lower_bound(clients, static_cast<uint64_t>(*id), {}, &Client::id);
    if (found != clients.end() && (*found)->id == static_cast<uint64_t>(*id)) wanted.push_back(*found);
  }
  context.reply.verbatim(describe_all(context, wanted));
}

}  // namespace

bool is_client_name(std::string_view name) {
  return std::ranges::all_of(name, [](char character) { return character >= '!' && character <= '~'; });
}

void client_getname_command(Context& context) {
  if (context.client->name.empty()) {
    context.reply.nil();
  } else {
    context.reply.bulk(context.client->name);
  }
}

void client_help_command(Context& context) {
  constexpr std::string_view kLines[] = {
      "GETNAME",
      "    Return the name of the current connection.",
      "ID",
      "    Return the ID of the current connection.",
      "INFO",
      "    Return information about the current client connection.",
      "LIST [options ...]",
      "    Return information about client connections. Options:",
      "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
      "      Return clients of specified type.",
      "    * ID <id> [<id> ...]",
      "      Return clients of the specified IDs only.",
      "SETINFO (LIB-NAME|LIB-VER) <value>",
      "    Tell the name or the version of the client's library.",
      "SETNAME <name>",
      "    Assign the name <name> to the current connection.",
  };
  reply_help(context, kLines);
}

void client_id_command(Context& context) {
  context.reply.integer(static_cast<int64_t>(context.client->id));
}

void client_info_command(Context& context) {
  context.reply.verbatim(describe(*context.client, context.services->monotonic_ms()));
}

void client_list_command(Context& context) {
  const Arguments arguments = context.arguments;
  if (arguments.size() == 2) {
    context.reply.verbatim(describe_all(context, context.services->clients()));
  } else if (arguments.size() == 4 && is_word(arguments[2], "type")) {
    list_type(context);
  } else if (arguments.size() > 3 && is_word(arguments[2], "id")) {
    list_ids(context);
  } else {
    context.reply.error(kSyntaxError);
  }
}

void client_setinfo_command(Context& context) {
  const std::string_view option = context.arguments[2];
  const std::string_view value = context.arguments[3];
  const bool is_name = is_word(option, "lib-name");
  if (!is_name && !is_word(option, "lib-ver")) {
    context.reply.error("ERR Unrecognized option '" + shown(option) + "'");
    return;
  }
  if (!is_client_name(value)) {
    context.reply.error("ERR " + lower_text(option) +
                        " cannot contain spaces, newlines or special characters.");
    return;
  }
  (is_name ? context.client->library_name : context.client->library_version) = value;
  context.reply.ok();
}

void client_setname_command(Context& context) {
  const std::string_view name = context.arguments[2];
  if (!is_client_name(name)) {
    context.reply.error("ERR Client names cannot contain spaces, newlines or special characters.");
    return;
  }
  context.client->name = name;
  context.reply.ok();
}

}  // namespace leto::command
