// How long a start takes to load a million small keys. Not part of the tests; the first run makes the file, the second
// one loads it into a fresh heap, as a start does:
//   LETO_BENCH_DIR=/some/disk bin/leto-tests --no-skip -tc='bench: loading*'
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "base/format.h"
#include "keyspace/keyspace.h"
#include "storage/load.h"
#include "storage/vfs_file.h"
#include "tests/storage/support.h"

namespace leto::storage {

namespace {

using keyspace::Keyspace;
using WallClock = std::chrono::steady_clock;   // Of the wall: run it on a quiet machine.

constexpr uint64_t kManyKeys = 1000000;

double seconds_since(WallClock::time_point start) {
  return std::chrono::duration<double>(WallClock::now() - start).count();
}

void report(const char* what, double seconds) {
  std::printf("  %-40s %6.3f s  %5.0f ns a key\n", what, seconds, seconds * 1e9 / static_cast<double>(kManyKeys));
}

std::unique_ptr<KeyStore> open_bench(const std::string& directory) {
  base::Result<std::unique_ptr<KeyStore>> store = KeyStore::open({.directory = directory, .vfs = "", .generation = 1});
  REQUIRE_MESSAGE(store.is_ok(), store.status().text());
  return std::move(store.value());
}

void write_keys(const std::string& directory) {
  Keyspace keys;
  for (uint64_t i = 0; i < kManyKeys; ++i) {
    keys.set(0, base::format("key:%012llu", static_cast<unsigned long long>(i * 7919 % kManyKeys)),
             {.value = keyspace::make_string(std::string(32, 'v')), .version = {.index = i, .position = 0}});
  }
  const auto store = open_bench(directory);
  const keyspace::StateHeader header{.applied_index = kManyKeys, .configuration = {}, .digest = keys.digest()};
  const keyspace::Cut cut = keys.freeze(header);
  auto start = WallClock::now();
  REQUIRE(store->flush(cut, {.index = kManyKeys, .term = 1}).is_ok());
  report("flush", seconds_since(start));
  start = WallClock::now();
  REQUIRE(store->checkpoint().is_ok());
  report("checkpoint", seconds_since(start));
  REQUIRE(store->close().is_ok());
}

}  // namespace

TEST_CASE("bench: loading a million small keys" * doctest::skip()) {
  const char* where = std::getenv("LETO_BENCH_DIR");
  REQUIRE_MESSAGE(where != nullptr, "set LETO_BENCH_DIR to a directory on the disk in question");
  const std::string directory = std::string(where) + "/load";
  mkdir(directory.c_str(), 0700);
  if (!file_exists("", directory + "/keys-1.db")) return write_keys(directory);
  auto start = WallClock::now();
  const auto store = open_bench(directory);
  report("open", seconds_since(start));
  Keyspace keys;
  start = WallClock::now();
  REQUIRE(load_keyspace(*store, keys).is_ok());
  report("load_keyspace", seconds_since(start));
  CHECK(keys.size() == kManyKeys);
  start = WallClock::now();
  uint64_t rows = 0;
  REQUIRE(store->load([&](uint32_t, std::string_view, keyspace::Item) { ++rows; }).is_ok());
  report("of it, reading and checking rows", seconds_since(start));
  CHECK(rows == kManyKeys);
}

}  // namespace leto::storage
