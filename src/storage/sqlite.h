// SQLite as the two stores use it: a connection, its statements, its pragmas. Everything that Leto wants to
// be different from SQLite's defaults is set here, and read back.
//
// Invariants: a database file has at most one Database in this process that is not read-only (the owner, which
// alone writes and checkpoints it); nothing but PASSIVE checkpoints are run; a commit that has returned is synced; a sync that
// failed is never tried again, by this process or by one that reads its cache: it ends there and then (fatal.h), from open() on.
// Refuses to know of tables and rows, and of threads: one call at a time, from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

struct sqlite3;
struct sqlite3_file;
struct sqlite3_stmt;

namespace leto::storage {

// Settings of the whole library, which only count before its first use: call it before any other use of
// SQLite in the process (a test that registers a VFS included). Later calls give the first one's result.
base::Status configure_sqlite();

// SQLITE_FULL in any of its forms: the transaction was rolled back, the connection is sound.
bool is_full(int code);

// A prepared statement. Parameters count from 1, columns from 0.
class Statement {
 public:
  Statement() = default;
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;

  explicit operator bool() const { return handle_ != nullptr; }
  // Integers are stored as the signed ones with the same bits.
  void bind(int parameter, uint64_t value);
  // The bytes are not copied: they must live until reset().
  void bind_blob(int parameter, std::string_view bytes);
  void bind_text(int parameter, std::string_view bytes);
  // SQLITE_ROW, SQLITE_DONE, or an error.
  int step();
  // step() for statements without rows, then reset(): SQLITE_OK or an error.
  int run();
  // Lets go of the read transaction and of bound bytes. Every use ends with it: an unreset SELECT pins the
  // WAL.
  void reset();

  uint64_t integer(int column) const;
  // Valid until the next step() or reset().
  std::string_view bytes(int column) const;

 private:
  friend class Database;
  sqlite3_stmt* handle_ = nullptr;
};

// Resets a statement at the end of a scope.
class StatementScope {
 public:
  explicit StatementScope(Statement& statement) : statement_(statement) {}
  ~StatementScope() { statement_.reset(); }
  StatementScope(const StatementScope&) = delete;
  StatementScope& operator=(const StatementScope&) = delete;

 private:
  Statement& statement_;
};

// `path` for sqlite3_open_v2() with SQLITE_OPEN_URI, as a file that nobody changes: no locks, no WAL, no -shm, nothing made.
std::string immutable_uri(const std::string& path);

struct DatabaseOptions {
  std::string path;         // Absolute.
  std::string vfs;          // Empty: the default one.
  bool exclusive = false;   // Nobody else may open the file; its WAL index is in memory.
  bool must_write = false;  // A write that fails ends the process (fatal.h), as a sync that fails does anyway; but not a full disk.
  bool read_only = false;   // Beside the owner, or with `exclusive` in its absence: nothing of it is made, written, set up or owned.
  int64_t wal_bytes_kept = -1;   // A longer WAL is cut to so many when it begins anew; below 0: never.
  size_t cache_bytes = 2 << 20;  // A transaction larger than it costs speed only.
};

class Database {
 public:
  // Opens or makes the file and takes ownership of it. Writes nothing to a file that has tables. An error
  // says "FILE: ..." and why: in use, not a database, not accessible.
  static base::Result<std::unique_ptr<Database>> open(const DatabaseOptions& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // No table is in it: made just now, or by a process that died before it made any.
  bool is_new() const { return is_new_; }
  const std::string& path() const { return options_.path; }
  // The last part of path().
  std::string name() const;

  // Switches to WAL and sets everything durability rests on; reads every value back. Changes nothing in a
  // file that was set up so before.
  base::Status set_up();

  // One or more statements without rows: SQLITE_OK or the error of the first that failed.
  int execute(const std::string& sql);
  base::Status prepare(const std::string& sql, Statement& statement);
  // Each of them; up to the first that failed.
  base::Status prepare_all(std::initializer_list<std::pair<Statement*, std::string>> statements);
  // Calls `visit` for each row of `sql`, until it gives an error.
  base::Status for_each_row(const std::string& sql, const std::function<base::Status(const Statement& row)>& visit);
  // SQLite's look at the pages of these tables and of their indexes: an error if one does not hold together, or not with the
  // others. A cell that a page does not count any more leaves a hole, which nothing else would tell from a row that never was;
  // an index that lacks a row is met by who removes it. Only for small tables: it reads them whole.
  base::Status check_tables(std::initializer_list<const char*> tables);
  // The same of every page of the file.
  base::Status check_pages();
  // The one integer that `sql` gives, in `value`; 0 if it gives no row.
  base::Status query(const std::string& sql, uint64_t& value);

  // The connection for calls that are not offered here; it stays this object's.
  sqlite3* handle() { return handle_; }
  int begin();
  int commit();
  // Harmless without a transaction.
  void roll_back();
  // All of it around `change`: SQLITE_OK once that is durable. On an error the file is as before, and `failure_text`
  // is failure() of it.
  int transaction(const char* action, const std::function<int()>& change, std::string& failure_text);

  // Rows that the statement before inserted, changed or deleted.
  uint64_t changes() const;

  // Of the call that failed last: SQLite's extended result code.
  int last_code() const;
  // "FILE: cannot ACTION: SQLite's words (code)". To be called for every code that says failure, before anything else runs on
  // the connection: it is the end, die(), if what failed must not be tried again.
  std::string failure(const std::string& action, int code);
  base::Status error(const std::string& action, int code);
  // Calls fatal() with `text`, the first time. If that returns, the owner must not touch the file any more.
  void die(const std::string& text);
  bool is_dead() const { return is_dead_; }

  // Copies what it can from the WAL to the file. Sets `whole` if all of it was, and is synced.
  int checkpoint(bool& whole);
  // An error also if a reader held it up.
  base::Status checkpoint_whole();
  // Frames in the WAL that a whole checkpoint has not taken out of use yet.
  size_t wal_frames() const { return wal_frames_; }
  // Writes every byte of the WAL once more and syncs it. A process that ended because a sync failed leaves a
  // WAL that can be read from the cache and is not on the disk, and that no later sync will write, as the
  // kernel takes it for written. A checkpoint made from it, and then a power cut, would lay the older WAL that
  // is on the disk over the newer file. To be called at open, before the first checkpoint.
  base::Status rewrite_wal();
  // Makes the WAL at least this long, so that commits overwrite instead of growing it. REQUIRES: nothing
  // is in the WAL that is not in the file. A full disk is no error: the WAL then grows with use. `reached`: its length when
  // this returns, synced if it was so before.
  base::Status grow_wal(size_t bytes, uint64_t& reached);

  // Pages of the file in bytes: those that hold nothing and are written over first, and those that are in the WAL alone, by
  // which the next checkpoint lengthens the file.
  base::Status measure(uint64_t& unused, uint64_t& owed);

  // Closes without a checkpoint. Nothing else may be called afterwards. Statements must be gone.
  void close();

 private:
  Database() = default;
  base::Status connect();
  void keep_wal_on_close();
  sqlite3_file* wal_file();
  base::Status look();
  bool is_the_end(int code) const;
  std::string words(const std::string& action, int code) const;
  base::Status integrity_check(const std::string& sql);
  base::Status set_pragma(const char* name, const std::string& value, const std::string& expected);
  base::Status set_switches();
  static int count_frames(void* self, sqlite3*, const char*, int frames);

  DatabaseOptions options_;
  std::string claim_;
  sqlite3* handle_ = nullptr;
  Statement begin_, commit_;
  bool is_new_ = false;
  bool is_dead_ = false;
  size_t wal_frames_ = 0;
};

}  // namespace leto::storage
