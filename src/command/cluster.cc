// JOIN, LEAVE, TRANSFER, SNAPSHOT: Leto's own. They check what the client wrote; the node answers once it has happened.
#include <algorithm>
#include <charconv>

#include "base/node_id.h"
#include "command/handlers.h"
#include "command/text.h"

namespace leto::command {

namespace {

constexpr size_t kAddressBytesMax = 256;   // As of the addresses in the peers' messages.
constexpr size_t kPortBytesMax = 6;        // ":65535".
constexpr uint64_t kPortMax = 65535;

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char character) { return character > ' ' && character <= '~'; });
}

// The whole of `text` as a decimal number in [1, max]; 0 if it is not one.
uint64_t parse_positive(std::string_view text, uint64_t max) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = error == std::errc() && end == text.data() + text.size();
  return is_whole && value <= max ? value : 0;
}

// host:port or [v6]:port; with any other port, too, not too long for other nodes.
bool is_address(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + kPortBytesMax > kAddressBytesMax) return false;
  return is_printable(address) && parse_positive(address.substr(colon + 1), kPortMax) != 0;
}

}  // namespace

void join_command(Context& context) {
  constexpr size_t kShort = 3;
  constexpr size_t kLong = 5;
  JoinRequest request;
  request.learner = context.arguments.size() > kShort && is_word(context.arguments.back(), "learner");
  const Arguments arguments = context.arguments.first(context.arguments.size() - (request.learner ? 1 : 0));
  if (arguments.size() != kShort && arguments.size() != kLong) {
    context.reply.error(wrong_arity("join"));
    return;
  }
  request.raft_address = arguments[1];
  request.id = arguments[2];
  if (!is_address(request.raft_address)) {
    context.reply.error("ERR invalid raft address '" + shown(arguments[1], kShownMax) +
                        "', expected host:port");
    return;
  }
  if (!base::is_node_id(request.id)) {
    context.reply.error("ERR invalid node id '" + shown(arguments[2], kShownMax) + "'");
    return;
  }
  if (arguments.size() == kLong) {
    request.node = parse_positive(arguments[3], UINT64_MAX);
    request.client_address = arguments[4];
    if (request.node == 0 || !is_address(request.client_address)) {
      context.reply.error("ERR invalid uid or client address");
      return;
    }
  }
  request.forwarding_host = context.client->forwarding_host;
  context.deferred = true;
  context.services->join(context.ticket, request);
}

void leave_command(Context& context) {
  constexpr size_t kWithForce = 3;
  const Arguments arguments = context.arguments;
  if (arguments.size() > kWithForce) {
    context.reply.error(wrong_arity("leave"));
    return;
  }
  if (!base::is_node_id(arguments[1])) {
    context.reply.error("ERR invalid node id '" + shown(arguments[1], kShownMax) + "'");
    return;
  }
  if (arguments.size() == kWithForce && !is_word(arguments.back(), "force")) {
    context.reply.error("ERR syntax error");
    return;
  }
  context.deferred = true;
  context.services->leave(context.ticket, {.id = std::string(arguments[1]), .force = arguments.size() == kWithForce});
}

void snapshot_command(Context& context) {
  context.deferred = true;
  context.services->snapshot(context.ticket);
}

void transfer_command(Context& context) {
  constexpr size_t kWithId = 2;
  const Arguments arguments = context.arguments;
  if (arguments.size() > kWithId) {
    context.reply.error(wrong_arity("transfer"));
    return;
  }
  const std::string_view id = arguments.size() == kWithId ? arguments[1] : std::string_view();
  if (arguments.size() == kWithId && !base::is_node_id(id)) {
    context.reply.error("ERR invalid node id '" + shown(id, kShownMax) + "'");
    return;
  }
  context.deferred = true;
  context.services->transfer(context.ticket, id);
}

}  // namespace leto::command
