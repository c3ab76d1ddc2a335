// A cluster of three of which one node is left: what --recover makes of its directory.
#include "server/recover.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/log.h"
#include "server/start.h"
#include "storage/check.h"
#include "storage/load.h"
#include "storage/lost_tail.h"

namespace leto::server {
namespace {

constexpr raft::Term kTerm = 7;

struct Survivor {
  Survivor() {
    char pattern[] = "/tmp/leto-recover-test-XXXXXX";
    REQUIRE(mkdtemp(pattern) != nullptr);
    path = pattern;
    options.id = "id1";
    base::set_log_sink([](base::LogLevel, std::string_view) {});
  }
  ~Survivor() {
    base::set_log_sink(nullptr);
    std::filesystem::remove_all(path);
  }
  base::Result<OpenedDirectory> open() {
    base::Result<storage::DirectoryLock> lock = storage::DirectoryLock::acquire(path, "");
    REQUIRE(lock.is_ok());
    return open_directory(options, std::move(lock.value()));
  }
  // One of three, with entries up to 5, keys as of 3, and a witness that may be ahead of the log.
  void make(storage::Witness witness = {.index = 4, .term = kTerm}) {
    base::Result<OpenedDirectory> opened = open();
    REQUIRE(opened.is_ok());
    OpenedDirectory& directory = opened.value();
    before = directory.start.identity;
    raft::Configuration three = directory.start.recovered.configurations[0].configuration;
    three.members.push_back({.node = 1, .id = "id2", .raft_address = "there:2", .client_address = "there:3"});
    three.members.push_back({.node = 2, .id = "id3", .raft_address = "there:4", .client_address = "there:5"});
    std::sort(three.members.begin(), three.members.end(), [](const auto& a, const auto& b) { return a.node < b.node; });
    storage::LogWrite write;
    write.hard_state = raft::HardState{.term = kTerm, .voted_for = before.node};
    for (raft::Index index = 2; index <= 5; ++index) write.append.push_back(entry(index, three));
    REQUIRE(directory.log->write({write}) == storage::WriteResult::kDurable);
    keyspace::Keyspace keyspace;
    keyspace.set(0, "key", {.value = keyspace::make_string("precious"), .version = {.index = 3, .position = 0}});
    const keyspace::StateHeader header{.applied_index = applied, .applied_term = kTerm,
                                       .configuration = raft::encode_configuration(three), .configuration_index = 2,
                                       .digest = keyspace.digest()};
    REQUIRE(directory.keys->flush(keyspace.freeze(header), witness).is_ok());
    REQUIRE(directory.keys->close().is_ok());
    REQUIRE(directory.log->close().is_ok());
  }
  static raft::Entry entry(raft::Index index, const raft::Configuration& three) {
    const bool first = index == 2;
    return {.id = {.term = kTerm, .index = index},
            .kind = first ? raft::EntryKind::kConfiguration : raft::EntryKind::kCommands,
            .payload = std::make_shared<const std::string>(first ? raft::encode_configuration(three) : "x")};
  }
  // What a node would be started with now; everything is closed again.
  OpenedDirectory visit() {
    base::Result<OpenedDirectory> opened = open();
    REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
    OpenedDirectory result = std::move(opened.value());
    keyspace::Keyspace keys;
    CHECK(storage::load_keyspace(*result.keys, keys).is_ok());
    CHECK(keys.size() == 1);
    CHECK(result.keys->close().is_ok());
    CHECK(result.log->close().is_ok());
    result.keys.reset();
    result.log.reset();
    result.lock = {};
    return result;
  }
  base::Status recover() { return recover_as_new_cluster(path, report); }

  std::string path, report;
  Options options;
  storage::Identity before;
  raft::Index applied = 3;
};

bool silent(const OpenedDirectory& opened) {
  return storage::lost_tail(opened.start.recovered, opened.start.witness, opened.start.header.applied_index);
}

// Alone in a cluster that nobody of the old one knows.
void check_new_cluster(const Survivor& survivor, const OpenedDirectory& opened, raft::Index last) {
  const storage::Identity& identity = opened.start.identity;
  CHECK(identity.id == "id1");
  CHECK(identity.node != survivor.before.node);
  CHECK(identity.cluster_id.size() == 16);
  CHECK(identity.cluster_id != survivor.before.cluster_id);
  CHECK(identity.cluster_secret != survivor.before.cluster_secret);
  const raft::Recovered& recovered = opened.start.recovered;
  CHECK(recovered.last.index == last);
  CHECK(recovered.last.term > kTerm);
  CHECK(recovered.hard_state == raft::HardState{.term = recovered.last.term, .voted_for = raft::kNobody});
  REQUIRE_FALSE(recovered.configurations.empty());
  CHECK(recovered.configurations.back().index == last);
  const raft::Configuration& configuration = recovered.configurations.back().configuration;
  REQUIRE(configuration.members.size() == 1);
  CHECK(configuration.members[0].node == identity.node);
  CHECK(configuration.members[0].role == raft::MemberRole::kVoter);
  CHECK(configuration.members[0].client_address == "127.0.0.1:5379");
  CHECK_FALSE(silent(opened));
}

}  // namespace

TEST_CASE("the survivor is alone in a new cluster, with all of its log and keys") {
  Survivor survivor;
  survivor.make();
  REQUIRE(survivor.recover().is_ok());
  CHECK(survivor.report.starts_with("node id1 is the only member of a new cluster now, with its log up to entry 5"));
  const OpenedDirectory opened = survivor.visit();
  check_new_cluster(survivor, opened, 6);
  CHECK(opened.start.header.applied_index == 3);
  CHECK(storage::check_directory(survivor.path, storage::kVfsWithoutLocks).damages.empty());
}

TEST_CASE("a recovery that was cut off between its commits may be run again") {
  Survivor survivor;
  survivor.make();
  {
    // As it is behind the first commit: another identity, the old members.
    OpenedDirectory opened = std::move(survivor.open().value());
    storage::Identity cut = opened.start.identity;
    cut.node = 99;
    cut.cluster_id = std::string(16, 'c');
    REQUIRE(opened.log->set_identity(cut).is_ok());
  }
  SUBCASE("started all the same it is in no configuration, and so does nothing") {
    const OpenedDirectory opened = survivor.visit();
    for (const raft::ConfigurationAt& each : opened.start.recovered.configurations) {
      CHECK(each.configuration.find(opened.start.identity.node) == nullptr);
    }
  }
  SUBCASE("run again") {
    REQUIRE(survivor.recover().is_ok());
    check_new_cluster(survivor, survivor.visit(), 6);
  }
}

TEST_CASE("run twice it makes one more cluster of the same data") {
  Survivor survivor;
  survivor.make();
  REQUIRE(survivor.recover().is_ok());
  REQUIRE(survivor.recover().is_ok());
  check_new_cluster(survivor, survivor.visit(), 7);
}

TEST_CASE("the loss of the log's tail is accepted here") {
  Survivor survivor;
  SUBCASE("entries that were committed") {
    survivor.make({.index = 9, .term = kTerm});
    REQUIRE(survivor.recover().is_ok());
    check_new_cluster(survivor, survivor.visit(), 6);
  }
  SUBCASE("term and vote") {
    survivor.make({.index = 4, .term = kTerm + 4});
    REQUIRE(survivor.recover().is_ok());
    const OpenedDirectory opened = survivor.visit();
    check_new_cluster(survivor, opened, 6);
    CHECK(opened.start.recovered.last.term > kTerm + 4);
  }
  SUBCASE("entries that the keys have: the log goes on behind these") {
    survivor.applied = 20;
    survivor.make({.index = 22, .term = kTerm});
    REQUIRE(survivor.recover().is_ok());
    const OpenedDirectory opened = survivor.visit();
    check_new_cluster(survivor, opened, 21);
    CHECK(opened.start.recovered.base == raft::EntryId{.term = kTerm, .index = 20});
  }
}

TEST_CASE("where there is nothing to recover it says why") {
  Survivor survivor;
  SUBCASE("no node") {
    CHECK(survivor.recover().text() == survivor.path + ": there is no raft.db here");
    CHECK(std::filesystem::is_empty(survivor.path));
  }
  SUBCASE("no directory") {
    CHECK(recover_as_new_cluster(survivor.path + "/none", survivor.report).text() ==
          survivor.path + "/none: there is no raft.db here");
    CHECK_FALSE(std::filesystem::exists(survivor.path + "/none"));
  }
  SUBCASE("in no cluster") {
    survivor.options.join = {.host = "127.0.0.1", .port = 5379};
    CHECK(survivor.open().is_ok());
    CHECK(survivor.recover().text() == survivor.path + ": this node is in no cluster yet");
  }
  SUBCASE("in use") {
    survivor.make();
    const base::Result<OpenedDirectory> other = survivor.open();
    CHECK(survivor.recover().text().find("is in use by process") != std::string::npos);
  }
  SUBCASE("keys that cannot be read") {
    survivor.make();
    {
      std::fstream file(survivor.path + "/keys-1.db", std::ios::in | std::ios::out | std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      file.seekp(static_cast<std::streamoff>(bytes.rfind("precious")));
      file.put('X');
    }
    std::filesystem::remove(survivor.path + "/keys-1.db-wal");
    const storage::Identity before = survivor.before;
    CHECK(survivor.recover().text().find("keys-1.db: damaged: ") != std::string::npos);
    base::Result<OpenedDirectory> opened = survivor.open();
    REQUIRE(opened.is_ok());
    CHECK(opened.value().start.identity.cluster_id == before.cluster_id);
    CHECK(opened.value().start.recovered.last.index == 5);
  }
  SUBCASE("without --new-cluster nothing is changed") {
    survivor.make();
    const auto stamp = std::filesystem::last_write_time(survivor.path + "/raft.db");
    CHECK(recover(survivor.path, false) == 1);
    CHECK(std::filesystem::last_write_time(survivor.path + "/raft.db") == stamp);
    CHECK(survivor.visit().start.identity.cluster_id == survivor.before.cluster_id);
  }
  CHECK(survivor.report.empty());
}

}  // namespace leto::server
