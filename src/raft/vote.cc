// RequestVote and its reply (sections 5.2 and 5.4.1), and the pre-vote that asks first (thesis 9.6).
#include <algorithm>
#include <cinttypes>

#include "base/assert.h"
#include "base/format.h"
#include "raft/state.h"

namespace leto::raft {

// Whoever heard a leader within the shortest election timeout, or as long as that relies on, helps nobody to unseat it (thesis
// 4.2.3, and what a lease relies on). It goes by when ANY leader was heard: learning of a higher term, which forgets who leads, must
// not end the promise.
bool Raft::State::protects_leader() const { return leads() || now < silent_until; }

void Raft::State::promise_silence(uint64_t silence_ticks) {
  // No more than a leader may rely on, whatever a message says.
  const uint64_t relied_on = std::min<uint64_t>(silence_ticks, options.silence_ticks_max);
  silent_until = std::max(silent_until, now + std::max<uint64_t>(options.election_ticks, relied_on));
}

// What this node promised before it was started is not known any more.
bool Raft::State::just_started() const { return now < std::max<uint64_t>(options.election_ticks, options.silence_ticks_max); }

// Null if the request deserves an answer of substance. An ignored RequestVote does not raise the term
// either: else a node that nobody needs could unseat a healthy leader (scenario 30).
const char* Raft::State::reason_to_ignore(const Message& message, const RequestVote& request) const {
  if (lost_tail) return "D16: the tail of the log was lost";
  if (just_started()) return "D18: it has just started";
  if (message.term > term() && !request.transfer && protects_leader()) return "the leader was heard lately";
  return nullptr;
}

void Raft::State::on_request_vote(const Message& message) {
  const RequestVote& request = std::get<RequestVote>(message.body);
  if (const char* why = reason_to_ignore(message, request)) return drop(message, why);
  if (message.term > term()) become_follower(message.term, kNobody, "asked for a vote in a newer term");
  const bool may_vote = voted_for() == kNobody || voted_for() == message.from;
  if (message.term < term() || !may_vote || leads() || request.last < log.last()) return refuse_vote(message);
  grant_vote(message);
}

// D2: the grant leaves after {term, vote} is durable.
void Raft::State::grant_vote(const Message& message) {
  LETO_ASSERT(!lost_tail, "D16: a vote of a node that lost the tail of its log");
  LETO_ASSERT(!just_started(), "D18: a vote right behind the start");
  become_follower(term(), leader, "voted for another candidate");
  reset_election_timer();
  writes.set_hard_state({.term = term(), .voted_for = message.from});
  send_when_durable(to(message.from, RequestVoteReply{.pre_vote = false, .granted = true}));
}

// A refusal carries this node's term, so that whoever is behind learns it (scenario 12).
void Raft::State::refuse_vote(const Message& message) {
  const RequestVote& request = std::get<RequestVote>(message.body);
  send(to(message.from, RequestVoteReply{.pre_vote = request.pre_vote, .granted = false}));
}

// Changes nothing here, whatever it carries. A grant carries the term that was asked about.
void Raft::State::on_pre_vote(const Message& message) {
  const RequestVote& request = std::get<RequestVote>(message.body);
  const bool is_behind = message.term <= term() || request.last < log.last();
  if (is_behind || reason_to_ignore(message, request)) return refuse_vote(message);
  Message reply = to(message.from, RequestVoteReply{.pre_vote = true, .granted = true});
  reply.term = message.term;
  output.send_now.push_back(std::move(reply));
}

// Only grants of the very question that is open count (scenarios 10 and 11).
void Raft::State::on_vote_reply(const Message& message) {
  const RequestVoteReply& reply = std::get<RequestVoteReply>(message.body);
  if (!reply.granted) return drop(message, "the vote was refused");
  const bool is_open = reply.pre_vote ? role == Role::kPreCandidate && message.term == term() + 1
                                      : role == Role::kCandidate && message.term == term();
  if (!is_open) return drop(message, "a vote for a candidacy that is over");
  if (std::find(granted.begin(), granted.end(), message.from) != granted.end())
    return drop(message, "a vote that was counted already");
  if (!configuration().is_voter(message.from)) return drop(message, "a vote of a node that is no voter");
  granted.push_back(message.from);
  win_if_quorum();
}

}  // namespace leto::raft
