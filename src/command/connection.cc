// Commands about the connection they come over. https://redis.io/commands/?group=connection
#include <climits>

#include "base/number.h"
#include "command/handlers.h"
#include "command/redis_version.h"
#include "command/text.h"

namespace leto::command {

namespace {

constexpr std::string_view kDefaultUser = "default";
constexpr std::string_view kBadClientName =
    "ERR Client names cannot contain spaces, newlines or special characters.";

// What HELLO's options ask for.
struct HelloOptions {
  std::string error;    // The text, if the options are wrong.
  const std::string_view* name = nullptr;
};

HelloOptions read_hello_options(Context& context) {
  HelloOptions options;
  const Arguments arguments = context.arguments;
  for (size_t i = 2; i < arguments.size(); ++i) {
    const size_t following = arguments.size() - i - 1;
    if (is_word(arguments[i], "auth") && following >= 2) {
      const base::Status status = context.services->authenticate(arguments[i + 1], arguments[i + 2]);
      if (!status.is_ok()) return {.error = status.text()};
      context.client->authenticated = true;
      i += 2;
    } else if (is_word(arguments[i], "setname") && following >= 1) {
      options.name = &arguments[i + 1];
      if (!is_client_name(*options.name)) return {.error = std::string(kBadClientName)};
      i += 1;
    } else {
      return {.error = "ERR Syntax error in HELLO option '" + shown(arguments[i]) + "'"};
    }
  }
  return options;
}

void reply_hello(Context& context) {
  resp::Reply& reply = context.reply;
  reply.map(7);
  reply.bulk("server");
  reply.bulk("redis");
  reply.bulk("version");
  reply.bulk(kRedisVersion);
  reply.bulk("proto");
  reply.integer(context.client->protocol);
  reply.bulk("id");
  reply.integer(static_cast<int64_t>(context.client->id));
  reply.bulk("mode");
  reply.bulk("standalone");
  reply.bulk("role");
  reply.bulk(context.services->role().leader ? "master" : "replica");
  reply.bulk("modules");
  reply.array(0);
}

}  // namespace

void ping_command(Context& context) {
  constexpr size_t kArgumentsMax = 2;
  if (context.arguments.size() > kArgumentsMax) {
    context.reply.error(wrong_arity("ping"));
  } else if (context.arguments.size() == kArgumentsMax) {
    context.reply.bulk(context.arguments[1]);
  } else {
    context.reply.status("PONG");
  }
}

void echo_command(Context& context) { context.reply.bulk(context.arguments[1]); }

void select_command(Context& context) {
  const std::optional<int64_t> index = base::parse_int64(context.arguments[1]);
  if (!index) {
    context.reply.error(kNotAnInteger);
  } else if (*index < INT_MIN || *index > INT_MAX) {
    context.reply.error("ERR value is out of range, value must between -2147483648 and 2147483647");
  } else if (!is_database(*index)) {
    context.reply.error(kNoSuchDatabase);
  } else {
    context.client->database = static_cast<uint32_t>(*index);
    context.reply.ok();
  }
}

void auth_command(Context& context) {
  const Arguments arguments = context.arguments;
  constexpr size_t kArgumentsMax = 3;
  if (arguments.size() > kArgumentsMax) {
    context.reply.error(kSyntaxError);
    return;
  }
  const bool names_user = arguments.size() == kArgumentsMax;
  if (!names_user && !context.services->password_required()) {
    context.reply.error(
        "ERR AUTH <password> called without any password configured for the default user. "
        "Are you sure your configuration is correct?");
    return;
  }
  const base::Status status =
      context.services->authenticate(names_user ? arguments[1] : kDefaultUser, arguments.back());
  if (!status.is_ok()) {
    context.reply.error(status.text());
    return;
  }
  context.client->authenticated = true;
  context.reply.ok();
}

void hello_command(Context& context) {
  Client& client = *context.client;
  int protocol = client.protocol;
  if (context.arguments.size() >= 2) {
    const std::optional<int64_t> wanted = base::parse_int64(context.arguments[1]);
    if (!wanted) {
      context.reply.error("ERR Protocol version is not an integer or out of range");
      return;
    }
    if (*wanted != 2 && *wanted != 3) {
      context.reply.error("NOPROTO unsupported protocol version");
      return;
    }
    protocol = static_cast<int>(*wanted);
  }
  const HelloOptions options = read_hello_options(context);
  if (!options.error.empty()) {
    context.reply.error(options.error);
    return;
  }
  if (!client.authenticated) {
    context.reply.error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH "
        "<user> <pass> option can be used to authenticate the client and select the RESP protocol version "
        "at the same time");
    return;
  }
  if (options.name != nullptr) client.name = *options.name;
  client.protocol = protocol;
  context.reply.set_protocol(protocol);
  reply_hello(context);
}

void quit_command(Context& context) {
  context.client->close_after_reply = true;
  context.reply.ok();
}

void reset_command(Context& context) {
  Client& client = *context.client;
  client.transaction = {};
  client.name.clear();
  client.database = 0;
  client.readonly = false;
  client.protocol = 2;
  client.authenticated = !context.services->password_required();
  context.reply.set_protocol(2);
  context.reply.status("RESET");
}

void readonly_command(Context& context) {
  context.client->readonly = true;
  context.reply.ok();
}

void readwrite_command(Context& context) {
  context.client->readonly = false;
  context.reply.ok();
}

}  // namespace leto::command
