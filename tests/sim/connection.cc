#include "tests/sim/connection.h"

#include <algorithm>
#include <utility>

namespace leto::sim {

namespace {

constexpr Microseconds kTravelLow = 20, kTravelHigh = 400, kPieceHigh = 3000;

}  // namespace

std::shared_ptr<Connection> Connection::open(Machine& machine, OnReply on_reply, OnClosed on_closed) {
  if (machine.process() == nullptr || machine.dying() || machine.process()->node().shutting_down()) return nullptr;
  std::shared_ptr<Connection> made(new Connection(machine, std::move(on_reply), std::move(on_closed)));
  made->session_ = machine.process()->connect(made);
  made->life_ = machine.life();
  return made;
}

void Connection::send(std::vector<Request> requests, base::Random& random) {
  Scheduler& scheduler = machine_.world().scheduler;
  Microseconds arrival = std::max(last_arrival_, scheduler.now() + random.between(kTravelLow, kTravelHigh));
  size_t sent = 0;
  while (sent < requests.size()) {
    const size_t count = random.chance(2, 3) ? requests.size() - sent : random.between(1, requests.size() - sent);
    const auto from = requests.begin() + static_cast<std::ptrdiff_t>(sent);
    machine_.after(arrival - scheduler.now(),
                   [self = shared_from_this(), piece = std::vector<Request>(from, from + static_cast<std::ptrdiff_t>(count))] {
                     self->arrive(piece);
                   });
    sent += count;
    last_arrival_ = arrival;
    arrival += random.between(1, kPieceHigh);
  }
}

void Connection::arrive(const std::vector<Request>& requests) {
  if (!open_ || machine_.process() == nullptr) return;
  for (const Request& request : requests) machine_.process()->execute(session_, request);
}

void Connection::close() {
  if (!std::exchange(open_, false)) return;
  on_reply_ = nullptr;
  on_closed_ = nullptr;
  if (machine_.life() == life_ && machine_.process() != nullptr) machine_.process()->disconnect(session_);
}

void Connection::on_bytes(std::string bytes) {
  if (!open_) return;
  reader_.feed(bytes);
  while (open_) {
    const std::optional<checker::Answer> answer = reader_.next();
    if (!answer) break;
    // A copy, as the call may close this connection.
    const OnReply on_reply = on_reply_;
    on_reply(*answer);
  }
  if (reader_.broken()) machine_.world().fail("protocol", "a reply is not RESP");
}

void Connection::on_closed() {
  if (!std::exchange(open_, false)) return;
  const OnClosed on_closed = std::exchange(on_closed_, nullptr);
  on_reply_ = nullptr;
  on_closed();
}

}  // namespace leto::sim
