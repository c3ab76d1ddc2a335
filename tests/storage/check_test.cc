// What --check says of sound directories and of damaged ones, and that it changes nothing.
#include "storage/check.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/random.h"
#include "keyspace/keyspace.h"
#include "storage/first_look.h"
#include "storage/key_tables.h"
#include "storage/peek.h"
#include "storage/sqlite.h"
#include "storage/wal_scan.h"
#include "tests/storage/support.h"

namespace leto::storage {

namespace {

using keyspace::Keyspace;

constexpr const char* kLogFile = "/disk/raft.db";
constexpr const char* kKeysFile = "/disk/keys-1.db";
constexpr const char* kWal = "/disk/raft.db-wal";
constexpr std::ptrdiff_t kWalHeaderBytes = 32;

LogWrite entries(raft::Term term, raft::Index first, raft::Index last) {
  LogWrite write;
  write.hard_state = raft::HardState{.term = term, .voted_for = 0};
  for (raft::Index i = first; i <= last; ++i) write.append.push_back(make_entry(term, i, "value " + std::to_string(i)));
  return write;
}

// A node with entries 9 to 30 and keys at 20. Its files are left as after a clean end, or as a kill leaves them.
void make_node(const TestDisk& disk, bool clean = true) {
  const auto log = open_log(small_log(disk));
  Identity identity;
  identity.id = "id1";
  identity.node = 1;
  REQUIRE(log->set_identity(identity).is_ok());
  LogWrite written = entries(2, 1, 30);
  written.append[27] = make_configuration_entry(2, 28, 3);
  REQUIRE(log->write({written}) == WriteResult::kDurable);
  const auto keys = open_keys(disk);
  Keyspace keyspace;
  for (int i = 0; i < 20; ++i) {
    keyspace.set(0, "key " + std::to_string(i), {.value = keyspace::make_string("content " + std::to_string(i)),
                                                 .version = {.index = 5, .position = 0}});
  }
  keyspace.set(3, "large", {.value = keyspace::make_string(std::string(kInlineBytesMax * 2, 'l')), .version = {}});
  const keyspace::StateHeader header{.applied_index = 20, .applied_term = 2, .configuration = {},
                                     .digest = keyspace.digest()};
  REQUIRE(keys->flush(keyspace.freeze(header), {.index = 25, .term = 2}).is_ok());
  REQUIRE(log->compact(20).value().index == 16);
  if (!clean) return;
  REQUIRE(log->close().is_ok());
  REQUIRE(keys->checkpoint().is_ok());
  REQUIRE(keys->close().is_ok());
}

std::string damages(const TestDisk& disk) {
  std::string all;
  for (const std::string& damage : check_directory("/disk", disk.name()).damages) all += damage + "\n";
  return all;
}

// As if a commit had only just begun the WAL anew.
void empty_wal(TestDisk& disk, const std::string& path) {
  std::string bytes = disk.contents(path + "-wal");
  std::fill(bytes.begin() + kWalHeaderBytes, bytes.end(), '\0');
  disk.set_contents(path + "-wal", bytes);
}

// A bit of `text` in a file whose WAL would heal it.
void rot(TestDisk& disk, const std::string& path, const std::string& text) {
  empty_wal(disk, path);
  const size_t at = disk.contents(path).rfind(text);
  REQUIRE(at != std::string::npos);
  disk.flip_bit(path, at, 0);
}

}  // namespace

TEST_CASE("a sound directory is found sound, and nothing in it is changed") {
  for (const bool clean : {true, false}) {
    CAPTURE(clean);
    TestDisk disk("check_sound");
    make_node(disk, clean);
    disk.kill();
    const auto before = disk.synced_image();
    const std::vector<std::string> paths = disk.paths();
    const uint64_t changes = disk.counters().of(Operation::kWrite) + disk.counters().of(Operation::kDelete);
    const CheckReport report = check_directory("/disk", disk.name());
    CHECK(report.damages.empty());
    REQUIRE(report.notes.size() == 2);
    CHECK(report.notes[0] == "/disk/raft.db: node 'id1', term 2; entries 17 to 30 in 2 segments");
    CHECK(report.notes[1] == "/disk/keys-1.db: 21 keys at entry 20 of term 2; witness 25 of term 2");
    CHECK(disk.paths() == paths);
    CHECK(disk.synced_image() == before);
    CHECK(disk.counters().of(Operation::kWrite) + disk.counters().of(Operation::kDelete) == changes);
    CHECK(disk.open_files() == 0);
  }
}

TEST_CASE("it is said of a node that founded its cluster and never had company") {
  TestDisk disk("check_founded");
  make_node(disk);
  {
    const auto log = open_log(small_log(disk));
    Identity identity = *log->identity();
    identity.cluster_id = std::string(16, 'c');
    identity.founded = true;
    REQUIRE(log->set_identity(identity).is_ok());
    REQUIRE(log->close().is_ok());
  }
  const CheckReport report = check_directory("/disk", disk.name());
  CHECK(report.damages.empty());
  REQUIRE(report.notes.size() == 3);
  CHECK(report.notes[1] == "it founded its cluster, and nobody else was ever a member of it");
}

TEST_CASE("a directory without WALs, as a copy may be, is looked at without making them") {
  TestDisk disk("check_no_wal");
  make_node(disk);
  disk.kill();
  for (const char* path : {kLogFile, kKeysFile}) disk.remove(std::string(path) + "-wal");
  disk.sync_directory();
  const std::vector<std::string> paths = disk.paths();
  CHECK(damages(disk) == "");
  CHECK(disk.paths() == paths);
}

TEST_CASE("the WAL of an empty file is damage, and is not removed by being looked at") {
  for (const char* path : {kLogFile, kKeysFile}) {
    CAPTURE(path);
    TestDisk disk("check_empty");
    make_node(disk, false);
    disk.kill();
    disk.set_contents(path, "");
    const std::string wal = disk.contents(std::string(path) + "-wal");
    REQUIRE(scan_wal(disk.name(), path).value().frames_read > 0);
    const std::string found = damages(disk);
    // An empty file is none for SQLite.
    CHECK_MESSAGE(contains(found, std::string(path) + ": damaged: it is empty, but its WAL has "), found);
    CHECK_FALSE(contains(found, "there is no such file"));
    CHECK(disk.contents(std::string(path) + "-wal") == wal);
  }
}

TEST_CASE("each damage is named with its file and its place") {
  TestDisk disk("check_damage");
  make_node(disk);
  std::string wanted;
  SUBCASE("an entry") {
    rot(disk, kLogFile, "value 22");
    wanted = "/disk/raft.db: damaged: entry 22 has a wrong checksum";
  }
  SUBCASE("a key") {
    rot(disk, kKeysFile, "content 7");
    wanted = "/disk/keys-1.db: damaged: key \"key 7\" of database 0 has a wrong checksum or missing parts";
  }
  SUBCASE("a chunk of a large value") {
    rot(disk, kKeysFile, std::string(1000, 'l'));
    wanted = "/disk/keys-1.db: damaged: key \"large\" of database 3 has a wrong checksum or missing parts";
  }
  SUBCASE("the vote") {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open_v2(kLogFile, &database, SQLITE_OPEN_READWRITE, disk.name().c_str()) == SQLITE_OK);
    CHECK(sqlite3_exec(database, "PRAGMA locking_mode=EXCLUSIVE; UPDATE meta SET value = '9' WHERE name = 'voted_for'",
                       nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
    wanted = "/disk/raft.db: damaged: ";
  }
  SUBCASE("a keys file that is gone") {
    disk.remove(kKeysFile);
    wanted = "/disk/keys-1.db: there is no such file";
  }
  SUBCASE("a keys file that is empty, as its WAL is") {
    disk.set_contents(kKeysFile, "");
    disk.set_contents(std::string(kKeysFile) + "-wal", "");
    wanted = "/disk/keys-1.db: damaged: it is empty";
  }
  SUBCASE("a raft.db that is gone") {
    disk.remove(kLogFile);
    wanted = "/disk/raft.db: there is no such file";
  }
  SUBCASE("a file that is no database") {
    disk.set_contents(kKeysFile, std::string(8192, 'x'));
    disk.remove(std::string(kKeysFile) + "-wal");
    wanted = "/disk/keys-1.db: not a database";
  }
  const std::string found = damages(disk);
  CHECK_MESSAGE(contains(found, wanted), found);
}

// The last row of a table whose only page this is.
void cut_last_cell(TestDisk& disk, const std::string& path, uint64_t page) {
  empty_wal(disk, path);
  std::string bytes = disk.contents(path);
  char& cells = bytes[(page - 1) * 4096 + (page == 1 ? 100 : 0) + 4];
  REQUIRE(cells > 0);
  --cells;
  disk.set_contents(path, bytes);
}

// Where a table or an index begins; the file's WAL is not needed any more.
uint64_t root_page(TestDisk& disk, const std::string& path, const std::string& name) {
  uint64_t page = 0;
  base::Result<std::unique_ptr<Database>> database =
      Database::open({.path = path, .vfs = disk.name(), .exclusive = true, .read_only = true});
  REQUIRE(database.is_ok());
  REQUIRE(database.value()->query("SELECT rootpage FROM sqlite_schema WHERE name = '" + name + "'", page).is_ok());
  REQUIRE(page > 0);
  empty_wal(disk, path);
  return page;
}

TEST_CASE("a row that a page does not count any more is not taken for one that never was") {
  TestDisk disk("check_cells");
  make_node(disk);
  std::string path = kLogFile;
  const char* table = "";
  SUBCASE("who was voted for") { table = "meta"; }
  SUBCASE("where a term begins") { table = "terms"; }
  SUBCASE("a configuration") { table = "configurations"; }
  SUBCASE("a segment") { table = "segments"; }
  SUBCASE("header and witness") {
    path = kKeysFile;
    table = "meta";
  }
  cut_last_cell(disk, path, root_page(disk, path, table));
  const std::string refused = path == kLogFile ? log_refusal(small_log(disk)) : keys_refusal(disk);
  CHECK_MESSAGE(contains(refused, path + ": damaged: SQLite says: "), refused);
  CHECK(contains(damages(disk), path + ": damaged: "));
}

// Flushed, and in the file itself.
void change_keys(TestDisk& disk, const std::function<void(Keyspace&)>& change) {
  const auto keys = open_keys(disk);
  Keyspace keyspace;
  keyspace.name_spaces(keys->header().databases);
  const auto load = [&](uint32_t db, std::string_view key, keyspace::Item item) { keyspace.load(db, key, std::move(item)); };
  REQUIRE(keys->load(load).is_ok());
  change(keyspace);
  keyspace::StateHeader header = keys->header();
  header.digest = keyspace.digest();
  REQUIRE(keys->flush(keyspace.freeze(header), keys->witness()).is_ok());
  REQUIRE(keys->close().is_ok());
  empty_wal(disk, kKeysFile);
}

TEST_CASE("an index that is of before, as a write of it went elsewhere, is found before a change needs it") {
  TestDisk disk("check_index");
  make_node(disk);
  const uint64_t begin = (root_page(disk, kKeysFile, "sqlite_autoindex_databases_1") - 1) * 4096;
  const std::string before = disk.contents(kKeysFile).substr(begin, 4096);
  change_keys(disk, [](Keyspace& keyspace) { keyspace.flush(0); });
  REQUIRE(damages(disk) == "");
  std::string bytes = disk.contents(kKeysFile);
  REQUIRE(bytes.substr(begin, 4096) != before);
  disk.set_contents(kKeysFile, bytes.replace(begin, 4096, before));
  const std::string wanted = "/disk/keys-1.db: damaged: SQLite says: ";
  CHECK(contains(damages(disk), wanted));
  CHECK(contains(keys_refusal(disk), wanted));
}

TEST_CASE("rows that are not in their order are found, also those of a value that is to be removed") {
  TestDisk disk("check_order");
  make_node(disk);
  const auto put = [](Keyspace& keyspace, std::string bytes) {
    keyspace.set(5, "key", {.value = keyspace::make_string(std::move(bytes)), .version = {}});
  };
  change_keys(disk, [&](Keyspace& keyspace) { put(keyspace, std::string(kInlineBytesMax + 1, 'x')); });
  change_keys(disk, [&](Keyspace& keyspace) { put(keyspace, "small"); });
  REQUIRE(damages(disk) == "");
  std::string bytes = disk.contents(kKeysFile);
  char* const page = &bytes[(root_page(disk, kKeysFile, "chunks_6") - 1) * 4096];
  constexpr char kLeaf = 0x0a;
  constexpr size_t kCells = 8;   // Where the two bytes of each begin, behind the page's head.
  REQUIRE(page[0] == kLeaf);
  std::swap_ranges(page + kCells, page + kCells + 2, page + kCells + 2);
  disk.set_contents(kKeysFile, bytes);
  CHECK(contains(damages(disk), "/disk/keys-1.db: damaged: SQLite says: row not in PRIMARY KEY order for chunks_6"));
}

TEST_CASE("a raft.db that lost its tail is told by the witness") {
  TestDisk disk("check_tail");
  make_node(disk);
  {
    const auto log = open_log(small_log(disk));
    LogWrite cut;
    cut.truncate_from = 24;
    REQUIRE(log->write({cut}) == WriteResult::kDurable);
    REQUIRE(log->close().is_ok());
  }
  CHECK(contains(damages(disk), "raft.db lost its tail: it ends at entry 23 in term 2; the keys file was at 20, and saw 25"));
}

TEST_CASE("a log that begins behind the keys file is damage") {
  TestDisk disk("check_gap");
  make_node(disk);
  {
    const auto log = open_log(small_log(disk));
    REQUIRE(log->compact(24).value().index == 24);
    REQUIRE(log->close().is_ok());
  }
  CHECK(contains(damages(disk), "the log begins behind entry 24, the keys file is at 20: entries between are missing"));
}

// Six commits of one entry each, all of them in the WAL; then the process is killed.
void commit_singly(TestDisk& disk) {
  LogStoreOptions options = small_log(disk);
  options.checkpoint_frames = 1000;
  const auto log = open_log(options);
  REQUIRE(log->set_identity({.id = "id1", .node = 1, .cluster_id = {}, .cluster_secret = {}}).is_ok());
  for (raft::Index i = 1; i <= 6; ++i) REQUIRE(log->write({entries(2, i, i)}) == WriteResult::kDurable);
  disk.kill();
}

TEST_CASE("a flipped bit in the middle of a WAL is named, with the commits that it costs") {
  TestDisk disk("check_wal");
  commit_singly(disk);
  const WalScan whole = scan_wal(disk.name(), kLogFile).value();
  CHECK(whole.frames_read > 6);
  CHECK(whole.commits_lost == 0);
  const size_t frame = 4096 + 24;
  disk.flip_bit("/disk/raft.db-wal", 32 + (whole.frames_read / 2) * frame + 2000, 3);
  const WalScan damaged = scan_wal(disk.name(), kLogFile).value();
  CHECK(damaged.frames_read == whole.frames_read / 2);
  CHECK(damaged.commits_lost > 1);
  CHECK(contains(damages(disk), "/disk/raft.db-wal: damaged: frame "));
}

TEST_CASE("a flipped bit in the head of the last commit but one is told from a commit that was broken off") {
  TestDisk disk("check_wal_head");
  commit_singly(disk);
  constexpr size_t kFrameBytes = 24 + 4096;
  const std::string wal = disk.contents("/disk/raft.db-wal");
  std::vector<size_t> commits;   // Where their last frames begin.
  for (size_t at = 32; at + kFrameBytes <= 32 + scan_wal(disk.name(), kLogFile).value().frames_read * kFrameBytes; at += kFrameBytes) {
    if (wal.substr(at + 4, 4) != std::string(4, '\0')) commits.push_back(at);
  }
  REQUIRE(commits.size() > 2);
  const size_t begin = commits[commits.size() - 2];
  for (size_t bit = 0; bit < 24 * 8; ++bit) {
    CAPTURE(bit);
    disk.flip_bit("/disk/raft.db-wal", begin + bit / 8, static_cast<unsigned>(bit % 8));
    CHECK(scan_wal(disk.name(), kLogFile).value().commits_lost == 2);
    disk.flip_bit("/disk/raft.db-wal", begin + bit / 8, static_cast<unsigned>(bit % 8));
  }
}

TEST_CASE("a frame of a commit that was broken off may begin as one of the run before, which ended a commit") {
  TestDisk disk("check_wal_cut_frame");
  constexpr size_t kFrameBytes = 24 + 4096, kCutFrame = 41;   // The first frame whose sectors part behind its first 8 bytes.
  constexpr size_t kBegin = 32 + kCutFrame * kFrameBytes;
  static_assert((kBegin + 8) % kSectorBytes == 0);
  {
    LogStoreOptions options = small_log(disk);
    options.checkpoint_frames = 1000;
    const auto log = open_log(options);
    REQUIRE(log->set_identity({.id = "id1", .node = 1, .cluster_id = {}, .cluster_secret = {}}).is_ok());
    raft::Index last = 0;
    while (scan_wal(disk.name(), kLogFile).value().frames_read + 5 < kCutFrame) {
      ++last;
      REQUIRE(log->write({entries(2, last, last)}) == WriteResult::kDurable);
    }
    LogWrite large = entries(2, last + 1, last + 1);
    large.append[0].payload = std::make_shared<const std::string>(std::string(60000, 'x'));
    REQUIRE(log->write({large}) == WriteResult::kDurable);
    disk.kill();
  }
  std::string wal = disk.contents("/disk/raft.db-wal");
  REQUIRE(scan_wal(disk.name(), kLogFile).value().frames_read > kCutFrame + 1);
  REQUIRE(wal.substr(kBegin + 4, 4) == std::string(4, '\0'));
  wal.replace(kBegin, 8, std::string("\0\0\0\3\0\0\0\5", 8));
  disk.set_contents("/disk/raft.db-wal", wal);
  const WalScan scan = scan_wal(disk.name(), kLogFile).value();
  CHECK(scan.frames_read == kCutFrame);
  CHECK(scan.commits_lost == 1);
  CHECK(look_at_log_files("/disk", disk.name()).is_ok());
}

TEST_CASE("no power cut makes a WAL look damaged") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    TestDisk disk("check_wal_cut");
    base::Random random(seed);
    const FatalThrows throws;
    {
      const auto log = open_log(small_log(disk));
      disk.add_fault({.at = 1 + seed % 40, .kinds = kAnyChange, .effect = Effect::kStop});
      try {
        for (raft::Index i = 1; i <= 20; ++i) {
          LogWrite write = entries(2, i, i);
          write.append[0].payload = std::make_shared<const std::string>(std::string(9000, 'x'));
          if (log->write({write}) == WriteResult::kFull) break;
          if (log->checkpoint_due() && !log->checkpoint().is_ok()) break;
        }
      } catch (const DiskDied&) {
      }
      disk.power_cut(random);
    }
    disk.clear_faults();
    CHECK(scan_wal(disk.name(), kLogFile).value().commits_lost <= 1);
    const base::Status look = look_at_log_files("/disk", disk.name());
    CHECK_MESSAGE(look.is_ok(), look.text());
  }
}

TEST_CASE("a WAL that is shorter than it was, or whose header is rotten, is damage") {
  TestDisk disk("check_wal_head");
  make_node(disk, false);
  disk.kill();
  const std::string wal = disk.contents(kWal);
  const auto finding = [&disk] {
    const base::Status look = look_at_log_files("/disk", disk.name());
    const std::string text = look.is_ok() ? "" : look.text();
    // --check says the same.
    if (!look.is_ok()) CHECK(contains(damages(disk), text));
    return text;
  };
  CHECK(finding().empty());
  SUBCASE("each byte of the header") {
    for (uint64_t byte = 0; byte < static_cast<uint64_t>(kWalHeaderBytes); ++byte) {
      for (const unsigned bit : {0U, 3U, 7U}) {
        CAPTURE(byte);
        disk.flip_bit(kWal, byte, bit);
        CHECK(finding() == "/disk/raft.db-wal: damaged: its header is wrong, and the commits in it are lost");
        disk.flip_bit(kWal, byte, bit);
      }
    }
    CHECK(finding().empty());
  }
  SUBCASE("the header is gone") {
    disk.set_contents(kWal, std::string(wal.size(), '\0'));
    CHECK(finding() == "/disk/raft.db-wal: damaged: its header is gone, and the commits in it are lost");
  }
  SUBCASE("its end is gone") {
    disk.set_contents(kWal, wal.substr(0, 16000));
    CHECK(contains(finding(), "/disk/raft.db-wal: damaged: it has 16000 bytes and had "));
  }
  SUBCASE("all of it is gone") {
    disk.set_contents(kWal, "");
    CHECK(contains(finding(), "/disk/raft.db-wal: damaged: it has 0 bytes and had "));
    disk.remove(kWal);
    CHECK(contains(finding(), "/disk/raft.db-wal: damaged: it has 0 bytes and had "));
  }
}

// A WAL in its second run, of one commit; those of the first one are behind it.
struct SecondRun {
  static constexpr size_t kFrameBytes = 24 + 4096;
  SecondRun() {
    const auto log = open_log(options());
    REQUIRE(log->set_identity({.id = "id1", .node = 1, .cluster_id = {}, .cluster_secret = {}}).is_ok());
    for (raft::Index i = 1; i <= 9; ++i) REQUIRE(log->write({entries(2, i, i)}) == WriteResult::kDurable);
    REQUIRE(log->checkpoint().is_ok());
    REQUIRE(log->write({entries(2, 10, 10)}) == WriteResult::kDurable);
    disk.kill();
    wal = disk.contents(kWal);
    frames = scan_wal(disk.name(), kLogFile).value().frames_read;
    REQUIRE(wal.size() > kWalHeaderBytes + (frames + 4) * kFrameBytes);
  }
  LogStoreOptions options() const {
    LogStoreOptions options = small_log(disk);
    options.checkpoint_frames = 1000;
    options.wal_bytes = 128 << 10;
    return options;
  }
  // So many bytes behind the last commit are left of it.
  std::string cut(std::ptrdiff_t bytes) {
    const auto end = kWalHeaderBytes + static_cast<std::ptrdiff_t>(frames * kFrameBytes);
    disk.set_contents(kWal, wal.substr(0, static_cast<size_t>(end + bytes)));
    const base::Status look = look_at_log_files("/disk", disk.name());
    const std::string text = look.is_ok() ? "" : look.text();
    CHECK(contains(damages(disk), kWal) == !text.empty());
    CHECK(contains(damages(disk), text));
    return text;
  }
  TestDisk disk{"check_wal_second_run"};
  std::string wal;
  uint64_t frames = 0;
};

TEST_CASE("a WAL that lost its end lost no commit if frames of the run before lie between, and only then") {
  SecondRun it;
  constexpr auto kTwoFrames = static_cast<std::ptrdiff_t>(2 * SecondRun::kFrameBytes);
  REQUIRE(it.frames > 1);
  CHECK(it.cut(kTwoFrames).empty());
  const CheckReport report = check_directory("/disk", it.disk.name());
  REQUIRE(report.notes.size() > 0);
  CHECK_MESSAGE(contains(report.notes[0], "; its commits end before that, and none is lost"), report.notes[0]);
  SUBCASE("what is left is started from, with all there was, and is as long as before then") {
    const auto log = open_log(it.options());
    CHECK(log->recovered().last.index == 10);
    CHECK(it.disk.contents(kWal).size() >= it.wal.size());
  }
  SUBCASE("what is left can tell no more") {
    const char* const damage = "/disk/raft.db-wal: damaged: it has ";
    CHECK(contains(it.cut(kTwoFrames - 1), damage));
    CHECK(contains(it.cut(0), damage));
    CHECK(contains(it.cut(-1), damage));
    CHECK(contains(it.cut(-static_cast<std::ptrdiff_t>(SecondRun::kFrameBytes)), damage));
  }
  SUBCASE("what is behind it is of no run, or of two") {
    const size_t first = static_cast<size_t>(kWalHeaderBytes) + it.frames * SecondRun::kFrameBytes;
    for (const size_t at : {first + 8, first + 20, first + SecondRun::kFrameBytes + 12, first + SecondRun::kFrameBytes + 100}) {
      CAPTURE(at);
      const char before = std::exchange(it.wal[at], static_cast<char>(~it.wal[at]));
      CHECK(contains(it.cut(kTwoFrames), "/disk/raft.db-wal: damaged: it has "));
      it.wal[at] = before;
    }
    std::fill(it.wal.begin() + static_cast<std::ptrdiff_t>(first), it.wal.end(), '\0');
    CHECK(contains(it.cut(kTwoFrames), "/disk/raft.db-wal: damaged: it has "));
  }
}

TEST_CASE("where the log lost who the node is, that is said") {
  TestDisk disk("check_nobody");
  make_node(disk);
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open_v2(kLogFile, &database, SQLITE_OPEN_READWRITE, disk.name().c_str()) == SQLITE_OK);
  CHECK(sqlite3_exec(database, "PRAGMA locking_mode=EXCLUSIVE; DELETE FROM meta WHERE name = 'node'", nullptr, nullptr, nullptr) ==
        SQLITE_OK);
  sqlite3_close(database);
  const CheckReport report = check_directory("/disk", disk.name());
  REQUIRE(report.notes.size() > 0);
  CHECK_MESSAGE(report.notes[0].starts_with("/disk/raft.db: whose node it is cannot be read, term 2; "), report.notes[0]);
}

TEST_CASE("a header of which half was written is damage only if the database lacks what is behind it") {
  for (const bool copied : {true, false}) {
    CAPTURE(copied);
    TestDisk disk("check_wal_torn");
    make_node(disk, copied);
    disk.kill();
    // The next run's number, and the rest of it still this run's.
    std::string wal = disk.contents(kWal);
    for (size_t at = 15; ++wal[at] == 0; --at) continue;
    disk.set_contents(kWal, wal);
    CHECK(look_at_log_files("/disk", disk.name()).is_ok() == copied);
  }
}

TEST_CASE("behind a header of which half was written the next run of the WAL is told from the one before") {
  TestDisk disk("check_wal_after_torn");
  LogStoreOptions options = small_log(disk);
  options.wal_bytes = 1 << 20;   // So that opening it again has nothing to note.
  {
    const auto log = open_log(options);
    REQUIRE(log->set_identity({.id = "id1", .node = 1, .cluster_id = {}, .cluster_secret = {}}).is_ok());
    for (raft::Index i = 1; i <= 12; ++i) REQUIRE(log->write({entries(2, i, i)}) == WriteResult::kDurable);
    REQUIRE(log->checkpoint().is_ok());
    disk.kill();
  }
  // As if the next run had begun, and half of its header was written.
  std::string wal = disk.contents(kWal);
  const std::string salt = wal.substr(16, 8);
  for (size_t at = 15; ++wal[at] == 0; --at) continue;
  disk.set_contents(kWal, wal);
  {
    const auto log = open_log(options);
    REQUIRE(log->write({entries(2, 13, 13)}) == WriteResult::kDurable);
    disk.kill();
  }
  CHECK(disk.contents(kWal).substr(16, 8) != salt);
  const base::Status look = look_at_log_files("/disk", disk.name());
  CHECK_MESSAGE(look.is_ok(), look.text());
}

TEST_CASE("the length of a WAL is noted as far as it was reached, and not on a full disk") {
  TestDisk disk("check_wal_full");
  LogStoreOptions options = small_log(disk);
  {
    const auto log = open_log(options);
    CHECK(peek_wal_bytes(disk.name(), kLogFile) == disk.contents(kWal).size());
    CHECK(log->close().is_ok());
  }
  // Who ended in order needs it no more.
  CHECK(peek_wal_bytes(disk.name(), kLogFile) == 0);
  options.wal_bytes *= 16;
  disk.add_fault({.at = 1, .kinds = operations(Operation::kWrite), .effect = Effect::kFull, .sticky = true, .path_part = "-wal"});
  CHECK_FALSE(LogStore::open(options).is_ok());
  disk.clear_faults();
  const uint64_t reached = disk.contents(kWal).size();
  CHECK(peek_wal_bytes(disk.name(), kLogFile) <= reached);
  CHECK(look_at_log_files("/disk", disk.name()).is_ok());
  const auto log = open_log(options);
  CHECK(peek_wal_bytes(disk.name(), kLogFile) == options.wal_bytes);
}

TEST_CASE("the WAL of a node that ended in order may be removed, as any program that writes does") {
  TestDisk disk("check_wal_removed");
  make_node(disk);
  disk.remove(kWal);
  CHECK(damages(disk) == "");
  CHECK(open_log(small_log(disk))->identity().has_value());
}

}  // namespace leto::storage
