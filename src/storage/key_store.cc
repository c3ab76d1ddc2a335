// keys-<generation>.db's read-write connection: opening, flushing, loading. The rows are in key_tables.cc.
// Invariant: header_ and witness_ say what the file holds as of the last commit.
#include "storage/key_store.h"

#include <sqlite3.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "base/format.h"
#include "storage/fatal.h"
#include "storage/key_tables.h"
#include "storage/meta.h"
#include "storage/sqlite.h"

namespace leto::storage {

namespace {

using Number = unsigned long long;
using keyspace::Cut;
using keyspace::StateHeader;

constexpr size_t kCacheBytes = 16 << 20;
constexpr size_t kDigestDigits = 32;

// Two halves of 16 hexadecimal digits.
bool parse_digest(const std::string& text, keyspace::Digest& digest) {
  if (text.size() != kDigestDigits || text.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return false;
  }
  const char* middle = text.data() + kDigestDigits / 2;
  std::from_chars(text.data(), middle, digest.high, 16);
  std::from_chars(middle, middle + kDigestDigits / 2, digest.low, 16);
  return true;
}

// By database and key, so that each page of a table is met once.
std::vector<Cut::Change> sorted_changes(const Cut& cut) {
  std::vector<Cut::Change> changes;
  changes.reserve(cut.size());
  cut.for_each([&](const Cut::Change& change) { changes.push_back(change); });
  std::sort(changes.begin(), changes.end(), [](const Cut::Change& left, const Cut::Change& right) {
    return std::tie(left.database, left.key) < std::tie(right.database, right.key);
  });
  return changes;
}

class SqliteKeyStore : public KeyStore {
 public:
  explicit SqliteKeyStore(const KeyStoreOptions& options) : options_(options) {}
  base::Status start();

  StateHeader header() const override { return header_; }
  Witness witness() const override { return witness_; }
  base::Status load(const Sink& sink) override;
  base::Status flush(const Cut& cut, const Witness& witness) override;
  base::Status write_witness(const Witness& witness) override;
  base::Status checkpoint() override;
  base::Status close() override;

 private:
  using Step = std::function<int()>;
  base::Status create();
  base::Status read_header();
  int within_transaction(const char* action, const Step& change);
  base::Status transaction(const char* action, const Step& change);
  base::Status fail(const std::string& text, int code);
  base::Status dead() const { return base::Status::error(database_->path() + ": a sync failed before"); }
  int put(const Cut& cut);
  int put(const Cut::Change& change);
  int put_header(const StateHeader& header);
  int put_witness(const Witness& witness);

  const KeyStoreOptions options_;
  std::unique_ptr<Database> database_;
  std::optional<Meta> meta_;
  Namespaces namespaces_;
  StateHeader header_;
  Witness witness_;
  uint64_t next_object_ = 1;   // Only rises: a flush that failed leaves a gap.
  std::string failure_; // Of the last transaction that failed.
  bool dead_ = false;   // A sync failed, and the process lives on (fatal.h).
};

// --- Start and end -----------------------------------------------------------------------------------

base::Status SqliteKeyStore::start() {
  const std::string name = base::format("/keys-%llu.db", Number{options_.generation});
  base::Result<std::unique_ptr<Database>> opened =
      Database::open({.path = options_.directory + name,
                      .vfs = options_.vfs,
                      .exclusive = false,
                      .cache_bytes = kCacheBytes});
  if (!opened.is_ok()) return opened.take_status();
  database_ = std::move(opened.value());
  meta_.emplace(*database_);
  base::Status status;
  if (database_->is_new()) status = create();
  if (status.is_ok()) status = meta_->open(FileKind::kKeys);
  if (status.is_ok() && !database_->is_new()) status = database_->set_up();
  if (status.is_ok()) status = read_header();
  if (status.is_ok()) status = namespaces_.open(*database_);
  if (status.is_ok()) status = database_->rewrite_wal();
  // Only now does the applied index count for compaction, and the witness as one.
  return status.is_ok() ? database_->checkpoint_whole() : std::move(status);
}

base::Status SqliteKeyStore::create() {
  if (base::Status status = database_->set_up(); !status.is_ok()) return status;
  // Nothing was promised yet: a failed sync is an error like any other.
  const int done = within_transaction("make its tables", [this] {
    const int code = Namespaces::create(*database_);
    return code == SQLITE_OK ? meta_->create(FileKind::kKeys) : code;
  });
  return done == SQLITE_OK ? base::Status() : base::Status::error(failure_);
}

base::Status SqliteKeyStore::read_header() {
  base::Status status;
  std::string digest(kDigestDigits, '0');
  meta_->read("applied_index", header_.applied_index, status);
  meta_->read("applied_term", header_.applied_term, status);
  meta_->read("cluster_time_ms", header_.cluster_time_ms, status);
  meta_->read("hash_seed", header_.hash_seed, status);
  meta_->read("configuration", header_.configuration, status);
  meta_->read("configuration_index", header_.configuration_index, status);
  meta_->read("digest", digest, status);
  meta_->read("witness_index", witness_.index, status);
  meta_->read("witness_term", witness_.term, status);
  meta_->read("next_object", next_object_, status);
  if (status.is_ok() && !parse_digest(digest, header_.digest)) {
    status = base::Status::error(database_->path() + ": damaged: the digest in table meta is none");
  }
  return status;
}

base::Status SqliteKeyStore::close() {
  if (dead_) return dead();
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

base::Status SqliteKeyStore::fail(const std::string& text, int code) {
  if (is_sync_failure(code)) {
    dead_ = true;
    fatal(text);
  }
  return base::Status::error(text);
}

// SQLITE_OK once `change` is durable. On an error the file is as before and failure_ says why.
int SqliteKeyStore::within_transaction(const char* action, const Step& change) {
  int code = database_->begin();
  if (code == SQLITE_OK) code = change();
  if (code == SQLITE_OK) code = database_->commit();
  if (code == SQLITE_OK) return code;
  failure_ = database_->failure(action, code);
  database_->roll_back();
  return code;
}

base::Status SqliteKeyStore::transaction(const char* action, const Step& change) {
  if (dead_) return dead();
  const int code = within_transaction(action, change);
  return code == SQLITE_OK ? base::Status() : fail(failure_, code);
}

base::Status SqliteKeyStore::flush(const Cut& cut, const Witness& witness) {
  base::Status status = transaction("flush keys", [&] {
    int code = put(cut);
    if (code == SQLITE_OK) code = put_header(cut.header);
    return code == SQLITE_OK ? put_witness(witness) : code;
  });
  if (status.is_ok()) {
    header_ = cut.header;
    witness_ = witness;
    return {};
  }
  if (dead_) return status;
  // Tables made in the transaction are gone again.
  namespaces_.forget();
  if (base::Status again = namespaces_.open(*database_); !again.is_ok()) return again;
  return status;
}

base::Status SqliteKeyStore::write_witness(const Witness& witness) {
  base::Status status = transaction("write the witness", [&] { return put_witness(witness); });
  if (status.is_ok()) witness_ = witness;
  return status;
}

base::Status SqliteKeyStore::checkpoint() {
  if (dead_) return dead();
  bool whole = false;
  const int code = database_->checkpoint(whole);
  if (code == SQLITE_OK) return {};
  return fail(database_->failure("checkpoint it", code), code);
}

// --- What a transaction does -------------------------------------------------------------------------

int SqliteKeyStore::put(const Cut& cut) {
  int code = SQLITE_OK;
  for (const Cut::Change& change : sorted_changes(cut)) {
    code = put(change);
    if (code != SQLITE_OK) break;
  }
  return code;
}

int SqliteKeyStore::put(const Cut::Change& change) {
  const bool erased = change.item == nullptr || change.item->value == nullptr;
  KeyTables* tables = namespaces_.find(change.database);
  if (erased) return tables ? tables->erase(change.key) : SQLITE_OK;
  if (tables == nullptr) {
    if (const int code = namespaces_.add(*database_, change.database); code != SQLITE_OK) return code;
    tables = namespaces_.find(change.database);
  }
  return tables->put(change.key, *change.item, KeyTables::is_large(*change.item) ? next_object_++ : 0);
}

int SqliteKeyStore::put_header(const StateHeader& header) {
  const std::pair<const char*, uint64_t> numbers[] = {
      {"applied_index", header.applied_index},     {"applied_term", header.applied_term},
      {"cluster_time_ms", header.cluster_time_ms}, {"hash_seed", header.hash_seed},
      {"configuration_index", header.configuration_index}, {"next_object", next_object_},
  };
  int code = meta_->set("configuration", header.configuration);
  for (const auto& [name, value] : numbers) {
    if (code == SQLITE_OK) code = meta_->set(name, value);
  }
  return code == SQLITE_OK ? meta_->set("digest", header.digest.hex()) : code;
}

int SqliteKeyStore::put_witness(const Witness& witness) {
  const int code = meta_->set("witness_index", witness.index);
  return code == SQLITE_OK ? meta_->set("witness_term", witness.term) : code;
}

// --- Loading -----------------------------------------------------------------------------------------

base::Status SqliteKeyStore::load(const Sink& sink) {
  if (dead_) return dead();
  for (uint32_t db = 0; db < keyspace::kDatabases; ++db) {
    KeyTables* tables = namespaces_.find(db);
    if (tables == nullptr) continue;
    base::Status status = tables->load(*database_, db, [&](std::string_view key, keyspace::Item item) {
      sink(db, key, std::move(item));
    });
    if (!status.is_ok()) return status;
  }
  return {};
}

}  // namespace

base::Result<std::unique_ptr<KeyStore>> KeyStore::open(const KeyStoreOptions& options) {
  auto store = std::make_unique<SqliteKeyStore>(options);
  if (base::Status status = store->start(); !status.is_ok()) return status;
  return std::unique_ptr<KeyStore>(std::move(store));
}

}  // namespace leto::storage
