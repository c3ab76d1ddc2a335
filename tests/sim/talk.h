// One transaction of a client on a pair of counters that are changed together alone: so they are never seen to differ,
// inside a transaction or by two of them (I14: MULTI is atomic). Every command of it is also an operation of the
// history. Refuses to know connections.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/workload.h"

namespace leto::sim {

struct Pair {
  std::string left, right;
  uint64_t uses = 0;
  uint64_t unknown = 0;
};

// The pairs in use. One is left behind before its history is too long to be judged.
class Pairs {
 public:
  std::shared_ptr<Pair> draw(base::Random& random);

 private:
  std::vector<std::shared_ptr<Pair>> pairs_{2};
  uint64_t generations_ = 0;
};

class Talk {
 public:
  enum class Kind : uint8_t {
    kIncrement,        // MULTI, INCR, INCR, EXEC; a part of them behind a WATCH.
    kRead,             // MULTI, GET, GET, EXEC.
    kCompareAndSet,    // WATCH, GET; then, knowing the value, MULTI, SET, SET, EXEC.
    kDiscard,          // MULTI, INCR, INCR, DISCARD.
    kAbort,            // MULTI, INCR, what cannot be queued, INCR, EXEC.
    kReset,            // WATCH, MULTI, INCR, RESET, GET.
    kSelect,           // MULTI, SELECT 1, INCR, SELECT 0, INCR, INCR, EXEC.
    kUnwatch,          // WATCH, UNWATCH, MULTI, GET, GET, EXEC.
    kHello,            // HELLO 3, MULTI, GET, GET, EXEC, HELLO 2.
  };
  static Kind draw_kind(bool reads, base::Random& random);
  struct Setup {
    World& world;
    Workload& workload;
    uint64_t client = 0;
    Kind kind = Kind::kIncrement;
  };
  Talk(const Setup& setup, base::Random& random);

  // What to send first.
  std::vector<Request> begin(base::Random& random);
  // What to send next, if anything.
  std::vector<Request> on_reply(const checker::Answer& answer);
  // Nothing more will be answered. `was_sent`: what was to be sent may have arrived.
  void lost(bool was_sent);
  bool over() const { return expected_.empty(); }
  bool refused() const { return refused_; }

 private:
  // What the next replies belong to.
  enum class Reply : uint8_t {
    kWatch, kFirstRead, kMulti, kQueued, kExec, kElement,
    kBad,       // An error, of what cannot be queued.
    kAborted,   // An EXEC that cannot do anything.
    kOk, kReset,
    kHello,     // A map or an array; kAnything are its elements.
    kNumber,    // An element of EXEC's that nobody knows more of.
    kAnything,
    kLastRead,
  };

  void ask(checker::Action action, const std::string& key);
  void add(std::vector<Request>& requests, Request request, Reply reply);
  void add_transaction(std::vector<Request>& requests, const std::vector<Request>& commands, const std::vector<Reply>& elements);
  std::vector<Request> never_done(base::Random& random);
  std::vector<Request> over_databases();
  bool takes_plain(Reply reply, const checker::Answer& answer);
  void note_kind(Reply reply);
  void undo_all();
  std::vector<Request> compare_and_set();
  void on_exec(const checker::Answer& answer);
  void on_element(const checker::Answer& answer);
  void end_all(const checker::Answer& answer);
  void note_refusal(const checker::Answer& answer);

  World& world_;
  Workload& workload_;
  const uint64_t client_;
  const Kind kind_;
  std::shared_ptr<Pair> pair_;
  std::deque<Reply> expected_;
  std::vector<Reply> elements_;               // Of EXEC's reply.
  std::deque<Workload::Number> operations_;   // Not answered yet.
  std::vector<std::string> seen_;             // Of the elements of EXEC's reply.
  std::optional<Workload::Number> last_read_; // Behind a RESET.
  int64_t value_ = 0;                         // That was read before.
  checker::Answer refusal_;                   // Of a command that was not queued.
  bool refused_ = false;
};

}  // namespace leto::sim
