#include "keyspace/digest.h"

#include <doctest/doctest.h>

#include <vector>

namespace leto::keyspace {
namespace {

Item item(std::string value, Version version = {.index = 1, .position = 0}, uint64_t deadline_ms = kNoDeadline) {
  return {.value = make_string(std::move(value)), .version = version, .deadline_ms = deadline_ms};
}

TEST_CASE("digest: its values are fixed for ever") {
  CHECK(Digest{}.hex() == "00000000000000000000000000000000");
  CHECK(item_digest(0, "a", item("b")).hex() == "223ab8ec0523b39087870ec7b33df634");
  CHECK(item_digest(3, "key", item("value", {.index = 7, .position = 2}, 99)).hex() == "2715369d42890918865bb85dc7488ade");
}

TEST_CASE("digest: every part of a key changes it, in both halves") {
  const Version version{.index = 5, .position = 6};
  const Digest base = item_digest(1, "key", item("value", version, 7));
  const std::vector<Digest> others = {
      item_digest(2, "key", item("value", version, 7)),
      item_digest(1, "kez", item("value", version, 7)),
      item_digest(1, "key", item("valuf", version, 7)),
      item_digest(1, "key", item("value", version, 8)),
      item_digest(1, "key", item("value", {.index = 6, .position = 6}, 7)),
      item_digest(1, "key", item("value", {.index = 5, .position = 7}, 7)),
      item_digest(1, "keyv", item("alue", version, 7)),
      item_digest(1, "", item("keyvalue", version, 7)),
      item_digest(1, "value", item("key", version, 7)),
      // Neighbouring numbers must not make up for each other.
      item_digest(1, "key", item("value", {.index = 6, .position = 5}, 7)),
      item_digest(1, "key", item("value", {.index = 4, .position = 6}, 8)),
  };
  for (const Digest& other : others) {
    CHECK(other.high != base.high);
    CHECK(other.low != base.low);
  }
  CHECK(item_digest(1, "key", item("value", version, 7)) == base);
}

TEST_CASE("digest: sums do not depend on the order and can be undone") {
  const Digest a = item_digest(0, "a", item("1"));
  const Digest b = item_digest(0, "b", item("2"));
  const Digest c = item_digest(0, "c", item("3"));
  CHECK(a + b + c == c + a + b);
  CHECK(a + b - a == b);
  CHECK(a - a == Digest{});
  CHECK(Digest{} - a + a == Digest{});
}

TEST_CASE("digest: a database's sum is that of its keys, and no two databases agree on a sum that is not nothing") {
  const Digest sum = key_digest("a", item("1")) + key_digest("b", item("2"));
  for (uint32_t database = 0; database < kDatabases; ++database) {
    CHECK(in_database(database, sum) == item_digest(database, "a", item("1")) + item_digest(database, "b", item("2")));
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
