// Integers and strings to bytes and back. Refuses to read past the end, and refuses a varint that
// put_varint() would not have written (too long, or with needless zero bytes), so that every value
// has exactly one encoding.
#include "base/coding.h"

#include "base/assert.h"
#include "base/format.h"
#include "base/little_endian.h"

namespace leto::base {

namespace {

constexpr int kVarintBytesMax = 10;

template <typename Integer>
void put(std::string& out, Integer value) {
  char bytes[sizeof value];
  store_little_endian(bytes, value);
  out.append(bytes, sizeof bytes);
}

template <typename Integer>
void set(std::string& out, size_t offset, Integer value) {
  LETO_ASSERT(out.size() >= sizeof value && offset <= out.size() - sizeof value,
              format("offset %zu of %zu", offset, out.size()));
  store_little_endian(out.data() + offset, value);
}

}  // namespace

void put_u8(std::string& out, uint8_t value) { out.push_back(static_cast<char>(value)); }
void put_u16(std::string& out, uint16_t value) { put(out, value); }
void put_u32(std::string& out, uint32_t value) { put(out, value); }
void put_u64(std::string& out, uint64_t value) { put(out, value); }

void put_varint(std::string& out, uint64_t value) {
  char bytes[kVarintBytesMax];
  size_t size = 0;
  while (value >= 0x80) {
    bytes[size++] = static_cast<char>(static_cast<uint8_t>(value) | 0x80);
    value >>= 7;
  }
  bytes[size++] = static_cast<char>(value);
  out.append(bytes, size);
}

void put_string(std::string& out, std::string_view value) {
  put_varint(out, value.size());
  out.append(value);
}

void set_u32(std::string& out, size_t offset, uint32_t value) { set(out, offset, value); }
void set_u64(std::string& out, size_t offset, uint64_t value) { set(out, offset, value); }

void Reader::fail() {
  failed_ = true;
  input_ = {};
}

std::string_view Reader::bytes(size_t size) {
  if (failed_ || size > input_.size()) {
    fail();
    return {};
  }
  const std::string_view taken = input_.substr(0, size);
  input_.remove_prefix(size);
  return taken;
}

uint8_t Reader::u8() {
  const std::string_view taken = bytes(1);
  return taken.empty() ? uint8_t{0} : static_cast<uint8_t>(taken[0]);
}

uint16_t Reader::u16() {
  const std::string_view taken = bytes(sizeof(uint16_t));
  return taken.empty() ? uint16_t{0} : load_little_endian<uint16_t>(taken.data());
}

uint32_t Reader::u32() {
  const std::string_view taken = bytes(sizeof(uint32_t));
  return taken.empty() ? 0 : load_little_endian<uint32_t>(taken.data());
}

uint64_t Reader::u64() {
  const std::string_view taken = bytes(sizeof(uint64_t));
  return taken.empty() ? 0 : load_little_endian<uint64_t>(taken.data());
}

uint64_t Reader::varint() {
  uint64_t value = 0;
  for (int i = 0; i < kVarintBytesMax; ++i) {
    const uint8_t byte = u8();
    if (failed_) return 0;
    const bool last = byte < 0x80;
    const bool overflows = i == kVarintBytesMax - 1 && byte > 1;
    const bool needless = last && byte == 0 && i > 0;
    if (overflows || needless) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (last) return value;
  }
  fail();
  return 0;
}

uint64_t Reader::varint_at_most(uint64_t max) {
  const uint64_t value = varint();
  if (value <= max) return value;
  fail();
  return 0;
}

std::string_view Reader::string() {
  const uint64_t size = varint_at_most(input_.size());
  return bytes(static_cast<size_t>(size));
}

}  // namespace leto::base
