#include "tests/sim/ddmin.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "base/random.h"

using leto::sim::reduce;
using leto::sim::Reduction;
using Things = std::vector<uint64_t>;

namespace {

Things up_to(uint64_t count) {
  Things things;
  for (uint64_t thing = 1; thing <= count; ++thing) things.push_back(thing);
  return things;
}

bool has(const Things& things, uint64_t thing) { return std::find(things.begin(), things.end(), thing) != things.end(); }

bool always() { return true; }

}  // namespace

TEST_CASE("ddmin: of many things exactly those are kept that are needed, in their order, wherever they stand") {
  leto::base::Random random(1);
  for (int round = 0; round < 300; ++round) {
    const uint64_t count = random.between(1, 70);
    std::set<uint64_t> needed;
    for (uint64_t left = random.below(5); left > 0; --left) needed.insert(random.between(1, count));
    const auto effect = [&needed](const Things& things) {
      return std::all_of(needed.begin(), needed.end(), [&things](uint64_t thing) { return has(things, thing); });
    };
    const Reduction reduction = reduce(up_to(count), effect, always);
    CHECK(reduction.kept == Things(needed.begin(), needed.end()));
    CHECK(reduction.minimal);
    CHECK(reduction.tries < 2 * (count + 2) * (count + 2));
  }
}

TEST_CASE("ddmin: what happens without any of them is found with one try") {
  const Reduction reduction = reduce(up_to(40), [](const Things&) { return true; }, always);
  CHECK(reduction.kept.empty());
  CHECK(reduction.minimal);
  CHECK(reduction.tries == 1);
}

TEST_CASE("ddmin: where all are needed all are kept, and each was tried without") {
  uint64_t singles = 0;
  const auto effect = [&singles](const Things& things) {
    singles += things.size() == 15;
    return things.size() == 16;
  };
  const Reduction reduction = reduce(up_to(16), effect, always);
  CHECK(reduction.kept == up_to(16));
  CHECK(reduction.minimal);
  CHECK(singles == 16);
}

TEST_CASE("ddmin: an effect that needs few but is undone by others is kept, and no single one can go") {
  leto::base::Random random(2);
  for (int round = 0; round < 200; ++round) {
    const uint64_t count = random.between(4, 40), needed = random.between(1, count), undoes = random.between(1, count);
    const uint64_t undone_unless = random.between(1, count);
    const auto effect = [&](const Things& things) {
      return has(things, needed) && (!has(things, undoes) || has(things, undone_unless) || needed == undoes);
    };
    if (!effect(up_to(count))) continue;
    const Reduction reduction = reduce(up_to(count), effect, always);
    CHECK(effect(reduction.kept));
    CHECK(reduction.minimal);
    for (size_t i = 0; i < reduction.kept.size(); ++i) {
      Things fewer = reduction.kept;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      CHECK_FALSE(effect(fewer));
    }
  }
}

TEST_CASE("ddmin: an effect that comes and goes ends it too, with a set that had it when it was tried") {
  leto::base::Random random(3);
  for (int round = 0; round < 300; ++round) {
    const uint64_t count = random.between(1, 50), chance = random.between(0, 10);
    Things last = up_to(count);
    std::set<Things> tried;
    const auto effect = [&](const Things& things) {
      CHECK(tried.insert(things).second);
      if (!random.chance(chance, 10)) return false;
      last = things;
      return true;
    };
    const Reduction reduction = reduce(up_to(count), effect, always);
    CHECK(reduction.kept == last);
    CHECK(reduction.tries == tried.size());
    CHECK(reduction.tries < 2 * (count + 2) * (count + 2));
  }
}

TEST_CASE("ddmin: when it may not go on it ends at once with the best so far, and says that it may not be minimal") {
  const auto effect = [](const Things& things) { return has(things, 20) && has(things, 41); };
  size_t smallest = 64;
  for (uint64_t budget = 0; budget < 60; ++budget) {
    uint64_t left = budget;
    const Reduction reduction = reduce(up_to(64), effect, [&left] { return left-- > 0; });
    CHECK(reduction.tries <= budget);
    CHECK(effect(reduction.kept));
    CHECK(reduction.kept.size() <= smallest);
    smallest = reduction.kept.size();
    if (reduction.minimal) CHECK(reduction.kept == Things{20, 41});
    if (budget == 0) CHECK_FALSE(reduction.minimal);
  }
  CHECK(smallest == 2);
}

TEST_CASE("ddmin: of nothing nothing is kept, and nothing is tried") {
  const Reduction reduction = reduce({}, [](const Things&) { return false; }, always);
  CHECK(reduction.kept.empty());
  CHECK(reduction.minimal);
  CHECK(reduction.tries == 0);
}
