// The keys file after a sync that failed and forgot what it should have synced.
#include <doctest/doctest.h>

#include "base/random.h"
#include "keyspace/keyspace.h"
#include "tests/storage/support.h"

namespace leto::storage {

namespace {

// One flush: a key more, at this applied index.
base::Status flush_at(KeyStore& store, keyspace::Keyspace& keys, uint64_t index) {
  keys.set(0, "key " + std::to_string(index),
           {.value = keyspace::make_string(std::string(900, 'v')), .version = {.index = index, .position = 0}});
  keyspace::StateHeader header;
  header.applied_index = index;
  header.digest = keys.digest();
  const keyspace::Cut cut = keys.freeze(header);
  return store.flush(cut, {.index = index, .term = 1});
}

}  // namespace

// The next process finds the flush in the cache, counts on it, and the power is cut before it writes anything.
TEST_CASE("a flush that a forgetful sync left readable is durable once the next start has found it") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    TestDisk disk("forgetful_keys");
    const FatalThrows fatal;
    base::Random random(seed);
    keyspace::Keyspace keys;
    const uint64_t count = 2 + seed % 7;
    {
      const auto store = open_keys(disk);
      for (uint64_t index = 1; index < count; ++index) REQUIRE(flush_at(*store, keys, index).is_ok());
      disk.add_fault({.at = 1, .kinds = operations(Operation::kSync), .effect = Effect::kForgetfulSync});
      CHECK_THROWS_AS(static_cast<void>(flush_at(*store, keys, count)), DiskDied);
      disk.kill();
    }
    disk.clear_faults();
    uint64_t found = 0;
    {
      const auto store = open_keys(disk);
      found = store->header().applied_index;
      disk.power_cut(random);
    }
    const auto store = open_keys(disk);
    CHECK(store->header().applied_index == found);
    CHECK(store->witness().index == found);
    CHECK(store->count_keys(0) == found);
  }
}

}  // namespace leto::storage
