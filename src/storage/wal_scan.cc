// Reading a WAL without SQLite; see wal_scan.h.
#include "storage/wal_scan.h"

#include <string_view>

#include "base/format.h"
#include "storage/vfs_file.h"

namespace leto::storage {

namespace {

constexpr size_t kHeaderBytes = 32;
constexpr size_t kFrameHeaderBytes = 24;
constexpr size_t kSummedHeaderBytes = 24;       // Of the file's header: all before its checksum.
constexpr size_t kSummedFrameHeaderBytes = 8;   // Of a frame's: page number and size after the commit.
constexpr uint32_t kMagic = 0x377f0682;         // Its last bit: the checksum's words are big-endian.
constexpr uint32_t kPageBytesMax = 65536;

uint32_t big_endian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

struct Sum {
  uint32_t first = 0;
  uint32_t second = 0;
  bool operator==(const Sum&) const = default;
};

class Walker {
 public:
  explicit Walker(VfsFile& file) : file_(file) {}
  // False if there is nothing to walk.
  base::Result<bool> begin(uint64_t size);
  base::Status walk(uint64_t size, WalScan& scan);

 private:
  void add(std::string_view bytes, Sum& sum) const;

  VfsFile& file_;
  std::string header_;
  uint32_t page_bytes_ = 0;
  bool words_are_big_endian_ = false;
  Sum sum_;
};

void Walker::add(std::string_view bytes, Sum& sum) const {
  for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    uint32_t words[2] = {big_endian(bytes, at), big_endian(bytes, at + 4)};
    if (!words_are_big_endian_) {
      for (uint32_t& word : words) word = __builtin_bswap32(word);
    }
    sum.first += words[0] + sum.second;
    sum.second += words[1] + sum.first;
  }
}

base::Result<bool> Walker::begin(uint64_t size) {
  if (size < kHeaderBytes) return false;
  header_.resize(kHeaderBytes);
  if (base::Status status = file_.read(0, header_); !status.is_ok()) return status;
  const uint32_t magic = big_endian(header_, 0);
  if ((magic & ~1U) != kMagic) return false;
  words_are_big_endian_ = (magic & 1U) != 0;
  page_bytes_ = big_endian(header_, 8);
  if (page_bytes_ < 512 || page_bytes_ > kPageBytesMax) return false;
  add(std::string_view(header_).substr(0, kSummedHeaderBytes), sum_);
  return sum_ == Sum{.first = big_endian(header_, 24), .second = big_endian(header_, 28)};
}

base::Status Walker::walk(uint64_t size, WalScan& scan) {
  std::string frame(kFrameHeaderBytes + page_bytes_, '\0');
  bool fits = true;
  for (uint64_t at = kHeaderBytes; at + frame.size() <= size; at += frame.size()) {
    if (base::Status status = file_.read(at, frame); !status.is_ok()) return status;
    // Another salt: from a run before, or never written.
    const bool of_this_run = frame.compare(8, 8, header_, 16, 8) == 0;
    const bool commits = big_endian(frame, 4) != 0;
    if (fits) {
      add(std::string_view(frame).substr(0, kSummedFrameHeaderBytes), sum_);
      add(std::string_view(frame).substr(kFrameHeaderBytes), sum_);
      fits = of_this_run && sum_ == Sum{.first = big_endian(frame, 16), .second = big_endian(frame, 20)};
    }
    if (fits) ++scan.frames_read;
    else if (of_this_run && commits) ++scan.commits_lost;
  }
  return {};
}

}  // namespace

base::Result<WalScan> scan_wal(const std::string& vfs, const std::string& path) {
  WalScan scan;
  if (!file_exists(vfs, path)) return scan;
  base::Result<VfsFile> opened = VfsFile::open(vfs, path, FileAccess::kRead);
  if (!opened.is_ok()) return opened.take_status();
  base::Result<uint64_t> size = opened.value().size();
  if (!size.is_ok()) return size.take_status();
  Walker walker(opened.value());
  base::Result<bool> begun = walker.begin(size.value());
  if (!begun.is_ok()) return begun.take_status();
  if (!begun.value()) return scan;
  if (base::Status status = walker.walk(size.value(), scan); !status.is_ok()) return status;
  return scan;
}

std::string lost_commits(const std::string& path, const WalScan& scan) {
  using Number = unsigned long long;
  if (scan.commits_lost < 2) return {};
  return base::format("%s: damaged: frame %llu has a wrong checksum, and %llu commits from there on are lost", path.c_str(),
                      Number{scan.frames_read + 1}, Number{scan.commits_lost});
}

}  // namespace leto::storage
