#include "command/entry.h"

#include <doctest/doctest.h>

#include <fstream>

#include "base/random.h"
#include "tests/base/hex.h"

namespace leto::command {
namespace {

using Words = std::vector<std::string>;

struct Decoded {
  uint32_t database = 0;
  Words words;
  bool operator==(const Decoded&) const = default;
};

std::string encode(const std::vector<Decoded>& commands, const EntryHeader& header = {}) {
  EntryBuilder builder;
  for (const Decoded& command : commands) {
    const std::vector<std::string_view> views(command.words.begin(), command.words.end());
    builder.add(command.database, views);
  }
  return builder.finish(header);
}

// All commands, or one whose only word says that it failed.
std::vector<Decoded> decode(std::string_view payload) {
  base::Result<EntryReader> entry = EntryReader::open(payload, 1);
  if (!entry.is_ok()) return {{0, {"failed: " + entry.status().text()}}};
  std::vector<Decoded> commands;
  CommandView view;
  while (entry.value().next(view)) {
    commands.push_back({view.database, Words(view.arguments.begin(), view.arguments.end())});
  }
  if (entry.value().failed()) return {{0, {"failed"}}};
  return commands;
}

bool decodes(std::string_view payload) {
  const std::vector<Decoded> commands = decode(payload);
  return commands.empty() || !commands[0].words[0].starts_with("failed");
}

const std::vector<Decoded> kCommands = {
    {0, {"set", "a", "b"}}, {15, {"DEL", "", std::string("\0\r\n", 3)}}, {3, {"incr", std::string(300, 'k')}}};
const EntryHeader kHeader{.time_ms = 1'700'000'000'123, .seed = 0x0123456789abcdef};

TEST_CASE("entry: commands come back as they were, with the header") {
  const std::string payload = encode(kCommands, kHeader);
  base::Result<EntryReader> entry = EntryReader::open(payload, 1);
  REQUIRE(entry.is_ok());
  CHECK(entry.value().header().time_ms == kHeader.time_ms);
  CHECK(entry.value().header().seed == kHeader.seed);
  CHECK(entry.value().count() == 3);
  CHECK(decode(payload) == kCommands);
}

TEST_CASE("entry: format 1 is what tests/golden/entry-v1.hex holds") {
  std::ifstream file(LETO_SOURCE_DIR "/tests/golden/entry-v1.hex");
  REQUIRE(file.good());
  std::string hex;
  for (std::string line; std::getline(file, line);) hex += line.substr(0, line.find('#'));
  const std::string golden = leto::test::from_hex(hex);
  const std::vector<Decoded> commands = {{0, {"set", "key", "value"}}, {2, {"del", "a", ""}}};
  CHECK(decode(golden) == commands);
  CHECK(leto::test::to_hex(encode(commands, kHeader)) == leto::test::to_hex(golden));
}

TEST_CASE("entry: an entry of no commands is one") {
  CHECK(decode(encode({})).empty());
  CHECK(decodes(encode({})));
}

TEST_CASE("entry: a builder is empty again after it finished") {
  EntryBuilder builder;
  const std::vector<std::string_view> words = {"set", "a", "b"};
  const size_t empty = builder.bytes();
  builder.add(0, words);
  CHECK(builder.count() == 1);
  CHECK(builder.bytes() <= empty + EntryBuilder::encoded_size(words));
  const size_t promised = builder.bytes();
  CHECK(builder.finish({}).size() <= promised);
  CHECK(builder.count() == 0);
  CHECK(builder.bytes() == empty);
}

TEST_CASE("entry: every truncation and every extension fails") {
  const std::string payload = encode(kCommands, kHeader);
  for (size_t size = 0; size < payload.size(); ++size) {
    CAPTURE(size);
    REQUIRE_FALSE(decodes(std::string_view(payload).substr(0, size)));
  }
  CHECK_FALSE(decodes(payload + std::string(1, '\0')));
  CHECK(decodes(payload));
}

TEST_CASE("entry: another format and newer semantics are refused by name") {
  std::string payload = encode(kCommands);
  payload[0] = 2;
  CHECK(EntryReader::open(payload, 1).status().text() == "the entry has format 2, this version knows 1");
  payload[0] = 1;
  payload[1] = 2;
  CHECK(EntryReader::open(payload, 1).status().text() == "the entry needs semantics 2, this version knows up to 1");
}

TEST_CASE("entry: tagged fields that nobody knows are skipped, malformed ones are not") {
  constexpr size_t kTagsAt = 1 + 2 + 8 + 8;
  std::string payload = encode(kCommands, kHeader);
  REQUIRE(payload[kTagsAt] == 0);
  std::string tags;
  base::put_varint(tags, 77);
  base::put_string(tags, "from the future");
  std::string with_tags;
  base::put_string(with_tags, tags);
  CHECK(decode(payload.substr(0, kTagsAt) + with_tags + payload.substr(kTagsAt + 1)) == kCommands);
  std::string malformed;
  base::put_string(malformed, tags.substr(0, tags.size() - 1));
  CHECK_FALSE(decodes(payload.substr(0, kTagsAt) + malformed + payload.substr(kTagsAt + 1)));
}

TEST_CASE("entry: counts and sizes that lie fail without taking memory for them") {
  const std::string header = encode({}).substr(0, 20);
  const auto payload = [&](uint64_t commands, uint64_t database, uint64_t arguments) {
    std::string bytes = header;
    base::put_varint(bytes, commands);
    base::put_varint(bytes, database);
    base::put_varint(bytes, arguments);
    return bytes;
  };
  CHECK_FALSE(decodes(payload(1, 0, UINT64_MAX)));
  CHECK_FALSE(decodes(payload(UINT64_MAX, 0, 1)));
  CHECK_FALSE(decodes(payload(1, 16, 0)));
  CHECK_FALSE(decodes(payload(1, 0, 0)));
  std::string lying = payload(1, 0, 1'000'000);
  lying.append(1'000'000, '\x7f');
  base::Result<EntryReader> entry = EntryReader::open(lying, 1);
  REQUIRE(entry.is_ok());
  CommandView view;
  CHECK_FALSE(entry.value().next(view));
  CHECK(view.arguments.capacity() * sizeof(view.arguments[0]) <= lying.size());
}

TEST_CASE("entry: mutated bytes never crash the reader") {
  base::Random random(17);
  const std::string payload = encode(kCommands, kHeader);
  for (int round = 0; round < 50'000; ++round) {
    std::string bytes = payload;
    for (uint64_t i = random.between(1, 4); i > 0; --i) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    }
    size_t size = 0;
    for (const Decoded& command : decode(bytes)) {
      for (const std::string& word : command.words) size += word.size();
    }
    REQUIRE(size <= bytes.size());
  }
}

TEST_CASE("entry: the semantics level travels in the header, also without a command") {
  EntryBuilder nothing;
  const std::string payload = nothing.finish({.time_ms = 5, .seed = 6, .semantics = 2});
  base::Result<EntryReader> entry = EntryReader::open(payload, 2);
  REQUIRE(entry.is_ok());
  CHECK(entry.value().header().semantics == 2);
  CHECK(entry.value().count() == 0);
  CommandView view;
  CHECK_FALSE(entry.value().next(view));
  CHECK_FALSE(entry.value().failed());
  CHECK_FALSE(EntryReader::is_newer(payload, 2));
  CHECK(EntryReader::is_newer(payload, 1));
  CHECK_FALSE(EntryReader::open(payload, 1).is_ok());
}

TEST_CASE("entry: a malformed one is not taken for a newer one") {
  CHECK_FALSE(EntryReader::is_newer("", 1));
  CHECK_FALSE(EntryReader::is_newer(std::string(3, '\0'), 1));
  std::string payload = encode(kCommands);
  CHECK_FALSE(EntryReader::is_newer(payload, 1));
  payload[0] = 2;
  CHECK(EntryReader::is_newer(payload, 1));
}

}  // namespace
}  // namespace leto::command
