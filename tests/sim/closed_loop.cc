#include "tests/sim/closed_loop.h"

#include "base/format.h"
#include "server/tick.h"
#include "tests/sim/workload.h"

namespace leto::sim {

namespace {

// A node looks every tenth tick for what has waited too long; before and behind that the ways, in pieces.
constexpr uint64_t kSlackUs = 12 * server::kTickMs * kMillisecond + 50 * kMillisecond;

}  // namespace

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

void ClosedLoop::watch(uint64_t rounds) {
  const Machine& machine = connection_->machine();
  look({.number = ++watches_, .life = machine.life(), .since = world_.scheduler.now(), .own_us = machine.clock.monotonic_us(),
        .limit_us = rounds * (world_.parameters.options.request_timeout_ms * kMillisecond + kSlackUs)});
}

void ClosedLoop::watch_next(const checker::Answer& answer) {
  const bool failed = answer.kind == checker::Answer::Kind::kError;
  if (!failed || !(is_refusal(answer.text) || answer.text.starts_with("UNKNOWN"))) watch(1);
}

// While its process is paused nothing is begun nor ended: then the time counts from the end of that.
void ClosedLoop::look(Watched watched) {
  if (watched.number != watches_ || idle()) return;
  const Machine& machine = connection_->machine();
  if (machine.life() != watched.life) return;   // Its connections break.
  const Microseconds now = world_.scheduler.now();
  Microseconds later = 0;
  if (machine.paused()) {
    later = machine.paused_until() - now;
  } else if (machine.paused_until() > watched.since) {
    watched.since = now;
    watched.own_us = machine.clock.monotonic_us();
  }
  const uint64_t passed = machine.clock.monotonic_us() - watched.own_us;
  if (later == 0 && passed < watched.limit_us) later = machine.clock.until(watched.limit_us - passed);
  if (later > 0) return world_.scheduler.after(later, [this, watched] { look(watched); });
  world_.fail("I14", base::format("a client still waits for machine %zu after %llu ms, request-timeout is %llu ms", machine.number,
                                  static_cast<unsigned long long>((now - watched.since) / kMillisecond),
                                  static_cast<unsigned long long>(world_.parameters.options.request_timeout_ms)));
}

bool ClosedLoop::connect_to(Machine& machine) {
  if (connection_) connection_->close();
  redirected_ = nullptr;
  connection_ = Connection::open(machine, [this](const checker::Answer& answer) { on_reply(answer); }, [this] { on_closed(); });
  return connection_ != nullptr;
}

void ClosedLoop::hear(const checker::Answer& answer) {
  if (answer.kind != checker::Answer::Kind::kError) return;
  if (answer.text == "not leader") world_.coverage.note(Reached::kNotLeader);
  const std::string address = redirected_to(answer.text);
  if (address.empty()) return;
  world_.coverage.note(Reached::kRedirected);
  redirected_ = directory_.at(address);
}

Machine* ClosedLoop::who_takes_writes() { return redirected_ != nullptr ? redirected_ : directory_.leader(); }

}  // namespace leto::sim
