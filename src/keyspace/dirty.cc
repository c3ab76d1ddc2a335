// Records in chunks and keys in blocks: a changed key costs no allocation of its own here.
#include "keyspace/dirty.h"

#include <cstring>

namespace leto::keyspace {

std::string_view DirtySet::copy_key(std::string_view key) {
  if (key.size() > free_bytes_) {
    const size_t size = key.size() > kKeyBlockBytes / 2 ? key.size() : kKeyBlockBytes;
    key_blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    bytes_ += size;
    if (size != kKeyBlockBytes) {
      // A block of its own; the one being filled stays in use.
      std::memcpy(key_blocks_.back().get(), key.data(), key.size());
      return {key_blocks_.back().get(), key.size()};
    }
    free_ = key_blocks_.back().get();
    free_bytes_ = size;
  }
  char* const place = free_;
  if (!key.empty()) std::memcpy(place, key.data(), key.size());
  free_ += key.size();
  free_bytes_ -= key.size();
  return {place, key.size()};
}

DirtyRecord* DirtySet::add(uint64_t space, std::string_view key) {
  if (size_ / kRecordsPerChunk == chunks_.size()) {
    chunks_.push_back(std::make_unique<Chunk>());
    bytes_ += sizeof(Chunk);
  }
  const std::string_view copy = copy_key(key);
  DirtyRecord* const record = &chunks_[size_ / kRecordsPerChunk]->records[size_ % kRecordsPerChunk];
  record->key = copy.data();
  record->key_size = static_cast<uint32_t>(copy.size());
  record->space = space;
  ++size_;
  return record;
}

bool DirtySet::remove_some(size_t count) {
  while (count > 0 && size_ > 0) {
    --count;
    --size_;
    chunks_[size_ / kRecordsPerChunk]->records[size_ % kRecordsPerChunk].item.value.reset();
    if (size_ % kRecordsPerChunk == 0) chunks_.pop_back();
  }
  if (size_ > 0) return false;
  // Nobody reads the keys any more; one block stands for some hundred records.
  constexpr size_t kBlocksPerStep = 16;
  for (size_t i = 0; i < kBlocksPerStep && !key_blocks_.empty(); ++i) key_blocks_.pop_back();
  return key_blocks_.empty();
}

}  // namespace leto::keyspace
