// What change_config() answers, and the steps that follow.
#include <doctest/doctest.h>

#include "raft/solo.h"

namespace leto::raft_test {
namespace {

using raft::ChangeResult;

// Leads {1 2 3}, heard both, its first entry committed.
std::unique_ptr<Solo> ready_leader(const Configuration& configuration = make_configuration({1, 2, 3})) {
  SoloOptions options;
  options.configuration = configuration;
  auto solo = std::make_unique<Solo>(options);
  solo->lead();
  for (const NodeId peer : {2u, 3u}) solo->accept(peer, 1, 1);
  return solo;
}

// With 2 and 3 alive.
ChangeResult change(Solo& solo, const Configuration& target) { return solo.change(target, {2, 3}); }

TEST_CASE("a target that is no configuration is invalid") {
  const auto solo = ready_leader();
  CHECK(change(*solo, {}) == ChangeResult::kInvalid);
  CHECK(change(*solo, make_configuration({}, {1, 2})) == ChangeResult::kInvalid);
  Configuration joint = make_configuration({1, 2, 3});
  joint.members[0].role = MemberRole::kIncoming;
  CHECK(change(*solo, joint) == ChangeResult::kInvalid);
  Configuration unsorted = make_configuration({1, 2, 3});
  std::swap(unsorted.members[0], unsorted.members[1]);
  CHECK(change(*solo, unsorted) == ChangeResult::kInvalid);
  std::vector<NodeId> many;
  for (NodeId node = 1; node <= raft::kMembersMax + 1; ++node) many.push_back(node);
  CHECK(change(*solo, make_configuration(many)) == ChangeResult::kInvalid);
  CHECK(solo->raft().last().index == 1);
}

TEST_CASE("a voter is not demoted in place, and none is swapped for one of another id") {
  const auto solo = ready_leader();
  CHECK(change(*solo, make_configuration({1, 2}, {3})) == ChangeResult::kInvalid);
  CHECK(change(*solo, make_configuration({1, 2, 4})) == ChangeResult::kInvalid);
}

TEST_CASE("one change at a time, and only with an entry of the own term committed") {
  Solo early;
  early.lead();
  CHECK(change(early, make_configuration({1, 2})) == ChangeResult::kNotReady);
  const auto solo = ready_leader();
  CHECK(change(*solo, make_configuration({1, 2, 3, 4})) == ChangeResult::kAccepted);
  CHECK(change(*solo, make_configuration({1, 2})) == ChangeResult::kInProgress);
  CHECK(change(*solo, make_configuration({1, 2, 3, 4})) == ChangeResult::kNothingToDo);
  Solo follower;
  CHECK(change(follower, make_configuration({1, 2})) == ChangeResult::kNotLeader);
}

TEST_CASE("the leader does not remove itself") {
  const auto solo = ready_leader();
  CHECK(change(*solo, make_configuration({2, 3})) == ChangeResult::kRemovesLeader);
}

TEST_CASE("a change whose voters were not heard lately is refused") {
  const auto solo = ready_leader();
  for (int i = 0; i < 15; ++i) {
    solo->tick();
    solo->answer({2});
  }
  CHECK(change(*solo, make_configuration({1, 3})) == ChangeResult::kNoLiveQuorum);
  CHECK(change(*solo, make_configuration({1, 2})) == ChangeResult::kAccepted);
}

// Leads {1 2 3}, of which 2 has all nine entries, and 3 answers and has the first alone. Three entries behind is keeping up.
std::unique_ptr<Solo> leader_whose_third_lags(size_t window_messages = 1) {
  SoloOptions options;
  options.raft.learner_lag_max = 3;
  options.raft.window_messages_max = window_messages;
  options.raft.append_bytes_max = 1;   // Each entry in an append of its own.
  auto solo = std::make_unique<Solo>(options);
  solo->lead();
  for (const NodeId peer : {2u, 3u}) solo->accept(peer, 1, 1);
  for (int i = 0; i < 8; ++i) solo->propose("x");
  solo->sync();
  solo->accept(2, 1, 9);
  REQUIRE(solo->raft().commit_index() == 9);
  return solo;
}

TEST_CASE("nobody leaves if those who stay would have to catch up before anything could be committed") {
  const auto solo = leader_whose_third_lags();
  CHECK(solo->raft().peers()[1].lags);
  CHECK(change(*solo, make_configuration({1, 3})) == ChangeResult::kVotersLag);
  // Nor is leadership handed over so that it can happen there.
  CHECK(change(*solo, make_configuration({2, 3})) == ChangeResult::kVotersLag);
  solo->accept(3, 1, 4);
  CHECK(change(*solo, make_configuration({1, 3})) == ChangeResult::kVotersLag);
  solo->accept(3, 1, 5);
  CHECK_FALSE(solo->raft().peers()[1].lags);
  CHECK(change(*solo, make_configuration({2, 3})) == ChangeResult::kRemovesLeader);
  CHECK(change(*solo, make_configuration({1, 3})) == ChangeResult::kAccepted);
}

TEST_CASE("who lags leaves, and nobody waits for it") {
  CHECK(change(*leader_whose_third_lags(), make_configuration({1, 2})) == ChangeResult::kAccepted);
  SoloOptions options;
  options.configuration = make_configuration({1, 2});
  options.raft.learner_lag_max = 3;
  options.raft.window_messages_max = 1;
  Solo two(options);
  two.lead();
  two.accept(2, 1, 1);
  for (int i = 0; i < 8; ++i) two.propose("x");
  CHECK(two.raft().peers()[0].lags);
  CHECK(change(two, make_configuration({1})) == ChangeResult::kAccepted);
}

TEST_CASE("a node is taken in whoever lags, as that takes no other majority") {
  CHECK(change(*leader_whose_third_lags(), make_configuration({1, 2, 3, 4})) == ChangeResult::kAccepted);
}

TEST_CASE("a voter to which all that it lacks is on its way does not lag") {
  const auto solo = leader_whose_third_lags(64);
  REQUIRE(solo->raft().peers()[1].match == 1);
  CHECK_FALSE(solo->raft().peers()[1].lags);
  CHECK(change(*solo, make_configuration({1, 3})) == ChangeResult::kAccepted);
}

TEST_CASE("a voter that does not answer the leader's appends any more lags, whatever was sent to it") {
  const auto solo = leader_whose_third_lags(64);
  for (int i = 0; i < 15; ++i) {
    solo->tick();
    for (const NodeId peer : {2u, 3u}) solo->accept(peer, 1, peer == 2 ? 9 : 1);
  }
  CHECK(solo->raft().peers()[1].lags);
  CHECK(change(*solo, make_configuration({1, 3})) == ChangeResult::kVotersLag);
}

// How the change ends if from now on only `living` answer; kAsksWhoLives: the leadership ended before.
ChangeResult change_among(Solo& solo, const Configuration& target, const std::vector<NodeId>& living) {
  ChangeResult result = ChangeResult::kAsksWhoLives;
  while (result == ChangeResult::kAsksWhoLives && solo.raft().role() == raft::Role::kLeader) {
    result = solo.change(target, living);
    if (result == ChangeResult::kAsksWhoLives) solo.tick();
  }
  return result;
}

TEST_CASE("nobody leaves before the majorities have answered a round that was sent once that was asked for") {
  const auto solo = ready_leader();
  solo->tick(4);
  solo->sent();
  CHECK(solo->raft().change_config(make_configuration({1, 2})) == ChangeResult::kAsksWhoLives);
  solo->take();
  CHECK(solo->sent().size() == 2);
  // An answer to what was sent before says nothing about now; one of 3 alone is none of those who stay.
  solo->accept(2, 1, 1, 0);
  solo->answer({3});
  CHECK(solo->raft().change_config(make_configuration({1, 2})) == ChangeResult::kAsksWhoLives);
  CHECK(solo->raft().configuration() == make_configuration({1, 2, 3}));
  solo->answer({2});
  CHECK(solo->raft().change_config(make_configuration({1, 2})) == ChangeResult::kAccepted);
}

TEST_CASE("beside a voter that died just now no other one leaves, and neither does the leader") {
  for (const Configuration& target : {make_configuration({1, 3}), make_configuration({2, 3})}) {
    const auto solo = ready_leader();
    // Of 3 nothing is heard any more.
    CHECK(change_among(*solo, target, {2}) == ChangeResult::kNoLiveQuorum);
    CHECK(solo->raft().configuration() == make_configuration({1, 2, 3}));
    CHECK(solo->raft().role() == raft::Role::kLeader);
    CHECK(change_among(*solo, make_configuration({1, 2}), {2}) == ChangeResult::kAccepted);
  }
}

TEST_CASE("of two voters the dead one cannot be removed, and the leader says so before it steps down, however lately it was heard") {
  for (const uint64_t silent : {0u, 1u, 4u, 9u}) {
    Solo solo({.configuration = make_configuration({1, 2})});
    solo.lead();
    solo.accept(2, 1, 1);
    solo.tick(silent);
    CHECK(change_among(solo, make_configuration({1}), {}) == ChangeResult::kNoLiveQuorum);
    CHECK(solo.raft().configuration() == make_configuration({1, 2}));
  }
}

TEST_CASE("an answer to an earlier wish for the same change is not one to this") {
  const auto solo = ready_leader();
  CHECK(solo->raft().change_config(make_configuration({1, 2})) == ChangeResult::kAsksWhoLives);
  solo->take();
  solo->answer({2, 3});
  solo->tick(4);   // Nobody wants it any more.
  CHECK(change_among(*solo, make_configuration({1, 2}), {3}) == ChangeResult::kNoLiveQuorum);
}

TEST_CASE("a round that is lost is made good by the next heartbeat, and a change that is wanted instead has one of its own") {
  const auto solo = ready_leader(make_configuration({1, 2, 3, 4}));
  solo->accept(4, 1, 1);
  CHECK(solo->raft().change_config(make_configuration({1, 2, 3})) == ChangeResult::kAsksWhoLives);
  solo->take();
  for (int i = 0; i < 3; ++i) {
    solo->tick();
    CHECK(solo->raft().change_config(make_configuration({1, 2, 3})) == ChangeResult::kAsksWhoLives);
  }
  solo->answer({2, 3});
  CHECK(solo->raft().change_config(make_configuration({1, 2, 4})) == ChangeResult::kAsksWhoLives);
  solo->take();
  CHECK(solo->raft().change_config(make_configuration({1, 2, 4})) == ChangeResult::kAsksWhoLives);
  solo->answer({2, 4});
  CHECK(solo->raft().change_config(make_configuration({1, 2, 4})) == ChangeResult::kAccepted);
}

TEST_CASE("a change that is forced waits for nobody, and is made by both majorities all the same") {
  Solo two({.configuration = make_configuration({1, 2})});
  two.lead();
  two.accept(2, 1, 1);
  two.tick(9);
  CHECK(two.raft().change_config(make_configuration({1}), raft::ChangeCare::kForced) == ChangeResult::kAccepted);
  two.take();
  CHECK(two.raft().configuration().is_joint());
  two.sync();
  CHECK(two.raft().commit_index() == 1);
  two.accept(2, 1, 2);
  CHECK(two.raft().commit_index() == 2);
  const auto solo = leader_whose_third_lags();
  CHECK(solo->raft().change_config(make_configuration({2, 3}), raft::ChangeCare::kForced) == ChangeResult::kRemovesLeader);
  CHECK(solo->raft().change_config(make_configuration({1, 3}), raft::ChangeCare::kForced) == ChangeResult::kAccepted);
  CHECK(solo->raft().change_config(make_configuration({1, 2, 3}), raft::ChangeCare::kForced) == ChangeResult::kInProgress);
}

TEST_CASE("a learner is not promoted into a majority of which too few live") {
  const auto solo = ready_leader();
  REQUIRE(change(*solo, make_configuration({1, 2, 3, 4})) == ChangeResult::kAccepted);
  solo->sync();
  for (const NodeId peer : {2u, 4u}) solo->accept(peer, 1, 2);
  // 3 and the learner, which has caught up, die: of four voters two would be left.
  for (int i = 0; i < 40; ++i) {
    solo->tick();
    solo->answer({2});
  }
  CHECK(solo->raft().configuration().find(4)->role == MemberRole::kLearner);
  CHECK(solo->raft().role() == raft::Role::kLeader);
  for (int i = 0; i < 6; ++i) {
    solo->tick();
    solo->answer({2, 4});
  }
  CHECK(solo->raft().configuration().find(4)->role == MemberRole::kIncoming);
}

TEST_CASE("an address changes in one simple entry") {
  const auto solo = ready_leader();
  Configuration target = make_configuration({1, 2, 3});
  target.members[1].raft_address = "elsewhere:1";
  CHECK(change(*solo, target) == ChangeResult::kAccepted);
  CHECK_FALSE(solo->raft().configuration().is_joint());
  CHECK(solo->raft().configuration() == target);
}

TEST_CASE("a learner is promoted when it is caught up and answers, not before") {
  const auto solo = ready_leader();
  REQUIRE(change(*solo, make_configuration({1, 2, 3, 4})) == ChangeResult::kAccepted);
  solo->sync();
  solo->accept(2, 1, 2);
  REQUIRE(solo->raft().commit_index() == 2);
  const auto tick_and_hear = [&](bool newcomer_answers) {
    solo->tick();
    for (const NodeId peer : {2u, 3u}) solo->accept(peer, 1, solo->raft().last().index);
    if (newcomer_answers) solo->accept(4, 1, 2);
    solo->answer({2, 3});
    if (newcomer_answers) solo->answer({4});
    solo->sync();
  };
  for (int i = 0; i < 20; ++i) tick_and_hear(false);
  CHECK(solo->raft().configuration().find(4)->role == MemberRole::kLearner);
  for (int i = 0; i < 2; ++i) tick_and_hear(true);
  solo->tick();
  CHECK(solo->raft().configuration().find(4)->role == MemberRole::kIncoming);
  // The joint configuration is committed by both majorities, and the final one follows by itself.
  solo->sync();
  solo->accept(2, 1, 3);
  CHECK(solo->raft().configuration().is_joint());
  solo->accept(3, 1, 3);
  CHECK(solo->raft().configuration() == make_configuration({1, 2, 3, 4}));
}

TEST_CASE("a learner that was caught up but is silent is not promoted") {
  const auto solo = ready_leader();
  REQUIRE(change(*solo, make_configuration({1, 2, 3, 4})) == ChangeResult::kAccepted);
  solo->sync();
  solo->accept(4, 1, 2);
  for (int i = 0; i < 12; ++i) {
    solo->tick();
    for (const NodeId peer : {2u, 3u}) solo->accept(peer, 1, 1);
  }
  solo->accept(2, 1, 2);
  for (int i = 0; i < 2; ++i) {
    solo->tick();
    solo->answer({2, 3});
  }
  CHECK(solo->raft().configuration().find(4)->role == MemberRole::kLearner);
  solo->accept(4, 1, 2);
  solo->tick();
  solo->answer({2, 4});
  solo->tick();
  CHECK(solo->raft().configuration().find(4)->role == MemberRole::kIncoming);
}

TEST_CASE("a learner that lags is not promoted") {
  Solo solo({.raft = {.learner_lag_max = 2}});
  solo.lead();
  for (const NodeId peer : {2u, 3u}) solo.accept(peer, 1, 1);
  REQUIRE(change(solo, make_configuration({1, 2, 3, 4})) == ChangeResult::kAccepted);
  for (int i = 0; i < 5; ++i) solo.propose("x");
  solo.sync();
  solo.accept(2, 1, 7);
  solo.accept(4, 1, 4);
  for (int i = 0; i < 2; ++i) {
    solo.tick();
    solo.answer({2, 4});
  }
  CHECK(solo.raft().configuration().find(4)->role == MemberRole::kLearner);
  solo.accept(4, 1, 5);
  solo.tick();
  solo.answer({2, 4});
  solo.tick();
  CHECK(solo.raft().configuration().find(4)->role == MemberRole::kIncoming);
}

// Takes 4 in as a learner, which acknowledges with each tick what the leader had `delay` ticks ago; five entries come with each.
struct BusyLeader {
  BusyLeader() : solo({.raft = {.learner_lag_max = 2}}) {
    solo.lead();
    for (const NodeId peer : {2u, 3u}) solo.accept(peer, 1, 1);
    REQUIRE(change(solo, make_configuration({1, 2, 3, 4})) == ChangeResult::kAccepted);
  }
  bool is_learner() { return solo.raft().configuration().find(4)->role == MemberRole::kLearner; }
  // False: it was promoted.
  bool tick(int count, size_t delay) {
    for (int i = 0; i < count && is_learner(); ++i) {
      for (int entry = 0; entry < 5; ++entry) solo.propose("x");
      solo.sync();
      had.push_back(solo.raft().last().index);
      if (voter_accepts) solo.accept(2, 1, had.back());
      if (had.size() > delay) solo.accept(4, 1, had[had.size() - 1 - delay]);
      solo.answer({2, 4});
      solo.tick();
    }
    return is_learner();
  }
  Solo solo;
  std::vector<Index> had;
  bool voter_accepts = true;
};

TEST_CASE("a learner whose acknowledgements are long under way is promoted once it has, within an election timeout, what the leader had") {
  BusyLeader leader;
  CHECK(leader.tick(6, 6));
  CHECK(leader.solo.peer(4).match == 0);
  CHECK_FALSE(leader.tick(20, 6));
  CHECK(leader.solo.raft().last().index - leader.solo.peer(4).match > 20);
}

TEST_CASE("a learner that takes longer than an election timeout for what the leader had is not promoted") {
  BusyLeader leader;
  CHECK(leader.tick(60, 12));
}

TEST_CASE("a learner that acknowledged one append and then nothing is not promoted, however much is on its way to it") {
  BusyLeader leader;
  CHECK(leader.tick(2, 1));
  REQUIRE(leader.solo.peer(4).match != 0);
  for (int i = 0; i < 20; ++i) {
    leader.solo.tick();
    leader.solo.answer({2, 4});
    CHECK(leader.is_learner());
  }
}

TEST_CASE("a learner whose last round was short, but that acknowledges nothing since, is not promoted") {
  BusyLeader leader;
  // Nothing is committed meanwhile, and so nobody promoted.
  leader.voter_accepts = false;
  CHECK(leader.tick(14, 6));
  for (int i = 0; i < 12; ++i) {
    leader.solo.tick();
    leader.solo.answer({2, 4});
  }
  leader.solo.accept(2, 1, leader.solo.raft().last().index);
  for (int i = 0; i < 3; ++i) {
    leader.solo.tick();
    leader.solo.answer({2, 4});
    CHECK(leader.is_learner());
  }
}

TEST_CASE("a joint configuration commits only with both majorities") {
  const auto solo = ready_leader();
  REQUIRE(change(*solo, make_configuration({1, 2})) == ChangeResult::kAccepted);
  solo->sync();
  // 1 and 3 are a majority of the old three, but not of the new two.
  solo->accept(3, 1, 2);
  CHECK(solo->raft().commit_index() == 1);
  solo->accept(2, 1, 2);
  CHECK(solo->raft().commit_index() == 2);
}

TEST_CASE("a leader that was elected while it leaves finishes the change, and leaves") {
  Configuration joint = make_configuration({1, 2, 3});
  joint.members[0].role = MemberRole::kOutgoing;
  Solo solo({.configuration = joint});
  solo.lead();
  REQUIRE(solo.raft().role() == raft::Role::kLeader);
  for (const NodeId peer : {2u, 3u}) solo.accept(peer, 1, 1);
  solo.tick();
  CHECK(solo.raft().configuration() == make_configuration({2, 3}));
  solo.sync();
  solo.accept(2, 1, 2);
  CHECK(solo.raft().role() == raft::Role::kLeader);
  solo.sent();
  solo.accept(3, 1, 2);
  CHECK(solo.raft().commit_index() == 2);
  CHECK(solo.raft().role() == raft::Role::kFollower);
  // The others are told of the commit before it goes.
  CHECK(solo.last_sent<raft::AppendEntries>()->leader_commit == 2);
  solo.tick(100);
  CHECK(solo.raft().role() == raft::Role::kFollower);
}

// Node 3, which was taken in by one entry and is dropped by the next; of either it does not know after a restart whether it is
// committed, unless `applied` says so.
Solo removed_voter(Index applied) {
  SoloOptions options;
  options.self = 3;
  options.configuration = make_configuration({1, 2});
  options.hard_state.term = 1;
  options.log = make_log(1, 2);
  for (const Index index : {1u, 2u}) {
    const Configuration configuration = index == 1 ? make_configuration({1, 2, 3}) : make_configuration({1, 2});
    options.log[index - 1].kind = raft::EntryKind::kConfiguration;
    options.log[index - 1].payload = make_payload(raft::encode_configuration(configuration));
  }
  options.applied = applied;
  return Solo(options);
}

TEST_CASE("who was dropped by an entry that may not be committed campaigns, though it knows no committed configuration with it") {
  // The others may have restarted without that entry, and nobody with a shorter log gets a vote of this node.
  Solo solo = removed_voter(0);
  solo.tick_to_timeout();
  const auto asked = solo.last_sent<raft::RequestVote>();
  REQUIRE(asked.has_value());
  CHECK(asked->pre_vote);
  CHECK(asked->last.index == 2);
}

TEST_CASE("who knows that the entry that dropped it is committed does not campaign") {
  Solo solo = removed_voter(2);
  solo.sent();
  solo.tick(200);
  CHECK_FALSE(solo.last_sent<raft::RequestVote>().has_value());
}

TEST_CASE("a member that was removed and is added again before it was told goes on as a member") {
  const auto solo = ready_leader();
  REQUIRE(change(*solo, make_configuration({1, 2})) == ChangeResult::kAccepted);
  solo->sync();
  solo->accept(2, 1, 2);
  solo->sync();
  solo->accept(2, 1, 3);
  REQUIRE(solo->raft().commit_index() == 3);
  REQUIRE(solo->raft().configuration() == make_configuration({1, 2}));
  REQUIRE(change(*solo, make_configuration({1, 2, 3})) == ChangeResult::kAccepted);
  solo->sync();
  // Longer than a leader goes on telling one that is gone.
  for (int i = 0; i < 100; ++i) {
    solo->tick();
    solo->accept(2, 1, 4);
  }
  REQUIRE(solo->raft().commit_index() == 4);
  CHECK(solo->raft().peers().size() == 2);
  solo->accept(3, 1, 4);
  solo->tick();
  // It is asked who lives before a joint configuration begins.
  solo->answer({2, 3});
  solo->tick();
  CHECK(solo->raft().configuration().find(3)->role == MemberRole::kIncoming);
}

TEST_CASE("who is told by a member that it was removed asks for no votes until a leader speaks to it") {
  Solo solo;
  solo.tick_to_timeout();
  CHECK(solo.raft().role() == raft::Role::kPreCandidate);
  CHECK(solo.raft().told_of_removal());
  CHECK(solo.raft().was_told_of_removal());
  CHECK(solo.raft().role() == raft::Role::kFollower);
  solo.sent();
  solo.tick(500);
  CHECK_FALSE(solo.last_sent<raft::RequestVote>().has_value());
  solo.append({.node = 2, .term = 1}, {}, {});
  CHECK_FALSE(solo.raft().was_told_of_removal());
  solo.tick_to_timeout();
  CHECK(solo.last_sent<raft::RequestVote>().has_value());
}

TEST_CASE("nobody believes that it was removed while a leader speaks to it, or if it is no member by what it knows") {
  Solo led;
  led.append({.node = 2, .term = 1}, {}, {});
  CHECK_FALSE(led.raft().told_of_removal());
  const auto leader = ready_leader();
  CHECK_FALSE(leader->raft().told_of_removal());
  CHECK(leader->raft().role() == raft::Role::kLeader);
  SoloOptions outside;
  outside.configuration = make_configuration({2, 3});
  CHECK_FALSE(Solo(outside).raft().told_of_removal());
}

TEST_CASE("answers of a node that was removed raise no term") {
  const auto solo = ready_leader();
  solo->step(9, 50, raft::AppendEntriesReply{});
  CHECK(solo->raft().role() == raft::Role::kLeader);
  CHECK(solo->raft().term() == 1);
}

}  // namespace
}  // namespace leto::raft_test
