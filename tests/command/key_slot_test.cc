#include "command/key_slot.h"

#include <doctest/doctest.h>

namespace leto::command {
namespace {

TEST_CASE("slots are those of a Redis Cluster's CLUSTER KEYSLOT") {
  CHECK(key_slot("123456789") == 12739);
  CHECK(key_slot("foo") == 12182);
  CHECK(key_slot("") == 0);
  CHECK(key_slot("somekey") == 11058);
}

TEST_CASE("a tag in braces decides alone, an empty or open one does not") {
  CHECK(key_slot("foo{hash_tag}") == key_slot("bar{hash_tag}"));
  CHECK(key_slot("foo{hash_tag}") == key_slot("hash_tag"));
  CHECK(key_slot("foo{}{bar}") != key_slot("bar"));
  CHECK(key_slot("foo{{bar}}zap") == key_slot("{bar"));
  CHECK(key_slot("foo{bar") != key_slot("bar"));
}

}  // namespace
}  // namespace leto::command
