#include "tests/sim/client.h"

#include <algorithm>
#include <utility>

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x636c6e74;
constexpr Microseconds kBackOffLow = 20 * kMillisecond, kBackOffHigh = 200 * kMillisecond;
constexpr size_t kReadsAtOnce = 20;
constexpr uint64_t kRoundsOfTalk = 2;   // EXEC waits for what is before it.

}  // namespace

Client::Client(const ClientSetup& setup)
    : ClosedLoop(setup.world, setup.directory, kStream + setup.number), workload_(setup.workload), number_(setup.number) {}

Microseconds Client::draw_pause() {
  const Microseconds pause = random_.below(world_.parameters.clients.think_high);
  if (hurry_ > 0) {
    --hurry_;
    return random_.below(200);
  }
  return refused_ ? pause + random_.between(kBackOffLow, kBackOffHigh) : pause;
}

// Where to: to who leads, or to any for reads alone; after a refusal, elsewhere, and where it says so if it does.
bool Client::connect(bool any) {
  const bool knows_better = !any && workload_.errors_forbidden();   // Where nothing may be refused.
  const bool right = is_connected() && any == anywhere_ && !(knows_better && directory_.leader() != &connection_->machine());
  if (right && !refused_ && !random_.chance(1, 40)) return true;
  anywhere_ = any;
  const bool strays = any || (!knows_better && random_.chance(1, 10));
  Machine* target = strays ? nullptr : knows_better ? directory_.leader() : who_takes_writes();
  if (target == nullptr) target = &directory_.random_machine(random_);
  return connect_to(*target);
}

void Client::act() {
  if (random_.chance(world_.parameters.clients.transactions, 100)) return act_together();
  const bool anywhere = random_.chance(world_.parameters.clients.follower_reads, 100);
  const bool connected = connect(anywhere);
  const bool watches = number_ == 1 && world_.parameters.clients.watcher;
  const bool forwards = world_.parameters.options.follower_writes == server::FollowerWrites::kForward;
  const bool refused_there = anywhere && !forwards && (workload_.errors_forbidden() || random_.chance(9, 10));
  const bool reads_only = watches || refused_there;
  refused_ = !connected;
  const size_t count = random_.between(1, world_.parameters.clients.pipeline_high);
  const uint64_t lane = count > 1 ? workload_.next_lane() : 0;
  std::vector<Workload::Asked> batch;
  bool reads = false, writes = false;
  for (size_t place = 0; place < (connected ? count : 1); ++place) {
    batch.push_back(workload_.draw({.client = number_, .lane = lane, .place = static_cast<uint32_t>(place)}, reads_only));
    (workload_.is_write(batch.back().number) ? writes : reads) = true;
  }
  if (reads && writes) world_.coverage.note(Reached::kMixedPipeline);
  if (connected) return send_batch(std::move(batch));
  for (const Workload::Asked& asked : batch) workload_.lost(asked.number, false);
  think();
}

void Client::act_together() {
  const bool forwards = world_.parameters.options.follower_writes == server::FollowerWrites::kForward;
  const bool watches = number_ == 1 && world_.parameters.clients.watcher;
  const bool anywhere = random_.chance(world_.parameters.clients.follower_reads, 100);
  const bool reads = watches || (anywhere && !forwards) || random_.chance(1, 4);
  refused_ = !connect(anywhere);
  if (refused_) return think();
  const Talk::Kind kind = Talk::draw_kind(reads, random_);
  if (!reads && directory_.leader() != &connection_->machine()) world_.coverage.note(Reached::kTransactionForwarded);
  talk_ = std::make_unique<Talk>(Talk::Setup{world_, workload_, number_, kind}, random_);
  connection_->send(talk_->begin(random_), random_);
  watch(kRoundsOfTalk);
}

void Client::on_talk(const checker::Answer& answer) {
  hear(answer);
  std::vector<Request> next = talk_->on_reply(answer);
  refused_ = talk_->refused();
  if (!next.empty()) {
    connection_->send(std::move(next), random_);
    return watch(kRoundsOfTalk);
  }
  if (!talk_->over()) return watch(kRoundsOfTalk);
  talk_ = nullptr;
  think();
}

bool Client::reads_under_lease() const {
  return world_.parameters.options.read_consistency == server::ReadConsistency::kLease && connection_->machine().process() != nullptr &&
         connection_->machine().process()->node().raft().lease_holds();
}

void Client::send_batch(std::vector<Workload::Asked> batch) {
  std::vector<Request> requests;
  const bool at_leader = directory_.leader() == &connection_->machine();
  for (Workload::Asked& asked : batch) {
    if (!at_leader && !workload_.is_write(asked.number)) world_.coverage.note(Reached::kFollowerRead);
    if (at_leader && !workload_.is_write(asked.number) && reads_under_lease()) world_.coverage.note(Reached::kLeaseRead);
    waiting_.push_back(asked.number);
    requests.push_back(std::move(asked.request));
  }
  connection_->send(std::move(requests), random_);
  watch(1);
}

void Client::on_reply(const checker::Answer& answer) {
  if (talk_) return on_talk(answer);
  if (waiting_.empty()) return world_.fail("protocol", "a reply that nobody asked for: " + checker::readable(answer));
  const Workload::Number number = waiting_.front();
  waiting_.pop_front();
  hear(answer);
  if (answer.kind == checker::Answer::Kind::kError && is_refusal(answer.text)) refused_ = true;
  workload_.answered(number, answer);
  if (!waiting_.empty()) return watch_next(answer);
  if (all_read_) return read_next();
  think();
}

void Client::on_closed() {
  refused_ = true;
  for (const Workload::Number number : std::exchange(waiting_, {})) workload_.lost(number, true);
  if (talk_) talk_->lost(true);
  talk_ = nullptr;
  if (all_read_) return read_next();
  think();
}

void Client::vanish() {
  if (!is_connected() || idle()) return;
  world_.coverage.note(Reached::kClientGone);
  connection_->close();
  on_closed();
}

void Client::read_all(std::vector<std::string> keys, std::function<void()> done) {
  to_read_ = std::move(keys);
  all_read_ = std::move(done);
  refused_ = true;
  read_next();
}

void Client::read_next() {
  if (to_read_.empty()) {
    const std::function<void()> done = std::exchange(all_read_, nullptr);
    return done();
  }
  if (!connect(false)) return world_.fail("I16", "nobody listens after the healing");
  refused_ = false;
  std::vector<Workload::Asked> batch;
  while (!to_read_.empty() && batch.size() < kReadsAtOnce) {
    batch.push_back(workload_.ask({.action = checker::Action::kGet, .key = to_read_.back(), .client = number_}));
    to_read_.pop_back();
  }
  send_batch(std::move(batch));
}

}  // namespace leto::sim
