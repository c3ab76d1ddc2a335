// docs/protocol.md says what the code does, and tests/golden/frame-v1.hex what version 1 did.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "base/format.h"
#include "peer/codec.h"
#include "peer/limits.h"
#include "peer/parts.h"
#include "tests/base/hex.h"
#include "tests/peer/samples.h"

namespace leto::peer {
namespace {

std::string file_text(const std::string& path) {
  std::ifstream file(std::string(LETO_SOURCE_DIR) + "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  REQUIRE_MESSAGE(!text.str().empty(), path);
  return text.str();
}

// The ```hex blocks: their first line is "# Name", the rest bytes with remarks behind '#'.
std::map<std::string, std::string> document_examples() {
  std::map<std::string, std::string> examples;
  std::istringstream lines(file_text("docs/protocol.md"));
  for (std::string line; std::getline(lines, line);) {
    if (line != "```hex") continue;
    std::getline(lines, line);
    REQUIRE(line.starts_with("# "));
    std::string& bytes = examples[line.substr(2)];
    REQUIRE(bytes.empty());
    while (std::getline(lines, line) && line != "```") {
      bytes += leto::test::from_hex(line.substr(0, line.find('#')));
    }
  }
  return examples;
}

TEST_CASE(
    "protocol document: its examples are exactly the frames that the code writes, one for each type") {
  std::map<std::string, std::string> examples = document_examples();
  for (const test::Sample& sample : test::sample_frames()) {
    CAPTURE(sample.name);
    REQUIRE(examples.contains(sample.name));
    CHECK(leto::test::to_hex(examples[sample.name]) == leto::test::to_hex(sample.bytes));
    examples.erase(sample.name);
  }
  CHECK(examples.empty());
}

TEST_CASE("protocol document: every frame type that has a name has an example") {
  const std::map<std::string, std::string> examples = document_examples();
  for (int type = 0; type < 256; ++type) {
    const std::string name = frame_type_name(static_cast<FrameType>(type));
    if (name == "unknown") continue;
    CAPTURE(name);
    REQUIRE(examples.contains(name));
    CHECK(static_cast<unsigned char>(examples.at(name)[5]) == type);
  }
}

TEST_CASE("protocol document: its limits are those of limits.h") {
  const std::string text = file_text("docs/protocol.md");
  struct Limit {
    const char* name;
    size_t value;
  };
  const Limit limits[] = {
      {"kHandshakeFrameBytesMax", kHandshakeFrameBytesMax},
      {"kFrameBytesMax", kFrameBytesMax},
      {"kHeaderBytes", kHeaderBytes},
      {"kControlFrameMsMax", kControlFrameMsMax},
      {"kBulkFrameMsMax", kBulkFrameMsMax},
      {"kPartBytes", kPartBytes},
      {"kPartedHeadBytesMax", kPartedHeadBytesMax},
      {"kPartedBodyBytesMax", kPartedBodyBytesMax},
      {"kEntryBytesMax", kEntryBytesMax},
      {"kEntriesMax", kEntriesMax},
      {"kTaggedFieldsMax", kTaggedFieldsMax},
      {"kSnapshotChunkBytesMax", kSnapshotChunkBytesMax},
      {"kControlForwardBytes", kControlForwardBytes},
      {"kForwardRequestsMax", kForwardRequestsMax},
      {"kForwardCommandsMax", kForwardCommandsMax},
      {"kForwardArgumentsMax", kForwardArgumentsMax},
      {"kClusterBytes", kClusterBytes},
      {"kNonceBytes", kNonceBytes},
      {"kMacBytes", kMacBytes},
      {"kSecretBytesMin", kSecretBytesMin},
      {"kSecretBytesMax", kSecretBytesMax},
      {"kIdBytesMax", kIdBytesMax},
      {"kAddressBytesMax", kAddressBytesMax},
      {"kSentenceBytesMax", kSentenceBytesMax},
      {"kAdoptProofsMax", kAdoptProofsMax},
  };
  for (const Limit& limit : limits) {
    CAPTURE(limit.name);
    CHECK(text.find(base::format("| `%s` | %zu |", limit.name, limit.value)) != std::string::npos);
  }
}

// If this fails, nodes of two versions can no longer talk: it is the code that is wrong, not the file.
TEST_CASE("golden frames: what version 1 wrote is still read, and still written") {
  std::map<std::string, std::string> golden;
  std::istringstream lines(file_text("tests/golden/frame-v1.hex"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) continue;
    const size_t colon = line.find(": ");
    REQUIRE(colon != std::string::npos);
    golden[line.substr(0, colon)] = leto::test::from_hex(line.substr(colon));
  }
  const std::vector<test::Sample> samples = test::sample_frames();
  CHECK(golden.size() == samples.size());
  for (const test::Sample& sample : samples) {
    CAPTURE(sample.name);
    CHECK(leto::test::to_hex(golden[sample.name]) == leto::test::to_hex(sample.bytes));
  }
  const auto& names = test::kMessageNames;
  const std::vector<raft::Message> messages = test::sample_messages();
  for (size_t i = 0; i < messages.size(); ++i) {
    CAPTURE(names[i]);
    const test::OwnedFrame frame = test::cut(golden[names[i]])[0];
    base::Result<raft::Message> message = decode(frame.type, frame.payload);
    REQUIRE(message.is_ok());
    CHECK(test::operator==(message.value(), messages[i]));
  }
}

}  // namespace
}  // namespace leto::peer
