// Format version 1 of a kCommands entry, little-endian:
//
//   u8 format, u16 semantics, u64 time_ms, u64 seed,
//   string of tagged fields (varint tag, string value, ...; none so far),
//   varint count, then for each command: varint database, varint argument count, string arguments.
//
// A string is a varint length and its bytes. What a payload claims is bounded by the bytes it has.
#include "command/entry.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "keyspace/keyspace.h"

namespace leto::command {

namespace {

constexpr size_t kVarintBytesMax = 10;

bool tags_are_well_formed(std::string_view bytes) {
  base::Reader reader(bytes);
  while (reader.left() > 0) {
    reader.varint();
    reader.string();
  }
  return !reader.failed();
}

}  // namespace

EntryBuilder::EntryBuilder() = default;

void put_command(std::string& out, uint32_t database, resp::Arguments arguments) {
  LETO_ASSERT(!arguments.empty() && database < keyspace::kDatabases,
              base::format("%zu arguments, database %u", arguments.size(), database));
  base::put_varint(out, database);
  base::put_varint(out, arguments.size());
  for (const std::string_view argument : arguments) base::put_string(out, argument);
}

bool read_command(base::Reader& reader, CommandView& command) {
  command.arguments.clear();
  command.database = static_cast<uint32_t>(reader.varint_at_most(keyspace::kDatabases - 1));
  const uint64_t count = reader.varint_at_most(reader.left());
  // The count may lie; a view is larger than an argument's smallest encoding.
  command.arguments.reserve(std::min<size_t>(count, reader.left() / sizeof(std::string_view)));
  for (uint64_t i = 0; i < count && !reader.failed(); ++i) command.arguments.push_back(reader.string());
  if (!reader.failed() && count > 0) return true;
  command.arguments.clear();
  return false;
}

void EntryBuilder::add(uint32_t database, resp::Arguments arguments) {
  put_command(commands_, database, arguments);
  ++count_;
}

size_t EntryBuilder::encoded_size(resp::Arguments arguments) {
  size_t size = 2 * kVarintBytesMax;
  for (const std::string_view argument : arguments) size += kVarintBytesMax + argument.size();
  return size;
}

std::string EntryBuilder::finish(const EntryHeader& header) {
  std::string payload;
  payload.reserve(bytes());
  base::put_u8(payload, kEntryFormat);
  base::put_u16(payload, header.semantics);
  base::put_u64(payload, header.time_ms);
  base::put_u64(payload, header.seed);
  base::put_string(payload, "");
  base::put_varint(payload, count_);
  LETO_ASSERT(payload.size() <= kHeaderBytesMax, base::format("a header of %zu bytes", payload.size()));
  payload.append(commands_);
  // A large command must not stay allocated for the small ones that follow.
  std::string().swap(commands_);
  count_ = 0;
  return payload;
}

bool EntryReader::is_newer(std::string_view payload, uint16_t supported) {
  base::Reader reader(payload);
  const uint8_t format = reader.u8();
  const uint16_t semantics = reader.u16();
  return !reader.failed() && (format > kEntryFormat || semantics > supported);
}

base::Result<EntryReader> EntryReader::open(std::string_view payload, uint16_t supported) {
  EntryReader entry(payload);
  const uint8_t format = entry.reader_.u8();
  const uint16_t semantics = entry.reader_.u16();
  if (entry.reader_.failed()) return base::Status::error("the entry ends within its header");
  if (format != kEntryFormat) {
    return base::Status::error(base::format("the entry has format %u, this version knows %u", format, kEntryFormat));
  }
  if (semantics > supported) {
    return base::Status::error(
        base::format("the entry needs semantics %u, this version knows up to %u", semantics, supported));
  }
  entry.header_.semantics = semantics;
  entry.header_.time_ms = entry.reader_.u64();
  entry.header_.seed = entry.reader_.u64();
  const std::string_view tags = entry.reader_.string();
  entry.count_ = static_cast<uint32_t>(entry.reader_.varint_at_most(std::min<size_t>(payload.size(), UINT32_MAX)));
  if (entry.reader_.failed()) return base::Status::error("the entry ends within its header");
  if (!tags_are_well_formed(tags)) return base::Status::error("the entry's tagged fields are malformed");
  return entry;
}

bool EntryReader::next(CommandView& command) {
  command.arguments.clear();
  if (failed_) return false;
  if (read_ == count_) {
    failed_ = !reader_.at_end();
    return false;
  }
  failed_ = !read_command(reader_, command);
  ++read_;
  return !failed_;
}

}  // namespace leto::command
