#include "raft/entry_cache.h"

#include <doctest/doctest.h>

#include <deque>

#include "base/random.h"

namespace leto::raft {
namespace {

constexpr size_t kChunk = EntryCache::kEntriesPerChunk;

Entry entry(Index index, Payload payload) { return {.id = {.term = 1, .index = index}, .payload = std::move(payload)}; }

EntryCache cache_of(size_t count, const Payload& payload) {
  EntryCache cache;
  for (size_t i = 0; i < count; ++i) cache.push_back(entry(i, payload));
  return cache;
}

TEST_CASE("entry cache: what is dropped, however much, is freed in bounded steps") {
  const Payload payload = std::make_shared<const std::string>("x");
  constexpr size_t kCount = 200'000;
  EntryCache cache = cache_of(kCount, payload);
  REQUIRE(payload.use_count() == kCount + 1);
  SUBCASE("from the front") { cache.drop_front(kCount - 10); }
  SUBCASE("from the back") { cache.drop_back(kCount - 10); }
  SUBCASE("all") { cache.drop_back(kCount); }
  SUBCASE("by bytes") { cache.shrink(1000, kCount); }
  // But for parts of a chunk at one end or the other, nothing was freed yet.
  CHECK(static_cast<size_t>(payload.use_count()) + 2 * kChunk > kCount);
  CHECK(cache.size() <= 10);
  long before = payload.use_count();
  size_t steps = 0;
  for (; cache.waiting() > 0; ++steps) {
    cache.free_some(2);
    REQUIRE(before - payload.use_count() <= static_cast<long>(2 * kChunk));
    before = payload.use_count();
  }
  CHECK(steps >= kCount / kChunk / 2);
  CHECK(static_cast<size_t>(payload.use_count()) == cache.size() + 1);
}

TEST_CASE("entry cache: it holds what a simple queue holds, and counts its bytes") {
  base::Random random(3);
  EntryCache cache;
  std::deque<Entry> simple;
  Index next = 1;
  const auto compare = [&] {
    REQUIRE(cache.size() == simple.size());
    size_t bytes = 0;
    for (const Entry& each : simple) bytes += each.size() + EntryCache::kOverheadBytes;
    REQUIRE(cache.bytes() == bytes);
    for (size_t place = 0; place < simple.size(); ++place) {
      REQUIRE(cache.at(place).id == simple[place].id);
      REQUIRE(cache.at(place).payload == simple[place].payload);
    }
  };
  for (int round = 0; round < 200; ++round) {
    for (uint64_t i = random.below(400); i > 0; --i) {
      simple.push_back(entry(next++, std::make_shared<const std::string>(random.below(50), 'x')));
      cache.push_back(simple.back());
    }
    const size_t count = random.below(simple.size() + 1);
    const size_t bytes_max = random.below(cache.bytes() + 1);
    switch (random.below(3)) {
      case 0:
        cache.drop_front(count);
        simple.erase(simple.begin(), simple.begin() + static_cast<long>(count));
        break;
      case 1:
        cache.drop_back(count);
        simple.erase(simple.end() - static_cast<long>(count), simple.end());
        break;
      default:
        cache.shrink(bytes_max, count);
        for (size_t bytes = 0, i = 0; i < count; ++i) {
          bytes = 0;
          for (const Entry& each : simple) bytes += each.size() + EntryCache::kOverheadBytes;
          if (bytes <= bytes_max) break;
          simple.pop_front();
        }
    }
    if (random.chance(1, 3)) cache.free_some(1);
    compare();
    const EntryCache copy = cache;
    REQUIRE(copy.size() == simple.size());
  }
}

}  // namespace
}  // namespace leto::raft
