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
