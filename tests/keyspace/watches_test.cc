#include "keyspace/watches.h"

#include <doctest/doctest.h>

#include "keyspace/keyspace.h"

namespace leto::keyspace {
namespace {

TEST_CASE("watches: a key that is set or erased sets the flags of those who watch it, and of nobody else") {
  Keyspace keys;
  Watches& watches = *keys.watches();
  bool one = false, two = false, other_key = false, other_database = false;
  watches.add(0, "k", &one);
  watches.add(0, "k", &two);
  watches.add(0, "other", &other_key);
  watches.add(1, "k", &other_database);
  CHECK_FALSE(keys.erase(0, "k"));
  CHECK_FALSE(one);
  keys.set(0, "k", {.value = make_string("v"), .version = {.index = 1}});
  CHECK(one);
  CHECK(two);
  CHECK_FALSE(other_key);
  CHECK_FALSE(other_database);
  one = false;
  watches.remove(0, "k", &two);
  two = false;
  keys.erase(0, "k");
  CHECK(one);
  CHECK_FALSE(two);
  watches.remove(0, "k", &one);
  watches.remove(0, "other", &other_key);
  watches.remove(1, "k", &other_database);
  CHECK(watches.size() == 0);
}

TEST_CASE("watches: who watches a key that exists before or behind FLUSHDB, SWAPDB or RENAME hears of them, also if they are undone") {
  Keyspace keys;
  Watches& watches = *keys.watches();
  keys.set(0, "here", {.value = make_string("v"), .version = {.index = 1}});
  keys.set(1, "there", {.value = make_string("v"), .version = {.index = 2}});
  bool here = false, there = false, nowhere = false, elsewhere = false;
  watches.add(0, "here", &here);
  watches.add(0, "there", &there);
  watches.add(0, "nowhere", &nowhere);
  watches.add(2, "here", &elsewhere);
  const auto told = [&] {
    const std::vector<bool> flags{here, there, nowhere, elsewhere};
    here = there = nowhere = elsewhere = false;
    return flags;
  };
  keys.swap(0, 1);
  keys.swap(1, 0);
  CHECK(told() == std::vector<bool>{true, true, false, false});
  keys.rename(0, {.from = "here", .to = "nowhere", .version = {.index = 3}});
  CHECK(told() == std::vector<bool>{true, false, true, false});
  keys.rename(0, {.from = "nowhere", .to = "here", .version = {.index = 4}});
  CHECK(told() == std::vector<bool>{true, false, true, false});
  keys.flush(2);
  keys.flush(0);
  CHECK(told() == std::vector<bool>{true, false, false, false});
  for (const auto& [key, flag] : {std::pair{"here", &here}, {"there", &there}, {"nowhere", &nowhere}}) watches.remove(0, key, flag);
  watches.remove(2, "here", &elsewhere);
  CHECK(watches.size() == 0);
}

TEST_CASE("watches: a keyspace that takes the place of another one touches every key, and goes on telling") {
  Keyspace keys, loaded;
  bool touched = false;
  const std::shared_ptr<Watches> watches = keys.watches();
  watches->add(0, "k", &touched);
  keys = std::move(loaded);
  CHECK(touched);
  CHECK(keys.watches() == watches);
  touched = false;
  keys.set(0, "k", {.value = make_string("v"), .version = {.index = 1}});
  CHECK(touched);
  watches->remove(0, "k", &touched);
}

}  // namespace
}  // namespace leto::keyspace
