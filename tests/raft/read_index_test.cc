// Reads beyond what D13, D14 and D18 say (ordering_rules_test.cc): forwarding, bounds, one answer each.
#include <doctest/doctest.h>

#include "raft/solo.h"
#include "raft/state.h"

namespace leto::raft_test {
namespace {

TEST_CASE("contexts of one turn share a round") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.sent();
  for (uint64_t context = 1; context <= 5; ++context) solo.raft().read_index(context);
  solo.take();
  CHECK(solo.sent().size() == 2);
}

TEST_CASE("a cluster of one voter answers in the same turn") {
  Solo solo({.configuration = make_configuration({1})});
  solo.tick();
  solo.sync();
  solo.raft().read_index(5);
  const raft::Output output = solo.raft().take();
  REQUIRE(output.reads.size() == 1);
  CHECK(output.reads[0].ok);
}

TEST_CASE("a cluster of one voter answers no read before it has committed in its term") {
  Solo solo({.configuration = make_configuration({1})});
  solo.tick();
  solo.sync(1);
  REQUIRE(solo.raft().role() == raft::Role::kLeader);
  solo.read(5);
  CHECK(solo.reads().empty());
  solo.sync();
  CHECK(solo.reads().size() == 1);
}

TEST_CASE("a follower passes on the index that the leader answers, once") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}});
  solo.append({2, 1}, {}, {});
  solo.read(5);
  for (int i = 0; i < 2; ++i)
    solo.step(2, 1, raft::ReadIndexReply{.context = 5, .ok = true, .index = 42, .cluster_time_ms = 0});
  REQUIRE(solo.reads().size() == 1);
  CHECK(solo.reads()[0].index == 42);
}

TEST_CASE("a follower's read that nobody answers fails within an election timeout") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}});
  solo.append({2, 1}, {}, {});
  solo.read(5);
  for (int i = 0; i < 9; ++i) {
    solo.tick();
    solo.append({2, 1}, {}, {});
  }
  CHECK(solo.reads().empty());
  solo.tick();
  REQUIRE(solo.reads().size() == 1);
  CHECK_FALSE(solo.reads()[0].ok);
}

TEST_CASE("a node that does not lead says no to a follower's request") {
  Solo solo({.hard_state = {.term = 1, .voted_for = 0}});
  solo.step(3, 1, raft::ReadIndexRequest{.context = 5});
  CHECK_FALSE(solo.last_sent<raft::ReadIndexReply>()->ok);
}

TEST_CASE("a node that is no member gets no read index") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.sent();
  solo.step(9, 1, raft::ReadIndexRequest{.context = 5});
  CHECK(solo.sent().empty());
}

TEST_CASE("contexts are bounded, and beyond the bound the answer is no") {
  Solo solo;
  solo.lead();
  for (uint64_t context = 0; context <= raft::kReadContextsMax; ++context) solo.raft().read_index(context);
  solo.take();
  REQUIRE(solo.reads().size() == 1);
  CHECK_FALSE(solo.reads()[0].ok);
  CHECK(solo.reads()[0].context == raft::kReadContextsMax);
  Solo follower({.hard_state = {.term = 1, .voted_for = 0}});
  follower.append({2, 1}, {}, {});
  for (uint64_t context = 0; context <= raft::kReadContextsMax; ++context) follower.raft().read_index(context);
  follower.take();
  CHECK(follower.reads().size() == 1);
}

TEST_CASE("a round on its way is served when the configuration leaves nobody to answer it") {
  Solo solo({.configuration = make_configuration({1, 2})});
  solo.lead();
  solo.accept(2, 1, 1);
  REQUIRE(solo.change(make_configuration({1}), {2}) == raft::ChangeResult::kAccepted);
  solo.sync();
  solo.read(5);
  CHECK(solo.reads().empty());
  // The commit of the joint configuration brings the final one.
  solo.accept(2, 1, 2);
  CHECK(solo.reads().size() == 1);
}

TEST_CASE("a lost round is made good by the next heartbeat") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  solo.read(5);
  solo.sent();
  solo.tick(3);
  solo.accept(2, 1, 1, solo.last_sent<raft::AppendEntries>()->read_counter);
  CHECK(solo.reads().size() == 1);
}

}  // namespace
}  // namespace leto::raft_test
