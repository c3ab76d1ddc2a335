// The other members of a cluster, played by hand: they vote for the node under test and accept what it appends.
#pragma once

#include <set>
#include <utility>
#include <variant>

#include "fake_environment.h"

namespace leto::server::test {

class FakePeers {
 public:
  FakePeers(NodeUnderTest& test, std::set<raft::NodeId> nodes) : answering(std::move(nodes)), test_(test) {}

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
  }
  raft::Message heartbeat_of(raft::NodeId leader, raft::Term term) const {
    raft::AppendEntries heartbeat;
    heartbeat.previous = {.term = 1, .index = 1};
    return {.from = leader, .to = 1, .term = term, .body = heartbeat};
  }

  std::set<raft::NodeId> answering;
  bool accept_appends = true;   // Heartbeats, too.
  bool accept_entries = true;
  std::set<raft::NodeId> takes_no_entries;   // Of those that answer; heartbeats they accept.

 private:
  // False if there was nothing to answer.
  bool answer() {
    bool answered = false;
    for (const raft::Message& message : std::exchange(test_.network.sent, {})) {
      if (!answering.contains(message.to)) continue;
      raft::Message reply{.from = message.to, .to = message.from, .term = message.term, .body = {}};
      if (const auto* vote = std::get_if<raft::RequestVote>(&message.body)) {
        reply.body = raft::RequestVoteReply{.pre_vote = vote->pre_vote, .granted = true};
      } else if (const auto* append = std::get_if<raft::AppendEntries>(&message.body)) {
        const bool takes_entries = accept_entries && !takes_no_entries.contains(message.to);
        if (!accept_appends || (!takes_entries && !append->entries.empty())) continue;
        reply.body = raft::AppendEntriesReply{.accepted = true,
                                              .match = append->previous.index + append->entries.size(),
                                              .previous_index = append->previous.index,
                                              .hint = {},
                                              .read_counter = append->read_counter};
      } else {
        continue;
      }
      test_.node->on_message(reply);
      answered = true;
    }
    return answered;
  }

  NodeUnderTest& test_;
};

}  // namespace leto::server::test
