#include "tests/sim/range.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/format.h"
#include "tests/sim/leaks.h"
#include "tests/sim/parameters.h"
#include "tests/sim/run.h"
#include "tests/sim/verdict.h"

namespace leto::sim {

namespace {

using Number = unsigned long long;

constexpr char kHashWord[] = " hash ";

// What a worker says of one seed; as it is in memory, for it comes from the same program.
struct Report {
  uint64_t seed = 0;
  uint64_t hash = 0;
  uint64_t events = 0;
  Microseconds simulated = 0;
  Tally tally;
  Coverage coverage;
  bool begins = false;   // Nothing but: this seed is begun now.
  bool passed = false;
};

struct Worker {
  pid_t process = 0;
  int pipe = -1;
  uint64_t next = 0;       // The seed it begins next.
  uint64_t under_way = 0;
  bool busy = false;
};

void print_failure(const SeedResult& result, const NumberSet& without) {
  std::string text = "--- seed " + std::to_string(result.seed) + ": the last events\n" + result.last_events;
  text += "--- seed " + std::to_string(result.seed) + " FAILED: " + result.violation + "\n    replay: " +
          replay_line(result.seed, without) + "\n";
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// Runs a seed, twice if wanted.
SeedResult run_checked(const RunOptions& options, bool twice) {
  SeedResult result = run_seed(options);
  if (result.violation.empty() && twice && run_seed(options).hash != result.hash) result.violation = kOtherHash;
  if (result.violation.empty() && has_leaked()) result.violation = "it leaked memory; the sanitizer's report is above";
  return result;
}

// The first seed of each kind that the range has: without faults, with some, with damage. Those are run again.
std::set<uint64_t> sampled(const RangeOptions& options) {
  std::map<std::pair<bool, bool>, uint64_t> first;
  for (uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
    const Parameters parameters = make_parameters(seed);
    first.emplace(std::pair{parameters.faultless, parameters.damaged}, seed);
  }
  std::set<uint64_t> seeds;
  for (const auto& [kind, seed] : first) seeds.insert(seed);
  return seeds;
}

// The hash of a seed that passes, by this program started anew, with other addresses. 0: it gave none.
uint64_t hash_elsewhere(uint64_t seed) {
  const std::string program = base::format("/proc/%d/exe", static_cast<int>(getpid()));
  FILE* said = popen(base::format("%s --seed %llu --shrink-runs 0", program.c_str(), Number{seed}).c_str(), "r");
  if (said == nullptr) return 0;
  uint64_t hash = 0;
  char line[256];
  while (std::fgets(line, sizeof line, said) != nullptr) {
    const char* found = std::strstr(line, kHashWord);
    if (found != nullptr) hash = std::strtoull(found + sizeof kHashWord - 1, nullptr, 16);
  }
  return pclose(said) == 0 ? hash : 0;
}

void put(int pipe, const Report& report) {
  const ssize_t written = write(pipe, &report, sizeof report);
  if (written != sizeof report) _exit(2);
}

// The life of a worker process.
[[noreturn]] void work(const RangeOptions& options, uint64_t first, int pipe) {
  for (uint64_t seed = first; seed < options.first + options.seeds; seed += options.jobs) {
    put(pipe, {.seed = seed, .tally = {}, .coverage = {}, .begins = true});
    const SeedResult result = run_checked({.seed = seed}, options.verify);
    if (!result.violation.empty()) print_failure(result, {});
    put(pipe, {.seed = seed, .hash = result.hash, .events = result.events, .simulated = result.simulated, .tally = result.tally,
               .coverage = result.coverage, .begins = false, .passed = result.violation.empty()});
  }
  std::fflush(stdout);
  _exit(0);
}

class Range {
 public:
  explicit Range(const RangeOptions& options) : options_(options), sampled_(sampled(options)), workers_(options.jobs) {}
  int run();

 private:
  void start(Worker& worker);
  void listen(Worker& worker);
  void take(Worker& worker, const Report& report);
  void fell(Worker& worker);
  void fail(uint64_t seed, const std::string& why);
  bool any_busy() const;
  void run_sampled_again();
  void shrink_failed();
  void print_summary(double seconds) const;
  void print_reached() const;
  bool judge() const;

  const RangeOptions options_;
  const std::set<uint64_t> sampled_;
  std::vector<Worker> workers_;
  Report total_;
  uint64_t passed_ = 0;
  std::vector<uint64_t> failed_;
  std::map<uint64_t, uint64_t> hashes_;     // Of those that are to be run again, and passed.
  std::map<uint64_t, NumberSet> without_;   // What the first few that failed can do without.
};

// What it is to run and cannot counts as not run.
void Range::start(Worker& worker) {
  int ends[2] = {-1, -1};
  if (worker.next >= options_.first + options_.seeds) return;
  std::fflush(stdout);
  worker.process = pipe(ends) == 0 ? fork() : -1;
  if (worker.process < 0) {
    std::printf("--- no process for seed %llu and those behind it: %s\n", Number{worker.next}, std::strerror(errno));
    close(ends[0]);
    close(ends[1]);
    return;
  }
  if (worker.process == 0) {
    close(ends[0]);
    work(options_, worker.next, ends[1]);
  }
  close(ends[1]);
  worker.pipe = ends[0];
  worker.busy = true;
}

bool Range::any_busy() const {
  for (const Worker& worker : workers_) {
    if (worker.busy) return true;
  }
  return false;
}

void Range::take(Worker& worker, const Report& report) {
  worker.under_way = report.begins ? report.seed : 0;
  worker.next = report.seed + options_.jobs;
  if (report.begins) return;
  total_.events += report.events;
  total_.simulated += report.simulated;
  total_.tally.asked += report.tally.asked;
  total_.tally.answered += report.tally.answered;
  total_.tally.refused += report.tally.refused;
  total_.tally.unknown += report.tally.unknown;
  total_.coverage.add(report.coverage);
  if (report.passed && sampled_.contains(report.seed)) hashes_[report.seed] = report.hash;
  if (report.passed) ++passed_;
  else failed_.push_back(report.seed);
}

void Range::fail(uint64_t seed, const std::string& why) {
  std::printf("--- seed %llu FAILED: %s\n    replay: %s\n", Number{seed}, why.c_str(), replay_line(seed, {}).c_str());
  failed_.push_back(seed);
}

// The worker ended: by itself, when it is through; or in the middle of a seed, by an assertion; or between two.
void Range::fell(Worker& worker) {
  close(worker.pipe);
  int status = 0;
  waitpid(worker.process, &status, 0);
  worker.busy = false;
  const uint64_t seed = std::exchange(worker.under_way, 0);
  const bool excused = WIFEXITED(status) && WEXITSTATUS(status) == kUnnoticedExit;
  if (seed == 0 && status == 0) return;
  if (seed == 0) {
    std::printf("--- the process of seed %llu and those behind it ended between two seeds, with status %d\n",
                Number{worker.next}, status);
    return;
  }
  if (excused) {
    // An assertion that may follow from damage that nobody could notice: nothing is claimed then.
    total_.coverage.note(Reached::kClaimOff);
    ++passed_;
  } else {
    fail(seed, "the process ended with status " + std::to_string(status));
  }
  start(worker);
}

void Range::listen(Worker& worker) {
  Report report;
  auto* bytes = reinterpret_cast<char*>(&report);
  size_t got = 0;
  while (got < sizeof report) {
    const ssize_t part = read(worker.pipe, bytes + got, sizeof report - got);
    if (part <= 0) return fell(worker);
    got += static_cast<size_t>(part);
  }
  take(worker, report);
}

int Range::run() {
  const auto begin = std::chrono::steady_clock::now();
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i].next = options_.first + i;
    start(workers_[i]);
  }
  while (any_busy()) {
    std::vector<pollfd> polled;
    for (const Worker& worker : workers_) {
      polled.push_back({.fd = worker.busy ? worker.pipe : -1, .events = POLLIN, .revents = 0});
    }
    poll(polled.data(), polled.size(), -1);
    for (size_t i = 0; i < workers_.size(); ++i) {
      if (polled[i].revents != 0) listen(workers_[i]);
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  run_sampled_again();
  shrink_failed();
  print_summary(took.count());
  return judge() ? 0 : 1;
}

void Range::run_sampled_again() {
  for (const auto& [seed, hash] : hashes_) {
    if (hash_elsewhere(seed) == hash) continue;
    --passed_;
    fail(seed, kOtherHash);
  }
}

void Range::shrink_failed() {
  std::fflush(stdout);
  std::sort(failed_.begin(), failed_.end());
  for (const uint64_t seed : failed_) {
    if (options_.shrink.runs_max == 0 || without_.size() >= options_.shrink_seeds) return;
    const Shrunk shrunk = shrink({.run = {.seed = seed}, .twice = options_.verify}, options_.shrink);
    std::fputs(readable(seed, shrunk).c_str(), stdout);
    std::fflush(stdout);
    without_[seed] = shrunk.without;
  }
}

void Range::print_reached() const {
  std::printf("faults:");
  for (size_t i = 0; i < kReached; ++i) {
    if (i == kFaults) std::printf("\nbranches:");
    const auto what = static_cast<Reached>(i);
    std::printf(" %s %llu,", reached_name(what), Number{total_.coverage.count(what)});
  }
  std::printf("\n");
}

void Range::print_summary(double seconds) const {
  const Tally& tally = total_.tally;
  print_reached();
  std::printf("operations: %llu, answered %llu, refused %llu, unknown %llu: %.1f %% answered\n", Number{tally.asked},
              Number{tally.answered}, Number{tally.refused}, Number{tally.unknown},
              100.0 * static_cast<double>(tally.answered) / static_cast<double>(tally.asked + (tally.asked == 0)));
  const double simulated = static_cast<double>(total_.simulated) / static_cast<double>(kSecond);
  std::printf("time: %.0f s simulated in %.1f s, %.0f times real time on %llu cores; %.0f events a second\n", simulated,
              seconds, simulated / seconds, Number{options_.jobs}, static_cast<double>(total_.events) / seconds);
  for (const uint64_t seed : failed_) {
    const auto shrunk = without_.find(seed);
    std::printf("failed: %s\n", replay_line(seed, shrunk == without_.end() ? NumberSet() : shrunk->second).c_str());
  }
}

bool Range::judge() const {
  const std::vector<std::string> all = complaints({.asked = options_.seeds, .passed = passed_, .failed = failed_.size(),
                                                   .tally = total_.tally, .coverage = total_.coverage});
  for (const std::string& each : all) std::printf("%s\n", each.c_str());
  const uint64_t failed = failed_.size() + all.size();
  std::printf("%llu passed, %llu failed\n", Number{passed_}, Number{failed});
  return failed == 0;
}

}  // namespace

int run_range(const RangeOptions& options) { return Range(options).run(); }

namespace {

int run_here(const OneOptions& options) {
  const SeedResult result = run_checked(options.run, options.verify);
  if (!result.violation.empty()) {
    print_failure(result, options.run.without);
    return 1;
  }
  std::printf("seed %llu%s%016llx\n", Number{options.run.seed}, kHashWord, Number{result.hash});
  return 0;
}

}  // namespace

int run_one(const OneOptions& options) {
  if (options.shrink.runs_max == 0) return run_here(options);
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) return run_here(options);
  if (child == 0) {
    const int status = run_here(options);
    std::fflush(stdout);
    _exit(status);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kUnnoticedExit) {
    // As in a range.
    std::printf("seed %llu ended by what may follow from damage that nobody could notice: no more is claimed of it\n",
                Number{options.run.seed});
    return 0;
  }
  if (WIFSIGNALED(status)) {
    std::printf("--- seed %llu FAILED: the process ended with signal %d\n", Number{options.run.seed}, WTERMSIG(status));
  }
  const Shrunk shrunk = shrink({.run = options.run, .twice = options.verify}, options.shrink);
  std::fputs(readable(options.run.seed, shrunk).c_str(), stdout);
  return 1;
}

}  // namespace leto::sim
