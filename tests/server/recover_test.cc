// A cluster of three of which one node is left: what --recover makes of its directory.
#include "server/recover.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "server/repair.h"
#include "storage/check.h"
#include "storage/damage.h"
#include "storage/lost_tail.h"
#include "storage/sqlite.h"
#include "tests/server/survivor.h"

namespace leto::server {
namespace {

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

TEST_CASE("a raft.db that is older than the keys, as its WAL is lost, does not cost them") {
  Survivor survivor;
  survivor.make_compacted(Survivor::End::kKilled);
  std::filesystem::remove(survivor.path + "/keys-1.db");
  survivor.flip("raft.db-wal", 0);
  SUBCASE("alone") {}
  SUBCASE("beside what had come of another snapshot") {
    std::filesystem::copy_file(survivor.path + "/keys-2.db", survivor.path + "/keys-3.db");
    std::filesystem::resize_file(survivor.path + "/keys-3.db", std::filesystem::file_size(survivor.path + "/keys-3.db") - 100);
  }
  REQUIRE(survivor.recover().is_ok());
  base::Result<OpenedDirectory> opened = survivor.open();
  REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
  CHECK(opened.value().start.header.applied_index == 3);
  keyspace::Keyspace keys;
  CHECK(storage::load_keyspace(*opened.value().keys, keys).is_ok());
  CHECK(keys.size() == 2);
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

TEST_CASE("of a damaged log all is kept that can be read behind the keys, and it is said what is lost") {
  Survivor survivor;
  SUBCASE("the last entry") {
    survivor.make();
    survivor.rot("raft.db", "payload 5");
    REQUIRE(survivor.recover().is_ok());
    check_new_cluster(survivor, survivor.visit(), 5);
    CHECK_MESSAGE(survivor.report.find("Entries behind 4 are lost: ") != std::string::npos, survivor.report);
    CHECK(survivor.report.find("raft.db: damaged: entry 5 has a wrong checksum.") != std::string::npos);
  }
  SUBCASE("the first one that the keys have not: all behind it is lost, too") {
    survivor.make();
    survivor.rot("raft.db", "payload 4");
    REQUIRE(survivor.recover().is_ok());
    check_new_cluster(survivor, survivor.visit(), 4);
  }
  SUBCASE("one that the keys have: nothing is lost") {
    survivor.make();
    survivor.rot("raft.db", "payload 3");
    REQUIRE(survivor.recover().is_ok());
    const OpenedDirectory opened = survivor.visit();
    check_new_cluster(survivor, opened, 6);
    CHECK(opened.start.recovered.base == raft::EntryId{.term = kTerm, .index = 3});
  }
  SUBCASE("one of an old segment, which no start reads") {
    survivor.options.log_segment = 40;
    survivor.make();
    survivor.append(20);
    survivor.rot("raft.db", "payload 3");
    REQUIRE(survivor.open().is_ok());
    SUBCASE("that the keys have") {
      REQUIRE(survivor.recover().is_ok());
      check_new_cluster(survivor, survivor.visit(), 26);
    }
    SUBCASE("and one that they have not") {
      survivor.rot("raft.db", "payload 6");
      REQUIRE(survivor.recover().is_ok());
      check_new_cluster(survivor, survivor.visit(), 6);
      CHECK_MESSAGE(survivor.report.find("Entries behind 5 are lost: ") != std::string::npos, survivor.report);
    }
  }
  CHECK(storage::check_directory(survivor.path, storage::kVfsWithoutLocks).damages.empty());
  CHECK_FALSE(std::filesystem::exists(survivor.path + "/recovered"));
}

TEST_CASE("what the keys have of the log need not be readable, nor can SQLite drop it then") {
  Survivor survivor;
  survivor.options.log_segment = 30000;
  survivor.make();
  {
    // Each in a segment of its own, and in pages of its own.
    OpenedDirectory opened = std::move(survivor.open().value());
    storage::LogWrite write;
    for (raft::Index index = 6; index <= 12; ++index) {
      const std::string payload = std::string(20000, 'p') + "middle of " + std::to_string(index) + "." + std::string(20000, 'p');
      write.append.push_back({.id = {.term = kTerm, .index = index}, .kind = raft::EntryKind::kCommands,
                              .payload = std::make_shared<const std::string>(payload)});
    }
    REQUIRE(opened.log->write({write}) == storage::WriteResult::kDurable);
    REQUIRE(opened.log->checkpoint().is_ok());
    keyspace::Keyspace none;
    opened.start.header.applied_index = 6;
    REQUIRE(opened.keys->flush(none.freeze(opened.start.header), {.index = 6, .term = kTerm}).is_ok());
    DataDirectory::close(opened);
  }
  survivor.lose_page("raft.db", "middle of 6.");
  REQUIRE_FALSE(survivor.open().value().joins);   // No start reads it.
  const base::Status recovered = survivor.recover();
  REQUIRE_MESSAGE(recovered.is_ok(), recovered.text());
  check_new_cluster(survivor, survivor.visit(), 13);
}

TEST_CASE("of a raft.db that says nothing any more the keys are kept, under the id that the node had") {
  Survivor survivor;
  survivor.make();
  SUBCASE("it is no database") { survivor.rot("raft.db", "SQLite format 3"); }
  SUBCASE("it is gone beside its WAL") { std::filesystem::remove(survivor.path + "/raft.db"); }
  SUBCASE("it is gone") {
    for (const char* name : {"/raft.db", "/raft.db-wal"}) std::filesystem::remove(survivor.path + name);
  }
  REQUIRE(survivor.recover().is_ok());
  check_new_cluster(survivor, survivor.visit(), 4);
  CHECK_MESSAGE(survivor.report.find("Entries behind 3 are lost: ") != std::string::npos, survivor.report);
  CHECK(storage::check_directory(survivor.path, storage::kVfsWithoutLocks).damages.empty());
}

TEST_CASE("of several keys files the one at the highest entry is kept where no raft.db says which, whatever its number") {
  Survivor survivor;
  survivor.make();
  {
    // A snapshot that came when it was not needed any more, and one that had not come yet.
    keyspace::StateHeader header = survivor.visit().start.header;
    const std::unique_ptr<storage::KeyStore> late = std::move(make_keys(survivor.path, 2).value());
    keyspace::Keyspace keyspace;
    keyspace.set(0, "old", {.value = keyspace::make_string("value"), .version = {.index = 2, .position = 0}});
    header.applied_index = 2;
    header.digest = keyspace.digest();
    SUBCASE("one of a higher number is at a lower entry") {}
    SUBCASE("one of a higher number is at the same entry") { header.applied_index = 3; }
    REQUIRE(late->flush(keyspace.freeze(header), {.index = 2, .term = kTerm}).is_ok());
    REQUIRE(late->close().is_ok());
    survivor.applied = header.applied_index;
  }
  std::ofstream(survivor.path + "/keys-3.db");
  for (const char* name : {"/raft.db", "/raft.db-wal"}) std::filesystem::remove(survivor.path + name);
  REQUIRE(survivor.recover().is_ok());
  const OpenedDirectory found = survivor.visit();
  check_new_cluster(survivor, found, 4);
  CHECK(found.start.identity.keys_generation == (survivor.applied == 2 ? 1 : 2));
  CHECK(found.start.header.applied_index == 3);
}

TEST_CASE("no keys file that is empty is taken instead of a damaged one") {
  Survivor survivor;
  survivor.make();
  survivor.rot("keys-1.db", "precious");
  std::ofstream(survivor.path + "/keys-3.db");
  for (const char* name : {"/raft.db", "/raft.db-wal"}) std::filesystem::remove(survivor.path + name);
  REQUIRE(survivor.recover().is_ok());
  CHECK_MESSAGE(survivor.report.find("Lost are the keys that could not be read, in 1 places") != std::string::npos, survivor.report);
  base::Result<OpenedDirectory> opened = survivor.open();
  REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
  CHECK(opened.value().start.header.applied_index == 3);
}

TEST_CASE("a log that was being made anew is made again, or taken, by the next attempt") {
  Survivor survivor;
  survivor.make();
  survivor.rot("raft.db", "payload 5");
  std::filesystem::create_directory(survivor.path + "/recovered");
  SUBCASE("cut off before the damaged one was moved") {
    std::filesystem::copy(survivor.path + "/raft.db", survivor.path + "/recovered/raft.db");
    REQUIRE(survivor.recover().is_ok());
  }
  SUBCASE("cut off before the new one was there") {
    Survivor other;
    other.make();
    REQUIRE(other.recover().is_ok());
    for (const char* name : {"raft.db", "raft.db-wal"}) {
      std::filesystem::remove(survivor.path + "/" + name);
      std::filesystem::copy(other.path + "/" + name, survivor.path + "/recovered/" + name);
    }
    SUBCASE("") {}
    SUBCASE("but its WAL was") {
      std::filesystem::rename(survivor.path + "/recovered/raft.db-wal", survivor.path + "/raft.db-wal");
    }
    REQUIRE(survivor.recover().is_ok());
  }
  CHECK(survivor.visit().start.identity.cluster_id != survivor.before.cluster_id);
  CHECK_FALSE(std::filesystem::exists(survivor.path + "/recovered"));
  CHECK(storage::check_directory(survivor.path, storage::kVfsWithoutLocks).damages.empty());
}

TEST_CASE("what is recovered starts, whatever was noted about its damage") {
  Survivor survivor;
  survivor.make();
  SUBCASE("damage that is there") {
    survivor.rot("raft.db", "payload 4");
    REQUIRE(mark_damaged(survivor.path, survivor.path + "/raft.db: damaged: entry 4 has a wrong checksum").is_ok());
  }
  SUBCASE("what others saw") {
    const std::string sentence = survivor.path + "/raft.db: damaged: " + std::string(storage::kSeenByOthers) + ": entry 9";
    REQUIRE(mark_damaged(survivor.path, sentence).is_ok());
  }
  REQUIRE(survivor.recover().is_ok());
  CHECK_FALSE(survivor.visit().joins);
  CHECK(marked_damage(survivor.path).empty());
  survivor.options.join = {.host = "there", .port = 3};
  CHECK_FALSE(survivor.visit().joins);   // It is a member, of its own cluster.
}

bool has_in_folder(const Survivor& survivor, const std::string& name) {
  for (const auto& each : std::filesystem::directory_iterator(survivor.path)) {
    if (each.is_directory() && std::filesystem::exists(each.path() / name)) return true;
  }
  return false;
}

TEST_CASE("of damaged keys all is kept that can be read, and it is said what is lost") {
  Survivor survivor;
  survivor.make_compacted();
  survivor.rot("keys-2.db", "precious");
  SUBCASE("at once") {}
  SUBCASE("behind an attempt that was cut off") {
    std::filesystem::create_directory(survivor.path + "/recovered");
    std::ofstream(survivor.path + "/recovered/keys-3.db") << "half of it";
  }
  SUBCASE("though they were waited for") {
    REQUIRE(mark_damaged(survivor.path, survivor.path + "/keys-2.db: damaged: key \"key\" of database 0").is_ok());
    REQUIRE(survivor.open().value().start.lacks_keys);
  }
  const base::Status status = survivor.recover();
  REQUIRE_MESSAGE(status.is_ok(), status.text());
  CHECK(survivor.report.find("Lost are the keys that could not be read, in 1 places: " + survivor.path +
                             "/keys-2.db: damaged: key \"key\" of database 0") != std::string::npos);
  CHECK(has_in_folder(survivor, "keys-2.db"));
  CHECK_FALSE(std::filesystem::exists(survivor.path + "/recovered"));
  // One key is left; and all entries behind them.
  const OpenedDirectory found = survivor.visit();
  CHECK(found.start.identity.keys_generation == 3);
  CHECK_FALSE(found.start.lacks_keys);
  CHECK(found.start.header.applied_index == 3);
  CHECK(found.start.recovered.base.index == 3);
  CHECK(found.start.recovered.last.index == 6);
  // It is sound, for the next one, too.
  CHECK(survivor.recover().is_ok());
  CHECK(survivor.report.find("Lost") == std::string::npos);
}

TEST_CASE("a keys file of which nothing but garbage is rotten is made anew: the first flushes would meet it") {
  Survivor survivor;
  survivor.make_compacted();
  {
    OpenedDirectory opened = std::move(survivor.open().value());
    keyspace::Keyspace keyspace;
    REQUIRE(storage::load_keyspace(*opened.keys, keyspace).is_ok());
    for (const bool is_there : {true, false}) {
      const std::string large(1 << 20, 'a');
      if (is_there) keyspace.set(0, "large", {.value = keyspace::make_string(large), .version = {.index = 3, .position = 2}});
      else keyspace.erase(0, "large");
      opened.start.header.digest = keyspace.digest();
      REQUIRE(opened.keys->flush(keyspace.freeze(opened.start.header), {.index = 4, .term = kTerm}).is_ok());
    }
    DataDirectory::close(opened);
  }
  survivor.empty_wal("keys-2.db");
  // The number of the page that is next, before a page full of the value.
  std::ifstream stream(survivor.path + "/keys-2.db", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  survivor.flip("keys-2.db", bytes.find(std::string(kPageBytes - 4, 'a')) - 4);
  REQUIRE(survivor.recover().is_ok());
  CHECK_MESSAGE(survivor.report.find("All keys in it could be read.") != std::string::npos, survivor.report);
  {
    OpenedDirectory opened = std::move(survivor.open().value());
    keyspace::Keyspace keyspace;
    CHECK(storage::load_keyspace(*opened.keys, keyspace).is_ok());
    CHECK(keyspace.size() == 2);
    CHECK(opened.keys->checkpoint().is_ok());
    DataDirectory::close(opened);
  }
  CHECK(storage::check_directory(survivor.path, storage::kVfsWithoutLocks).damages.empty());
}

TEST_CASE("keys that are made anew get nothing of a snapshot that had come under their number") {
  Survivor survivor;
  survivor.make_compacted();
  survivor.rot("keys-2.db", "precious");
  {
    const std::unique_ptr<storage::KeyStore> coming = std::move(make_keys(survivor.path, 3).value());
    keyspace::Keyspace keyspace;
    keyspace.set(0, "of the snapshot", {.value = keyspace::make_string("value"), .version = {.index = 20, .position = 0}});
    const keyspace::StateHeader header{.applied_index = 20, .applied_term = kTerm, .configuration = {}, .digest = keyspace.digest()};
    REQUIRE(coming->flush(keyspace.freeze(header), {.index = 20, .term = kTerm}).is_ok());
  }
  REQUIRE(std::filesystem::file_size(survivor.path + "/keys-3.db-wal") > kWalHeaderBytes);
  REQUIRE(survivor.recover().is_ok());
  const OpenedDirectory found = survivor.visit();
  CHECK(found.start.identity.keys_generation == 3);
  CHECK(found.start.header.applied_index == 3);
  CHECK(found.start.recovered.last.index == 6);
}

TEST_CASE("damaged keys are made anew from a log that has everything, and from no other") {
  Survivor survivor;
  survivor.options.log_segment = 40;
  survivor.make();
  survivor.append(20);
  survivor.rot("keys-1.db", "precious");
  bool is_sound = true;
  SUBCASE("sound") {}
  SUBCASE("damaged where the keys have it, in an old segment, which no start reads") { is_sound = false; }
  if (!is_sound) survivor.rot("raft.db", "payload 3");
  REQUIRE(survivor.recover().is_ok());
  base::Result<OpenedDirectory> opened = survivor.open();
  REQUIRE(opened.is_ok());
  CHECK(opened.value().start.header.applied_index == (is_sound ? 0 : 3));
  CHECK(opened.value().start.recovered.last.index == 26);
  CHECK((survivor.report.find("All keys are made anew from the log.") != std::string::npos) == is_sound);
  CHECK((survivor.report.find("Lost are the keys") != std::string::npos) == !is_sound);
}

// As SQLite's own tools copy it, and under its name: a database of its own, without a WAL.
void back_up_keys(const std::string& from, const std::string& to) {
  const std::unique_ptr<storage::Database> keys =
      std::move(storage::Database::open({.path = from + "/keys-1.db", .vfs = "", .read_only = true}).value());
  const auto no_rows = [](const storage::Statement&) { return base::Status(); };
  REQUIRE(keys->for_each_row("VACUUM INTO '" + to + "/keys-1.db'", no_rows).is_ok());
}

TEST_CASE("a backup that is a keys file alone becomes a cluster of its own, under the first voter's id") {
  Survivor survivor;
  survivor.make();
  Survivor backup;
  back_up_keys(survivor.path, backup.path);
  backup.before = survivor.before;
  REQUIRE(backup.recover().is_ok());
  CHECK_MESSAGE(backup.report.starts_with("node id1 is the only member of a new cluster now, "), backup.report);
  check_new_cluster(backup, backup.visit(), 4);
  CHECK(storage::check_directory(backup.path, storage::kVfsWithoutLocks).damages.empty());
  for (const auto& each : std::filesystem::directory_iterator(backup.path)) {
    CHECK_FALSE(each.path().filename().string().starts_with("damaged-"));
  }
}

TEST_CASE("what LOCK says of a node becomes an id that may be one") {
  Survivor survivor;
  survivor.make();
  Survivor backup;
  back_up_keys(survivor.path, backup.path);
  std::ofstream(backup.path + "/LOCK") << "7 x@y z\n";
  REQUIRE(backup.recover().is_ok());
  backup.options.id.clear();
  CHECK(backup.visit().start.identity.id == "x_y_z");
}

TEST_CASE("a recovery of a backup that was cut off while its log was made may be run again") {
  Survivor survivor;
  survivor.make();
  Survivor backup;
  back_up_keys(survivor.path, backup.path);
  backup.before = survivor.before;
  const std::string made_in = backup.path + "/recovered";
  std::ofstream(made_in).put('x');
  REQUIRE_FALSE(backup.recover().is_ok());
  std::filesystem::remove(made_in);
  std::filesystem::create_directory(made_in);
  {
    storage::LogStoreOptions options;
    options.directory = made_in;
    const std::unique_ptr<storage::LogStore> log = std::move(storage::LogStore::open(options).value());
    REQUIRE(log->close().is_ok());
  }
  const base::Status again = backup.recover();
  REQUIRE_MESSAGE(again.is_ok(), again.text());
  check_new_cluster(backup, backup.visit(), 4);
}

TEST_CASE("without --new-cluster the directory is looked at, and left as it is") {
  Survivor survivor;
  std::string report;
  const auto look = [&] { return look_at_survivor(survivor.path, report).text(); };
  CHECK(look() == survivor.path + ": there is no node here: neither a raft.db nor a keys file");
  CHECK(look_at_survivor(survivor.path + "/none", report).text() ==
        "cannot use the data directory " + survivor.path + "/none: No such file or directory");
  survivor.make();
  const auto before = survivor.contents();
  CHECK(look_at_survivor(survivor.path, report).is_ok());
  CHECK_MESSAGE(report.find(" would make node id1 the only member of a new cluster, ") != std::string::npos, report);
  CHECK(survivor.contents() == before);
  const base::Result<OpenedDirectory> other = survivor.open();
  CHECK(look().ends_with("; stop that one first"));
}

TEST_CASE("where there is nothing to recover it says why") {
  Survivor survivor;
  SUBCASE("no node") {
    CHECK(survivor.recover().text() == survivor.path + ": there is no node here: neither a raft.db nor a keys file");
    CHECK(std::filesystem::is_empty(survivor.path));
  }
  SUBCASE("no directory") {
    CHECK(recover_as_new_cluster(survivor.path + "/none", survivor.report).text() ==
          survivor.path + "/none: there is no node here: neither a raft.db nor a keys file");
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
    CHECK(survivor.recover().text().ends_with("; stop that one first"));
  }
  SUBCASE("keys whose header cannot be read") {
    survivor.make();
    survivor.rot("keys-1.db", "SQLite format 3");
    CHECK(survivor.recover().text().find("keys-1.db: not a database") != std::string::npos);
    CHECK(std::filesystem::exists(survivor.path + "/keys-1.db"));
  }
  SUBCASE("what it had was moved aside") {
    survivor.make();
    survivor.rot("raft.db", "payload 4");
    REQUIRE(survivor.open().is_ok());
    const std::string text = survivor.recover().text();
    CHECK_MESSAGE(text.find("what it had is in " + survivor.path + "/damaged-") != std::string::npos, text);
    CHECK(read_rejoin(survivor.path).has_value());
  }
  SUBCASE("who it is cannot be read") {
    survivor.make();
    survivor.rot("raft.db", "SQLite format 3");
    std::filesystem::remove(survivor.path + "/LOCK");
    CHECK(survivor.recover().text().ends_with("; who this node is cannot be read either"));
  }
  SUBCASE("keys of another log") {
    survivor.make();
    survivor.get_keys_of_another_log();
    CHECK(survivor.recover().text().find("it is at entry 4 of term 6, which has term 7 in the log") != std::string::npos);
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
