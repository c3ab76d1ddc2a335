// Keys that are erased more than once while cuts are frozen.
#include <doctest/doctest.h>

#include "keyspace/keyspace.h"

namespace leto::keyspace {
namespace {

void set(Keyspace& keyspace, uint64_t index) {
  keyspace.set(0, "k", {.value = make_string("v"), .version = {.index = index, .position = 0}});
}

TEST_CASE("keyspace: a key that is erased in two cuts and set again is in the second one once") {
  Keyspace keyspace;
  set(keyspace, 1);
  keyspace.erase(0, "k");
  const Cut first = keyspace.freeze({});
  set(keyspace, 2);
  keyspace.erase(0, "k");
  // Here the first erasure is cleared up; the node has a record of the second one still.
  keyspace.on_turn();
  set(keyspace, 3);
  CHECK(keyspace.dirty_keys() == 1);
  const Cut second = keyspace.freeze({});
  CHECK(second.size() == 1);
}

}  // namespace
}  // namespace leto::keyspace
