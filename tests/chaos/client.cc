#include "tests/chaos/client.h"

#include <utility>

#include "base/format.h"

namespace leto::chaos {

namespace {

constexpr uint64_t kStream = 0x72636c6e;
constexpr Milliseconds kBackOffLow = 20, kBackOffHigh = 120, kImpatienceLow = 20, kImpatienceHigh = 800;
constexpr Milliseconds kWatchInterval = 20;
constexpr uint64_t kLocalReadsAtOnce = 6, kReadsAtHomeAtOnce = 4;

}  // namespace

Client::Client(const ClientSetup& setup)
    : loop_(setup.loop),
      world_(setup.world),
      workload_(setup.workload),
      directory_(setup.directory),
      number_(setup.number),
      habit_(setup.habit),
      home_(setup.home),
      random_(setup.world.stream(kStream + setup.number)) {}

Client::~Client() {
  ++rounds_;
  if (connection_) connection_->close();
}

void Client::start() {
  if (!std::exchange(watched_, true)) watch();
  stopped_ = false;
  think();
}

void Client::wait_for_answers() {
  sent_at_ = Loop::now();
  patience_ = random_.chance(1, 200) ? random_.between(kImpatienceLow, kImpatienceHigh) : kPatience;
}

void Client::think() {
  if (stopped_) return;
  Milliseconds pause = random_.below(1 + world_.parameters.clients.think_high / sim::kMillisecond);
  if (refused_) pause += random_.between(kBackOffLow, kBackOffHigh);
  loop_.after(pause, [this, round = ++rounds_] {
    if (round == rounds_) act();
  });
}

size_t Client::choose() {
  if (habit_ == Habit::kStays) return home_;
  const size_t leader = directory_.leader();
  const bool follows = habit_ == Habit::kFollowsLeader && leader != 0 && !random_.chance(1, 20);
  return follows ? leader : 1 + random_.below(directory_.nodes());
}

void Client::act() {
  if (stopped_) return;
  const bool open = connection_ && connection_->is_open();
  const bool moves = refused_ || random_.chance(1, habit_ == Habit::kRoams ? 15 : 60);
  if (open && !moves) return ask();
  connect();
}

void Client::ask() {
  if (habit_ == Habit::kReadsLocally) return ask_locally();
  if (habit_ == Habit::kStays) return ask_at_home();
  random_.chance(world_.parameters.clients.transactions, 100) ? ask_together() : ask_batch();
}

void Client::connect() {
  if (connection_) connection_->close();
  node_ = choose();
  ++connections_;
  connecting_ = true;
  connection_ = Connection::open(loop_, directory_.address(node_), {
      .on_ready = [this] { on_ready(); },
      .on_reply = [this](const checker::Answer& answer) { on_reply(answer); },
      .on_closed = [this] { give_up(); }});
  wait_for_answers();
  // What is asked of a node that is stopped waits in its socket, and is the first thing it sees when it goes on.
  if (habit_ == Habit::kRoams && random_.chance(1, 2)) ask_batch();
}

void Client::on_ready() {
  refused_ = false;
  if (habit_ == Habit::kReadsLocally) return connection_->send({{"READONLY"}});
  connecting_ = false;
  if (waiting_.empty()) think();
}

void Client::ask_batch() {
  const bool takes_writes = node_ == directory_.leader() || directory_.forwards(node_);
  const bool reads_only = !takes_writes && random_.chance(9, 10);
  const size_t count = random_.chance(1, 3) ? 1 : random_.between(1, world_.parameters.clients.pipeline_high);
  const uint64_t lane = count > 1 ? workload_.next_lane() : 0;
  std::vector<sim::Workload::Asked> batch;
  for (size_t place = 0; place < count; ++place) {
    batch.push_back(workload_.draw({.client = number_, .lane = lane, .place = static_cast<uint32_t>(place)}, reads_only));
  }
  send(std::move(batch));
}

void Client::ask_together() {
  const bool takes_writes = node_ == directory_.leader() || directory_.forwards(node_);
  const bool reads = !takes_writes || random_.chance(1, 4);
  sim::Talk::Kind kind = sim::Talk::draw_kind(reads, random_);
  // A RESET would forget that the connection has said the password.
  if (kind == sim::Talk::Kind::kReset) kind = sim::Talk::Kind::kDiscard;
  talk_ = std::make_unique<sim::Talk>(sim::Talk::Setup{world_, workload_, number_, kind}, random_);
  connection_->send(talk_->begin(random_));
  wait_for_answers();
}

void Client::ask_at_home() {
  const size_t count = random_.between(1, kReadsAtHomeAtOnce);
  const uint64_t lane = count > 1 ? workload_.next_lane() : 0;
  std::vector<sim::Workload::Asked> batch;
  for (size_t place = 0; place < count; ++place) {
    batch.push_back(workload_.ask({.action = checker::Action::kGet, .key = workload_.any_key(random_), .client = number_,
                                   .lane = lane, .place = static_cast<uint32_t>(place)}));
  }
  send(std::move(batch));
}

void Client::ask_locally() {
  std::vector<sim::Workload::Asked> batch;
  for (uint64_t left = random_.between(1, kLocalReadsAtOnce); left > 0; --left) {
    batch.push_back(workload_.ask({.action = checker::Action::kGet, .key = workload_.any_key(random_), .client = number_,
                                   .local = true, .connection = number_ * 1'000'000'000 + connections_}));
  }
  send(std::move(batch));
}

void Client::send(std::vector<sim::Workload::Asked> batch) {
  std::vector<Request> requests;
  for (sim::Workload::Asked& asked : batch) {
    waiting_.push_back(asked.number);
    requests.push_back(std::move(asked.request));
  }
  connection_->send(requests);
  wait_for_answers();
}

void Client::on_reply(const checker::Answer& answer) {
  if (std::exchange(connecting_, false)) return think();
  if (talk_) return on_talk(answer);
  if (waiting_.empty()) return world_.fail("protocol", "a reply that nobody asked for: " + checker::readable(answer));
  const sim::Workload::Number number = waiting_.front();
  waiting_.pop_front();
  if (answer.kind == checker::Answer::Kind::kError && sim::is_refusal(answer.text)) refused_ = true;
  workload_.answered(number, answer);
  if (waiting_.empty()) think();
}

void Client::on_talk(const checker::Answer& answer) {
  const std::vector<Request> next = talk_->on_reply(answer);
  refused_ = talk_->refused();
  if (!next.empty()) {
    connection_->send(next);
    return wait_for_answers();
  }
  if (!talk_->over()) return;
  talk_ = nullptr;
  think();
}

// Who waits for nothing was not refused anything, but finds nobody.
void Client::give_up() {
  refused_ = true;
  connecting_ = false;
  connection_->close();
  for (const sim::Workload::Number number : std::exchange(waiting_, {})) workload_.lost(number, connection_->was_connected());
  if (talk_) talk_->lost(connection_->was_connected());
  talk_ = nullptr;
  think();
}

void Client::vanish() {
  if (idle() || !connection_->is_open()) return;
  give_up();
}

// Some clients do not wait long. No node may let one wait for ever.
void Client::watch() {
  loop_.after(kWatchInterval, [this] { watch(); });
  if ((idle() && !connecting_) || Loop::now() < sent_at_ + patience_) return;
  if (patience_ == kPatience && directory_.awake_since(node_) < sent_at_) {
    world_.fail("no answer", base::format("client %llu waits for node %zu for %llu ms%s", static_cast<unsigned long long>(number_), node_,
                                          static_cast<unsigned long long>(patience_), connecting_ ? ", for its first answer" : ""));
  }
  give_up();
}

}  // namespace leto::chaos
