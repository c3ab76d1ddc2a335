// Reads at a leader that asks nobody: under a lease while it holds, or as the only voter; by a read index as soon as it might be
// neither.
#include <doctest/doctest.h>

#include "fake_environment.h"
#include "fake_peers.h"

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
