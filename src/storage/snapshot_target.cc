// The receiver's side of snapshot_file.h, and the removal of files that nobody needs.
#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/format.h"
#include "storage/load.h"
#include "storage/snapshot_file.h"
#include "storage/vfs_file.h"

namespace leto::storage {

namespace {

using Number = unsigned long long;

constexpr size_t kReadBytes = 256 << 10;

class SqliteSnapshotTarget : public SnapshotTarget {
 public:
  explicit SqliteSnapshotTarget(const SnapshotTargetOptions& options)
      : options_(options), path_(keys_path(options.directory, options.generation)) {}
  ~SqliteSnapshotTarget() override {
    if (!is_finished_) discard();
  }
  base::Status start();

  base::Status append(std::string_view bytes) override;
  uint64_t offset() const override { return offset_; }
  base::Status finish(const SnapshotEnd& end, keyspace::Keyspace& keyspace, keyspace::StateHeader& header) override;
  void discard() override;

 private:
  base::Status check_bytes(uint32_t checksum);
  base::Status take_over(const SnapshotEnd& end, keyspace::Keyspace& keyspace, keyspace::StateHeader& header);

  const SnapshotTargetOptions options_;
  const std::string path_;
  std::optional<VfsFile> file_;   // Until finish().
  uint64_t offset_ = 0;
  bool is_finished_ = false;
  bool has_none_ = false;         // No file was made, or it was discarded.
};

base::Status SqliteSnapshotTarget::start() {
  if (options_.size == 0 || options_.size > kSnapshotBytesMax) {
    has_none_ = true;
    return base::Status::error(base::format("%s: a snapshot of %llu bytes is none; at most %llu are taken",
                                            path_.c_str(), Number{options_.size}, Number{kSnapshotBytesMax}));
  }
  // A WAL of an earlier file must not be found beside this one: it would be laid over it.
  if (base::Status status = remove_database(options_.vfs, path_); !status.is_ok()) return status;
  base::Result<VfsFile> made = VfsFile::open(options_.vfs, path_, FileAccess::kMake);
  if (!made.is_ok()) return made.take_status();
  file_ = std::move(made.value());
  return {};
}

base::Status SqliteSnapshotTarget::append(std::string_view bytes) {
  LETO_ASSERT(file_.has_value(), path_ + ": bytes after its end");
  if (bytes.size() > options_.size - offset_) {
    return base::Status::error(base::format("%s: %zu bytes at %llu are more than the %llu that were announced",
                                            path_.c_str(), bytes.size(), Number{offset_}, Number{options_.size}));
  }
  base::Status status = file_->write(offset_, bytes);
  if (status.is_ok()) offset_ += bytes.size();
  return status;
}

void SqliteSnapshotTarget::discard() {
  file_.reset();
  if (std::exchange(has_none_, true)) return;
  // What cannot be removed now is removed by the next start, or when that generation is next written.
  discard_database(options_.vfs, path_);
}

base::Status SqliteSnapshotTarget::finish(const SnapshotEnd& end, keyspace::Keyspace& keyspace,
                                          keyspace::StateHeader& header) {
  LETO_ASSERT(file_.has_value(), path_ + ": its end comes twice");
  if (offset_ != options_.size) {
    return base::Status::error(base::format("%s: it has %llu bytes of %llu", path_.c_str(), Number{offset_},
                                            Number{options_.size}));
  }
  base::Status status = file_->sync();
  if (status.is_ok()) status = check_bytes(end.checksum);
  file_.reset();
  if (status.is_ok()) status = take_over(end, keyspace, header);
  is_finished_ = status.is_ok();
  return status;
}

base::Status SqliteSnapshotTarget::check_bytes(uint32_t checksum) {
  uint32_t found = 0;
  std::string bytes;
  for (uint64_t at = 0; at < options_.size; at += bytes.size()) {
    bytes.resize(std::min<uint64_t>(options_.size - at, kReadBytes));
    if (base::Status status = file_->read(at, bytes); !status.is_ok()) return status;
    found = base::crc32c(bytes, found);
  }
  if (found == checksum) return {};
  return base::Status::error(base::format("%s: damaged: the snapshot's checksum is %08x, what arrived has %08x",
                                          path_.c_str(), checksum, found));
}

base::Status SqliteSnapshotTarget::take_over(const SnapshotEnd& end, keyspace::Keyspace& keyspace,
                                             keyspace::StateHeader& header) {
  base::Result<std::unique_ptr<KeyStore>> opened = KeyStore::open(
      {.directory = options_.directory, .vfs = options_.vfs, .generation = options_.generation});
  if (!opened.is_ok()) return opened.take_status();
  KeyStore& store = *opened.value();
  header = store.header();
  if (header.applied_index != end.last.index || header.applied_term != end.last.term) {
    return base::Status::error(base::format(
        "%s: it holds the keys at entry %llu of term %llu, announced were those at %llu of term %llu", path_.c_str(),
        Number{header.applied_index}, Number{header.applied_term}, Number{end.last.index}, Number{end.last.term}));
  }
  base::Status status = load_keyspace(store, keyspace);
  // The sender's own may be beyond what is in this node's log.
  if (status.is_ok()) status = store.write_witness({.index = end.last.index, .term = end.term});
  if (status.is_ok()) status = store.checkpoint();
  return status.is_ok() ? store.close() : std::move(status);
}

}  // namespace

base::Result<std::unique_ptr<SnapshotTarget>> SnapshotTarget::open(const SnapshotTargetOptions& options) {
  auto target = std::make_unique<SqliteSnapshotTarget>(options);
  if (base::Status status = target->start(); !status.is_ok()) return status;
  return std::unique_ptr<SnapshotTarget>(std::move(target));
}

void remove_other_generations(const std::string& directory, const std::string& vfs, uint64_t current) {
  const uint64_t first = current > kGenerationsProbed ? current - kGenerationsProbed : 1;
  for (uint64_t generation = first; generation <= current + kGenerationsProbed; ++generation) {
    if (generation != current) discard_database(vfs, keys_path(directory, generation));
  }
  for (uint64_t number = 0; number < kSpoolNumbers; ++number) discard_database(vfs, spool_path(directory, number));
}

}  // namespace leto::storage
