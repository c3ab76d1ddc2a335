// A closed-loop client: sends a request or a pipeline, waits for all its answers, thinks, and goes on; turns to
// another node when it is refused or cut off. Refuses to know what it asks for.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "tests/sim/closed_loop.h"
#include "tests/sim/talk.h"
#include "tests/sim/workload.h"

namespace leto::sim {

struct ClientSetup {
  World& world;
  Workload& workload;
  Directory& directory;
  uint64_t number = 0;   // From 1.
};

class Client final : public ClosedLoop {
 public:
  explicit Client(const ClientSetup& setup);

  bool idle() const override { return waiting_.empty() && !talk_; }
  // So many pipelines without thinking.
  void burst(uint64_t count) { hurry_ += count; }
  // It vanishes, whatever it waits for, and comes back.
  void vanish();
  // Reads `keys` at the leader, a few at a time, then calls back.
  void read_all(std::vector<std::string> keys, std::function<void()> done);

 private:
  Microseconds draw_pause() override;
  void act() override;
  void on_reply(const checker::Answer& answer) override;
  void on_closed() override;
  bool connect(bool any);
  bool reads_under_lease() const;
  void act_together();
  void on_talk(const checker::Answer& answer);
  void send_batch(std::vector<Workload::Asked> batch);
  void read_next();

  Workload& workload_;
  const uint64_t number_;
  std::deque<Workload::Number> waiting_;
  std::unique_ptr<Talk> talk_;  // A transaction under way; then waiting_ is empty.
  uint64_t hurry_ = 0;
  bool refused_ = false;        // Something of the last pipeline was.
  bool anywhere_ = false;       // Connected for reads alone.
  std::vector<std::string> to_read_;
  std::function<void()> all_read_;
};

}  // namespace leto::sim
