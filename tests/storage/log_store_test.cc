// raft.db in fair weather: what is written is there after a reopen, at one sync a write; and what open()
// refuses.
#include "storage/log_store.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "storage/meta.h"
#include "tests/storage/log_entries.h"
#include "tests/storage/support.h"

namespace leto::storage {

namespace {

const Identity kIdentity{.id = "id1", .node = 0xfedcba9876543210, .cluster_id = std::string(16, '\0'),
                         .cluster_secret = std::string(32, '\xff'), .keys_generation = 7};

// Changes raft.db as a stranger with SQLite's own shell would.
void execute_on_log(const TestDisk& disk, const std::string& sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open_v2("/disk/raft.db", &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                          disk.name().c_str()) == SQLITE_OK);
  sqlite3_exec(database, "PRAGMA locking_mode=EXCLUSIVE", nullptr, nullptr, nullptr);
  const int code = sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr);
  CHECK_MESSAGE(code == SQLITE_OK, sqlite3_errmsg(database));
  sqlite3_close(database);
}

}  // namespace

TEST_CASE("a new raft.db has no identity, no log and no hard state") {
  TestDisk disk("log_new");
  const auto store = open_log(small_log(disk));
  CHECK_FALSE(store->identity());
  const raft::Recovered recovered = store->recovered();
  CHECK(recovered.hard_state == raft::HardState{});
  CHECK(recovered.last == raft::EntryId{});
  CHECK(recovered.terms.empty());
  CHECK(recovered.configurations.empty());
  CHECK(text_of(*store, 1, 10) == "");
}

TEST_CASE("identity, hard state, entries, term runs and configurations are found after a reopen") {
  TestDisk disk("log_reopen");
  {
    const auto store = open_log(small_log(disk));
    REQUIRE(store->set_identity(kIdentity).is_ok());
    LogWrite first = append(run(1, 1, 9));
    first.hard_state = raft::HardState{.term = 1, .voted_for = 0xfedcba9876543210};
    first.append.push_back(make_configuration_entry(1, 10, 1));
    LogWrite second = append(run(4, 11, 20));
    second.append.push_back(make_configuration_entry(4, 21, 3));
    second.hard_state = raft::HardState{.term = 4, .voted_for = 2};
    must_write(*store, {first, second});
    REQUIRE(store->close().is_ok());
  }
  const auto store = open_log(small_log(disk));
  const std::optional<Identity> identity = store->identity();
  REQUIRE(identity);
  CHECK(identity->id == "id1");
  CHECK(identity->node == kIdentity.node);
  CHECK(identity->cluster_id == kIdentity.cluster_id);
  CHECK(identity->cluster_secret == kIdentity.cluster_secret);
  CHECK(identity->keys_generation == 7);
  const raft::Recovered recovered = store->recovered();
  CHECK(recovered.hard_state == raft::HardState{.term = 4, .voted_for = 2});
  CHECK(recovered.last == raft::EntryId{.term = 4, .index = 21});
  REQUIRE(recovered.terms.size() == 2);
  CHECK(recovered.terms[0].first == 1);
  CHECK(recovered.terms[1].first == 11);
  CHECK(recovered.terms[1].term == 4);
  REQUIRE(recovered.configurations.size() == 2);
  CHECK(recovered.configurations[0].index == 10);
  CHECK(recovered.configurations[1].configuration == make_configuration(3));
  CHECK(text_of(*store, 7, 9) == "1.7=value 7 1.8=value 8 1.9=value 9 ");
  base::Result<Entries> all = store->read(1, 99, kNoLimit);
  REQUIRE(all.is_ok());
  CHECK(all.value().size() == 21);
  CHECK(all.value()[9].kind == raft::EntryKind::kConfiguration);
}

TEST_CASE("a founding ends with the first configuration that names another member, and in no other way") {
  TestDisk disk("log_founded");
  Identity identity = kIdentity;
  identity.founded = true;
  auto store = open_log(small_log(disk));
  const auto founded = [&] {
    REQUIRE(store->close().is_ok());
    store.reset();
    store = open_log(small_log(disk));
    return store->identity()->founded;
  };
  REQUIRE(store->set_identity(identity).is_ok());
  CHECK(founded());
  LogWrite alone = append(run(1, 1, 9));
  alone.append.push_back(make_configuration_entry(1, 10, 1));
  must_write(*store, {alone});
  CHECK(store->identity()->founded);
  CHECK(founded());
  SUBCASE("another member") {
    LogWrite joined;
    joined.append.push_back(make_configuration_entry(1, 11, 2));
    must_write(*store, {joined});
    CHECK_FALSE(store->identity()->founded);
    CHECK_FALSE(founded());
    LogWrite left;
    left.append.push_back(make_configuration_entry(1, 12, 1));
    must_write(*store, {left});
  }
  SUBCASE("another cluster, by a program that leaves the row as it is") {
    REQUIRE(store->close().is_ok());
    store.reset();
    {
      auto database = Database::open({.path = "/disk/raft.db", .vfs = disk.name(), .exclusive = true});
      REQUIRE(database.is_ok());
      Meta meta(*database.value());
      REQUIRE(meta.open(FileKind::kLog).is_ok());
      REQUIRE(meta.set("cluster_id", std::string(16, 'c')) == SQLITE_OK);
    }
    store = open_log(small_log(disk));
  }
  SUBCASE("a reset to join another cluster") {
    identity.cluster_id.clear();
    identity.founded = false;
    REQUIRE(store->reset(identity).is_ok());
  }
  CHECK_FALSE(founded());
}

TEST_CASE("the last hard state of a job wins") {
  TestDisk disk("log_last_wins");
  const auto store = open_log(small_log(disk));
  LogWrite first, second, third;
  first.hard_state = raft::HardState{.term = 2, .voted_for = 1};
  second.hard_state = raft::HardState{.term = 3, .voted_for = 0};
  third.append = run(2, 1, 1);
  must_write(*store, {first, second, third});
  REQUIRE(store->close().is_ok());
  CHECK(open_log(small_log(disk))->recovered().hard_state == raft::HardState{.term = 3, .voted_for = 0});
}

TEST_CASE("an uncommitted suffix is replaced across segments, with its term runs and configurations") {
  for (raft::Index from = 1; from <= 26; ++from) {
    CAPTURE(from);
    TestDisk disk("log_truncate");
    const auto store = open_log(small_log(disk));
    Entries old = run(1, 1, 9);
    for (raft::Index i = 10; i <= 25; ++i) old.push_back(make_configuration_entry(2, i, 1 + i % 3));
    must_write(*store, {append(old)});
    LogWrite replace = append(run(3, from, from + 1));
    replace.truncate_from = from;
    must_write(*store, {replace, append(run(3, from + 2, from + 2))});
    CHECK(text_of(*store, from, 99) == text_of(*store, from, from + 2));
    CHECK(store->read(1, 99, kNoLimit).value().size() == from + 2);
    const uint64_t bytes = store->counters().log_bytes;
    REQUIRE(store->close().is_ok());
    const auto again = open_log(small_log(disk));
    const raft::Recovered recovered = again->recovered();
    CHECK(recovered.last == raft::EntryId{.term = 3, .index = from + 2});
    CHECK(recovered.terms.size() == (from == 1 ? 1 : from <= 10 ? 2 : 3));
    CHECK(recovered.terms.back().first == from);
    CHECK(recovered.configurations.size() == (from <= 10 ? 0 : from - 10));
    CHECK(again->counters().log_bytes == bytes);
    CHECK(again->read(1, 99, kNoLimit).value().size() == from + 2);
    REQUIRE(again->close().is_ok());
  }
}

TEST_CASE("a truncation behind the end changes nothing") {
  TestDisk disk("log_truncate_nothing");
  const auto store = open_log(small_log(disk));
  LogWrite write = append(run(1, 4, 4));
  write.truncate_from = 4;
  must_write(*store, {append(run(1, 1, 3)), write});
  CHECK(text_of(*store, 3, 4) == "1.3=value 3 1.4=value 4 ");
}

TEST_CASE("a write is exactly one sync, but for one more after the WAL began anew") {
  TestDisk disk("log_one_sync");
  const auto store = open_log(small_log(disk));
  uint64_t resets = 0;
  bool restarted = true;
  for (raft::Index i = 1; i <= 100; ++i) {
    const uint64_t before = disk.counters().of(Operation::kSync);
    LogWrite first = append(run(i, i, i));
    first.hard_state = raft::HardState{.term = i, .voted_for = 1};
    LogWrite second = append(run(i, i, i));
    second.truncate_from = i;
    must_write(*store, {first, second});
    CHECK(disk.counters().of(Operation::kSync) - before == (restarted ? 2 : 1));
    resets += restarted;
    restarted = store->checkpoint_due();
    if (restarted) REQUIRE(store->checkpoint().is_ok());
  }
  CHECK(resets > 3);
  CHECK(store->counters().commits == 100);
  CHECK(store->counters().checkpoints == resets - 1 + restarted);
}

TEST_CASE("an entry costs its budget of bytes in the WAL, and no operation that grows it") {
  TestDisk disk("log_bytes");
  LogStoreOptions options = small_log(disk);
  options.segment_entries_max = 64 << 10;
  options.wal_bytes = 4 << 20;
  const auto store = open_log(options);
  must_write(*store, {append({make_entry(1, 1, "first")})});
  const auto bytes_per_entry = [&](raft::Index first, size_t batch) {
    const uint64_t before = disk.counters().bytes_written;
    for (size_t round = 0; round < 16; ++round) {
      Entries entries;
      for (size_t i = 0; i < batch; ++i) entries.push_back(make_entry(1, first++, std::string(100, 'x')));
      must_write(*store, {append(std::move(entries))});
    }
    return (disk.counters().bytes_written - before) / (16 * batch);
  };
  CHECK(bytes_per_entry(2, 1) <= 4600);
  CHECK(bytes_per_entry(18, 64) <= 320);
  CHECK(bytes_per_entry(18 + 1024, 512) <= 150);
  CHECK(disk.contents("/disk/raft.db-wal").size() == options.wal_bytes);
}

TEST_CASE("a read gives at least one entry and at most so many bytes") {
  TestDisk disk("log_read");
  const auto store = open_log(small_log(disk));
  Entries entries;
  for (raft::Index i = 1; i <= 20; ++i) entries.push_back(make_entry(1, i, std::string(100, 'x')));
  must_write(*store, {append(entries)});
  CHECK(store->read(1, 20, 0).value().size() == 1);
  CHECK(store->read(1, 20, 199).value().size() == 1);
  CHECK(store->read(1, 20, 200).value().size() == 2);
  CHECK(store->read(7, 20, 500).value().size() == 5);
  CHECK(store->read(7, 9, kNoLimit).value().size() == 3);
  CHECK(store->read(20, 30, kNoLimit).value().size() == 1);
  CHECK(store->read(21, 30, kNoLimit).value().empty());
}

TEST_CASE("large and empty payloads, and all bytes, come back as they were") {
  TestDisk disk("log_payloads");
  const auto store = open_log(small_log(disk));
  std::string bytes(3 << 20, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  raft::Entry nothing = make_entry(1, 2, "");
  nothing.kind = raft::EntryKind::kNothing;
  must_write(*store, {append({make_entry(1, 1, bytes), nothing})});
  CHECK(*store->read(1, 1, 1).value()[0].payload == bytes);
  CHECK(store->read(2, 2, 1).value()[0].size() == 0);
  CHECK(store->read(2, 2, 1).value()[0].kind == raft::EntryKind::kNothing);
}

TEST_CASE("a reset leaves the new identity and nothing else") {
  TestDisk disk("log_reset");
  const auto store = open_log(small_log(disk));
  LogWrite write = append(run(1, 1, 20));
  write.hard_state = raft::HardState{.term = 1, .voted_for = 1};
  write.append.push_back(make_configuration_entry(1, 21, 2));
  must_write(*store, {write});
  Identity identity = kIdentity;
  identity.cluster_id = std::string(16, 'c');
  REQUIRE(store->reset(identity).is_ok());
  CHECK(store->counters().log_bytes == 0);
  must_write(*store, {append(run(9, 1, 2))});
  REQUIRE(store->close().is_ok());
  const auto again = open_log(small_log(disk));
  CHECK(again->identity()->cluster_id == identity.cluster_id);
  CHECK(again->recovered().hard_state == raft::HardState{});
  CHECK(again->recovered().configurations.empty());
  CHECK(again->recovered().last == raft::EntryId{.term = 9, .index = 2});
}

TEST_CASE("everything is in the file, and synced, when open returns") {
  TestDisk disk("log_checkpointed");
  {
    const auto store = open_log(small_log(disk));
    must_write(*store, {append(run(1, 1, 5))});
    disk.kill();
  }
  const auto store = open_log(small_log(disk));
  CHECK(disk.is_synced("/disk/raft.db"));
  CHECK(store->counters().wal_frames == 0);
  CHECK(contains(disk.synced_contents("/disk/raft.db"), "value 5"));
}

TEST_CASE("a second open of raft.db is refused and disturbs nobody") {
  TestDisk disk("log_second");
  const auto store = open_log(small_log(disk));
  CHECK(log_refusal(small_log(disk)) == "/disk/raft.db: in use by this process already");
  must_write(*store, {append(run(1, 1, 1))});
  CHECK_FALSE(disk.had_two_writers());
}

TEST_CASE("a raft.db that another process holds is refused") {
  TestDisk disk("log_other_process");
  REQUIRE(open_log(small_log(disk))->close().is_ok());
  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open_v2("/disk/raft.db", &other, SQLITE_OPEN_READWRITE, disk.name().c_str()) ==
          SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "PRAGMA locking_mode=EXCLUSIVE; BEGIN IMMEDIATE", nullptr, nullptr,
                       nullptr) == SQLITE_OK);
  CHECK(log_refusal(small_log(disk)) == "/disk/raft.db: in use by another process");
  sqlite3_close(other);
  CHECK(log_refusal(small_log(disk)) == "");
}

TEST_CASE("a newer format is refused and nothing is touched") {
  TestDisk disk("log_newer");
  REQUIRE(open_log(small_log(disk))->close().is_ok());
  // The CRC-32C of "\x06format2".
  execute_on_log(disk, "UPDATE meta SET value='2', crc=1019923686 WHERE name='format'; PRAGMA wal_checkpoint");
  const auto before = disk.synced_image();
  CHECK(log_refusal(small_log(disk)) == "raft.db has format 2, this leto reads up to 1");
  CHECK(disk.synced_image() == before);
}

TEST_CASE("a file that is no raft.db is refused and not touched") {
  TestDisk disk("log_foreign");
  disk.set_contents("/disk/raft.db", "This is a text of somebody, in a file that has the wrong name. " +
                                         std::string(600, '.'));
  CHECK(log_refusal(small_log(disk)) == "/disk/raft.db: not a database (26)");
  CHECK(disk.contents("/disk/raft.db").starts_with("This is a text"));
}

TEST_CASE("without an identity a raft.db is refused where there must be one, and stays as it was") {
  TestDisk disk("log_nobody");
  LogStoreOptions options = small_log(disk);
  SUBCASE("it has tables") { CHECK(open_log(options)->close().is_ok()); }
  SUBCASE("it has none") { execute_on_log(disk, "PRAGMA application_id = 5"); }
  options.must_have_identity = true;
  const auto before = disk.synced_image();
  CHECK(log_refusal(options) == "/disk/raft.db: damaged: it does not say who this node is, but there are keys files");
  CHECK(disk.contents("/disk/raft.db") == before.at("/disk/raft.db"));
  options.must_have_identity = false;
  const auto log = open_log(options);
  REQUIRE(log->set_identity({.id = "id1", .node = 1, .cluster_id = {}, .cluster_secret = {}}).is_ok());
  CHECK(log->close().is_ok());
  options.must_have_identity = true;
  CHECK(log_refusal(options).empty());
}

TEST_CASE("rows that were written together are there together, and both tables speak of the same configurations") {
  TestDisk disk("log_together");
  {
    const auto log = open_log(small_log(disk));
    REQUIRE(log->set_identity({.id = "id1", .node = 1, .cluster_id = {}, .cluster_secret = {}}).is_ok());
    LogWrite write;
    write.hard_state = raft::HardState{.term = 1, .voted_for = 1};
    write.append = {make_configuration_entry(1, 1, 1), make_entry(1, 2, "two")};
    REQUIRE(log->write({write}) == WriteResult::kDurable);
    REQUIRE(log->close().is_ok());
  }
  std::string wanted;
  SUBCASE("the vote") {
    execute_on_log(disk, "DELETE FROM meta WHERE name = 'voted_for'");
    wanted = "table meta has a row 'term', but none 'voted_for'";
  }
  SUBCASE("the node") {
    execute_on_log(disk, "DELETE FROM meta WHERE name = 'node'");
    wanted = "table meta has a row 'keys_generation', but none 'node'";
  }
  SUBCASE("a configuration") {
    execute_on_log(disk, "DELETE FROM configurations");
    wanted = "entry 1 is a configuration, table configurations says otherwise";
  }
  SUBCASE("no configuration") {
    execute_on_log(disk, "INSERT INTO configurations VALUES(2)");
    wanted = "entry 2 is no configuration, table configurations says otherwise";
  }
  CHECK(log_refusal(small_log(disk)) == "/disk/raft.db: damaged: " + wanted);
}

TEST_CASE("another database is refused by its kind") {
  TestDisk disk("log_kind");
  execute_on_log(disk, "CREATE TABLE t(a)");
  CHECK(log_refusal(small_log(disk)) ==
        "/disk/raft.db: a database, but not one of Leto's of this kind (application_id 0)");
}

TEST_CASE("damage in the rows is named") {
  struct Damage {
    const char* sql;
    const char* sentence;
  };
  const Damage damages[] = {
      {"UPDATE log_17 SET payload = 'valuf 20' WHERE idx = 20", "entry 20 has a wrong checksum"},
      {"UPDATE log_17 SET term = 3 WHERE idx = 20", "entry 20 has a wrong checksum"},
      {"UPDATE log_17 SET kind = 2 WHERE idx = 20", "entry 20 has a wrong checksum"},
      {"UPDATE log_17 SET kind = 9 WHERE idx = 20", "entry 20 has a wrong checksum"},
      {"DELETE FROM log_17 WHERE idx = 18", "entry 18 is missing, the next one is 19"},
      {"DELETE FROM log_17 WHERE idx = 17", "entry 17 is missing"},
      {"DELETE FROM log_9 WHERE idx = 16",
       "the segment after entry 15 starts at 17: entries between are missing or doubled"},
      {"DELETE FROM segments WHERE first = 9", "the segment after entry 8 starts at 17"},
      {"DELETE FROM segments WHERE first = 1", "the segment after entry 0 starts at 9"},
      {"DROP TABLE log_9", "cannot prepare"},
      {"DELETE FROM terms WHERE first = 1", "table terms does not cover the first entry"},
      {"INSERT INTO terms VALUES(22, 1)", "term 1 starts at entry 22, after term 2"},
      {"UPDATE terms SET first = 19 WHERE term = 2", "entry 18 has term 2, table terms says otherwise"},
      {"INSERT INTO configurations VALUES(12)",
       "entry 12 is no configuration, table configurations says otherwise"},
      {"UPDATE meta SET value = '9' WHERE name = 'term'",
       "the row 'term' of table meta has a wrong checksum"},
      {"DELETE FROM meta WHERE name = 'format'",
       "the row 'format' of table meta has a wrong checksum or value"},
  };
  for (const Damage& damage : damages) {
    CAPTURE(damage.sql);
    TestDisk disk("log_damage");
    {
      const auto store = open_log(small_log(disk));
      LogWrite write = append(run(1, 1, 17));
      write.hard_state = raft::HardState{.term = 2, .voted_for = 1};
      must_write(*store, {write, append(run(2, 18, 22))});
      REQUIRE(store->close().is_ok());
    }
    execute_on_log(disk, damage.sql);
    const std::string refusal = log_refusal(small_log(disk));
    CHECK_MESSAGE(contains(refusal, damage.sentence), refusal);
    CHECK(refusal.starts_with("/disk/raft.db: "));
  }
}

TEST_CASE("damage in an earlier segment is named when it is read") {
  TestDisk disk("log_damage_earlier");
  {
    const auto store = open_log(small_log(disk));
    must_write(*store, {append(run(1, 1, 30))});
    REQUIRE(store->close().is_ok());
  }
  // The WAL that a clean end leaves still has the sound page, and would heal this.
  disk.remove("/disk/raft.db-wal");
  const std::string bytes = disk.contents("/disk/raft.db");
  disk.flip_bit("/disk/raft.db", bytes.find("value 5"), 0);
  const auto store = open_log(small_log(disk));
  CHECK(text_of(*store, 5, 5) == "/disk/raft.db: damaged: entry 5 has a wrong checksum");
  CHECK(text_of(*store, 6, 6) == "1.6=value 6 ");
}

TEST_CASE("a full disk takes nothing, and the same job later") {
  TestDisk disk("log_full");
  const FatalThrows throws;
  const auto store = open_log(small_log(disk));
  must_write(*store, {append(run(1, 1, 7))});
  LogWrite write = append(run(2, 5, 30));
  write.truncate_from = 5;
  write.hard_state = raft::HardState{.term = 2, .voted_for = 1};
  disk.add_fault({.at = 1,
                  .kinds = operations(Operation::kWrite),
                  .effect = Effect::kFull,
                  .sticky = true});
  for (int i = 0; i < 3; ++i) CHECK(store->write({write}) == WriteResult::kFull);
  CHECK(text_of(*store, 5, 99) == "1.5=value 5 1.6=value 6 1.7=value 7 ");
  disk.clear_faults();
  must_write(*store, {write});
  REQUIRE(store->close().is_ok());
  const auto again = open_log(small_log(disk));
  CHECK(again->recovered().last == raft::EntryId{.term = 2, .index = 30});
  CHECK(again->recovered().hard_state.term == 2);
}

TEST_CASE("a failed sync or write ends the process, and the store does nothing more") {
  for (const Operation operation : {Operation::kSync, Operation::kWrite}) {
    TestDisk disk("log_fatal");
    std::string said;
    set_fatal_handler([&](const std::string& text) { said = text; });
    const auto store = open_log(small_log(disk));
    must_write(*store, {append(run(1, 1, 3))});
    disk.add_fault({.at = 1,
                    .kinds = operations(operation),
                    .effect = Effect::kIoError});
    CHECK(store->write({append(run(1, 4, 4))}) == WriteResult::kFull);
    CHECK_MESSAGE(said.starts_with("/disk/raft.db: cannot write the log: disk I/O error ("), said);
    const uint64_t before = disk.operations_done();
    CHECK(store->write({append(run(1, 4, 4))}) == WriteResult::kFull);
    CHECK_FALSE(store->checkpoint().is_ok());
    CHECK_FALSE(store->read(1, 3, kNoLimit).is_ok());
    CHECK_FALSE(store->close().is_ok());
    CHECK(disk.operations_done() == before);
    set_fatal_handler(nullptr);
  }
}

TEST_CASE("a write that cannot read what it changes ends the process, too") {
  TestDisk disk("log_unreadable");
  {
    const auto store = open_log(small_log(disk));
    LogWrite write;
    for (raft::Index index = 1; index <= 40; ++index) write.append.push_back(make_entry(1, index, std::string(3000, 'x')));
    must_write(*store, {write});
    REQUIRE(store->close().is_ok());
  }
  const FatalThrows throws;
  const auto store = open_log(small_log(disk));
  LogWrite write;
  write.truncate_from = 3;   // Whose segment no start reads whole.
  disk.add_fault({.at = 1, .kinds = operations(Operation::kRead), .effect = Effect::kIoError, .sticky = true, .path_part = "raft.db"});
  CHECK_THROWS_AS((void)store->write({write}), DiskDied);
}

// --- Compaction and snapshots ---------------------------------------------------------------------------

TEST_CASE("compaction drops whole segments that end at or before an index, and never the last one") {
  TestDisk disk("log_compact");
  const auto store = open_log(small_log(disk));
  must_write(*store, {append(run(3, 1, 12)), append(run(4, 13, 20))});
  CHECK(store->counters().segments == 3);
  CHECK(store->compact(7).value() == raft::EntryId{});
  const size_t bytes = store->counters().log_bytes;
  CHECK(store->compact(8).value() == raft::EntryId{.term = 3, .index = 8});
  CHECK(store->counters().base.index == 8);
  CHECK(store->counters().log_bytes == bytes - 8 * 7);
  CHECK(store->compact(15).value().index == 8);
  CHECK(store->compact(1000).value() == raft::EntryId{.term = 4, .index = 16});
  CHECK(store->counters().segments == 1);
  CHECK(text_of(*store, 17, 18) == "4.17=value 17 4.18=value 18 ");
  must_write(*store, {append(run(5, 21, 30))});
  CHECK(store->compact(30).value() == raft::EntryId{.term = 5, .index = 24});
}

TEST_CASE("one compaction drops a bounded number of segments with one sync") {
  TestDisk disk("log_compact_bound");
  const auto store = open_log(small_log(disk));
  must_write(*store, {append(run(1, 1, 100))});
  must_write(*store, {append(run(1, 101, 101))});
  const uint64_t syncs = disk.counters("/disk/raft.db-wal").of(Operation::kSync);
  CHECK(store->compact(100).value().index == 8 * kSegmentsPerCompaction);
  CHECK(disk.counters("/disk/raft.db-wal").of(Operation::kSync) == syncs + 1);
  while (store->compact(100).value().index < 96) CHECK(store->counters().segments > 1);
  CHECK(store->counters().segments == 1);
}

TEST_CASE("base, terms and configurations behind it are found after a compaction and a reopen") {
  TestDisk disk("log_compact_reopen");
  {
    const auto store = open_log(small_log(disk));
    LogWrite write = append(run(1, 1, 3));
    write.append.push_back(make_configuration_entry(1, 4, 1));
    must_write(*store, {write, append(run(2, 5, 20))});
    write = {};
    write.append.push_back(make_configuration_entry(3, 21, 3));
    must_write(*store, {write});
    CHECK(store->compact(20).value() == raft::EntryId{.term = 2, .index = 16});
    REQUIRE(store->close().is_ok());
  }
  const auto store = open_log(small_log(disk));
  const raft::Recovered recovered = store->recovered();
  CHECK(recovered.base == raft::EntryId{.term = 2, .index = 16});
  CHECK(recovered.last == raft::EntryId{.term = 3, .index = 21});
  REQUIRE(recovered.terms.size() == 2);
  // The base's term goes on behind it.
  CHECK(recovered.terms[0].first == 17);
  CHECK(recovered.terms[0].term == 2);
  CHECK(recovered.terms[1].first == 21);
  REQUIRE(recovered.configurations.size() == 1);
  CHECK(recovered.configurations[0].index == 21);
  CHECK(text_of(*store, 17, 17) == "2.17=value 17 ");
}

TEST_CASE("a compaction that meets a full disk has dropped nothing") {
  TestDisk disk("log_compact_full");
  const FatalThrows throws;
  const auto store = open_log(small_log(disk));
  must_write(*store, {append(run(1, 1, 20))});
  disk.add_fault({.at = 1, .kinds = operations(Operation::kWrite), .effect = Effect::kFull, .sticky = true});
  const base::Result<raft::EntryId> refused = store->compact(20);
  CHECK_FALSE(refused.is_ok());
  CHECK(contains(refused.status().text(), "/disk/raft.db: cannot drop log: the disk is full"));
  CHECK(store->counters().base.index == 0);
  CHECK(text_of(*store, 1, 1) == "1.1=value 1 ");
  disk.clear_faults();
  CHECK(store->compact(20).value().index == 16);
}

TEST_CASE("a snapshot beside the log changes nothing but which keys file is current") {
  TestDisk disk("log_beside");
  {
    const auto store = open_log(small_log(disk));
    REQUIRE(store->set_identity(kIdentity).is_ok());
    must_write(*store, {append(run(1, 1, 20))});
    LogWrite install;
    install.install = LogInstall{.last = {.term = 1, .index = 12}, .keys_generation = 8, .keeps_log = true};
    must_write(*store, {append(run(1, 21, 22)), install, append(run(2, 23, 24))});
    CHECK(store->identity()->keys_generation == 8);
    CHECK(store->counters().base.index == 0);
    REQUIRE(store->close().is_ok());
  }
  const auto store = open_log(small_log(disk));
  CHECK(store->identity()->keys_generation == 8);
  CHECK(store->recovered().base.index == 0);
  CHECK(store->recovered().last == raft::EntryId{.term = 2, .index = 24});
  CHECK(text_of(*store, 1, 1) == "1.1=value 1 ");
  CHECK(text_of(*store, 22, 23) == "1.22=value 22 2.23=value 23 ");
}

TEST_CASE("a snapshot takes the log's place together with the keys generation") {
  TestDisk disk("log_install");
  {
    const auto store = open_log(small_log(disk));
    REQUIRE(store->set_identity(kIdentity).is_ok());
    must_write(*store, {append(run(1, 1, 20))});
    LogWrite install;
    install.install = LogInstall{.last = {.term = 4, .index = 100}, .keys_generation = 8};
    install.hard_state = raft::HardState{.term = 5, .voted_for = 0};
    const uint64_t syncs = disk.counters("/disk/raft.db-wal").of(Operation::kSync);
    must_write(*store, {install});
    CHECK(disk.counters("/disk/raft.db-wal").of(Operation::kSync) == syncs + 1);
    CHECK(store->identity()->keys_generation == 8);
    CHECK(store->counters().segments == 0);
    CHECK(store->counters().log_bytes == 0);
    REQUIRE(store->close().is_ok());
  }
  {
    const auto store = open_log(small_log(disk));
    const raft::Recovered recovered = store->recovered();
    CHECK(recovered.base == raft::EntryId{.term = 4, .index = 100});
    CHECK(recovered.last == recovered.base);
    CHECK(recovered.terms.empty());
    CHECK(recovered.hard_state.term == 5);
    CHECK(store->identity()->keys_generation == 8);
    CHECK(store->identity()->id == kIdentity.id);
    // The base's own term goes on.
    must_write(*store, {append(run(4, 101, 103))});
    LogWrite replaced = append(run(4, 101, 102));
    replaced.truncate_from = 101;
    must_write(*store, {replaced});
    REQUIRE(store->close().is_ok());
  }
  const auto store = open_log(small_log(disk));
  CHECK(store->recovered().last == raft::EntryId{.term = 4, .index = 102});
  REQUIRE(store->recovered().terms.size() == 1);
  CHECK(store->recovered().terms[0].first == 101);
  CHECK(text_of(*store, 101, 101) == "4.101=value 101 ");
}

TEST_CASE("a log that was reset begins at its first entry again") {
  TestDisk disk("log_reset_base");
  {
    const auto store = open_log(small_log(disk));
    REQUIRE(store->set_identity(kIdentity).is_ok());
    LogWrite install;
    install.install = LogInstall{.last = {.term = 4, .index = 100}, .keys_generation = 8};
    must_write(*store, {install});
    REQUIRE(store->reset(kIdentity).is_ok());
    must_write(*store, {append(run(1, 1, 2))});
    REQUIRE(store->close().is_ok());
  }
  CHECK(open_log(small_log(disk))->recovered().base == raft::EntryId{});
}

TEST_CASE("a base that the log does not meet is refused") {
  const std::pair<const char*, const char*> damages[] = {
      {"UPDATE meta SET value = '7' WHERE name = 'base_index'", "base_index"},
      {"DELETE FROM meta WHERE name = 'base_index'", "table meta has a row 'base_term', but none 'base_index'"},
      {"UPDATE terms SET first = 10 WHERE first = 9", "terms does not cover the first entry"},
      {"UPDATE terms SET term = 1 WHERE first = 9", "term 1 starts at entry 9, after term 3 at 8"},
  };
  for (const auto& each : damages) {
    const char* sql = each.first;
    const char* sentence = each.second;
    CAPTURE(sql);
    TestDisk disk("log_base_damage");
    {
      const auto store = open_log(small_log(disk));
      must_write(*store, {append(run(3, 1, 20))});
      REQUIRE(store->compact(8).is_ok());
      REQUIRE(store->close().is_ok());
    }
    execute_on_log(disk, sql);
    const std::string refusal = log_refusal(small_log(disk));
    CHECK_MESSAGE(contains(refusal, sentence), refusal);
  }
}

}  // namespace leto::storage
