// Reads of a pipeline beside what did not go well: a write whose outcome is unknown, a read that has to ask again.
#include <doctest/doctest.h>

#include "fake_environment.h"
#include "fake_leader.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

TEST_CASE("a read not yet served before a proposed write that ends UNKNOWN fails, and does not run behind it") {
  LeaderUnderTest test;
  test.peers.accept_appends = false;
  const SessionRef session = test.node->open_session();
  test.send(session, {"GET", "k"});
  test.turn();
  test.send(session, {"SET", "k", "v"});
  test.turn();
  CHECK(session->output().empty());
  test.lose_leadership_to(3);
  const std::string replies = test.take(session);
  CHECK(replies.starts_with("-CLUSTERDOWN the outcome of a later write of this connection is unknown\r\n-UNKNOWN "));
}

TEST_CASE("a read that no quorum has confirmed when a later write of its connection is applied runs right before it") {
  LeaderUnderTest test;
  const SessionRef session = test.node->open_session();
  test.send(session, {"GET", "k"});
  test.turn();
  test.send(session, {"SET", "k", "v"});
  test.finish_all_disk();
  raft::AppendEntriesReply accepted;
  accepted.accepted = true;
  accepted.match = test.node->raft().last().index;
  test.node->on_message({.from = 2, .to = 1, .term = test.node->raft().term(), .body = accepted});
  test.turn();
  CHECK(test.take(session) == "$-1\r\n+OK\r\n");
}

TEST_CASE("D14: a write that was proposed ends UNKNOWN when the leader steps down, in the same term too") {
  LeaderUnderTest test;
  const raft::Term term = test.node->raft().term();
  test.peers.answering = {};
  const SessionRef session = test.node->open_session();
  test.send(session, {"SET", "k", "v"});
  test.finish_all_disk();
  CHECK(session->output().empty());
  for (int tick = 0; tick < 200 && test.node->raft().role() == raft::Role::kLeader; ++tick) test.ticks(1);
  REQUIRE(test.node->raft().role() != raft::Role::kLeader);
  REQUIRE(test.node->raft().term() == term);
  CHECK(test.take(session).starts_with("-UNKNOWN outcome: this node lost leadership"));
}

TEST_CASE("a read that asks again is taken along by the next one of its connection, and sees no later state") {
  FollowerUnderTest test;
  const SessionRef session = test.node->open_session();
  std::vector<uint64_t> contexts;
  for (const char* key : {"a", "b"}) {
    test.send(session, {"GET", key});
    test.turn();
    for (const raft::Message& message : std::exchange(test.network.sent, {})) {
      const auto* request = std::get_if<raft::ReadIndexRequest>(&message.body);
      if (request != nullptr) contexts.push_back(request->context);
    }
  }
  REQUIRE(contexts.size() == 2);
  const auto answer = [&](uint64_t context, bool ok) {
    raft::ReadIndexReply reply;
    reply.context = context;
    reply.ok = ok;
    reply.index = ok ? 1 : 0;
    test.node->on_message({.from = 2, .to = 1, .term = 2, .body = reply});
    test.turn();
  };
  answer(contexts[0], false);
  CHECK(session->output().empty());
  answer(contexts[1], true);
  CHECK(test.take(session) == "$-1\r\n$-1\r\n");
}

}  // namespace
}  // namespace leto::server::test
