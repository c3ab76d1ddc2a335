// A 64-bit hash by folded 64x64 -> 128-bit multiplications over two lanes, 16 bytes at a time. The values
// are written to disk by way of the digest: the golden values in its test never change.
#include "base/hash.h"

#include "base/little_endian.h"

namespace leto::base {

namespace {

__extension__ typedef unsigned __int128 Wide;

// Odd, without structure: the fractional parts of the golden ratio and of the roots of 2, 3 and 5.
constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
constexpr uint64_t kRootOfTwo = 0x6a09e667f3bcc909;
constexpr uint64_t kRootOfThree = 0xbb67ae8584caa73b;
constexpr uint64_t kRootOfFive = 0x3c6ef372fe94f82b;

// The product's two halves folded together; every bit of both factors reaches every bit of the result.
uint64_t fold(uint64_t a, uint64_t b) {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// The last 0 to 16 bytes as two words; the length, mixed in at the end, tells short tails apart.
struct Tail {
  uint64_t low = 0;
  uint64_t high = 0;
};

Tail load_tail(std::string_view bytes) {
  const char* const first = bytes.data();
  const size_t size = bytes.size();
  if (size >= 8) {
    return {load_little_endian<uint64_t>(first), load_little_endian<uint64_t>(first + size - 8)};
  }
  if (size >= 4) {
    return {load_little_endian<uint32_t>(first), load_little_endian<uint32_t>(first + size - 4)};
  }
  Tail tail;
  for (const char byte : bytes) tail.low = (tail.low << 8) | static_cast<uint8_t>(byte);
  return tail;
}

}  // namespace

uint64_t mix64(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

uint64_t hash64(std::string_view bytes, uint64_t seed) {
  const uint64_t size = bytes.size();
  // A word equal to the value it is xored with makes a product 0 and forgets the other factor. Both
  // sides depend on the seed, so that nobody who does not know it can choose such words.
  const uint64_t left = mix64(seed ^ kGolden);
  const uint64_t right = mix64(seed ^ kRootOfThree);
  uint64_t first = left ^ kRootOfTwo;
  uint64_t second = right ^ kRootOfFive;
  while (bytes.size() > 32) {
    const char* const from = bytes.data();
    first =
        fold(load_little_endian<uint64_t>(from) ^ left, load_little_endian<uint64_t>(from + 8) ^ first);
    second = fold(load_little_endian<uint64_t>(from + 16) ^ right,
                  load_little_endian<uint64_t>(from + 24) ^ second);
    bytes.remove_prefix(32);
  }
  uint64_t state = first ^ (second * kGolden);
  if (bytes.size() > 16) {
    state = fold(load_little_endian<uint64_t>(bytes.data()) ^ right,
                 load_little_endian<uint64_t>(bytes.data() + 8) ^ state);
    bytes.remove_prefix(16);
  }
  const Tail tail = load_tail(bytes);
  state = fold(tail.low ^ left, tail.high ^ state);
  return mix64(state ^ (size * kRootOfThree));
}

}  // namespace leto::base
