// A whole node without sockets and files: keyspace, replica, dispatch, configuration of the server. The
// server and the simulator put their own disks, network and clock under it, and their clients on top.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "command/context.h"
#include "command/semantics.h"
#include "server/environment.h"
#include "server/options.h"
#include "server/session.h"
#include "server/stats.h"
#include "server/tick.h"
#include "server/turn_batch.h"

namespace leto::server {

class Replica;
class Forwarded;
class Forwarder;
class Membership;
class SemanticsRaiser;
class Flusher;
class SnapshotSender;
class SnapshotReceiver;
class Compactor;
class DiskFloor;

// What storage gave at start; see storage/.
struct NodeStart {
  storage::Identity identity;
  raft::Recovered recovered;         // `applied` and `founding` are set by the Node.
  keyspace::StateHeader header;      // Of the keys file; zeros if new.
  storage::Witness witness;
  bool has_keys = false;             // The keys file is to be loaded, beside the loop, before anything is served.
  bool lacks_keys = false;           // It cannot be: but for its header it is damaged, and a snapshot is to bring the keys.
  std::string removal = {};          // What a member said when it told this node of its removal; empty: none did.
  bool founding = false;             // This node founded its cluster, alone, and nothing was ever proposed in it.
  uint64_t seed = 1;                 // Of everything random in the node.
  uint16_t semantics_supported = command::kSemanticsSupported;   // The highest level. REQUIRES: header's is none higher.
  size_t uncommitted_bytes_max = raft::Options().uncommitted_bytes_max;   // Of proposals; see there.
};

// All that is known of who the members are and were, ascending: also the one in force at what the keys file has, which the log need not
// reach back to.
std::vector<raft::ConfigurationAt> configurations_known(const NodeStart& start);

// The highest entry that a directory shows to be committed. More may be, of which it does not know yet; a configuration behind it may as
// well be one that no majority has, and that the next leader takes back.
raft::Index known_committed(const NodeStart& start);

class Node final : public command::Services {
 public:
  // `options` outlives the node and is changed by CONFIG SET.
  Node(Options& options, const Environment& environment, NodeStart start);
  ~Node() override;

  // Clients ----------------------------------------------------------------------------------
  // A new conversation; `client` has its addresses filled in. The id is given here.
  SessionRef open_session();
  void close_session(const SessionRef& session);
  // The owner of a session has taken output of it.
  void note_fetched(const SessionRef& session);
  // One whole request. Its reply is in session->output() at once or later. REQUIRES: !session->holds().
  void execute(const SessionRef& session, resp::Arguments arguments);
  // The sessions whose output() has grown since the last call; called by the owner once per turn.
  std::vector<SessionRef> take_sessions_with_output();
  // True if clients that write should not be read from for now (backpressure).
  bool overloaded() const;
  // Of writes that wait to be proposed or committed.
  size_t pending_bytes() const;

  // The loop ---------------------------------------------------------------------------------
  // Once per turn, when all callbacks of the turn have run (uv_prepare).
  void on_loop_turn();
  // Every kTickMs (tick.h).
  void on_tick();

  // Peers ------------------------------------------------------------------------------------
  void on_message(const raft::Message& message);    // From an authenticated peer.
  void on_part(raft::NodeId from, raft::Term term);   // Of one; the rest is to come.
  void on_peer_unreachable(raft::NodeId node);
  // What the peer said last may be lost.
  void on_peer_silenced(raft::NodeId node);
  // A member that proved itself says that this node is none any more. Believed as long as nobody leads it; `joins`: it was
  // started to be taken in, and so believes that only once it was a member.
  void on_removed(const std::string& sentence, bool joins);
  // Where a member says it is, or this node found out to be itself; only node and addresses count. The leader
  // brings it into the configuration.
  void on_addresses_said(const raft::Member& told);
  // Whether the configuration known here is the cluster's newest for certain.
  bool knows_members() const;
  // Requests of another node's clients, and answers to those of this node's; from an authenticated peer.
  void on_forward(peer::Forward forward);
  void on_forward_reply(const peer::ForwardReply& reply);
  // A command of this node's own for whoever leads; `done` is called once, with an empty text for OK, else the error's.
  void forward_command(const std::vector<std::string>& arguments, std::function<void(const std::string& error)> done);
  // Whether this node may be taken into another cluster: it is in none, or founded one alone and has no data.
  bool may_be_adopted() const;
  // A founder without data asks another cluster to take it in: it takes no writes from now on, as it would not be taken in
  // with one. REQUIRES: may_be_adopted().
  void refuse_writes_to_join();

  // Life -------------------------------------------------------------------------------------
  // SIGTERM, SIGINT, SHUTDOWN: hands leadership over, flushes the keys, waits for the answers to what it forwarded, then calls
  // `done` (once), within shutdown-timeout. New writes are forwarded until the keys are flushed if that is wanted, else refused
  // once leadership was handed over.
  void begin_shutdown(std::function<void()> done);
  bool shutting_down() const;
  // Set by the owner: called when SHUTDOWN is received; ends in begin_shutdown().
  std::function<void(const command::ShutdownRequest&)> on_shutdown_command;
  // Set by the owner: CONFIG SET changed options; apply what lives outside the node (loglevel, maxclients...).
  std::function<void()> on_options_changed;
  // Set by the owner: this node cannot go on, and why, in one sentence; nothing of it is served any more.
  std::function<void(const std::string&)> on_unusable;
  // Set by the owner: a member said that this node was removed, and it believes that; or empty: a leader speaks to it again. To be
  // known after a restart.
  std::function<void(const std::string& sentence)> on_told_of_removal;
  // Set by the owner: real fsync delay for DEBUG SYNC-DELAY.
  std::function<void(uint64_t milliseconds)> on_sync_delay;

  // Views ------------------------------------------------------------------------------------
  const raft::Raft& raft() const;
  const keyspace::Keyspace& keyspace() const;
  // Its `founded` is of the configurations that are known, the others are as at start.
  const storage::Identity& identity() const { return identity_; }
  Stats& stats() { return stats_; }
  const Options& options() const { return options_; }
  raft::Configuration members() const;   // In force.
  bool removed() const;                  // This node was removed from its cluster.
  // A committed configuration of its cluster had this node: then it was removed if the cluster has it no more.
  bool was_member() const { return was_member_; }
  bool loading() const { return loading_; }   // The keys file is still being loaded, or a snapshot is to bring the keys.
  Membership& membership() { return *membership_; }
  uint16_t semantics_level() const;           // Of the cluster, at applied_index.
  // Panics if it holds more than its bounds (I15). Between turns.
  void check_bounds() const;

  // command::Services --------------------------------------------------------------------------
  std::string info(const std::vector<std::string>& sections) override;
  std::vector<std::pair<std::string, std::string>> config_get(command::Arguments patterns) override;
  base::Status config_set(command::Arguments names_and_values) override;
  void config_reset_stat() override;
  std::vector<const command::Client*> clients() override;
  command::RoleView role() override;
  base::Status authenticate(std::string_view user, std::string_view password) override;
  bool password_required() override;
  bool debug_allowed(const command::Client& client) override;
  uint64_t monotonic_ms() override;
  void debug_sleep(uint64_t microseconds) override;
  void debug_sync_delay(uint64_t milliseconds) override;
  std::string digest() override;
  void join(command::Ticket ticket, const command::JoinRequest& request) override;
  void leave(command::Ticket ticket, const command::LeaveRequest& request) override;
  void transfer(command::Ticket ticket, std::string_view id) override;
  void snapshot(command::Ticket ticket) override;
  void shutdown(command::Ticket ticket, const command::ShutdownRequest& request) override;

 private:
  // The gates every request passes, in order; the text of the first that refuses, or empty.
  std::string refusal(Session& session, const command::Command* command,
                      resp::Arguments arguments) const;
  // Of a write, or a transaction with some: why it is not taken here; nothing if it goes to whoever leads.
  std::string refusal_here(Session& session, const command::Command& command, resp::Arguments arguments) const;
  // A JOIN by which this node asks itself.
  bool is_own_join(const command::Command& command, resp::Arguments arguments) const;
  // Why no key can be read or written at this node at all; empty if it can.
  std::string unavailable() const;
  std::string removal() const;   // What a removed node answers; empty if it is none.
  void note_removal(const std::string& sentence);
  // What is answered that waits for a leader or for entries, as neither comes any more; empty if that is not so.
  std::string end_of_service() const;
  // What a handler that is not about keys is given.
  command::Context local_context(Session& session, resp::Arguments arguments, resp::Reply& reply);
  void refuse(const SessionRef& session, const command::Command* command, resp::Arguments arguments, std::string error);
  void run_here(const command::Command& command, command::Context& context);
  void run(const SessionRef& session, const command::Command& command, resp::Arguments arguments);
  // Transactions: what MULTI keeps, and what becomes of it at EXEC.
  void queue(const SessionRef& session, const command::Command& command, resp::Arguments arguments);
  std::string queue_refusal(Session& session, const command::Command& command, resp::Arguments arguments) const;
  uint32_t database_behind(Session& session, const command::Command& command, resp::Arguments arguments);
  void watch(const SessionRef& session, const command::Command& command, resp::Arguments arguments);
  void exec(const SessionRef& session);
  // What EXEC is told before anything of it runs; empty if it may run.
  std::string exec_reply(const command::Transaction& transaction, int protocol) const;
  void run_transaction(const SessionRef& session, command::Transaction transaction);
  std::shared_ptr<command::LocalCommands> local_commands(Session& session, command::Transaction& transaction);
  void execute_for_peer(const SessionRef& session, resp::Arguments arguments);
  void run_local(const SessionRef& session, const command::Command& command, resp::Arguments arguments);
  void run_deferred(const SessionRef& session, const command::Command& command, resp::Arguments arguments);
  void defer(const SessionRef& session, Session::Sequence sequence, resp::Arguments arguments);
  command::Ticket issue_ticket(Waiter waiter);
  // Whether the leader, or who becomes it, is to carry it out. Else this node does, or refuses.
  bool is_forwarded(Session& session, const command::Command& command) const;
  // False: it is known not to know such frames.
  bool leader_takes_forwards() const;
  // Whether what this node took as the leader, and has not begun, goes to the next one, if that is wanted.
  bool goes_to_who_leads(const Session& session) const;
  void run_forwarded_here(const SessionRef& session, Session::Sequence sequence);
  void note_output(const SessionRef& session);
  void answer(command::Ticket ticket, const std::string& error);
  void on_configuration_applied();
  void say_if_unusable();
  void make_parts(const NodeStart& start);
  void wait_for_keys();
  void say_if_keys_are_late(uint64_t now_us);
  void begin_loading();
  void loaded(base::Result<LoadedKeys> result);
  void switch_keys_file_if_due();
  void want_snapshot(raft::NodeId peer);
  void on_snapshot_message(const raft::Message& message);
  bool fetches_nothing(const Session& session, uint64_t since_us) const;
  // Has the leader carry it out once what clients of this node have under way is served.
  void forward_when_served(const std::vector<std::string>& arguments, std::function<void(std::string error)> done);
  void advance_farewells();
  void refuse_what_waits_at_the_end();
  void refuse_writes_to_end();
  void hand_over_to_end();
  void ask_to_lead_at_the_end(raft::NodeId to);
  void write_keys_to_end();
  void end_service();
  bool may_end() const;
  void advance_shutdown();
  void finish_shutdown();

  Options& options_;
  Environment environment_;
  storage::Identity identity_;
  Stats stats_;
  keyspace::Keyspace keyspace_;
  std::unique_ptr<Replica> replica_;
  std::unique_ptr<Forwarder> forwarder_;
  std::unique_ptr<Forwarded> forwarded_;
  std::unique_ptr<Membership> membership_;
  std::unique_ptr<SemanticsRaiser> semantics_raiser_;
  std::unique_ptr<Flusher> flusher_;
  std::unique_ptr<SnapshotSender> snapshot_sender_;
  std::unique_ptr<SnapshotReceiver> snapshot_receiver_;
  std::unique_ptr<Compactor> compactor_;
  std::unique_ptr<DiskFloor> disk_floor_;
  bool loading_ = false;
  uint64_t keys_asked_us_ = 0;          // Since when a snapshot is waited for, or when that was last said.
  // A snapshot was installed; the store still has the file before it.
  enum class Switch : uint8_t { kNone, kDue, kUnderWay };
  Switch keys_file_switch_ = Switch::kNone;
  bool was_member_ = false;             // A committed configuration had this node.
  bool was_removed_ = false;            // And the last one that was known at the start, which was committed, had not.
  raft::Index replay_until_ = 0;        // The log's end at start, but for a founding: what is in it is not known before.

  std::map<uint64_t, SessionRef> sessions_;   // By client id.
  uint64_t next_client_id_ = 1;
  std::vector<SessionRef> sessions_with_output_;
  std::map<command::Ticket, Waiter> tickets_;
  command::Ticket next_ticket_ = 1;
  uint64_t ticks_ = 0;

  // A command that this node's clients do not survive, and the requests that are served before.
  struct Farewell {
    std::vector<std::string> arguments;
    std::function<void(std::string error)> done;
    std::vector<Waiter> before;         // The last one of each client.
    uint64_t begun_us = 0;
  };
  std::vector<Farewell> farewells_;

  // In this order. kAwaitsHandover: leadership was being handed over already. kEnding: what was forwarded is still answered, and
  // clients hear that they are to go elsewhere.
  enum class Shutdown : uint8_t { kNo, kAwaitsHandover, kTransferring, kFlushing, kEnding, kDone };
  Shutdown shutdown_ = Shutdown::kNo;
  uint64_t shutdown_deadline_us_ = 0;
  std::set<raft::NodeId> asked_to_lead_;   // To take over at the shutdown.
  uint64_t end_at_us_ = 0;   // kEnding: not before.
  std::string removal_;        // As in NodeStart, as long as it is believed.
  std::string cannot_apply_;   // Why, if an entry of a newer version came: a flush would wait for it. Else empty.
  std::function<void()> shutdown_done_;
};

}  // namespace leto::server
