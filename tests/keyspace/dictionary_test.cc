#include "keyspace/dictionary.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "base/random.h"

namespace leto::keyspace {
namespace {

Node* insert(Dictionary& dictionary, const std::string& key) {
  return dictionary.insert(key, Dictionary::hash_of(key));
}

std::string key_of(size_t number) { return "key:" + std::to_string(number); }

TEST_CASE("dictionary: what was inserted is found, and nothing else") {
  Dictionary dictionary;
  CHECK(dictionary.find("a") == nullptr);
  Node* const node = insert(dictionary, "a");
  CHECK(node->key() == "a");
  CHECK(dictionary.find("a") == node);
  CHECK(dictionary.find("b") == nullptr);
  CHECK(dictionary.find("") == nullptr);
  Node* const empty = insert(dictionary, "");
  CHECK(dictionary.find("") == empty);
  dictionary.remove(node);
  CHECK(dictionary.find("a") == nullptr);
  CHECK(dictionary.node_count() == 1);
}

TEST_CASE("dictionary: keys are bytes of any kind") {
  Dictionary dictionary;
  const std::string zero("a\0b", 3);
  insert(dictionary, zero);
  insert(dictionary, std::string(100'000, '\xff'));
  CHECK(dictionary.find(zero) != nullptr);
  CHECK(dictionary.find("a") == nullptr);
  CHECK(dictionary.find(std::string(100'000, '\xff')) != nullptr);
}

TEST_CASE("dictionary: a node stays where it is while the table grows and shrinks around it") {
  Dictionary dictionary;
  Node* const node = insert(dictionary, "fixed");
  for (size_t i = 0; i < 20'000; ++i) insert(dictionary, key_of(i));
  CHECK(dictionary.find("fixed") == node);
  for (size_t i = 0; i < 20'000; ++i) dictionary.remove(dictionary.find(key_of(i)));
  CHECK(dictionary.find("fixed") == node);
  CHECK(dictionary.node_count() == 1);
}

TEST_CASE("dictionary: no step touches more than a few buckets while a million keys come and go") {
  constexpr size_t kKeys = 1'000'000;
  Dictionary dictionary;
  uint64_t worst = 0;
  const auto measured = [&](auto step) {
    const uint64_t before = dictionary.buckets_touched();
    step();
    worst = std::max(worst, dictionary.buckets_touched() - before);
  };
  for (size_t i = 0; i < kKeys; ++i) measured([&] { insert(dictionary, key_of(i)); });
  CHECK(dictionary.node_count() == kKeys);
  CHECK(dictionary.bucket_count() >= kKeys);
  CHECK(dictionary.table_bytes() < kKeys * 10);
  for (size_t i = 0; i < kKeys; ++i) measured([&] { dictionary.remove(dictionary.find(key_of(i))); });
  // The key's own bucket is the one more.
  CHECK(worst <= Dictionary::kBucketsPerStep + 1);
  CHECK(dictionary.node_count() == 0);
  CHECK(dictionary.table_bytes() < 100'000);
}

TEST_CASE("dictionary: what fits the room that was made splits nothing, and all goes on as before") {
  Dictionary dictionary;
  dictionary.reserve(10'000);
  CHECK(dictionary.bucket_count() == 10'000);
  for (size_t i = 0; i < 10'000; ++i) insert(dictionary, key_of(i));
  CHECK(dictionary.bucket_count() == 10'000);
  CHECK(dictionary.buckets_touched() == 10'000);
  for (size_t i = 10'000; i < 30'000; ++i) insert(dictionary, key_of(i));
  CHECK(dictionary.bucket_count() == 30'000);
  for (size_t i = 0; i < 30'000; ++i) {
    Node* const node = dictionary.find(key_of(i));
    REQUIRE(node != nullptr);
    if (i % 100 != 0) dictionary.remove(node);
  }
  CHECK(dictionary.node_count() == 300);
  CHECK(dictionary.bucket_count() < 10'000);
}

TEST_CASE("dictionary: buckets stay short") {
  Dictionary dictionary;
  for (size_t i = 0; i < 100'000; ++i) {
    insert(dictionary, key_of(i));
    REQUIRE(dictionary.bucket_count() >= dictionary.node_count());
  }
}

TEST_CASE("dictionary: random insertions and removals agree with a set") {
  base::Random random(3);
  Dictionary dictionary;
  std::set<std::string> expected;
  for (int i = 0; i < 200'000; ++i) {
    const std::string key = key_of(random.below(i < 100'000 ? 50'000 : 500));
    Node* const found = dictionary.find(key);
    REQUIRE((found != nullptr) == expected.contains(key));
    // Grows at first, shrinks later.
    const bool inserts = random.chance(i < 100'000 ? 3 : 1, 4);
    if (inserts && found == nullptr) {
      insert(dictionary, key);
      expected.insert(key);
    } else if (!inserts && found != nullptr) {
      dictionary.remove(found);
      expected.erase(key);
    }
  }
  std::set<std::string> seen;
  dictionary.for_each([&](const Node& node) { REQUIRE(seen.insert(std::string(node.key())).second); });
  CHECK(seen == expected);
}

TEST_CASE("dictionary: it is freed in steps of the size asked for") {
  Dictionary dictionary;
  for (size_t i = 0; i < 10'000; ++i) insert(dictionary, key_of(i));
  size_t steps = 0;
  size_t before = dictionary.node_count();
  while (!dictionary.remove_some(100)) {
    REQUIRE(before - dictionary.node_count() <= 100);
    before = dictionary.node_count();
    ++steps;
  }
  CHECK(dictionary.node_count() == 0);
  CHECK(steps >= 100);
  CHECK(steps < 400);
  CHECK(dictionary.remove_some(100));
}

TEST_CASE("dictionary: whatever its size, freeing it leaves no node, the first and the last bucket's included") {
  for (size_t count = 1; count <= 100; ++count) {
    Dictionary dictionary;
    for (size_t i = 0; i < count; ++i) insert(dictionary, key_of(i));
    while (!dictionary.remove_some(7)) {
    }
    CHECK(dictionary.node_count() == 0);
  }
}

TEST_CASE("dictionary: the hash seed moves keys to other buckets") {
  const uint32_t before = Dictionary::hash_of("a");
  Dictionary::set_hash_seed(42);
  CHECK(Dictionary::hash_of("a") != before);
  Dictionary::set_hash_seed(0);
  CHECK(Dictionary::hash_of("a") == before);
}

}  // namespace
}  // namespace leto::keyspace
