// What is left of a keys file of which pages are lost: all keys that are on others.
#include "storage/salvage.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "base/format.h"
#include "keyspace/keyspace.h"
#include "storage/key_store.h"
#include "storage/vfs_file.h"

namespace leto::storage {

namespace {

constexpr size_t kPageBytes = 4096, kSmallKeys = 1000, kLargeKeys = 8, kKeysOfAPage = 60;

using Keys = std::map<std::string, std::string>;

// Keys in database 0, many to a page, and a few whose values are in chunks, in database 1.
struct KeysFile {
  KeysFile() {
    char pattern[] = "/tmp/leto-salvage-test-XXXXXX";
    REQUIRE(mkdtemp(pattern) != nullptr);
    directory = pattern;
    path = keys_path(directory, 1);
    keyspace::Keyspace keyspace;
    for (size_t number = 0; number < kSmallKeys; ++number) {
      set(keyspace, 0, base::format("key %04zu", number), std::string(100, static_cast<char>('a' + number % 26)));
    }
    for (size_t number = 0; number < kLargeKeys; ++number) {
      set(keyspace, 1, base::format("large %zu", number), std::string(100000, static_cast<char>('a' + number)));
    }
    const auto store = std::move(KeyStore::open({.directory = directory, .vfs = "", .generation = 1}).value());
    const keyspace::StateHeader header{.applied_index = 1, .applied_term = 1, .configuration = {}, .digest = keyspace.digest()};
    REQUIRE(store->flush(keyspace.freeze(header), {.index = 1, .term = 1}).is_ok());
    REQUIRE(store->checkpoint().is_ok());
    REQUIRE(store->close().is_ok());
    std::filesystem::remove(path + "-wal");
    std::ifstream stream(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(stream), {});
  }
  ~KeysFile() { std::filesystem::remove_all(directory); }

  size_t pages() const { return bytes.size() / kPageBytes; }
  // With these pages full of zeros.
  void lose(const std::vector<size_t>& lost) const {
    std::string changed = bytes;
    for (const size_t page : lost) changed.replace(page * kPageBytes, kPageBytes, kPageBytes, '\0');
    std::ofstream(path, std::ios::binary | std::ios::trunc) << changed;
  }
  // How many keys are lost. What is found is right, and a loss is told.
  size_t count_lost() const {
    Keys found;
    size_t told = 0;
    const auto keep = [&](uint32_t database, std::string_view key, keyspace::Item item) {
      const bool is_new = found.emplace(base::format("%u ", database) + std::string(key), item.value->string).second;
      CHECK(is_new);
    };
    const base::Status status = salvage_keys(directory, 1, keep, [&](const std::string&) { ++told; });
    for (const auto& [key, value] : found) CHECK(all.at(key) == value);
    const size_t lost = all.size() - found.size();
    CHECK((lost == 0 || told > 0 || !status.is_ok()));
    return lost;
  }

  std::string directory, path, bytes;
  Keys all;

 private:
  void set(keyspace::Keyspace& keyspace, uint32_t database, const std::string& key, const std::string& value) {
    keyspace.set(database, key, {.value = keyspace::make_string(value), .version = {.index = 1, .position = 0}});
    all[base::format("%u ", database) + key] = value;
  }
};

}  // namespace

TEST_CASE("whichever page of a keys file is lost, the keys on others are kept") {
  const KeysFile file;
  REQUIRE(file.count_lost() == 0);
  size_t with_some = 0, with_many = 0;
  for (size_t page = 1; page < file.pages(); ++page) {
    CAPTURE(page);
    file.lose({page});
    const size_t lost = file.count_lost();
    if (lost > kKeysOfAPage) ++with_many;
    else if (lost > 0) ++with_some;
  }
  // Of the pages by which others are found, and which say what the tables are, there are few.
  CHECK(with_some > file.pages() / 2);
  CHECK(with_many <= 5);
}

TEST_CASE("of two pages that are lost the keys between are kept") {
  const KeysFile file;
  size_t tried = 0;
  for (size_t page = 1; page + 10 < file.pages(); ++page) {
    CAPTURE(page);
    file.lose({page});
    const size_t lost = file.count_lost();
    file.lose({page + 10});
    const size_t also_lost = file.count_lost();
    if (lost > kKeysOfAPage || also_lost > kKeysOfAPage) continue;
    ++tried;
    file.lose({page, page + 10});
    CHECK(file.count_lost() <= lost + also_lost);
  }
  CHECK(tried > file.pages() / 2);
}

}  // namespace leto::storage
