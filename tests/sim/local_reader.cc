#include "tests/sim/local_reader.h"

#include <utility>

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x6c6f6361;
constexpr uint64_t kReadsAtOnce = 6;

}  // namespace

LocalReader::LocalReader(const ClientSetup& setup)
    : ClosedLoop(setup.world, setup.directory, kStream), workload_(setup.workload), number_(setup.number) {}

Microseconds LocalReader::draw_pause() { return 1 + random_.below(2 * world_.parameters.clients.think_high); }

bool LocalReader::connect() {
  if (is_connected() && !random_.chance(1, 60)) return true;
  ++connections_;
  greeted_ = false;
  if (!connect_to(directory_.random_machine(random_))) return false;
  connection_->send({{"READONLY"}}, random_);
  return true;
}

void LocalReader::act() {
  if (!connect()) return think();
  std::vector<Request> requests;
  for (uint64_t left = random_.between(1, kReadsAtOnce); left > 0; --left) {
    Workload::Asked asked = workload_.ask({.action = checker::Action::kGet, .key = workload_.any_key(random_),
                                           .client = number_, .local = true, .connection = connections_});
    waiting_.push_back(asked.number);
    requests.push_back(std::move(asked.request));
  }
  world_.coverage.note(Reached::kLocalRead);
  connection_->send(std::move(requests), random_);
  watch(1);
}

void LocalReader::on_reply(const checker::Answer& answer) {
  if (!std::exchange(greeted_, true)) return;
  if (waiting_.empty()) return world_.fail("protocol", "a reply that nobody asked for: " + checker::readable(answer));
  workload_.answered(waiting_.front(), answer);
  waiting_.pop_front();
  if (waiting_.empty()) return think();
  watch_next(answer);
}

void LocalReader::on_closed() {
  for (const Workload::Number number : std::exchange(waiting_, {})) workload_.lost(number, true);
  think();
}

}  // namespace leto::sim
