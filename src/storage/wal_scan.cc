// Reading a WAL without SQLite; see wal_scan.h.
#include "storage/wal_scan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/format.h"
#include "storage/vfs_file.h"

namespace leto::storage {

namespace {

constexpr size_t kHeaderBytes = 32;
constexpr size_t kFrameHeaderBytes = 24;
constexpr size_t kRunAt = 12;                   // Of the file's header: counted up each time that the WAL begins anew.
constexpr size_t kSummedHeaderBytes = 24;       // Of the file's header: all before its checksum.
constexpr size_t kSummedFrameHeaderBytes = 8;   // Of a frame's: page number and size after the commit.
constexpr uint32_t kMagic = 0x377f0682;         // Its last bit: the checksum's words are big-endian.
constexpr uint32_t kPageBytesMax = 65536;
constexpr uint64_t kSectorBytes = 512;          // What a power cut leaves whole, at least.

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

Sum written_in(std::string_view frame) { return {.first = big_endian(frame, 16), .second = big_endian(frame, 20)}; }

class Walker {
 public:
  // Opens the WAL, if there is one, and reads its header; of `scan` it fills in size and header.
  base::Status begin(const std::string& vfs, const std::string& wal, WalScan& scan);
  // REQUIRES: the header is sound.
  base::Status walk(WalScan& scan);
  // The header is the next one's in its first half.
  bool is_torn() const { return torn_; }
  // As it was.
  const std::string& header() const { return header_; }
  // Whether `database` has every page as the last whole commit left it.
  base::Result<bool> is_all_in(VfsFile& database);

 private:
  base::Result<WalHeader> read_header(uint64_t size);
  bool fits_itself();
  void add(std::string_view bytes, Sum& sum) const;
  Sum summed(std::string_view frame, Sum before) const;
  bool follows(std::string_view frame) const;
  void count_lost(uint64_t at, std::string_view frame, WalScan& scan);
  void look_behind(std::string_view frame, WalScan& scan);

  std::optional<VfsFile> file_;
  std::string header_;
  uint32_t page_bytes_ = 0;
  bool words_are_big_endian_ = false;
  bool torn_ = false;
  Sum sum_;          // Of the last frame, as it should be,
  Sum written_;      // and as it says.
  std::string behind_;      // The head of the first frame that does not fit; the second one is looked at beside it.
  bool saw_two_behind_ = false;
  uint64_t in_a_row_ = 0;   // Commits that do not fit, up to this frame, each fitting the one before.
  std::map<uint32_t, uint64_t> committed_, pending_;   // Page number and where its newest frame is.
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

bool Walker::fits_itself() {
  const uint32_t magic = big_endian(header_, 0);
  if ((magic & ~1U) != kMagic) return false;
  words_are_big_endian_ = (magic & 1U) != 0;
  page_bytes_ = big_endian(header_, 8);
  if (page_bytes_ < 512 || page_bytes_ > kPageBytesMax) return false;
  sum_ = {};
  add(std::string_view(header_).substr(0, kSummedHeaderBytes), sum_);
  return sum_ == Sum{.first = big_endian(header_, 24), .second = big_endian(header_, 28)};
}

base::Status Walker::begin(const std::string& vfs, const std::string& wal, WalScan& scan) {
  if (!file_exists(vfs, wal)) return {};
  base::Result<VfsFile> opened = VfsFile::open(vfs, wal, FileAccess::kRead);
  if (!opened.is_ok()) return opened.take_status();
  file_.emplace(std::move(opened.value()));
  base::Result<uint64_t> size = file_->size();
  if (!size.is_ok()) return size.take_status();
  scan.bytes = size.value();
  base::Result<WalHeader> header = read_header(scan.bytes);
  if (!header.is_ok()) return header.take_status();
  scan.header = header.value();
  return {};
}

base::Result<WalHeader> Walker::read_header(uint64_t size) {
  if (size < kHeaderBytes) return WalHeader::kNone;
  header_.resize(kHeaderBytes);
  if (base::Status status = file_->read(0, header_); !status.is_ok()) return status;
  if (header_.find_first_not_of('\0') == std::string::npos) return WalHeader::kNone;
  if (fits_itself()) return WalHeader::kSound;
  const uint32_t before = big_endian(header_, kRunAt) - 1;
  for (size_t i = 0; i < 4; ++i) header_[kRunAt + i] = static_cast<char>(before >> (24 - 8 * i));
  torn_ = fits_itself();
  return torn_ ? WalHeader::kSound : WalHeader::kDamaged;
}

Sum Walker::summed(std::string_view frame, Sum before) const {
  add(frame.substr(0, kSummedFrameHeaderBytes), before);
  add(frame.substr(kFrameHeaderBytes), before);
  return before;
}

// Whether it was written behind the last frame, one of which may have rotted since.
bool Walker::follows(std::string_view frame) const {
  const Sum written = written_in(frame);
  return summed(frame, sum_) == written || (sum_ != written_ && summed(frame, written_) == written);
}

// Behind the first frame that does not fit. What crashes left of several commits, at one place after the other, does not fit
// together; a commit that fits the one before was begun when that one was synced. A power cut may leave the first bytes of a
// frame, which say whether it ends a commit, as they were in the run before, and write the rest: what was read of one that is
// cut in two there says nothing.
void Walker::count_lost(uint64_t at, std::string_view frame, WalScan& scan) {
  const bool fits = follows(frame);
  if (!fits) in_a_row_ = 0;
  const bool is_cut = (at + kSummedFrameHeaderBytes) % kSectorBytes == 0;
  if (big_endian(frame, 4) != 0 && (fits || !is_cut)) ++in_a_row_;
  scan.commits_lost = std::max(scan.commits_lost, in_a_row_);
  sum_ = summed(frame, written_);
  written_ = written_in(frame);
}

// Frames are written one behind the other, so that this run has written none where two of one run before still fit each other. One
// alone would not do: nothing but its salt says so. Zeros fit each other, and no run has them for a salt.
void Walker::look_behind(std::string_view frame, WalScan& scan) {
  if (behind_.empty()) {
    behind_ = frame.substr(0, kFrameHeaderBytes);
    return;
  }
  if (std::exchange(saw_two_behind_, true)) return;
  const std::string_view salt = frame.substr(8, 8);
  const bool is_another = salt != std::string_view(header_).substr(16, 8) && salt.find_first_not_of('\0') != std::string_view::npos;
  const bool fits = salt == std::string_view(behind_).substr(8, 8) && summed(frame, written_in(behind_)) == written_in(frame);
  scan.ends_within = is_another && fits;
}

base::Status Walker::walk(WalScan& scan) {
  std::string frame(kFrameHeaderBytes + page_bytes_, '\0');
  bool fits = true, of_this_run = true;
  written_ = sum_;
  for (uint64_t at = kHeaderBytes; at + frame.size() <= scan.bytes; at += frame.size()) {
    if (base::Status status = file_->read(at, frame); !status.is_ok()) return status;
    // Another salt: from a run before, or never written; or rotten, as no checksum covers it.
    const bool salt_fits = frame.compare(8, 8, header_, 16, 8) == 0;
    of_this_run = salt_fits || (of_this_run && follows(frame));
    fits = fits && salt_fits && follows(frame);
    if (!fits) {
      look_behind(frame, scan);
      if (of_this_run) count_lost(at, frame, scan);
      continue;
    }
    sum_ = written_ = written_in(frame);
    ++scan.frames_read;
    if (!torn_) continue;
    pending_[big_endian(frame, 0)] = at + kFrameHeaderBytes;
    if (big_endian(frame, 4) != 0) {
      for (const auto& [page, where] : std::exchange(pending_, {})) committed_[page] = where;
    }
  }
  return {};
}

base::Result<bool> Walker::is_all_in(VfsFile& database) {
  base::Result<uint64_t> size = database.size();
  if (!size.is_ok()) return size.take_status();
  std::string logged(page_bytes_, '\0'), there(page_bytes_, '\0');
  for (const auto& [page, where] : committed_) {
    const uint64_t at = uint64_t{page_bytes_} * (page - 1);
    if (page == 0 || at + page_bytes_ > size.value()) return false;
    if (base::Status status = file_->read(where, logged); !status.is_ok()) return status;
    if (base::Status status = database.read(at, there); !status.is_ok()) return status;
    if (logged != there) return false;
  }
  return true;
}

// A header that was half written says nothing of loss if the WAL before it is in the database.
base::Status judge_torn(const std::string& vfs, const std::string& path, Walker& walker, WalScan& scan) {
  base::Result<VfsFile> database = VfsFile::open(vfs, path, FileAccess::kRead);
  if (!database.is_ok()) return database.take_status();
  base::Result<bool> all = walker.is_all_in(database.value());
  if (!all.is_ok()) return all.take_status();
  scan.header = all.value() ? WalHeader::kSound : WalHeader::kDamaged;
  scan.frames_read = scan.commits_lost = 0;
  return {};
}

}  // namespace

base::Result<WalScan> scan_wal(const std::string& vfs, const std::string& path) {
  WalScan scan;
  Walker walker;
  base::Status status = walker.begin(vfs, path + "-wal", scan);
  if (!status.is_ok()) return status;
  if (scan.header != WalHeader::kSound) return scan;
  status = walker.walk(scan);
  if (status.is_ok() && walker.is_torn()) status = judge_torn(vfs, path, walker, scan);
  if (!status.is_ok()) return status;
  return scan;
}

base::Status put_back_torn_header(const std::string& vfs, const std::string& path) {
  const std::string wal = path + "-wal";
  WalScan ignored;
  Walker walker;
  if (base::Status status = walker.begin(vfs, wal, ignored); !status.is_ok()) return status;
  if (!walker.is_torn()) return {};
  base::Result<VfsFile> written = VfsFile::open(vfs, wal, FileAccess::kMake);
  if (!written.is_ok()) return written.take_status();
  if (base::Status status = written.value().write(0, walker.header()); !status.is_ok()) return status;
  return written.value().sync();
}

std::string wal_damage(const std::string& wal, const WalScan& scan, uint64_t bytes_known) {
  using Number = unsigned long long;
  if (scan.bytes < bytes_known && !scan.ends_within) {
    return base::format("%s: damaged: it has %llu bytes and had %llu, and the commits in it are lost", wal.c_str(),
                        Number{scan.bytes}, Number{bytes_known});
  }
  const bool gone = scan.header == WalHeader::kNone && bytes_known > 0;
  if (gone || scan.header == WalHeader::kDamaged) {
    return wal + ": damaged: its header is " + (gone ? "gone" : "wrong") + ", and the commits in it are lost";
  }
  if (scan.commits_lost < 2) return {};
  return base::format("%s: damaged: frame %llu has a wrong checksum, and %llu commits from there on are lost", wal.c_str(),
                      Number{scan.frames_read + 1}, Number{scan.commits_lost});
}

}  // namespace leto::storage
