// Making the ballast and giving it away; see ballast.h.
#include "storage/ballast.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "storage/vfs_file.h"

namespace leto::storage {

namespace {

constexpr size_t kStepBytes = 64 << 10;

}  // namespace

Ballast::Ballast(const std::string& directory, std::string vfs, uint64_t bytes)
    : path_(directory + "/ballast"), vfs_(std::move(vfs)), bytes_(bytes) {}

void Ballast::make() {
  if (bytes_ == 0 || is_there_) return;
  is_there_ = write();
  if (!is_there_ && !remove_file(vfs_, path_).is_ok()) return;
}

bool Ballast::write() {
  base::Result<VfsFile> file = VfsFile::open(vfs_, path_, FileAccess::kMake);
  if (!file.is_ok()) return false;
  base::Result<uint64_t> size = file.value().size();
  if (!size.is_ok()) return false;
  if (size.value() == bytes_) return true;
  // What a file system may store without taking up room is zeros.
  const std::string filling(kStepBytes, 'b');
  for (uint64_t at = 0; at < 2 * bytes_; at += kStepBytes) {
    const std::string_view step = std::string_view(filling).substr(0, std::min<uint64_t>(kStepBytes, 2 * bytes_ - at));
    if (!file.value().write(at, step).is_ok()) return false;
  }
  return file.value().truncate(bytes_).is_ok();
}

bool Ballast::give_away() { return std::exchange(is_there_, false) && remove_file(vfs_, path_).is_ok(); }

}  // namespace leto::storage
