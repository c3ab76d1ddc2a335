// Connections, statements and pragmas; see sqlite.h, and docs/storage.md for why each pragma is as it is.
#include "storage/sqlite.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

#include "base/format.h"
#include "storage/fatal.h"
#include "storage/vfs_file.h"
#include "storage/wal_scan.h"

namespace leto::storage {

namespace {

constexpr size_t kGrowStepBytes = 64 << 10;  // SQLite writes less than 128 KiB at once.

// How long a database with readers waits for one of them that recovers the WAL's index.
constexpr int kPatienceMs = 1000;

// What is on the disk is unknown from then on.
bool is_sync_failure(int code) { return code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC; }

bool is_write_failure(int code) { return code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_TRUNCATE; }

// The files this process has open for writing. Guarded, as jobs on different files run side by side.
class Claims {
 public:
  bool take(const std::string& name) {
    const std::lock_guard<std::mutex> guard(mutex_);
    return names_.insert(name).second;
  }
  void release(const std::string& name) {
    const std::lock_guard<std::mutex> guard(mutex_);
    names_.erase(name);
  }

 private:
  std::mutex mutex_;
  std::set<std::string> names_;
};

Claims& claims() {
  static Claims all;
  return all;
}

int configure_once() {
  // Memory statistics cost a global mutex on every allocation.
  const int code = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  return code == SQLITE_OK ? sqlite3_initialize() : code;
}

bool may_be_written(const DatabaseOptions& options) {
  sqlite3_vfs* const vfs = sqlite3_vfs_find(options.vfs.empty() ? nullptr : options.vfs.c_str());
  int may = 0;
  return vfs != nullptr && vfs->xAccess(vfs, options.path.c_str(), SQLITE_ACCESS_READWRITE, &may) == SQLITE_OK && may != 0;
}

}  // namespace

base::Status configure_sqlite() {
  static const int code = configure_once();
  if (code == SQLITE_OK) return {};
  return base::Status::error(base::format("SQLite was used before it was configured (code %d)", code));
}

std::string immutable_uri(const std::string& path) {
  std::string uri = "file:";
  for (const char character : path) {
    if (std::strchr("%?#", character) != nullptr) {
      uri += base::format("%%%02x", static_cast<unsigned>(static_cast<unsigned char>(character)));
    } else {
      uri += character;
    }
  }
  return uri + "?immutable=1";
}

bool is_full(int code) { return (code & 0xff) == SQLITE_FULL; }

// --- Statement ---------------------------------------------------------------------------------------

Statement::~Statement() { sqlite3_finalize(handle_); }

Statement::Statement(Statement&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

void Statement::bind(int parameter, uint64_t value) {
  const int code = sqlite3_bind_int64(handle_, parameter, static_cast<sqlite3_int64>(value));
  LETO_ASSERT(code == SQLITE_OK, base::format("parameter %d, code %d", parameter, code));
}

void Statement::bind_blob(int parameter, std::string_view bytes) {
  const char* data = bytes.empty() ? "" : bytes.data();
  const int code = sqlite3_bind_blob64(handle_, parameter, data, bytes.size(), SQLITE_STATIC);
  LETO_ASSERT(code == SQLITE_OK,
              base::format("parameter %d, %zu bytes, code %d", parameter, bytes.size(), code));
}

void Statement::bind_text(int parameter, std::string_view bytes) {
  const char* data = bytes.empty() ? "" : bytes.data();
  const int code = sqlite3_bind_text64(handle_, parameter, data, bytes.size(), SQLITE_STATIC, SQLITE_UTF8);
  LETO_ASSERT(code == SQLITE_OK,
              base::format("parameter %d, %zu bytes, code %d", parameter, bytes.size(), code));
}

int Statement::step() { return sqlite3_step(handle_); }

int Statement::run() {
  const int code = sqlite3_step(handle_);
  reset();
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

void Statement::reset() { sqlite3_reset(handle_); }

uint64_t Statement::integer(int column) const {
  return static_cast<uint64_t>(sqlite3_column_int64(handle_, column));
}

std::string_view Statement::bytes(int column) const {
  const void* data = sqlite3_column_blob(handle_, column);
  const int size = sqlite3_column_bytes(handle_, column);
  if (data == nullptr || size <= 0) return {};
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

// --- Database: open and close ------------------------------------------------------------------------

base::Result<std::unique_ptr<Database>> Database::open(const DatabaseOptions& options) {
  if (base::Status status = configure_sqlite(); !status.is_ok()) return status;
  std::unique_ptr<Database> database(new Database);
  database->options_ = options;
  std::string claim = options.vfs + ":" + options.path;
  if (!options.read_only) {
    if (!claims().take(claim)) {
      return base::Status::error(options.path + ": in use by this process already");
    }
    database->claim_ = std::move(claim);
    if (base::Status status = put_back_torn_header(options.vfs, options.path); !status.is_ok()) return status;
  }
  if (base::Status status = database->connect(); !status.is_ok()) return status;
  if (base::Status status = database->look(); !status.is_ok()) return status;
  return database;
}

Database::~Database() { close(); }

void Database::close() {
  begin_ = {};
  commit_ = {};
  if (handle_ != nullptr) {
    const int code = sqlite3_close(handle_);
    LETO_ASSERT(code == SQLITE_OK, options_.path + ": closed with statements open");
    handle_ = nullptr;
  }
  if (!claim_.empty()) claims().release(std::exchange(claim_, {}));
}

std::string Database::name() const {
  const size_t slash = options_.path.rfind('/');
  return slash == std::string::npos ? options_.path : options_.path.substr(slash + 1);
}

base::Status Database::connect() {
  const int access = options_.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int flags = access | SQLITE_OPEN_NOMUTEX;
  const char* vfs = options_.vfs.empty() ? nullptr : options_.vfs.c_str();
  // Even to read SQLite makes a WAL that is missing (one of root's, maybe, that the node could not open), and removes that of
  // an empty file.
  const bool changes_wal = options_.read_only && options_.exclusive &&
                           (!file_exists(options_.vfs, options_.path + "-wal") || is_empty_file(options_.vfs, options_.path));
  const int code = changes_wal ? sqlite3_open_v2(immutable_uri(options_.path).c_str(), &handle_, flags | SQLITE_OPEN_URI, vfs)
                               : sqlite3_open_v2(options_.path.c_str(), &handle_, flags, vfs);
  if (code != SQLITE_OK) return error("open it", code);
  sqlite3_extended_result_codes(handle_, 1);
  keep_wal_on_close();
  if (options_.read_only) sqlite3_busy_timeout(handle_, options_.exclusive ? 0 : kPatienceMs);
  return {};
}

// From the first moment on: an opening that fails midway closes, too.
void Database::keep_wal_on_close() {
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  int persist_wal = 1;
  sqlite3_file_control(handle_, "main", SQLITE_FCNTL_PERSIST_WAL, &persist_wal);
}

// Locking must be decided before the first access, and what the file is before anything is written.
base::Status Database::look() {
  const char* locking = options_.exclusive ? "exclusive" : "normal";
  if (base::Status status = set_pragma("locking_mode", locking, locking); !status.is_ok()) return status;
  if (base::Status status = set_pragma("mmap_size", "0", "0"); !status.is_ok()) return status;
  uint64_t tables = 0;
  if (base::Status status = query("SELECT count(*) FROM sqlite_schema", tables); !status.is_ok()) {
    return status;
  }
  uint64_t pages = 0;
  if (base::Status status = query("PRAGMA page_count", pages); !status.is_ok()) return status;
  is_new_ = tables == 0;
  // The tables come with one commit, into a file of one page.
  if (is_new_ && pages > 1) return base::Status::error(options_.path + ": damaged: it has pages, but no tables");
  if (options_.read_only || sqlite3_db_readonly(handle_, "main") == 0 || !may_be_written(options_)) return {};
  return base::Status::error(options_.path + ": damaged: its header says that it is of a kind that is only read");
}

// --- Database: settings ------------------------------------------------------------------------------

base::Status Database::set_pragma(const char* name, const std::string& value, const std::string& expected) {
  Statement statement;
  const std::string set = base::format("PRAGMA %s=%s", name, value.c_str());
  if (const int code = execute(set); code != SQLITE_OK) return error(set, code);
  if (base::Status status = prepare(base::format("PRAGMA %s", name), statement); !status.is_ok()) {
    return status;
  }
  const int code = statement.step();
  // An in-memory VFS has no memory mapping to set, and says nothing.
  if (code == SQLITE_DONE && expected == "0") return {};
  if (code != SQLITE_ROW) return error(base::format("read PRAGMA %s", name), code);
  const std::string found(statement.bytes(0));
  if (found == expected) return {};
  // What a file says itself was as it should be when it was made.
  static const std::set<std::string> kOfTheFile = {"page_size", "auto_vacuum", "journal_mode"};
  const bool damaged = !is_new_ && kOfTheFile.contains(name);
  return base::Status::error(base::format("%s: %sPRAGMA %s is '%s' and not '%s'", options_.path.c_str(),
                                          damaged ? "damaged: " : "", name, found.c_str(), expected.c_str()));
}

base::Status Database::set_up() {
  struct Pragma {
    const char* name;
    std::string value;
    std::string expected;
  };
  const std::string cache = "-" + std::to_string(options_.cache_bytes >> 10);
  const std::string wal_kept = std::to_string(options_.wal_bytes_kept);
  const std::string patience = options_.exclusive ? "0" : std::to_string(kPatienceMs);
  const Pragma pragmas[] = {
      {"page_size", "4096", "4096"},         {"auto_vacuum", "0", "0"},
      {"cache_size", cache, cache},          {"temp_store", "MEMORY", "2"},
      {"secure_delete", "OFF", "0"},         {"cell_size_check", "ON", "1"},
      {"journal_mode", "wal", "wal"},        {"synchronous", "FULL", "2"},
      {"wal_autocheckpoint", "0", "0"},      {"journal_size_limit", wal_kept, wal_kept},
      {"recursive_triggers", "OFF", "0"},    {"busy_timeout", patience, patience},
  };
  for (const Pragma& pragma : pragmas) {
    base::Status status = set_pragma(pragma.name, pragma.value, pragma.expected);
    if (!status.is_ok()) return status;
  }
  if (base::Status status = set_switches(); !status.is_ok()) return status;
  if (base::Status status = prepare("BEGIN IMMEDIATE", begin_); !status.is_ok()) return status;
  return prepare("COMMIT", commit_);
}

// What SQLite offers as calls instead of pragmas.
base::Status Database::set_switches() {
  int no_checkpoint_on_close = 0;
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1, &no_checkpoint_on_close);
  int persist_wal = -1;
  sqlite3_file_control(handle_, "main", SQLITE_FCNTL_PERSIST_WAL, &persist_wal);
  if (no_checkpoint_on_close != 1 || persist_wal != 1) {
    return base::Status::error(base::format("%s: SQLite refused NO_CKPT_ON_CLOSE (%d) or PERSIST_WAL (%d)",
                                            options_.path.c_str(), no_checkpoint_on_close, persist_wal));
  }
  sqlite3_wal_hook(handle_, &Database::count_frames, this);
  return {};
}

int Database::count_frames(void* self, sqlite3*, const char*, int frames) {
  static_cast<Database*>(self)->wal_frames_ = static_cast<size_t>(frames);
  return SQLITE_OK;
}

// --- Database: statements and transactions -----------------------------------------------------------

int Database::execute(const std::string& sql) {
  return sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
}

base::Status Database::prepare(const std::string& sql, Statement& statement) {
  Statement fresh;
  const int code = sqlite3_prepare_v3(handle_, sql.c_str(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &fresh.handle_, nullptr);
  // Our own words, so that what they speak of is not what it was.
  if (code == SQLITE_ERROR && !is_new_) {
    return base::Status::error(base::format("%s: damaged: cannot prepare %s: %s (%d)", options_.path.c_str(), sql.c_str(),
                                            sqlite3_errmsg(handle_), code));
  }
  if (code != SQLITE_OK) return error("prepare " + sql, code);
  statement = std::move(fresh);
  return {};
}

base::Status Database::prepare_all(std::initializer_list<std::pair<Statement*, std::string>> statements) {
  for (const auto& [statement, sql] : statements) {
    if (base::Status status = prepare(sql, *statement); !status.is_ok()) return status;
  }
  return {};
}

base::Status Database::for_each_row(const std::string& sql, const std::function<base::Status(const Statement& row)>& visit) {
  Statement rows;
  if (base::Status status = prepare(sql, rows); !status.is_ok()) return status;
  int code = rows.step();
  for (; code == SQLITE_ROW; code = rows.step()) {
    if (base::Status status = visit(rows); !status.is_ok()) return status;
  }
  return code == SQLITE_DONE ? base::Status() : error("run " + sql, code);
}

base::Status Database::check_tables(std::initializer_list<const char*> tables) {
  base::Status status;
  for (const char* table : tables) {
    if (status.is_ok()) status = integrity_check(base::format("PRAGMA integrity_check(%s)", table));
  }
  return status;
}

base::Status Database::check_pages() { return integrity_check("PRAGMA integrity_check"); }

base::Status Database::integrity_check(const std::string& sql) {
  return for_each_row(sql, [this](const Statement& row) {
    std::string found(row.bytes(0));
    std::replace(found.begin(), found.end(), '\n', ' ');
    return found == "ok" ? base::Status() : base::Status::error(options_.path + ": damaged: SQLite says: " + found);
  });
}

base::Status Database::query(const std::string& sql, uint64_t& value) {
  Statement statement;
  if (base::Status status = prepare(sql, statement); !status.is_ok()) return status;
  const int code = statement.step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) return error("run " + sql, code);
  value = code == SQLITE_ROW ? statement.integer(0) : 0;
  return {};
}

int Database::begin() { return begin_.run(); }

int Database::commit() { return commit_.run(); }

void Database::roll_back() {
  if (sqlite3_get_autocommit(handle_) == 0) execute("ROLLBACK");
}

int Database::transaction(const char* action, const std::function<int()>& change, std::string& failure_text) {
  int code = begin();
  if (code == SQLITE_OK) code = change();
  if (code == SQLITE_OK) code = commit();
  if (code == SQLITE_OK) return code;
  failure_text = failure(action, code);
  roll_back();
  return code;
}

uint64_t Database::changes() const { return static_cast<uint64_t>(sqlite3_changes64(handle_)); }

int Database::last_code() const { return sqlite3_extended_errcode(handle_); }

bool Database::is_the_end(int code) const {
  return is_sync_failure(code) || (options_.must_write && is_write_failure(code));
}

void Database::die(const std::string& text) {
  if (std::exchange(is_dead_, true)) return;
  fatal(text);
}

std::string Database::failure(const std::string& action, int code) {
  std::string text = words(action, code);
  if (is_the_end(code)) die(text);
  return text;
}

std::string Database::words(const std::string& action, int code) const {
  const char* path = options_.path.c_str();
  // A call of the VFS leaves SQLite's own words as they were.
  const bool is_last = handle_ != nullptr && (sqlite3_errcode(handle_) & 0xff) == (code & 0xff);
  const char* words = is_last ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_BUSY: return base::format("%s: in use by another process", path);
    case SQLITE_NOTADB: return base::format("%s: not a database (%d)", path, code);
    case SQLITE_FORMAT:
    case SQLITE_CORRUPT: return base::format("%s: damaged: cannot %s: %s (%d)", path, action.c_str(), words, code);
    default: return base::format("%s: cannot %s: %s (%d)", path, action.c_str(), words, code);
  }
}

base::Status Database::error(const std::string& action, int code) {
  return base::Status::error(failure(action, code));
}

// --- Database: the WAL -------------------------------------------------------------------------------

int Database::checkpoint(bool& whole) {
  int frames = -1, copied = -1;
  const int code = sqlite3_wal_checkpoint_v2(handle_, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
  whole = code == SQLITE_OK && frames == copied;
  if (whole) wal_frames_ = 0;
  return code;
}

base::Status Database::checkpoint_whole() {
  bool whole = false;
  const int code = checkpoint(whole);
  if (code != SQLITE_OK) return error("checkpoint it", code);
  if (whole) return {};
  return base::Status::error(options_.path +
                             ": cannot checkpoint it: another process reads it; end that one");
}

base::Status Database::measure(uint64_t& unused, uint64_t& owed) {
  uint64_t page_bytes = 0, pages = 0, free_pages = 0;
  base::Status status = query("PRAGMA page_size", page_bytes);
  if (status.is_ok()) status = query("PRAGMA page_count", pages);
  if (status.is_ok()) status = query("PRAGMA freelist_count", free_pages);
  if (!status.is_ok()) return status;
  sqlite3_file* file = nullptr;
  sqlite3_int64 size = 0;
  int code = sqlite3_file_control(handle_, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (code == SQLITE_OK) code = file->pMethods->xFileSize(file, &size);
  if (code != SQLITE_OK) return error("read its size", code);
  const uint64_t wanted = pages * page_bytes;
  unused = free_pages * page_bytes;
  owed = wanted - std::min(wanted, static_cast<uint64_t>(size));
  return {};
}

sqlite3_file* Database::wal_file() {
  sqlite3_file* wal = nullptr;
  const int code = sqlite3_file_control(handle_, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
  return code == SQLITE_OK && wal != nullptr && wal->pMethods != nullptr ? wal : nullptr;
}

base::Status Database::rewrite_wal() {
  sqlite3_file* wal = wal_file();
  if (wal == nullptr) return {};
  sqlite3_int64 size = 0;
  int code = wal->pMethods->xFileSize(wal, &size);
  if (code != SQLITE_OK) return error("read the size of its WAL", code);
  std::string bytes(kGrowStepBytes, '\0');
  for (sqlite3_int64 at = 0; at < size; at += static_cast<sqlite3_int64>(bytes.size())) {
    const int step = static_cast<int>(std::min(size - at, static_cast<sqlite3_int64>(bytes.size())));
    code = wal->pMethods->xRead(wal, bytes.data(), step, at);
    if (code == SQLITE_OK) code = wal->pMethods->xWrite(wal, bytes.data(), step, at);
    if (code != SQLITE_OK) return error("write its WAL once more", code);
  }
  code = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
  return code == SQLITE_OK ? base::Status() : error("sync its WAL", code);
}

base::Status Database::grow_wal(size_t bytes, uint64_t& reached) {
  reached = 0;
  sqlite3_file* wal = wal_file();
  if (wal == nullptr) return {};
  sqlite3_int64 size = 0;
  int code = wal->pMethods->xFileSize(wal, &size);
  if (code != SQLITE_OK) return error("read the size of its WAL", code);
  const std::string zeros(kGrowStepBytes, '\0');
  const auto wanted = static_cast<sqlite3_int64>(bytes);
  reached = static_cast<uint64_t>(size);
  if (size >= wanted) return {};
  while (size < wanted) {
    const auto step = std::min(wanted - size, static_cast<sqlite3_int64>(zeros.size()));
    code = wal->pMethods->xWrite(wal, zeros.data(), static_cast<int>(step), size);
    if (is_full(code)) break;
    if (code != SQLITE_OK) return error("grow its WAL", code);
    size += step;
  }
  reached = static_cast<uint64_t>(size);
  code = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
  return code == SQLITE_OK ? base::Status() : error("sync its WAL", code);
}

}  // namespace leto::storage
