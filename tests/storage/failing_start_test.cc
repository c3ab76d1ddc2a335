// A disk that fails while a store is opened: a write of the log or a sync of either file that failed is the end of the process
// (D15), as one is later; a full disk, and a write of the keys file, which is made again, are a refusal.
#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <string>

#include "base/format.h"
#include "tests/storage/support.h"

namespace leto::storage {

namespace {

constexpr OperationSet kSyncs = operations(Operation::kSync);
constexpr OperationSet kWrites = operations(Operation::kWrite) | operations(Operation::kTruncate);

// What becomes of one start.
struct End {
  bool met = false;      // There was such an operation.
  std::string died;      // What the process said as it ended.
  std::string refused;
};

struct Start {
  std::string path_part;                             // Of the store's files, not of the ballast.
  std::function<void(const TestDisk&)> live;         // What was before; its process is killed then.
  std::function<std::string(const TestDisk&)> open;  // Why it was refused; empty if it was not.
};

End start_with(const Start& start, Fault fault) {
  TestDisk disk("failing_start");
  start.live(disk);
  disk.kill();
  fault.path_part = start.path_part;
  disk.add_fault(fault);
  End end;
  const FatalThrows throws;
  try {
    end.refused = start.open(disk);
  } catch (const DiskDied& died) {
    end.died = died.what();
  }
  end.met = disk.times_reached(fault.effect) > 0;
  if (!end.met) return end;
  // The next one, on a disk that is sound again.
  disk.kill();
  disk.clear_faults();
  CHECK(start.open(disk) == "");
  return end;
}

// Each of these operations of the start fails, one in each; so many there were.
uint64_t fail_each(const Start& start, Fault fault, bool must_die) {
  for (fault.at = 1;; ++fault.at) {
    CAPTURE(fault.at);
    CAPTURE(effect_name(fault.effect));
    const End end = start_with(start, fault);
    if (!end.met) return fault.at - 1;
    CAPTURE(end.refused);
    CAPTURE(end.died);
    CHECK(!end.died.empty() == must_die);
    if (must_die) {
      CHECK(end.died.starts_with("/disk/" + start.path_part));
      CHECK(contains(end.died, ": cannot "));
    }
  }
}

void nothing(const TestDisk&) {}

LogStoreOptions log_options(const TestDisk& disk) {
  LogStoreOptions options = small_log(disk);
  options.ballast_bytes = 5000;
  return options;
}

void log_something(const TestDisk& disk) {
  const auto store = open_log(log_options(disk));
  LogWrite write;
  for (raft::Index index = 1; index <= 20; ++index) write.append.push_back(make_entry(1, index, std::string(300, 'x')));
  REQUIRE(store->write({write}) == WriteResult::kDurable);
}

void flush_something(const TestDisk& disk) {
  const auto store = open_keys(disk);
  REQUIRE(store->write_witness({.index = 1, .term = 1}).is_ok());
}

std::string refusal_of_log(const TestDisk& disk) { return log_refusal(log_options(disk)); }

const Start kNewLog{.path_part = "raft.db", .live = nothing, .open = refusal_of_log};
const Start kOldLog{.path_part = "raft.db", .live = log_something, .open = refusal_of_log};
const Start kNewKeys{.path_part = "keys-1.db", .live = nothing, .open = keys_refusal};
const Start kOldKeys{.path_part = "keys-1.db", .live = flush_something, .open = keys_refusal};

}  // namespace

TEST_CASE("a write or sync of raft.db that fails while it is opened ends the process") {
  for (const Start& start : {kNewLog, kOldLog}) {
    CHECK(fail_each(start, {.kinds = kSyncs}, true) >= 3);
    CHECK(fail_each(start, {.kinds = kWrites}, true) >= 5);
    CHECK(fail_each(start, {.kinds = kWrites, .effect = Effect::kShortWrite}, true) >= 5);
  }
}

TEST_CASE("a sync of the keys file that fails while it is opened ends the process, a write does not") {
  CHECK(fail_each(kNewKeys, {.kinds = kSyncs}, true) >= 3);
  CHECK(fail_each(kOldKeys, {.kinds = kSyncs}, true) >= 2);
  for (const Start& start : {kNewKeys, kOldKeys}) CHECK(fail_each(start, {.kinds = kWrites}, false) >= 2);
}

TEST_CASE("a full disk does not end a start otherwise than by a refusal, nor does a read that fails") {
  for (const Start& start : {kNewLog, kOldLog, kNewKeys, kOldKeys}) {
    CHECK(fail_each(start, {.kinds = kWrites, .effect = Effect::kFull}, false) >= 2);
    CHECK(fail_each(start, {.kinds = operations(Operation::kRead)}, false) >= 1);
  }
}

TEST_CASE("a ballast that cannot be written is no reason to end") {
  Start start = kNewLog;
  start.path_part = "ballast";
  CHECK(fail_each(start, {.kinds = kWrites}, false) >= 2);
}

}  // namespace leto::storage
