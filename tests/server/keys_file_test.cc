// Flushes, witnesses and loads as jobs beside the loop.
#include "server/keys_file.h"

#include <doctest/doctest.h>

#include "server/uv_jobs.h"
#include "tests/server/loop_fixture.h"

namespace leto::server {
namespace {

using test::wait_for_condition;

class FakeKeyStore final : public storage::KeyStore {
 public:
  std::string path() const override { return "keys"; }
  keyspace::StateHeader header() const override { return {}; }
  storage::Witness witness() const override { return {}; }
  base::Status load(const Sink&) override { return {}; }
  base::Status begin_flush(const keyspace::Cut& cut, const storage::Witness& witness) override {
    flushed_index = cut.header.applied_index;
    witnessed = witness.index;
    steps = 0;
    return {};
  }
  storage::FlushStep step_flush(size_t) override {
    ++steps;
    if (fails && steps == 2) return {.status = base::Status::error("the disk is full"), .done = false};
    return {.status = {}, .done = steps == 3};
  }
  base::Status write_witness(const storage::Witness& witness) override {
    witnessed = witness.index;
    return {};
  }
  base::Status checkpoint() override {
    ++checkpoints;
    return refusal.empty() ? base::Status() : base::Status::error(refusal);
  }
  bool has_garbage() const override { return garbage; }
  base::Status close() override { return {}; }
  bool garbage = false;
  std::string refusal;   // Of checkpoints.
  uint64_t flushed_index = 0;
  uint64_t witnessed = 0;
  int checkpoints = 0;
  int steps = 0;
  bool fails = false;
};

struct FileUnderTest {
  FileUnderTest() { loop.start({}); }
  Loop loop;
  UvJobs jobs{loop};
  std::unique_ptr<FakeKeyStore> made = std::make_unique<FakeKeyStore>();
  FakeKeyStore& store = *made;
  KeysFile disk{jobs, {}, std::move(made)};
};

TEST_CASE("a flush gives its cut back, whether it succeeded or not") {
  FileUnderTest test;
  FakeKeyStore& store = test.store;
  KeysFile& disk = test.disk;
  keyspace::Keyspace keyspace;
  for (const bool fails : {false, true}) {
    store.fails = fails;
    keyspace::StateHeader header;
    header.applied_index = 7;
    std::string said = "nothing";
    uint64_t came_back = 0;
    disk.flush(keyspace.freeze(header), {.index = 6, .term = 1}, [&](const base::Status& status, keyspace::Cut cut) {
      said = status.is_ok() ? "" : status.text();
      came_back = cut.header.applied_index;
    });
    CHECK(disk.busy());
    REQUIRE(wait_for_condition(test.loop, [&] { return !disk.busy(); }));
    CHECK(said == (fails ? "the disk is full" : ""));
    CHECK(came_back == 7);
    CHECK(store.flushed_index == 7);
    CHECK(store.witnessed == 6);
    CHECK(store.steps == (fails ? 2 : 3));
  }
  CHECK(store.checkpoints == 1);
  CHECK_FALSE(disk.garbage_waits());
}

TEST_CASE("after a flush it is known whether garbage is left in the file") {
  FileUnderTest test;
  FakeKeyStore& store = test.store;
  KeysFile& disk = test.disk;
  keyspace::Keyspace keyspace;
  for (const bool garbage : {true, false}) {
    store.garbage = garbage;
    disk.flush(keyspace.freeze({}), {}, [](const base::Status&, const keyspace::Cut&) {});
    REQUIRE(wait_for_condition(test.loop, [&] { return !disk.busy(); }));
    CHECK(disk.garbage_waits() == garbage);
  }
}

TEST_CASE("what the checkpoint behind a flush met is known if it was damage, until one met none") {
  FileUnderTest test;
  keyspace::Keyspace keyspace;
  for (const char* refusal : {"keys: damaged: a page", "keys: the disk is full", "keys: damaged: another", ""}) {
    test.store.refusal = refusal;
    bool succeeded = false;
    test.disk.flush(keyspace.freeze({}), {}, [&](const base::Status& status, const keyspace::Cut&) { succeeded = status.is_ok(); });
    REQUIRE(wait_for_condition(test.loop, [&] { return !test.disk.busy(); }));
    CHECK(succeeded);
    CHECK(test.disk.damage() == (std::string_view(refusal).find("damaged") == std::string_view::npos ? "" : refusal));
  }
}

TEST_CASE("a witness is written without a cut") {
  FileUnderTest test;
  FakeKeyStore& store = test.store;
  KeysFile& disk = test.disk;
  bool written = false;
  disk.write_witness({.index = 9, .term = 2}, [&](base::Status status) { written = status.is_ok(); });
  REQUIRE(wait_for_condition(test.loop, [&] { return written; }));
  CHECK(store.witnessed == 9);
  CHECK(store.checkpoints == 0);
}

}  // namespace
}  // namespace leto::server
