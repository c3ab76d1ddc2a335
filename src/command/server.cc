// Commands about this node: INFO, ROLE, SHUTDOWN. https://redis.io/commands/?group=server
#include "command/handlers.h"
#include "command/text.h"

namespace leto::command {

namespace {

void reply_leader(Context& context, const RoleView& view) {
  context.reply.array(3);
  context.reply.bulk("master");
  context.reply.integer(static_cast<int64_t>(view.offset));
  context.reply.array(view.replicas.size());
  for (const RoleView::Replica& replica : view.replicas) {
    context.reply.array(3);
    context.reply.bulk(replica.host);
    context.reply.bulk(std::to_string(replica.port));
    context.reply.bulk(std::to_string(replica.offset));
  }
}

void reply_follower(Context& context, const RoleView& view) {
  context.reply.array(5);
  context.reply.bulk("slave");
  context.reply.bulk(view.leader_host);
  context.reply.integer(static_cast<int64_t>(view.leader_port));
  context.reply.bulk(view.link_state);
  context.reply.integer(static_cast<int64_t>(view.offset));
}

}  // namespace

void info_command(Context& context) {
  std::vector<std::string> sections;
  for (const std::string_view section : context.arguments.subspan(1)) sections.push_back(lower_text(section));
  context.reply.verbatim(context.services->info(sections));
}

void role_command(Context& context) {
  const RoleView view = context.services->role();
  if (view.leader) {
    reply_leader(context, view);
  } else {
    reply_follower(context, view);
  }
}

void shutdown_command(Context& context) {
  ShutdownRequest request;
  bool save = false;
  bool no_save = false;
  for (const std::string_view argument : context.arguments.subspan(1)) {
    if (is_word(argument, "nosave")) {
      no_save = true;
    } else if (is_word(argument, "save")) {
      save = true;
    } else if (is_word(argument, "now")) {
      request.now = true;
    } else if (is_word(argument, "force")) {
      request.force = true;
    } else if (is_word(argument, "abort")) {
      request.abort = true;
    } else {
      context.reply.error(kSyntaxError);
      return;
    }
  }
  const bool more_than_abort = save || no_save || request.now || request.force;
  if ((save && no_save) || (request.abort && more_than_abort)) {
    context.reply.error(kSyntaxError);
    return;
  }
  context.deferred = true;
  context.services->shutdown(context.ticket, request);
}

}  // namespace leto::command
