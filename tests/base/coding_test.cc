#include "base/coding.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/base/hex.h"

namespace leto::base {
namespace {

using test::from_hex;
using test::to_hex;

std::string varint(uint64_t value) {
  std::string out;
  put_varint(out, value);
  return out;
}

TEST_CASE("coding: integers are little-endian") {
  std::string out;
  put_u8(out, 0x01);
  put_u16(out, 0x0203);
  put_u32(out, 0x04050607);
  put_u64(out, 0x08090a0b0c0d0e0f);
  CHECK(to_hex(out) ==
        "01"
        "0302"
        "07060504"
        "0f0e0d0c0b0a0908");

  Reader reader(out);
  CHECK(reader.u8() == 0x01);
  CHECK(reader.u16() == 0x0203);
  CHECK(reader.u32() == 0x04050607);
  CHECK(reader.u64() == 0x08090a0b0c0d0e0f);
  CHECK(reader.at_end());
}

TEST_CASE("coding: varints have seven bits a byte, lowest first") {
  CHECK(to_hex(varint(0)) == "00");
  CHECK(to_hex(varint(127)) == "7f");
  CHECK(to_hex(varint(128)) == "8001");
  CHECK(to_hex(varint(300)) == "ac02");
  CHECK(to_hex(varint(std::numeric_limits<uint64_t>::max())) == "ffffffffffffffffff01");
}

TEST_CASE("coding: every varint reads back, and no cut of it does") {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const uint64_t value = random.next() >> random.below(64);
    const std::string bytes = varint(value);
    Reader reader(bytes);
    CHECK(reader.varint() == value);
    CHECK(reader.at_end());
    for (size_t size = 0; size < bytes.size(); ++size) {
      Reader cut(std::string_view(bytes).substr(0, size));
      CHECK(cut.varint() == 0);
      CHECK(cut.failed());
    }
  }
}

TEST_CASE("coding: a varint that put_varint would not write is refused") {
  for (const char* bad : {"8000", "ff00", "80808000", "ffffffffffffffffff02", "ffffffffffffffffffff",
                          "8080808080808080808001"}) {
    CAPTURE(bad);
    const std::string bytes = from_hex(bad);
    Reader reader(bytes);
    CHECK(reader.varint() == 0);
    CHECK(reader.failed());
  }
}

TEST_CASE("coding: varint_at_most accepts the bound and refuses what is above") {
  const std::string bytes = varint(1000) + varint(1001);
  Reader reader(bytes);
  CHECK(reader.varint_at_most(1000) == 1000);
  CHECK(reader.varint_at_most(1000) == 0);
  CHECK(reader.failed());
}

TEST_CASE("coding: a string is its length and its bytes, zero bytes included") {
  std::string out;
  put_string(out, std::string_view("a\0b", 3));
  put_string(out, "");
  CHECK(to_hex(out) ==
        "03610062"
        "00");
  Reader reader(out);
  CHECK(reader.string() == std::string_view("a\0b", 3));
  CHECK(reader.string().empty());
  CHECK(reader.at_end());
}

TEST_CASE("coding: a string longer than what is left is refused, whatever length it claims") {
  for (const char* bad : {"0361", "01", "ffffffffffffffffff0161"}) {
    const std::string bytes = from_hex(bad);
    Reader reader(bytes);
    CHECK(reader.string().empty());
    CHECK(reader.failed());
  }
}

TEST_CASE("coding: after a failure every read gives nothing and the failure stays") {
  Reader reader(std::string_view("abc"));
  CHECK(reader.u64() == 0);
  CHECK(reader.failed());
  CHECK_FALSE(reader.at_end());
  CHECK(reader.u8() == 0);
  CHECK(reader.bytes(0).empty());
  CHECK(reader.left() == 0);
  CHECK(reader.failed());
}

TEST_CASE("coding: bytes are views into the input") {
  const std::string input = "hello";
  Reader reader(input);
  CHECK(reader.bytes(4).data() == input.data());
  CHECK(reader.left() == 1);
  CHECK_FALSE(reader.at_end());
}

TEST_CASE("coding: set overwrites in place") {
  std::string out(14, 'x');
  set_u32(out, 1, 0x01020304);
  set_u64(out, 6, 0x1112131415161718);
  CHECK(to_hex(out) ==
        "78"
        "04030201"
        "78"
        "1817161514131211");
}

}  // namespace
}  // namespace leto::base
