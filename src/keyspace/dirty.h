// What changed since the last cut: one record for each changed key, with its own copy of the key and its own
// reference to the value, so that freezing is handing the whole over. Records never move. Filled and freed on the
// loop thread; after the freeze a worker may read it. Private to keyspace/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "keyspace/graveyard.h"
#include "keyspace/keyspace.h"

namespace leto::keyspace {

struct DirtyRecord {
  const char* key = nullptr;
  uint32_t key_size = 0;
  uint64_t space = 0;   // Number of the key's namespace.
  Item item;            // value null: erased.
  // The key (perhaps this one) that had this value at the cut before; null if no key of this namespace had. Of the same set.
  const DirtyRecord* origin = nullptr;
};

class DirtySet {
 public:
  // A record without a value, with a copy of `key`.
  DirtyRecord* add(uint64_t space, std::string_view key);
  // Frees up to `count` of the last records with their values; true if none is left.
  bool remove_some(size_t count);

  size_t size() const { return size_; }
  // Memory of records and keys, not of values.
  size_t bytes() const { return bytes_; }
  template <typename Visit>
  void for_each(Visit visit) const;

 private:
  static constexpr size_t kRecordsPerChunk = 512;
  static constexpr size_t kKeyBlockBytes = 32 << 10;
  struct Chunk {
    DirtyRecord records[kRecordsPerChunk];
  };

  std::string_view copy_key(std::string_view key);

  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<std::unique_ptr<char[]>> key_blocks_;
  char* free_ = nullptr;
  size_t free_bytes_ = 0;
  size_t size_ = 0;
  size_t bytes_ = 0;
};

template <typename Visit>
void DirtySet::for_each(Visit visit) const {
  for (size_t i = 0; i < size_; ++i) visit(chunks_[i / kRecordsPerChunk]->records[i % kRecordsPerChunk]);
}

struct Cut::Dirty {
  std::unique_ptr<DirtySet> set;
  std::shared_ptr<Graveyard> graveyard;   // Where the set goes with the cut.
};

}  // namespace leto::keyspace
