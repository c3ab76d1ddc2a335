// Requests, leto.conf, entries, configurations.
#include <algorithm>
#include <string>

#include "base/assert.h"
#include "command/entry.h"
#include "command/semantics.h"
#include "raft/configuration.h"
#include "resp/request_parser.h"
#include "server/options.h"
#include "tests/fuzz/targets.h"

namespace leto::fuzz {

namespace {

constexpr size_t kQueryBufferBytes = 1 << 20;
constexpr size_t kEntryCommandsMax = 1 << 20;

}  // namespace

// The first byte says how long the pieces are, and whether the client has authenticated.
void parse_requests(std::string_view bytes) {
  if (bytes.empty()) return;
  const auto first = static_cast<unsigned char>(bytes.front());
  bytes.remove_prefix(1);
  resp::ParserLimits limits;
  limits.bulk_bytes_max = 64 << 10;
  limits.query_buffer_max = kQueryBufferBytes;
  limits.unauthenticated = (first & 1) != 0;
  resp::RequestParser parser(limits);
  const size_t piece = 1 + first / 2;
  while (!bytes.empty()) {
    parser.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    resp::ParseOutcome outcome = parser.next();
    for (; outcome == resp::ParseOutcome::kRequest; outcome = parser.next())
      LETO_ASSERT(!parser.arguments().empty(), "an empty request");
    LETO_ASSERT(parser.buffered_bytes() <= kQueryBufferBytes + piece, "more is held than allowed");
    if (outcome != resp::ParseOutcome::kError) continue;
    LETO_ASSERT(parser.query_buffer_exceeded() || !parser.error().empty(), "an error without a text");
    return;
  }
}

void parse_conf_file(std::string_view bytes) {
  server::Options options;
  const base::Status status = server::parse_conf(bytes, "fuzz.conf", options);
  LETO_ASSERT(status.is_ok() || status.text().starts_with("fuzz.conf:"), "an error that does not say where");
}

void read_entry(std::string_view bytes) {
  base::Result<command::EntryReader> opened = command::EntryReader::open(bytes, command::kSemanticsSupported);
  if (!opened.is_ok()) return;
  command::CommandView view;
  size_t commands = 0;
  while (opened.value().next(view)) {
    LETO_ASSERT(!view.arguments.empty(), "a command without a name");
    LETO_ASSERT(++commands <= kEntryCommandsMax, "more commands than bytes");
  }
  LETO_ASSERT(opened.value().failed() || commands == opened.value().count(), "commands are missing");
}

void read_configuration(std::string_view bytes) {
  raft::Configuration configuration;
  if (!raft::decode_configuration(bytes, configuration)) return;
  LETO_ASSERT(configuration.members.size() <= raft::kMembersMax, "too many members");
  LETO_ASSERT(raft::encode_configuration(configuration) == bytes, "it is written otherwise than it was read");
}

}  // namespace leto::fuzz
