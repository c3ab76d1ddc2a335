#include "tests/sim/closed_loop.h"

namespace leto::sim {

ClosedLoop::ClosedLoop(World& world, Directory& directory, uint64_t stream)
    : world_(world), directory_(directory), random_(world.stream(stream)) {}

ClosedLoop::~ClosedLoop() {
  if (connection_) connection_->close();
}

void ClosedLoop::think() {
  if (stopped_) return;
  world_.scheduler.after(draw_pause(), [this, thought = ++thoughts_] {
    if (thought == thoughts_ && !stopped_) act();
  });
}

bool ClosedLoop::connect_to(Machine& machine) {
  if (connection_) connection_->close();
  connection_ = Connection::open(machine, [this](const checker::Answer& answer) { on_reply(answer); }, [this] { on_closed(); });
  return connection_ != nullptr;
}

}  // namespace leto::sim
