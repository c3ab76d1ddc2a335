// A closed-loop client: sends a request or a pipeline, waits for all its answers, thinks, and goes on; turns to
// another node when it is refused or cut off. Refuses to know what it asks for.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "tests/sim/talk.h"
#include "tests/sim/workload.h"

namespace leto::sim {

// Where a client may go.
class Directory {
 public:
  virtual ~Directory() = default;
  virtual Machine* leader() = 0;            // Null if there is none.
  virtual Machine& random_machine(base::Random& random) = 0;
  // No request is outstanding for longer.
  virtual Microseconds patience() const = 0;
};

struct ClientSetup {
  World& world;
  Workload& workload;
  Directory& directory;
  uint64_t number = 0;   // From 1.
};

class Client {
 public:
  explicit Client(const ClientSetup& setup);
  ~Client();

  void start() {
    stopped_ = false;
    think();
  }
  // After what it waits for was answered.
  void stop() { stopped_ = true; }
  bool idle() const { return waiting_.empty() && !talk_; }
  // So many pipelines without thinking.
  void burst(uint64_t count) { hurry_ += count; }
  // It vanishes, whatever it waits for, and comes back.
  void vanish();
  // Reads `keys` at the leader, a few at a time, then calls back.
  void read_all(std::vector<std::string> keys, std::function<void()> done);

 private:
  void think();
  void act();
  bool connect(bool any);
  bool reads_under_lease() const;
  void act_together();
  void on_talk(const checker::Answer& answer);
  void send_batch(std::vector<Workload::Asked> batch);
  void read_next();
  void on_reply(const checker::Answer& answer);
  void on_closed();
  void watch(uint64_t batch);

  World& world_;
  Workload& workload_;
  Directory& directory_;
  const uint64_t number_;
  base::Random random_;
  std::shared_ptr<Connection> connection_;
  std::deque<Workload::Number> waiting_;
  std::unique_ptr<Talk> talk_;  // A transaction under way; then waiting_ is empty.
  uint64_t batches_ = 0;
  uint64_t rounds_ = 0;         // Of think(): one at a time.
  uint64_t hurry_ = 0;
  bool refused_ = false;        // Something of the last pipeline was.
  bool stopped_ = false;
  bool anywhere_ = false;       // Connected for reads alone.
  std::vector<std::string> to_read_;
  std::function<void()> all_read_;
};

}  // namespace leto::sim
