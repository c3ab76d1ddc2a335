// keys-<generation>.db's read-write connection: opening, flushing, loading. The rows are in key_tables.cc, namespaces.cc and
// state_rows.cc.
// Invariants: state_'s header and witness say what the file holds as of the last commit; flush_ is there iff a
// transaction is open between two calls.
#include "storage/key_store.h"

#include <sqlite3.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "base/format.h"
#include "storage/key_tables.h"
#include "storage/meta.h"
#include "storage/namespaces.h"
#include "storage/sqlite.h"
#include "storage/state_rows.h"
#include "storage/vfs_file.h"

namespace leto::storage {

namespace {

using keyspace::Cut;
using keyspace::StateHeader;

constexpr size_t kCacheBytes = 16 << 20;
// One large flush is not to take its room twice for good; what follows usually fits.
constexpr int64_t kWalBytesKept = 4 << 20;
constexpr size_t kStepBytes = 4 << 20;      // Of flush(), which has nobody to give way to.
constexpr size_t kSweptBytesMax = 4 << 20;  // By one checkpoint(), unless more was written since the one before.
constexpr size_t kTakeBytes = 4 << 10;      // What a renamed value counts in a step: the page its row is on.

struct Planned {
  Cut::Change change;
  uint64_t object = 0;   // Where its value is in the file already; 0: nowhere.
};

bool is_erased(const Cut::Change& change) { return change.item == nullptr || change.item->value == nullptr; }

// By namespace and key, so that each page of a table is met once; without those of namespaces that are gone.
std::vector<Planned> sorted_changes(const Cut& cut) {
  const auto& spaces = cut.header.databases.spaces;
  std::vector<Planned> changes;
  changes.reserve(cut.size());
  cut.for_each([&](const Cut::Change& change) {
    if (std::find(spaces.begin(), spaces.end(), change.space) != spaces.end()) changes.push_back({.change = change});
  });
  std::sort(changes.begin(), changes.end(), [](const Planned& left, const Planned& right) {
    return std::tie(left.change.space, left.change.key) < std::tie(right.change.space, right.change.key);
  });
  return changes;
}

// What is under way between begin_flush() and the commit.
struct Flush {
  const Cut* cut = nullptr;
  Witness witness;
  std::vector<Planned> changes;
  size_t looked_at = 0;   // By take_some(), which is done with all before the first one is put.
  size_t next = 0;
};

class SqliteKeyStore : public KeyStore {
 public:
  explicit SqliteKeyStore(const KeyStoreOptions& options) : options_(options) {}
  base::Status start();

  std::string path() const override { return path_; }
  StateHeader header() const override { return state_.header; }
  Witness witness() const override { return state_.witness; }
  uint64_t count_keys(uint32_t database) override;
  base::Status load(const Sink& sink) override;
  base::Status begin_flush(const Cut& cut, const Witness& witness) override;
  FlushStep step_flush(size_t bytes_max) override;
  base::Status write_witness(const Witness& witness) override;
  base::Status checkpoint() override;
  bool has_garbage() const override { return !database_->is_dead() && namespaces_.has_garbage(); }
  base::Status close() override;

 private:
  using Step = std::function<int()>;
  base::Status add_what_is_new();
  base::Status reopen_tables();
  base::Status transaction(const char* action, const Step& change);
  base::Status dead() const { return base::Status::error(path_ + ": a sync failed before"); }
  base::Status check_idle() const;
  base::Status end_flush(int code);
  base::Status sweep();
  int take_some(size_t& bytes_left);
  int put_some(size_t bytes_max);
  int put(const Planned& planned);
  int finish_flush();

  const KeyStoreOptions options_;
  const std::string path_ = keys_path(options_.directory, options_.generation);
  std::unique_ptr<Database> database_;
  std::optional<Meta> meta_;
  Namespaces namespaces_;
  StateRows state_;
  std::optional<Flush> flush_;
  size_t flushed_bytes_ = 0;   // Since the last checkpoint().
};

// --- Start and end -----------------------------------------------------------------------------------

base::Status SqliteKeyStore::start() {
  base::Result<std::unique_ptr<Database>> opened =
      Database::open({.path = path_, .vfs = options_.vfs, .exclusive = false, .wal_bytes_kept = kWalBytesKept,
                      .cache_bytes = kCacheBytes});
  if (!opened.is_ok()) return opened.take_status();
  database_ = std::move(opened.value());
  meta_.emplace(*database_);
  base::Status status = open_or_make(*database_, *meta_, FileKind::kKeys, &Namespaces::create);
  if (status.is_ok()) status = read_state(*database_, *meta_, state_);
  if (status.is_ok()) status = add_what_is_new();
  if (status.is_ok()) status = namespaces_.open(*database_, state_.header.databases.next_space);
  state_.header.databases = namespaces_.databases();
  if (status.is_ok()) status = database_->rewrite_wal();
  // Only now does the applied index count for compaction, and the witness as one.
  return status.is_ok() ? database_->checkpoint_whole() : std::move(status);
}

// A file of the same format may have been made before a table came to it.
base::Status SqliteKeyStore::add_what_is_new() {
  uint64_t there = 0;
  base::Status status = database_->query("SELECT count(*) FROM sqlite_schema WHERE name = 'garbage'", there);
  if (!status.is_ok() || there != 0) return status;
  std::string failure;
  const auto add = [this] { return Namespaces::add_garbage_table(*database_); };
  const int code = database_->transaction("add a table", add, failure);
  return code == SQLITE_OK ? base::Status() : base::Status::error(std::move(failure));
}

base::Status SqliteKeyStore::close() {
  if (database_->is_dead()) return dead();
  flush_.reset();
  database_->roll_back();
  base::Status status;
  bool whole = false;
  const int code = database_->checkpoint(whole);
  if (code != SQLITE_OK) status = database_->error("checkpoint it", code);
  namespaces_.forget();
  meta_.reset();
  database_->close();
  return status;
}

// --- Transactions ------------------------------------------------------------------------------------

base::Status SqliteKeyStore::transaction(const char* action, const Step& change) {
  if (database_->is_dead()) return dead();
  std::string failure;
  const int code = database_->transaction(action, change, failure);
  return code == SQLITE_OK ? base::Status() : base::Status::error(std::move(failure));
}

base::Status SqliteKeyStore::check_idle() const {
  LETO_ASSERT(!flush_, path_ + ": a flush is under way");
  return database_->is_dead() ? dead() : base::Status();
}

base::Status SqliteKeyStore::write_witness(const Witness& witness) {
  if (base::Status status = check_idle(); !status.is_ok()) return status;
  base::Status status = transaction("write the witness", [&] { return write_witness_rows(*meta_, witness); });
  if (status.is_ok()) state_.witness = witness;
  return status;
}

base::Status SqliteKeyStore::checkpoint() {
  if (base::Status status = check_idle(); !status.is_ok()) return status;
  base::Status swept = sweep();
  if (database_->is_dead()) return swept;
  // Also where something cannot be removed: or the WAL would grow without end.
  bool whole = false;
  const int code = database_->checkpoint(whole);
  // A sync that failed ends the process, whatever became of the sweep.
  base::Status copied = code == SQLITE_OK ? base::Status() : database_->error("checkpoint it", code);
  return swept.is_ok() ? std::move(copied) : std::move(swept);
}

base::Status SqliteKeyStore::sweep() {
  // What is flushed again and again must not be left behind faster than it goes.
  const size_t bytes = std::max(kSweptBytesMax, 2 * std::exchange(flushed_bytes_, 0));
  if (!namespaces_.has_garbage()) return {};
  base::Status status = transaction("remove old values", [&] {
    const int code = namespaces_.sweep(*database_, kSweptBytesMax);
    return code == SQLITE_OK ? namespaces_.bury(*database_, bytes) : code;
  });
  if (status.is_ok() || database_->is_dead()) return status;
  if (base::Status again = reopen_tables(); !again.is_ok()) return again;
  return status;
}

// --- Flushing ----------------------------------------------------------------------------------------

base::Status SqliteKeyStore::begin_flush(const Cut& cut, const Witness& witness) {
  if (base::Status status = check_idle(); !status.is_ok()) return status;
  flush_ = {.cut = &cut, .witness = witness, .changes = sorted_changes(cut)};
  const int code = database_->begin();
  if (code != SQLITE_OK) return end_flush(code);
  namespaces_.change(cut.header.databases);
  return {};
}

FlushStep SqliteKeyStore::step_flush(size_t bytes_max) {
  if (database_->is_dead()) return {.status = dead()};
  LETO_ASSERT(flush_.has_value(), path_ + ": a step of no flush");
  int code = put_some(bytes_max);
  if (code != SQLITE_OK) return {.status = end_flush(code)};
  if (flush_->next < flush_->changes.size()) return {};
  code = finish_flush();
  if (code != SQLITE_OK) return {.status = end_flush(code)};
  return {.status = {}, .done = true};
}

// The end of a flush that failed: as if it had never been begun.
base::Status SqliteKeyStore::end_flush(int code) {
  base::Status status = database_->error("flush keys", code);
  flush_.reset();
  if (database_->is_dead()) return status;
  database_->roll_back();
  if (base::Status again = reopen_tables(); !again.is_ok()) return again;
  return status;
}

// After a transaction that failed: tables made in it are gone again, and garbage removed in it is back.
base::Status SqliteKeyStore::reopen_tables() {
  namespaces_.forget();
  return namespaces_.open(*database_, state_.header.databases.next_space);
}

// Renamed values whose chunks are in the file are found while the rows are as they were: what is put later may be in the
// place of one of them.
int SqliteKeyStore::take_some(size_t& bytes_left) {
  for (; flush_->looked_at < flush_->changes.size() && bytes_left > 0; ++flush_->looked_at) {
    Planned& planned = flush_->changes[flush_->looked_at];
    const Cut::Change& change = planned.change;
    if (!change.origin || is_erased(change) || !KeyTables::is_large(*change.item)) continue;
    KeyTables* const tables = namespaces_.find(change.space);
    if (tables == nullptr) continue;
    const int code = tables->take_object(*change.origin, change.item->value->string.size(), planned.object);
    if (code != SQLITE_OK) return code;
    bytes_left -= std::min(bytes_left, kTakeBytes);
  }
  return SQLITE_OK;
}

int SqliteKeyStore::put_some(size_t bytes_max) {
  size_t bytes_left = bytes_max, large_bytes = 0;
  if (const int code = take_some(bytes_left); code != SQLITE_OK) return code;
  while (flush_->next < flush_->changes.size() && bytes_left > 0) {
    const Planned& planned = flush_->changes[flush_->next++];
    if (const int code = put(planned); code != SQLITE_OK) return code;
    const bool writes_value = !is_erased(planned.change) && planned.object == 0;
    const size_t value_bytes = writes_value ? planned.change.item->value->string.size() : 0;
    const size_t bytes = planned.change.key.size() + value_bytes;
    bytes_left -= std::min(bytes_left, bytes);
    flushed_bytes_ += bytes;
    if (value_bytes > kInlineBytesMax) large_bytes += value_bytes;
  }
  // Every large value pays for the removal of as much of what others left: so garbage never outgrows the values.
  return large_bytes == 0 ? SQLITE_OK : namespaces_.sweep(*database_, large_bytes);
}

int SqliteKeyStore::put(const Planned& planned) {
  const Cut::Change& change = planned.change;
  KeyTables* tables = namespaces_.find(change.space);
  if (is_erased(change)) return tables ? tables->erase(change.key) : SQLITE_OK;
  if (planned.object != 0) return tables->put_taken(change.key, *change.item, planned.object);
  if (tables == nullptr) {
    if (const int code = namespaces_.add(*database_, change.space); code != SQLITE_OK) return code;
    tables = namespaces_.find(change.space);
  }
  return tables->put(change.key, *change.item, KeyTables::is_large(*change.item) ? state_.next_object++ : 0);
}

int SqliteKeyStore::finish_flush() {
  const StateRows state{
      .header = flush_->cut->header, .witness = flush_->witness, .next_object = state_.next_object};
  int code = namespaces_.finish(*database_);
  if (code == SQLITE_OK) code = write_state(*meta_, state);
  if (code == SQLITE_OK) code = database_->commit();
  if (code != SQLITE_OK) return code;
  state_ = state;
  flush_.reset();
  return SQLITE_OK;
}

// --- Loading -----------------------------------------------------------------------------------------

uint64_t SqliteKeyStore::count_keys(uint32_t database) {
  KeyTables* const tables = database_->is_dead() ? nullptr : namespaces_.find_database(database);
  return tables ? tables->count(*database_) : 0;
}

base::Status SqliteKeyStore::load(const Sink& sink) {
  if (base::Status status = check_idle(); !status.is_ok()) return status;
  for (uint32_t db = 0; db < keyspace::kDatabases; ++db) {
    KeyTables* tables = namespaces_.find_database(db);
    if (tables == nullptr) continue;
    base::Status status = tables->load(*database_, db, [&](std::string_view key, keyspace::Item item) {
      sink(db, key, std::move(item));
    });
    if (!status.is_ok()) return status;
  }
  return {};
}

}  // namespace

base::Status KeyStore::flush(const keyspace::Cut& cut, const Witness& witness) {
  if (base::Status status = begin_flush(cut, witness); !status.is_ok()) return status;
  FlushStep step;
  while (step.status.is_ok() && !step.done) step = step_flush(kStepBytes);
  return std::move(step.status);
}

base::Result<std::unique_ptr<KeyStore>> KeyStore::open(const KeyStoreOptions& options) {
  auto store = std::make_unique<SqliteKeyStore>(options);
  if (base::Status status = store->start(); !status.is_ok()) return status;
  return std::unique_ptr<KeyStore>(std::move(store));
}

}  // namespace leto::storage
