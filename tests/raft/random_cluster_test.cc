// A small cluster under everything at once: messages dropped, doubled, reordered and late, disks that sync
// late, crashes that lose what was not synced, partitions, reads, transfers, membership changes, compaction and
// snapshots. After each
// event the invariants; after the chaos all faults stop, and the cluster must come to agree and to serve.
//
// LETO_SEEDS=first:count runs other seeds. A seed decides everything.
#include <doctest/doctest.h>

#include <chrono>
#include <cinttypes>
#include <cstdlib>
#include <string>

#include "base/format.h"
#include "base/hash.h"
#include "base/random.h"
#include "raft/harness.h"
#include "server/tick.h"

namespace leto::raft_test {
namespace {

constexpr NodeId kSparesMax = 2;
constexpr uint64_t kEvents = 4500;

class RandomRun {
 public:
  explicit RandomRun(uint64_t seed) : random_(seed), cluster_(make_options(seed)) {
    // Half of the seeds tick all nodes together: only then do leases promise anything.
    lockstep_ = random_.chance(1, 2);
    lossy_ = random_.below(4);
    crashy_ = random_.below(3);
    changes_members_ = random_.chance(1, 2);
    compacts_ = random_.chance(2, 3);
    voters_ = 1 + random_.below(5);
    cluster_.set_verbose(false);
    std::vector<NodeId> voters;
    for (NodeId id = 1; id <= voters_; ++id) voters.push_back(id);
    for (const NodeId id : voters) cluster_.add(id, make_configuration(voters));
    for (NodeId id = voters_ + 1; id <= voters_ + kSparesMax; ++id) cluster_.add(id, {});
    for (const NodeId id : cluster_.ids()) {
      cluster_.node(id).options.lease_reads = lockstep_ && random_.chance(1, 2);
      cluster_.node(id).disk_is_manual = random_.chance(3, 4);
      cluster_.node(id).loads_are_manual = random_.chance(1, 2);
      cluster_.node(id).keys_are_manual = random_.chance(1, 2);
      // One chunk, or two or three.
      cluster_.node(id).chunk_bytes = random_.chance(1, 3) ? 1000 : random_.between(17, 30);
      cluster_.start(id);
    }
  }

  // Empty if all was well.
  std::string run() {
    for (uint64_t i = 0; i < kEvents && cluster_.checker().violations().empty(); ++i) event();
    coverage_ = cluster_.checker().coverage();
    if (cluster_.checker().violations().empty()) heal();
    return cluster_.checker().report() + complaint_;
  }
  uint64_t fingerprint() const { return fingerprint_; }
  size_t committed() { return cluster_.checker().highest_committed(); }
  // Of the chaos: the healing at the end restarts and delivers as well.
  const Coverage& coverage() const { return coverage_; }
  // How much time passed for a node, on the average of all.
  double seconds() const { return static_cast<double>(node_ticks_ * server::kTickMs) / static_cast<double>(cluster_.ids().size()) / 1000; }

 private:
  static raft::Options make_options(uint64_t seed) {
    base::Random random(seed ^ 0x5eed);
    raft::Options options;
    options.seed = seed;
    options.election_ticks = static_cast<uint32_t>(random.between(6, 20));
    options.heartbeat_ticks = static_cast<uint32_t>(random.between(1, 3));
    options.append_bytes_max = random.between(50, 400);
    options.window_messages_max = random.between(1, 8);
    options.window_bytes_max = random.between(100, 1000);
    options.uncommitted_bytes_max = random.between(100, 2000);
    options.cache_bytes_max = random.between(10, 600);
    options.apply_bytes_max = random.between(50, 400);
    options.load_bytes_max = random.between(50, 300);
    options.learner_lag_max = random.between(1, 8);
    return options;
  }

  NodeId any_node() {
    const std::vector<NodeId> ids = cluster_.ids();
    return ids[random_.below(ids.size())];
  }

  void event() {
    const NodeId id = any_node();
    const uint64_t kind = random_.below(100);
    if (kind < 22) {
      tick(id);
    } else if (kind < 66) {
      // Nodes that all tick say more than one message an event would carry: what is on its way must not pile up.
      for (size_t left = 1 + cluster_.network().size() / 4; left > 0; --left) network_event();
    } else if (kind < 82) {
      if (cluster_.is_up(id)) disk_event(id);
    } else if (kind < 96) {
      if (cluster_.is_up(id)) client_event(id);
    } else if (kind < 97) {
      life_event(id);
    } else {
      operator_event(id);
    }
    digest_events();
  }

  void digest_events() {
    for (const std::string& event : cluster_.take_events()) {
      fingerprint_ = base::hash64(event, fingerprint_);
      if (event.find("VIOLATION") != std::string::npos) complaint_ += event + "\n";
      if (event.find("promised output") != std::string::npos) complaint_ += event + "\n";
    }
  }

  void tick(NodeId id) {
    if (lockstep_) {
      cluster_.tick_all();
      node_ticks_ += cluster_.ids().size();
    } else {
      cluster_.checker().coverage().note(Reached::kUnevenTicks, cluster_.is_up(id));
      const uint64_t count = 1 + random_.below(4);
      cluster_.tick(id, count);
      node_ticks_ += count;
    }
  }

  void network_event() {
    if (cluster_.network().empty()) return;
    // Mostly the oldest, so that there is progress; sometimes any.
    const size_t position = random_.chance(3, 4) ? 0 : random_.below(cluster_.network().size());
    const uint64_t kind = random_.below(40);
    if (kind < lossy_) {
      cluster_.drop_at(position);
    } else if (kind < 2 * lossy_) {
      cluster_.duplicate_at(position);
    } else {
      cluster_.deliver_at(position);
    }
  }

  void disk_event(NodeId id) {
    if (random_.chance(1, 2)) cluster_.answer_loads(id);
    cluster_.sync(id, 1 + random_.below(3));
    Node& node = cluster_.node(id);
    const bool is_loading = node.switched || node.raft->installing();
    if (!is_loading && !node.lacks_keys && random_.chance(1, 4))
      node.applied_durable = random_.between(node.applied_durable, node.applied.size());
    if (!is_loading && !node.lacks_keys && compacts_ && random_.chance(1, 4))
      cluster_.compact(id, random_.between(node.raft->first_index() - 1, node.applied_durable));
    if (random_.chance(1, 2)) cluster_.install(id);
    if (random_.chance(1, 2)) cluster_.load_keys(id);
  }

  void client_event(NodeId id) {
    if (random_.chance(1, 3)) return cluster_.read(id, ++context_);
    const NodeId leader = cluster_.leader();
    const NodeId target = leader != 0 && random_.chance(3, 4) ? leader : id;
    cluster_.propose(target, std::string(random_.below(60), static_cast<char>('a' + random_.below(26))) +
                                 base::format("%" PRIu64, ++proposals_));
  }

  void life_event(NodeId id) {
    Node& node = cluster_.node(id);
    if (!cluster_.is_up(id)) {
      if (may_lose_keys(id) && random_.chance(1, 3)) {
        node.lacks_keys = true;
        cluster_.checker().coverage().note(Reached::kKeysLost);
      }
      return cluster_.start(id);
    }
    if (random_.below(6) < crashy_) cluster_.crash(id, random_.below(node.disk.queue.size() + 1));
  }

  // As long as one has lost its keys the others keep theirs; and another one has what is lost: a voter, and not just becoming one.
  bool may_lose_keys(NodeId id) {
    for (const NodeId each : cluster_.ids()) {
      if (cluster_.node(each).lacks_keys) return false;
    }
    const Node& node = cluster_.node(id);
    const Configuration newest =
        configuration_at({.entries = node.disk.log, .initial = node.disk.initial}, node.disk.log.size()).configuration;
    return node.applied_durable > 0 && std::any_of(newest.members.begin(), newest.members.end(), [id](const raft::Member& other) {
             return other.node != id && (other.role == MemberRole::kVoter || other.role == MemberRole::kOutgoing);
           });
  }

  void operator_event(NodeId id) {
    const NodeId other = any_node();
    switch (random_.below(8)) {
      case 0: return random_partition();
      case 1: return cluster_.heal();
      case 2: return cluster_.cut(id, other);
      case 3:
        if (cluster_.is_up(id)) cluster_.transfer(id, other);
        return;
      case 4:
        if (cluster_.is_up(id)) cluster_.unreachable(id, other);
        return;
      case 5:
        if (cluster_.is_up(id)) cluster_.stall_disk(id, random_.chance(1, 3));
        return;
      default:
        if (changes_members_ && cluster_.leader() != 0) change_members(cluster_.leader());
    }
  }

  void random_partition() {
    std::vector<std::vector<NodeId>> groups(2);
    for (const NodeId id : cluster_.ids()) groups[random_.below(2)].push_back(id);
    cluster_.partition(groups);
  }

  // Some member goes, or some node comes. An incarnation that was removed never comes again.
  void change_members(NodeId leader) {
    Configuration target = cluster_.raft(leader).configuration();
    if (target.is_joint()) return;
    const NodeId node = any_node();
    const raft::Member* member = target.find(node);
    if (member) {
      if (removed_.size() >= 2) return;
      std::erase_if(target.members, [&](const raft::Member& other) { return other.node == node; });
    } else {
      if (removed_.contains(node)) return;
      target.members.push_back(make_configuration({node}).members.front());
      std::sort(target.members.begin(), target.members.end(),
                [](const raft::Member& a, const raft::Member& b) { return a.node < b.node; });
    }
    for (raft::Member& other : target.members) other.role = MemberRole::kVoter;
    const raft::ChangeResult result = cluster_.change(leader, target);
    const bool may_happen = result == raft::ChangeResult::kAccepted || result == raft::ChangeResult::kAsksWhoLives;
    if (member && may_happen) removed_.insert(node);
  }

  void complain(const std::string& text) { complaint_ += text + "\n"; }

  // I16: a leader within ten election timeouts, everyone converges, a new write is acknowledged.
  void heal() {
    cluster_.heal();
    for (const NodeId id : cluster_.ids()) {
      Node& node = cluster_.node(id);
      if (!cluster_.is_up(id)) cluster_.start(id);
      cluster_.stall_disk(id, false);
      node.disk_is_manual = node.loads_are_manual = node.keys_are_manual = false;
      cluster_.answer_loads(id);
      cluster_.install(id);
      cluster_.sync(id, 1000);
    }
    const uint64_t timeout = 2 * uint64_t{cluster_.node(1).options.election_ticks};
    for (uint64_t i = 0; i < 10; ++i) {
      cluster_.run(timeout);
      flush_all();
    }
    const NodeId leader = cluster_.leader();
    if (leader == 0) return complain("no leader after healing");
    // Whatever change was under way is finished by now.
    const Configuration configuration = cluster_.raft(leader).configuration();
    if (configuration.is_joint()) complain("still joint: " + describe(configuration));
    if (cluster_.propose(leader, "after the chaos") != raft::ProposeResult::kAccepted) complain("write refused");
    cluster_.read(leader, ++context_);
    cluster_.run(timeout);
    check_convergence(leader);
  }

  // As a node does that has nothing else to do: a snapshot is of what was flushed.
  void flush_all() {
    for (const NodeId id : cluster_.ids()) {
      Node& node = cluster_.node(id);
      if (!node.lacks_keys && !node.switched && !node.raft->installing()) node.applied_durable = node.applied.size();
    }
  }

  void check_convergence(NodeId leader) {
    const Node& best = cluster_.node(leader);
    if (best.applied.empty() || *best.applied.back().payload != "after the chaos") complain("write not applied");
    if (best.reads.empty() || !best.reads.back().ok) complain("read not answered");
    for (const raft::Member& member : best.raft->configuration().members) {
      const Node& node = cluster_.node(member.node);
      if (node.applied.size() != best.applied.size())
        complain(base::format("node %" PRIu64 " applied %zu of %zu", node.id, node.applied.size(), best.applied.size()));
      if (!node.read_floors.empty())
        complain(base::format("node %" PRIu64 " left %zu reads unanswered", node.id, node.read_floors.size()));
    }
    digest_events();
  }

  base::Random random_;
  Cluster cluster_;
  bool lockstep_ = false;
  uint64_t lossy_ = 0;
  uint64_t crashy_ = 0;
  bool changes_members_ = false;
  bool compacts_ = false;
  NodeId voters_ = 3;
  uint64_t context_ = 0;
  uint64_t proposals_ = 0;
  uint64_t node_ticks_ = 0;   // Of the chaos, those of dead nodes among them.
  std::set<NodeId> removed_;
  Coverage coverage_;
  uint64_t fingerprint_ = 0;
  std::string complaint_;
};

struct Seeds {
  uint64_t first = 1;
  uint64_t count = 400;
};

Seeds chosen_seeds() {
  Seeds seeds;
  if (const char* text = std::getenv("LETO_SEEDS")) {
    char* end = nullptr;
    seeds.first = std::strtoull(text, &end, 10);
    seeds.count = *end == ':' ? std::strtoull(end + 1, nullptr, 10) : 1;
  }
  return seeds;
}

std::string describe(const Coverage& coverage, size_t first, size_t end) {
  std::string text;
  for (size_t i = first; i < end; ++i)
    text += base::format("%s%s %zu", i == first ? "" : ", ", kReachedNames[i].text, coverage.count(static_cast<Reached>(i)));
  return text;
}

// As `make sim` says it of whole clusters.
std::string describe_pace(double simulated, uint64_t events, double seconds) {
  return base::format("%.0f s simulated in %.1f s, %.0f times real time; %.0f events a second", simulated, seconds,
                      simulated / seconds, static_cast<double>(events) / seconds);
}

// A fault that never befalls anything tests nothing.
void check_each_was_reached(const Coverage& coverage, size_t seeds) {
  for (size_t i = 0; i < kReached; ++i) {
    const std::string name = kReachedNames[i].text;
    CAPTURE(name);
    if (seeds >= kReachedNames[i].seeds) CHECK(coverage.count(static_cast<Reached>(i)) > 0);
  }
}

TEST_CASE("random clusters keep the invariants under every fault and recover") {
  const Quiet quiet;
  const Seeds seeds = chosen_seeds();
  const auto start = std::chrono::steady_clock::now();
  size_t committed = 0;
  double simulated = 0;
  Coverage sum;
  for (uint64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
    RandomRun run(seed);
    const std::string report = run.run();
    INFO("replay with LETO_SEEDS=" << seed << ":1");
    CHECK_MESSAGE(report.empty(), report);
    committed += run.committed();
    simulated += run.seconds();
    sum.add(run.coverage());
  }
  MESSAGE(seeds.count << " seeds: " << committed << " committed");
  MESSAGE("faults: " << describe(sum, 0, kFaults));
  MESSAGE("branches: " << describe(sum, kFaults, kReached));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  MESSAGE("time: " << describe_pace(simulated, seeds.count * kEvents, took.count()));
  check_each_was_reached(sum, seeds.count);
  // Refusing everything is not being right.
  if (seeds.count < kUsual) return;
  CHECK(committed > 20 * seeds.count);
  CHECK(sum.count(Reached::kRead) > 10 * seeds.count);
  CHECK(sum.count(Reached::kElected) > 2 * seeds.count);
  CHECK(sum.count(Reached::kSwapped) > seeds.count / 4);
  // Of these few seeds have most.
  if (seeds.count < kRare) return;
  CHECK(sum.count(Reached::kTruncated) > seeds.count / 4);
  CHECK(sum.count(Reached::kJoint) > seeds.count / 4);
}

TEST_CASE("the same seed gives the same events") {
  const Quiet quiet;
  for (const uint64_t seed : {3u, 4u, 5u}) {
    RandomRun first(seed);
    RandomRun second(seed);
    CHECK(first.run() == second.run());
    CHECK(first.fingerprint() == second.fingerprint());
  }
}

}  // namespace
}  // namespace leto::raft_test
