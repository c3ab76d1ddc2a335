#include "server/snapshot_files.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "storage/snapshot_file.h"
#include "storage/verify_keys.h"
#include "storage/vfs_file.h"

namespace leto::server {
namespace {

using Number = unsigned long long;

// An error if a file of so many bytes would leave less than `spare_bytes` for everything else. Where it cannot be told, the
// writes will.
base::Status room_for(const KeysPlace& place, uint64_t bytes, uint64_t spare_bytes) {
  if (place.free_bytes == nullptr) return {};
  base::Result<uint64_t> free = place.free_bytes(place.directory);
  if (!free.is_ok()) return {};
  const uint64_t wanted = bytes + spare_bytes;
  if (free.value() >= wanted) return {};
  return base::Status::error(base::format("a file of %llu bytes needs %llu bytes of room in %s, and %llu are free", Number{bytes},
                                          Number{wanted}, place.directory.c_str(), Number{free.value()}));
}

// For a copy of the keys file: it becomes as large as that, and what its WAL adds.
base::Status room_for_copy(const KeysPlace& place, uint64_t generation, uint64_t spare_bytes) {
  const std::string path = storage::keys_path(place.directory, generation);
  uint64_t bytes = 0;
  for (const char* suffix : {"", "-wal"}) {
    base::Result<storage::VfsFile> file = storage::VfsFile::open(place.vfs, path + suffix, storage::FileAccess::kRead);
    base::Result<uint64_t> size = file.is_ok() ? file.value().size() : base::Result<uint64_t>(0);
    if (size.is_ok()) bytes += size.value();
  }
  return room_for(place, bytes, spare_bytes);
}

}  // namespace

// Both live until the last job that knows them has ended; then, in a job or on the loop, no file is open any more.
struct SnapshotFiles::Leaving {
  std::unique_ptr<storage::SnapshotSource> source;
  storage::SnapshotStep step = {};
  bool dropped = false;   // The loop's: nobody wants to hear of it.
};

struct SnapshotFiles::Coming {
  std::unique_ptr<storage::SnapshotTarget> target;
  base::Status status = {};
  bool dropped = false;
};

SnapshotFiles::SnapshotFiles(JobRunner& leaving, JobRunner& coming, KeysPlace place, const Options& options)
    : leaving_jobs_(leaving), coming_jobs_(coming), place_(std::move(place)), options_(options) {}

SnapshotFiles::~SnapshotFiles() = default;

uint64_t SnapshotFiles::spare_bytes() const {
  return options_.ballast_bytes + std::max(kMarginBytesMin, kPlentyFactor * options_.disk_floor);
}

// --- What leaves -----------------------------------------------------------------------------------------

void SnapshotFiles::copy(uint64_t generation, CopyDone done) {
  drop_copy();
  leaving_ = std::make_shared<Leaving>();
  next_number_ = (next_number_ + 1) % storage::kSpoolNumbers;
  const auto work = [copy = leaving_, place = place_, spare = spare_bytes(), generation, number = next_number_] {
    copy->step.status = room_for_copy(place, generation, spare);
    if (!copy->step.status.is_ok()) return;
    base::Result<std::unique_ptr<storage::SnapshotSource>> opened = storage::SnapshotSource::open(
        {.directory = place.directory, .vfs = place.vfs, .generation = generation, .number = number});
    if (opened.is_ok()) {
      copy->source = std::move(opened.value());
    } else {
      copy->step.status = opened.take_status();
    }
  };
  leaving_jobs_.run(work, [this, copy = leaving_, done = std::move(done)] {
    if (copy->dropped) return;
    if (!copy->step.status.is_ok()) return done(std::move(copy->step.status));
    step_copy(copy, done);
  });
}

void SnapshotFiles::step_copy(const std::shared_ptr<Leaving>& copy, const CopyDone& done) {
  leaving_jobs_.run([copy] { copy->step = copy->source->step(kCopyStepBytes); },
                    [this, copy, done] {
                      if (copy->dropped) return;
                      if (!copy->step.status.is_ok()) return done(std::move(copy->step.status));
                      if (!copy->step.done) return step_copy(copy, done);
                      done(Copy{.header = copy->source->header(),
                                .size = copy->source->size(),
                                .checksum = copy->source->checksum()});
                    });
}

void SnapshotFiles::read(uint64_t offset, size_t bytes_max, ReadDone done) {
  LETO_ASSERT(leaving_ != nullptr, "a copy is read that is not there");
  auto bytes = std::make_shared<base::Result<std::string>>(std::string());
  leaving_jobs_.run([copy = leaving_, offset, bytes_max, bytes] { *bytes = copy->source->read(offset, bytes_max); },
                    [copy = leaving_, bytes, done = std::move(done)] {
                      if (!copy->dropped) done(std::move(*bytes));
                    });
}

void SnapshotFiles::drop_copy() {
  if (leaving_ == nullptr) return;
  leaving_->dropped = true;
  leaving_jobs_.run([copy = leaving_] { copy->source.reset(); }, [] {});
  leaving_.reset();
}

void SnapshotFiles::verify(uint64_t generation, StatusDone done) {
  auto status = std::make_shared<base::Status>();
  leaving_jobs_.run([place = place_, generation, status] { *status = storage::verify_keys_file(place.directory, place.vfs, generation); },
                    [status, done = std::move(done)] { done(std::move(*status)); });
}

// --- What comes ------------------------------------------------------------------------------------------

void SnapshotFiles::receive(uint64_t generation, uint64_t size, StatusDone done) {
  discard();
  coming_ = std::make_shared<Coming>();
  const auto work = [file = coming_, place = place_, spare = spare_bytes(), generation, size] {
    file->status = room_for(place, size, spare);
    if (!file->status.is_ok()) return;
    base::Result<std::unique_ptr<storage::SnapshotTarget>> opened = storage::SnapshotTarget::open(
        {.directory = place.directory, .vfs = place.vfs, .generation = generation, .size = size});
    if (opened.is_ok()) {
      file->target = std::move(opened.value());
    } else {
      file->status = opened.take_status();
    }
  };
  coming_jobs_.run(work, [file = coming_, done = std::move(done)] {
    if (!file->dropped) done(std::move(file->status));
  });
}

void SnapshotFiles::append(raft::Payload bytes, StatusDone done) {
  LETO_ASSERT(coming_ != nullptr, "bytes of a snapshot that was not begun");
  coming_jobs_.run([file = coming_, bytes = std::move(bytes)] { file->status = file->target->append(*bytes); },
                   [file = coming_, done = std::move(done)] {
                     if (!file->dropped) done(std::move(file->status));
                   });
}

void SnapshotFiles::finish(const storage::SnapshotEnd& end, LoadDone done) {
  LETO_ASSERT(coming_ != nullptr, "the end of a snapshot that was not begun");
  auto loaded = std::make_shared<std::optional<LoadedKeys>>(std::in_place);
  const auto work = [file = coming_, end, loaded] {
    file->status = file->target->finish(end, (*loaded)->keyspace, (*loaded)->header);
    if (!file->status.is_ok()) loaded->reset();
  };
  coming_jobs_.run(work, [this, file = coming_, loaded, done = std::move(done)] {
    LoadedKeys keys = *loaded ? std::move(**loaded) : LoadedKeys();
    if (file->dropped) return free_keys(std::move(keys));
    if (!file->status.is_ok()) return done(std::move(file->status));
    done(std::move(keys));
  });
}

void SnapshotFiles::free_keys(LoadedKeys keys) {
  auto freed = std::make_shared<std::optional<LoadedKeys>>(std::move(keys));
  coming_jobs_.run([freed] { freed->reset(); }, [] {});
}

void SnapshotFiles::discard() {
  if (coming_ == nullptr) return;
  coming_->dropped = true;
  coming_jobs_.run(
      [file = coming_] {
        if (file->target != nullptr) file->target->discard();
      },
      [] {});
  coming_.reset();
}

}  // namespace leto::server
