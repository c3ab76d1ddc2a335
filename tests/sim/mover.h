// A client of the databases 1 to 3: it sets, renames and erases keys there, exchanges the databases and flushes them, at
// whichever node. Nobody else is there, so what it is told is held against all states that its answers allow (mover_model.h).
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/client.h"
#include "tests/sim/mover_model.h"

namespace leto::sim {

class Mover final : public ClosedLoop {
 public:
  explicit Mover(const ClientSetup& setup);

  bool idle() const override { return waiting_.empty(); }
  // Reads everything at the leader, holds it against the model, and from then on takes it for what there is. Nothing of before
  // may still be on its way. REQUIRES: it is stopped and idle.
  void read_all(std::function<void()> done);

 private:
  Microseconds draw_pause() override;
  void act() override;
  void on_reply(const checker::Answer& answer) override;
  void on_closed() override;
  bool connect();
  Request draw();
  void send(std::vector<Request> requests);
  void judge(const Request& request, const checker::Answer& answer);
  void lose(const Request& request);
  void end_reading();

  Workload& workload_;
  MoverModel model_;
  std::deque<Request> waiting_;   // For their replies.
  uint32_t database_ = 0;         // In which the first of these is carried out.
  std::vector<std::string> read_;  // By read_all(), so far.
  std::function<void()> all_read_;
  bool refused_ = false;
};

}  // namespace leto::sim
