// The visitors' bodies; see the header.
#include "peer/fields.h"

#include "base/format.h"
#include "base/node_id.h"

namespace leto::peer {

namespace {

bool is_character(char c, TextKind kind) {
  const unsigned char byte = static_cast<unsigned char>(c);
  if (kind == TextKind::kAddress) return byte > 0x20 && byte < 0x7f;
  return byte >= 0x20 && byte != 0x7f;
}

size_t text_bytes_max(TextKind kind) {
  return kind == TextKind::kAddress ? kAddressBytesMax : kSentenceBytesMax;
}

}  // namespace

base::Status malformed(FrameType type, const char* field) {
  return base::Status::error(base::format("malformed %s: %s", frame_type_name(type), field));
}

bool is_text(std::string_view text, TextKind kind) {
  if (kind == TextKind::kId) return text.empty() || base::is_node_id(text);
  if (text.size() > text_bytes_max(kind)) return false;
  for (const char c : text) {
    if (!is_character(c, kind)) return false;
  }
  return true;
}

void FieldWriter::entry_id(const char* name, const raft::EntryId& value) {
  number(name, value.term);
  number(name, value.index);
}

void FieldWriter::bytes(const char* name, const std::string& value, size_t size) {
  LETO_ASSERT(value.size() == size, base::format("%s has %zu bytes, not %zu", name, value.size(), size));
  out_.append(value);
}

void FieldWriter::bytes_between(const char* name, const std::string& value, size_t low, size_t high) {
  LETO_ASSERT(value.size() >= low && value.size() <= high,
              base::format("%s has %zu bytes, not %zu to %zu", name, value.size(), low, high));
  base::put_string(out_, value);
}

void FieldWriter::bytes_or_none(const char* name, const std::string& value, size_t size) {
  LETO_ASSERT(value.empty() || value.size() == size,
              base::format("%s has %zu bytes, not 0 or %zu", name, value.size(), size));
  base::put_string(out_, value);
}

void FieldWriter::text(const char* name, const std::string& value, TextKind kind) {
  LETO_ASSERT(!value.empty(), base::format("%s is empty", name));
  text_or_none(name, value, kind);
}

void FieldWriter::text_or_none(const char* name, const std::string& value, TextKind kind) {
  LETO_ASSERT(is_text(value, kind), base::format("%s is no such text: %s", name, value.c_str()));
  base::put_string(out_, value);
}

void FieldWriter::end() { base::put_varint(out_, 0); }

void FieldWriter::end_with(std::initializer_list<TaggedNumber<const uint16_t>> numbers) {
  const auto is_said = [](const TaggedNumber<const uint16_t>& number) { return number.value > number.usual; };
  base::put_varint(out_, static_cast<uint64_t>(std::count_if(numbers.begin(), numbers.end(), is_said)));
  for (const TaggedNumber<const uint16_t>& number : numbers) {
    if (!is_said(number)) continue;
    base::put_varint(out_, number.tag);
    std::string field;
    base::put_varint(field, number.value);
    base::put_string(out_, field);
  }
}

void FieldWriter::end_with_macs(uint64_t tag, const char* name, const std::string& macs, size_t count_max) {
  LETO_ASSERT(macs.size() % kMacBytes == 0 && macs.size() <= kMacBytes * count_max,
              base::format("%s has %zu bytes, not up to %zu macs", name, macs.size(), count_max));
  if (macs.empty()) return end();
  base::put_varint(out_, 1);
  base::put_varint(out_, tag);
  base::put_string(out_, macs);
}

void FieldReader::note(const char* name) {
  if (reader_.failed() && failed_field_ == nullptr) failed_field_ = name;
}

void FieldReader::refuse(const char* name) {
  reader_.fail();
  note(name);
}

void FieldReader::fixed(const char* name, uint64_t& value) {
  value = reader_.u64();
  note(name);
}

void FieldReader::flag(const char* name, bool& value) {
  const uint8_t byte = reader_.u8();
  if (byte > 1) refuse(name);
  value = byte == 1;
  note(name);
}

void FieldReader::entry_id(const char* name, raft::EntryId& value) {
  number(name, value.term);
  number(name, value.index);
}

void FieldReader::bytes(const char* name, std::string& value, size_t size) {
  value = reader_.bytes(size);
  note(name);
}

void FieldReader::bytes_between(const char* name, std::string& value, size_t low, size_t high) {
  const std::string_view view = reader_.string();
  if (view.size() < low || view.size() > high) return refuse(name);
  value = view;
  note(name);
}

void FieldReader::bytes_or_none(const char* name, std::string& value, size_t size) {
  const std::string_view view = reader_.string();
  if (!view.empty() && view.size() != size) return refuse(name);
  value = view;
  note(name);
}

void FieldReader::text(const char* name, std::string& value, TextKind kind) {
  text_or_none(name, value, kind);
  if (value.empty()) refuse(name);
}

void FieldReader::text_or_none(const char* name, std::string& value, TextKind kind) {
  const std::string_view view = reader_.string();
  if (!is_text(view, kind)) return refuse(name);
  value = view;
  note(name);
}

void FieldReader::end() {
  tagged([](uint64_t, std::string_view) { return true; });
}

void FieldReader::end_with(std::initializer_list<TaggedNumber<uint16_t>> numbers) {
  for (const TaggedNumber<uint16_t>& number : numbers) number.value = number.usual;
  tagged([&](uint64_t tag, std::string_view field) {
    const auto number = std::find_if(numbers.begin(), numbers.end(),
                                     [tag](const TaggedNumber<uint16_t>& each) { return each.tag == tag; });
    if (number == numbers.end()) return true;
    base::Reader reader(field);
    number->value = static_cast<uint16_t>(reader.varint_at_most(std::numeric_limits<uint16_t>::max()));
    const bool sound = !reader.failed() && reader.at_end() && number->value > number->usual;
    if (!sound) refuse(number->name);
    return sound;
  });
}

void FieldReader::end_with_macs(uint64_t tag, const char* name, std::string& macs, size_t count_max) {
  macs.clear();
  tagged([&](uint64_t found, std::string_view field) {
    if (found != tag) return true;
    const bool sound = !field.empty() && field.size() % kMacBytes == 0 && field.size() <= kMacBytes * count_max;
    if (sound) macs = field;
    if (!sound) refuse(name);
    return sound;
  });
}

void FieldReader::tagged(const std::function<bool(uint64_t tag, std::string_view field)>& take) {
  const uint64_t count = reader_.varint_at_most(kTaggedFieldsMax);
  uint64_t previous_tag = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t tag = reader_.varint();
    // Ascending from 1, so that a message has one encoding and no field comes twice.
    if (tag <= previous_tag) return refuse("tagged fields");
    previous_tag = tag;
    const std::string_view field = reader_.string();
    if (reader_.failed()) break;
    if (!take(tag, field)) return;
  }
  note("tagged fields");
}

}  // namespace leto::peer
