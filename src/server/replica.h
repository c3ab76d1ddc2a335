// Drives the Raft core: hands it what clients, peers, the disk and the clock bring, and carries out what it
// says. Applies committed entries to the keyspace and answers those who wait. Refuses to know sockets,
// files and libuv.
//
// Invariants: a write is answered OK only when it was applied, hence committed (D12); messages that wait for
// a write leave only after the disk said it is durable (D1-D3); entries are applied in order, each once; a
// proposed write that is lost ends as UNKNOWN (D14).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "command/entry.h"
#include "command/semantics.h"
#include "command/table.h"
#include "keyspace/keyspace.h"
#include "raft/raft.h"
#include "server/cluster_time.h"
#include "server/environment.h"
#include "server/options.h"
#include "server/session.h"
#include "server/stats.h"
#include "server/tick.h"
#include "server/turn_batch.h"

namespace leto::server {

struct ReplicaParts {
  const Options& options;
  const Environment& environment;
  Stats& stats;
  keyspace::Keyspace& keyspace;
  storage::Witness witness{};   // That the keys file holds.
  uint64_t seed = 1;            // Of what is random.
  uint16_t semantics_supported = command::kSemanticsSupported;   // The highest level.
};

class Replica {
 public:
  Replica(const ReplicaParts& parts, raft::Options raft_options, raft::Recovered recovered,
          const keyspace::StateHeader& header);

  static constexpr const char* kNotLeader = "not leader";

  // Clients. A request is answered now or later, always.
  using Locals = std::shared_ptr<command::LocalCommands>;   // Of an EXEC; else null.
  // REQUIRES: refusal_for() had nothing against it in this turn.
  void write(const SessionRef& session, const command::Command& command, resp::Arguments arguments, Locals locals = {});
  void read(const SessionRef& session, const command::Command& command, resp::Arguments arguments, Locals locals = {});
  // Calls `reached`, of a request that is kDeferred, once this node has applied every write that was acknowledged before, by
  // whichever node, and those of its connection before it: or the request is answered with the error that a read would get.
  void at_read_index(const Waiter& waiter, std::function<void(const SessionRef&, Session::Sequence)> reached);
  // Why this node would not take the write now; empty if it would.
  std::string refusal_for(const command::Command& command, resp::Arguments arguments) const;
  // For what was meant to be forwarded (RequestState::kForwarded). This node leads: proposes it like a write that arrives now.
  void write_here(const SessionRef& session, Session::Sequence sequence);
  // It was answered from elsewhere: the reads up to the next write may begin now, and not before.
  void start_reads_after(const SessionRef& session, Session::Sequence sequence);
  // Answers a request with an error, which is counted; what waited for its answer is not looked at.
  void fail(Session& session, Session::Sequence sequence, std::string_view error);
  // Answers it with the error, and the reads that were to see it with the same.
  void fail_write(const Waiter& waiter, const std::string& error);

  void on_loop_turn();
  void on_tick();
  void on_message(const raft::Message& message);
  void on_part(raft::NodeId from, raft::Term term) { raft_.hear_part(from, term); }
  void on_peer_unreachable(raft::NodeId node) { raft_.peer_unreachable(node); }
  // Answers what has waited longer than request-timeout, but for its own client. Call every 100 ms or so with all sessions.
  void expire_requests(Session& session, uint64_t now_us);
  // Its client has fetched replies: reads that waited for that go on in the next turn.
  void note_fetched(const SessionRef& session);
  // Behind expire_requests(): of reads that ended without the index they wait for, and of whoever is gone, nothing is kept.
  void forget_ended_reads();

  raft::Raft& raft() { return raft_; }
  const raft::Raft& raft() const { return raft_; }
  // The state header as of applied_index, for a cut of the keyspace.
  keyspace::StateHeader state_header() const;
  // The highest entry ever known to be committed and durable here, and the highest durable term (D16): never less
  // than what the keys file held at start, which may tell more than the log still does.
  storage::Witness witness() const;
  size_t pending_bytes() const { return waiting_bytes_ + batch_.bytes() + raft_.uncommitted_bytes(); }
  // The log index that holds or precedes every write accepted so far, once nothing is unproposed.
  bool all_proposed() const { return batch_.empty(); }
  // There are writes that are in no batch and not answered: one that comes now may not pass them.
  bool writes_wait() const { return !waiting_writes_.empty() || !lost_.empty(); }
  // Every write that was accepted here is applied, or waits.
  bool drained() const { return batch_.empty() && pending_.empty() && lost_.empty(); }
  // A command was taken in, proposed or applied since the start: this node has, or may have, data.
  bool has_commands() const { return !batch_.empty() || has_commands_; }
  // A command was applied since the start.
  bool has_applied_commands() const { return has_applied_commands_; }
  bool disk_full() const { return disk_full_; }
  // Panics if it holds more than its bounds (I15). Between turns.
  void check_bounds() const;
  // As of the last one that was applied; more may be committed. Empty: none was, by this process or by its keys file.
  const raft::Configuration& applied_configuration() const { return applied_configuration_; }
  // Of the payloads of all entries applied by this process.
  uint64_t applied_bytes() const { return applied_bytes_; }
  // The keyspace that a keys file holds, read at start or come as a snapshot, takes the place of the present one.
  void adopt_state(LoadedKeys loaded);
  // While set, a follower does not tell the leader that it has entries: it cannot keep up with them.
  void hold_acknowledgements(bool held);
  // While set, no new write is taken (shutdown).
  void refuse_writes(std::string error) { refusal_ = std::move(error); }
  // The disk is short of room: while this is not empty no new write is taken by this node as the leader, and it is why. What
  // was taken before goes on.
  void refuse_for_room(std::string why) { no_room_ = std::move(why); }
  // While not empty neither a leader nor an entry comes to this node any more, as it is no member: what waits for that is
  // answered with it.
  void cut_off(const std::string& why);
  // Answers reads that wait since an election timeout for what is not known here to be committed. Call every tick as long as that
  // takes long to come.
  void refuse_late_reads(const std::string& why);
  // While set, new writes wait as if nobody led: those before them get done, and no later one is lost with
  // the leadership.
  void hold_writes(bool hold) { writes_held_ = hold; }
  // In force for whatever is applied next, and proposed with; it only rises.
  uint16_t semantics_level() const { return semantics_level_; }
  uint16_t semantics_supported() const { return semantics_supported_; }
  // Proposes the entry behind which `level` is in force. False: not now.
  bool raise_semantics(uint16_t level);
  // An entry is of a newer version than this program, and nothing is applied any more: why, in one sentence.
  std::function<void(const std::string&)> on_unusable;
  // The level is another: as of applied_index, by that entry; or it came with a keyspace.
  std::function<void(bool by_entry)> on_semantics_level;
  // Called after each configuration that came to be applied, by an entry or with the keys of a snapshot.
  std::function<void()> on_configuration_applied;
  std::function<void()> on_role_change;
  // Snapshots: who needs one of this leader; what came of one; the switch to one is durable in raft.db (D9).
  std::function<void(raft::NodeId)> on_snapshot_wanted;
  std::function<void(const raft::Message&)> on_snapshot_message;
  std::function<void()> on_installed;
  // Bytes of the node's own files are rotten: the sentence. Nothing more is to be served from them.
  std::function<void(const std::string&)> on_damage;
  // Has whoever leads carry out a write that was taken here and not proposed; false: that is not wanted. Not set: it never is.
  std::function<bool(const SessionRef&, Session::Sequence)> give_away;
  // Called for each session whose output grew.
  std::function<void(const SessionRef&)> on_output;

 private:
  struct PendingEntry {
    raft::EntryId id;
    std::vector<Waiter> waiters;
  };
  // Writes that are still to be told that they were lost, or to be given away: those before `next` were.
  struct LostWrites {
    std::string error;                  // Empty: they were not proposed.
    std::vector<Waiter> waiters;
    size_t next = 0;
    command::EntryBuilder commands{};   // Of those that were not proposed, one for each waiter;
    std::string payload{};              // read back from this,
    std::optional<command::EntryReader> reader{};   // once their turn has come.
  };
  struct WaitingWrite {
    Waiter waiter;
    size_t bytes = 0;
  };
  struct ReadRound {
    raft::Index index = 0;
    bool confirmed = false;
    uint64_t asked_us = 0;        // 0: nobody was asked for an index.
    std::vector<Waiter> waiters;
    size_t next = 0;              // To be served; those before it were.
    std::string error{};          // Not empty: what they are answered instead.
    bool can_be_served(raft::Index applied) const { return confirmed && index <= applied; }
  };

  // replica.cc
  uint64_t leader_wait_ms() const;
  bool turn_step();
  void note_role(const raft::RoleChange& change);
  void say_what_is_lost(raft::Index acknowledged);
  void send(std::vector<raft::Message> messages);
  void set_members_if_changed();
  // replica_writes.cc
  void add_to_batch(const SessionRef& session, Session::Sequence sequence, resp::Arguments arguments);
  void propose_pending();
  bool lingers(uint64_t now_us);
  uint64_t linger_us() const;
  bool has_room_for(size_t bytes) const;
  bool propose_front();
  void route_waiting_writes();
  // The oldest of them; null if it was answered meanwhile.
  Request* front_waiting_write();
  void forget_waiting_write();
  void lose_unproposed();
  size_t lose_next_unproposed(LostWrites& lost);
  void send_elsewhere(const Waiter& waiter);
  void lose_pending(const std::string& error);
  void fail_lost();
  std::string write_refusal() const;
  // replica_store.cc
  void store(std::vector<raft::Write> writes);
  void submit_job();
  void run_job(bool with_vote, std::vector<storage::LogWrite> job);
  void job_done(storage::WriteResult result);
  void watch_disk(uint64_t now_us);
  void load(const std::vector<raft::Load>& loads);
  // replica_apply.cc
  void apply(const std::vector<raft::Entry>& entries);
  bool apply_entry(const raft::Entry& entry);
  bool is_newer(const raft::Entry& entry);
  void apply_commands(const raft::Entry& entry);
  void apply_configuration(const raft::Entry& entry);
  void apply_command(const command::CommandView& view, const command::Stamp& stamp, const Waiter* waiter);
  // replica_reads.cc
  void run_read(const SessionRef& session, Session::Sequence sequence);
  // What a handler of keys is given: no services and no client, wherever it runs.
  command::Context key_context(resp::Arguments arguments, uint32_t database, resp::Reply& reply);
  void run_read_handler(command::Context& context, const command::Command& command, Session& session);
  void run_handler(command::Context& context, const command::Command& command, Session& session);
  void run_reads_before(const SessionRef& session, Session::Sequence sequence);
  void run_reads_after(const SessionRef& session, Session::Sequence sequence);
  void end_late_requests(Session& session, uint64_t now_us);
  void serve_next_fetched();
  void serve_later(const SessionRef& session);
  void serve_in_order(const SessionRef& session);
  static void cover_reads_before(Session& session, Session::Sequence sequence);
  bool is_owed_too_much(const Session& session) const;
  // Those not served yet: no place before the write is known any more.
  void fail_reads_before(const SessionRef& session, Session::Sequence sequence);
  void fail_reads_after(const SessionRef& session, Session::Sequence sequence, const std::string& error);
  bool read_now(const SessionRef& session, const command::Command& command, resp::Arguments arguments,
                ReadConsistency wanted);
  bool sees_all_acknowledged(ReadConsistency wanted);
  void watch_ticks(uint64_t now_us);
  void wait_for_index(const Waiter& waiter, raft::Index index);
  void start_read_round();
  void start_read(const SessionRef& session, Session::Sequence sequence);
  void serve(const std::vector<raft::ReadReady>& reads);
  void serve_applied_rounds();
  void refuse_reads(const std::string& error);
  void refuse_round(ReadRound& round, const std::string& error);
  void note_behind(const ReadRound& round);
  void serve_waiter(const Waiter& waiter, const std::string& error);
  void retry_reads();
  void output_grew(const SessionRef& session);
  bool work_waits() const;

  const Options& options_;
  Environment environment_;
  Stats& stats_;
  keyspace::Keyspace& keyspace_;
  ClusterTime cluster_time_;
  const storage::Witness first_witness_;   // Of the keys file at start.
  raft::Term durable_term_;
  raft::Raft raft_;

  const size_t uncommitted_bytes_max_;

  // Writes.
  TurnBatch batch_;
  std::deque<WaitingWrite> waiting_writes_;   // No leader is known; in order of arrival.
  size_t waiting_bytes_ = 0;               // Of their arguments.
  std::deque<PendingEntry> pending_;       // Proposed here, by index.
  std::deque<LostWrites> lost_;            // No write that waits is taken up while there are any.
  bool writes_left_ = false;               // More may be taken up or proposed than one step does.
  size_t crowd_expected_ = 0;              // Writes answered in the last round: who may come back.
  uint64_t linger_until_us_ = 0;
  std::string refusal_;
  std::string no_room_;
  std::string cut_off_;
  bool writes_held_ = false;
  bool has_commands_ = false;              // Proposed or applied.
  bool has_applied_commands_ = false;

  // The log's disk.
  std::deque<raft::Write> store_queue_;
  std::vector<raft::Write> job_;           // In flight.
  uint64_t job_started_us_ = 0;
  uint64_t commit_average_us_ = 0;
  bool disk_full_ = false;
  bool disk_stalled_ = false;

  // Apply.
  raft::EntryId applied_;
  uint64_t hash_seed_ = 0;
  const uint16_t semantics_supported_;
  uint16_t semantics_level_;
  raft::Configuration applied_configuration_;
  raft::Index applied_configuration_index_ = 0;
  raft::Configuration members_told_;
  raft::Configuration committed_members_told_;
  uint64_t applied_bytes_ = 0;
  bool acknowledgements_held_ = false;
  std::deque<raft::Message> held_acknowledgements_;
  std::string scratch_;
  command::CommandView view_;

  // Reads.
  uint64_t next_context_;                  // Begins elsewhere in each process: a late answer finds no namesake.
  std::vector<Waiter> round_collecting_;
  std::map<uint64_t, ReadRound> rounds_;   // By context: ordered by age.
  std::deque<SessionRef> fetched_;         // Whose reads may go on, each once (Session::in_fetched_list).
  bool reads_left_ = false;                // More may be served than was looked at in this step.
  std::vector<Waiter> reads_to_retry_;
  uint64_t leaderless_ticks_ = 0;          // With reads to retry.
  // Of the entries that are applied in this step: since when, and the replies to reads that had to run now.
  struct {
    uint64_t began_us = 0;
    size_t bytes = 0;
  } reads_beside_writes_;
  uint64_t last_tick_us_ = 0;
  uint64_t lease_distrusted_until_us_ = 0;
};

}  // namespace leto::server
