// Reads at a leader that asks nobody: under a lease while it holds, or as the only voter; by a read index as soon as it might be
// neither.
#include <doctest/doctest.h>

#include <algorithm>

#include "fake_environment.h"
#include "fake_peers.h"
#include "server/tick.h"

namespace leto::server::test {
namespace {

// A leader of three whose followers have just answered a round, and whose ticks have come in time for long.
class LeaseTest {
 public:
  LeaseTest() : test(3), peers(test, {2, 3}) {
    test.options.read_consistency = ReadConsistency::kLease;
    peers.elect();
    peers.ticks(election_ticks() + 10);
    session = test.node->open_session();
  }
  int election_ticks() const { return ticks_in(test.options.election_timeout_ms); }
  // Whether a read is answered at once, without asking anybody.
  bool reads_at_once() {
    test.send(session, {"GET", "k"});
    const bool answered = test.take(session) == "$-1\r\n";
    peers.exchange();
    test.take(session);
    return answered;
  }
  // So often a key was looked up and not found.
  uint64_t misses() {
    const SessionRef other = test.node->open_session();
    test.send(other, {"INFO", "stats"});
    const std::string info = test.take(other);
    const std::string name = "keyspace_misses:";
    const size_t at = info.find(name);
    REQUIRE(at != std::string::npos);
    return std::stoull(info.substr(at + name.size()));
  }
  NodeUnderTest test;
  FakePeers peers;
  SessionRef session;
};

TEST_CASE("under a lease a read is answered at once") {
  LeaseTest lease;
  CHECK(lease.reads_at_once());
}

TEST_CASE("without read-consistency lease the same read asks a quorum") {
  LeaseTest lease;
  lease.test.options.read_consistency = ReadConsistency::kLinearizable;
  CHECK(!lease.reads_at_once());
}

TEST_CASE("a lease that nobody renews ends before an election timeout") {
  LeaseTest lease;
  lease.peers.answering = {};
  lease.test.ticks(lease.election_ticks() - 1);
  REQUIRE(lease.test.node->raft().role() == raft::Role::kLeader);
  CHECK(!lease.reads_at_once());
}

TEST_CASE("a read after the process stood still trusts no lease, though no tick has passed") {
  LeaseTest lease;
  lease.test.clock.now_us += 1000 * lease.test.options.election_timeout_ms;
  CHECK(!lease.reads_at_once());
}

TEST_CASE("D18: a lease that runs out while the read runs does not cover it") {
  LeaseTest lease;
  FakeClock& clock = lease.test.clock;
  constexpr uint64_t kMany = 1000;
  clock.readings_until_jump = kMany;
  lease.test.send(lease.session, {"GET", "k"});
  const uint64_t readings = kMany - clock.readings_until_jump;
  REQUIRE(lease.test.take(lease.session) == "$-1\r\n");
  // The last reading of the clock is that of the look at the lease after the read, which then runs again.
  const uint64_t before = lease.misses();
  clock.jump_us = 1000 * lease.test.options.election_timeout_ms;
  clock.readings_until_jump = readings;
  CHECK(!lease.reads_at_once());
  CHECK(lease.misses() == before + 2);
}

TEST_CASE("after late ticks lease reads are refused for an election timeout, then served again") {
  LeaseTest lease;
  lease.test.clock.now_us += 1000 * 100;
  lease.peers.ticks(1);
  CHECK(!lease.reads_at_once());
  lease.peers.ticks(lease.election_ticks() / 2);
  CHECK(!lease.reads_at_once());
  lease.peers.ticks(lease.election_ticks());
  CHECK(lease.reads_at_once());
}

// A follower that ticks by its clock, as the loop does.
class TickingFollower {
 public:
  TickingFollower() : test(3) {
    test.follow(2, 2);
    ticks_.begin(test.clock.now_us);
  }
  void pass(uint64_t microseconds) {
    test.clock.now_us += microseconds;
    for (uint64_t due = Ticks::due(ticks_.count(test.clock.now_us)); due > 0; --due) test.node->on_tick();
    test.finish_all_disk();
  }
  // Whether it would help node 3 to lead in the next term.
  bool helps() {
    test.network.sent.clear();
    test.node->on_message({.from = 3, .to = 1, .term = 3,
                           .body = raft::RequestVote{.pre_vote = true, .transfer = false, .last = test.node->raft().last()}});
    test.finish_all_disk();
    return std::ranges::any_of(test.network.sent, [](const raft::Message& message) {
      const auto* reply = std::get_if<raft::RequestVoteReply>(&message.body);
      return reply != nullptr && reply->granted;
    });
  }
  NodeUnderTest test;

 private:
  Ticks ticks_;
};

TEST_CASE("D18: what a follower promised its leader lasts as long as ever behind a pause of its own") {
  TickingFollower follower;
  FakeClock& clock = follower.test.clock;
  const uint64_t promise_us = 1000 * follower.test.options.election_timeout_ms;
  for (int tick = 0; tick < 60; ++tick) {
    follower.test.follow(2, 2);
    follower.pass(Ticks::kTickUs);
  }
  // It stood still; what came meanwhile is read before its clock is looked at.
  clock.now_us += promise_us - 5 * Ticks::kTickUs;
  follower.test.follow(2, 2);
  const uint64_t heard_us = clock.now_us;
  const uint64_t lease_us = promise_us - promise_us / 8 - (2 + raft::kTicksOwedMax) * Ticks::kTickUs;
  while (clock.now_us - heard_us < lease_us) {
    CHECK_FALSE(follower.helps());
    follower.pass(Ticks::kTickUs);
  }
  while (clock.now_us - heard_us <= promise_us + 2 * Ticks::kTickUs) follower.pass(Ticks::kTickUs);
  CHECK(follower.helps());
}

TEST_CASE("a follower has no lease") {
  NodeUnderTest test(3);
  test.options.read_consistency = ReadConsistency::kLease;
  test.follow(2, 2);
  const SessionRef session = test.node->open_session();
  test.send(session, {"GET", "k"});
  CHECK(session->output().empty());
}

TEST_CASE("a leader whose newest configuration has another node for its only voter asks that one before it reads") {
  NodeStart start = NodeUnderTest::start_of(2);
  raft::Configuration& leaving = start.recovered.configurations[0].configuration;
  leaving.members[0].role = raft::MemberRole::kOutgoing;
  start.header.configuration = raft::encode_configuration(leaving);
  NodeUnderTest test(std::move(start));
  FakePeers peers(test, {2});
  peers.elect();
  const SessionRef session = test.node->open_session();
  // It appends the configuration without itself, and does not hear whether the other one has it: that one may lead by now.
  peers.answering = {};
  for (int tick = 0; tick < 10 && test.node->raft().configuration().voter_count() > 1; ++tick) peers.ticks(1);
  REQUIRE(test.node->raft().configuration().voter_count() == 1);
  REQUIRE(!test.node->raft().is_only_voter());
  REQUIRE(test.node->raft().leads_and_committed_in_term());
  test.send(session, {"GET", "k"});
  CHECK(test.take(session).empty());
  peers.answering = {2};
  peers.ticks(ticks_in(test.options.election_timeout_ms));
  CHECK(!test.take(session).empty());
}

}  // namespace
}  // namespace leto::server::test
