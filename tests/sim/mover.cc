#include "tests/sim/mover.h"

#include <utility>

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x6d6f7665;
constexpr uint64_t kCommandsAtOnce = 6;
constexpr uint64_t kKeys = 8;
// Above what fits into a row of the keys file.
constexpr uint64_t kLargeBytes = 66000;

}  // namespace

Mover::Mover(const ClientSetup& setup) : ClosedLoop(setup.world, setup.directory, kStream) {}

Microseconds Mover::draw_pause() { return 1 + random_.below(4 * world_.parameters.clients.think_high); }

bool Mover::connect() {
  if (is_connected() && !std::exchange(refused_, false) && !random_.chance(1, 60)) return true;
  Machine* target = random_.chance(1, 8) ? nullptr : directory_.leader();
  if (target == nullptr) target = &directory_.random_machine(random_);
  return connect_to(*target);
}

Request Mover::draw() {
  const auto database = [this] { return std::to_string(random_.between(1, 3)); };
  const auto key = [this] { return "m" + std::to_string(random_.below(kKeys)); };
  switch (random_.below(16)) {
    case 0: return {"SWAPDB", database(), database()};
    case 1: return {"FLUSHDB"};
    case 2: return {"DEL", key()};
    case 3: return {"DBSIZE"};
    case 4: return {"RENAMENX", key(), key()};
    case 5: return {"SELECT", database()};
    case 6: return {"SET", key(), std::string(kLargeBytes, static_cast<char>('a' + random_.below(26)))};
    case 7: case 8: case 9: case 10: return {"SET", key(), std::to_string(random_.next())};
    default: return {"RENAME", key(), key()};
  }
}

// Nothing is said in database 0: the first word of each pipeline leaves it.
void Mover::act() {
  if (!connect()) return think();
  std::vector<Request> requests = {{"SELECT", std::to_string(random_.between(1, 3))}};
  for (uint64_t left = random_.between(1, kCommandsAtOnce); left > 0; --left) requests.push_back(draw());
  for (const Request& request : requests) {
    if (request[0] == "SWAPDB" || request[0] == "FLUSHDB") world_.coverage.note(Reached::kDatabasesMoved);
  }
  waiting_ = requests.size();
  connection_->send(std::move(requests), random_);
}

void Mover::on_reply(const checker::Answer& answer) {
  if (waiting_ == 0) return world_.fail("protocol", "a reply that nobody asked for: " + checker::readable(answer));
  refused_ |= answer.kind == checker::Answer::Kind::kError && answer.text != "ERR no such key";
  if (--waiting_ == 0) think();
}

void Mover::on_closed() {
  waiting_ = 0;
  refused_ = true;
  think();
}

}  // namespace leto::sim
