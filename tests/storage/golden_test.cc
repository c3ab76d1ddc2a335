// Files of format 1, made once and kept for ever in tests/golden: this and every later Leto reads them.
// They are never written again; `--no-skip -tc='golden files*'` made them.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "keyspace/keyspace.h"
#include "tests/storage/support.h"

namespace leto::storage {

namespace {

const std::string kGolden = std::string(LETO_SOURCE_DIR) + "/tests/golden/";

// The stores only ever see this copy.
void put_golden(TestDisk& disk, const std::string& golden, const std::string& name) {
  CAPTURE(golden);
  std::ifstream file(kGolden + golden, std::ios::binary);
  REQUIRE(file.good());
  disk.set_contents("/disk/" + name, std::string(std::istreambuf_iterator<char>(file), {}));
}

void write_golden(const TestDisk& disk, const std::string& name, const std::string& golden) {
  const std::string bytes = disk.contents("/disk/" + name);
  REQUIRE(bytes.size() <= 100 << 10);
  REQUIRE_FALSE(std::ifstream(kGolden + golden).good());
  std::ofstream(kGolden + golden, std::ios::binary) << bytes;
}

keyspace::Item golden_item(std::string bytes, uint64_t index, uint64_t deadline_ms) {
  return {.value = keyspace::make_string(std::move(bytes)),
          .version = {.index = index, .position = 3},
          .deadline_ms = deadline_ms};
}

keyspace::Keyspace golden_keys() {
  keyspace::Keyspace keys;
  keys.set(0, "a", golden_item("b", 1, 0));
  keys.set(0, std::string("\0\xff", 2), golden_item(std::string(300, '\0'), 2, 1800000000000));
  keys.set(0, "large", golden_item(std::string((64 << 10) + 1, 'l'), 3, 0));
  return keys;
}

// Entry i of the golden log, of 20.
raft::Entry golden_entry(raft::Index i) {
  if (i == 1 || i == 12) return make_configuration_entry(i < 10 ? 2 : 5, i, i == 1 ? 1 : 3);
  if (i == 2)
    return {.id = {.term = 2, .index = 2},
            .kind = raft::EntryKind::kNothing,
            .payload = std::make_shared<const std::string>()};
  return make_entry(i < 10 ? 2 : 5, i, std::string(i * i, static_cast<char>(i)));
}

const Identity kGoldenIdentity{.id = "golden", .node = 0x123456789abcdef0, .cluster_id = "sixteen bytes   ",
                         .cluster_secret = std::string(32, 's'), .keys_generation = 1};

}  // namespace

TEST_CASE("golden files are made" * doctest::skip()) {
  seed_sqlite(1);
  TestDisk disk("golden_write");
  const auto log = open_log(small_log(disk));
  REQUIRE(log->set_identity(kGoldenIdentity).is_ok());
  LogWrite write;
  write.hard_state = raft::HardState{.term = 6, .voted_for = 0xf000000000000001};
  for (raft::Index i = 1; i <= 20; ++i) write.append.push_back(golden_entry(i));
  REQUIRE(log->write({write}) == WriteResult::kDurable);
  REQUIRE(log->close().is_ok());
  write_golden(disk, "raft.db", "raft-v1.db");
  const auto store = open_keys(disk);
  keyspace::Keyspace keys = golden_keys();
  const keyspace::StateHeader header{.applied_index = 19,
                                     .applied_term = 5,
                                     .cluster_time_ms = 1700000000000,
                                     .hash_seed = 99,
                                     .configuration = *golden_entry(12).payload,
                                     .configuration_index = 12,
                                     .digest = keys.digest()};
  REQUIRE(store->flush(keys.freeze(header), {.index = 20, .term = 5}).is_ok());
  REQUIRE(store->close().is_ok());
  write_golden(disk, "keys-1.db", "keys-v1.db");
}

TEST_CASE("the raft.db of format 1 is read") {
  TestDisk disk("golden_log");
  put_golden(disk, "raft-v1.db", "raft.db");
  const auto log = open_log(small_log(disk));
  const std::optional<Identity> identity = log->identity();
  REQUIRE(identity);
  CHECK(identity->id == kGoldenIdentity.id);
  CHECK(identity->node == kGoldenIdentity.node);
  CHECK(identity->cluster_id == kGoldenIdentity.cluster_id);
  CHECK(identity->cluster_secret == kGoldenIdentity.cluster_secret);
  const raft::Recovered recovered = log->recovered();
  CHECK(recovered.hard_state == raft::HardState{.term = 6, .voted_for = 0xf000000000000001});
  REQUIRE(recovered.configurations.size() == 2);
  CHECK(recovered.configurations[0].configuration == make_configuration(1));
  CHECK(recovered.configurations[1].configuration == make_configuration(3));
  REQUIRE(recovered.terms.size() == 2);
  CHECK(recovered.terms[1].first == 10);
  base::Result<std::vector<raft::Entry>> entries = log->read(1, 20, 1 << 20);
  REQUIRE(entries.is_ok());
  REQUIRE(entries.value().size() == 20);
  for (raft::Index i = 1; i <= 20; ++i) {
    const raft::Entry wanted = golden_entry(i);
    CHECK(entries.value()[i - 1].id == wanted.id);
    CHECK(entries.value()[i - 1].kind == wanted.kind);
    CHECK(*entries.value()[i - 1].payload == *wanted.payload);
  }
}

TEST_CASE("the keys file of format 1 is read, and its digest is still the digest of its keys") {
  TestDisk disk("golden_keys");
  put_golden(disk, "keys-v1.db", "keys-1.db");
  const auto store = open_keys(disk);
  const keyspace::StateHeader header = store->header();
  CHECK(header.applied_index == 19);
  CHECK(header.applied_term == 5);
  CHECK(header.cluster_time_ms == 1700000000000);
  CHECK(header.hash_seed == 99);
  CHECK(header.configuration == *golden_entry(12).payload);
  CHECK(header.configuration_index == 12);
  // It was written before there were levels.
  CHECK(header.semantics_level == 1);
  CHECK(store->witness().index == 20);
  CHECK(store->witness().term == 5);
  keyspace::Keyspace keys;
  const base::Status status =
      store->load([&](uint32_t database, std::string_view key, keyspace::Item loaded) {
        keys.load(database, key, std::move(loaded));
      });
  REQUIRE_MESSAGE(status.is_ok(), status.text());
  CHECK(keys.recompute_digest() == header.digest);
  CHECK(keys.recompute_digest() == golden_keys().digest());
}

}  // namespace leto::storage
