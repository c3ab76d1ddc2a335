// raft.db's one connection and what is written through it. Reading at start is in log_tables.cc, rows are
// in segment.cc. Invariant: shape_ says what the file holds as of the last commit, or within a transaction,
// as of the last statement; a transaction that fails puts it back.
#include "storage/log_store.h"

#include <sqlite3.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/format.h"
#include "storage/ballast.h"
#include "storage/first_look.h"
#include "storage/log_tables.h"
#include "storage/meta.h"
#include "storage/segment.h"
#include "storage/sqlite.h"

namespace leto::storage {

namespace {

using Number = unsigned long long;

// A WAL of less could be gone without being missed.
constexpr size_t kWalBytesMin = 64 << 10;
constexpr size_t kCacheBytes = 16 << 20;  // Holds the largest job (8 MiB) unless one entry is larger.

// What the log looks like.
struct Shape {
  raft::EntryId base;   // The last entry dropped.
  raft::EntryId last;   // == base if there is no entry.
  std::vector<Segment> segments;
  uint64_t bytes = 0;   // Of all payloads.
};

struct Statements {
  Statement add_segment, seal_segment, drop_segment, add_term, add_configuration;
  Statement cut_terms, cut_configurations, term_at, forget_terms, forget_configurations;

  base::Status prepare(Database& database) {
    return database.prepare_all({
        {&add_segment, "INSERT INTO segments(first, bytes) VALUES(?, 0)"},
        {&seal_segment, "UPDATE segments SET bytes = ? WHERE first = ?"},
        {&drop_segment, "DELETE FROM segments WHERE first = ?"},
        {&add_term, "INSERT INTO terms(first, term) VALUES(?, ?)"},
        {&add_configuration, "INSERT INTO configurations(idx) VALUES(?)"},
        {&cut_terms, "DELETE FROM terms WHERE first >= ?"},
        {&cut_configurations, "DELETE FROM configurations WHERE idx >= ?"},
        {&term_at, "SELECT term FROM terms WHERE first <= ? ORDER BY first DESC LIMIT 1"},
        {&forget_terms, "DELETE FROM terms WHERE first <= ?"},
        {&forget_configurations, "DELETE FROM configurations WHERE idx <= ?"},
    });
  }
};

class SqliteLogStore : public LogStore {
 public:
  explicit SqliteLogStore(const LogStoreOptions& options)
      : options_(options), ballast_(options.directory, options.vfs, options.ballast_bytes) {}
  base::Status start();

  std::optional<Identity> identity() const override { return identity_; }
  base::Status set_identity(const Identity& identity) override;
  raft::Recovered recovered() const override { return recovered_; }
  base::Status reset(const Identity& identity) override;
  WriteResult write(const std::vector<LogWrite>& writes) override;
  base::Result<std::vector<raft::Entry>> read(raft::Index from, raft::Index last,
                                              size_t max_bytes) override;
  bool checkpoint_due() const override { return database_->wal_frames() >= options_.checkpoint_frames; }
  base::Result<raft::EntryId> compact(const LogDrop& drop) override;
  base::Status checkpoint() override;
  base::Result<LogRoom> look_at_room(const RoomWish& wish) override;
  LogStoreCounters counters() const override;
  base::Status close() override;

 private:
  using Change = std::function<int()>;
  bool has_room_for(uint64_t bytes) const;
  base::Status note_wal_bytes(uint64_t bytes);
  base::Status dead() const { return base::Status::error(database_->path() + ": a write failed before"); }
  WriteResult transaction(const char* action, const Change& change);
  base::Status change(const char* action, const Change& change);
  int within_transaction(const char* action, const Change& change);
  int carry_out(const std::vector<LogWrite>& writes);
  int carry_out(const LogWrite& write);
  int append(const raft::Entry& entry);
  int note_term_and_kind(const raft::Entry& entry);
  bool ends_founding(const raft::Entry& entry) const;
  bool needs_segment(const raft::Entry& entry) const;
  int add_segment(raft::Index first);
  int drop_segment(size_t position);
  int drop_log();
  int install(const LogInstall& install);
  int drop_front(size_t segments);
  int keep_term_behind_base();
  base::Result<uint64_t> free_bytes() const;
  bool tend_ballast(const RoomWish& wish, uint64_t free);
  size_t segments_to_drop(const LogDrop& drop) const;
  int truncate(raft::Index from);
  int shorten_last_segment(raft::Index from);
  int read_term(raft::Index index, raft::Term& term);
  int drop_everything(const Identity& identity);

  const LogStoreOptions options_;
  Ballast ballast_;
  std::unique_ptr<Database> database_;
  std::optional<Meta> meta_;
  SegmentWriter writer_;
  Statements sql_;
  Shape shape_;
  std::optional<Identity> identity_;
  raft::Recovered recovered_;
  bool is_short_ = false;   // Of room; RoomWish.
  uint64_t commits_ = 0;
  uint64_t checkpoints_ = 0;
  std::string failure_; // Of the last transaction that failed.
};

// --- Start and end -----------------------------------------------------------------------------------

base::Status SqliteLogStore::start() {
  base::Result<std::unique_ptr<Database>> opened =
      Database::open({.path = options_.directory + "/raft.db",
                      .vfs = options_.vfs,
                      .exclusive = true,
                      .must_write = true,
                      .cache_bytes = kCacheBytes});
  if (!opened.is_ok()) return opened.take_status();
  database_ = std::move(opened.value());
  if (database_->is_new() && options_.must_have_identity) return base::Status::error(lost_identity(database_->path()));
  meta_.emplace(*database_);
  base::Status status = open_or_make(*database_, *meta_, FileKind::kLog, &create_log_tables);
  if (status.is_ok()) status = sql_.prepare(*database_);
  LogContents contents;
  if (status.is_ok()) status = read_log(*database_, *meta_, contents);
  if (status.is_ok() && !contents.identity && options_.must_have_identity) {
    status = base::Status::error(lost_identity(database_->path()));
  }
  // What was readable may not have been durable: now it is.
  if (status.is_ok()) status = database_->rewrite_wal();
  if (status.is_ok()) status = database_->checkpoint_whole();
  uint64_t wal_bytes = 0;
  const bool grows = has_room_for(options_.wal_bytes);
  if (status.is_ok()) status = database_->grow_wal(grows ? options_.wal_bytes : std::min(kWalBytesMin, options_.wal_bytes), wal_bytes);
  if (status.is_ok()) status = note_wal_bytes(wal_bytes);
  if (!status.is_ok()) return status;
  identity_ = std::move(contents.identity);
  recovered_ = std::move(contents.recovered);
  shape_.base = recovered_.base;
  shape_.last = recovered_.last;
  shape_.segments = std::move(contents.segments);
  for (const Segment& segment : shape_.segments) shape_.bytes += segment.bytes;
  ballast_.find();
  if (has_room_for(options_.ballast_bytes)) ballast_.make();
  return {};
}

// What a nearly full disk has left is for those who cannot do without it.
bool SqliteLogStore::has_room_for(uint64_t bytes) const {
  base::Result<uint64_t> free = free_bytes();
  return !free.is_ok() || free.value() >= bytes + std::max(bytes, options_.spare_bytes);
}

// In the file itself, so that a WAL that is gone cannot take the row along. A full disk has no row: nobody misses it until
// there is room.
base::Status SqliteLogStore::note_wal_bytes(uint64_t bytes) {
  uint64_t noted = 0;
  base::Status status;
  meta_->read(kWalBytes, noted, status);
  if (!status.is_ok() || noted >= bytes) return status;
  int code = within_transaction("note how long its WAL is", [&] { return meta_->set(kWalBytes, bytes); });
  if (is_full(code)) return {};
  if (code != SQLITE_OK) return base::Status::error(failure_);
  bool whole = false;
  code = database_->checkpoint(whole);
  return code == SQLITE_OK || is_full(code) ? base::Status() : database_->error("checkpoint it", code);
}

base::Status SqliteLogStore::close() {
  if (database_->is_dead()) return dead();
  // All is in the file then: who removes the WAL of a node that ended in order, as any other program that writes does, loses
  // nothing. On a full disk the row stays, which only says more than must be.
  transaction("forget how long its WAL is", [&] { return meta_->erase(kWalBytes); });
  if (database_->is_dead()) return dead();
  base::Status status = database_->checkpoint_whole();
  writer_.close();
  sql_ = {};
  meta_.reset();
  database_->close();
  return status;
}

// --- Transactions ------------------------------------------------------------------------------------

// SQLITE_OK once `change` is durable. On an error the file and shape_ are as before and failure_ says why.
int SqliteLogStore::within_transaction(const char* action, const Change& change) {
  const Shape before = shape_;
  const int code = database_->transaction(action, change, failure_);
  if (code == SQLITE_OK) return code;
  shape_ = before;
  writer_.close();
  return code;
}

WriteResult SqliteLogStore::transaction(const char* action, const Change& change) {
  if (database_->is_dead()) return WriteResult::kFull;
  int code = within_transaction(action, change);
  if (is_full(code) && ballast_.give_away()) code = within_transaction(action, change);
  if (code == SQLITE_OK) {
    ++commits_;
    return WriteResult::kDurable;
  }
  if (is_full(code)) return WriteResult::kFull;
  database_->die(failure_);
  return WriteResult::kFull;
}

WriteResult SqliteLogStore::write(const std::vector<LogWrite>& writes) {
  const WriteResult result = transaction("write the log", [&] { return carry_out(writes); });
  if (result == WriteResult::kFull) return result;
  for (const LogWrite& write : writes) {
    if (write.install) identity_->keys_generation = write.install->keys_generation;
    for (const raft::Entry& entry : write.append) {
      if (ends_founding(entry)) identity_->founded = false;
    }
  }
  return result;
}

// For those who can do without it: a full disk is an error.
base::Status SqliteLogStore::change(const char* action, const Change& change) {
  if (transaction(action, change) == WriteResult::kDurable) return {};
  if (database_->is_dead()) return dead();
  return base::Status::error(database_->path() + ": cannot " + action + ": the disk is full");
}

base::Result<raft::EntryId> SqliteLogStore::compact(const LogDrop& drop) {
  const size_t count = segments_to_drop(drop);
  if (count == 0) return shape_.base;
  if (base::Status status = change("drop log", [&] { return drop_front(count); }); !status.is_ok()) return status;
  return shape_.base;
}

base::Status SqliteLogStore::set_identity(const Identity& identity) {
  base::Status status = change("write the identity", [&] { return write_identity(*meta_, identity); });
  if (status.is_ok()) identity_ = identity;
  return status;
}

base::Status SqliteLogStore::reset(const Identity& identity) {
  base::Status status = change("reset the log", [&] { return drop_everything(identity); });
  if (!status.is_ok()) return status;
  identity_ = identity;
  recovered_ = {};
  return {};
}

base::Status SqliteLogStore::checkpoint() {
  if (database_->is_dead()) return dead();
  bool whole = false;
  int code = database_->checkpoint(whole);
  if (is_full(code) && ballast_.give_away()) code = database_->checkpoint(whole);
  if (code == SQLITE_OK) {
    ++checkpoints_;
    return {};
  }
  const std::string text = database_->failure("checkpoint it", code);
  if (!is_full(code)) database_->die(text);
  return base::Status::error(text);
}

base::Result<uint64_t> SqliteLogStore::free_bytes() const {
  constexpr uint64_t kAlwaysEnough = uint64_t{1} << 62;
  return options_.free_bytes ? options_.free_bytes(options_.directory) : kAlwaysEnough;
}

// False if it was to be made, and could not be.
bool SqliteLogStore::tend_ballast(const RoomWish& wish, uint64_t free) {
  const bool is_given = wish.ballast == BallastWish::kGiveAway;
  if (ballast_.is_there() && !is_given) return true;
  if (wish.ballast == BallastWish::kMake && free >= ballast_.wanted_bytes() + wish.beside_ballast) return ballast_.make();
  ballast_.give_away();
  return true;
}

base::Result<LogRoom> SqliteLogStore::look_at_room(const RoomWish& wish) {
  if (database_->is_dead()) return dead();
  is_short_ = wish.is_short;
  base::Result<uint64_t> free = free_bytes();
  if (!free.is_ok()) return free.take_status();
  const bool is_made = tend_ballast(wish, free.value());
  // Full is what the room says anyway.
  if (is_short_ && database_->wal_frames() > 0) {
    const base::Status ignored = checkpoint();
    if (database_->is_dead()) return dead();
  }
  free = free_bytes();
  if (!free.is_ok()) return free.take_status();
  LogRoom room{.free = free.value(), .ballast_failed = !is_made};
  if (base::Status status = database_->measure(room.unused, room.owed); !status.is_ok()) return status;
  return room;
}

LogStoreCounters SqliteLogStore::counters() const {
  return {.commits = commits_, .checkpoints = checkpoints_, .wal_frames = database_->wal_frames(),
          .log_bytes = shape_.bytes, .base = shape_.base, .segments = shape_.segments.size(),
          .has_ballast = ballast_.is_there()};
}

// --- What a transaction does -------------------------------------------------------------------------

int SqliteLogStore::carry_out(const std::vector<LogWrite>& writes) {
  const raft::HardState* hard_state = nullptr;
  for (const LogWrite& write : writes) {
    if (write.hard_state) hard_state = &*write.hard_state;
  }
  int code = hard_state ? write_hard_state(*meta_, *hard_state) : SQLITE_OK;
  for (size_t i = 0; i < writes.size() && code == SQLITE_OK; ++i) code = carry_out(writes[i]);
  return code;
}

int SqliteLogStore::carry_out(const LogWrite& write) {
  int code = write.install ? install(*write.install) : SQLITE_OK;
  if (code == SQLITE_OK && write.truncate_from) code = truncate(*write.truncate_from);
  for (size_t i = 0; i < write.append.size() && code == SQLITE_OK; ++i) code = append(write.append[i]);
  return code;
}

int SqliteLogStore::append(const raft::Entry& entry) {
  LETO_ASSERT(entry.id.index == shape_.last.index + 1 && entry.id.term >= shape_.last.term,
              base::format("entry %llu of term %llu after entry %llu of term %llu", Number{entry.id.index},
                           Number{entry.id.term}, Number{shape_.last.index}, Number{shape_.last.term}));
  int code = needs_segment(entry) ? add_segment(entry.id.index) : SQLITE_OK;
  if (code == SQLITE_OK) code = note_term_and_kind(entry);
  if (code != SQLITE_OK) return code;
  Segment& segment = shape_.segments.back();
  if (!writer_.is_open(segment.first)) code = writer_.open(*database_, segment.first);
  if (code == SQLITE_OK) code = writer_.append(entry);
  if (code != SQLITE_OK) return code;
  ++segment.entries;
  segment.bytes += entry.size();
  shape_.bytes += entry.size();
  shape_.last = entry.id;
  return SQLITE_OK;
}

int SqliteLogStore::note_term_and_kind(const raft::Entry& entry) {
  int code = SQLITE_OK;
  // The first entry behind the base has a row even if its term is the base's, as the base has none.
  if (entry.id.term != shape_.last.term || entry.id.index == shape_.base.index + 1) {
    sql_.add_term.bind(1, entry.id.index);
    sql_.add_term.bind(2, entry.id.term);
    code = sql_.add_term.run();
  }
  if (code == SQLITE_OK && entry.kind == raft::EntryKind::kConfiguration) {
    sql_.add_configuration.bind(1, entry.id.index);
    code = sql_.add_configuration.run();
  }
  if (code == SQLITE_OK && ends_founding(entry)) code = erase_founded(*meta_);
  return code;
}

// Another member than the founder; what cannot be decoded is no reason to hold a node to be one.
bool SqliteLogStore::ends_founding(const raft::Entry& entry) const {
  if (!identity_ || !identity_->founded || entry.kind != raft::EntryKind::kConfiguration) return false;
  raft::Configuration configuration;
  return !raft::decode_configuration(*entry.payload, configuration) || configuration.members.size() > 1;
}

bool SqliteLogStore::needs_segment(const raft::Entry& entry) const {
  if (shape_.segments.empty()) return true;
  const Segment& segment = shape_.segments.back();
  if (is_short_ && segment.bytes >= kShortSegmentBytes) return true;
  return segment.entries >= options_.segment_entries_max ||
         segment.bytes + entry.size() > std::max<uint64_t>(options_.segment_bytes_max, entry.size());
}

int SqliteLogStore::add_segment(raft::Index first) {
  int code = SQLITE_OK;
  if (!shape_.segments.empty()) {
    sql_.seal_segment.bind(1, shape_.segments.back().bytes);
    sql_.seal_segment.bind(2, shape_.segments.back().first);
    code = sql_.seal_segment.run();
  }
  sql_.add_segment.bind(1, first);
  if (code == SQLITE_OK) code = sql_.add_segment.run();
  if (code != SQLITE_OK) return code;
  shape_.segments.push_back({.first = first, .entries = 0, .bytes = 0});
  return database_->execute("CREATE TABLE " + segment_table(first) +
                            "(idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind INTEGER NOT NULL,"
                            " crc INTEGER NOT NULL, payload BLOB NOT NULL)");
}

int SqliteLogStore::drop_segment(size_t position) {
  const Segment segment = shape_.segments[position];
  writer_.close();
  sql_.drop_segment.bind(1, segment.first);
  int code = sql_.drop_segment.run();
  if (code == SQLITE_OK) code = database_->execute("DROP TABLE " + segment_table(segment.first));
  shape_.bytes -= segment.bytes;
  shape_.segments.erase(shape_.segments.begin() + static_cast<std::ptrdiff_t>(position));
  return code;
}

int SqliteLogStore::drop_log() {
  int code = SQLITE_OK;
  while (code == SQLITE_OK && !shape_.segments.empty()) code = drop_segment(shape_.segments.size() - 1);
  if (code == SQLITE_OK) code = database_->execute("DELETE FROM terms; DELETE FROM configurations");
  return code;
}

int SqliteLogStore::install(const LogInstall& install) {
  const raft::Index first = shape_.base.index + (install.keeps_log ? 0 : 1);
  const raft::Index last = install.keeps_log ? shape_.last.index : install.last.index;
  LETO_ASSERT(identity_ && install.last.index >= first && install.last.index <= last && install.keys_generation != 0,
              base::format("a snapshot up to entry %llu in generation %llu, the log has entries %llu to %llu",
                           Number{install.last.index}, Number{install.keys_generation},
                           Number{shape_.base.index + 1}, Number{shape_.last.index}));
  if (install.keeps_log) return meta_->set("keys_generation", install.keys_generation);
  int code = drop_log();
  if (code == SQLITE_OK) code = write_base(*meta_, install.last);
  if (code == SQLITE_OK) code = meta_->set("keys_generation", install.keys_generation);
  shape_ = {.base = install.last, .last = install.last, .segments = {}, .bytes = 0};
  return code;
}

size_t SqliteLogStore::segments_to_drop(const LogDrop& drop) const {
  // Without a segment the log is what a snapshot leaves of it: empty, behind its base.
  const size_t segments_kept = is_short_ ? 0 : 1;
  size_t count = 0;
  uint64_t bytes = shape_.bytes;
  while (count < kSegmentsPerCompaction && count + segments_kept < shape_.segments.size()) {
    const Segment& segment = shape_.segments[count];
    const raft::Index last = segment.end() - 1;
    const bool is_wanted = last > drop.had_through && bytes - segment.bytes < drop.bytes_kept && bytes <= drop.bytes_max;
    if (last > drop.through || is_wanted) break;
    bytes -= segment.bytes;
    ++count;
  }
  return count;
}

int SqliteLogStore::drop_front(size_t segments) {
  raft::EntryId base{.term = 0, .index = shape_.segments[segments - 1].end() - 1};
  int code = read_term(base.index, base.term);
  for (size_t i = 0; i < segments && code == SQLITE_OK; ++i) code = drop_segment(0);
  if (code == SQLITE_OK) code = write_base(*meta_, base);
  shape_.base = base;
  if (code == SQLITE_OK) code = keep_term_behind_base();
  sql_.forget_configurations.bind(1, base.index);
  return code == SQLITE_OK ? sql_.forget_configurations.run() : code;
}

// The run of terms that the base cuts in two begins behind it from now on.
int SqliteLogStore::keep_term_behind_base() {
  const raft::Index first = shape_.base.index + 1;
  const bool is_empty = shape_.base.index == shape_.last.index;
  raft::Term term = 0;
  int code = is_empty ? SQLITE_OK : read_term(first, term);
  sql_.forget_terms.bind(1, first);
  if (code == SQLITE_OK) code = sql_.forget_terms.run();
  if (is_empty) return code;
  sql_.add_term.bind(1, first);
  sql_.add_term.bind(2, term);
  return code == SQLITE_OK ? sql_.add_term.run() : code;
}

int SqliteLogStore::truncate(raft::Index from) {
  LETO_ASSERT(from > shape_.base.index, base::format("truncation at %llu, log starts behind %llu",
                                                     Number{from}, Number{shape_.base.index}));
  if (from > shape_.last.index) return SQLITE_OK;
  int code = SQLITE_OK;
  while (code == SQLITE_OK && !shape_.segments.empty() && shape_.segments.back().first >= from) {
    code = drop_segment(shape_.segments.size() - 1);
  }
  if (code == SQLITE_OK && !shape_.segments.empty()) code = shorten_last_segment(from);
  sql_.cut_terms.bind(1, from);
  if (code == SQLITE_OK) code = sql_.cut_terms.run();
  sql_.cut_configurations.bind(1, from);
  if (code == SQLITE_OK) code = sql_.cut_configurations.run();
  shape_.last = shape_.base;
  if (code != SQLITE_OK || from == shape_.base.index + 1) return code;
  shape_.last.index = from - 1;
  return read_term(shape_.last.index, shape_.last.term);
}

int SqliteLogStore::shorten_last_segment(raft::Index from) {
  Segment& segment = shape_.segments.back();
  if (segment.end() > from) {
    const std::string table = segment_table(segment.first);
    const int code =
        database_->execute(base::format("DELETE FROM %s WHERE idx >= %llu", table.c_str(), Number{from}));
    uint64_t bytes = 0;
    if (code != SQLITE_OK) return code;
    const base::Status status = database_->query("SELECT sum(length(payload)) FROM " + table, bytes);
    if (!status.is_ok()) return database_->last_code();
    shape_.bytes -= segment.bytes - bytes;
    segment.bytes = bytes;
    segment.entries = from - segment.first;
  }
  return SQLITE_OK;
}

// Of an entry that is in the log.
int SqliteLogStore::read_term(raft::Index index, raft::Term& term) {
  const StatementScope scope(sql_.term_at);
  sql_.term_at.bind(1, index);
  const int code = sql_.term_at.step();
  LETO_ASSERT(code != SQLITE_DONE, base::format("no term for entry %llu", Number{index}));
  if (code == SQLITE_ROW) term = sql_.term_at.integer(0);
  return code == SQLITE_ROW ? SQLITE_OK : code;
}

int SqliteLogStore::drop_everything(const Identity& identity) {
  int code = drop_log();
  if (code == SQLITE_OK) code = erase_base(*meta_);
  if (code == SQLITE_OK) code = meta_->erase("term");
  if (code == SQLITE_OK) code = meta_->erase("voted_for");
  if (code == SQLITE_OK) code = write_identity(*meta_, identity);
  shape_ = {};
  return code;
}

// --- Reading back ------------------------------------------------------------------------------------

base::Result<std::vector<raft::Entry>> SqliteLogStore::read(raft::Index from, raft::Index last,
                                                            size_t max_bytes) {
  std::vector<raft::Entry> entries;
  if (database_->is_dead()) return dead();
  ReadRange range{.from = from, .last = std::min(last, shape_.last.index), .bytes_max = max_bytes};
  auto segment =
      std::upper_bound(shape_.segments.begin(), shape_.segments.end(), from,
                       [](raft::Index index, const Segment& other) { return index < other.first; });
  if (segment == shape_.segments.begin()) return entries;
  for (--segment; segment != shape_.segments.end() && range.from <= range.last; ++segment) {
    if (base::Status status = read_segment(*database_, *segment, range, entries); !status.is_ok()) {
      return status;
    }
  }
  return entries;
}

}  // namespace

uint64_t LogRoom::total() const { return free + unused - std::min(owed, free + unused); }

base::Result<std::unique_ptr<LogStore>> LogStore::open(const LogStoreOptions& options) {
  auto store = std::make_unique<SqliteLogStore>(options);
  if (base::Status status = store->start(); !status.is_ok()) return status;
  return std::unique_ptr<LogStore>(std::move(store));
}

}  // namespace leto::storage
