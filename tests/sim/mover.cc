#include "tests/sim/mover.h"

#include <utility>

#include "base/format.h"

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x6d6f7665;
constexpr uint64_t kCommandsAtOnce = 6;
constexpr uint64_t kKeys = 8;
// Above what fits into a row of the keys file.
constexpr uint64_t kLargeBytes = 66000;

}  // namespace

Mover::Mover(const ClientSetup& setup)
    : ClosedLoop(setup.world, setup.directory, kStream), workload_(setup.workload) {}

Microseconds Mover::draw_pause() { return 1 + random_.below(4 * world_.parameters.clients.think_high); }

// Where nothing may be refused it goes to who leads, unless anybody forwards.
bool Mover::connect() {
  const bool forwards = world_.parameters.options.follower_writes == server::FollowerWrites::kForward;
  const bool leader_only = all_read_ || (workload_.errors_forbidden() && !forwards);
  const bool right = is_connected() && (!leader_only || directory_.leader() == &connection_->machine());
  if (right && !std::exchange(refused_, false) && !random_.chance(1, 60)) return true;
  const bool strays = !leader_only && random_.chance(1, 8);
  Machine* target = strays ? nullptr : leader_only ? directory_.leader() : who_takes_writes();
  if (target == nullptr) target = &directory_.random_machine(random_);
  model_.begin_connection();
  database_ = 0;
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
    case 11: return {"GET", key()};
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
  send(std::move(requests));
}

void Mover::send(std::vector<Request> requests) {
  waiting_.assign(requests.begin(), requests.end());
  connection_->send(std::move(requests), random_);
  watch(1);
}

void Mover::on_reply(const checker::Answer& answer) {
  if (waiting_.empty()) return world_.fail("protocol", "a reply that nobody asked for: " + checker::readable(answer));
  const Request request = std::move(waiting_.front());
  waiting_.pop_front();
  hear(answer);
  judge(request, answer);
  if (all_read_ && request[0] == "GET") read_.push_back(answer.text);
  if (!waiting_.empty()) return watch_next(answer);
  if (all_read_) return end_reading();
  think();
}

void Mover::judge(const Request& request, const checker::Answer& answer) {
  const bool failed = answer.kind == checker::Answer::Kind::kError && answer.text != "ERR no such key";
  refused_ |= failed;
  if (failed && workload_.errors_forbidden()) {
    world_.fail("availability", "without a fault, " + request[0] + " of the mover got " + answer.text);
  }
  if (failed && !is_refusal(answer.text) && !answer.text.starts_with("UNKNOWN")) {
    world_.fail("I14", request[0] + " of the mover got " + answer.text);
  }
  if (failed && is_refusal(answer.text)) return;
  if (failed) return lose(request);
  if (request[0] == "SELECT") {
    database_ = static_cast<uint32_t>(request[1][0] - '0');
    return;
  }
  if (database_ == 0 || model_.answered(database_, request, answer)) return;
  std::string text;
  for (const std::string& word : request) text += word.substr(0, 24) + " ";
  world_.fail("I14", base::format("in database %u the mover was told by %s", database_, text.c_str()) +
                         checker::readable(answer).substr(0, 40) + ", which nothing that it was told before allows");
}

void Mover::lose(const Request& request) {
  if (request[0] == "SELECT") {
    database_ = static_cast<uint32_t>(request[1][0] - '0');
  } else {
    model_.unknown(database_, request);
  }
}

void Mover::on_closed() {
  for (const Request& request : std::exchange(waiting_, {})) lose(request);
  refused_ = true;
  if (all_read_) return world_.fail("availability", "without a fault, a connection was lost");
  think();
}

void Mover::read_all(std::function<void()> done) {
  all_read_ = std::move(done);
  read_.assign(MoverModel::kKeys, "");   // Of database 0, where it reads nothing.
  refused_ = true;
  if (!connect()) return world_.fail("I16", "nobody listens after the healing");
  std::vector<Request> requests;
  for (uint32_t database = 1; database < MoverModel::kDatabases; ++database) {
    requests.push_back({"SELECT", std::to_string(database)});
    for (uint32_t key = 0; key < MoverModel::kKeys; ++key) requests.push_back({"GET", "m" + std::to_string(key)});
  }
  send(std::move(requests));
}

void Mover::end_reading() {
  world_.coverage.note(model_.undecided() ? Reached::kMoverUndecided : Reached::kMoverJudged);
  model_.anchor(read_);
  std::exchange(all_read_, nullptr)();
}

}  // namespace leto::sim
