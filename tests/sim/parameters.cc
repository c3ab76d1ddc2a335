#include "tests/sim/parameters.h"

#include "base/hash.h"
#include "base/random.h"

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x706172616d;
// One seed of so many; in turn they begin with each kind of damage, so that a short range reaches all.
constexpr uint64_t kDamagedEach = 8, kDamagedRest = 5;

NetworkParameters make_network(base::Random& random, const Parameters& parameters) {
  NetworkParameters network;
  network.delay_low = random.between(20, 300);
  network.delay_high = network.delay_low + random.between(20, 1500);
  if (parameters.faultless) return network;
  if (random.chance(1, 2)) network.drop = random.between(1, 400);
  if (random.chance(1, 2)) network.duplicate = random.between(1, 300);
  if (random.chance(1, 2)) network.reorder = random.between(1, 1000);
  if (random.chance(1, 3)) network.late = random.between(1, 30);
  if (random.chance(1, 4)) network.flip = random.between(1, 30);
  if (random.chance(1, 4)) network.oversize = random.between(1, 30);
  if (random.chance(1, 4)) network.cut_in_frame = random.between(1, 50);
  network.late_high = 4 * parameters.options.election_timeout_ms * kMillisecond;
  return network;
}

DiskParameters make_disk(base::Random& random, const Parameters& parameters) {
  DiskParameters disk;
  disk.commit_low = random.between(60, 400);
  disk.commit_high = disk.commit_low + random.between(50, 4000);
  disk.hiccup = parameters.faultless ? 0 : random.below(100);
  disk.writes_now = random.chance(1, 2);
  static constexpr uint64_t kSegments[] = {8, 64, 1000, 65536};
  disk.segment_entries_max = kSegments[random.below(4)];
  static constexpr size_t kFrames[] = {20, 100, 1000};
  disk.checkpoint_frames = kFrames[random.below(3)];
  return disk;
}

ClientParameters make_clients(base::Random& random) {
  ClientParameters clients;
  clients.count = random.between(1, 8);
  clients.keys = random.between(1, 8);
  static constexpr Microseconds kThink[] = {20 * kMillisecond, 60 * kMillisecond, 200 * kMillisecond};
  clients.think_high = kThink[random.below(3)] * clients.count / 2 + 1;
  static constexpr size_t kPipelines[] = {1, 1, 4, 12};
  clients.pipeline_high = kPipelines[random.below(4)];
  clients.follower_reads = random.between(0, 60);
  clients.writes = random.between(20, 80);
  clients.watcher = random.chance(1, 3);
  if (random.chance(1, 25)) {
    clients.large = 30;
    clients.large_high = 60000;
  }
  return clients;
}

// Others must have what one loses; and logs are short, so that who is replaced gets a snapshot.
void add_damage(Parameters& parameters) {
  parameters.damaged = true;
  parameters.damage_turn = parameters.seed / kDamagedEach;
  parameters.machines = parameters.machines < 3 ? 3 : parameters.machines;
  parameters.options.log_window = parameters.seed / kDamagedEach % 2 * 200;
  parameters.faultless = false;
}

// The largest entry is a small one, so that it costs little: still one of several parts. Between those of one message there may be
// more time than an election takes.
void add_huge_values(base::Random& random, Parameters& parameters) {
  parameters.clients.huge = random.between(50, 300);
  parameters.options.max_entry_bytes = random.between(300 << 10, 700 << 10);
  parameters.network.part_high = parameters.options.election_timeout_ms * kMillisecond / random.between(1, 8);
}

}  // namespace

Parameters make_parameters(uint64_t seed) {
  base::Random random(base::mix64(seed ^ kStream));
  Parameters parameters;
  parameters.seed = seed;
  static constexpr size_t kSizes[] = {1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 5, 5};
  parameters.machines = kSizes[random.below(20)];
  parameters.faultless = random.chance(1, 12);
  parameters.founded_by_join = random.chance(1, 2);
  static constexpr uint64_t kElections[] = {150, 250, 400, 400, 800};
  parameters.options.election_timeout_ms = kElections[random.below(5)];
  parameters.options.heartbeat_interval_ms = parameters.options.election_timeout_ms / random.between(4, 10) / 10 * 10;
  if (parameters.options.heartbeat_interval_ms < 10) parameters.options.heartbeat_interval_ms = 10;
  if (random.chance(1, 3)) parameters.options.request_timeout_ms = random.between(300, 2000);
  if (parameters.faultless) parameters.options.request_timeout_ms = 5000;
  static constexpr uint64_t kWindows[] = {0, 0, 200, 2000, 64 << 20};
  parameters.options.log_window = kWindows[random.below(5)];
  static constexpr uint64_t kRates[] = {0, 100 << 10, 1 << 20, 64 << 20};
  parameters.options.snapshot_rate = kRates[random.below(4)];
  static constexpr uint64_t kFlushes[] = {100, 500, 5000};
  parameters.options.flush_interval_ms = kFlushes[random.below(3)];
  parameters.network = make_network(random, parameters);
  parameters.disk = make_disk(random, parameters);
  parameters.clients = make_clients(random);
  parameters.chaos = random.between(8, 24) * kSecond;
  parameters.between_faults = random.between(200, 2500) * kMillisecond;
  if (random.chance(1, 2)) parameters.options.follower_writes = server::FollowerWrites::kForward;
  parameters.clients.local_reader = random.chance(1, 3);
  parameters.clients.transactions = random.chance(1, 2) ? random.between(5, 50) : 0;
  if (random.chance(1, 3)) {
    parameters.options.read_consistency = server::ReadConsistency::kLease;
    parameters.rate_low = 945;
    parameters.rate_high = 1055;
  }
  if (random.chance(1, 3)) parameters.clients.retries = random.between(2000, 10000);
  if (random.chance(1, 4)) parameters.uncommitted_bytes_max = random.between(200, 3000);
  if (random.chance(1, 12)) add_huge_values(random, parameters);
  parameters.clients.mover = random.chance(1, 2);
  parameters.upgrade = !parameters.faultless && random.chance(1, 3);
  if (seed % kDamagedEach == kDamagedRest) add_damage(parameters);
  // An idle loop, and busy ones: bugs were found that need two inputs in one turn.
  static constexpr Microseconds kTurns[] = {kIdleTurnHigh, kIdleTurnHigh, 1 * kMillisecond, 8 * kMillisecond};
  parameters.turn_high = kTurns[random.below(4)];
  if (!parameters.faultless && random.chance(1, 4)) {
    parameters.timeouts_differ = true;
    parameters.options.election_timeout_ms = 1600;
    parameters.options.heartbeat_interval_ms = 40;
  }
  // Drawn last, so that the rest of a seed is what it was before there was this.
  const bool forwards = parameters.options.follower_writes == server::FollowerWrites::kForward;
  if (!forwards && random.chance(1, 2)) parameters.options.follower_writes = server::FollowerWrites::kRedirect;
  return parameters;
}

}  // namespace leto::sim
