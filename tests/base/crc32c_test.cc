// Vectors of RFC 3720, section B.4, against both engines.
#include "base/crc32c.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/crc32c_engines.h"
#include "base/random.h"
#include "tests/base/hex.h"

namespace leto::base {
namespace {

using Engine = std::function<uint32_t(std::string_view, uint32_t)>;

std::vector<Engine> engines() {
  std::vector<Engine> all = {crc32c, crc32c_by_tables};
  if (has_crc32c_instruction()) all.push_back(crc32c_by_instruction);
  return all;
}

TEST_CASE("crc32c: the examples of RFC 3720 hold for every engine") {
  std::string ascending, descending;
  for (int i = 0; i < 32; ++i) {
    ascending.push_back(static_cast<char>(i));
    descending.push_back(static_cast<char>(31 - i));
  }
  const std::string read_command = test::from_hex(
      "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 "
      "28000000 00000000 02000000 00000000");
  REQUIRE(read_command.size() == 48);
  for (const Engine& crc : engines()) {
    CHECK(crc("", 0) == 0);
    CHECK(crc("123456789", 0) == 0xe3069283);
    CHECK(crc(std::string(32, '\0'), 0) == 0x8a9136aa);
    CHECK(crc(std::string(32, '\xff'), 0) == 0x62a8ab43);
    CHECK(crc(ascending, 0) == 0x46dd794e);
    CHECK(crc(descending, 0) == 0x113fdb5c);
    CHECK(crc(read_command, 0) == 0xd9963a56);
  }
}

TEST_CASE("crc32c: tables and instruction agree at every length and alignment") {
  if (!has_crc32c_instruction()) return;
  Random random(2);
  std::string bytes;
  for (int i = 0; i < 300; ++i) bytes.push_back(static_cast<char>(random.below(256)));
  for (size_t from = 0; from < 9; ++from) {
    for (size_t size = 0; from + size <= bytes.size(); ++size) {
      const std::string_view part = std::string_view(bytes).substr(from, size);
      const uint32_t seed = static_cast<uint32_t>(random.next());
      REQUIRE(crc32c_by_tables(part, seed) == crc32c_by_instruction(part, seed));
    }
  }
}

TEST_CASE("crc32c: the crc of two pieces is the crc of the whole") {
  const std::string text = "the crc of the bytes before is the seed of the bytes behind";
  for (const Engine& crc : engines()) {
    for (size_t cut = 0; cut <= text.size(); ++cut) {
      CHECK(crc(text.substr(cut), crc(text.substr(0, cut), 0)) == crc(text, 0));
    }
  }
}

}  // namespace
}  // namespace leto::base
