// keys-<generation>.db in foul weather: each single operation of the disk fails once, or the power is cut
// there. After the crash the file holds one flush whole, the last acknowledged one or the one under way.
#include <doctest/doctest.h>

#include "base/random.h"
#include "keyspace/keyspace.h"
#include "storage/key_tables.h"
#include "storage/load.h"
#include "tests/storage/crash_loop.h"

namespace leto::storage {

namespace {

using keyspace::Keyspace;

constexpr size_t kStepBytes = 300;

// What a keys file should hold: the header says the digest of the keys.
struct Expected {
  keyspace::StateHeader header;
  Witness witness;
};

// Chunks that no key has and that nobody will remove, or that will be removed though a key has them. Of databases that
// have tables.
std::string lost_chunks(const TestDisk& disk) {
  std::string names = select(disk, "SELECT namespace FROM databases, sqlite_schema WHERE name = 'keys_' || namespace");
  for (size_t end; (end = names.find(';')) != std::string::npos; names.erase(0, end + 1)) {
    const std::string keys = "keys_" + names.substr(0, end), chunks = "chunks_" + names.substr(0, end);
    const std::string found = select(disk,
        "SELECT count(*) FROM " + chunks + " WHERE object NOT IN (SELECT object FROM " + keys + " UNION SELECT object FROM garbage);"
        "SELECT count(*) FROM garbage WHERE object IN (SELECT object FROM " + keys + ")");
    if (found != "0;0;") return chunks + ": " + found;
  }
  return "";
}

std::string difference(const TestDisk& disk, KeyStore& store, const Expected& expected) {
  const keyspace::StateHeader header = store.header();
  if (header.applied_index != expected.header.applied_index) return "the applied index";
  if (header.configuration != expected.header.configuration) return "the configuration";
  if (!(header.digest == expected.header.digest)) return "the digest in the header";
  if (store.witness().index != expected.witness.index) return "the witness";
  if (!(header.databases == expected.header.databases)) return "the namespaces";
  if (const std::string lost = lost_chunks(disk); !lost.empty()) return lost;
  Keyspace keys;
  const base::Status status = load_keyspace(store, keys);
  if (!status.is_ok()) return status.text();
  return keys.recompute_digest() == expected.header.digest ? "" : "the keys";
}

class KeysLife {
 public:
  explicit KeysLife(TestDisk& disk) : disk_(disk) {}

  bool run() {
    try {
      return open() && flush() && flush() && witness() && checkpoint() && flush() && close() && open() &&
             witness() && flush() && checkpoint() && flush() && checkpoint() && close();
    } catch (const DiskDied&) {
      return false;
    }
  }
  void end() { store_.reset(); }

  void check_recovery(TestDisk& disk, base::Random& random) const {
    std::string before;
    {
      const auto store = open_keys(disk);
      before = difference(disk, *store, acknowledged_);
      if (!before.empty()) CHECK_MESSAGE(difference(disk, *store, asked_) == "", before);
      disk.power_cut(random);
    }
    const auto store = open_keys(disk);
    CHECK(difference(disk, *store, before.empty() ? acknowledged_ : asked_) == "");
    CHECK(store->write_witness({.index = 1, .term = 1}).is_ok());
    CHECK_FALSE(disk.had_two_writers());
  }
  static std::string start(const TestDisk& disk) { return keys_refusal(disk); }
  static constexpr bool kStartsWhole = true;

 private:
  bool open() {
    base::Result<std::unique_ptr<KeyStore>> store =
        KeyStore::open({.directory = "/disk", .vfs = disk_.name(), .generation = 1});
    if (store.is_ok()) store_ = std::move(store.value());
    return store.is_ok();
  }

  bool close() {
    const bool closed = store_->close().is_ok();
    store_.reset();
    return closed;
  }

  // New keys, changed ones, erased ones; small and large ones; a database more each time.
  void change_keys() {
    ++round_;
    const auto set = [&](uint32_t database, const std::string& key, size_t size) {
      keys_.set(database, key,
                {.value = keyspace::make_string(std::string(size, static_cast<char>('a' + round_))),
                 .version = {.index = round_, .position = database}});
    };
    for (uint64_t i = 0; i < 12; ++i) set(0, "key " + std::to_string(i * round_ % 17), 10 * i);
    if (round_ % 2 == 1) set(static_cast<uint32_t>(round_), "new here", 1);
    set(0, "large", round_ == 2 ? kInlineBytesMax + 1 : 20);
    keys_.erase(0, "key " + std::to_string(round_ - 1));
    change_databases();
  }

  void rename(uint32_t database, const std::string& from, const std::string& to) {
    const keyspace::Version version{.index = round_, .position = 99};
    if (keys_.find(database, from) != nullptr) keys_.rename(database, {.from = from, .to = to, .version = version});
  }

  // Large values go round, over each other and through names that are there for a moment; databases are exchanged and
  // flushed, and what was renamed or set in them before is gone.
  void change_databases() {
    const std::string bytes(kInlineBytesMax + 1 + round_, 'r');
    if (round_ == 1) {
      for (const char* key : {"x", "y"}) {
        keys_.set(2, key, {.value = keyspace::make_string(key + bytes), .version = {.index = round_, .position = 1}});
      }
    }
    rename(2, "x", "t");
    rename(2, "y", "x");
    rename(2, "t", "y");
    if (round_ == 3) rename(2, "y", "x");
    if (round_ == 4) keys_.set(2, "x", {.value = keyspace::make_string("small"), .version = {.index = round_, .position = 2}});
    keys_.swap(4, 5);
    if (round_ == 5) keys_.swap(0, 2);
    if (round_ % 2 == 0) {
      rename(0, "large", "larger");
      keys_.flush(static_cast<uint32_t>(round_ == 4 ? 0 : round_ - 1));
    }
  }

  bool flush() {
    change_keys();
    const keyspace::StateHeader header{.applied_index = round_,
                                       .configuration = std::string(round_ * 10, 'c'),
                                       .configuration_index = round_,
                                       .digest = keys_.digest()};
    const keyspace::Cut cut = keys_.freeze(header);
    asked_ = {.header = cut.header, .witness = {.index = round_ * 10, .term = 1}};
    // The same cut goes in when the fault has passed.
    if (!flush_in_steps(cut) && !flush_in_steps(cut)) return false;
    acknowledged_ = asked_;
    return true;
  }

  bool flush_in_steps(const keyspace::Cut& cut) {
    if (!store_->begin_flush(cut, asked_.witness).is_ok()) return false;
    FlushStep step;
    while (step.status.is_ok() && !step.done) step = store_->step_flush(kStepBytes);
    return step.status.is_ok();
  }

  bool witness() {
    asked_.witness.index += 5;
    if (!store_->write_witness(asked_.witness).is_ok()) return false;
    acknowledged_ = asked_;
    return true;
  }

  bool checkpoint() { return store_->checkpoint().is_ok() || store_->checkpoint().is_ok(); }

  TestDisk& disk_;
  std::unique_ptr<KeyStore> store_;
  Keyspace keys_;
  uint64_t round_ = 0;
  Expected acknowledged_, asked_;
};

}  // namespace

TEST_CASE("whichever operation of the keys file's disk fails, it holds one flush whole") { fail_each_operation<KeysLife>(); }

TEST_CASE("whichever operation the power is cut at, the keys file holds one flush whole") { stop_at_each_change<KeysLife>(2); }

TEST_CASE("whichever sync of the keys file the power is cut at or fails, it holds one flush whole") {
  cut_at_each_sync<KeysLife>(4, 12);
}

TEST_CASE("a recovery of the keys file that is cut short is begun again") { cut_each_start_short<KeysLife>(29); }

}  // namespace leto::storage
