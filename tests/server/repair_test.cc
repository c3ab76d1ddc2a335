// Damaged directories of a member of three: what is moved, what is kept, and who is asked to take the node in again.
#include "server/repair.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "server/removal_note.h"
#include "storage/aside.h"
#include "storage/check.h"
#include "storage/damage.h"
#include "tests/server/survivor.h"

namespace leto::server {
namespace {

bool has(const Survivor& survivor, const std::string& name) { return std::filesystem::exists(survivor.path + "/" + name); }

// Files of SQLite's in `directory`, sorted; but for the index of a WAL, of which nothing depends.
std::vector<std::string> databases(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& each : std::filesystem::directory_iterator(directory)) {
    const std::string name = each.path().filename().string();
    if (name.find(".db") != std::string::npos && !name.ends_with("-shm")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Those of `files` whose bit is set in `chosen`.
void rename_some(const std::string& directory, const std::vector<std::string>& files, size_t chosen, const std::string& folder) {
  for (size_t at = 0; at < files.size(); ++at) {
    if ((chosen >> at & 1) != 0) std::filesystem::rename(directory + "/" + files[at], directory + "/" + folder + "/" + files[at]);
  }
}

// A new node under the old id, which asks the other two.
void check_rejoins(Survivor& survivor, std::optional<NodeRole> known_role = NodeRole::kVoter) {
  raft::NodeId node = raft::kNobody;
  // Also when it is started again before it is a member.
  for (int start = 0; start < 2; ++start) {
    base::Result<OpenedDirectory> opened = survivor.open();
    REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
    const NodeStart& found = opened.value().start;
    CHECK(opened.value().joins);
    CHECK(opened.value().role == known_role);
    REQUIRE(opened.value().targets.size() == 2);
    CHECK(opened.value().targets[0].text() == "there:3");
    CHECK(opened.value().targets[1].text() == "there:5");
    CHECK_FALSE(found.founding);
    CHECK(found.identity.id == "id1");
    CHECK(found.identity.node != survivor.before.node);
    if (start == 1) CHECK(found.identity.node == node);
    CHECK(found.recovered.last.index == 0);
    CHECK(found.header.applied_index == 0);
    node = found.identity.node;
  }
  const std::string folder = read_rejoin(survivor.path)->folder;
  CHECK(has(survivor, folder + "/keys-1.db"));
  CHECK_FALSE(has(survivor, "rejoin.begun"));
}

// Refused with `why`, and nothing is moved.
void check_refused(Survivor& survivor, const std::string& why) {
  base::Result<OpenedDirectory> opened = survivor.open();
  REQUIRE_FALSE(opened.is_ok());
  CHECK_MESSAGE(opened.status().text().find("; it is not repaired: " + why) != std::string::npos, opened.status().text());
  CHECK(opened.status().text().find("leto --recover " + survivor.path + " --new-cluster") != std::string::npos);
  CHECK_FALSE(has(survivor, "rejoin"));
  CHECK(has(survivor, "keys-1.db"));
  for (const auto& each : std::filesystem::directory_iterator(survivor.path)) CHECK_FALSE(each.is_directory());
}

}  // namespace

TEST_CASE("a note of whom to rejoin is read back as it was written") {
  std::optional<NodeRole> role;
  SUBCASE("a learner") { role = NodeRole::kLearner; }
  SUBCASE("a voter") { role = NodeRole::kVoter; }
  SUBCASE("nobody knows") {}
  const Rejoin rejoin{.id = "id1",
                      .cluster_id = std::string("\x00\xff", 2) + std::string(14, 'c'),
                      .cluster_secret = std::string(32, 's'),
                      .role = role,
                      .folder = "damaged-5",
                      .addresses = {{.host = "a", .port = 1}, {.host = "::1", .port = 2}}};
  const std::optional<Rejoin> read = parse_rejoin(rejoin_text(rejoin));
  REQUIRE(read);
  CHECK(read->id == rejoin.id);
  CHECK(read->cluster_id == rejoin.cluster_id);
  CHECK(read->cluster_secret == rejoin.cluster_secret);
  CHECK(read->role == role);
  CHECK(read->folder == rejoin.folder);
  CHECK(read->addresses == rejoin.addresses);
  for (const char* text : {"", "id id1\n", "nonsense", "id id1\nfolder damaged-5\naddress none\n"}) CHECK_FALSE(parse_rejoin(text));
}

TEST_CASE("a note that rotted leads neither out of the directory nor into a handshake") {
  const Rejoin sound{.id = "id1", .cluster_id = std::string(16, 'c'), .cluster_secret = std::string(32, 's'),
                     .folder = "damaged-5", .addresses = {{.host = "a", .port = 1}}};
  for (const char* folder : {"..", "/damaged-5", "damaged-/../..", "damaged-", "damaged-5/../../x", "x"}) {
    Rejoin rotten = sound;
    rotten.folder = folder;
    CHECK_FALSE(parse_rejoin(rejoin_text(rotten)));
  }
  for (const std::string& id : {std::string("i d"), std::string("id\x01"), std::string(65, 'i')}) {
    Rejoin rotten = sound;
    rotten.id = id;
    CHECK_FALSE(parse_rejoin(rejoin_text(rotten)));
  }
  // The node is told by who takes it in.
  for (const auto& [cluster, secret] : {std::pair<size_t, size_t>{15, 32}, {16, 15}, {16, 65}}) {
    Rejoin rotten = sound;
    rotten.cluster_id = std::string(cluster, 'c');
    rotten.cluster_secret = std::string(secret, 's');
    const std::optional<Rejoin> read = parse_rejoin(rejoin_text(rotten));
    REQUIRE(read);
    CHECK(read->cluster_id.empty());
    CHECK(read->cluster_secret.empty());
  }
}

TEST_CASE("a move whose note rotted moves nothing elsewhere") {
  Survivor survivor;
  survivor.make();
  const std::string outside = survivor.path + "-outside";
  REQUIRE(storage::write_note(survivor.path + "/rejoin.begun",
                              "id id1\nfolder ../" + std::filesystem::path(outside).filename().string() + "\naddress there:3\n").is_ok());
  CHECK_FALSE(survivor.visit().joins);
  CHECK_FALSE(std::filesystem::exists(outside));
  std::filesystem::remove_all(outside);
}

TEST_CASE("a damaged member of three starts as a new node that asks the others") {
  Survivor survivor;
  SUBCASE("an entry") {
    survivor.make();
    survivor.rot("raft.db", "payload 4");
    check_rejoins(survivor);
    CHECK(survivor.open().value().start.identity.cluster_id == survivor.before.cluster_id);
    CHECK(survivor.open().value().start.identity.cluster_secret == survivor.before.cluster_secret);
  }
  SUBCASE("the configuration in the log: the keys file has it, too") {
    survivor.make();
    survivor.rot("raft.db", "there:4");
    check_rejoins(survivor);
  }
  SUBCASE("the whole file: the keys file says who the others are") {
    survivor.make();
    survivor.rot("raft.db", "SQLite format 3");
    check_rejoins(survivor);
    CHECK(survivor.open().value().start.identity.cluster_id.empty());
  }
  SUBCASE("the file is gone") {
    survivor.make();
    for (const char* name : {"/raft.db", "/raft.db-wal"}) std::filesystem::remove(survivor.path + name);
    check_rejoins(survivor);
  }
  SUBCASE("the file alone is gone, its WAL is there") {
    survivor.make();
    std::filesystem::remove(survivor.path + "/raft.db");
    check_rejoins(survivor);
  }
  SUBCASE("the file is empty, and its WAL is not") {
    survivor.make();
    REQUIRE(std::filesystem::file_size(survivor.path + "/raft.db-wal") > 0);
    std::filesystem::resize_file(survivor.path + "/raft.db", 0);
    check_rejoins(survivor);
    const std::string folder = read_rejoin(survivor.path)->folder;
    CHECK(std::filesystem::file_size(survivor.path + "/" + folder + "/raft.db-wal") > 0);
  }
  SUBCASE("the header of the keys file") {
    survivor.make();
    survivor.rot("keys-1.db", "SQLite format 3");
    check_rejoins(survivor);
  }
  SUBCASE("the log's tail is lost") {
    survivor.make({.index = 9, .term = kTerm});
    check_rejoins(survivor);
  }
  SUBCASE("term and vote are lost") {
    survivor.make({.index = 4, .term = kTerm + 1});
    check_rejoins(survivor);
  }
  SUBCASE("the term is older than the log's last entry") {
    survivor.make();
    {
      OpenedDirectory opened = std::move(survivor.open().value());
      storage::LogWrite write;
      write.append = {{.id = {.term = kTerm + 1, .index = 6}, .kind = raft::EntryKind::kNothing,
                       .payload = std::make_shared<const std::string>()}};
      REQUIRE(opened.log->write({write}) == storage::WriteResult::kDurable);
    }
    check_rejoins(survivor);
  }
  SUBCASE("what only a running node saw") {
    survivor.make();
    REQUIRE(mark_damaged(survivor.path, survivor.path + "/raft.db: damaged: entry 2 has a wrong checksum").is_ok());
    check_rejoins(survivor);
    CHECK_FALSE(has(survivor, "damaged"));
  }
}

TEST_CASE("whether keys or log are damaged goes by the file, whatever the folders above it are called") {
  Survivor survivor("/keys-store/id1");
  survivor.make();
  REQUIRE(mark_damaged(survivor.path, survivor.path + "/raft.db: damaged: entry 2 has a wrong checksum").is_ok());
  check_rejoins(survivor);
  CHECK(storage::is_of_keys("/a/keys-3.db: damaged: its digest is wrong"));
  CHECK(storage::is_of_keys("/a/keys-3.db-wal: damaged: frame 2 has a wrong checksum"));
  CHECK(storage::is_of_keys("keys-3.db: not a database (26)"));
  CHECK_FALSE(storage::is_of_keys("/keys-a/raft.db: not a database (26)"));
  CHECK_FALSE(storage::is_of_keys("/a/raft.db: damaged: cannot read /a/keys-3.db"));
}

TEST_CASE("a raft.db that lost who the node is beside keys is never taken for a new one") {
  Survivor survivor;
  survivor.options.ballast_bytes = 0;
  survivor.make_alone();
  const std::string log = survivor.path + "/raft.db";
  SUBCASE("the header of its WAL is damaged") { survivor.flip("raft.db-wal", 20); }
  SUBCASE("its WAL is all zeros") {
    const auto size = std::filesystem::file_size(log + "-wal");
    std::filesystem::resize_file(log + "-wal", 0);
    std::filesystem::resize_file(log + "-wal", size);
  }
  SUBCASE("it is gone, its WAL is there") { std::filesystem::remove(log); }
  SUBCASE("it is empty, its WAL is there") { std::filesystem::resize_file(log, 0); }
  const auto contents = survivor.contents();
  CHECK_FALSE(storage::check_directory(survivor.path, storage::kVfsWithoutLocks).damages.empty());
  CHECK(survivor.contents() == contents);
  // Not by the next start either.
  for (int start = 0; start < 2; ++start) {
    base::Result<OpenedDirectory> opened = survivor.open();
    REQUIRE_FALSE(opened.is_ok());
    CHECK_MESSAGE(opened.status().text().find("/raft.db") != std::string::npos, opened.status().text());
    CHECK_MESSAGE(opened.status().text().find("; it is not repaired: no other node has its data") != std::string::npos,
                  opened.status().text());
    CHECK(survivor.contents() == contents);
  }
}

TEST_CASE("other keys files stay while the one that counts is not there, or does not fit") {
  Survivor survivor;
  survivor.make_alone();
  const std::string kept = survivor.path + "/keys-5.db";
  std::filesystem::copy_file(survivor.path + "/keys-2.db", kept);
  SUBCASE("not there") {
    std::filesystem::remove(survivor.path + "/keys-2.db");
    std::filesystem::remove(survivor.path + "/keys-2.db-wal");
    CHECK_FALSE(survivor.open().is_ok());
  }
  SUBCASE("it does not fit") {
    OpenedDirectory opened = std::move(survivor.open().value());
    std::filesystem::copy_file(survivor.path + "/keys-2.db", kept);
    REQUIRE(opened.keys->write_witness({.index = 30, .term = 30}).is_ok());
    opened = {};
    CHECK_FALSE(survivor.open().is_ok());
  }
  CHECK(std::filesystem::exists(kept));
}

TEST_CASE("other keys files stay while the one that counts is made anew from the log") {
  Survivor survivor;
  survivor.make();
  const std::string current = survivor.path + "/keys-1.db", kept = survivor.path + "/keys-5.db";
  std::filesystem::copy_file(current, kept);
  std::filesystem::remove(current);
  std::filesystem::remove(current + "-wal");
  REQUIRE(survivor.open().is_ok());
  CHECK(std::filesystem::exists(kept));
  REQUIRE(survivor.open().is_ok());
  CHECK_FALSE(std::filesystem::exists(kept));
}

TEST_CASE("it is not repaired where that would lose what is there") {
  Survivor survivor;
  SUBCASE("repair no") {
    survivor.make();
    survivor.options.repair = false;
    survivor.rot("raft.db", "payload 4");
    check_refused(survivor, "repair is no");
  }
  SUBCASE("the only voter, whose tail is lost: --recover accepts it") {
    survivor.make();
    REQUIRE(survivor.recover().is_ok());
    OpenedDirectory opened = std::move(survivor.open().value());
    REQUIRE(opened.keys->write_witness({.index = 30, .term = 30}).is_ok());
    opened = {};
    check_refused(survivor, "no other node has its data");
    REQUIRE(survivor.recover().is_ok());
    CHECK(survivor.visit().start.recovered.last.index == 7);
  }
  SUBCASE("one of the others is being replaced: it answers no more as who it was, and has no vote yet as who it comes as") {
    survivor.make({.index = 4, .term = kTerm}, {{.node = 3, .id = "id3", .role = raft::MemberRole::kLearner,
                                                 .raft_address = "there:4", .client_address = "there:5"}});
    survivor.rot("raft.db", "payload 4");
    check_refused(survivor, "the others are no majority without it");
  }
  SUBCASE("an id that cannot be read") {
    survivor.make();
    survivor.options.id.clear();
    survivor.rot("raft.db", "SQLite format 3");
    check_refused(survivor, "its id cannot be read: say it with -id");
  }
  SUBCASE("nobody knows who the others are") {
    survivor.make();
    for (const char* name : {"raft.db", "keys-1.db"}) survivor.rot(name, "SQLite format 3");
    check_refused(survivor, "who the others are cannot be read");
    survivor.options.join = {.host = "known", .port = 1};
    base::Result<OpenedDirectory> opened = survivor.open();
    REQUIRE(opened.is_ok());
    CHECK(opened.value().joins);
    CHECK(opened.value().targets == std::vector<Address>{survivor.options.join});
  }
}

TEST_CASE("who was told of its removal does not come back by being repaired, unless that is asked for") {
  Survivor survivor;
  survivor.make();
  survivor.rot("raft.db", "payload 4");
  REQUIRE(note_removal(survivor.path, survivor.before.node, "id1 was removed").is_ok());
  SUBCASE("by itself") { check_refused(survivor, "it was removed from its cluster"); }
  SUBCASE("with -join") {
    survivor.options.join = {.host = "there", .port = 3};
    base::Result<OpenedDirectory> opened = survivor.open();
    REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
    CHECK(opened.value().joins);
    CHECK(opened.value().start.identity.node != survivor.before.node);
    CHECK(opened.value().start.removal.empty());
  }
}

TEST_CASE("it is not repaired under an id that may not be one: no other node would hear of it") {
  Survivor survivor;
  survivor.make();
  {
    OpenedDirectory opened = std::move(survivor.open().value());
    storage::Identity identity = opened.start.identity;
    identity.id = "x@y";
    REQUIRE(opened.log->set_identity(identity).is_ok());
  }
  const base::Status refused = repair(survivor.options, survivor.path, survivor.path + "/raft.db: damaged");
  CHECK_MESSAGE(refused.text().find("; it is not repaired: its id x@y cannot be a node's: letters") != std::string::npos, refused.text());
  CHECK(has(survivor, "keys-1.db"));
}

TEST_CASE("keys that are damaged are made anew from a log that has everything, and the node is who it was") {
  Survivor survivor;
  survivor.make();
  const std::string sentence = survivor.path + "/keys-1.db: damaged: key \"key\" of database 0 has a wrong checksum";
  SUBCASE("a value") {
    survivor.rot("keys-1.db", "precious");
    REQUIRE(mark_damaged(survivor.path, sentence).is_ok());
  }
  SUBCASE("it is another log's") {
    survivor.get_keys_of_another_log();
  }
  base::Result<OpenedDirectory> opened = survivor.open();
  REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
  CHECK(opened.value().start.identity.node == survivor.before.node);
  CHECK(opened.value().start.recovered.last.index == 5);
  CHECK(opened.value().start.recovered.hard_state.voted_for == survivor.before.node);
  CHECK(opened.value().start.header.applied_index == 0);
  CHECK_FALSE(opened.value().joins);
}

TEST_CASE("a node whose keys are made anew knows what was committed, and so that it is a member") {
  Survivor survivor;
  survivor.make();
  survivor.rot("keys-1.db", "precious");
  REQUIRE(mark_damaged(survivor.path, survivor.path + "/keys-1.db: damaged: key \"key\" of database 0 has a wrong checksum").is_ok());
  survivor.options.join = {.host = "there", .port = 3};
  for (int start = 0; start < 2; ++start) {
    base::Result<OpenedDirectory> opened = survivor.open();
    REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
    CHECK(opened.value().start.header.applied_index == 0);
    CHECK(opened.value().start.witness.index == 4);
    CHECK(opened.value().start.witness.term == kTerm);
    CHECK_FALSE(opened.value().joins);
  }
}

TEST_CASE("keys that are damaged are made anew by a node alone whose log has everything, but not without its tail") {
  Survivor survivor;
  survivor.make();
  REQUIRE(survivor.recover().is_ok());
  const raft::NodeId node = survivor.visit().start.identity.node;
  SUBCASE("found at start") { survivor.rot("keys-1.db", "SQLite format 3"); }
  SUBCASE("found beside the loop") {
    survivor.rot("keys-1.db", "precious");
    REQUIRE(mark_damaged(survivor.path, survivor.path + "/keys-1.db: damaged: key \"key\" of database 0 has a wrong checksum").is_ok());
  }
  base::Result<OpenedDirectory> opened = survivor.open();
  REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
  CHECK(opened.value().start.identity.node == node);
  CHECK(opened.value().start.recovered.last.index == 6);
  CHECK(opened.value().start.header.applied_index == 0);
  CHECK_FALSE(opened.value().joins);
  CHECK_FALSE(has(survivor, "damaged"));
}

// An entry that the keys have, and then the keys, too.
void lose_old_entry_and_keys(const Survivor& survivor) {
  survivor.rot("raft.db", "payload 3");
  survivor.rot("keys-1.db", "precious");
  REQUIRE(mark_damaged(survivor.path, survivor.path + "/keys-1.db: damaged: key \"key\" of database 0 has a wrong checksum").is_ok());
}

TEST_CASE("keys that are damaged stay where they are if the log of which they would be made is rotten, too") {
  Survivor survivor;
  // The rotten entry is in an old segment, of which no start reads any.
  survivor.options.log_segment = 40;
  survivor.make();
  survivor.append(20);
  SUBCASE("others send new ones") {
    lose_old_entry_and_keys(survivor);
    base::Result<OpenedDirectory> opened = survivor.open();
    REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
    CHECK(opened.value().start.lacks_keys);
    CHECK(opened.value().start.identity.node == survivor.before.node);
    CHECK(has(survivor, "keys-1.db"));
  }
  SUBCASE("there are no others") {
    REQUIRE(survivor.recover().is_ok());
    lose_old_entry_and_keys(survivor);
    check_refused(survivor, "no other node has its data");
    REQUIRE(survivor.recover().is_ok());
    CHECK_MESSAGE(survivor.report.find("Lost are the keys that could not be read, in 1 places") != std::string::npos, survivor.report);
  }
}

TEST_CASE("beside damaged keys a log whose WAL is damaged is not taken for sound") {
  Survivor survivor;
  survivor.make();
  survivor.rot("keys-1.db", "precious");
  REQUIRE(mark_damaged(survivor.path, survivor.path + "/keys-1.db: damaged: key \"key\" of database 0 has a wrong checksum").is_ok());
  survivor.flip("raft.db-wal", 0);
  check_rejoins(survivor);
}

// Of a directory whose log does not begin with the first entry.
void mark_keys_damaged(const Survivor& survivor) {
  const std::string sentence = survivor.path + "/keys-2.db: damaged: key \"key\" of database 0 has a wrong checksum";
  REQUIRE(mark_damaged(survivor.path, sentence).is_ok());
}

void lose_keys(const Survivor& survivor) {
  survivor.rot("keys-2.db", "precious");
  mark_keys_damaged(survivor);
}

TEST_CASE("keys that are damaged beside a log that does not have everything are waited for, and the node is who it was") {
  Survivor survivor;
  survivor.make_compacted();
  lose_keys(survivor);
  // Also when it is started again before it has them.
  for (int start = 0; start < 2; ++start) {
    base::Result<OpenedDirectory> opened = survivor.open();
    REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
    const NodeStart& found = opened.value().start;
    CHECK(found.lacks_keys);
    CHECK(found.identity.node == survivor.before.node);
    CHECK(found.recovered.base.index == 3);
    CHECK(found.recovered.last.index == 5);
    CHECK(found.recovered.hard_state.voted_for == survivor.before.node);
    CHECK(found.witness.index == 4);
    CHECK(configurations_known(found).front().configuration.members.size() == 3);
    CHECK_FALSE(opened.value().joins);
  }
  CHECK(has(survivor, "keys-2.db"));
  CHECK_FALSE(has(survivor, "damaged"));
  CHECK_FALSE(has(survivor, "rejoin"));
}

TEST_CASE("the keys that a snapshot brought are not lost, and the note about those before it goes") {
  Survivor survivor;
  survivor.make_compacted();
  lose_keys(survivor);
  {
    OpenedDirectory opened = std::move(survivor.open().value());
    const std::unique_ptr<storage::KeyStore> keys = std::move(make_keys(survivor.path, 3).value());
    keyspace::Keyspace keyspace;
    keyspace.set(0, "key", {.value = keyspace::make_string("sent"), .version = {.index = 3, .position = 0}});
    keyspace::StateHeader header = opened.start.header;
    header.applied_index = 4;
    header.digest = keyspace.digest();
    REQUIRE(keys->flush(keyspace.freeze(header), {.index = 4, .term = kTerm}).is_ok());
    REQUIRE(keys->close().is_ok());
    storage::LogWrite write;
    write.install = {.last = {.term = kTerm, .index = 4}, .keys_generation = 3, .keeps_log = true};
    REQUIRE(opened.log->write({write}) == storage::WriteResult::kDurable);
    DataDirectory::close(opened);
  }
  const OpenedDirectory opened = survivor.visit();
  CHECK_FALSE(opened.start.lacks_keys);
  CHECK(opened.start.has_keys);
  CHECK(opened.start.recovered.last.index == 5);
  CHECK_FALSE(has(survivor, "keys-lost"));
  CHECK_FALSE(has(survivor, "keys-2.db"));
}

TEST_CASE("where keys that are damaged could not come by a snapshot they are not waited for") {
  Survivor survivor;
  survivor.make_compacted();
  SUBCASE("a second time") {
    lose_keys(survivor);
    REQUIRE(survivor.open().value().start.lacks_keys);
    mark_keys_damaged(survivor);
  }
  SUBCASE("the header is damaged: who the members are is not known") { survivor.rot("keys-2.db", "configuration_index"); }
  SUBCASE("the file is gone") {
    std::filesystem::remove(survivor.path + "/keys-2.db");
    std::filesystem::remove(survivor.path + "/keys-2.db-wal");
  }
  SUBCASE("the log lost its tail, too") {
    OpenedDirectory opened = std::move(survivor.open().value());
    REQUIRE(opened.keys->write_witness({.index = 6, .term = kTerm}).is_ok());
    DataDirectory::close(opened);
    opened = {};
    lose_keys(survivor);
  }
  base::Result<OpenedDirectory> opened = survivor.open();
  REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
  CHECK_FALSE(opened.value().start.lacks_keys);
  CHECK(opened.value().joins);
  CHECK(opened.value().start.identity.node != survivor.before.node);
  CHECK_FALSE(has(survivor, "keys-lost"));
}

TEST_CASE("a node alone waits for no snapshot: it is refused, and --recover goes on with what there is") {
  Survivor survivor;
  survivor.make_compacted();
  REQUIRE(survivor.recover().is_ok());
  lose_keys(survivor);
  const base::Result<OpenedDirectory> opened = survivor.open();
  REQUIRE_FALSE(opened.is_ok());
  CHECK(opened.status().text().find("; it is not repaired: no other node has its data") != std::string::npos);
  REQUIRE(survivor.recover().is_ok());
  CHECK_FALSE(survivor.visit().start.lacks_keys);
}

TEST_CASE("however often keys are made anew, of the damaged ones the last three are kept") {
  Survivor survivor;
  survivor.make();
  for (int time = 0; time < 5; ++time) {
    REQUIRE(mark_damaged(survivor.path, survivor.path + "/keys-1.db: damaged: seen").is_ok());
    base::Result<OpenedDirectory> opened = survivor.open();
    REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
    REQUIRE(opened.value().keys->write_witness({.index = 4, .term = kTerm}).is_ok());
    DataDirectory::close(opened.value());
  }
  size_t folders = 0;
  for (const auto& each : std::filesystem::directory_iterator(survivor.path)) folders += storage::is_folder(each.path().filename());
  CHECK(folders == storage::kFoldersKept);
}

TEST_CASE("a mark about damage that is not there is removed by a node that cannot be repaired") {
  Survivor survivor;
  survivor.make();
  REQUIRE(survivor.recover().is_ok());
  REQUIRE(mark_damaged(survivor.path, survivor.path + "/raft.db: damaged: entry 2 has a wrong checksum").is_ok());
  CHECK(survivor.visit().start.recovered.last.index == 6);
  CHECK_FALSE(has(survivor, "damaged"));
}

TEST_CASE("a mark about what only others can see stays, however sound the files are") {
  Survivor survivor;
  survivor.make();
  REQUIRE(survivor.recover().is_ok());
  const std::string sentence = survivor.path + "/raft.db: damaged: " + std::string(storage::kSeenByOthers) + ": entry 9";
  REQUIRE(mark_damaged(survivor.path, sentence).is_ok());
  base::Result<OpenedDirectory> opened = survivor.open();
  REQUIRE_FALSE(opened.is_ok());
  CHECK(opened.status().text().find(sentence) != std::string::npos);
  CHECK(has(survivor, "damaged"));
}

TEST_CASE("a move that was cut off is finished by the next start, whichever renames were done") {
  // Renames are done in the order of the directory, and a power cut keeps any of them.
  size_t states = 1;
  for (size_t moved = 0; moved < states; ++moved) {
    CAPTURE(moved);
    Survivor survivor;
    survivor.make();
    const std::vector<std::string> files = databases(survivor.path);
    REQUIRE(files.size() >= 4);
    states = size_t{1} << files.size();
    const Rejoin rejoin{.id = "id1", .cluster_id = survivor.before.cluster_id, .cluster_secret = survivor.before.cluster_secret,
                        .role = NodeRole::kVoter, .folder = "damaged-7",
                        .addresses = {{.host = "there", .port = 3}, {.host = "there", .port = 5}}};
    REQUIRE(storage::write_note(survivor.path + "/rejoin.begun", rejoin_text(rejoin)).is_ok());
    // The mark is removed behind the last of them.
    if (moved + 1 < states || moved % 2 == 0) REQUIRE(mark_damaged(survivor.path, survivor.path + "/raft.db: damaged: seen").is_ok());
    if (moved > 0) std::filesystem::create_directory(survivor.path + "/damaged-7");
    rename_some(survivor.path, files, moved, "damaged-7");
    check_rejoins(survivor);
    CHECK(databases(survivor.path + "/damaged-7") == files);
    CHECK_FALSE(has(survivor, "damaged"));
  }
}

TEST_CASE("a move that was cut off before its note counted begins anew") {
  Survivor survivor;
  survivor.make();
  REQUIRE(mark_damaged(survivor.path, survivor.path + "/raft.db: damaged: seen").is_ok());
  SUBCASE("the note is half written") { std::ofstream(survivor.path + "/rejoin.begun.new") << "id id1\nfol"; }
  SUBCASE("the note is whole, and has not its name yet") {
    std::ofstream(survivor.path + "/rejoin.begun.new") << "id id9\nfolder damaged-9\naddress elsewhere:9\n";
  }
  check_rejoins(survivor);
  CHECK_FALSE(has(survivor, "damaged-9"));
  CHECK_FALSE(has(survivor, "rejoin.begun.new"));
}

TEST_CASE("keys that are moved aside to be made anew, and a cut at whichever rename") {
  size_t states = 1;
  for (size_t moved = 0; moved < states; ++moved) {
    for (const bool marked : {true, false}) {
      if (!marked && moved + 1 < states) continue;   // The mark goes last.
      CAPTURE(moved);
      CAPTURE(marked);
      Survivor survivor;
      survivor.make();
      REQUIRE(survivor.recover().is_ok());
      std::vector<std::string> files = databases(survivor.path);
      std::erase_if(files, [](const std::string& name) { return !name.starts_with("keys-"); });
      REQUIRE(files.size() >= 2);
      states = size_t{1} << files.size();
      if (marked) REQUIRE(mark_damaged(survivor.path, survivor.path + "/keys-1.db: damaged: seen").is_ok());
      std::filesystem::create_directory(survivor.path + "/damaged-7");
      rename_some(survivor.path, files, moved, "damaged-7");
      base::Result<OpenedDirectory> opened = survivor.open();
      REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
      CHECK(opened.value().start.header.applied_index == 0);
      CHECK(opened.value().start.recovered.base.index == 0);
      CHECK(opened.value().start.recovered.last.index == 6);
      CHECK_FALSE(opened.value().joins);
      CHECK_FALSE(has(survivor, "damaged"));
    }
  }
}

TEST_CASE("once it is a member again the note is gone") {
  Survivor survivor;
  survivor.make();
  const Rejoin rejoin{.id = "id1", .folder = "damaged-7", .addresses = {{.host = "there", .port = 3}}};
  REQUIRE(storage::write_note(survivor.path + "/rejoin", rejoin_text(rejoin)).is_ok());
  CHECK_FALSE(survivor.visit().joins);
  CHECK_FALSE(has(survivor, "rejoin"));
}

TEST_CASE("damaged again before it was a member, it asks those of the first time") {
  Survivor survivor;
  survivor.make();
  survivor.rot("raft.db", "payload 4");
  check_rejoins(survivor);
  survivor.rot("raft.db", "SQLite format 3");
  check_rejoins(survivor);
}

}  // namespace leto::server
