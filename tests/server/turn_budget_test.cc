// What one turn of a node does when there is more to do than its time allows. The clock goes on whenever somebody looks
// at it, so that every budget of time is over at the first look.
#include <doctest/doctest.h>

#include <algorithm>

#include "fake_environment.h"

namespace leto::server::test {
namespace {

class SteppingClock final : public Clock {
 public:
  uint64_t monotonic_us() override { return now_us += step_us; }
  uint64_t wall_ms() override { return 1700000000000; }
  uint64_t now_us = 1000000;
  uint64_t step_us = 0;
};

// Node 1 of some voters; the others vote for it and take what it appends.
struct HurriedNode {
  explicit HurriedNode(size_t voters) {
    node.emplace(options, Environment{disk, keys, snapshots, network, clock, waker}, NodeUnderTest::start_of(voters));
  }
  // False if nothing is left for another.
  bool one_turn() {
    waker.woken = false;
    node->on_loop_turn();
    return waker.woken;
  }
  int turns_to_the_end() {
    int turns = 1;
    while (one_turn()) ++turns;
    return turns;
  }
  void finish_disk() {
    while (disk.busy()) {
      disk.finish(storage::WriteResult::kDurable);
      turns_to_the_end();
    }
  }
  void answer_messages() {
    for (const raft::Message& message : std::exchange(network.sent, {})) {
      raft::Message reply{.from = message.to, .to = message.from, .term = message.term, .body = {}};
      if (const auto* vote = std::get_if<raft::RequestVote>(&message.body)) {
        reply.body = raft::RequestVoteReply{.pre_vote = vote->pre_vote, .granted = true};
      } else if (const auto* append = std::get_if<raft::AppendEntries>(&message.body)) {
        reply.body = raft::AppendEntriesReply{.accepted = true,
                                              .match = append->previous.index + append->entries.size(),
                                              .previous_index = append->previous.index,
                                              .hint = {},
                                              .read_counter = append->read_counter};
      }
      node->on_message(reply);
    }
  }
  void lead() {
    for (int tick = 0; tick < 400 && !node->raft().leads_and_committed_in_term(); ++tick) {
      clock.now_us += kTickMs * 1000;
      node->on_tick();
      turns_to_the_end();
      finish_disk();
      answer_messages();
      turns_to_the_end();
    }
    REQUIRE(node->raft().leads_and_committed_in_term());
  }
  // From here on one look at the clock is more than a turn may take.
  void hurry() { clock.step_us = 3000; }
  void hear_leader_2() {
    raft::AppendEntries heartbeat;
    heartbeat.previous = {.term = 1, .index = 1};
    node->on_message({.from = 2, .to = 1, .term = node->raft().term() + 1, .body = heartbeat});
  }

  Options options;
  FakeLogDisk disk;
  FakeKeysDisk keys;
  FakeSnapshotDisk snapshots;
  FakeNetwork network;
  SteppingClock clock;
  FakeWaker waker;
  std::optional<Node> node;
};

int lines_of(const SessionRef& session) {
  const std::string& output = session->output();
  return static_cast<int>(std::count(output.begin(), output.end(), '\n'));
}

// So many writes, answered once node 2 leads: here are the first two turns of that.
void fail_writes(HurriedNode& test, const SessionRef& session, int writes) {
  for (int write = 0; write < writes; ++write) test.node->execute(session, std::vector<std::string_view>{"SET", "k", "v"});
  test.turns_to_the_end();
  REQUIRE(lines_of(session) == 0);
  test.hurry();
  test.hear_leader_2();
  test.one_turn();
  test.one_turn();
  CHECK(lines_of(session) > 0);
}

TEST_CASE("writes lost with the leadership are told so over several turns, all of them, in order") {
  constexpr int kWrites = 1000;
  HurriedNode test(3);
  test.lead();
  const SessionRef session = test.node->open_session();
  fail_writes(test, session, kWrites);
  CHECK(lines_of(session) < kWrites / 2);
  test.node->execute(session, std::vector<std::string_view>{"SET", "k", "w"});
  test.turns_to_the_end();
  CHECK(lines_of(session) == kWrites + 1);
  CHECK(session->output().starts_with("-UNKNOWN outcome"));
  CHECK(session->output().ends_with("-not leader\r\n"));
}

TEST_CASE("writes that waited for a leader in vain are answered over several turns") {
  constexpr int kWrites = 1000;
  HurriedNode test(3);
  const SessionRef session = test.node->open_session();
  fail_writes(test, session, kWrites);
  CHECK(lines_of(session) < kWrites);
  test.turns_to_the_end();
  CHECK(lines_of(session) == kWrites);
}

TEST_CASE("large values are proposed a few at a time, and applied one at a time") {
  constexpr int kWrites = 8;
  HurriedNode test(1);
  test.lead();
  const SessionRef session = test.node->open_session();
  const std::string value(700000, 'v');
  for (int write = 0; write < kWrites; ++write) test.node->execute(session, std::vector<std::string_view>{"SET", "k", value});
  test.hurry();
  const raft::Index before = test.node->raft().last().index;
  CHECK(test.one_turn());
  CHECK(test.node->raft().last().index > before);
  CHECK(test.node->raft().last().index <= before + 2);
  test.turns_to_the_end();
  REQUIRE(test.node->raft().last().index >= before + kWrites - 1);
  test.disk.finish(storage::WriteResult::kDurable);
  test.turns_to_the_end();
  REQUIRE(test.disk.busy());
  const raft::Index applied = test.node->raft().applied_index();
  test.disk.finish(storage::WriteResult::kDurable);
  CHECK(test.one_turn());
  CHECK(test.node->raft().applied_index() <= applied + 1);
  test.turns_to_the_end();
  test.finish_disk();
  CHECK(lines_of(session) == kWrites);
}

TEST_CASE("reads of one round are served over several turns") {
  constexpr int kReads = 50;
  HurriedNode test(3);
  test.lead();
  std::vector<SessionRef> sessions;
  for (int read = 0; read < kReads; ++read) {
    sessions.push_back(test.node->open_session());
    test.node->execute(sessions.back(), std::vector<std::string_view>{"GET", "k"});
  }
  test.turns_to_the_end();
  test.hurry();
  test.answer_messages();
  CHECK(test.turns_to_the_end() >= kReads / 2);
  for (const SessionRef& session : sessions) CHECK(session->output() == "$-1\r\n");
}

}  // namespace
}  // namespace leto::server::test
