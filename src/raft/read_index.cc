// Linearizable reads without a log entry (section 8; thesis 6.4): at the leader by a quorum's answer or a
// lease, at a follower by asking the leader. D13, D14, D18.
#include <algorithm>
#include <cinttypes>

#include "base/assert.h"
#include "base/format.h"
#include "raft/state.h"

namespace leto::raft {

namespace {

// Clocks may differ by an eighth; a tick that is counted may just have begun at one end and be about to end at the other; and
// whoever heard the leader may have been behind its own clock then, and make up for it.
uint64_t lease_ticks(uint64_t silence) {
  const uint64_t slack = silence / 8 + 2 + kTicksOwedMax;
  return silence > slack ? silence - slack : 0;
}

}  // namespace

void Raft::State::read_index(uint64_t context) {
  if (leads()) return add_context({.from = self, .context = context});
  if (leader == kNobody || forwarded_reads.size() >= kReadContextsMax)
    return answer_read({.from = self, .context = context}, false, 0);
  forwarded_reads.push_back({.context = context, .asked_at = now});
  send(to(leader, ReadIndexRequest{.context = context}));
}

void Raft::State::on_read_request(const Message& message) {
  const ReadContext context{.from = message.from,
                            .context = std::get<ReadIndexRequest>(message.body).context};
  if (!leads() || message.term != term()) return answer_read(context, false, 0);
  if (!progress_of(message.from)) return drop(message, "not a member");
  add_context(context);
}

void Raft::State::add_context(ReadContext context) {
  if (options.lease_reads && lease_holds()) return answer_read(context, true, commit);
  if (leading.contexts >= kReadContextsMax) return answer_read(context, false, 0);
  leading.waiting.push_back(context);
  ++leading.contexts;
}

void Raft::State::answer_read(const ReadContext& context, bool ok, Index index) {
  if (context.from == self) {
    // D9: between switch and swap no linearizable read runs, on the old keyspace neither.
    const Index at = installing ? std::max(index, installing->index) : index;
    output.reads.push_back({.context = context.context, .ok = ok, .index = ok ? at : 0});
    return;
  }
  send(to(context.from, ReadIndexReply{.context = context.context, .ok = ok, .index = index, .cluster_time_ms = 0}));
}

// Until an entry of its term is committed a leader does not know what is (scenario 17).
bool Raft::State::round_is_due() const { return leads_and_committed_in_term() && !leading.waiting.empty(); }

void Raft::State::start_round() {
  note_round_sent();
  leading.rounds.push_back({.counter = leading.read_counter, .index = commit, .contexts = std::move(leading.waiting)});
  leading.waiting.clear();
  for (Progress& peer : leading.peers)
    if (configuration().is_voter(peer.node)) peer.heartbeat_due = true;
  serve_rounds();
}

// D13: the counter is the leader's own, given after the contexts arrived.
void Raft::State::note_round_sent() {
  ++leading.read_counter;
  // Nobody answers an only voter, and its lease needs no answers.
  if (is_only_voter()) return;
  if (leading.lease_rounds.empty() || leading.lease_rounds.back().tick != now)
    leading.lease_rounds.push_back({.counter = leading.read_counter, .tick = now});
}

bool Raft::State::quorum_answered(const Configuration& voters, uint64_t counter) const {
  return voters.has_quorum([&](NodeId node) {
    const Progress* peer = progress_of(node);
    return node == self || (peer && peer->read_counter >= counter);
  });
}

void Raft::State::serve_rounds() {
  while (!leading.rounds.empty() && quorum_answered(configuration(), leading.rounds.front().counter)) {
    const ReadRound round = std::move(leading.rounds.front());
    leading.rounds.pop_front();
    LETO_ASSERT(leads_and_committed_in_term() && round.index >= leading.term_start && round.index <= commit,
                base::format("D13: read at %" PRIu64 ", term starts at %" PRIu64, round.index, leading.term_start));
    leading.contexts -= round.contexts.size();
    for (const ReadContext& context : round.contexts) answer_read(context, true, round.index);
  }
  while (!leading.lease_rounds.empty() && quorum_answered(configuration(), leading.lease_rounds.front().counter)) {
    const CounterSent& sent = leading.lease_rounds.front();
    if (sent.counter >= leading.lease_counter_min) leading.lease_from = sent.tick;
    leading.lease_rounds.pop_front();
  }
}

bool Raft::State::lease_holds() const {
  if (!leads_and_committed_in_term() || leading.lease_given_up || leading.transfer_to != kNobody) return false;
  if (is_only_voter()) return true;
  return leading.lease_from && now < *leading.lease_from + lease_ticks(silence_relied_on());
}

uint16_t Raft::State::silence_relied_on() const {
  const uint64_t max = options.silence_ticks_max != 0 ? options.silence_ticks_max : UINT16_MAX;
  return static_cast<uint16_t>(std::min<uint64_t>(options.election_ticks, max));
}

// Only rounds sent from now on can make a lease again.
void Raft::State::drop_lease() {
  leading.lease_from.reset();
  leading.lease_counter_min = leading.read_counter + 1;
  leading.lease_rounds.clear();
}

void Raft::State::fail_leader_reads() {
  for (const ReadRound& round : leading.rounds)
    for (const ReadContext& context : round.contexts) answer_read(context, false, 0);
  for (const ReadContext& context : leading.waiting) answer_read(context, false, 0);
  leading.rounds.clear();
  leading.waiting.clear();
  leading.contexts = 0;
}

// A context that was answered is gone, so a second answer finds none (scenario 18).
void Raft::State::on_read_reply(const Message& message) {
  const ReadIndexReply& reply = std::get<ReadIndexReply>(message.body);
  const auto asked = std::find_if(forwarded_reads.begin(), forwarded_reads.end(),
                                  [&](const ForwardedRead& read) { return read.context == reply.context; });
  if (asked == forwarded_reads.end()) return drop(message, "no read waits for it");
  forwarded_reads.erase(asked);
  answer_read({.from = self, .context = reply.context}, reply.ok, reply.ok ? reply.index : 0);
}

void Raft::State::fail_forwarded_reads() {
  for (const ForwardedRead& read : forwarded_reads) answer_read({.from = self, .context = read.context}, false, 0);
  forwarded_reads.clear();
}

void Raft::State::tick_forwarded_reads() {
  while (!forwarded_reads.empty() && now - forwarded_reads.front().asked_at >= options.election_ticks) {
    answer_read({.from = self, .context = forwarded_reads.front().context}, false, 0);
    forwarded_reads.pop_front();
  }
}

}  // namespace leto::raft
