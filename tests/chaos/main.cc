// leto-chaos: clusters of real processes, of three and of five nodes, under faults from one seed.
//
//   leto-chaos [--seconds 60] [--seed N] [--way namespaces|proxies] [--nodes 3|5] [--program bin/leto] [--trace] [--brief]
//
// With --brief it ends at the first failure, and keeps nothing. Without --way it takes network namespaces where they are
// allowed. Ends by itself, and takes all it started with it.
#include <sched.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

#include "base/format.h"
#include "tests/chaos/network.h"
#include "tests/chaos/run.h"

namespace leto::chaos {

namespace {

using Number = unsigned long long;

constexpr uint64_t kSecondsMax = 86'400;
constexpr uint64_t kSecondsForAllFaults = 60;

struct Wanted {
  uint64_t seconds = 60;
  uint64_t seed = 0;       // 0: a random one.
  uint64_t nodes = 0;      // 0: three, then five.
  std::string way;         // Empty: as can be.
  std::string program = "bin/leto";
  bool prints = false;
  bool brief = false;      // Ends at the first failure, and keeps nothing.
};

int usage() {
  std::fputs("usage: leto-chaos [--seconds 60] [--seed N] [--way namespaces|proxies] [--nodes N]\n"
             "                  [--program bin/leto] [--trace] [--brief]\n", stderr);
  return 2;
}

bool parse(int count, char** words, Wanted& wanted) {
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    bool* choice = word == "--trace" ? &wanted.prints : word == "--brief" ? &wanted.brief : nullptr;
    if (choice != nullptr) {
      *choice = true;
      continue;
    }
    if (++i == count) return false;
    uint64_t* number = word == "--seconds" ? &wanted.seconds : word == "--seed" ? &wanted.seed
                     : word == "--nodes" ? &wanted.nodes : nullptr;
    std::string* text = word == "--way" ? &wanted.way : word == "--program" ? &wanted.program : nullptr;
    if (text != nullptr) *text = words[i];
    if (text == nullptr && (number == nullptr || std::sscanf(words[i], "%lu", number) != 1)) return false;
  }
  const bool known_way = wanted.way.empty() || wanted.way == "namespaces" || wanted.way == "proxies";
  return known_way && wanted.seconds <= kSecondsMax && (wanted.nodes == 0 || (wanted.nodes >= 3 && wanted.nodes <= 9));
}

// The first signal ends the run in order, the second at once. Who reads what is printed may be gone by then.
void heed_signals(Loop& loop) {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int descriptor = signalfd(-1, &signals, SFD_CLOEXEC);
  loop.watch(descriptor, POLLIN, [&loop, descriptor, signals](short) {
    // It is pending until it is read, and would end the process where signals are let through again.
    signalfd_siginfo taken;
    if (read(descriptor, &taken, sizeof taken) != sizeof taken) return;
    loop.interrupt();
    loop.forget(descriptor);
    sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  });
}

void print(const RunResult& result, uint64_t nodes) {
  std::printf("%llu nodes, %s\n", Number{nodes}, result.description.c_str());
  for (size_t kind = 0; kind < kFaultKinds; ++kind) {
    std::printf("  %-32s %5llu\n", fault_name(static_cast<FaultKind>(kind)), Number{result.faults[kind]});
  }
  const sim::Tally& tally = result.tally;
  const double answered = tally.asked == 0 ? 0 : 100 * static_cast<double>(tally.answered) / static_cast<double>(tally.asked);
  std::printf("  %llu rounds of faults, %llu terms with a leader; led again %llu ms after all were up\n", Number{result.rounds},
              Number{result.terms}, Number{result.led_after});
  std::printf("  %llu operations on %llu keys: %llu answered (%.1f %%), %llu refused, %llu unknown\n", Number{tally.asked},
              Number{result.keys}, Number{tally.answered}, answered, Number{tally.refused}, Number{tally.unknown});
  std::printf("  %s\n", result.violation.empty() ? "ok" : ("FAILED: " + result.violation).c_str());
}

// Mounts of this process are its own from here on, and gone with it. Whether it may mount anything.
bool begin_own_mounts() { return unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0; }

class Chaos {
 public:
  explicit Chaos(const Wanted& wanted) : wanted_(wanted) {}

  int go() {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    heed_signals(loop_);
    std::error_code wrong;
    wanted_.program = std::filesystem::canonical(wanted_.program, wrong).string();
    if (wrong || !make_directory()) {
      std::fprintf(stderr, "leto-chaos: %s\n", wrong ? "the program is not there; build it with make" : "no directory; TMPDIR names where");
      return 1;
    }
    if (wanted_.seed == 0) wanted_.seed = 1 + std::random_device{}() % 1'000'000;
    may_mount_ = begin_own_mounts();
    way_ = choose_way();
    std::printf("seed %llu, %llu seconds of faults, by %s\n", Number{wanted_.seed}, Number{wanted_.seconds},
                way_ == WayOfCutting::kNamespaces ? "namespaces" : "proxies");
    if (!may_mount_) std::printf("no full disk: a small file system of its own needs root\n");
    const std::vector<uint64_t> sizes = wanted_.nodes == 0 ? std::vector<uint64_t>{3, 5} : std::vector<uint64_t>{wanted_.nodes};
    uint64_t failed = 0, passed = 0;
    for (const uint64_t nodes : sizes) {
      if (loop_.interrupted() || (wanted_.brief && failed > 0)) break;
      ++(run(nodes, sizes.size(), nodes == sizes.back()) ? passed : failed);
    }
    if (failed == 0 && !loop_.interrupted() && !did_all()) ++failed;
    return report(passed, failed);
  }

 private:
  bool make_directory() {
    const char* parent = std::getenv("TMPDIR");
    std::string made = std::string(parent == nullptr || *parent == '\0' ? "/tmp" : parent) + "/leto-chaos-XXXXXX";
    if (mkdtemp(made.data()) == nullptr) return false;
    directory_ = made;
    return true;
  }

  WayOfCutting choose_way() const {
    if (!wanted_.way.empty()) return wanted_.way == "proxies" ? WayOfCutting::kProxies : WayOfCutting::kNamespaces;
    return make_namespaces(1).is_ok() ? WayOfCutting::kNamespaces : WayOfCutting::kProxies;
  }

  std::vector<FaultKind> never_done() const {
    std::vector<FaultKind> kinds = possible_kinds(may_mount_);
    std::erase_if(kinds, [this](FaultKind kind) { return done_[static_cast<size_t>(kind)] > 0; });
    return kinds;
  }

  bool is_long() const { return wanted_.seconds >= kSecondsForAllFaults; }

  // Says which faults no cluster met. A short run has no room for all.
  bool did_all() const {
    const std::vector<FaultKind> missing = never_done();
    for (const FaultKind kind : missing) std::printf("never done: %s\n", fault_name(kind));
    return missing.empty() || !is_long();
  }

  bool run(uint64_t nodes, uint64_t parts, bool is_last) {
    const std::filesystem::path directory = directory_ / base::format("%llu-nodes", Number{nodes});
    std::filesystem::create_directories(directory);
    const RunResult result = run_cluster({.loop = loop_, .seed = wanted_.seed * 16 + nodes, .nodes = nodes,
                                          .length = wanted_.seconds * 1000 / parts, .way = way_, .program = wanted_.program,
                                          .directory = directory, .small_disk = may_mount_, .prints = wanted_.prints,
                                          .wanted = is_last && is_long() ? never_done() : std::vector<FaultKind>()});
    print(result, nodes);
    for (size_t kind = 0; kind < kFaultKinds; ++kind) done_[kind] += result.faults[kind];
    may_mount_ = result.had_small_disk;
    return result.violation.empty();
  }

  int report(uint64_t passed, uint64_t failed) {
    std::error_code ignored;
    const bool keep = failed > 0 && !loop_.interrupted() && !wanted_.brief;
    if (!keep) std::filesystem::remove_all(directory_, ignored);
    if (keep) {
      std::printf("directories and logs: %s; the same faults again: make chaos T=%llu SEED=%llu WAY=%s\n", directory_.c_str(),
                  Number{wanted_.seconds}, Number{wanted_.seed}, way_ == WayOfCutting::kNamespaces ? "namespaces" : "proxies");
    }
    std::printf("%llu passed, %llu failed\n", Number{passed}, Number{failed});
    return failed == 0 && passed > 0 && !loop_.interrupted() ? 0 : 1;
  }

  Loop loop_;
  Wanted wanted_;
  std::filesystem::path directory_;
  bool may_mount_ = false;
  WayOfCutting way_ = WayOfCutting::kProxies;
  std::array<uint64_t, kFaultKinds> done_ = {};   // In all clusters.
};

}  // namespace

}  // namespace leto::chaos

int main(int count, char** words) {
  leto::chaos::Wanted wanted;
  if (!leto::chaos::parse(count, words, wanted)) return leto::chaos::usage();
  return leto::chaos::Chaos(wanted).go();
}
