// Memory for the arguments of one request: blocks that are filled from the front and given back together.
// Refuses to know what is in them. Bytes never move once they are here. Private to resp/.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace leto::resp {

class Arena {
 public:
  // A copy of `bytes` that lives until reset().
  std::string_view copy(std::string_view bytes);
  // Gives back everything but one small block.
  void reset();
  // Bytes of all blocks, used or not.
  size_t allocated() const { return allocated_; }

  static constexpr size_t kBlockMin = 1024;
  static constexpr size_t kBlockMax = 256 << 10;
  static constexpr size_t kKeptMax = 16 << 10;

 private:
  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t size = 0;
  };

  char* allocate(size_t size);

  std::vector<Block> blocks_;   // The last one is being filled.
  char* free_ = nullptr;
  size_t free_bytes_ = 0;
  size_t allocated_ = 0;
};

}  // namespace leto::resp
