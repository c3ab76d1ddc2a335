// One client's conversation with the node, without its socket: which requests are outstanding, and the
// rule that replies leave in the order of the requests. Refuses to know uv and Raft.
//
// Invariants: outstanding requests are numbered consecutively; output() holds the replies of all requests
// before the first outstanding one, whole; a request is answered exactly once.
// Replies that nobody fetches are bounded: is_full_at() keeps reads waiting that may see a later state as well.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "command/client.h"
#include "command/table.h"

namespace leto::server {

// Arguments that outlive the parser's buffer: one allocation for the bytes, one for the views.
class OwnedArguments {
 public:
  OwnedArguments() = default;
  explicit OwnedArguments(resp::Arguments arguments);
  // Valid until this is moved or destroyed.
  std::vector<std::string_view> views() const;
  // Of memory: many that are empty take some, too.
  size_t bytes() const { return bytes_.size() + ends_.size() * sizeof(size_t); }

 private:
  std::string bytes_;
  std::vector<size_t> ends_;
};

enum class RequestState : uint8_t {
  kAnswered,       // `reply` is whole; it waits for those before it.
  kWaitsLeader,    // A write, not proposed: no leader is known, or the disk's turn has not come.
  kPending,        // A write in this turn's batch or in the log; `reply` comes at apply.
  kFollowsWrite,   // A read that runs at the place of the write before it.
  kWaitsIndex,     // A read whose read index is not confirmed or not applied yet.
  kReady,          // A read that may run once the writes before it were applied.
  kServable,       // A read that waits for its client to fetch, or for reads before it; any state from now on will do.
  kForwarded,      // A write that another node carries out: to be sent, or sent and not answered.
  kDeferred,       // Something else that answers later, by its ticket or from another node.
};

struct Request {
  RequestState state = RequestState::kAnswered;
  bool proposed = false;            // A write that was handed to raft: if it is lost, its outcome is unknown.
  bool unlimited = false;           // Who answers it sees to request-timeout.
  bool behind = false;              // A read whose index is known, and was not applied here at that time.
  bool local = false;               // A read that asks for no more than this node has applied.
  int protocol = 2;                 // Of its reply: what the client had chosen when it asked. Set by push().
  uint32_t database = 0;
  const command::Command* command = nullptr;
  uint64_t arrived_us = 0;
  OwnedArguments arguments{};       // Of reads, of what waits for a leader or for its answer, of what only a leader can do.
  size_t argument_bytes = 0;        // Of these, when it was pushed. Set by push().
  std::string reply{};
  std::shared_ptr<command::LocalCommands> locals{};   // Of an EXEC.
  // Called in place of a handler, when a read could run; it is kDeferred from then on. It must not hold the session.
  std::function<void(const std::shared_ptr<class Session>&, uint64_t sequence)> at_index{};
};

// It was taken and is neither applied nor answered.
inline bool is_unapplied_write(const Request& request) {
  return request.state == RequestState::kPending || request.state == RequestState::kWaitsLeader ||
         request.state == RequestState::kForwarded;
}

// It was neither served nor answered otherwise.
inline bool is_unserved_read(const Request& request) {
  return request.state == RequestState::kFollowsWrite || request.state == RequestState::kWaitsIndex ||
         request.state == RequestState::kReady || request.state == RequestState::kServable;
}

class Session : public std::enable_shared_from_this<Session> {
 public:
  using Sequence = uint64_t;
  // Past so many bytes of replies that wait, no read is served that may wait, too.
  static constexpr size_t kReplyBytesMax = 1 << 20;
  command::Client client;

  // Bytes that may be written to the client now. The owner takes them away.
  std::string& output() { return output_; }
  bool idle() const { return outstanding_.empty(); }
  size_t outstanding() const { return outstanding_.size(); }

  // Adds a request behind the others; returns its number.
  Sequence push(Request request);
  // Null once it was answered and left.
  Request* find(Sequence sequence);
  Request* front() { return outstanding_.empty() ? nullptr : &outstanding_.front(); }
  Request* back() { return outstanding_.empty() ? nullptr : &outstanding_.back(); }
  Sequence front_sequence() const { return first_; }
  // The youngest write that is neither applied nor answered, or null. One behind it may have been refused at once.
  Request* last_write();
  // Whether one of the requests since forget_writing(), answered or not, was a write; or the youngest one before it.
  bool wrote() const { return wrote_; }
  void forget_writing() { wrote_ = last_write_ != 0 && last_write_ + 1 == first_ + outstanding_.size(); }

  // Where the reply of the request must be written: output() itself if it is the first outstanding one,
  // else the request's own buffer. Then call answered().
  std::string& reply_buffer(Sequence sequence);
  // The reply of `sequence` is whole, and it was served: it and all answered ones behind it move to output().
  void answered(Sequence sequence);
  // The same with an error: it was not served.
  void fail(Sequence sequence, std::string_view error);

  // Call it now and then, before requests are ended because they waited too long: who was served since the last call was
  // served at `now_us`.
  void note_served(uint64_t now_us);
  // Since when one that arrived at `arrived_us` waits: its turn came only when the one before it was served. One that failed
  // gives those behind it no new time: they fail together.
  uint64_t waits_since_us(uint64_t arrived_us) const;

  // Whether the client is to be told what is ready before that request is served. Of the first outstanding one no other answer
  // can be in the way.
  bool is_full_at(Sequence sequence) const {
    return output_.size() >= kReplyBytesMax || (sequence != first_ && held_bytes_ >= kReplyBytesMax);
  }
  // What is asked for waits for its client, not for this node: no time-out is about that.
  bool waits_for_client() const { return !outstanding_.empty() && outstanding_.front().state == RequestState::kServable; }
  // Of replies: those that may be written now, and those that wait for one before them.
  size_t reply_bytes() const { return output_.size() + held_bytes_; }
  // Of what is outstanding, as far as its arguments are kept here.
  size_t argument_bytes() const { return argument_bytes_; }
  // It was owed more at once than client-output-buffer-limit allows, and did not get it: the connection is to be closed.
  void overflow() { overflowed_ = true; }
  bool overflowed() const { return overflowed_; }

  // Nothing is executed until the request is answered: what comes behind depends on what it changes in `client`.
  void hold_until(Sequence sequence) { held_until_ = sequence; }
  bool holds();

  bool closed() const { return closed_; }
  // The connection is gone: nothing is answered any more.
  void close();

  bool for_peer = false;         // Of another node's client: what cannot be done here goes back there.
  bool in_active_list = false;   // The node's list of sessions with output to flush.
  bool in_fetched_list = false;  // The replica's, of those whose reads may go on.
  // Set: nobody reads this session from a socket; it is told whenever the output may have grown.
  std::function<void()> on_output;
  // What its forwarded writes did is in the state from this log index on: local reads wait for it.
  uint64_t seen_index = 0;

 private:
  void leave(Sequence sequence);

  std::deque<Request> outstanding_;
  Sequence first_ = 1;           // Of outstanding_.front().
  Sequence last_write_ = 0;      // 0: none yet.
  Sequence held_until_ = 0;      // 0: by none.
  bool served_ = false;          // The first outstanding one was, since note_served().
  uint64_t served_us_ = 0;
  std::string output_;
  size_t held_bytes_ = 0;        // Of replies behind the first outstanding request.
  size_t argument_bytes_ = 0;    // Of the outstanding requests.
  bool wrote_ = false;
  bool overflowed_ = false;
  bool closed_ = false;
};

using SessionRef = std::shared_ptr<Session>;

}  // namespace leto::server
