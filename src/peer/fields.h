// The two visitors of a message's field list: one writes the fields, one reads them back. A field list is
//
//   template <typename Visitor, Of<Proof> Value>
//   void fields(Visitor& visit, Value& proof) { visit.bytes("mac", proof.mac, kMacBytes); }
//
// and there is one per message, so that writing and reading cannot drift apart. Each list ends with end():
// the count of tagged optional fields, and those, which a reader that does not know them skips.
// A value that breaks its bound is our own bug when written and a malformed message when read.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"
#include "peer/frame.h"
#include "peer/limits.h"
#include "raft/types.h"

namespace leto::peer {

template <typename Value, typename Type>
concept Of = std::same_as<std::remove_const_t<Value>, Type>;

// What a string may hold.
enum class TextKind : uint8_t {
  kId,        // base::is_node_id(), or nothing.
  kAddress,   // Printable ASCII without spaces, at most kAddressBytesMax bytes.
  kSentence,  // No control characters, at most kSentenceBytesMax bytes.
};
bool is_text(std::string_view text, TextKind kind);

// A number that a message says as a tagged field: left out if it is `usual` or less. `Integer` is uint16_t, const where it is written.
template <typename Integer>
struct TaggedNumber {
  uint64_t tag;
  const char* name;
  Integer& value;
  uint16_t usual;
};

// An error that names the message and the field.
base::Status malformed(FrameType type, const char* field);

class FieldWriter {
 public:
  explicit FieldWriter(std::string& out) : out_(out) {}

  // A varint.
  template <std::unsigned_integral Integer>
  void number(const char*, Integer value) {
    base::put_varint(out_, value);
  }
  // 8 bytes, for values that use them all.
  void fixed(const char*, uint64_t value) { base::put_u64(out_, value); }
  void flag(const char*, bool value) { base::put_u8(out_, value ? 1 : 0); }
  // One byte, 0 to `largest`.
  template <typename Enum>
  void choice(const char* name, Enum value, Enum largest) {
    LETO_ASSERT(value <= largest, name);
    base::put_u8(out_, static_cast<uint8_t>(value));
  }
  void entry_id(const char*, const raft::EntryId& value);
  // Exactly `size` bytes.
  void bytes(const char* name, const std::string& value, size_t size);
  // A length and that many bytes, `low` to `high` of them; bytes_or_none() also takes none at all.
  void bytes_between(const char* name, const std::string& value, size_t low, size_t high);
  void bytes_or_none(const char* name, const std::string& value, size_t size);
  void text(const char* name, const std::string& value, TextKind kind);
  void text_or_none(const char* name, const std::string& value, TextKind kind);
  void end();
  // end() with tagged fields, each a varint, in the order of their tags.
  void end_with(std::initializer_list<TaggedNumber<const uint16_t>> numbers);
  // end() with one tagged field, up to `count_max` macs one behind the other: left out if there are none.
  void end_with_macs(uint64_t tag, const char* name, const std::string& macs, size_t count_max);

 protected:
  std::string& out() { return out_; }

 private:
  std::string& out_;
};

class FieldReader {
 public:
  explicit FieldReader(std::string_view input) : reader_(input) {}

  template <std::unsigned_integral Integer>
  void number(const char* name, Integer& value) {
    value = static_cast<Integer>(reader_.varint_at_most(std::numeric_limits<Integer>::max()));
    note(name);
  }
  void fixed(const char* name, uint64_t& value);
  void flag(const char* name, bool& value);
  template <typename Enum>
  void choice(const char* name, Enum& value, Enum largest) {
    const uint8_t byte = reader_.u8();
    if (byte > static_cast<uint8_t>(largest)) reader_.fail();
    value = reader_.failed() ? Enum{} : static_cast<Enum>(byte);
    note(name);
  }
  void entry_id(const char* name, raft::EntryId& value);
  void bytes(const char* name, std::string& value, size_t size);
  void bytes_between(const char* name, std::string& value, size_t low, size_t high);
  void bytes_or_none(const char* name, std::string& value, size_t size);
  void text(const char* name, std::string& value, TextKind kind);
  void text_or_none(const char* name, std::string& value, TextKind kind);
  void end();
  void end_with(std::initializer_list<TaggedNumber<uint16_t>> numbers);
  void end_with_macs(uint64_t tag, const char* name, std::string& macs, size_t count_max);

  // Everything that is left.
  std::string_view rest() { return reader_.bytes(reader_.left()); }
  bool failed() const { return reader_.failed(); }
  bool at_end() const { return reader_.at_end(); }
  // The field that was malformed first. REQUIRES: failed().
  const char* failed_field() const { return failed_field_; }

 protected:
  base::Reader& reader() { return reader_; }
  void refuse(const char* name);
  // Remembers `name` if the reader failed just now.
  void note(const char* name);

 private:
  // Calls `take` for each tagged field; false: it is malformed.
  void tagged(const std::function<bool(uint64_t tag, std::string_view field)>& take);

  base::Reader reader_;
  const char* failed_field_ = nullptr;
};

}  // namespace leto::peer
