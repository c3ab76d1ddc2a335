// JOIN, LEAVE and TRANSFER: the queue of membership changes at the leader, from a client's request to the
// committed configuration that grants it. Refuses to know how a change travels through the log: raft/ does the steps.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "command/context.h"
#include "server/environment.h"
#include "server/handover.h"
#include "server/replica.h"

namespace leto::server {

class Membership {
 public:
  // `answer(ticket, error)`: an empty error means OK.
  using Answer = std::function<void(command::Ticket, const std::string& error)>;
  Membership(Replica& replica, const ReplicaParts& parts, raft::NodeId self, Answer answer);

  void join(command::Ticket ticket, const command::JoinRequest& request);
  // Of this node itself: it hands leadership over, and asks the new leader to remove it. If this node is elected again
  // instead, it tries again, until request-timeout; if nobody stands for election it leads on, and the answer says so.
  void leave(command::Ticket ticket, const command::LeaveRequest& request);
  // An empty id: to the best voter.
  void transfer(command::Ticket ticket, std::string_view id);
  // To the best voter; `done` is told why not, by an empty text that it leads, also before this returns. REQUIRES: this node
  // leads.
  void hand_over(raft::NodeId to, Handover::Done done) { handover_.begin(to, std::move(done)); }
  bool handing_over() const { return handover_.under_way(); }
  // This leader would rather have `to` lead. False, and nothing begins, while something else is under way here. REQUIRES:
  // this node leads.
  bool give_way(raft::NodeId to);
  // Set by the owner: has the leader carry out a command, and says how it ended; an empty error means OK. Not
  // set: a leader cannot leave.
  std::function<void(const std::vector<std::string>& arguments, std::function<void(std::string error)> done)>
      forward_to_leader;
  // Where a member is. Once this node leads and has nothing else to change it brings that into the configuration,
  // unless the configuration has changed the member's addresses since.
  void addresses_said(const raft::Member& told);
  // A change of the members, or of who leads them, waits or is under way here.
  bool busy() const { return !changes_.empty() || !departures_.empty() || handover_.under_way(); }
  // Takes the next step of the first change; call it once per turn. A change that is not done within
  // request-timeout is answered and forgotten, so that it holds up no other; what is in the log goes on.
  void advance();
  // Leadership was lost: what was begun ends as UNKNOWN; what waits is answered `not leader`, upon which the owner may ask
  // who leads now. If this node itself is leaving, that is asked for first.
  void leadership_lost();

 private:
  enum class Stage : uint8_t { kDialing, kDialsAgain, kProposing, kCommitting };
  struct Change {
    command::Ticket ticket = 0;
    bool joins = false;
    bool forced = false;
    Stage stage = Stage::kProposing;
    uint64_t arrived_us = 0;
    uint64_t dial_at_us = 0; // kDialsAgain: not before.
    uint64_t lags_since_us = 0;   // Since when it waits for voters that lag; 0: for none.
    bool was_member = false;      // Who was dialed says that it was a member once.
    raft::Member member{};   // Of a JOIN: filled in once it was dialed. Of a LEAVE: the id alone.
  };

  struct Said {
    raft::Member told;    // Node and addresses.
    raft::Member known;   // As it was in the configuration then.
  };

  // False, and answered, if too many wait already.
  bool admits(command::Ticket ticket);
  void dial(Change& change);
  void dial_again();
  void drop_overdue();
  const raft::Member* as_asked(const Change& change) const;
  bool may_be_silent(const Change& change) const;
  std::string objection(const Change& change, base::Result<Network::Found>& found) const;
  void dialed(command::Ticket ticket, base::Result<Network::Found> found);
  void advance_changes();
  void propose_said();
  void propose(Change& change);
  bool has_led_for_long() const;
  bool has_lagged_for_long(Change& change) const;
  // The refusal, for voters of `left` that have to catch up before `leaver` goes.
  std::string who_lags(const std::string& leaver, const raft::Configuration& left) const;
  void leave_as_leader();
  void ask_to_remove(const Change& leaver);
  void try_again(Change leaver);
  void end_begun();
  void give_waiting_away();
  void answer_departure(command::Ticket ticket, const std::string& error);
  bool is_done(const Change& change) const;
  bool is_alive(raft::NodeId node) const;
  std::optional<raft::PeerView> peer_of(raft::NodeId node) const;
  std::string taken_by(const raft::Member& member) const;
  std::string conflict(const Change& change) const;
  bool leaves_before(const Change& change) const;
  // The wanted configuration after the change; false if the change makes no difference.
  bool target(const Change& change, raft::Configuration& configuration) const;
  void finish(const std::string& error);

  Replica& replica_;
  const Options& options_;
  Environment environment_;
  const raft::NodeId self_;
  Answer answer_;
  Handover handover_;
  std::map<raft::NodeId, Said> said_;
  uint64_t led_since_us_ = 0;       // 0: it does not lead.
  uint64_t said_after_us_ = 0;      // When to propose it, at the earliest.
  std::set<command::Ticket> departures_;   // Of this node's own LEAVEs, once they began.
  std::deque<Change> changes_;   // The first one is under way.
};

}  // namespace leto::server
