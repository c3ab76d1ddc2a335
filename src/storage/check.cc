// Examining raft.db, the current keys file, their WALs, and whether the two fit; see check.h.
#include "storage/check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/format.h"
#include "storage/first_look.h"
#include "storage/log_tables.h"
#include "storage/lost_tail.h"
#include "storage/meta.h"
#include "storage/namespaces.h"
#include "storage/peek.h"
#include "storage/sqlite.h"
#include "storage/state_rows.h"
#include "storage/verify_keys.h"
#include "storage/vfs_file.h"
#include "storage/wal_scan.h"

namespace leto::storage {

namespace {

using Number = unsigned long long;

constexpr int kIntegrityRowsMax = 10;

// An empty file is none for SQLite.
bool is_there(const std::string& vfs, const std::string& path) {
  return file_exists(vfs, path) || VfsFile::open(vfs, path, FileAccess::kRead).is_ok();
}

class Checker {
 public:
  Checker(const std::string& directory, const std::string& vfs) : directory_(directory), vfs_(vfs) {}
  CheckReport run();

 private:
  void note(std::string text) { report_.notes.push_back(std::move(text)); }
  // Each once: some is seen at the files, and again when they are opened.
  void damage(std::string text) {
    std::vector<std::string>& all = report_.damages;
    if (std::find(all.begin(), all.end(), text) == all.end()) all.push_back(std::move(text));
  }
  // True if it is none.
  bool is_sound(const base::Status& status);
  std::unique_ptr<Database> open(const std::string& path);
  // How many frames can be read.
  uint64_t check_wal(const std::string& path);
  void check_pages(Database& database);
  void check_log();
  void check_segments(Database& database);
  void check_keys(uint64_t generation);
  void check_values(Database& database);
  void check_together();

  const std::string directory_, vfs_;
  CheckReport report_;
  std::optional<LogContents> log_;
  std::optional<StateRows> state_;
};

CheckReport Checker::run() {
  is_sound(look_at_log_files(directory_, vfs_));
  check_log();
  const bool has_identity = log_ && log_->identity;
  if (!has_identity && has_keys_files(directory_) && file_exists(vfs_, directory_ + "/raft.db")) {
    damage(lost_identity(directory_ + "/raft.db"));
  } else if (log_ && !log_->identity) {
    note("no node was made here yet: raft.db has no identity");
  } else if (log_) {
    check_keys(log_->identity->keys_generation);
  } else {
    note("which keys file is current is in raft.db: none was examined");
  }
  if (log_ && state_) check_together();
  return std::move(report_);
}

bool Checker::is_sound(const base::Status& status) {
  if (!status.is_ok()) damage(status.text());
  return status.is_ok();
}

std::unique_ptr<Database> Checker::open(const std::string& path) {
  if (!is_there(vfs_, path)) {
    damage(path + ": there is no such file");
    return nullptr;
  }
  const uint64_t frames = check_wal(path);
  // SQLite would remove its WAL.
  if (is_empty_file(vfs_, path)) {
    damage(path + ": damaged: it is empty" + (frames == 0 ? "" : base::format(", but its WAL has %llu frames", Number{frames})));
    return nullptr;
  }
  if (!has_known_versions(vfs_, path)) damage(path + ": damaged: its header is of no kind that SQLite writes");
  base::Result<std::unique_ptr<Database>> opened =
      Database::open({.path = path, .vfs = vfs_, .exclusive = true, .read_only = true});
  if (!opened.is_ok()) {
    damage(opened.status().text());
    return nullptr;
  }
  if (opened.value()->is_new()) {
    note(path + ": it has no tables; it was being made");
    return nullptr;
  }
  check_pages(*opened.value());
  return std::move(opened.value());
}

uint64_t Checker::check_wal(const std::string& path) {
  base::Result<WalScan> scan = scan_wal(vfs_, path);
  if (!scan.is_ok()) {
    damage(scan.status().text());
    return 0;
  }
  const std::string wal = path + "-wal";
  if (scan.value().commits_lost == 1) {
    note(base::format("%s: a commit behind frame %llu is incomplete, as a power cut leaves one that nobody was told of",
                      wal.c_str(), Number{scan.value().frames_read}));
  }
  const uint64_t bytes_known = peek_wal_bytes(vfs_, path);
  if (std::string lost = wal_damage(wal, scan.value(), bytes_known); !lost.empty()) {
    damage(std::move(lost));
  } else if (scan.value().bytes < bytes_known) {
    note(base::format("%s: it has %llu bytes and had %llu; its commits end before that, and none is lost", wal.c_str(),
                      Number{scan.value().bytes}, Number{bytes_known}));
  }
  return scan.value().frames_read;
}

void Checker::check_pages(Database& database) {
  const std::string sql = base::format("PRAGMA integrity_check(%d)", kIntegrityRowsMax);
  is_sound(database.for_each_row(sql, [&](const Statement& row) {
    std::string found(row.bytes(0));
    std::replace(found.begin(), found.end(), '\n', ' ');
    if (found != "ok") damage(database.path() + ": damaged: SQLite says: " + found);
    return base::Status();
  }));
}

void Checker::check_log() {
  const std::unique_ptr<Database> database = open(directory_ + "/raft.db");
  if (!database) return;
  Meta meta(*database);
  if (!is_sound(meta.open(FileKind::kLog))) return;
  LogContents contents;
  const bool sound = is_sound(read_log(*database, meta, contents));
  log_ = std::move(contents);
  if (sound) check_segments(*database);
  const raft::Recovered& found = log_->recovered;
  const std::string entries =
      found.last.index == found.base.index
          ? base::format("no entries behind %llu", Number{found.base.index})
          : base::format("entries %llu to %llu in %zu segments", Number{found.base.index + 1}, Number{found.last.index},
                         log_->segments.size());
  const std::string node = log_->identity ? "node '" + log_->identity->id + "'" : "whose node it is cannot be read";
  note(base::format("%s: %s, term %llu; %s", database->path().c_str(), node.c_str(), Number{found.hard_state.term},
                    entries.c_str()));
  if (log_->identity && log_->identity->founded) note("it founded its cluster, and nobody else was ever a member of it");
  if (!sound) return;
  is_sound(check_term(database->path(), found));
}

// The last ones were checked by read_log(), as at every start.
void Checker::check_segments(Database& database) {
  for (size_t i = 0; i + kVerifiedSegments < log_->segments.size(); ++i) {
    is_sound(verify_segment(database, log_->segments[i], {log_->recovered.terms, log_->configurations}));
  }
}

void Checker::check_keys(uint64_t generation) {
  const std::unique_ptr<Database> database = open(keys_path(directory_, generation));
  if (!database) return;
  Meta meta(*database);
  if (!is_sound(meta.open(FileKind::kKeys))) return;
  StateRows state;
  if (!is_sound(read_state(*database, meta, state))) return;
  raft::Configuration configuration;
  const std::string& members = state.header.configuration;
  if (!members.empty() && !raft::decode_configuration(members, configuration)) {
    damage(database->path() + ": damaged: the configuration in table meta is none");
  }
  state_ = std::move(state);
  check_values(*database);
}

void Checker::check_values(Database& database) {
  Namespaces namespaces;
  if (!is_sound(namespaces.open_for_reading(database, state_->header.databases.next_space))) return;
  KeysSum sum;
  bool sound = true;
  for (uint32_t db = 0; db < keyspace::kDatabases; ++db) sound &= is_sound(add_keys(database, namespaces, db, sum));
  note(base::format("%s: %llu keys at entry %llu of term %llu; witness %llu of term %llu", database.path().c_str(), Number{sum.keys},
                    Number{state_->header.applied_index}, Number{state_->header.applied_term},
                    Number{state_->witness.index}, Number{state_->witness.term}));
  if (!sound) return;
  if (const base::Status status = compare_digest(database.path(), state_->header, sum.digest); !status.is_ok()) damage(status.text());
}

void Checker::check_together() {
  const raft::Recovered& log = log_->recovered;
  const uint64_t applied = state_->header.applied_index;
  is_sound(check_beginning(keys_path(directory_, log_->identity->keys_generation), log,
                           {.term = state_->header.applied_term, .index = applied}));
  if (!lost_tail(log, state_->witness, applied)) return;
  damage(base::format(
      "%s: raft.db lost its tail: it ends at entry %llu in term %llu; the keys file was at %llu, and saw %llu of term %llu",
      directory_.c_str(), Number{log.last.index}, Number{log.hard_state.term}, Number{applied},
      Number{state_->witness.index}, Number{state_->witness.term}));
}

}  // namespace

CheckReport check_directory(const std::string& directory, const std::string& vfs) {
  return Checker(directory, vfs).run();
}

}  // namespace leto::storage
