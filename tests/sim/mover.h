// A client of the databases 1 to 3: it sets, renames and erases keys there, exchanges the databases and flushes them, at
// whichever node. What it is told is not judged; what the nodes make of it is (I13), and that no key of database 0, where
// the judged clients are, feels any of it.
#pragma once

#include <memory>

#include "tests/sim/client.h"

namespace leto::sim {

class Mover {
 public:
  explicit Mover(const ClientSetup& setup);
  ~Mover();

  void start() {
    stopped_ = false;
    think();
  }
  void stop() { stopped_ = true; }
  bool idle() const { return waiting_ == 0; }

 private:
  void think();
  void act();
  bool connect();
  Request draw();
  void on_reply(const checker::Answer& answer);
  void on_closed();

  World& world_;
  Directory& directory_;
  base::Random random_;
  std::shared_ptr<Connection> connection_;
  size_t waiting_ = 0;       // Replies.
  uint64_t rounds_ = 0;      // Of think(): one at a time.
  bool refused_ = false;
  bool stopped_ = false;
};

}  // namespace leto::sim
