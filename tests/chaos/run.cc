#include "tests/chaos/run.h"

#include <sys/mount.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <utility>

#include "base/format.h"
#include "tests/chaos/evidence.h"
#include "tests/chaos/faults.h"
#include "tests/chaos/final_reads.h"
#include "tests/chaos/verdict.h"

namespace leto::chaos {

namespace {

using Number = unsigned long long;

constexpr uint64_t kStream = 0x72656c20, kExtraStream = 0x6578747261;
constexpr size_t kClients = 8, kLocalReaders = 2;
constexpr uint64_t kTransactions = 15;   // In 100 of what is asked for.
constexpr Milliseconds kElectionTimeout = 400;
// Of one node. It is what an operator should not do, and only leases may suffer from it: the others may have elected a leader long
// before this one gives up.
constexpr Milliseconds kSlowElectionTimeout = 4 * kElectionTimeout;
constexpr Milliseconds kUp = 30'000, kWhole = 60'000, kIdle = 30'000, kConverge = 30'000, kWrite = 5000;
constexpr Milliseconds kFullSpeed = 120'000;
constexpr uint64_t kAnsweredMin = 30;   // In 100 of what was asked; less is no test.
constexpr size_t kLinesShown = 15;

sim::Parameters make_parameters(const RunSetup& setup) {
  sim::Parameters parameters;
  parameters.seed = setup.seed;
  parameters.machines = setup.nodes;
  // A long run asks as much as one of a few minutes, more slowly: the history is kept in memory.
  const uint64_t slower = std::max<uint64_t>(1, setup.length / kFullSpeed);
  parameters.clients = {.count = kClients, .keys = 8, .think_high = slower * 8 * sim::kMillisecond, .pipeline_high = 12,
                        .transactions = kTransactions};
  return parameters;
}

size_t slow_node(const sim::World& world) { return 1 + world.parameters.seed % world.parameters.machines; }

// What the nodes are started with.
struct NodeOptions {
  std::vector<std::vector<std::string>> words;   // Of each node.
  Milliseconds longest_election_timeout = kElectionTimeout;
};

// Small logs and frequent flushes, so that a minute has compactions and snapshots.
NodeOptions make_options(const sim::World& world) {
  base::Random random = world.stream(kStream);
  std::vector<std::string> common = {"-request-timeout", "2000",  "-flush-interval", "500",  "-ballast-bytes",        "1mb",
                                     "-log-segment",     "64kb",  "-log-window",     random.chance(1, 2) ? "0" : "256kb",
                                     "-enable-debug-command", "yes"};
  const bool under_lease = random.chance(1, 3);
  if (under_lease) common.insert(common.end(), {"-read-consistency", "lease"});
  if (random.chance(1, 3)) common.insert(common.end(), {"-snapshot-rate", "100kb"});
  NodeOptions options;
  for (size_t node = 1; node <= world.parameters.machines; ++node) {
    const bool slow = !under_lease && node == slow_node(world);
    const Milliseconds timeout = slow ? kSlowElectionTimeout : kElectionTimeout;
    options.words.push_back(common);
    options.words.back().insert(options.words.back().end(), {"-election-timeout", std::to_string(timeout)});
    options.longest_election_timeout = std::max(options.longest_election_timeout, timeout);
  }
  return options;
}

// A file system of its own, gone at the end.
class SmallDisk {
 public:
  SmallDisk() = default;
  ~SmallDisk() {
    if (!path_.empty()) umount2(path_.c_str(), MNT_DETACH);
  }
  bool make(const std::filesystem::path& path) {
    std::filesystem::create_directories(path);
    if (mount("tmpfs", path.c_str(), "tmpfs", 0, "size=64m,mode=700") != 0) return false;
    path_ = path;
    return true;
  }
  // Where what is on it outlives it.
  void keep() const {
    if (path_.empty()) return;
    std::error_code ignored;
    std::filesystem::copy(path_, path_.string() + "-copy", std::filesystem::copy_options::recursive, ignored);
  }

 private:
  std::filesystem::path path_;
};

class Run {
 public:
  Run(const RunSetup& setup, Network& network)
      : setup_(setup),
        parameters_(make_parameters(setup)),
        world_(parameters_, false),
        workload_(world_),
        has_small_disk_(setup.small_disk && disk_.make(setup.directory / Cluster::id(setup.nodes))),
        options_(make_options(world_)),
        cluster_({.loop = setup.loop, .world = world_, .network = network, .program = setup.program,
                  .directory = setup.directory, .nodes = setup.nodes, .options = options_.words}),
        faults_({.loop = setup.loop, .world = world_, .cluster = cluster_, .network = network, .clients = clients_,
                 .slow_node = slow_node(world_), .small_disk = has_small_disk_ ? setup.nodes : 0, .prints = setup.prints}) {
    for (size_t i = 1; i <= kClients; ++i) add_client(i % 2 == 0 ? Habit::kRoams : Habit::kFollowsLeader, 0);
    for (size_t i = 1; i <= kLocalReaders; ++i) add_client(Habit::kReadsLocally, 0);
    for (size_t node = 1; node <= setup.nodes; ++node) add_client(Habit::kStays, node);
  }

  RunResult go();

 private:
  void add_client(Habit habit, size_t home);
  void found();
  void disturb();
  void disturb(const Round& round);
  bool never_done(FaultKind kind) const { return faults_.counts()[static_cast<size_t>(kind)] == 0; }
  void heal();
  void calm_down();
  void agree();
  void read_everything();
  void end();
  void judge_answers();
  void expect(Milliseconds length, const std::function<bool()>& done, const char* what);
  std::string tell_views() const;

  const RunSetup setup_;
  const sim::Parameters parameters_;
  sim::World world_;
  sim::Workload workload_;
  SmallDisk disk_;
  const bool has_small_disk_;
  const NodeOptions options_;
  Cluster cluster_;
  std::vector<std::unique_ptr<Client>> clients_;
  Faults faults_;
  std::vector<Fault> owed_;   // Could not be done when their turn came.
  RunResult result_;
};

void Run::add_client(Habit habit, size_t home) {
  const ClientSetup setup{.loop = setup_.loop, .world = world_, .workload = workload_, .directory = cluster_,
                          .number = clients_.size() + 1, .habit = habit, .home = home};
  clients_.push_back(std::make_unique<Client>(setup));
}

RunResult Run::go() {
  const std::vector<void (Run::*)()> phases = {&Run::found, &Run::disturb,         &Run::heal, &Run::calm_down,
                                               &Run::agree, &Run::read_everything, &Run::end};
  for (const auto phase : phases) {
    if (!world_.failed() && !setup_.loop.interrupted()) (this->*phase)();
  }
  // What was told is judged however the run went.
  if (!setup_.loop.interrupted()) judge_answers();
  if (world_.failed()) disk_.keep();
  if (setup_.loop.interrupted()) world_.fail("interrupted", "ended before its time");
  Leaders leaders;
  for (size_t node = 1; node <= setup_.nodes; ++node) add_leaders(file_text(cluster_.output(node)), leaders);
  if (const std::string two = two_leaders(leaders); !two.empty()) world_.fail("I1", "two leaders in one term: " + two);
  result_.terms = leaders.size();
  result_.faults = faults_.counts();
  result_.had_small_disk = has_small_disk_;
  result_.tally = workload_.tally();
  result_.keys = workload_.keys().size();
  result_.violation = world_.violation;
  return std::move(result_);
}

std::string Run::tell_views() const {
  std::string text;
  for (size_t node = 1; node <= setup_.nodes; ++node) {
    const View& view = cluster_.view(node);
    text += base::format("; %s: %s %s, term %llu, leader %s, applied %llu of %llu, %llu members", Cluster::id(node).c_str(),
                         view.seen_at == 0 ? "not seen," : view.role.c_str(), view.member_role.c_str(), Number{view.term},
                         view.leader.c_str(), Number{view.applied}, Number{view.last}, Number{view.members});
  }
  return text;
}

void Run::expect(Milliseconds length, const std::function<bool()>& done, const char* what) {
  const bool came = setup_.loop.run_until(length, [&] { return world_.failed() || done(); });
  if (!came && !setup_.loop.interrupted()) world_.fail("I16", std::string("not in time: ") + what + tell_views());
}

void Run::found() {
  if (cluster_.found() || setup_.loop.interrupted()) return;
  world_.fail("founding", "the nodes did not become a cluster" + tell_views());
}

void Run::disturb() {
  for (const std::unique_ptr<Client>& client : clients_) client->start();
  const Milliseconds begin = Loop::now();
  const auto goes_on = [&](Milliseconds length) {
    return !world_.failed() && !setup_.loop.interrupted() && Loop::now() < begin + length;
  };
  for (const Round& round : make_schedule(setup_.seed, setup_.length, has_small_disk_)) {
    if (!goes_on(setup_.length)) break;
    disturb(round);
  }
  base::Random random = world_.stream(kExtraStream);
  while (goes_on(2 * setup_.length)) {
    const auto missing = std::find_if(setup_.wanted.begin(), setup_.wanted.end(), [this](FaultKind kind) { return never_done(kind); });
    if (missing == setup_.wanted.end()) return;
    disturb(make_round(*missing, random));
  }
}

// What could not be done, and never was, is tried once more in the next round, before anything else is out of order there.
void Run::disturb(const Round& round) {
  ++result_.rounds;
  if (setup_.prints) std::printf("  round %llu\n", Number{result_.rounds});
  std::vector<Fault> not_now;
  const auto apply = [&](const Fault& fault) {
    if (!faults_.apply(fault) && never_done(fault.kind)) not_now.push_back(fault);
  };
  for (const Fault& fault : std::exchange(owed_, {})) apply(fault);
  for (const Fault& fault : round.faults) apply(fault);
  owed_ = std::move(not_now);
  setup_.loop.run_until(round.hold, [this] { return world_.failed(); });
  faults_.mend();
  setup_.loop.run_until(round.calm, [this] { return world_.failed(); });
}

// I16: all faults are over; a leader within ten of the longest election timeouts of the moment when all nodes are up. The last
// fault is that nobody sees anybody and then all are killed, so that there is something to heal.
void Run::heal() {
  for (size_t node = 1; node <= setup_.nodes; ++node) faults_.apply({.kind = FaultKind::kIsolateOne, .pick = node});
  setup_.loop.run_for(2 * kElectionTimeout);
  faults_.apply({.kind = FaultKind::kKillAll, .pick = setup_.seed});
  faults_.mend();
  expect(kUp, [this] {
    for (size_t node = 1; node <= setup_.nodes; ++node) {
      if (cluster_.view(node).seen_at == 0) return false;
    }
    return true;
  }, "every node is up");
  const Milliseconds begin = Loop::now();
  expect(10 * options_.longest_election_timeout, [this] { return cluster_.is_led(); }, "a leader after the healing");
  result_.led_after = Loop::now() - begin;
  const Milliseconds end = Loop::now() + kWrite;
  bool written = false;
  while (!written && Loop::now() < end && !world_.failed() && !setup_.loop.interrupted()) {
    const size_t leader = cluster_.leader();
    written = leader != 0 && cluster_.answers_ok(leader, {"SET", "healed", "yes"}, kWrite);
    if (!written) setup_.loop.run_for(kElectionTimeout / 8);
  }
  if (!written && !setup_.loop.interrupted()) world_.fail("I16", "a new write is not acknowledged after the healing" + tell_views());
}

void Run::calm_down() {
  for (const std::unique_ptr<Client>& client : clients_) client->stop();
  expect(kIdle, [this] {
    for (const std::unique_ptr<Client>& client : clients_) {
      if (!client->idle()) return false;
    }
    return true;
  }, "every request is answered");
  // A node that learned only now that it was removed is taken in again.
  for (int tries = 0; tries < 3 && !setup_.loop.run_until(kWhole / 3, [this] { return cluster_.is_whole(); }); ++tries) faults_.mend();
  expect(1, [this] { return cluster_.is_whole(); }, "every node is a voter again");
}

void Run::agree() {
  const Milliseconds end = Loop::now() + kConverge;
  std::string last = "no digest";
  while (Loop::now() < end && !world_.failed() && !setup_.loop.interrupted()) {
    setup_.loop.run_until(kConverge / 3, [this] { return cluster_.has_converged(); });
    const uint64_t applied = cluster_.has_converged() ? cluster_.view(cluster_.leader()).applied : 0;
    std::set<std::string> digests;
    for (size_t node = 1; node <= setup_.nodes; ++node) {
      const std::optional<checker::Answer> answer = cluster_.ask(node, {"DEBUG", "DIGEST"});
      digests.insert(answer ? answer->text : "none");
    }
    // What was seen of the nodes is a few moments old.
    setup_.loop.run_for(kElectionTimeout);
    if (applied == 0 || !cluster_.has_converged() || cluster_.view(cluster_.leader()).applied != applied) continue;
    if (digests.size() == 1) return;
    last = "digests at entry " + std::to_string(applied);
    for (const std::string& digest : digests) last += " " + digest;
    return world_.fail("I13", "the nodes do not agree: " + last);
  }
  if (!setup_.loop.interrupted()) world_.fail("I16", "not in time: everyone has applied the same" + tell_views());
}

void Run::read_everything() {
  for (size_t node = 1; node <= setup_.nodes && !world_.failed(); ++node) {
    const std::string wrong = read_all(setup_.loop, cluster_.address(node), workload_, clients_.size() + node);
    if (!wrong.empty() && !setup_.loop.interrupted()) world_.fail("I16", "last reads at " + Cluster::id(node) + ": " + wrong);
  }
}

void Run::end() {
  for (size_t node = 1; node <= setup_.nodes; ++node) cluster_.shut_down(node);
  for (size_t node = 1; node <= setup_.nodes && !world_.failed() && !setup_.loop.interrupted(); ++node) {
    const std::filesystem::path output = setup_.directory / (Cluster::id(node) + ".check");
    if (run_command({.words = {setup_.program, "--check", cluster_.data(node).string()}, .output = output.string()})) continue;
    world_.fail("I13", "leto --check of " + Cluster::id(node) + ":\n" + last_lines(file_text(output), kLinesShown));
  }
}

void Run::judge_answers() {
  const Verdict verdict = judge(workload_.history());
  for (const std::string& operation : verdict.operations) std::printf("  %s\n", operation.c_str());
  if (!verdict.violation.empty()) {
    const std::string before = std::exchange(world_.violation, "");
    world_.fail("I14", verdict.violation + (before.empty() ? "" : "; before that, " + before));
  }
  const sim::Tally& tally = workload_.tally();
  if (tally.answered * 100 < tally.asked * kAnsweredMin) world_.fail("coverage", "too little was answered for the run to mean much");
}

}  // namespace

RunResult run_cluster(const RunSetup& setup) {
  base::Result<std::unique_ptr<Network>> network =
      setup.way == WayOfCutting::kProxies ? make_proxies(setup.loop, setup.nodes) : make_namespaces(setup.nodes);
  if (!network.is_ok()) {
    RunResult result;
    result.violation = network.status().text();
    return result;
  }
  RunResult result = Run(setup, *network.value()).go();
  setup.loop.cancel_all();
  result.description = network.value()->description();
  return result;
}

}  // namespace leto::chaos
