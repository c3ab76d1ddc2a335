// A closed-loop client with real connections: sends a request or a pipeline, waits for all its answers, thinks, and
// goes on; turns to another node when it is refused or cut off. What it asks for and how answers are classed is the
// simulator's (tests/sim/workload.h, and talk.h for transactions).
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "base/random.h"
#include "tests/chaos/connection.h"
#include "tests/sim/talk.h"
#include "tests/sim/workload.h"

namespace leto::chaos {

// What clients know of the nodes.
class Directory {
 public:
  virtual ~Directory() = default;
  virtual size_t nodes() const = 0;
  virtual size_t leader() const = 0;                   // 0: nobody is known to lead.
  virtual bool forwards(size_t node) const = 0;        // Writes that a follower gets.
  virtual Address address(size_t node) const = 0;
  // Since when the node has run without a stop; a request that is older and has no answer is none of these, if it was sent since.
  virtual Milliseconds awake_since(size_t node) const = 0;
};

enum class Habit : uint8_t {
  kFollowsLeader,
  kRoams,         // Asks any node, for anything it may give.
  kReadsLocally,  // READONLY at any node; judged by a weaker claim, see tests/checker/local_reads.h.
  kStays,         // Reads at one node alone, and never writes: so nothing stops it at one that has lost the others.
};

struct ClientSetup {
  Loop& loop;
  sim::World& world;
  sim::Workload& workload;
  Directory& directory;
  uint64_t number = 0;   // From 1.
  Habit habit = Habit::kFollowsLeader;
  size_t home = 0;       // Of kStays: the node.
};

// Longer than a node may let a request wait, with room for a machine that does other things, too.
inline constexpr Milliseconds kPatience = 20'000;

class Client {
 public:
  explicit Client(const ClientSetup& setup);
  ~Client();

  void start();
  // After what it waits for was answered.
  void stop() { stopped_ = true; }
  bool idle() const { return waiting_.empty() && !talk_; }
  // It goes away, whatever it waits for, and comes back.
  void vanish();

 private:
  void think();
  void act();
  size_t choose();
  void connect();
  void on_ready();
  void ask();
  void ask_batch();
  void ask_together();
  void ask_locally();
  void ask_at_home();
  void send(std::vector<sim::Workload::Asked> batch);
  void on_reply(const checker::Answer& answer);
  void on_talk(const checker::Answer& answer);
  void give_up();
  void wait_for_answers();
  void watch();

  Loop& loop_;
  sim::World& world_;
  sim::Workload& workload_;
  Directory& directory_;
  const uint64_t number_;
  const Habit habit_;
  const size_t home_;
  base::Random random_;
  std::shared_ptr<Connection> connection_;
  size_t node_ = 0;              // Where it is connected to.
  uint64_t connections_ = 0;
  std::deque<sim::Workload::Number> waiting_;
  std::unique_ptr<sim::Talk> talk_;   // A transaction under way; then waiting_ is empty.
  Milliseconds sent_at_ = 0;
  Milliseconds patience_ = kPatience;
  bool connecting_ = false;      // Until the node took the password, and READONLY.
  uint64_t rounds_ = 0;          // Of think(): one at a time.
  bool refused_ = false;         // Something of the last pipeline was.
  bool stopped_ = true;
  bool watched_ = false;
};

}  // namespace leto::chaos
