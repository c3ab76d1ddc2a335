// The sender's side of snapshot_file.h: SQLite's backup from a read transaction that is held all the while, so that no
// commit makes it begin again, then a checksum over the copy.
#include <sqlite3.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/format.h"
#include "storage/meta.h"
#include "storage/snapshot_file.h"
#include "storage/sqlite.h"
#include "storage/state_rows.h"
#include "storage/vfs_file.h"

namespace leto::storage {

namespace {

using Number = unsigned long long;

constexpr size_t kPageBytes = 4096;

class SqliteSnapshotSource : public SnapshotSource {
 public:
  explicit SqliteSnapshotSource(const SnapshotSourceOptions& options)
      : options_(options), spool_path_(spool_path(options.directory, options.number)) {}
  ~SqliteSnapshotSource() override;
  base::Status start();

  SnapshotStep step(size_t bytes_max) override;
  const keyspace::StateHeader& header() const override { return state_.header; }
  uint64_t size() const override;
  uint32_t checksum() const override;
  base::Result<std::string> read(uint64_t offset, size_t bytes_max) override;

 private:
  base::Status hold();
  base::Status make_spool();
  base::Status spool_error(const char* action) const;
  base::Status copy_some(size_t bytes_max);
  base::Status end_copy();
  base::Status sum_some(size_t bytes_max);
  void let_go();
  bool is_done() const { return file_ && summed_ == size_; }

  const SnapshotSourceOptions options_;
  const std::string spool_path_;
  std::unique_ptr<Database> source_;   // While copying; with spool_ and backup_.
  sqlite3* spool_ = nullptr;
  sqlite3_backup* backup_ = nullptr;
  StateRows state_;
  std::optional<VfsFile> file_;        // The copy, once it is whole.
  uint64_t size_ = 0;
  uint64_t summed_ = 0;
  uint32_t checksum_ = 0;
};

SqliteSnapshotSource::~SqliteSnapshotSource() {
  let_go();
  file_.reset();
  // What cannot be removed now is removed by the next start.
  discard_database(options_.vfs, spool_path_);
}

void SqliteSnapshotSource::let_go() {
  if (backup_ != nullptr) sqlite3_backup_finish(backup_);
  backup_ = nullptr;
  if (spool_ != nullptr) sqlite3_close(spool_);
  spool_ = nullptr;
  if (source_) source_->roll_back();
  source_.reset();
}

base::Status SqliteSnapshotSource::start() {
  LETO_ASSERT(options_.number < kSpoolNumbers, base::format("spool number %llu", Number{options_.number}));
  if (base::Status status = remove_database(options_.vfs, spool_path_); !status.is_ok()) return status;
  if (base::Status status = hold(); !status.is_ok()) return status;
  return make_spool();
}

// The read transaction begins with the first row that is read.
base::Status SqliteSnapshotSource::hold() {
  base::Result<std::unique_ptr<Database>> opened = Database::open(
      {.path = keys_path(options_.directory, options_.generation), .vfs = options_.vfs, .read_only = true});
  if (!opened.is_ok()) return opened.take_status();
  source_ = std::move(opened.value());
  if (const int code = source_->execute("BEGIN"); code != SQLITE_OK) return source_->error("read it", code);
  Meta meta(*source_);
  base::Status status = meta.open(FileKind::kKeys);
  return status.is_ok() ? read_state(*source_, meta, state_) : std::move(status);
}

base::Status SqliteSnapshotSource::spool_error(const char* action) const {
  return base::Status::error(base::format("%s: cannot %s: %s (%d)", spool_path_.c_str(), action, sqlite3_errmsg(spool_),
                                          sqlite3_extended_errcode(spool_)));
}

// Nothing of a spool outlives its process: it is neither journalled nor synced.
base::Status SqliteSnapshotSource::make_spool() {
  const char* vfs = options_.vfs.empty() ? nullptr : options_.vfs.c_str();
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(spool_path_.c_str(), &spool_, flags, vfs) != SQLITE_OK) return spool_error("make it");
  sqlite3_extended_result_codes(spool_, 1);
  const char* settings = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF";
  if (sqlite3_exec(spool_, settings, nullptr, nullptr, nullptr) != SQLITE_OK) return spool_error("set it up");
  backup_ = sqlite3_backup_init(spool_, "main", source_->handle(), "main");
  return backup_ == nullptr ? spool_error("copy to it") : base::Status();
}

SnapshotStep SqliteSnapshotSource::step(size_t bytes_max) {
  LETO_ASSERT(!is_done(), spool_path_ + ": a step after the last one");
  base::Status status = file_ ? sum_some(bytes_max) : copy_some(bytes_max);
  if (!status.is_ok()) let_go();
  const bool done = status.is_ok() && is_done();
  return {.status = std::move(status), .done = done};
}

base::Status SqliteSnapshotSource::copy_some(size_t bytes_max) {
  if (backup_ == nullptr) return base::Status::error(spool_path_ + ": the copy failed before");
  const int pages = static_cast<int>(std::clamp<size_t>(bytes_max / kPageBytes, 1, 1 << 20));
  const int code = sqlite3_backup_step(backup_, pages);
  if (code == SQLITE_OK) return {};
  if (code == SQLITE_DONE) return end_copy();
  return base::Status::error(base::format("%s: cannot copy %s to it: %s (%d)", spool_path_.c_str(),
                                          source_->name().c_str(), sqlite3_errstr(code), code));
}

base::Status SqliteSnapshotSource::end_copy() {
  let_go();
  base::Result<VfsFile> opened = VfsFile::open(options_.vfs, spool_path_, FileAccess::kRead);
  if (!opened.is_ok()) return opened.take_status();
  base::Result<uint64_t> size = opened.value().size();
  if (!size.is_ok()) return size.take_status();
  if (size.value() == 0) return base::Status::error(spool_path_ + ": the copy is empty");
  size_ = size.value();
  file_ = std::move(opened.value());
  return {};
}

base::Status SqliteSnapshotSource::sum_some(size_t bytes_max) {
  std::string bytes(std::min<uint64_t>(size_ - summed_, std::max<size_t>(bytes_max, 1)), '\0');
  if (base::Status status = file_->read(summed_, bytes); !status.is_ok()) return status;
  checksum_ = base::crc32c(bytes, checksum_);
  summed_ += bytes.size();
  return {};
}

uint64_t SqliteSnapshotSource::size() const {
  LETO_ASSERT(is_done(), spool_path_ + ": its size is not known yet");
  return size_;
}

uint32_t SqliteSnapshotSource::checksum() const {
  LETO_ASSERT(is_done(), spool_path_ + ": its checksum is not known yet");
  return checksum_;
}

base::Result<std::string> SqliteSnapshotSource::read(uint64_t offset, size_t bytes_max) {
  LETO_ASSERT(is_done() && offset <= size_,
              base::format("%s: read at %llu of %llu", spool_path_.c_str(), Number{offset}, Number{size_}));
  std::string bytes(std::min<uint64_t>(size_ - offset, bytes_max), '\0');
  if (base::Status status = file_->read(offset, bytes); !status.is_ok()) return status;
  return bytes;
}

}  // namespace

base::Result<std::unique_ptr<SnapshotSource>> SnapshotSource::open(const SnapshotSourceOptions& options) {
  auto source = std::make_unique<SqliteSnapshotSource>(options);
  if (base::Status status = source->start(); !status.is_ok()) return status;
  return std::unique_ptr<SnapshotSource>(std::move(source));
}

}  // namespace leto::storage
