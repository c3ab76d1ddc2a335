// CONFIG and its subcommands. Knows no option: the server's table of options does.
#include "command/handlers.h"
#include "command/text.h"

namespace leto::command {

void config_get_command(Context& context) {
  const auto found = context.services->config_get(context.arguments.subspan(2));
  context.reply.map(found.size());
  for (const auto& [name, value] : found) {
    context.reply.bulk(name);
    context.reply.bulk(value);
  }
}

void config_help_command(Context& context) {
  constexpr std::string_view kLines[] = {
      "GET <pattern>",
      "    Return parameters matching the glob-like <pattern> and their values.",
      "SET <directive> <value>",
      "    Set the configuration <directive> to <value>.",
      "RESETSTAT",
      "    Reset statistics reported by the INFO command.",
      "REWRITE",
      "    Rewrite the configuration file.",
  };
  reply_help(context, kLines);
}

void config_resetstat_command(Context& context) {
  context.services->config_reset_stat();
  context.reply.ok();
}

void config_rewrite_command(Context& context) {
  context.reply.error("ERR The server is running without a config file");
}

void config_set_command(Context& context) {
  const Arguments pairs = context.arguments.subspan(2);
  if (pairs.size() % 2 != 0) {
    context.reply.error(kSyntaxError);
    return;
  }
  const base::Status status = context.services->config_set(pairs);
  if (status.is_ok()) {
    context.reply.ok();
  } else {
    context.reply.error(status.text());
  }
}

}  // namespace leto::command
