#include "resp/arena.h"

#include <doctest/doctest.h>

#include <string>

namespace leto::resp {
namespace {

TEST_CASE("arena: copies stay where they are while more are made") {
  Arena arena;
  std::vector<std::string_view> copies;
  for (int i = 0; i < 10'000; ++i) copies.push_back(arena.copy(std::to_string(i)));
  for (int i = 0; i < 10'000; ++i) REQUIRE(copies[static_cast<size_t>(i)] == std::to_string(i));
  // At most twice what is in it.
  CHECK(arena.allocated() < 4 * 40'000);
}

TEST_CASE("arena: a large copy takes what it needs and no more") {
  Arena arena;
  const std::string large(10 << 20, 'x');
  CHECK(arena.copy(large) == large);
  CHECK(arena.allocated() == large.size());
  CHECK(arena.copy("small") == "small");
  CHECK(arena.allocated() <= large.size() + Arena::kBlockMax);
}

TEST_CASE("arena: a reset keeps one small block and no large one") {
  Arena arena;
  CHECK(arena.copy("abc") == "abc");
  arena.reset();
  CHECK(arena.allocated() == Arena::kBlockMin);
  for (int i = 0; i < 1000; ++i) arena.copy(std::string(1000, 'x'));
  arena.reset();
  CHECK(arena.allocated() <= Arena::kKeptMax);
  arena.copy(std::string(1 << 20, 'x'));
  arena.reset();
  CHECK(arena.allocated() == 0);
  CHECK(arena.copy("abc") == "abc");
}

TEST_CASE("arena: an empty copy is empty and not null") {
  Arena arena;
  CHECK(arena.copy("").empty());
  CHECK(arena.copy("").data() != nullptr);
  CHECK(arena.allocated() == 0);
}

}  // namespace
}  // namespace leto::resp
