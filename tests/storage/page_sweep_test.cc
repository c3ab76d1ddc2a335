// Each byte of the first page of both files is changed, one at a time: a start works with all that was there, or says damage.
#include <doctest/doctest.h>

#include "keyspace/keyspace.h"
#include "storage/damage.h"
#include "storage/load.h"
#include "tests/storage/support.h"

namespace leto::storage {

namespace {

constexpr const char* kSweptLog = "/disk/raft.db";
constexpr const char* kSweptKeys = "/disk/keys-1.db";
constexpr size_t kSweptPageBytes = 4096, kHeaderBytes = 120, kWalHeaderBytes = 32;

void make_swept_node(TestDisk& disk) {
  const auto log = open_log(small_log(disk));
  REQUIRE(log->set_identity({.id = "id1", .node = 1, .cluster_id = {}, .cluster_secret = {}}).is_ok());
  LogWrite write;
  write.hard_state = raft::HardState{.term = 2, .voted_for = 1};
  write.append = {make_configuration_entry(2, 1, 1), make_entry(2, 2, "two")};
  REQUIRE(log->write({write}) == WriteResult::kDurable);
  const auto keys = open_keys(disk);
  keyspace::Keyspace keyspace;
  keyspace.set(0, "key", {.value = keyspace::make_string("value"), .version = {.index = 2, .position = 0}});
  const keyspace::StateHeader header{.applied_index = 2, .applied_term = 2, .configuration = {}, .digest = keyspace.digest()};
  REQUIRE(keys->flush(keyspace.freeze(header), {.index = 2, .term = 2}).is_ok());
  REQUIRE(log->close().is_ok());
  REQUIRE(keys->checkpoint().is_ok());
  REQUIRE(keys->close().is_ok());
  // Nothing in a WAL that would heal a page.
  for (const char* path : {kSweptLog, kSweptKeys}) {
    const std::string wal = disk.contents(std::string(path) + "-wal");
    disk.set_contents(std::string(path) + "-wal", wal.substr(0, kWalHeaderBytes) + std::string(wal.size() - kWalHeaderBytes, '\0'));
  }
}

// Empty, or why the log does not open, or what is missing.
std::string log_problem(const TestDisk& disk) {
  base::Result<std::unique_ptr<LogStore>> log = LogStore::open(small_log(disk));
  if (!log.is_ok()) return log.status().text();
  const raft::Recovered found = log.value()->recovered();
  const std::optional<Identity> identity = log.value()->identity();
  if (!identity || identity->id != "id1") return "no identity";
  if (found.hard_state != raft::HardState{.term = 2, .voted_for = 1}) return "no vote";
  if (found.last.index != 2 || found.configurations.size() != 1) return "no entries";
  LogWrite write;
  write.append = {make_entry(2, 3, "three")};
  return log.value()->write({write}) == WriteResult::kDurable ? "" : "it cannot be written";
}

std::string keys_problem(const TestDisk& disk) {
  base::Result<std::unique_ptr<KeyStore>> keys = KeyStore::open({.directory = "/disk", .vfs = disk.name(), .generation = 1});
  if (!keys.is_ok()) return keys.status().text();
  keyspace::Keyspace keyspace;
  if (const base::Status loaded = load_keyspace(*keys.value(), keyspace); !loaded.is_ok()) return loaded.text();
  if (keys.value()->header().applied_index != 2 || keys.value()->witness().index != 2 || keyspace.size() != 1) return "keys are missing";
  const base::Status written = keys.value()->write_witness({.index = 3, .term = 2});
  return written.is_ok() ? "" : written.text();
}

}  // namespace

TEST_CASE("whichever byte of a first page is changed, a start works with all that was there, or says damage") {
  TestDisk disk("page_sweep");
  const FatalThrows fatal;
  make_swept_node(disk);
  const auto image = disk.synced_image();
  size_t starts = 0, worked = 0;
  for (const bool of_log : {true, false}) {
    const std::string path = of_log ? kSweptLog : kSweptKeys;
    const std::string page = image.at(path).substr(0, kSweptPageBytes);
    for (size_t byte = 0; byte < page.size(); ++byte) {
      if (byte >= kHeaderBytes && page[byte] == 0) continue;
      for (const char change : {'\x01', '\xff'}) {
        CAPTURE(path);
        CAPTURE(byte);
        CAPTURE(static_cast<int>(change));
        std::string changed = image.at(path);
        changed[byte] = static_cast<char>(changed[byte] ^ change);
        disk.restore(image);
        disk.set_contents(path, changed);
        std::string problem;
        try {
          problem = of_log ? log_problem(disk) : keys_problem(disk);
        } catch (const DiskDied& died) {
          problem = died.what();
        }
        ++starts;
        if (problem.empty()) ++worked;
        else CHECK_MESSAGE(is_damage(problem), problem);
      }
    }
  }
  CHECK(worked > 100);
  CHECK(starts - worked > 100);
}

}  // namespace leto::storage
