// The only place that shifts bytes: little-endian integers, varints and length-prefixed strings,
// appended to a std::string and read back from a string_view with every bound checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace leto::base {

void put_u8(std::string& out, uint8_t value);
void put_u16(std::string& out, uint16_t value);
void put_u32(std::string& out, uint32_t value);
void put_u64(std::string& out, uint64_t value);
// 7 bits a byte, lowest first; at most 10 bytes.
void put_varint(std::string& out, uint64_t value);
// varint length, then the bytes.
void put_string(std::string& out, std::string_view value);
// Overwrites 4 bytes at `offset`. REQUIRES: offset + 4 <= out.size().
void set_u32(std::string& out, size_t offset, uint32_t value);
void set_u64(std::string& out, size_t offset, uint64_t value);

// Reads what the functions above wrote. After the first read past the end or malformed varint every
// later read gives zero / empty and failed() stays true: check it once, at the end. Views returned
// point into the input and live as long as it does. Never allocates.
class Reader {
 public:
  explicit Reader(std::string_view input) : input_(input) {}

  uint8_t u8();
  uint16_t u16();
  uint32_t u32();
  uint64_t u64();
  uint64_t varint();
  // A varint that must not exceed `max`; a larger one fails the reader.
  uint64_t varint_at_most(uint64_t max);
  std::string_view string();
  // Exactly `size` bytes.
  std::string_view bytes(size_t size);

  bool failed() const { return failed_; }
  size_t left() const { return input_.size(); }
  bool at_end() const { return !failed_ && input_.empty(); }
  // Marks the input as malformed.
  void fail();

 private:
  std::string_view input_;
  bool failed_ = false;
};

}  // namespace leto::base
