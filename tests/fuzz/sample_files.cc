#include "tests/fuzz/sample_files.h"

#include <fstream>
#include <iterator>
#include <map>
#include <memory>

#include "base/assert.h"
#include "storage/fatal.h"

namespace leto::fuzz {

namespace {

constexpr size_t kPatchOffsetBytes = 3;
constexpr size_t kWalHeaderBytes = 32;
constexpr size_t kFrameHeaderBytes = 24;
constexpr size_t kWalCommits = 6;

std::string make_wal() {
  storage::TestDisk& disk = fresh_disk();
  storage::seed_sqlite(1);
  disk.set_contents(std::string(kDirectory) + "/raft.db", golden("raft-v1.db"));
  base::Result<std::unique_ptr<storage::LogStore>> opened = storage::LogStore::open(log_on(disk));
  LETO_ASSERT(opened.is_ok(), opened.status().text());
  raft::Index next = opened.value()->recovered().last.index + 1;
  for (size_t commit = 0; commit < kWalCommits; ++commit, ++next) {
    storage::LogWrite write;
    write.append = {{.id = {.term = 6, .index = next}, .payload = std::make_shared<const std::string>(300, 'w')}};
    LETO_ASSERT(opened.value()->write({write}) == storage::WriteResult::kDurable, "the disk takes no entry");
  }
  const std::string wal = disk.contents(std::string(kDirectory) + "/raft.db-wal");
  // Without a checkpoint: the process is killed.
  disk.kill();
  opened.value().reset();
  return wal;
}

size_t number_at(const std::string& bytes, size_t at) {
  std::string_view rest = std::string_view(bytes).substr(at);
  return take_number(rest, 4);
}

struct Sum {
  uint32_t first = 0, second = 0;
  // Little-endian words if `little`.
  void add(std::string_view bytes, bool little) {
    while (bytes.size() >= 8) {
      uint32_t words[2];
      for (uint32_t& word : words) {
        word = static_cast<uint32_t>(take_number(bytes, 4));
        if (little) word = __builtin_bswap32(word);
      }
      first += words[0] + second;
      second += words[1] + first;
    }
  }
  void write(std::string& bytes, size_t at) const {
    const uint64_t both = uint64_t{first} << 32 | second;
    for (size_t i = 0; i < 8; ++i) bytes[at + i] = static_cast<char>(both >> (56 - 8 * i));
  }
};

}  // namespace

size_t take_number(std::string_view& bytes, size_t size) {
  size_t number = 0;
  for (size_t i = 0; i < size; ++i) {
    number <<= 8;
    if (bytes.empty()) continue;
    number |= static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
  }
  return number;
}

const std::string& golden(const std::string& name) {
  static std::map<std::string, std::string> files;
  std::string& content = files[name];
  if (!content.empty()) return content;
  std::ifstream file(std::string(LETO_SOURCE_DIR) + "/tests/golden/" + name, std::ios::binary);
  content.assign(std::istreambuf_iterator<char>(file), {});
  LETO_ASSERT(!content.empty(), name);
  return content;
}

const std::string& sound_wal() {
  static const std::string wal = make_wal();
  return wal;
}

std::string patched(std::string content, std::string_view patches) {
  while (patches.size() > kPatchOffsetBytes && !content.empty()) {
    const size_t at = take_number(patches, kPatchOffsetBytes) % content.size();
    content[at] = static_cast<char>(take_number(patches, 1));
  }
  return content;
}

void sum_wal_anew(std::string& wal) {
  if (wal.size() < kWalHeaderBytes) return;
  const bool little = (wal[3] & 1) == 0;
  const size_t page_bytes = number_at(wal, 8);
  const std::string salts = wal.substr(16, 8);
  Sum sum;
  sum.add(std::string_view(wal).substr(0, 24), little);
  sum.write(wal, 24);
  if (page_bytes == 0 || page_bytes > wal.size()) return;
  const size_t frame_bytes = kFrameHeaderBytes + page_bytes;
  for (size_t at = kWalHeaderBytes; at + frame_bytes <= wal.size(); at += frame_bytes) {
    wal.replace(at + 8, salts.size(), salts);
    sum.add(std::string_view(wal).substr(at, 8), little);
    sum.add(std::string_view(wal).substr(at + kFrameHeaderBytes, page_bytes), little);
    sum.write(wal, at + 16);
  }
}

storage::TestDisk& fresh_disk() {
  static storage::TestDisk disk("fuzz");
  static const bool quiet = [] {
    storage::set_fatal_handler([](const std::string&) {});
    return true;
  }();
  LETO_ASSERT(quiet && disk.open_files() == 0, "a file is still open");
  for (const std::string& path : disk.paths()) disk.remove(path);
  disk.sync_directory();
  return disk;
}

storage::LogStoreOptions log_on(storage::TestDisk& disk) {
  storage::LogStoreOptions options;
  options.directory = kDirectory;
  options.vfs = disk.name();
  options.wal_bytes = 64 << 10;
  return options;
}

}  // namespace leto::fuzz
