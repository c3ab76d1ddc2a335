// Requests, leto.conf, entries, configurations.
#include <algorithm>
#include <string>

#include "base/assert.h"
#include "base/coding.h"
#include "command/context.h"
#include "command/entry.h"
#include "command/semantics.h"
#include "command/table.h"
#include "command/transaction.h"
#include "keyspace/keyspace.h"
#include "raft/configuration.h"
#include "resp/reply.h"
#include "resp/reply_scan.h"
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

// One command as a Forward holds it. What is taken has to be done by any node, to the same end.
void take_exec(std::string_view bytes) {
  base::Reader reader(bytes);
  command::CommandView view;
  if (!command::read_command(reader, view) || !command::check_exec(view.arguments, keyspace::kDatabases).empty()) return;
  const std::optional<std::string_view> key = command::first_key_of(command::exec_of_writes(), view.arguments);
  LETO_ASSERT(!key || key->size() <= bytes.size(), "a key that is nowhere");
  keyspace::Digest digests[2];
  for (keyspace::Digest& digest : digests) {
    const bool unheard = &digest != digests;
    std::string text;
    resp::Reply reply(text, 2);
    keyspace::Keyspace keyspace;
    command::Context context{.keyspace = keyspace, .services = nullptr, .client = nullptr, .arguments = view.arguments,
                             .reply = reply, .stamp = {}, .unheard = unheard};
    command::exec_of_writes().handler(context);
    std::vector<std::string_view> elements;
    const bool whole = text.starts_with("*-1\r\n") || resp::split_array(text, elements);
    LETO_ASSERT(unheard || whole, "a reply that a forwarding node cannot read");
    LETO_ASSERT(keyspace.digest() == keyspace.recompute_digest(), "the digest is not that of the keys");
    digest = keyspace.digest();
  }
  LETO_ASSERT(digests[0] == digests[1], "it does something else where nobody is answered");
}

void read_configuration(std::string_view bytes) {
  raft::Configuration configuration;
  if (!raft::decode_configuration(bytes, configuration)) return;
  LETO_ASSERT(configuration.members.size() <= raft::kMembersMax, "too many members");
  LETO_ASSERT(raft::encode_configuration(configuration) == bytes, "it is written otherwise than it was read");
}

}  // namespace leto::fuzz
