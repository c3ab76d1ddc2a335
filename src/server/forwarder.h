// The follower's side of forwarding: what clients of this node ask of the leader. Knows what was sent, to whom,
// and what each request waits for. Refuses to know what a request does, and bytes.
//
// Invariants: a request is sent again only if the one who had it said that it did not take it, or if it never left;
// what was sent and is not answered ends as UNKNOWN. Requests of one connection are sent in their order, each after
// the reads before it were served; to another leader, or over another stream, only once nothing of that
// connection is under way elsewhere. What is under way is bounded in number and bytes.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "peer/forward.h"
#include "server/replica.h"

namespace leto::server {

class Forwarder {
 public:
  // Under way to a leader at once; one request always fits.
  static constexpr size_t kUnderWayMax = 8192;
  static constexpr size_t kUnderWayBytesMax = 16 << 20;
  // Past so many bytes, under way and waiting, clients that write are not read from.
  static constexpr size_t kOverloadBytes = 64 << 20;

  // Carries a request out at this node, which leads.
  using RunHere = std::function<void(const SessionRef&, Session::Sequence)>;
  struct Self {
    raft::NodeId node = raft::kNobody;
    uint64_t life = 0;   // Names this process; random.
  };
  Forwarder(Replica& replica, const ReplicaParts& parts, Self self, RunHere run_here);

  // A request for the leader, whoever that is now or becomes within request-timeout. It is answered by then.
  void add(const SessionRef& session, const command::Command& command, resp::Arguments arguments,
           Replica::Locals locals = {});
  // The same for a request that this node had taken, and of which it has begun nothing. REQUIRES: the request has its
  // arguments, and is not answered.
  void take_over(const SessionRef& session, Session::Sequence sequence);
  // A command of this node's own. `done` is called once, with an empty text if the leader answered OK, else with the
  // error's text.
  using Done = std::function<void(const std::string& error)>;
  void command(const std::vector<std::string>& arguments, Done done);

  // While not empty nothing is sent any more, as this node is no member: what waits is answered with it.
  void cut_off(const std::string& why);
  // Sends what may go. Once per turn, after the replica's.
  void advance();
  void on_reply(const peer::ForwardReply& reply);
  // What was sent there, or the answers, may be lost.
  void on_unreachable(raft::NodeId node);
  // Answers what has waited longer than request-timeout. Call every 100 ms or so, when the sessions have noted who was served.
  void expire(uint64_t now_us);
  // Panics if it holds more than its bounds (I15). Between turns.
  void check_bounds() const;
  size_t bytes() const { return bytes_; }
  // Nothing waits here, and nothing is under way.
  bool idle() const { return lines_.empty(); }
  bool overloaded() const { return bytes_ > kOverloadBytes; }

 private:
  struct Item {
    uint64_t client = 0;
    Session::Sequence sequence = 0;
    size_t bytes = 0;
    uint64_t arrived_us = 0;
    bool settled = false;                    // Was sent, and is answered or given back.
  };
  // A connection that has something here.
  struct Line {
    SessionRef session;
    std::deque<Item> waiting;                // By sequence.
    size_t under_way = 0;
    uint64_t stream = 0;                     // Of all that is under way.
    Session::Sequence sent_up_to = 0;        // Reads before it were served.
    bool listed = false;                     // In ready_.
  };
  // Numbered requests to one leader. Only the current one grows.
  struct Stream {
    raft::NodeId leader = raft::kNobody;
    raft::Term term = 0;
    uint64_t first = 1;                      // Number of sent.front().
    std::deque<Item> sent;
    uint64_t ends_at_us = 0;                 // When no answer is expected any more; 0: it is the current one.
    uint64_t used_at_us = 0;
    uint64_t next() const { return first + sent.size(); }
  };
  struct Batch;
  struct OwnCommand {
    SessionRef session;
    Done done;
  };

  void add_to_line(const SessionRef& session, const Item& item);
  void enqueue(Line& line, const Item& item);
  void list(uint64_t client, Line& line);
  void forget_if_done(uint64_t client);
  Item take_waiting(Line& line);
  Request* open_request(const Line& line, Session::Sequence sequence) const;
  bool may_go(const Line& line) const;
  bool end_waiting(const RunHere& how);
  void send_waiting();
  void fill(Batch& batch, Line& line);
  bool post(Batch& batch);
  void put_back(Batch& batch);
  bool window_open() const;
  bool follow_leader(uint64_t now_us);
  void retire_current(uint64_t now_us, uint64_t grace_us);
  void pause();
  void give_up_overdue_streams(uint64_t now_us);
  void give_up(Stream& stream, const std::string& error);
  void fail_sent(Item& sent, const std::string& error);
  void drop_settled(uint64_t number_of_stream);
  void settle(Item& sent, const peer::ForwardReply& reply, const peer::ForwardAnswer& answer);
  void give_back(Item& sent);
  bool release(Item& sent);
  void answer(const SessionRef& session, Session::Sequence sequence, const std::string& reply);
  void fail(const SessionRef& session, Session::Sequence sequence, const std::string& error);
  uint64_t waits_since_us(const Item& item) const;
  void expire_sent(uint64_t now_us);
  void expire_waiting(Line& line, uint64_t now_us);
  void finish_own_commands();

  Replica& replica_;
  const Options& options_;
  Environment environment_;
  Stats& stats_;
  const Self self_;
  RunHere run_here_;
  std::string cut_off_;                      // Empty: it is not.

  std::map<uint64_t, Line> lines_;           // By client id.
  std::deque<uint64_t> ready_;               // Clients with something waiting; the first is the next to go.
  std::map<uint64_t, Stream> streams_;       // By number.
  uint64_t current_ = 0;                     // 0: none.
  uint64_t next_stream_ = 1;
  uint64_t reopen_at_us_ = 0;                // Who refused just now is not asked again before.
  size_t under_way_ = 0;
  size_t under_way_bytes_ = 0;
  size_t bytes_ = 0;
  std::map<uint64_t, OwnCommand> own_commands_;
  uint64_t next_own_client_;
};

}  // namespace leto::server
