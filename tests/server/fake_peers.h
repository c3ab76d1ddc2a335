// The other members of a cluster, played by hand: they vote for the node under test and accept what it appends.
#pragma once

#include <doctest/doctest.h>

#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "fake_environment.h"

namespace leto::server::test {

// A vote for who asks for one, and the acceptance of an append; nothing to other messages.
inline std::optional<raft::Message> willing_answer_to(const raft::Message& message) {
  raft::Message reply{.from = message.to, .to = message.from, .term = message.term, .body = {}};
  if (const auto* vote = std::get_if<raft::RequestVote>(&message.body)) {
    reply.body = raft::RequestVoteReply{.pre_vote = vote->pre_vote, .granted = true};
  } else if (const auto* append = std::get_if<raft::AppendEntries>(&message.body)) {
    reply.body = raft::AppendEntriesReply{.accepted = true,
                                          .match = append->previous.index + append->entries.size(),
                                          .previous_index = append->previous.index,
                                          .hint = {},
                                          .read_counter = append->read_counter};
  } else {
    return std::nullopt;
  }
  return reply;
}

class FakePeers {
 public:
  FakePeers(NodeUnderTest& test, std::set<raft::NodeId> nodes) : answering(std::move(nodes)), test_(test) {}

  // Answers what was sent; false if there was nothing to answer. The node has no turn in between.
  bool answer() {
    bool answered = false;
    for (const raft::Message& message : std::exchange(test_.network.sent, {})) {
      if (!answering.contains(message.to)) continue;
      if (!takes(message)) continue;
      const std::optional<raft::Message> reply = willing_answer_to(message);
      if (!reply) continue;
      test_.node->on_message(*reply);
      answered = true;
    }
    return answered;
  }
  // Brings messages and answers to and fro, and finishes the disk's jobs, until nobody says anything more.
  void exchange() {
    for (int round = 0; round < 100; ++round) {
      test_.finish_all_disk();
      if (!answer()) return;
    }
  }
  void ticks(int count) {
    for (int tick = 0; tick < count; ++tick) {
      test_.ticks(1);
      exchange();
    }
  }
  // Until the node leads, and has committed in its term if appends are answered.
  void elect() {
    const auto done = [this] {
      const raft::Raft& raft = test_.node->raft();
      return accept_appends ? raft.leads_and_committed_in_term() : raft.role() == raft::Role::kLeader;
    };
    for (int tick = 0; tick < 300 && !done(); ++tick) ticks(1);
    REQUIRE(done());
  }

  std::set<raft::NodeId> answering;
  bool accept_appends = true;   // Heartbeats, too.
  bool accept_entries = true;
  std::set<raft::NodeId> takes_no_entries;   // Of those that answer; heartbeats they accept.

 private:
  bool takes(const raft::Message& message) const {
    const auto* append = std::get_if<raft::AppendEntries>(&message.body);
    if (!append) return true;
    return accept_appends && (append->entries.empty() || (accept_entries && !takes_no_entries.contains(message.to)));
  }

  NodeUnderTest& test_;
};

// The leader of a cluster in which nodes 2 and 3 answer; it has committed in its term.
struct LeaderUnderTest : NodeUnderTest {
  explicit LeaderUnderTest(size_t voters = 3) : NodeUnderTest(voters), peers(*this, {2, 3}) { peers.elect(); }

  FakePeers peers;
};

}  // namespace leto::server::test
