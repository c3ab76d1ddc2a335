#include "keyspace/keyspace.h"

#include <doctest/doctest.h>

#include <map>
#include <optional>

#include "base/random.h"

namespace leto::keyspace {
namespace {

Item item(std::string value, uint64_t index = 1, uint64_t deadline_ms = kNoDeadline) {
  return {.value = make_string(std::move(value)), .version = {.index = index, .position = 0}, .deadline_ms = deadline_ms};
}

// What a cut says of each key; nothing for an erased one. Fails if a key is in it twice.
using Changes = std::map<std::pair<uint32_t, std::string>, std::optional<std::string>>;
Changes changes_of(const Cut& cut) {
  Changes changes;
  cut.for_each([&](const Cut::Change& change) {
    const bool is_new = changes
                            .emplace(std::pair(change.database, std::string(change.key)),
                                     change.item->value == nullptr ? std::optional<std::string>()
                                                                   : change.item->value->string)
                            .second;
    REQUIRE(is_new);
  });
  REQUIRE(changes.size() == cut.size());
  return changes;
}

std::string value_at(const Keyspace& keyspace, uint32_t database, std::string_view key) {
  const Item* const found = keyspace.find(database, key);
  return found == nullptr ? "(none)" : found->value->string;
}

void finish_work(Keyspace& keyspace) {
  while (keyspace.work_waits()) keyspace.on_turn();
}

TEST_CASE("keyspace: keys are set, replaced and erased, each in its database") {
  Keyspace keyspace;
  keyspace.set(0, "a", item("1", 7, 99));
  keyspace.set(1, "a", item("2"));
  CHECK(value_at(keyspace, 0, "a") == "1");
  CHECK(value_at(keyspace, 1, "a") == "2");
  CHECK(value_at(keyspace, 2, "a") == "(none)");
  CHECK(keyspace.find(0, "a")->version == Version{.index = 7, .position = 0});
  CHECK(keyspace.find(0, "a")->deadline_ms == 99);
  keyspace.set(0, "a", item("3"));
  CHECK(value_at(keyspace, 0, "a") == "3");
  CHECK(keyspace.erase(0, "a"));
  CHECK_FALSE(keyspace.erase(0, "a"));
  CHECK(value_at(keyspace, 0, "a") == "(none)");
  CHECK(value_at(keyspace, 1, "a") == "2");
}

TEST_CASE("keyspace: it counts keys, deadlines and memory") {
  Keyspace keyspace;
  const size_t empty = keyspace.memory_used();
  keyspace.set(0, "a", item("1", 1, 5));
  keyspace.set(0, "b", item(std::string(10'000, 'x')));
  keyspace.set(3, "c", item("1", 1, 5));
  CHECK(keyspace.size(0) == 2);
  CHECK(keyspace.size() == 3);
  CHECK(keyspace.expires(0) == 1);
  CHECK(keyspace.expires(3) == 1);
  CHECK(keyspace.memory_used() > empty + 10'000);
  keyspace.set(0, "a", item("1"));
  CHECK(keyspace.expires(0) == 0);
  keyspace.erase(3, "c");
  CHECK(keyspace.expires(3) == 0);
  CHECK(keyspace.size() == 2);
}

TEST_CASE("keyspace: look-ups are counted as hits and misses") {
  Keyspace keyspace;
  keyspace.set(0, "a", item("1"));
  CHECK(keyspace.lookup(0, "a") != nullptr);
  CHECK(keyspace.lookup(0, "b") == nullptr);
  CHECK(keyspace.lookup(0, "b") == nullptr);
  CHECK(keyspace.hits() == 1);
  CHECK(keyspace.misses() == 2);
}

TEST_CASE("keyspace: memory comes back to what it was") {
  Keyspace keyspace;
  keyspace.set(0, "first", item("1"));
  { const Cut dropped = keyspace.freeze({}); }
  finish_work(keyspace);
  const size_t before = keyspace.memory_used();
  for (int i = 0; i < 10'000; ++i) keyspace.set(0, std::to_string(i), item("a value of some length, above 15"));
  for (int i = 0; i < 10'000; ++i) keyspace.erase(0, std::to_string(i));
  { const Cut dropped = keyspace.freeze({}); }
  finish_work(keyspace);
  CHECK(keyspace.size() == 1);
  CHECK(keyspace.memory_used() < before + 70'000);
}

TEST_CASE("keyspace: the digest is that of the keys, after any operations in any order") {
  base::Random random(5);
  Keyspace keyspace;
  for (int i = 0; i < 20'000; ++i) {
    const uint32_t database = static_cast<uint32_t>(random.below(3));
    const std::string key = std::to_string(random.below(500));
    if (random.chance(1, 3)) {
      keyspace.erase(database, key);
    } else {
      keyspace.set(database, key, item(std::to_string(random.next()), random.below(100), random.below(3)));
    }
    if (random.chance(1, 500)) { const Cut dropped = keyspace.freeze({}); }
    if (random.chance(1, 10)) keyspace.on_turn();
    if (i % 1000 == 0) REQUIRE(keyspace.digest() == keyspace.recompute_digest());
  }
  CHECK(keyspace.digest() == keyspace.recompute_digest());
  Keyspace other;
  for (uint32_t database = 0; database < kDatabases; ++database) {
    keyspace.for_each(database, [&](std::string_view key, const Item& found) { other.load(database, key, found); });
  }
  CHECK(other.digest() == keyspace.digest());
  CHECK(other.size() == keyspace.size());
  CHECK(other.dirty_keys() == 0);
}

TEST_CASE("keyspace: the digest of nothing is zero, whatever was there before") {
  Keyspace keyspace;
  keyspace.set(0, "a", item("1"));
  CHECK(keyspace.digest() != Digest{});
  keyspace.erase(0, "a");
  CHECK(keyspace.digest() == Digest{});
}

TEST_CASE("keyspace: a cut has each changed key once, as it was at the freeze") {
  Keyspace keyspace;
  keyspace.load(0, "loaded", item("old"));
  keyspace.set(0, "a", item("1"));
  keyspace.set(0, "a", item("2"));
  keyspace.set(1, "b", item("3"));
  keyspace.set(0, "c", item("4"));
  keyspace.erase(0, "c");
  keyspace.erase(0, "loaded");
  CHECK(keyspace.dirty_keys() == 4);
  StateHeader header;
  header.applied_index = 17;
  const Cut cut = keyspace.freeze(header);
  CHECK(cut.header.applied_index == 17);
  CHECK(keyspace.dirty_keys() == 0);
  CHECK(keyspace.dirty_bytes() == 0);
  // Later changes are not in it.
  keyspace.set(0, "a", item("9"));
  keyspace.erase(1, "b");
  keyspace.set(0, "c", item("9"));
  const Changes expected = {
      {{0, "a"}, "2"}, {{1, "b"}, "3"}, {{0, "c"}, std::nullopt}, {{0, "loaded"}, std::nullopt}};
  CHECK(changes_of(cut) == expected);
}

TEST_CASE("keyspace: a key that is erased and set again within one cut is in it once") {
  Keyspace keyspace;
  keyspace.set(0, "a", item("1"));
  keyspace.erase(0, "a");
  keyspace.set(0, "a", item("2"));
  keyspace.erase(0, "a");
  keyspace.set(0, "a", item("3"));
  const Cut cut = keyspace.freeze({});
  CHECK(changes_of(cut) == Changes{{{0, "a"}, "3"}});
  finish_work(keyspace);
  CHECK(value_at(keyspace, 0, "a") == "3");
}

TEST_CASE("keyspace: what a cut shows outlives the key, the value and the next cut") {
  Keyspace keyspace;
  keyspace.set(0, "a", item(std::string(1000, 'x')));
  const Cut first = keyspace.freeze({});
  keyspace.erase(0, "a");
  const Cut second = keyspace.freeze({});
  finish_work(keyspace);
  CHECK(changes_of(first) == Changes{{{0, "a"}, std::string(1000, 'x')}});
  CHECK(changes_of(second) == Changes{{{0, "a"}, std::nullopt}});
}

TEST_CASE("keyspace: keys of a cut that failed count as changed again, as they are now") {
  Keyspace keyspace;
  for (const char* key : {"same", "changed", "gone", "back", "lost"}) keyspace.set(0, key, item("1"));
  keyspace.erase(0, "back");
  keyspace.erase(0, "lost");
  Cut cut = keyspace.freeze({});
  keyspace.set(0, "changed", item("2"));
  keyspace.erase(0, "gone");
  keyspace.set(0, "back", item("2"));
  finish_work(keyspace);
  keyspace.restore(std::move(cut));
  CHECK(keyspace.dirty_keys() == 5);
  const Cut again = keyspace.freeze({});
  const Changes expected = {{{0, "same"}, "1"},
                            {{0, "changed"}, "2"},
                            {{0, "gone"}, std::nullopt},
                            {{0, "back"}, "2"},
                            {{0, "lost"}, std::nullopt}};
  CHECK(changes_of(again) == expected);
  finish_work(keyspace);
  CHECK(keyspace.size() == 3);
  CHECK(keyspace.digest() == keyspace.recompute_digest());
}

TEST_CASE("keyspace: cuts, some of which fail, always bring a copy to the same state") {
  base::Random random(9);
  Keyspace keyspace;
  Changes copy;
  for (int round = 0; round < 300; ++round) {
    for (uint64_t i = random.below(60); i > 0; --i) {
      const std::string key = std::to_string(random.below(40));
      if (random.chance(1, 3)) {
        keyspace.erase(0, key);
      } else {
        keyspace.set(0, key, item(std::to_string(random.next())));
      }
    }
    Cut cut = keyspace.freeze({});
    const Changes at_freeze = changes_of(cut);
    for (uint64_t i = random.below(10); i > 0; --i) keyspace.set(0, std::to_string(random.below(40)), item("later"));
    if (random.chance(1, 2)) keyspace.on_turn();
    if (random.chance(1, 3)) {
      keyspace.restore(std::move(cut));
      continue;
    }
    for (const auto& [key, value] : at_freeze) {
      if (value) {
        copy[key] = value;
      } else {
        copy.erase(key);
      }
    }
  }
  for (const auto& [key, value] : changes_of(keyspace.freeze({}))) {
    copy.erase(key);
    if (value) copy[key] = value;
  }
  Changes expected;
  keyspace.for_each(0, [&](std::string_view key, const Item& found) {
    expected[{0, std::string(key)}] = found.value->string;
  });
  CHECK(copy == expected);
}

TEST_CASE("keyspace: a million keys are freed in bounded turns, and the cut's end is one of them") {
  Keyspace keyspace;
  const ValueRef value = make_string("x");
  constexpr size_t kKeys = 200'000;
  for (size_t i = 0; i < kKeys; ++i) keyspace.set(0, std::to_string(i), {.value = value, .version = {}});
  CHECK(value.use_count() == 2 * kKeys + 1);
  { const Cut dropped = keyspace.freeze({}); }
  // Nothing was released with the cut itself.
  CHECK(value.use_count() == 2 * kKeys + 1);
  long before = value.use_count();
  size_t turns = 0;
  while (keyspace.work_waits()) {
    keyspace.on_turn();
    REQUIRE(before - value.use_count() <= 2048);
    before = value.use_count();
    ++turns;
  }
  CHECK(value.use_count() == kKeys + 1);
  CHECK(turns >= kKeys / 2048);
}

TEST_CASE("keyspace: one that is replaced is freed in bounded turns, with its cuts") {
  const ValueRef value = make_string("x");
  constexpr size_t kKeys = 50'000;
  Keyspace keyspace;
  for (size_t i = 0; i < kKeys; ++i) keyspace.set(0, std::to_string(i), {.value = value, .version = {}});
  Cut cut = keyspace.freeze({});
  Keyspace loaded;
  loaded.load(0, "new", item("1"));
  keyspace = std::move(loaded);
  CHECK(value_at(keyspace, 0, "new") == "1");
  CHECK(keyspace.size() == 1);
  CHECK(value.use_count() == 2 * kKeys + 1);
  finish_work(keyspace);
  CHECK(value.use_count() == kKeys + 1);
  cut = Cut();
  CHECK(value.use_count() == kKeys + 1);
  CHECK(keyspace.work_waits());
  finish_work(keyspace);
  CHECK(value.use_count() == 1);
}

TEST_CASE("keyspace: a cut may outlive its keyspace") {
  Cut cut;
  CHECK(cut.size() == 0);
  {
    Keyspace keyspace;
    keyspace.set(0, "a", item("1"));
    cut = keyspace.freeze({});
  }
  CHECK(changes_of(cut) == Changes{{{0, "a"}, "1"}});
}

TEST_CASE("keyspace: erased keys do not stay in memory once their cut is frozen") {
  Keyspace keyspace;
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 1000; ++i) keyspace.set(0, std::to_string(i) + "/" + std::to_string(round), item("1"));
    for (int i = 0; i < 1000; ++i) keyspace.erase(0, std::to_string(i) + "/" + std::to_string(round));
    { const Cut dropped = keyspace.freeze({}); }
    finish_work(keyspace);
  }
  CHECK(keyspace.memory_used() < 200'000);
}

TEST_CASE("keyspace: dirty bytes follow keys and values") {
  Keyspace keyspace;
  keyspace.set(0, "abc", item("12345"));
  CHECK(keyspace.dirty_bytes() == 8);
  keyspace.set(0, "abc", item("1"));
  CHECK(keyspace.dirty_bytes() == 4);
  keyspace.erase(0, "abc");
  CHECK(keyspace.dirty_bytes() == 3);
}

}  // namespace
}  // namespace leto::keyspace
