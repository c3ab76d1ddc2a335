// The pure Raft core: a function of its inputs. No clock, no random source beyond the seed it is given,
// no I/O. It refuses to know what an entry means, how a message travels or how a disk works.
//
// The caller feeds it inputs, then drains one Output per loop turn with take() and carries it out:
//   send_now          may leave at once, in order per receiver
//   writes            are made durable in this order, each whole; its after_durable messages leave only
//                     once it is durable, and then durable(seq) is called
//   apply             committed entries, consecutive, each exactly once
//   reads             read contexts that may run once the state machine has applied `index`
//   loads             entries the core needs back from the log; answered by loaded()
//   start_snapshots   peers that need log from before first_index(), or have lost their state machine
//   snapshot_messages of the streams: the caller receives and sends the bytes, the core knows who leads
// Nothing here blocks and nothing is retried by the caller.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/message.h"
#include "raft/types.h"

namespace leto::raft {

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };
// How many ticks the caller of tick() may make up for.
inline constexpr uint64_t kTicksOwedMax = 2;

const char* role_name(Role role);  // "follower", "precandidate", "candidate", "leader"

struct Options {
  NodeId self = kNobody;
  uint64_t seed = 0;                  // Of the election timeouts; give every node another one.
  uint32_t election_ticks = 40;       // The shortest election timeout; each one is drawn from [this, 2 * this).
  uint32_t heartbeat_ticks = 5;
  // D18: no lease is longer than is safe with voters that keep silence for so long, and each does, whatever its election_ticks are:
  // behind its start, and behind a leader that says that it relies on it. 0: all nodes have the same election_ticks.
  uint16_t silence_ticks_max = 0;
  size_t append_bytes_max = 256 << 10;    // Of one AppendEntries; a larger entry travels alone.
  size_t window_messages_max = 64;        // Appends in flight to one peer,
  size_t window_bytes_max = 4 << 20;      // and their bytes. One message always fits.
  size_t uncommitted_bytes_max = 64 << 20;  // propose() answers kBusy beyond it. One entry always fits.
  size_t cache_bytes_max = 32 << 20;      // Of entries kept in memory, overhead included; undurable and unapplied-own ones always are.
  size_t apply_bytes_max = 1 << 20;       // Of Output::apply per take(); one entry always fits.
  size_t load_bytes_max = 256 << 10;      // Asked for by one Load.
  uint64_t learner_lag_max = 64;          // Entries; a learner this close is promoted, a voter this close keeps up.
  bool lease_reads = false;               // read_index() on a leader with a lease needs no round (D18).
  // For the log alone: what a node is called that no configuration in force has. May be null, or give an empty text.
  std::function<std::string(NodeId)> id_of = nullptr;
};

// The term of a run of entries: all entries from `first` to the next run's first have it.
struct TermRun {
  Index first = 0;
  Term term = 0;
};

struct ConfigurationAt {
  Index index = 0;
  Configuration configuration;
};

// What a node becomes by a snapshot (section 7).
struct SnapshotInstall {
  EntryId last;                    // The last entry included.
  ConfigurationAt configuration;   // In force at `last`; its index is at most last.index.
  uint64_t keys_generation = 0;    // Of the verified, durable keys file.
  bool keeps_log = false;          // The core's to say: the log has `last`, and stays as it is.
};

// What storage found at start.
struct Recovered {
  HardState hard_state;
  EntryId base;                          // The last entry dropped from the log; {0,0} if none was.
  EntryId last;                          // The log's last entry; == base if the log is empty.
  std::vector<TermRun> terms;            // Of (base, last], ascending; empty if the log is empty.
  Index applied = 0;                     // What the state machine has already. commit >= applied.
  std::vector<ConfigurationAt> configurations;  // Ascending; the one in force at `base`, then those in the log.
  bool lost_tail = false;                // D16: neither votes, acknowledges nor campaigns.
  bool founding = false;                 // The directory was made just now: hold the first election for one timeout.
  // The log is sound, but the state machine has nothing of what it had applied: asks whoever leads for a snapshot.
  bool lacks_state = false;
};

using WriteSeq = uint64_t;

// One atomic change of the log file (D4). Made durable as a whole, in order of seq.
struct Write {
  WriteSeq seq = 0;
  std::optional<HardState> hard_state;
  // The keys file of this generation becomes the current one and, unless it `keeps_log`, the log empty behind `last`; before
  // `append`, never with `truncate_from` (D9).
  std::optional<SnapshotInstall> install;
  std::optional<Index> truncate_from;    // Entries with index >= this go, before `append`.
  std::vector<Entry> append;
  std::vector<Message> after_durable;    // D1-D3: may leave only once all of the above is durable.
};

struct ReadReady {
  uint64_t context = 0;
  bool ok = false;        // False: no quorum or no leader confirmed it; the read has not run (D14).
  Index index = 0;        // Run when applied >= index.
};

// Read entries [from, ...] back from the log, at most max_bytes but at least one, none past `last`.
// `peer` == self: for apply. Answered by loaded(peer, entries), also with fewer or (if truncated since) none.
struct Load {
  NodeId peer = kNobody;
  Index from = 0;
  Index last = 0;
  size_t max_bytes = 0;
};

struct RoleChange {
  Role role = Role::kFollower;
  Term term = 0;
  NodeId leader = kNobody;   // kNobody if unknown.
};

struct Output {
  std::vector<Message> send_now;
  std::vector<Write> writes;
  std::vector<Entry> apply;
  std::vector<ReadReady> reads;
  std::vector<Load> loads;
  // These peers need log from before first_index(), or said that they lack the state: each once per need, and only while
  // it answers.
  std::vector<NodeId> start_snapshots;
  // InstallSnapshot of the current leader; InstallSnapshotReply of this node's term, at a leader.
  std::vector<Message> snapshot_messages;
  std::optional<RoleChange> role_change;  // The role, term or leader is another than at the last take().
  // D16: the leader has this entry from this node, whose log has it no more. Said once; from then on the node is as one
  // that was started with Recovered::lost_tail. 0: no such thing.
  Index lost_acknowledged = 0;
  bool empty() const;
};

enum class ProposeResult : uint8_t { kAccepted, kNotLeader, kTransferring, kBusy };

enum class ChangeResult : uint8_t {
  kAccepted,          // The first step is in the log; whoever leads takes the following ones.
  kNothingToDo,       // The cluster is like that already.
  kNotLeader,
  kNotReady,          // No entry of this term is committed yet, or this leader lacks its state: try again.
  kInProgress,        // Another change is not finished: try again.
  kAsksWhoLives,      // The voters were just asked whether they live: try again at each turn, until they have answered.
  kNoLiveQuorum,      // The voters that answer are no majority, before the change or after it.
  kVotersLag,         // A voter leaves, and the rest that was heard of and keeps up would be no majority: try later.
  kRemovesLeader,     // Nothing but that speaks against it: transfer first.
  kInvalid,           // No voter left, joint roles in the target, or too many members.
};

// kForced makes a change though it may stop all writes: kAsksWhoLives, kNoLiveQuorum and kVotersLag are not answered then.
// It is safe all the same: what is committed stays, and nothing is committed without both majorities.
enum class ChangeCare : uint8_t { kCareful, kForced };

enum class TransferResult : uint8_t { kAccepted, kNotLeader, kNotVoter, kInProgress };

// What INFO shows of a peer; also what tests look at.
struct PeerView {
  NodeId node = kNobody;
  Index match = 0;
  Index next = 0;
  size_t in_flight_messages = 0;
  size_t in_flight_bytes = 0;
  bool heard = false;       // Answered this leader at least once; before that the ticks count from its election.
  uint64_t ticks_since_heard = 0;
  bool needs_snapshot = false;
  Index snapshot_min = 0;   // One at a lower index is of no use to it.
  bool lags = false;        // Too far behind for a majority to be built on it when a voter leaves.
  bool unreachable = false; // Its connection was lost, and it has answered nothing since.
  bool lost_tail = false;   // It has no more what it acknowledged, and counts for nothing (D16).
};

class Raft {
 public:
  // REQUIRES: options.self != kNobody and `recovered` is consistent (asserted).
  Raft(const Options& options, Recovered recovered);
  ~Raft();
  Raft(const Raft& other);   // An equal core: for a search of all that may happen.
  Raft& operator=(const Raft&) = delete;

  // Inputs -----------------------------------------------------------------------------------
  void step(const Message& message);   // Any bytes a peer may send, in any order; nonsense is dropped.
  // A part came of a message that is not whole yet: whoever leads here, and sent it, is alive. It is relied on for nothing else.
  void hear_part(NodeId from, Term term);
  // One unit of time has passed. Whoever comes late makes up for kTicksOwedMax at most: time that is missing here does no harm,
  // but what is made up after a leader was heard shortens what it was promised (D18).
  void tick();
  // If accepted, `id` (may be null) is where it will be unless a later leader replaces it.
  ProposeResult propose(Payload payload, EntryId* id);
  // `target` is the wanted final configuration: roles kVoter, kLearner, kObserver only. New voters are
  // added as learners first and promoted once caught up; removals go through a joint configuration.
  // Address-only differences are one simple entry.
  ChangeResult change_config(const Configuration& target, ChangeCare care = ChangeCare::kCareful);
  TransferResult transfer(NodeId to);
  // Asks for an index at which a read that arrived before this call is linearizable. Contexts are the
  // caller's, each used once; each comes back exactly once in Output::reads.
  void read_index(uint64_t context);
  // Writes up to and including `seq` are durable. Called in order (D8).
  void durable(WriteSeq seq);
  void loaded(NodeId peer, std::vector<Entry> entries);
  // The state machine has applied everything up to `index`, of what take() handed out.
  void applied(Index index);
  void disk_stalled(bool stalled);          // D17.
  void refuse_transfers(bool refused);      // While set, this node does not take over when it is told to.
  // A member says that the committed configuration has this node no more. It does not campaign until a leader speaks to it.
  // False, and nothing happens, if a leader does, or if no configuration that is known here makes it a member.
  bool told_of_removal();
  void peer_unreachable(NodeId node);       // Its connection broke: what was in flight is to be sent again.
  // Snapshots and compaction (section 7, D9, D10) ---------------------------------------------
  // At the leader: one chunk to a peer that needs a snapshot; dropped if it needs none any more.
  // REQUIRES: chunk.data is not null and at most kSnapshotChunkBytesMax.
  void send_snapshot(NodeId to, InstallSnapshot chunk);
  // The snapshot for `peer` was given up: Output::start_snapshots names it again after a few heartbeats.
  void snapshot_failed(NodeId peer);
  // At a follower; dropped if `to` does not lead the present term. REQUIRES (asserted) for kInstalled that all up to
  // `match` is applied and durable.
  void answer_snapshot(NodeId to, InstallSnapshotReply reply);
  // The keys file of `install.keys_generation` is verified and durable. False: it is stale by now, another is
  // being installed, or this node leads: the caller discards the file. True: Output::writes brings the switch;
  // when it is durable the caller swaps the new keyspace in and calls snapshot_loaded(). Until then nothing is
  // handed out for apply, and this node does not campaign, but votes and takes appends. Log behind a snapshot that the log
  // reaches is kept, as it may have been acknowledged.
  bool install_snapshot(SnapshotInstall install);
  // The new keyspace was swapped in: applied = last included; the leader is told. REQUIRES: installing(), and
  // the switch is durable.
  void snapshot_loaded();
  bool installing() const;
  // From Recovered::lacks_state on, until a snapshot was loaded: nothing is handed out for apply. This node votes and takes
  // appends; it campaigns late, and if it must lead, takes no proposals and hands over to the first that could.
  bool lacks_state() const;
  // While held nothing is handed out for apply: the keyspace is being loaded at start.
  void hold_apply(bool hold);
  // Log up to `through` is forgotten. REQUIRES: through <= applied_index(), not installing(), and (for the caller to
  // assert: D10) the key tables are durable at `through`.
  void compact(Index through);
  // Confirms, AFTER a read ran under a lease, that the lease still holds (D18).
  bool lease_holds() const;

  Output take();
  // True if take() would give something.
  bool has_output() const;

  // Views ------------------------------------------------------------------------------------
  Role role() const;
  Term term() const;
  NodeId voted_for() const;
  NodeId leader() const;
  Index commit_index() const;
  Index applied_index() const;
  Index durable_index() const;
  EntryId last() const;
  Index first_index() const;
  const Configuration& configuration() const;             // In force: the latest in the log.
  const Configuration& committed_configuration() const;   // The latest at or below commit_index.
  bool leads_and_committed_in_term() const;   // Leader with an entry of its own term committed.
  // Whether this node alone is a majority. A leader of one voter need not be it: it may have proposed to leave.
  bool is_only_voter() const;
  bool was_told_of_removal() const;           // And has heard no leader since.
  NodeId transferring_to() const;             // kNobody if no transfer is under way.
  std::vector<PeerView> peers() const;
  size_t uncommitted_bytes() const;
  // Panics if an invariant between the core's own fields does not hold (I8 and others); cheap enough for
  // every turn.
  void check_invariants() const;
  // Appends what two cores have in common that will do the same, but for random numbers; for the same search.
  void fingerprint(std::string& bytes) const;

 private:
  struct State;  // raft/state.h
  std::unique_ptr<State> state_;
};

}  // namespace leto::raft
