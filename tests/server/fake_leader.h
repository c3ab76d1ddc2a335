// A follower under test whose clients' writes are forwarded, and its leader played by hand.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "fake_environment.h"

namespace leto::server::test {

class FollowerUnderTest : public NodeUnderTest {
 public:
  FollowerUnderTest() : NodeUnderTest(3) {
    options.follower_writes = FollowerWrites::kForward;
    follow(2, 2);
  }
  // Long enough for what was paused, and not for an election.
  void pause() {
    ticks(3);
    finish_all_disk();
  }
  // As one that hears its leader.
  void pass(uint64_t milliseconds, raft::NodeId leader = 2, raft::Term term = 2) {
    for (uint64_t passed = 0; passed < milliseconds; passed += 10 * kTickMs) {
      follow(leader, term);
      ticks(10);
    }
    follow(leader, term);
  }
  // The frames that were sent since the last call.
  std::vector<peer::Forward> taken() {
    turn();
    return std::exchange(network.forwards, {});
  }
  static std::string words(const peer::Forward& forward) {
    std::string text;
    for (const peer::ForwardedRequest& request : forward.requests) {
      if (!text.empty()) text += "; ";
      const std::vector<std::string>& arguments = request.commands.front().arguments;
      for (size_t i = 0; i < arguments.size(); ++i) text += (i == 0 ? "" : " ") + arguments[i];
    }
    return text;
  }
  static peer::ForwardReply reply_to(const peer::Forward& forward) {
    return {.from = forward.to, .to = forward.from, .term = forward.term, .life = forward.life,
            .stream = forward.stream, .applied = 1, .answers = {}};
  }
  void reply(const peer::ForwardReply& answers) {
    node->on_forward_reply(answers);
    turn();
  }
  void answer(const peer::Forward& forward, uint64_t number, const std::string& text, raft::Index applied = 1) {
    peer::ForwardReply answers = reply_to(forward);
    answers.applied = applied;
    answers.answers = {{.number = number, .taken = !text.empty(), .reply = text}};
    reply(answers);
  }
  void close_from(const peer::Forward& forward, uint64_t number) {
    peer::ForwardReply answers = reply_to(forward);
    answers.closed_from = number;
    reply(answers);
  }
  // An entry of the leader's comes, behind the others, and is committed.
  void append(raft::EntryKind kind, std::string payload) {
    bring(kind, std::move(payload));
    finish_all_disk();
  }
  // The same; the node has had no turn yet.
  void bring(raft::EntryKind kind, std::string payload) {
    raft::AppendEntries append;
    append.previous = {.term = last == 1 ? 1u : 2u, .index = last};
    append.leader_commit = ++last;
    append.entries = {{.id = {.term = 2, .index = last}, .kind = kind,
                       .payload = std::make_shared<const std::string>(std::move(payload))}};
    node->on_message({.from = 2, .to = 1, .term = 2, .body = append});
  }
  // The cluster goes on without this node.
  void remove() {
    raft::Configuration rest = node->members();
    rest.members.erase(rest.members.begin());
    append(raft::EntryKind::kConfiguration, raft::encode_configuration(rest));
  }
  raft::Index last = 1;
};

}  // namespace leto::server::test
