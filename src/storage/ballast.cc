// Making the ballast and giving it away; see ballast.h.
#include "storage/ballast.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "storage/vfs_file.h"

namespace leto::storage {

namespace {

constexpr size_t kWriteBytes = 64 << 10;

}  // namespace

Ballast::Ballast(const std::string& directory, std::string vfs, uint64_t bytes)
    : path_(directory + "/ballast"), vfs_(std::move(vfs)), bytes_(bytes) {}

void Ballast::find() {
  if (bytes_ == 0 || !file_exists(vfs_, path_)) return;
  base::Result<VfsFile> file = VfsFile::open(vfs_, path_, FileAccess::kRead);
  base::Result<uint64_t> size = file.is_ok() ? file.value().size() : base::Result<uint64_t>(0);
  is_there_ = size.is_ok() && size.value() == bytes_;
  if (is_there_) return;
  const base::Status ignored = remove_file(vfs_, path_);
}

bool Ballast::make() {
  if (bytes_ == 0 || is_there_) return true;
  const bool is_written = write_part();
  if (!is_written || is_there_) written_ = 0;
  if (is_written) return true;
  const base::Status ignored = remove_file(vfs_, path_);
  return false;
}

bool Ballast::write_part() {
  base::Result<VfsFile> file = VfsFile::open(vfs_, path_, FileAccess::kMake);
  if (!file.is_ok()) return false;
  // What a file system may store without taking up room is zeros.
  const std::string filling(kWriteBytes, 'b');
  const uint64_t end = std::min(written_ + kStepBytes, 2 * bytes_);
  while (written_ < end) {
    const std::string_view piece = std::string_view(filling).substr(0, std::min<uint64_t>(kWriteBytes, end - written_));
    if (!file.value().write(written_, piece).is_ok()) return false;
    written_ += piece.size();
  }
  is_there_ = end == 2 * bytes_ && file.value().truncate(bytes_).is_ok();
  return is_there_ || end < 2 * bytes_;
}

bool Ballast::give_away() {
  const bool takes_room = std::exchange(is_there_, false) || written_ > 0;
  written_ = 0;
  return takes_room && remove_file(vfs_, path_).is_ok();
}

}  // namespace leto::storage
