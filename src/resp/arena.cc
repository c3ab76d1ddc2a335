// A bump allocator. Blocks grow so that a request of a million small arguments needs few of them.
#include "resp/arena.h"

#include <algorithm>
#include <cstring>

namespace leto::resp {

std::string_view Arena::copy(std::string_view bytes) {
  if (bytes.empty()) return {"", 0};
  char* const place = allocate(bytes.size());
  std::memcpy(place, bytes.data(), bytes.size());
  return {place, bytes.size()};
}

char* Arena::allocate(size_t size) {
  if (size > free_bytes_) {
    const size_t grown = blocks_.empty() ? kBlockMin : std::min(2 * blocks_.back().size, kBlockMax);
    const size_t block_size = std::max(size, grown);
    blocks_.push_back({std::make_unique_for_overwrite<char[]>(block_size), block_size});
    allocated_ += block_size;
    free_ = blocks_.back().bytes.get();
    free_bytes_ = block_size;
  }
  char* const place = free_;
  free_ += size;
  free_bytes_ -= size;
  return place;
}

void Arena::reset() {
  if (blocks_.empty()) return;
  if (blocks_.back().size > kKeptMax) {
    blocks_.clear();
    blocks_.shrink_to_fit();
    free_ = nullptr;
    free_bytes_ = 0;
    allocated_ = 0;
    return;
  }
  if (blocks_.size() > 1) blocks_.erase(blocks_.begin(), blocks_.end() - 1);
  free_ = blocks_.back().bytes.get();
  free_bytes_ = blocks_.back().size;
  allocated_ = free_bytes_;
}

}  // namespace leto::resp
