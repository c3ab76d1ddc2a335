// A snapshot in foul weather: it is copied, received and switched to again and again, with each single operation of the
// disk failing once, and with the power cut there. After the crash the receiver has the old keys with the old log or
// the new keys with the log behind them (D9), never one with the other; and nothing else is left.
#include <doctest/doctest.h>

#include "base/random.h"
#include "keyspace/keyspace.h"
#include "storage/key_tables.h"
#include "storage/load.h"
#include "storage/lost_tail.h"
#include "storage/snapshot_file.h"
#include "tests/storage/crash_loop.h"

namespace leto::storage {

namespace {

using keyspace::Keyspace;

constexpr raft::EntryId kIncluded{.term = 3, .index = 50};
constexpr size_t kCrashStep = 6 << 10;

void put(Keyspace& keys, const std::string& key, size_t size) {
  keys.set(0, key, {.value = keyspace::make_string(std::string(size, 'v')), .version = {.index = 1, .position = 0}});
}

LogStoreOptions follower_log(const TestDisk& disk) {
  LogStoreOptions options = small_log(disk);
  options.directory = "/other";
  return options;
}

// Keys of a leader in /disk, and of a follower in /other with a log of 9 entries.
void prepare(const TestDisk& disk) {
  Keyspace keys;
  for (int i = 0; i < 40; ++i) put(keys, "key " + std::to_string(i), 50);
  put(keys, "large", kInlineBytesMax + 1);
  const keyspace::StateHeader header{
      .applied_index = kIncluded.index, .applied_term = kIncluded.term, .configuration = {}, .digest = keys.digest()};
  REQUIRE(open_keys(disk)->flush(keys.freeze(header), {.index = 60, .term = 3}).is_ok());
  base::Result<std::unique_ptr<KeyStore>> follower =
      KeyStore::open({.directory = "/other", .vfs = disk.name(), .generation = 1});
  REQUIRE(follower.is_ok());
  Keyspace old;
  put(old, "old", 10);
  REQUIRE(follower.value()
              ->flush(old.freeze({.applied_index = 7, .applied_term = 1, .configuration = {}, .digest = old.digest()}),
                      {.index = 8, .term = 1})
              .is_ok());
  REQUIRE(follower.value()->close().is_ok());
  const auto log = open_log(follower_log(disk));
  Identity identity;
  identity.id = "id2";
  identity.node = 2;
  REQUIRE(log->set_identity(identity).is_ok());
  LogWrite write;
  write.hard_state = raft::HardState{.term = 3, .voted_for = 0};
  for (raft::Index i = 1; i <= 9; ++i) write.append.push_back(make_entry(1, i, "old"));
  REQUIRE(log->write({write}) == WriteResult::kDurable);
  REQUIRE(log->close().is_ok());
}

// What a start of the follower finds: the generation, or why it refuses.
struct Found {
  uint64_t generation = 0;
  std::string refusal;
};

Found start_follower(const TestDisk& disk) {
  base::Result<std::unique_ptr<LogStore>> log = LogStore::open(follower_log(disk));
  if (!log.is_ok()) return {.refusal = log.status().text()};
  const uint64_t generation = log.value()->identity()->keys_generation;
  remove_other_generations("/other", disk.name(), generation);
  base::Result<std::unique_ptr<KeyStore>> keys =
      KeyStore::open({.directory = "/other", .vfs = disk.name(), .generation = generation});
  if (!keys.is_ok()) return {.refusal = keys.status().text()};
  Keyspace loaded;
  if (base::Status status = load_keyspace(*keys.value(), loaded); !status.is_ok()) return {.refusal = status.text()};
  const uint64_t applied = keys.value()->header().applied_index;
  const raft::Recovered recovered = log.value()->recovered();
  CHECK_FALSE(lost_tail(recovered, keys.value()->witness(), applied));
  CHECK(applied == (generation == 2 ? kIncluded.index : 7));
  CHECK(recovered.base == (generation == 2 ? kIncluded : raft::EntryId{}));
  CHECK(loaded.size() == (generation == 2 ? 41 : 1));
  return {.generation = generation, .refusal = {}};
}

class SnapshotLife {
 public:
  explicit SnapshotLife(TestDisk& disk) : disk_(disk) { prepare(disk); }

  bool run() {
    try {
      return open() && copy() && receive() && switch_over() && go_on();
    } catch (const DiskDied&) {
      return false;
    }
  }
  void end() {
    source_.reset();
    target_.reset();
    leader_.reset();
    log_.reset();
    keys_.reset();
  }

  void check_recovery(TestDisk& disk, base::Random& random) const {
    const Found first = start_follower(disk);
    REQUIRE_MESSAGE(first.refusal.empty(), first.refusal);
    if (switched_) CHECK(first.generation == 2);
    disk.power_cut(random);
    const Found second = start_follower(disk);
    CHECK_MESSAGE(second.refusal.empty(), second.refusal);
    CHECK(second.generation == first.generation);
    CHECK_FALSE(disk.exists(first.generation == 1 ? "/other/keys-2.db" : "/other/keys-1.db"));
    const auto leader = open_keys(disk);
    remove_other_generations("/disk", disk.name(), 1);
    CHECK_FALSE(disk.exists("/disk/snapshot-0.spool"));
    Keyspace loaded;
    CHECK(load_keyspace(*leader, loaded).is_ok());
    CHECK_FALSE(disk.had_two_writers());
  }
  static std::string start(const TestDisk& disk) { return start_follower(disk).refusal; }
  static constexpr bool kStartsWhole = false;   // What could not be removed is left to the next one.

 private:
  template <typename Store>
  static bool take(base::Result<std::unique_ptr<Store>> opened, std::unique_ptr<Store>& store) {
    if (opened.is_ok()) store = std::move(opened.value());
    return store != nullptr;
  }

  bool open() {
    return take(KeyStore::open({.directory = "/disk", .vfs = disk_.name(), .generation = 1}), leader_) &&
           take(LogStore::open(follower_log(disk_)), log_);
  }

  bool copy() {
    if (!take(SnapshotSource::open({.directory = "/disk", .vfs = disk_.name(), .generation = 1, .number = 0}),
              source_)) {
      return false;
    }
    SnapshotStep step;
    while (step.status.is_ok() && !step.done) step = source_->step(kCrashStep);
    return step.status.is_ok();
  }

  bool receive() {
    if (!take(SnapshotTarget::open(
                  {.directory = "/other", .vfs = disk_.name(), .generation = 2, .size = source_->size()}),
              target_)) {
      return false;
    }
    while (target_->offset() < source_->size()) {
      base::Result<std::string> bytes = source_->read(target_->offset(), kCrashStep);
      if (!bytes.is_ok()) return false;
      if (!target_->append(bytes.value()).is_ok() && !target_->append(bytes.value()).is_ok()) return false;
    }
    Keyspace loaded;
    keyspace::StateHeader header;
    return target_->finish({.last = kIncluded, .checksum = source_->checksum(), .term = 3}, loaded, header).is_ok();
  }

  bool switch_over() {
    LogWrite write;
    write.install = LogInstall{.last = kIncluded, .keys_generation = 2};
    if (log_->write({write}) == WriteResult::kFull && log_->write({write}) == WriteResult::kFull) return false;
    switched_ = true;
    remove_other_generations("/other", disk_.name(), 2);
    return true;
  }

  bool go_on() {
    if (!take(KeyStore::open({.directory = "/other", .vfs = disk_.name(), .generation = 2}), keys_)) return false;
    LogWrite write;
    write.append.push_back(make_entry(3, kIncluded.index + 1, "new"));
    if (log_->write({write}) == WriteResult::kFull && log_->write({write}) == WriteResult::kFull) return false;
    return log_->close().is_ok() && keys_->close().is_ok();
  }

  TestDisk& disk_;
  std::unique_ptr<KeyStore> leader_, keys_;
  std::unique_ptr<LogStore> log_;
  std::unique_ptr<SnapshotSource> source_;
  std::unique_ptr<SnapshotTarget> target_;
  bool switched_ = false;
};

}  // namespace

TEST_CASE("whichever operation fails while a snapshot is copied, received and switched to, keys and log fit") {
  fail_each_operation<SnapshotLife>();
}

TEST_CASE("whichever operation the power is cut at while a snapshot is under way, keys and log fit") {
  stop_at_each_change<SnapshotLife>(3);
}

TEST_CASE("whichever sync the power is cut at or fails while a snapshot is under way, keys and log fit") {
  cut_at_each_sync<SnapshotLife>(8, 10);
}

TEST_CASE("a start after a snapshot that is cut short is begun again") { cut_each_start_short<SnapshotLife>(23); }

}  // namespace leto::storage
