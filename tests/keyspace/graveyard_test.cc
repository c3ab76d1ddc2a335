#include "keyspace/graveyard.h"

#include <doctest/doctest.h>

#include <string>

#include "keyspace/dictionary.h"
#include "keyspace/dirty.h"

namespace leto::keyspace {
namespace {

std::unique_ptr<DirtySet> set_of(size_t count) {
  auto set = std::make_unique<DirtySet>();
  for (size_t i = 0; i < count; ++i) set->add(0, "key" + std::to_string(i));
  return set;
}

TEST_CASE("graveyard: what is buried is freed in steps of the size that is asked for") {
  Graveyard graveyard;
  CHECK(graveyard.is_empty());
  graveyard.bury(set_of(10));
  graveyard.dig(9);
  CHECK(!graveyard.is_empty());
  graveyard.dig(1);
  CHECK(graveyard.is_empty());
}

TEST_CASE("graveyard: one that is adopted is dug in as long as somebody may bury something there") {
  Graveyard graveyard;
  auto other = std::make_shared<Graveyard>();
  graveyard.adopt(other);
  graveyard.dig(1);
  other->bury(set_of(1));
  CHECK(!graveyard.is_empty());
  graveyard.dig(1);
  CHECK(graveyard.is_empty());
  CHECK(other->is_empty());
}

TEST_CASE("graveyard: one that is adopted is let go when it is empty and nobody else knows it") {
  Graveyard graveyard;
  auto other = std::make_shared<Graveyard>();
  const std::weak_ptr<Graveyard> seen = other;
  graveyard.adopt(std::move(other));
  graveyard.dig(1);
  CHECK(seen.expired());
}

}  // namespace
}  // namespace leto::keyspace
