// How long writes stop when the leader hands over, in virtual time: what of it is Leto's own, and not the machine's that the test
// runs on. Three nodes, or five, with disks of up to 2 ms and links of up to half a millisecond, and writers that never pause.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/format.h"
#include "base/log.h"
#include "tests/sim/cluster.h"
#include "tests/sim/workload.h"

using namespace leto;
using namespace leto::sim;

namespace {

constexpr uint64_t kSeeds = 12;
constexpr Microseconds kPauseMax = 20 * kMillisecond;
constexpr Microseconds kBootLength = 30 * kSecond;
constexpr Microseconds kBefore = 300 * kMillisecond, kAfter = 300 * kMillisecond;

Parameters parameters_for(uint64_t seed, server::FollowerWrites mode) {
  Parameters parameters = make_parameters(seed);
  parameters.machines = 3;
  parameters.faultless = true;
  parameters.founded_by_join = parameters.damaged = parameters.upgrade = parameters.timeouts_differ = false;
  parameters.options = {};
  parameters.options.follower_writes = mode;
  parameters.network = {.delay_low = 50, .delay_high = 500};
  parameters.disk.commit_low = 200;
  parameters.disk.commit_high = 2 * kMillisecond;
  parameters.disk.hiccup = 0;
  parameters.rate_low = parameters.rate_high = 1000;
  parameters.turn_high = kIdleTurnHigh;
  return parameters;
}

// What the writers of one run were told.
struct Told {
  std::vector<Microseconds> acknowledged_at;
  std::vector<std::string> errors;
  Microseconds asked_until = 0;

  // Also the one that had not ended when they stopped asking.
  Microseconds longest_pause() const {
    Microseconds longest = asked_until - std::min(asked_until, acknowledged_at.back());
    for (size_t i = 1; i < acknowledged_at.size(); ++i) longest = std::max(longest, acknowledged_at[i] - acknowledged_at[i - 1]);
    return longest;
  }
};

// Asks for INCR and GET of one key at one node, many in one pipeline, again and again: how long each pipeline took.
class Pipeliner final : public ClosedLoop {
 public:
  Pipeliner(World& world, Directory& directory, uint64_t number, Machine& machine)
      : ClosedLoop(world, directory, 0x70697065 + number), number_(number), machine_(machine) {}
  bool idle() const override { return waiting_ == 0; }
  Microseconds longest = 0;
  size_t served = 0;
  std::vector<std::string> errors;

 private:
  static constexpr size_t kDepth = 20;
  Microseconds draw_pause() override { return 1; }
  void act() override {
    if (!is_connected() && !connect_to(machine_)) return think();
    const std::string key = base::format("p%llu", static_cast<unsigned long long>(number_));
    std::vector<Request> requests;
    while (requests.size() < kDepth) requests.insert(requests.end(), {{"INCR", key}, {"GET", key}});
    waiting_ = requests.size();
    asked_at_ = world_.scheduler.now();
    connection_->send(std::move(requests), random_);
  }
  void on_reply(const checker::Answer& answer) override {
    const bool is_error = answer.kind == checker::Answer::Kind::kError;
    if (is_error) {
      errors.push_back(answer.text);
    } else {
      ++served;
    }
    longest = std::max(longest, world_.scheduler.now() - asked_at_);
    if (--waiting_ == 0) think();
  }
  void on_closed() override { errors.emplace_back("UNKNOWN: the connection was lost"); }

  const uint64_t number_;
  Machine& machine_;
  size_t waiting_ = 0;
  Microseconds asked_at_ = 0;
};

// Writes at the leader, or where it is told; when it is refused it asks who leads now.
class Writer final : public ClosedLoop {
 public:
  Writer(World& world, Directory& directory, uint64_t number, Told& told)
      : ClosedLoop(world, directory, 0x77726974 + number), number_(number), told_(told) {}
  bool idle() const override { return !asks_; }
  Machine* stays_at = nullptr;

 private:
  Microseconds draw_pause() override { return 1; }
  void act() override {
    if (!is_connected()) {
      Machine* machine = stays_at != nullptr ? stays_at : directory_.leader();
      if (machine == nullptr || !connect_to(*machine)) return think();
    }
    asks_ = true;
    connection_->send({{"SET", base::format("k%llu", static_cast<unsigned long long>(number_)), "v"}}, random_);
  }
  void on_reply(const checker::Answer& answer) override {
    asks_ = false;
    if (answer.kind == checker::Answer::Kind::kStatus) {
      told_.acknowledged_at.push_back(world_.scheduler.now());
    } else {
      told_.errors.push_back(answer.text);
      connection_->close();
    }
    think();
  }
  void on_closed() override {
    asks_ = false;
    told_.errors.emplace_back("UNKNOWN: the connection was lost");
    think();
  }

  const uint64_t number_;
  Told& told_;
  bool asks_ = false;
};

enum class Way : uint8_t { kTransfer, kLeave, kShutdown };

// What moves the leadership, said to a leader that takes writes. `at_followers`: the writers are there, and stay.
Told moved_by(const Parameters& parameters, Way way, bool at_followers) {
  World world(parameters, false);
  Cluster cluster(world);
  cluster.begin();
  REQUIRE(cluster.run(kBootLength, [&] { return cluster.is_whole(); }));
  Machine* const leader = cluster.leader();
  Told told;
  std::vector<std::unique_ptr<Writer>> writers;
  const size_t machines = cluster.machines().size();
  for (uint64_t number = 0; number < 6; ++number) {
    writers.push_back(std::make_unique<Writer>(world, cluster, number, told));
    if (at_followers) writers.back()->stays_at = cluster.machines()[(leader->number + number % (machines - 1)) % machines].get();
    writers.back()->start();
  }
  const auto pass = [&](Microseconds length) {
    const Microseconds end = world.scheduler.now() + length;
    cluster.run(length, [&] { return world.scheduler.now() >= end; });
  };
  pass(kBefore);
  REQUIRE(told.errors.empty());
  REQUIRE(cluster.leader() == leader);
  told.acknowledged_at.erase(told.acknowledged_at.begin(), told.acknowledged_at.end() - 1);
  std::string answer = "OK";
  if (way == Way::kShutdown) {
    leader->shut_down();
  } else {
    const Request request = way == Way::kLeave ? Request{"LEAVE", leader->id} : Request{"TRANSFER"};
    cluster.command(*leader, request, [&](const checker::Answer& given) { answer = given.text; });
  }
  pass(kAfter);
  told.asked_until = world.scheduler.now();
  for (const auto& writer : writers) writer->stop();
  pass(kAfter);
  for (const auto& writer : writers) CHECK(writer->idle());
  CHECK(world.violation == "");
  CHECK(answer == "OK");
  CHECK(cluster.leader() != leader);
  CHECK(cluster.leader() != nullptr);
  CHECK((cluster.invariants().members().find(leader->node()) == nullptr) == (way == Way::kLeave));
  return told;
}

struct QuietLog {
  QuietLog() { base::set_log_sink([](base::LogLevel, std::string_view) {}); }
  ~QuietLog() { base::set_log_sink(nullptr); }
};

// The longest pause of all seeds, in microseconds. Nothing is unknown or lost; refused is only what the mode refuses.
Microseconds longest_pause(server::FollowerWrites mode, Way way, bool at_followers) {
  const QuietLog quiet;
  Microseconds longest = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    CAPTURE(seed);
    Parameters parameters = parameters_for(seed, mode);
    // Of five the one who takes over may have what a majority has not.
    if (way == Way::kShutdown) parameters.machines = 5;
    const Told told = moved_by(parameters, way, at_followers);
    for (const std::string& error : told.errors) {
      CHECK_MESSAGE(is_refusal(error), error);
      const bool is_over = error.ends_with(way == Way::kLeave ? "removed from its cluster" : "is shutting down");
      CHECK_MESSAGE((mode != server::FollowerWrites::kForward || (is_over && way != Way::kTransfer)), error);
      CHECK_FALSE(at_followers);
    }
    CHECK(told.longest_pause() < kPauseMax);
    longest = std::max(longest, told.longest_pause());
  }
  return longest;
}

}  // namespace

TEST_CASE("LEAVE of the leader stops writes for less than 20 ms and loses none: writers that ask the next leader") {
  MESSAGE("at most " << longest_pause(server::FollowerWrites::kError, Way::kLeave, false) << " us");
}

TEST_CASE("LEAVE of the leader stops writes for less than 20 ms and loses none: writers at the followers") {
  MESSAGE("at most " << longest_pause(server::FollowerWrites::kForward, Way::kLeave, true) << " us");
}

TEST_CASE("LEAVE of the leader stops writes for less than 20 ms and loses none: writers at the leader, which forwards") {
  MESSAGE("at most " << longest_pause(server::FollowerWrites::kForward, Way::kLeave, false) << " us");
}

TEST_CASE("a node that leaves while pipelines of reads and writes are under way at it answers them all, soon and truly") {
  const QuietLog quiet;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    CAPTURE(seed);
    const Parameters parameters = parameters_for(seed, server::FollowerWrites::kForward);
    World world(parameters, false);
    Cluster cluster(world);
    cluster.begin();
    REQUIRE(cluster.run(kBootLength, [&] { return cluster.is_whole(); }));
    Machine* const leader = cluster.leader();
    Machine& leaver = *cluster.machines()[(leader->number + seed) % cluster.machines().size()];
    std::vector<std::unique_ptr<Pipeliner>> clients;
    for (uint64_t number = 0; number < 4; ++number) {
      clients.push_back(std::make_unique<Pipeliner>(world, cluster, number, leaver));
      clients.back()->start();
    }
    const auto pass = [&](Microseconds length) {
      const Microseconds end = world.scheduler.now() + length;
      cluster.run(length, [&] { return world.scheduler.now() >= end; });
    };
    pass(kBefore);
    std::string answer;
    cluster.command(leaver, {"LEAVE", leaver.id}, [&](const checker::Answer& given) { answer = given.text; });
    pass(kAfter);
    for (const auto& client : clients) client->stop();
    pass(kAfter);
    CHECK(world.violation == "");
    CHECK(answer == "OK");
    for (const auto& client : clients) {
      CHECK(client->idle());
      CHECK(client->served > 0);
      CHECK(client->longest < 100 * kMillisecond);
      for (const std::string& error : client->errors) CHECK(error == "CLUSTERDOWN this node was removed from its cluster");
    }
  }
}

TEST_CASE("TRANSFER stops writes for less than 20 ms, and none is refused where they are forwarded") {
  MESSAGE("at most " << longest_pause(server::FollowerWrites::kForward, Way::kTransfer, false) << " us");
}

TEST_CASE("a leader that is shut down stops writes for less than 20 ms and loses none: writers that ask the next leader") {
  MESSAGE("at most " << longest_pause(server::FollowerWrites::kError, Way::kShutdown, false) << " us");
}

TEST_CASE("a leader that is shut down stops writes for less than 20 ms, and none is refused: writers at the followers") {
  MESSAGE("at most " << longest_pause(server::FollowerWrites::kForward, Way::kShutdown, true) << " us");
}

TEST_CASE("a leader that is shut down stops writes for less than 20 ms and loses none: writers at the leader, which forwards") {
  MESSAGE("at most " << longest_pause(server::FollowerWrites::kForward, Way::kShutdown, false) << " us");
}
