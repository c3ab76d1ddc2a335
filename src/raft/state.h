// Everything one Raft core knows, and the map of its parts: one source file for each RPC or subject, all
// of them members of this one struct. Private to src/raft.
//
// Invariants (check_invariants() in invariants.cc asserts them): base <= applied <= handed_out <= commit <= last,
// except that base is beyond applied while a snapshot is being installed; handed_out <= durable; applied == base while the
// state is lacking; a leader's commit <= durable; the term in memory is the newest one asked to be written; nothing but a leader has a
// Leading that is in use.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "raft/configuration.h"
#include "raft/log.h"
#include "raft/progress.h"
#include "raft/raft.h"
#include "raft/writes.h"

namespace leto::raft {

// Read contexts that wait at one node, its own and those of followers; beyond it they are answered "no".
inline constexpr size_t kReadContextsMax = 16384;
// A leader sends again what was not acknowledged for so many heartbeats; doubled at each repetition, so
// often at most.
inline constexpr uint64_t kStallHeartbeats = 4;
inline constexpr uint32_t kStallDoublingsMax = 3;
// A peer whose snapshot failed is named again after so many heartbeats.
inline constexpr uint64_t kSnapshotRetryHeartbeats = 4;
// Whoever lacks its state campaigns after so many election timeouts only: it may have entries that nobody else has, so that
// nobody else can be elected; but then it leads only until another one has them, too.
inline constexpr uint64_t kReluctance = 4;
// An entry counts with its bytes and so many more wherever a size is bounded, so that empty ones count too.
inline constexpr size_t kEntryOverhead = 32;
inline size_t cost_of(const Entry& entry) { return entry.size() + kEntryOverhead; }
// Terms and indexes from a peer at or beyond it are nonsense.
inline constexpr uint64_t kTermEnd = uint64_t{1} << 63;
inline constexpr uint64_t kIndexEnd = uint64_t{1} << 62;

struct ReadContext {
  NodeId from = kNobody;  // Who asked: this node's own client, or a follower.
  uint64_t context = 0;
};

// All contexts that arrived between two take()s: served by a quorum that answers `counter` (D13).
struct ReadRound {
  uint64_t counter = 0;
  Index index = 0;
  std::vector<ReadContext> contexts;
};

struct CounterSent {
  uint64_t counter = 0;
  uint64_t tick = 0;
};

// A round of heartbeats that was sent because a configuration with other majorities is wanted.
struct LiveRound {
  Configuration wanted;
  uint64_t counter = 0;    // 0: there is none.
  uint64_t sent_at = 0;    // Ticks.
  uint64_t asked_at = 0;   // When it was last wanted.
};

// What only a leader knows; made anew for each term it leads.
struct Leading {
  Index term_start = 0;              // Its first entry: the kNothing of its term.
  std::vector<Progress> peers;       // All other members, and those just dropped; ascending by node.
  uint64_t heartbeat_elapsed = 0;
  size_t uncommitted_bytes = 0;      // Of proposals of this term.

  uint64_t read_counter = 0;         // The highest that was sent.
  std::vector<ReadContext> waiting;  // Arrived, in no round yet.
  std::deque<ReadRound> rounds;
  size_t contexts = 0;               // In `waiting` and `rounds`.

  std::deque<CounterSent> lease_rounds;   // Not yet answered by a quorum; one a tick at most.
  std::optional<uint64_t> lease_from;     // The tick at which the newest confirmed round was sent.
  uint64_t lease_counter_min = 0;         // Lower ones were sent under an older configuration.
  bool lease_given_up = false;            // TimeoutNow was sent in this term: never a lease again in it.

  NodeId transfer_to = kNobody;
  NodeId transfer_tried = kNobody;        // The last of them.
  uint64_t transfer_ticks = 0;

  LiveRound change_round;      // For change_config(),
  LiveRound promotion_round;   // and for learners that have caught up: neither takes the other's away.
};

struct Raft::State {
  State(const Options& options, Recovered recovered);

  // state ------------------------------------------------------------------------------------
  Options options;
  const NodeId self;
  bool lost_tail;                    // From the start on, or since the leader showed it; never unset (D16).
  const bool founding;
  base::Random random;

  Log log;
  WriteQueue writes;                 // Also knows term and vote, and what of all that is durable.
  ConfigurationHistory configurations;
  Index commit = 0;
  Index handed_out = 0;              // Through Output::apply.
  Index applied = 0;
  EntryId agreed;                    // The highest index shown to be equal to the log of the leader of that term.
  std::optional<EntryId> installing; // The last entry of a snapshot that is not swapped in yet.
  bool lacks_state;                  // Until a snapshot was loaded.
  bool apply_is_held = false;
  struct ReceivedSnapshot {
    NodeId from = kNobody;
    uint64_t snapshot = 0;
    EntryId last;
  };
  ReceivedSnapshot received_snapshot;  // The last chunk that was passed on.

  Role role = Role::kFollower;
  NodeId leader = kNobody;
  uint64_t now = 0;                  // Ticks since the start.
  uint64_t election_elapsed = 0;
  uint64_t election_timeout = 0;     // Drawn from [election_ticks, 2 * election_ticks).
  uint64_t silent_until = 0;         // The tick up to which it helps nobody to unseat a leader that it heard.
  bool disk_stalled = false;
  bool transfers_refused = false;
  bool removed_elsewhere = false;    // A member said so, and no leader has spoken since.
  std::vector<NodeId> granted;       // Votes or pre-votes for this candidacy.
  Leading leading;

  struct ForwardedRead {
    uint64_t context = 0;
    uint64_t asked_at = 0;
  };
  std::deque<ForwardedRead> forwarded_reads;  // Asked of the leader, oldest first.

  Output output;                     // send_now, reads and loads since the last take().
  RoleChange reported;
  std::vector<Load> loads_outstanding;
  std::deque<Entry> loaded_for_apply;

  Term term() const { return writes.hard_state().term; }
  NodeId voted_for() const { return writes.hard_state().voted_for; }
  const Configuration& configuration() const { return configurations.latest(); }
  bool leads() const { return role == Role::kLeader; }
  bool leads_and_committed_in_term() const { return leads() && commit >= leading.term_start; }
  // A cluster of this one voter: no other node can be elected, so much of the care is not needed.
  bool is_only_voter() const { return configuration().voter_count() == 1 && configuration().is_voter(self); }

  // raft.cc: messages in, by kind.
  void step(const Message& message);
  bool is_sane(const Message& message) const;
  void step_higher_term(const Message& message);
  void step_lower_term(const Message& message);
  void step_same_term(const Message& message);
  void drop(const Message& message, const char* why) const;
  void tick();

  // election.cc (section 5.2)
  void tick_election();
  bool may_campaign() const;
  bool owes_silence() const;
  void reset_election_timer();
  void forget_silent_leader();
  void ask_pre_votes();
  void campaign(bool transfer);
  void count_own_vote();
  void win_if_quorum();
  void become_follower(Term new_term, NodeId new_leader, const char* why);
  void become_leader();
  void stop_leading();
  void log_role(const char* why) const;
  std::string name_of(NodeId node) const;

  // vote.cc (sections 5.2, 5.4.1; thesis 9.6)
  bool protects_leader() const;
  void promise_silence(uint64_t silence_ticks);
  bool just_started() const;
  const char* reason_to_ignore(const Message& message, const RequestVote& request) const;
  void on_request_vote(const Message& message);
  void on_pre_vote(const Message& message);
  void on_vote_reply(const Message& message);
  void refuse_vote(const Message& message);
  void grant_vote(const Message& message);

  // append_entries.cc (section 5.3, the follower)
  bool is_sane_append(const Message& message) const;
  bool hear_leader(const Message& message);
  void hear_part(NodeId from, Term of);
  bool lacks_acknowledged(const AppendEntries& append) const;
  void admit_lost_tail(const Message& message);
  void on_append_entries(const Message& message);
  void accept_append(const Message& message);
  bool contradicts_committed(const Message& message) const;
  void store_entries(const std::vector<Entry>& entries);
  void append_received(const Entry& entry);
  void truncate_from(Index index);
  void refuse_append(const Message& message);
  void tell_term(const Message& message);

  // replication.cc (section 5.3, the leader)
  Progress* progress_of(NodeId node);
  const Progress* progress_of(NodeId node) const;
  void append_own(EntryKind kind, Payload payload);
  ProposeResult propose(Payload payload, EntryId* id);
  Progress* hear_peer(const Message& message, Index match);
  void on_append_reply(const Message& message);
  void on_accepted(Progress& peer, const AppendEntriesReply& reply);
  void on_refused(Progress& peer, const Message& message);
  void on_lost_tail(const Message& message);
  void tick_leader();
  void tick_peer(Progress& peer);
  void heartbeat_all();
  bool has_live_quorum() const;
  bool window_is_open(const Progress& peer) const;
  bool wants_entries(const Progress& peer) const;
  bool may_send(const Progress& peer) const;
  bool may_load(const Progress& peer) const;
  void replicate();
  void send_append(Progress& peer, std::vector<Entry> entries);
  void send_heartbeat(Progress& peer);
  std::vector<Entry> next_entries(const Progress& peer) const;
  void on_loaded_for_peer(NodeId node, std::vector<Entry> entries);
  bool follows_log(Index from, const std::vector<Entry>& entries) const;
  void set_peer_unreachable(NodeId node);

  // snapshot.cc (section 7, D9, D10)
  bool is_sane_snapshot(const Message& message) const;
  bool waits_for_snapshot(const Progress& peer) const;
  bool needs_snapshot(const Progress& peer) const;
  bool is_to_be_named(const Progress& peer) const;
  void name_snapshot_needs();
  void note_snapshot_progress(Progress& peer) const;
  void on_lacks_state(Progress& peer, Index snapshot_min);
  void send_snapshot(NodeId node, InstallSnapshot chunk);
  void set_snapshot_failed(NodeId node);
  void on_snapshot_reply(const Message& message);
  void on_install_snapshot(const Message& message);
  void ask_for_state(const Message& message);
  bool has_what_it_holds(const InstallSnapshot& chunk) const;
  void answer_installed(const Message& message);
  void answer_snapshot(NodeId node, InstallSnapshotReply reply);
  bool install_snapshot(SnapshotInstall install);
  bool is_installable(const SnapshotInstall& install) const;
  void switch_log(SnapshotInstall install);
  void snapshot_loaded();
  void compact(Index through);

  // commit.cc (sections 5.3, 5.4.2)
  Index durable_at(NodeId node) const;
  Index majority_has(bool incoming) const;
  void advance_commit();
  void set_commit(Index index);
  void release_uncommitted(Index from, Index to);

  // read_index.cc (section 8; thesis 6.4)
  void read_index(uint64_t context);
  void on_read_request(const Message& message);
  void on_read_reply(const Message& message);
  void add_context(ReadContext context);
  void answer_read(const ReadContext& context, bool ok, Index index);
  bool round_is_due() const;
  void start_round();
  void serve_rounds();
  bool quorum_answered(const Configuration& voters, uint64_t counter) const;
  void note_round_sent();
  bool lease_holds() const;
  uint16_t silence_relied_on() const;
  void drop_lease();
  void fail_leader_reads();
  void fail_forwarded_reads();
  void tick_forwarded_reads();

  // transfer.cc (thesis 3.10, D17)
  TransferResult transfer(NodeId to);
  bool stays_voter(NodeId node) const;
  void begin_transfer(NodeId to);
  void send_timeout_now();
  void tick_transfer();
  void on_timeout_now(const Message& message);
  void set_disk_stalled(bool stalled);
  bool could_take_over(const Progress& peer) const;
  bool hand_over_to_healthy_peer();

  // membership.cc (section 6)
  ChangeResult change_config(const Configuration& target, ChangeCare care);
  ChangeResult reason_to_refuse(const Configuration& next, ChangeCare care);
  ChangeResult reason_to_wait(const Configuration& next);
  ChangeResult ask_who_lives(LiveRound& round, const Configuration& next);
  bool is_live_voter(NodeId node) const;
  bool can_commit_soon(const Configuration& next) const;
  bool is_near_the_end(Index index) const;
  bool lags(const Progress& peer) const;
  void note_catch_up(Progress& peer);
  bool has_caught_up(const Progress& peer) const;
  void append_configuration(const Configuration& next);
  void update_peers();
  void drive_membership();
  bool can_serve(const Configuration& voters) const;
  void promote_learners();
  void forget_leavers();
  void leave_if_removed();
  bool take_removal();

  // output.cc
  Output take();
  bool has_output() const;
  void send(Message message);
  void send_when_durable(Message message);
  bool may_still_be_said(const Message& message) const;
  Message to(NodeId node, Body body) const;
  void durable(WriteSeq seq);
  void loaded(NodeId peer, std::vector<Entry> entries);
  void set_applied(Index index);
  bool may_hand_out() const;
  void hand_out();
  const Entry* next_to_apply() const;
  bool load_outstanding(NodeId peer) const;
  void request_load(NodeId peer, Index from, Index last);
  void evict();
  RoleChange role_now() const;

  // fingerprint.cc
  void fingerprint(std::string& bytes) const;

  // invariants.cc
  void check_invariants() const;
  void check_indexes() const;
  void check_leading() const;
  void assert_may_lead() const;
  void assert_may_leave_now(const Message& message) const;
};

}  // namespace leto::raft
