// DEBUG: what tests need to see and to do. https://redis.io/commands/debug
#include <algorithm>
#include <charconv>

#include "base/number.h"
#include "command/handlers.h"
#include "command/text.h"

namespace leto::command {

namespace {

constexpr double kSleepSecondsMax = 3600;
constexpr int64_t kSyncDelayMsMax = 600'000;

// As strtod() reads it: what is no number is 0.
double parse_seconds(std::string_view text) {
  double seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return seconds > 0 ? std::min(seconds, kSleepSecondsMax) : 0;
}

void sleep_command(Context& context) {
  constexpr double kMicroseconds = 1e6;
  context.services->debug_sleep(static_cast<uint64_t>(parse_seconds(context.arguments[2]) * kMicroseconds));
  context.reply.ok();
}

void sync_delay_command(Context& context) {
  const std::optional<int64_t> delay_ms = base::parse_int64(context.arguments[2]);
  if (!delay_ms || *delay_ms < 0 || *delay_ms > kSyncDelayMsMax) {
    context.reply.error(kNotAnInteger);
    return;
  }
  context.services->debug_sync_delay(static_cast<uint64_t>(*delay_ms));
  context.reply.ok();
}

void digest_command(Context& context) { context.reply.status(context.services->digest()); }

// Switches of Redis that mean nothing here, which test suites set.
void accept_command(Context& context) { context.reply.ok(); }

void debug_help_command(Context& context) {
  constexpr std::string_view kLines[] = {
      "DIGEST",
      "    Output a hex signature representing the current DB content.",
      "SET-ACTIVE-EXPIRE <0|1>",
      "    Accepted; Leto has no background expiry yet.",
      "SLEEP <seconds>",
      "    Stop the server for <seconds>. Decimals allowed.",
      "SYNC-DELAY <milliseconds>",
      "    Make every fsync of the log take so much longer. 0 ends it.",
  };
  reply_help(context, kLines);
}

}  // namespace

void debug_command(Context& context) {
  struct Row {
    std::string_view name;
    size_t arguments;
    void (*handler)(Context&);
  };
  constexpr Row kRows[] = {
      {"digest", 2, digest_command},
      {"help", 2, debug_help_command},
      {"jmap", 2, accept_command},
      {"pause-cron", 3, accept_command},
      {"quicklist-packed-threshold", 3, accept_command},
      {"set-active-expire", 3, accept_command},
      {"set-skip-checksum-validation", 3, accept_command},
      {"sleep", 3, sleep_command},
      {"sync-delay", 3, sync_delay_command},
  };
  if (!context.services->debug_allowed(*context.client)) {
    context.reply.error(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can "
        "run it from a local connection, otherwise you need to set this option in the configuration file, "
        "and then restart the server.");
    return;
  }
  const std::string_view name = context.arguments[1];
  for (const Row& row : kRows) {
    if (is_word(name, row.name) && context.arguments.size() == row.arguments) return row.handler(context);
  }
  context.reply.error("ERR unknown subcommand or wrong number of arguments for '" + shown(name, kShownMax) +
                      "'. Try DEBUG HELP.");
}

}  // namespace leto::command
