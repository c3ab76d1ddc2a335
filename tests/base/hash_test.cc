#include "base/hash.h"

#include <doctest/doctest.h>

#include <bit>
#include <set>
#include <string>

namespace leto::base {
namespace {

std::string text_of(size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text.push_back(static_cast<char>('a' + i % 26));
  return text;
}

// These are on disks: the digest and the order of elements come from them.
TEST_CASE("hash64: the golden values never change") {
  CHECK(hash64("", 0) == 0x2282a8ecc932a77eULL);
  CHECK(hash64("a", 0) == 0x70834b40bc80defeULL);
  CHECK(hash64("abc", 1) == 0x5facca2135b18a23ULL);
  CHECK(hash64(text_of(4), 2) == 0xe28083bc7d39ad73ULL);
  CHECK(hash64(text_of(8), 3) == 0x2e6f8faf9e828350ULL);
  CHECK(hash64(text_of(16), 4) == 0x06fc1e0f1d45654fULL);
  CHECK(hash64(text_of(17), 5) == 0xc905e2817cd9d04aULL);
  CHECK(hash64(text_of(32), 6) == 0x423ada31065e73d6ULL);
  CHECK(hash64(text_of(33), 7) == 0xe519fa655cf62a71ULL);
  CHECK(hash64(text_of(100), 8) == 0x6b930bb2bbc1161fULL);
  CHECK(hash64(std::string(1000, '\xff'), 9) == 0x5174f995f589ee6aULL);
}

TEST_CASE("mix64: is the finalizer of splitmix64") {
  CHECK(mix64(0) == 0);
  CHECK(mix64(0x9e3779b97f4a7c15) == 0xe220a8397b1dcdaf);
}

TEST_CASE("hash64: flipping any one bit of any short text changes about half of the hash") {
  for (size_t size = 1; size <= 70; ++size) {
    const std::string text = text_of(size);
    const uint64_t before = hash64(text, 42);
    int flipped = 0;
    for (size_t bit = 0; bit < size * 8; ++bit) {
      std::string other = text;
      other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << (bit % 8)));
      const int distance = std::popcount(before ^ hash64(other, 42));
      REQUIRE(distance > 8);
      flipped += distance;
    }
    const double mean = static_cast<double>(flipped) / static_cast<double>(size * 8);
    CHECK(mean > 27);
    CHECK(mean < 37);
  }
}

TEST_CASE("hash64: texts that differ only in their length, and seeds, tell apart") {
  std::set<uint64_t> seen;
  for (size_t size = 0; size < 200; ++size) {
    seen.insert(hash64(std::string(size, '\0'), 0));
    seen.insert(hash64(std::string(size, '\0'), 1));
  }
  CHECK(seen.size() == 400);
}

TEST_CASE("hash64: reads nothing beside its bytes") {
  const std::string text = text_of(80);
  for (size_t from = 0; from < 10; ++from) {
    for (size_t size = 0; from + size < text.size(); ++size) {
      const std::string alone = text.substr(from, size);
      REQUIRE(hash64(std::string_view(text).substr(from, size), 3) == hash64(alone, 3));
    }
  }
}

TEST_CASE("hash64: numbered keys spread evenly over buckets") {
  int buckets[64] = {};
  for (int i = 0; i < 64000; ++i) ++buckets[hash64("key:" + std::to_string(i), 7) % 64];
  for (const int count : buckets) {
    CHECK(count > 850);
    CHECK(count < 1150);
  }
}

}  // namespace
}  // namespace leto::base
