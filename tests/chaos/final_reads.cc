#include "tests/chaos/final_reads.h"

#include <deque>
#include <utility>

#include "base/format.h"

namespace leto::chaos {

namespace {

constexpr size_t kAtOnce = 100;
constexpr Milliseconds kBatchPatience = 20'000, kBeforeAskingAgain = 200;
constexpr int kTriesMax = 25;

class Reader {
 public:
  Reader(Loop& loop, sim::Workload& workload, uint64_t client)
      : loop_(loop), workload_(workload), client_(client), keys_(workload.keys().begin(), workload.keys().end()) {}

  bool done() const { return keys_.empty(); }
  size_t left() const { return keys_.size(); }

  // As long as nothing is refused.
  void read(const Address& address) {
    refused_ = false;
    const std::shared_ptr<Connection> connection = Connection::open(loop_, address, {
        .on_reply = [this](const checker::Answer& answer) { on_reply(answer); },
        .on_closed = [this] { refused_ = true; }});
    while (!keys_.empty() && !refused_ && !loop_.interrupted()) {
      ask(*connection);
      refused_ = !loop_.run_until(kBatchPatience, [this] { return waiting_.empty() || refused_; }) || refused_;
    }
    connection->close();
    for (const auto& [number, key] : std::exchange(waiting_, {})) {
      workload_.lost(number, true);
      keys_.push_back(key);
    }
  }

 private:
  void ask(Connection& connection) {
    std::vector<Request> requests;
    while (!keys_.empty() && requests.size() < kAtOnce) {
      sim::Workload::Asked asked = workload_.ask({.action = checker::Action::kGet, .key = keys_.front(), .client = client_});
      waiting_.emplace_back(asked.number, keys_.front());
      requests.push_back(std::move(asked.request));
      keys_.pop_front();
    }
    connection.send(requests);
  }
  void on_reply(const checker::Answer& answer) {
    if (waiting_.empty()) return;
    const auto [number, key] = waiting_.front();
    waiting_.pop_front();
    if (answer.kind == checker::Answer::Kind::kError) {
      refused_ = true;
      keys_.push_back(key);
    }
    workload_.answered(number, answer);
  }

  Loop& loop_;
  sim::Workload& workload_;
  const uint64_t client_;
  std::deque<std::string> keys_;
  std::deque<std::pair<sim::Workload::Number, std::string>> waiting_;
  bool refused_ = false;
};

}  // namespace

std::string read_all(Loop& loop, const Address& address, sim::Workload& workload, uint64_t client) {
  Reader reader(loop, workload, client);
  for (int tries = 0; !reader.done() && tries < kTriesMax && !loop.interrupted(); ++tries) {
    if (tries > 0) loop.run_for(kBeforeAskingAgain);
    reader.read(address);
  }
  return reader.done() ? "" : base::format("%zu keys were not answered", reader.left());
}

}  // namespace leto::chaos
