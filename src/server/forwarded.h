// The leader's side of forwarding: carries out what followers hand over for their clients as if each request came
// from a client here, and sends back the replies. Refuses to know why a command is answered as it is.
//
// Invariants: each number of a stream is taken at most once, in the order of the numbers, whatever the network doubles
// or reorders; what was refused is never taken later; a later stream of a process ends those before it. What is kept
// for one process is bounded.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "peer/forward.h"
#include "server/replica.h"

namespace leto::server {

class Forwarded {
 public:
  // Being carried out, or held back, for one process: twice what it may have under way. Beyond it nothing is taken.
  static constexpr size_t kCountMax = 2 * 8192;
  static constexpr size_t kBytesMax = 32 << 20;
  // Processes that are known at once: those of all members, and the earlier ones of nodes that keep restarting.
  static constexpr size_t kProcessesMax = 1024;
  // A number that was passed over is waited for so long, in election timeouts.
  static constexpr uint64_t kGapElections = 1;
  // A process that was silent for so long is forgotten. Its streams end sooner.
  static constexpr uint64_t kForgetUs = 60000000;

  // Runs one request in a session of this class.
  using Execute = std::function<void(const SessionRef&, resp::Arguments)>;
  Forwarded(Replica& replica, const ReplicaParts& parts, raft::NodeId self, Execute execute);

  void on_forward(peer::Forward forward);
  // While the keys file is behind, writes that come wait, as those of clients of this node are not read.
  void hold(bool held);
  // Carries out what waited, and sends the answers there are. Once per turn, after the replica's.
  void advance();
  // What waits too long is answered or given up. Call every 100 ms or so.
  void expire(uint64_t now_us);
  // Panics if it holds more than its bounds (I15). Between turns.
  void check_bounds() const;

 private:
  using Process = std::pair<raft::NodeId, uint64_t>;   // Node and life.
  // What is known of a process: of its last stream alone.
  struct Inbox {
    uint64_t stream = 0;
    uint64_t next = 1;                         // Lower numbers were taken, or refused.
    bool began = false;                        // Number 1 was seen.
    bool closed = false;                       // Nothing from `next` on is taken.
    std::map<uint64_t, peer::Forward> held;    // Came before what is to be taken first; by first number.
    size_t held_bytes = 0;
    uint64_t held_since_us = 0;
    size_t running = 0;
    size_t running_bytes = 0;
    uint64_t used_at_us = 0;
  };
  struct Running {
    Process process;
    raft::Term term = 0;
    uint64_t stream = 0;
    uint64_t number = 0;
    size_t bytes = 0;
    SessionRef session;
    bool noted = false;                        // In answered_.
  };
  using Destination = std::tuple<Process, uint64_t, raft::Term>;   // Process, stream, term.
  struct Outgoing {
    peer::ForwardReply reply;
    size_t bytes = 0;
  };

  bool leads_in(raft::Term term) const;
  bool is_full(const Inbox& inbox) const;
  void hold(Inbox& inbox, peer::Forward forward);
  void take(Inbox& inbox, const peer::Forward& forward);
  void take_held(Inbox& inbox);
  void close(Inbox& inbox, const peer::Forward& because);
  void run(Inbox& inbox, const peer::Forward& forward, uint64_t number);
  SessionRef session_for(raft::NodeId from, const peer::ForwardedRequest& request);
  Outgoing& outgoing(const Process& process, uint64_t stream, raft::Term term);
  void note_answer(uint64_t client);
  void run_waiting();
  void answer(Running& running);
  void send(Outgoing& outgoing);

  Replica& replica_;
  const Options& options_;
  Environment environment_;
  Stats& stats_;
  const raft::NodeId self_;
  Execute execute_;

  std::map<Process, Inbox> inboxes_;
  // A write that is not carried out yet. Counted in running_, and so within its bounds.
  struct Waiting {
    uint64_t client = 0;
    std::vector<std::string> arguments;
  };

  std::map<uint64_t, Running> running_;        // By the session's client id.
  std::deque<Waiting> waiting_;                // In the order in which they came.
  bool is_held_ = false;
  std::vector<uint64_t> answered_;             // Of running_, those that may be.
  std::map<Destination, Outgoing> outgoing_;   // Of this turn.
  std::vector<SessionRef> spare_;
  uint64_t next_client_;
};

}  // namespace leto::server
