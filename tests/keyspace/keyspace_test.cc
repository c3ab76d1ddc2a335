#include "keyspace/keyspace.h"

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <utility>

#include "base/random.h"
#include "keyspace/digest.h"

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
                            .emplace(std::pair(static_cast<uint32_t>(change.space - 1), std::string(change.key)),
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

// What a disk holds that the cut is written to.
void write_to(Changes& disk, const Cut& cut) {
  for (const auto& [key, value] : changes_of(cut)) {
    disk.erase(key);
    if (value) disk[key] = value;
  }
}

TEST_CASE("keyspace: a cut that could not be written is as it was, and what came later is in the next one alone") {
  Keyspace keyspace;
  Changes disk;
  for (const char* key : {"same", "changed", "gone", "back", "lost"}) keyspace.set(0, key, item("1"));
  keyspace.erase(0, "back");
  keyspace.erase(0, "lost");
  const Cut failed = keyspace.freeze({});
  keyspace.set(0, "changed", item("2"));
  keyspace.erase(0, "gone");
  keyspace.set(0, "back", item("2"));
  finish_work(keyspace);
  CHECK(keyspace.dirty_keys() == 3);
  const Cut next = keyspace.freeze({});
  CHECK(changes_of(next) == Changes{{{0, "changed"}, "2"}, {{0, "gone"}, std::nullopt}, {{0, "back"}, "2"}});
  finish_work(keyspace);
  write_to(disk, failed);
  write_to(disk, next);
  CHECK(disk == Changes{{{0, "same"}, "1"}, {{0, "changed"}, "2"}, {{0, "back"}, "2"}});
  CHECK(keyspace.size() == 3);
  CHECK(keyspace.digest() == keyspace.recompute_digest());
}

TEST_CASE("keyspace: cuts, some of which are tried again, always bring a copy to the same state") {
  base::Random random(9);
  Keyspace keyspace;
  Changes copy;
  std::optional<Cut> failed;
  for (int round = 0; round < 300; ++round) {
    for (uint64_t i = random.below(60); i > 0; --i) {
      const std::string key = std::to_string(random.below(40));
      if (random.chance(1, 3)) {
        keyspace.erase(0, key);
      } else {
        keyspace.set(0, key, item(std::to_string(random.next())));
      }
    }
    Cut cut = failed ? *std::exchange(failed, std::nullopt) : keyspace.freeze({});
    for (uint64_t i = random.below(10); i > 0; --i) keyspace.set(0, std::to_string(random.below(40)), item("later"));
    if (random.chance(1, 2)) keyspace.on_turn();
    if (random.chance(1, 3)) {
      failed = std::move(cut);
    } else {
      write_to(copy, cut);
    }
  }
  if (failed) write_to(copy, *failed);
  write_to(copy, keyspace.freeze({}));
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

TEST_CASE("keyspace: erased keys of one that is replaced are forgotten in bounded turns as well") {
  constexpr size_t kKeys = 100'000;
  Keyspace keyspace;
  for (size_t i = 0; i < kKeys; ++i) keyspace.set(0, std::to_string(i), item("1"));
  for (size_t i = 0; i < kKeys; ++i) keyspace.erase(0, std::to_string(i));
  keyspace = Keyspace();
  size_t turns = 0;
  for (; keyspace.work_waits(); ++turns) keyspace.on_turn();
  // Records, entries of the list, and nodes: 256 in a turn.
  CHECK(turns >= 3 * kKeys / 256);
}

TEST_CASE("keyspace: what is to be freed does not grow with keys that come and go, a thousand in a turn") {
  constexpr size_t kKeysPerTurn = 1000, kTurnsPerCut = 10;
  Keyspace keyspace;
  size_t early = 0;
  for (size_t turn = 0; turn < 1000; ++turn) {
    for (size_t i = 0; i < kKeysPerTurn; ++i) {
      const std::string key = std::to_string(turn) + "/" + std::to_string(i);
      keyspace.set(0, key, item("1"));
      keyspace.erase(0, key);
    }
    if (turn % kTurnsPerCut == 0) { const Cut dropped = keyspace.freeze({}); }
    keyspace.on_turn();
    if (turn == 100) early = keyspace.memory_used();
  }
  CHECK(keyspace.memory_used() <= 2 * early);
  // No more is left than of a few cuts.
  size_t turns = 0;
  for (; keyspace.work_waits(); ++turns) keyspace.on_turn();
  CHECK(turns <= 3 * kTurnsPerCut * kKeysPerTurn / 256);
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

// --- Whole databases, and renames ---------------------------------------------------------------------

TEST_CASE("keyspace: a flushed database is empty at once, and its keys are freed in bounded turns") {
  Keyspace keyspace;
  const ValueRef value = make_string("x");
  constexpr size_t kKeys = 20'000;
  for (size_t i = 0; i < kKeys; ++i) keyspace.set(3, std::to_string(i), {.value = value, .version = {}});
  keyspace.set(0, "kept", item("1"));
  { const Cut dropped = keyspace.freeze({}); }
  finish_work(keyspace);
  keyspace.erase(3, "7");
  const size_t before = keyspace.memory_used();
  keyspace.flush(3);
  CHECK(keyspace.size(3) == 0);
  CHECK(keyspace.size() == 1);
  CHECK(keyspace.find(3, "1") == nullptr);
  CHECK(keyspace.memory_used() + kKeys * 50 < before);
  CHECK(keyspace.digest() == item_digest(0, "kept", item("1")));
  CHECK(value.use_count() == kKeys);
  long held = value.use_count();
  while (keyspace.work_waits()) {
    keyspace.on_turn();
    REQUIRE(held - value.use_count() <= 2048);
    held = value.use_count();
  }
  CHECK(value.use_count() == 1);
  // What was said of its keys before is passed over.
  { const Cut dropped = keyspace.freeze({}); }
  finish_work(keyspace);
  CHECK(keyspace.size() == 1);
}

TEST_CASE("keyspace: a flush takes a new namespace, and none for a database without keys") {
  Keyspace keyspace;
  CHECK(keyspace.databases() == Databases{});
  keyspace.flush(5);
  keyspace.set(5, "a", item("1"));
  keyspace.erase(5, "a");
  keyspace.flush(5);
  CHECK(keyspace.databases() == Databases{});
  keyspace.set(5, "a", item("1"));
  keyspace.flush(5);
  CHECK(keyspace.databases().spaces[5] == 17);
  CHECK(keyspace.databases().next_space == 18);
  CHECK(keyspace.digest() == Digest{});
}

TEST_CASE("keyspace: a swap exchanges keys, counts and digests, and is a change") {
  Keyspace keyspace;
  keyspace.set(1, "a", item("1", 1, 5));
  keyspace.set(2, "b", item("2"));
  keyspace.set(2, "c", item("3"));
  { const Cut dropped = keyspace.freeze({}); }
  CHECK(keyspace.dirty_keys() == 0);
  keyspace.swap(1, 2);
  CHECK(keyspace.dirty_keys() == 1);
  CHECK(value_at(keyspace, 2, "a") == "1");
  CHECK(value_at(keyspace, 1, "b") == "2");
  CHECK(keyspace.size(1) == 2);
  CHECK(keyspace.expires(2) == 1);
  CHECK(keyspace.digest() == item_digest(2, "a", item("1", 1, 5)) + item_digest(1, "b", item("2")) + item_digest(1, "c", item("3")));
  CHECK(keyspace.databases().spaces[1] == 3);
  CHECK(keyspace.databases().spaces[2] == 2);
  keyspace.swap(4, 4);
  const Cut cut = keyspace.freeze({});
  CHECK(cut.header.databases == keyspace.databases());
  CHECK(keyspace.dirty_keys() == 0);
}

using Origins = std::map<std::string, std::optional<std::string>>;
// Of each key of a cut, where its value was at the cut before.
Origins origins_of(const Cut& cut) {
  Origins origins;
  cut.for_each([&](const Cut::Change& change) {
    origins[std::string(change.key)] = change.origin ? std::optional(std::string(*change.origin)) : std::nullopt;
  });
  return origins;
}

void rename(Keyspace& keyspace, std::string_view from, std::string_view to) {
  keyspace.rename(0, {.from = from, .to = to, .version = {.index = 9, .position = 0}});
}

// A keyspace whose cut before this had "a", "b" and "c".
void begin(Keyspace& keyspace) {
  for (const char* key : {"a", "b", "c"}) keyspace.set(0, key, item(key, 1, 50));
  const Cut dropped = keyspace.freeze({});
}

TEST_CASE("keyspace: a renamed key has the value and the deadline, a new version, and says where the value was") {
  Keyspace keyspace;
  begin(keyspace);
  rename(keyspace, "a", "b");
  CHECK(value_at(keyspace, 0, "a") == "(none)");
  CHECK(value_at(keyspace, 0, "b") == "a");
  CHECK(keyspace.find(0, "b")->deadline_ms == 50);
  CHECK(keyspace.find(0, "b")->version.index == 9);
  CHECK(keyspace.size(0) == 2);
  CHECK(keyspace.digest() == keyspace.recompute_digest());
  CHECK(origins_of(keyspace.freeze({})) == Origins{{"a", {}}, {"b", "a"}});
}

TEST_CASE("keyspace: through chains and exchanges a value is known by where it was at the cut before") {
  Keyspace keyspace;
  begin(keyspace);
  for (const auto& [from, to] : {std::pair("a", "t"), {"b", "a"}, {"t", "b"}, {"c", "d"}, {"d", "e"}}) rename(keyspace, from, to);
  CHECK(origins_of(keyspace.freeze({})) == Origins{{"a", "b"}, {"b", "a"}, {"t", {}}, {"c", {}}, {"d", {}}, {"e", "c"}});
  rename(keyspace, "e", "d");
  rename(keyspace, "d", "e");
  CHECK(origins_of(keyspace.freeze({})) == Origins{{"d", {}}, {"e", "e"}});
}

TEST_CASE("keyspace: a value that was set since the cut before is from nowhere, also when it was renamed") {
  Keyspace keyspace;
  begin(keyspace);
  rename(keyspace, "a", "x");
  keyspace.set(0, "x", item("new"));
  keyspace.set(0, "b", item("new"));
  rename(keyspace, "b", "y");
  rename(keyspace, "c", "z");
  keyspace.erase(0, "z");
  CHECK(origins_of(keyspace.freeze({})) == Origins{{"a", {}}, {"x", {}}, {"b", {}}, {"y", {}}, {"c", {}}, {"z", {}}});
}

TEST_CASE("keyspace: what is renamed behind a cut that waits is said to be where that cut puts it") {
  Keyspace keyspace;
  begin(keyspace);
  rename(keyspace, "a", "x");
  const Cut waits = keyspace.freeze({});
  rename(keyspace, "x", "y");
  rename(keyspace, "c", "d");
  CHECK(origins_of(waits) == Origins{{"a", {}}, {"x", "a"}});
  CHECK(origins_of(keyspace.freeze({})) == Origins{{"x", {}}, {"y", "x"}, {"c", {}}, {"d", "c"}});
}

// What the keyspace is held against: maps of values, and what a disk that executes cuts holds.
class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {}
  void change() {
    const uint32_t database = pick();
    const std::string key = std::to_string(random_.below(12)), other = std::to_string(random_.below(12));
    auto& keys = databases_[database];
    switch (random_.below(12)) {
      case 0: keyspace.flush(database); keys.clear(); return;
      case 1: swap(database, pick()); return;
      case 2: case 3: case 4:
        if (!keys.contains(key) || key == other) return;
        keyspace.rename(database, {.from = key, .to = other, .version = {.index = ++index_, .position = 0}});
        keys[other] = keys[key];
        keys.erase(key);
        return;
      case 5: case 6: CHECK(keyspace.erase(database, key) == (keys.erase(key) == 1)); return;
      default:
        keys[key] = std::to_string(++index_);
        keyspace.set(database, key, item(keys[key], index_, random_.below(2)));
    }
  }
  void compare() {
    REQUIRE(keyspace.digest() == keyspace.recompute_digest());
    for (uint32_t database = 0; database < kDatabases; ++database) {
      std::map<std::string, std::string> found;
      keyspace.for_each(database, [&](std::string_view key, const Item& each) { found[std::string(key)] = each.value->string; });
      REQUIRE(found == databases_[database]);
      REQUIRE(keyspace.size(database) == found.size());
    }
  }
  // As storage does it: every origin from the state before, all else anew. Some fail, and are tried again at the next call.
  void flush_to_disk() {
    Cut cut = failed_ ? *std::exchange(failed_, std::nullopt) : keyspace.freeze({});
    for (uint64_t i = random_.below(6); i > 0; --i) change();
    if (random_.chance(1, 3)) {
      failed_ = std::move(cut);
      return;
    }
    const auto before = disk_;
    cut.for_each([&](const Cut::Change& each) {
      auto& keys = disk_[each.space];
      if (each.item->value == nullptr) keys.erase(std::string(each.key));
      else keys[std::string(each.key)] = each.origin ? before.at(each.space).at(std::string(*each.origin)) : each.item->value->string;
    });
    names_ = cut.header.databases;
    if (random_.chance(1, 2)) keyspace.on_turn();
  }
  void compare_disk() {
    keyspace.on_turn();
    while (failed_ || keyspace.dirty_keys() > 0) flush_to_disk();
    for (uint32_t database = 0; database < kDatabases; ++database) REQUIRE(disk_[names_.spaces[database]] == databases_[database]);
  }

  Keyspace keyspace;

 private:
  uint32_t pick() { return static_cast<uint32_t>(random_.below(4)); }
  void swap(uint32_t first, uint32_t second) {
    keyspace.swap(first, second);
    if (first != second) std::swap(databases_[first], databases_[second]);
  }
  base::Random random_;
  std::array<std::map<std::string, std::string>, kDatabases> databases_;
  std::map<uint64_t, std::map<std::string, std::string>> disk_;   // By namespace.
  Databases names_;
  std::optional<Cut> failed_;
  uint64_t index_ = 0;
};

TEST_CASE("keyspace: whatever is set, renamed, flushed and swapped, memory and the disk follow a simple map") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Model model(seed);
    for (int round = 0; round < 60; ++round) {
      for (int i = 0; i < 10; ++i) model.change();
      model.compare();
      model.flush_to_disk();
    }
    model.compare_disk();
    finish_work(model.keyspace);
    model.compare();
  }
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
