#include "keyspace/digest.h"

#include <doctest/doctest.h>

#include <vector>

namespace leto::keyspace {
namespace {

Item digested(std::string value, Version version = {.index = 1, .position = 0}, uint64_t deadline_ms = kNoDeadline) {
  return {.value = make_string(std::move(value)), .version = version, .deadline_ms = deadline_ms};
}

TEST_CASE("digest: its values are fixed for ever") {
  CHECK(Digest{}.hex() == "00000000000000000000000000000000");
  CHECK(item_digest(0, "a", digested("b")).hex() == "223ab8ec0523b39087870ec7b33df634");
  CHECK(item_digest(3, "key", digested("value", {.index = 7, .position = 2}, 99)).hex() == "2715369d42890918865bb85dc7488ade");
}

TEST_CASE("digest: every part of a key changes it, in both halves") {
  const Version version{.index = 5, .position = 6};
  const Digest base = item_digest(1, "key", digested("value", version, 7));
  const std::vector<Digest> others = {
      item_digest(2, "key", digested("value", version, 7)),
      item_digest(1, "kez", digested("value", version, 7)),
      item_digest(1, "key", digested("valuf", version, 7)),
      item_digest(1, "key", digested("value", version, 8)),
      item_digest(1, "key", digested("value", {.index = 6, .position = 6}, 7)),
      item_digest(1, "key", digested("value", {.index = 5, .position = 7}, 7)),
      item_digest(1, "keyv", digested("alue", version, 7)),
      item_digest(1, "", digested("keyvalue", version, 7)),
      item_digest(1, "value", digested("key", version, 7)),
      // Neighbouring numbers must not make up for each other.
      item_digest(1, "key", digested("value", {.index = 6, .position = 5}, 7)),
      item_digest(1, "key", digested("value", {.index = 4, .position = 6}, 8)),
  };
  for (const Digest& other : others) {
    CHECK(other.high != base.high);
    CHECK(other.low != base.low);
  }
  CHECK(item_digest(1, "key", digested("value", version, 7)) == base);
}

TEST_CASE("digest: sums do not depend on the order and can be undone") {
  const Digest a = item_digest(0, "a", digested("1"));
  const Digest b = item_digest(0, "b", digested("2"));
  const Digest c = item_digest(0, "c", digested("3"));
  CHECK(a + b + c == c + a + b);
  CHECK(a + b - a == b);
  CHECK(a - a == Digest{});
  CHECK(Digest{} - a + a == Digest{});
}

TEST_CASE("digest: a database's sum is that of its keys, and no two databases agree on a sum that is not nothing") {
  const Digest sum = key_digest("a", digested("1")) + key_digest("b", digested("2"));
  for (uint32_t database = 0; database < kDatabases; ++database) {
    CHECK(in_database(database, sum) == item_digest(database, "a", digested("1")) + item_digest(database, "b", digested("2")));
    CHECK(in_database(database, Digest{}) == Digest{});
    for (uint32_t other = 0; other < database; ++other) CHECK(in_database(other, sum) != in_database(database, sum));
  }
  CHECK(in_database(0, sum) == sum);
}

TEST_CASE("digest: a sum carries from the low half to the high one") {
  const Digest low{.high = 0, .low = UINT64_MAX};
  const Digest one{.high = 0, .low = 1};
  CHECK(low + one == Digest{.high = 1, .low = 0});
  CHECK(Digest{.high = 1, .low = 0} - one == low);
}

}  // namespace
}  // namespace leto::keyspace
