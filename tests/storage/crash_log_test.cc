// raft.db in foul weather: a workload is run again and again, with each single operation of the disk
// failing once, and with the power cut there. After the crash everything acknowledged is there, and nothing
// is half there (D4).
#include <doctest/doctest.h>

#include "base/format.h"
#include "base/random.h"
#include "storage/peek.h"
#include "storage/wal_scan.h"
#include "tests/storage/crash_loop.h"

namespace leto::storage {

namespace {

using Entries = std::vector<raft::Entry>;

constexpr uint64_t kBallastBytes = 5000;

// What a raft.db should hold.
struct Model {
  std::string id;
  uint64_t keys_generation = 1;
  raft::HardState hard_state;
  raft::EntryId base;
  Entries log;   // Behind the base.

  raft::EntryId last() const { return log.empty() ? base : log.back().id; }
  void carry_out(const std::vector<LogWrite>& writes) {
    for (const LogWrite& write : writes) {
      if (write.hard_state) hard_state = *write.hard_state;
      if (write.install) keys_generation = write.install->keys_generation;
      if (write.install && !write.install->keeps_log) {
        base = write.install->last;
        log.clear();
      }
      if (write.truncate_from && *write.truncate_from <= last().index) {
        log.resize(*write.truncate_from - base.index - 1);
      }
      log.insert(log.end(), write.append.begin(), write.append.end());
    }
  }
  void compact(raft::Index to) {
    const auto dropped = static_cast<std::ptrdiff_t>(to - base.index);
    base = log[static_cast<size_t>(dropped) - 1].id;
    log.erase(log.begin(), log.begin() + dropped);
  }
};

// Empty if terms and configurations are those of the log.
std::string difference_in_tables(const raft::Recovered& found, const Model& model) {
  auto run = found.terms.begin();
  auto configuration = found.configurations.begin();
  for (size_t i = 0; i < model.log.size(); ++i) {
    const raft::Entry& wanted = model.log[i];
    if (i == 0 || wanted.id.term != model.log[i - 1].id.term) {
      if (run == found.terms.end() || run->first != wanted.id.index || run->term != wanted.id.term) {
        return "a term";
      }
      ++run;
    }
    if (wanted.kind != raft::EntryKind::kConfiguration) continue;
    if (configuration == found.configurations.end() || configuration->index != wanted.id.index) {
      return "a configuration";
    }
    ++configuration;
  }
  return run == found.terms.end() && configuration == found.configurations.end()
             ? ""
             : "too many terms or configurations";
}

// Empty if the store holds what the model says.
std::string difference(LogStore& store, const Model& model) {
  const raft::Recovered found = store.recovered();
  const std::optional<Identity> identity = store.identity();
  if ((identity ? identity->id : "") != model.id) return "the identity";
  if (identity && identity->keys_generation != model.keys_generation) return "the keys generation";
  if (found.hard_state != model.hard_state) return "the hard state";
  if (found.base != model.base) return base::format("the base: %d", static_cast<int>(found.base.index));
  if (found.last != model.last()) return base::format("the last entry: %d", static_cast<int>(found.last.index));
  base::Result<Entries> entries = store.read(found.base.index + 1, found.last.index + 1, 1 << 30);
  if (!entries.is_ok()) return entries.status().text();
  if (entries.value().size() != model.log.size()) return "the number of entries";
  for (size_t i = 0; i < model.log.size(); ++i) {
    const raft::Entry& wanted = model.log[i];
    const raft::Entry& entry = entries.value()[i];
    if (entry.id != wanted.id || entry.kind != wanted.kind || *entry.payload != *wanted.payload) {
      return "an entry";
    }
  }
  return difference_in_tables(found, model);
}

struct Job {
  Job(std::initializer_list<LogWrite> given) : writes(given) {}
  std::vector<LogWrite> writes;
  raft::Index compact_through = 0;   // If not 0, instead of writes,
  raft::Index base = 0;              // which makes this the base.
};

// A follower's life: votes, appends, a truncation over two segments, a large entry, configurations, compaction, a
// snapshot in place of the log, and what comes behind it.
std::vector<Job> workload() {
  std::vector<Job> jobs;
  raft::Index last = 0;
  const auto append = [&](raft::Term term, size_t count) {
    LogWrite write;
    for (size_t i = 0; i < count; ++i) {
      ++last;
      write.append.push_back(
          make_entry(term, last,
                     base::format("term %d entry %d ", static_cast<int>(term), static_cast<int>(last)) +
                         std::string(last * 40, 'x')));
    }
    return write;
  };
  LogWrite vote;
  vote.hard_state = raft::HardState{.term = 1, .voted_for = 2};
  jobs.push_back({vote});
  jobs.push_back({append(1, 3)});
  LogWrite configuration;
  configuration.append.push_back(make_configuration_entry(1, ++last, 1));
  jobs.push_back({configuration, append(1, 9)});
  vote.hard_state = raft::HardState{.term = 3, .voted_for = 0};
  jobs.push_back({vote, append(3, 1), append(3, 2)});
  LogWrite cut;
  cut.truncate_from = 6;
  last = 5;
  LogWrite replaced = append(4, 4);
  replaced.truncate_from = cut.truncate_from;
  replaced.hard_state = raft::HardState{.term = 4, .voted_for = 1};
  jobs.push_back({replaced, append(4, 6)});
  LogWrite large;
  large.append.push_back(make_entry(4, ++last, std::string(30000, 'l')));
  jobs.push_back({large});
  jobs.push_back({append(4, 2), append(5, 2)});
  Job compaction({});
  compaction.compact_through = 17;
  compaction.base = 16;
  jobs.push_back(compaction);
  LogWrite beside;
  beside.install = LogInstall{.last = {.term = 4, .index = 17}, .keys_generation = 2, .keeps_log = true};
  jobs.push_back({beside, append(5, 7)});
  LogWrite installed;
  installed.hard_state = raft::HardState{.term = 6, .voted_for = 0};
  installed.install = LogInstall{.last = {.term = 5, .index = 40}, .keys_generation = 3};
  jobs.push_back({installed});
  last = 40;
  jobs.push_back({append(5, 3), append(6, 1)});
  LogWrite to_the_base;
  to_the_base.truncate_from = 41;
  jobs.push_back({to_the_base});
  last = 40;
  jobs.push_back({append(6, 2)});
  return jobs;
}

// One life of a node on a disk that may fail at any time.
class LogLife {
 public:
  explicit LogLife(TestDisk& disk) : disk_(disk) {}

  // False if the process ended before the workload did.
  bool run() {
    try {
      return open() && identify() && write(0, 4) && close() && open() && write(4, 9) && close() &&
             open() && write(9, jobs_.size()) && close();
    } catch (const DiskDied&) {
      return false;
    }
  }
  void end() { store_.reset(); }

  // What it finds must be what was acknowledged or what was asked for; and what it has said once must be there after the
  // next power cut.
  void check_recovery(TestDisk& disk, base::Random& random) const {
    std::string before;
    check_looks_sound(disk);
    {
      const auto store = open_log(small_log(disk));
      before = difference(*store, acknowledged_);
      if (!before.empty()) CHECK_MESSAGE(difference(*store, asked_) == "", before);
      disk.power_cut(random);
    }
    check_looks_sound(disk);
    const auto store = open_log(small_log(disk));
    CHECK(difference(*store, before.empty() ? acknowledged_ : asked_) == "");
    const raft::EntryId last = store->recovered().last;
    LogWrite write;
    write.append.push_back(make_entry(last.term + 1, last.index + 1, "life goes on"));
    CHECK(store->write({write}) == WriteResult::kDurable);
    CHECK_FALSE(disk.had_two_writers());
  }
  // No crash makes a WAL too short, or its header wrong. (Half a header, which no real sector is left with, makes SQLite use
  // its salts once more; so what a run before left can look as if it were this one's.)
  static void check_looks_sound(const TestDisk& disk) {
    base::Result<WalScan> scan = scan_wal(disk.name(), "/disk/raft.db");
    REQUIRE(scan.is_ok());
    CHECK(scan.value().header != WalHeader::kDamaged);
    const uint64_t known = peek_wal_bytes(disk.name(), "/disk/raft.db");
    CHECK(scan.value().bytes >= known);
    if (known > 0) CHECK(scan.value().header == WalHeader::kSound);
  }
  static std::string start(const TestDisk& disk) { return log_refusal(small_log(disk)); }
  static constexpr bool kStartsWhole = true;

  // What it was told is durable.
  const Model& acknowledged() const { return acknowledged_; }

 private:
  bool open() {
    LogStoreOptions options = small_log(disk_);
    options.ballast_bytes = kBallastBytes;
    base::Result<std::unique_ptr<LogStore>> store = LogStore::open(options);
    if (store.is_ok()) store_ = std::move(store.value());
    return store.is_ok();
  }

  bool close() {
    const bool closed = store_->close().is_ok();
    store_.reset();
    return closed;
  }

  bool identify() {
    asked_.id = "id1";
    Identity identity;
    identity.id = "id1";
    identity.node = 5;
    if (!store_->set_identity(identity).is_ok()) return false;
    acknowledged_ = asked_;
    return true;
  }

  bool write(size_t from, size_t end) {
    for (size_t i = from; i < end; ++i) {
      const Job& job = jobs_[i];
      if (job.compact_through != 0) asked_.compact(job.base);
      else asked_.carry_out(job.writes);
      // A full disk is tried again: a fault that comes once has gone by then.
      if (!carry_out(job) && !carry_out(job)) return false;
      acknowledged_ = asked_;
      // Its only error here is a full disk, which hurts nobody.
      if (store_->checkpoint_due() && !store_->checkpoint().is_ok()) continue;
    }
    return true;
  }

  bool carry_out(const Job& job) {
    if (job.compact_through == 0) return store_->write(job.writes) == WriteResult::kDurable;
    base::Result<raft::EntryId> base = store_->compact(job.compact_through);
    if (base.is_ok()) CHECK(base.value() == asked_.base);
    return base.is_ok();
  }

  TestDisk& disk_;
  const std::vector<Job> jobs_ = workload();
  std::unique_ptr<LogStore> store_;
  Model acknowledged_, asked_;   // Told to be durable, and asked for beyond that.
};

}  // namespace

TEST_CASE("the log's workload meets a full WAL, dropped segments and checkpoints") {
  TestDisk disk("crash_log_none");
  const FatalThrows throws;
  LogLife life(disk);
  REQUIRE(life.run());
  const auto store = open_log(small_log(disk));
  CHECK(difference(*store, life.acknowledged()) == "");
  CHECK(disk.counters("/disk/raft.db").of(Operation::kSync) > 6);
  CHECK(disk.operations_done() > 150);
}

TEST_CASE(
    "whichever operation of the log's disk fails, nothing acknowledged is lost and nothing is half there") {
  fail_each_operation<LogLife>();
}

TEST_CASE("whichever operation the power is cut at, the log is whole") { stop_at_each_change<LogLife>(3); }

TEST_CASE("whichever sync the power is cut at or fails, the log is whole") { cut_at_each_sync<LogLife>(10, 15); }

TEST_CASE("a recovery of the log that is cut short is begun again") { cut_each_start_short<LogLife>(9); }

// The process ended by a sync that failed and forgot; the next one finds the entry in the cache, says so, and
// the power is cut before it writes anything.
TEST_CASE("an entry that a forgetful sync left readable is durable once the next start has found it") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    TestDisk disk("forgetful_log");
    const FatalThrows fatal;
    base::Random random(seed);
    raft::Index found = 0;
    {
      const auto store = open_log(small_log(disk));
      const raft::Index count = 2 + seed % 7;
      for (raft::Index index = 1; index < count; ++index) {
        LogWrite write;
        write.append.push_back(make_entry(1, index, std::string(900, 'e')));
        REQUIRE(store->write({write}) == WriteResult::kDurable);
      }
      disk.add_fault({.at = 1, .kinds = operations(Operation::kSync), .effect = Effect::kForgetfulSync});
      LogWrite last;
      last.append.push_back(make_entry(1, count, std::string(900, 'l')));
      CHECK_THROWS_AS(static_cast<void>(store->write({last})), DiskDied);
      disk.kill();
    }
    disk.clear_faults();
    {
      const auto store = open_log(small_log(disk));
      found = store->recovered().last.index;
      disk.power_cut(random);
    }
    const auto store = open_log(small_log(disk));
    CHECK(store->recovered().last.index == found);
    base::Result<Entries> entries = store->read(1, found, 1 << 20);
    REQUIRE_MESSAGE(entries.is_ok(), entries.status().text());
    CHECK(entries.value().size() == found);
  }
}

}  // namespace leto::storage
