#include "server/start.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "command/entry.h"
#include "server/founder.h"
#include "server/recover.h"
#include "server/removal_note.h"
#include "server/repair.h"
#include "storage/load.h"
#include "storage/peek.h"
#include "tests/server/data_directory.h"
#include "tests/server/survivor.h"

namespace leto::server {
namespace {

// What a node would be started with; everything is closed again.
OpenedDirectory visit(DataDirectory& directory) {
  base::Result<OpenedDirectory> opened = directory.open();
  REQUIRE(opened.is_ok());
  OpenedDirectory result = std::move(opened.value());
  DataDirectory::close(result);
  return result;
}

TEST_CASE("a learner founds no cluster, and leaves no trace of having tried") {
  DataDirectory directory;
  directory.options.role = NodeRole::kLearner;
  const base::Result<OpenedDirectory> opened = directory.open();
  REQUIRE_FALSE(opened.is_ok());
  CHECK(opened.status().text() == "-role learner needs -join: a cluster is founded by a voter");
  CHECK_FALSE(std::filesystem::exists(directory.path + "/raft.db"));
  // Not even the directory, as it is asked for before that is made.
  CHECK(check_role(directory.options, directory.path + "/new").text() == opened.status().text());
  directory.options.join = {.host = "127.0.0.1", .port = 5379};
  CHECK(check_role(directory.options, directory.path + "/new").is_ok());
  directory.options.join = {};
  directory.options.role = NodeRole::kVoter;
  visit(directory);
  directory.options.role = NodeRole::kLearner;
  CHECK(check_role(directory.options, directory.path).is_ok());
}

TEST_CASE("an empty directory founds a cluster of one, and goes on in it") {
  DataDirectory directory;
  const OpenedDirectory founded = visit(directory);
  const storage::Identity& identity = founded.start.identity;
  CHECK(identity.id == "id1");
  CHECK(identity.node != 0);
  CHECK(identity.cluster_id.size() == 16);
  CHECK(identity.cluster_secret.size() == 32);
  CHECK(founded.start.founding);
  CHECK_FALSE(founded.joins);
  const OpenedDirectory again = visit(directory);
  CHECK(again.start.identity.node == identity.node);
  CHECK(again.start.identity.cluster_id == identity.cluster_id);
  CHECK(again.start.identity.cluster_secret == identity.cluster_secret);
  // It has taken no write yet, and so waits before it leads as when it was made.
  CHECK(again.start.founding);
  // What was made up at founding is what is read back from the file.
  for (const OpenedDirectory* each : {&founded, &again}) {
    const raft::Recovered& recovered = each->start.recovered;
    CHECK(recovered.hard_state == raft::HardState{.term = 1, .voted_for = raft::kNobody});
    CHECK(recovered.last == raft::EntryId{.term = 1, .index = 1});
    REQUIRE(recovered.terms.size() == 1);
    CHECK(recovered.terms[0].first == 1);
    REQUIRE(recovered.configurations.size() == 1);
    REQUIRE(recovered.configurations[0].configuration.members.size() == 1);
    const raft::Member& self = recovered.configurations[0].configuration.members[0];
    CHECK(self.node == identity.node);
    CHECK(self.role == raft::MemberRole::kVoter);
    CHECK(self.raft_address == "127.0.0.1:15379");
    CHECK(self.client_address == "127.0.0.1:5379");
  }
}

TEST_CASE("without -id one is made, once") {
  DataDirectory directory;
  directory.options.id.clear();
  const std::string made = visit(directory).start.identity.id;
  CHECK(made.starts_with("node-"));
  CHECK(visit(directory).start.identity.id == made);
}

TEST_CASE("a directory whose id may not be one is refused before anything is done with it, and --recover renames it") {
  DataDirectory directory;
  directory.options.id = "x@y";
  visit(directory);
  for (const char* said : {"", "id1"}) {
    directory.options.id = said;
    const base::Result<OpenedDirectory> refused = directory.open();
    REQUIRE_FALSE(refused.is_ok());
    CHECK(refused.status().text() ==
          directory.path + " belongs to node x@y, which cannot be a node's id: letters, digits, '_', '.', ':' and '-', 64 at most; "
          "leto --recover " + directory.path + " --new-cluster goes on with its data under the id x_y");
  }
  std::string report;
  REQUIRE(recover_as_new_cluster(directory.path, report).is_ok());
  CHECK(report.starts_with("the id x@y cannot be a node's: it is x_y now.\nnode x_y is the only member of a new cluster now"));
  directory.options.id = "x_y";
  const OpenedDirectory opened = visit(directory);
  CHECK(opened.start.identity.id == "x_y");
  CHECK(opened.start.recovered.configurations.back().configuration.members[0].id == "x_y");
  CHECK(opened.start.recovered.configurations.back().configuration.members[0].client_address == "127.0.0.1:5379");
}

TEST_CASE("another -id than the one kept is refused, naming both") {
  DataDirectory directory;
  visit(directory);
  directory.options.id = "id2";
  base::Result<OpenedDirectory> opened = directory.open();
  REQUIRE_FALSE(opened.is_ok());
  CHECK(opened.status().text().find("id1") != std::string::npos);
  CHECK(opened.status().text().find("id2") != std::string::npos);
}

TEST_CASE("what a member said of a node's removal is known at its start, as long as it is that node") {
  DataDirectory directory;
  OpenedDirectory opened = std::move(directory.open().value());
  const raft::NodeId node = opened.start.identity.node;
  CHECK(opened.start.removal.empty());
  DataDirectory::close(opened);
  REQUIRE(note_removal(directory.path, node, "you were removed").is_ok());
  opened = std::move(directory.open().value());
  CHECK(opened.start.removal == "you were removed");
  DataDirectory::close(opened);
  REQUIRE(note_removal(directory.path, node + 1, "you were removed").is_ok());
  opened = std::move(directory.open().value());
  CHECK(opened.start.removal.empty());
  REQUIRE(forget_removal(directory.path).is_ok());
  REQUIRE(forget_removal(directory.path).is_ok());
  CHECK(noted_removal(directory.path, node + 1).empty());
}

TEST_CASE("with -join no cluster is founded") {
  DataDirectory directory;
  directory.options.join = {.host = "127.0.0.1", .port = 5379};
  for (int start = 0; start < 2; ++start) {
    const OpenedDirectory opened = visit(directory);
    CHECK(opened.joins);
    CHECK(opened.start.identity.cluster_id.empty());
    CHECK(opened.start.recovered.last.index == 0);
  }
}

TEST_CASE("on a directory with a cluster -join is ignored") {
  DataDirectory directory;
  const std::string cluster = visit(directory).start.identity.cluster_id;
  directory.options.join = {.host = "127.0.0.1", .port = 5379};
  const OpenedDirectory opened = visit(directory);
  CHECK_FALSE(opened.joins);
  CHECK(opened.start.identity.cluster_id == cluster);
}

TEST_CASE("on a directory whose log is compacted behind all changes of members -join is ignored, too") {
  Survivor survivor;
  survivor.make_alone();
  survivor.options.join = {.host = "127.0.0.1", .port = 5379};
  const OpenedDirectory opened = visit(survivor);
  REQUIRE(opened.start.recovered.configurations.empty());
  CHECK_FALSE(opened.joins);
}

// What is on disk when the process dies after the first entry and before the cluster's id.
void cut_founding_off(DataDirectory& directory) {
  OpenedDirectory opened = std::move(directory.open().value());
  storage::Identity identity = opened.start.identity;
  identity.cluster_id.clear();
  identity.cluster_secret.clear();
  REQUIRE(opened.log->set_identity(identity).is_ok());
}

TEST_CASE("a founding that was cut off is finished by the next start") {
  DataDirectory directory;
  cut_founding_off(directory);
  const OpenedDirectory opened = visit(directory);
  CHECK(opened.start.founding);
  CHECK(opened.start.identity.cluster_id.size() == 16);
  CHECK(opened.start.recovered.last.index == 1);
  CHECK(opened.start.identity.founded);
  CHECK(visit(directory).start.identity.founded);
}

TEST_CASE("a founding that was cut off is forgotten if the node is to join") {
  DataDirectory directory;
  cut_founding_off(directory);
  directory.options.join = {.host = "127.0.0.1", .port = 5379};
  for (int start = 0; start < 2; ++start) {
    const OpenedDirectory opened = visit(directory);
    CHECK(opened.joins);
    CHECK(opened.start.recovered.last.index == 0);
    CHECK(opened.start.recovered.configurations.empty());
  }
}

// What a founder has in its log behind its first configuration.
enum class Behind : uint8_t { kNothing, kLevel, kWrite };

void append_to(DataDirectory& directory, Behind what) {
  OpenedDirectory opened = std::move(directory.open().value());
  command::EntryBuilder builder;
  if (what == Behind::kWrite) builder.add(0, std::vector<std::string_view>{"SET", "a", "b"});
  const bool empty = what == Behind::kNothing;
  storage::LogWrite write;
  write.hard_state = raft::HardState{.term = 2, .voted_for = raft::kNobody};
  write.append.push_back({.id = {.term = 2, .index = opened.start.recovered.last.index + 1},
                          .kind = empty ? raft::EntryKind::kNothing : raft::EntryKind::kCommands,
                          .payload = std::make_shared<const std::string>(empty ? "" : builder.finish({}))});
  REQUIRE(opened.log->write({write}) == storage::WriteResult::kDurable);
  DataDirectory::close(opened);
}

TEST_CASE("a founder waits again at each start until it has taken a write, and not any more then") {
  DataDirectory directory;
  visit(directory);
  for (const Behind what : {Behind::kNothing, Behind::kLevel, Behind::kWrite}) {
    append_to(directory, what);
    const OpenedDirectory opened = visit(directory);
    CHECK(opened.start.founding == (what != Behind::kWrite));
    CHECK(opened.start.identity.founded);
  }
}

TEST_CASE("a directory from before foundings were noted is not held to be a founder's") {
  DataDirectory directory;
  {
    OpenedDirectory opened = std::move(directory.open().value());
    storage::Identity identity = opened.start.identity;
    identity.founded = false;
    REQUIRE(opened.log->set_identity(identity).is_ok());
    DataDirectory::close(opened);
  }
  const OpenedDirectory opened = visit(directory);
  CHECK_FALSE(opened.start.founding);
  CHECK_FALSE(opened.start.identity.founded);
}

const std::string kMissed = "member id1 of cluster X came up empty; start it with -join there:1";

std::string refusal(DataDirectory& directory) {
  base::Result<OpenedDirectory> opened = directory.open();
  REQUIRE_FALSE(opened.is_ok());
  return opened.status().text();
}

TEST_CASE("a founder that another cluster missed is never started again but to join") {
  DataDirectory directory;
  visit(directory);
  append_to(directory, Behind::kLevel);
  REQUIRE(mark_misplaced(directory.path, kMissed).is_ok());
  for (int start = 0; start < 2; ++start) CHECK(refusal(directory) == kMissed);
  directory.options.join = {.host = "127.0.0.1", .port = 5379};
  for (int start = 0; start < 2; ++start) {
    const OpenedDirectory opened = visit(directory);
    CHECK(opened.joins);
    CHECK(opened.start.identity.cluster_id.empty());
    CHECK(opened.start.identity.id == "id1");
    CHECK(opened.start.identity.keys_generation == 2);
    CHECK(opened.start.recovered.last.index == 0);
    CHECK_FALSE(opened.start.founding);
  }
  // Nor does it found another cluster before it was taken in.
  directory.options.join = {};
  CHECK(refusal(directory) == kMissed);
}

TEST_CASE("what such a founder acknowledged is never thrown away") {
  DataDirectory directory;
  visit(directory);
  append_to(directory, Behind::kWrite);
  const raft::Index last = visit(directory).start.recovered.last.index;
  REQUIRE(mark_misplaced(directory.path, kMissed).is_ok());
  CHECK(refusal(directory) == kMissed);
  directory.options.join = {.host = "127.0.0.1", .port = 5379};
  CHECK(refusal(directory).starts_with(kMissed + "; but " + directory.path + " holds writes that it acknowledged"));
  CHECK(refusal(directory).find("leto --recover " + directory.path + " --new-cluster") != std::string::npos);
  directory.options.join = {};
  std::string report;
  REQUIRE(recover_as_new_cluster(directory.path, report).is_ok());
  const OpenedDirectory opened = visit(directory);
  CHECK(opened.start.recovered.last.index == last + 1);
  CHECK_FALSE(opened.start.identity.founded);
  CHECK_FALSE(opened.start.founding);
  CHECK(misplaced_sentence(directory.path).empty());
}

TEST_CASE("a directory that went over to the cluster that missed it is a member like any other") {
  DataDirectory directory;
  visit(directory);
  REQUIRE(mark_misplaced(directory.path, kMissed).is_ok());
  {
    directory.options.join = {.host = "127.0.0.1", .port = 5379};
    OpenedDirectory opened = std::move(directory.open().value());
    storage::Identity identity = opened.start.identity;
    identity.cluster_id = std::string(16, 'c');
    identity.cluster_secret = std::string(32, 's');
    REQUIRE(opened.log->reset(identity).is_ok());
    DataDirectory::close(opened);
  }
  CHECK(misplaced_sentence(directory.path) == kMissed);
  directory.options.join = {};
  CHECK(visit(directory).start.identity.cluster_id == std::string(16, 'c'));
  CHECK(misplaced_sentence(directory.path).empty());
}

TEST_CASE("a node that was taken in but is no member yet asks again") {
  DataDirectory directory;
  directory.options.join = {.host = "127.0.0.1", .port = 5379};
  {
    OpenedDirectory opened = std::move(directory.open().value());
    storage::Identity identity = opened.start.identity;
    identity.cluster_id = std::string(16, 'c');
    identity.cluster_secret = std::string(32, 's');
    REQUIRE(opened.log->reset(identity).is_ok());
  }
  const OpenedDirectory opened = visit(directory);
  CHECK(opened.joins);
  CHECK(opened.start.identity.cluster_id == std::string(16, 'c'));
}

// Of a node that was taken in: its first entry makes it a member, as a leader says of which nobody else may know.
void be_taken_in(DataDirectory& directory) {
  OpenedDirectory opened = std::move(directory.open().value());
  storage::Identity identity = opened.start.identity;
  identity.cluster_id = std::string(16, 'c');
  identity.cluster_secret = std::string(32, 's');
  REQUIRE(opened.log->reset(identity).is_ok());
  raft::Configuration both;
  both.members = {{.node = 7, .id = "id7", .raft_address = "there:3", .client_address = ""},
                  {.node = identity.node, .id = "id1", .raft_address = "here:3", .client_address = ""}};
  storage::LogWrite write;
  write.hard_state = raft::HardState{.term = 1, .voted_for = raft::kNobody};
  write.append.push_back({.id = {.term = 1, .index = 1},
                          .kind = raft::EntryKind::kConfiguration,
                          .payload = std::make_shared<const std::string>(raft::encode_configuration(both))});
  REQUIRE(opened.log->write({write}) == storage::WriteResult::kDurable);
  DataDirectory::close(opened);
}

TEST_CASE("a node that an entry of its log makes a member asks again until that is known to be committed") {
  DataDirectory directory;
  directory.options.join = {.host = "127.0.0.1", .port = 5379};
  be_taken_in(directory);
  std::ofstream(directory.path + "/rejoin")
      << rejoin_text({.id = "id1", .folder = "damaged-1", .addresses = {directory.options.join}});
  REQUIRE(read_rejoin(directory.path));
  CHECK(visit(directory).joins);
  CHECK(read_rejoin(directory.path));
  {
    OpenedDirectory opened = std::move(directory.open().value());
    REQUIRE(opened.keys->write_witness({.index = 1, .term = 1}).is_ok());
    DataDirectory::close(opened);
  }
  CHECK_FALSE(visit(directory).joins);
  CHECK_FALSE(read_rejoin(directory.path));
}

TEST_CASE("the keys come back with the digest they were written with, and a wrong one is refused") {
  DataDirectory directory;
  const auto write = [&](uint64_t digest_error) {
    OpenedDirectory opened = std::move(directory.open().value());
    keyspace::Keyspace keyspace;
    keyspace::Item item;
    item.value = keyspace::make_string("b");
    keyspace.set(0, "a", std::move(item));
    keyspace::StateHeader header = opened.start.header;
    header.applied_index = 1;
    header.applied_term = 1;
    header.digest = keyspace.digest();
    header.digest.low += digest_error;
    const keyspace::Cut cut = keyspace.freeze(header);
    REQUIRE(opened.keys->flush(cut, {.index = 1, .term = 1}).is_ok());
  };
  write(0);
  {
    const OpenedDirectory opened = std::move(directory.open().value());
    CHECK(opened.start.has_keys);
    keyspace::Keyspace keyspace;
    REQUIRE(storage::load_keyspace(*opened.keys, keyspace).is_ok());
    CHECK(keyspace.size() == 1);
    CHECK(opened.start.header.applied_index == 1);
  CHECK(opened.start.witness.index == 1);
  }
  write(1);
  const OpenedDirectory opened = std::move(directory.open().value());
  keyspace::Keyspace keyspace;
  const base::Status refused = storage::load_keyspace(*opened.keys, keyspace);
  REQUIRE_FALSE(refused.is_ok());
  CHECK(refused.text().find("keys-1.db: damaged: its digest is ") != std::string::npos);
}

TEST_CASE("a keys file that is made anew has nothing of the one before") {
  DataDirectory directory;
  OpenedDirectory opened = std::move(directory.open().value());
  keyspace::StateHeader header;
  header.applied_index = 5;
  {
    std::unique_ptr<storage::KeyStore> stale = std::move(make_keys(directory.path, 2).value());
    const keyspace::Cut cut = keyspace::Keyspace().freeze(header);
    REQUIRE(stale->flush(cut, {.index = 5, .term = 3}).is_ok());
  }
  std::unique_ptr<storage::KeyStore> fresh = std::move(make_keys(directory.path, 2).value());
  CHECK(fresh->header().applied_index == 0);
  CHECK(fresh->witness().index == 0);
}

TEST_CASE("a relative directory is made absolute, there or not") {
  CHECK(absolute_directory("/proc/../proc") == "/proc");
  CHECK(absolute_directory("/no/such") == "/no/such");
  CHECK(absolute_directory("no-such-directory").starts_with('/'));
  CHECK(directory_exists("/proc"));
  CHECK_FALSE(directory_exists("/no/such"));
}

TEST_CASE("a directory of a higher semantics level is refused, by whoever opens it, and stays as it was") {
  DataDirectory directory;
  {
    base::Result<OpenedDirectory> opened = directory.open();
    REQUIRE(opened.is_ok());
    keyspace::Keyspace keys;
    keyspace::StateHeader header = opened.value().start.header;
    header.applied_index = header.applied_term = 1;
    header.semantics_level = command::kSemanticsSupported + 1;
    storage::KeyStore& store = *opened.value().keys;
    const keyspace::Cut frozen = keys.freeze(header);
    REQUIRE(store.begin_flush(frozen, {.index = 1, .term = 1}).is_ok());
    REQUIRE(store.step_flush(1 << 20).done);
    // Not in the file itself yet: then opening it tells.
    const base::Status seen = check_semantics(directory.path, store.header().semantics_level);
    CHECK_FALSE(seen.is_ok());
    CHECK(store.close().is_ok());
    CHECK(opened.value().log->close().is_ok());
  }
  CHECK(storage::peek_semantics_level(directory.path) == command::kSemanticsSupported + 1);
  const auto written = std::filesystem::last_write_time(directory.path + "/raft.db");
  const base::Result<OpenedDirectory> opened = directory.open();
  REQUIRE_FALSE(opened.is_ok());
  CHECK(opened.status().text() == directory.path + " belongs to a cluster at semantics level 2, this leto supports up to 1; "
                                  "start the version that it was last run with, or a newer one");
  CHECK(std::filesystem::last_write_time(directory.path + "/raft.db") == written);
}

}  // namespace
}  // namespace leto::server
