// D18: how long a lease lasts, what everybody keeps silence for, and when an only voter leads.
#include <doctest/doctest.h>

#include "raft/solo.h"

namespace leto::raft_test {
namespace {

using raft::AppendEntries;
using raft::EntryId;
using raft::RequestVote;
using raft::RequestVoteReply;
using raft::Role;

void check_leads_in_ten_ticks(Solo& solo) {
  solo.tick(9);
  solo.sync();
  CHECK(solo.raft().role() == Role::kFollower);
  solo.tick(1);
  solo.sync();
  CHECK(solo.raft().role() == Role::kLeader);
}

TEST_CASE("D18 a lease counts from the sending of the round") {
  Solo solo({.raft = {.election_ticks = 48, .heartbeat_ticks = 10, .lease_reads = true}});
  solo.lead();
  solo.accept(2, 1, 1);
  solo.accept(3, 1, 1);
  CHECK_FALSE(solo.raft().lease_holds());
  solo.tick(10);
  const uint64_t counter = counter_of(solo);
  // Answered nine ticks after it was sent: nine of its 48 ticks are over, less a slack of ten.
  solo.tick(9);
  solo.accept(2, 1, 1, counter);
  CHECK(solo.raft().lease_holds());
  solo.tick(28);
  CHECK(solo.raft().lease_holds());
  solo.read(7);
  CHECK(solo.reads().size() == 1);
  solo.tick(1);
  CHECK_FALSE(solo.raft().lease_holds());
  solo.read(8);
  CHECK(solo.reads().size() == 1);
}

TEST_CASE("D18 a lease relies on no longer silence than every node keeps, and the leader says on how long") {
  Solo solo({.raft = {.election_ticks = 60, .heartbeat_ticks = 10, .silence_ticks_max = 48, .lease_reads = true}});
  solo.lead();
  solo.accept(2, 1, 1);
  solo.tick(10);
  const auto append = solo.last_sent<raft::AppendEntries>();
  REQUIRE(append);
  CHECK(append->silence_ticks == 48);
  solo.accept(2, 1, 1, append->read_counter);
  solo.tick(37);
  CHECK(solo.raft().lease_holds());
  solo.tick(1);
  CHECK_FALSE(solo.raft().lease_holds());
}

// Follows node 2, whose leases rely on so many ticks; its own election timeout is 10, and nobody may rely on more than 40.
Solo follower_of_a_leader_that_relies_on(uint16_t ticks) {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}, .raft = {.election_ticks = 10, .heartbeat_ticks = 3, .silence_ticks_max = 40},
             .is_young = true});
  for (int tick = 0; tick < 100; ++tick) {
    solo.append({2, 1}, {}, {});
    solo.tick();
  }
  solo.step(2, 1, raft::AppendEntries{.previous = {}, .read_counter = 0, .cluster_time_ms = 0, .silence_ticks = ticks, .entries = {}});
  solo.sync();
  solo.sent();
  return solo;
}

TEST_CASE("D18 who heard a leader keeps silence for as long as that relies on, if its own election timeout is shorter") {
  for (const uint16_t ticks : {uint16_t{0}, uint16_t{30}, uint16_t{1000}}) {
    CAPTURE(ticks);
    const int silence = ticks == 0 ? 10 : ticks == 30 ? 30 : 40;
    Solo solo = follower_of_a_leader_that_relies_on(ticks);
    solo.tick(static_cast<uint64_t>(silence) - 1);
    CHECK(solo.raft().role() == Role::kFollower);
    solo.step(3, 5, vote_request({}));
    solo.sync();
    CHECK(solo.raft().term() == 1);
    CHECK(solo.sent().empty());
    solo.tick(1);
    solo.step(3, 5, vote_request({}));
    solo.sync();
    CHECK(solo.raft().term() == 5);
    CHECK(solo.last_sent<RequestVoteReply>()->granted);
  }
}

TEST_CASE("D18 a node that starts keeps silence for as long as any leader may rely on") {
  Solo solo({.raft = {.election_ticks = 10, .heartbeat_ticks = 3, .silence_ticks_max = 40}, .is_young = true});
  solo.tick(9);
  solo.append({2, 1}, {}, {});
  solo.tick(10);
  solo.step(3, 5, vote_request({}));
  solo.sync();
  CHECK(solo.raft().term() == 1);
  for (int tick = 19; tick < 40; ++tick) solo.tick(1);
  solo.step(3, 5, vote_request({}));
  solo.sync();
  CHECK(solo.raft().term() == 5);
}

TEST_CASE("D18 a node that starts does not campaign either beside a lease that it may have confirmed") {
  Solo solo({.raft = {.election_ticks = 10, .heartbeat_ticks = 3, .silence_ticks_max = 40}, .is_young = true});
  solo.tick(39);
  solo.sync();
  CHECK(solo.raft().role() == Role::kFollower);
  CHECK(solo.sent().empty());
  solo.tick(2);
  CHECK(solo.raft().role() == Role::kPreCandidate);
}

TEST_CASE("D18 a transfer ends the lease before TimeoutNow leaves, for the rest of the term") {
  Solo solo({.raft = {.lease_reads = true}});
  solo.lead();
  solo.accept(2, 1, 1);
  solo.tick(3);
  solo.accept(2, 1, 1, counter_of(solo));
  REQUIRE(solo.raft().lease_holds());
  CHECK(solo.raft().transfer(2) == raft::TransferResult::kAccepted);
  CHECK_FALSE(solo.raft().lease_holds());
  for (int i = 0; i < 5; ++i) {
    solo.tick(3);
    solo.accept(2, 1, 1, counter_of(solo));
  }
  CHECK(solo.raft().transferring_to() == raft::kNobody);
  CHECK_FALSE(solo.raft().lease_holds());
}

TEST_CASE("D18 a change of the configuration ends the lease until a round was sent under it") {
  Solo solo({.raft = {.lease_reads = true}});
  solo.lead();
  solo.accept(2, 1, 1);
  solo.accept(3, 1, 1);
  solo.tick(3);
  const uint64_t counter = counter_of(solo);
  solo.accept(2, 1, 1, counter);
  REQUIRE(solo.raft().lease_holds());
  REQUIRE(solo.change(make_configuration({1, 2}), {2, 3}) == raft::ChangeResult::kAccepted);
  CHECK_FALSE(solo.raft().lease_holds());
  solo.accept(3, 1, 1, counter);
  CHECK_FALSE(solo.raft().lease_holds());
}

TEST_CASE("D18 a node that starts gives no vote and no pre-vote for one election timeout") {
  Solo solo({.is_young = true});
  solo.tick(9);
  solo.step(2, 1, RequestVote{.pre_vote = true, .transfer = false, .last = {}});
  CHECK_FALSE(solo.last_sent<RequestVoteReply>()->granted);
  solo.step(2, 1, vote_request({}));
  solo.step(2, 1, vote_request({}, true));
  solo.sync();
  CHECK(solo.sent().empty());
  CHECK(solo.raft().term() == 0);
  solo.tick(1);
  solo.step(2, 1, vote_request({}));
  solo.sync();
  CHECK(solo.last_sent<RequestVoteReply>()->granted);
}

TEST_CASE("D18 learning of a newer term does not end the promise to the leader that was heard") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}});
  solo.tick_to_timeout();
  solo.append({2, 1}, {}, {});
  solo.step(3, 5, vote_request({.term = 9, .index = 9}));
  CHECK(solo.raft().term() == 1);
  // The transfer's candidate may have it, as its leader gave up its lease.
  solo.step(3, 5, vote_request({.term = 9, .index = 9}, true));
  CHECK(solo.raft().term() == 5);
}

TEST_CASE("D18 the founder of a cluster waits one election timeout before it leads") {
  Solo solo({.configuration = make_configuration({1}), .founding = true});
  check_leads_in_ten_ticks(solo);
}

// 1 and 2 voted; the leader 2 proposed to leave, and only the last of its two configurations need not be committed yet.
std::vector<Entry> log_without_node_2() {
  raft::Configuration joint = make_configuration({1, 2});
  joint.members[1].role = raft::MemberRole::kOutgoing;
  std::vector<Entry> log = make_log(1, 3);
  for (const size_t at : {1u, 2u}) log[at].kind = raft::EntryKind::kConfiguration;
  log[1].payload = std::make_shared<const std::string>(raft::encode_configuration(joint));
  log[2].payload = std::make_shared<const std::string>(raft::encode_configuration(make_configuration({1})));
  return log;
}

TEST_CASE("D18 the only voter that is left waits until the lease of the leader that it heard is over") {
  Solo solo({.configuration = make_configuration({1, 2}), .hard_state = {.term = 1, .voted_for = 0}});
  solo.append({2, 1}, {}, log_without_node_2(), 2);
  solo.sync();
  REQUIRE(solo.raft().is_only_voter());
  solo.tick(9);
  solo.sync();
  CHECK(solo.raft().role() == Role::kFollower);
  // Each round that it answers may confirm a lease.
  solo.append({2, 1}, {.term = 1, .index = 3}, {}, 2);
  check_leads_in_ten_ticks(solo);
}

TEST_CASE("D18 an only voter that starts waits for the lease that it may have confirmed before") {
  SoloOptions options{.configuration = make_configuration({1, 2}), .hard_state = {.term = 1, .voted_for = 0},
                      .log = log_without_node_2(), .is_young = true};
  Solo solo(options);
  REQUIRE(solo.raft().is_only_voter());
  check_leads_in_ten_ticks(solo);
}

TEST_CASE("D1 an only voter's vote counts only when it is durable, whatever became durable before it") {
  Solo solo({.configuration = make_configuration({1, 2}), .hard_state = {.term = 1, .voted_for = 0}});
  solo.append({2, 1}, {}, log_without_node_2(), 2);
  solo.tick(10);
  REQUIRE(solo.raft().role() == Role::kCandidate);
  REQUIRE(solo.writes().size() == 2);
  solo.sync(1);
  CHECK(solo.raft().role() == Role::kCandidate);
  solo.sync();
  CHECK(solo.raft().role() == Role::kLeader);
}

TEST_CASE("an only voter whose configuration is committed leads as soon as it starts") {
  SoloOptions options{.configuration = make_configuration({1, 2}), .hard_state = {.term = 1, .voted_for = 0},
                      .log = log_without_node_2(), .applied = 3, .is_young = true};
  Solo solo(options);
  solo.tick(1);
  solo.sync();
  CHECK(solo.raft().role() == Role::kLeader);
}

}  // namespace
}  // namespace leto::raft_test
