// A client of the databases 1 to 3: it sets, renames and erases keys there, exchanges the databases and flushes them, at
// whichever node. What it is told is not judged; what the nodes make of it is (I13), and that no key of database 0, where
// the judged clients are, feels any of it.
#pragma once

#include "tests/sim/client.h"

namespace leto::sim {

class Mover final : public ClosedLoop {
 public:
  explicit Mover(const ClientSetup& setup);

  bool idle() const { return waiting_ == 0; }

 private:
  Microseconds draw_pause() override;
  void act() override;
  void on_reply(const checker::Answer& answer) override;
  void on_closed() override;
  bool connect();
  Request draw();

  size_t waiting_ = 0;       // Replies.
  bool refused_ = false;
};

}  // namespace leto::sim
