#include "tests/sim/talk.h"

#include <utility>

#include "base/format.h"
#include "base/number.h"

namespace leto::sim {
namespace {

using checker::Action;
using checker::Answer;

constexpr uint64_t kUsesMax = 60, kUnknownMax = 4;

}  // namespace

std::shared_ptr<Pair> Pairs::draw(base::Random& random) {
  std::shared_ptr<Pair>& pair = pairs_[random.below(pairs_.size())];
  if (pair == nullptr || pair->uses >= kUsesMax || pair->unknown >= kUnknownMax) {
    const auto generation = static_cast<unsigned long long>(++generations_);
    pair = std::make_shared<Pair>(Pair{.left = base::format("l%llu", generation), .right = base::format("r%llu", generation)});
  }
  ++pair->uses;
  return pair;
}

Talk::Talk(const Setup& setup, base::Random& random)
    : world_(setup.world),
      workload_(setup.workload),
      client_(setup.client),
      kind_(setup.kind),
      pair_(setup.workload.pairs().draw(random)) {}

void Talk::ask(Action action, const std::string& key) {
  operations_.push_back(workload_.ask({.action = action, .key = key, .client = client_}).number);
}

std::vector<Request> Talk::transaction(const std::vector<Request>& commands) {
  std::vector<Request> requests{{"MULTI"}};
  expected_.push_back(Reply::kMulti);
  for (const Request& command : commands) {
    requests.push_back(command);
    expected_.push_back(Reply::kQueued);
  }
  requests.push_back({"EXEC"});
  expected_.push_back(Reply::kExec);
  return requests;
}

std::vector<Request> Talk::begin(base::Random& random) {
  world_.coverage.note(Reached::kTransaction);
  const bool watches = kind_ == Kind::kCompareAndSet || random.chance(1, 3);
  std::vector<Request> requests;
  if (watches) {
    requests.push_back({"WATCH", pair_->left});
    expected_.push_back(Reply::kWatch);
  }
  if (kind_ == Kind::kCompareAndSet) {
    expected_.push_back(Reply::kFirstRead);
    ask(Action::kGet, pair_->left);
    requests.push_back({"GET", pair_->left});
    return requests;
  }
  const bool writes = kind_ == Kind::kIncrement;
  const Action action = writes ? Action::kIncr : Action::kGet;
  ask(action, pair_->left);
  ask(action, pair_->right);
  const std::string name = checker::action_name(action);
  std::vector<Request> commands{{name, pair_->left}, {name, pair_->right}};
  for (Request& request : transaction(commands)) requests.push_back(std::move(request));
  return requests;
}

// For the checker both SETs are increments: they happen only if nobody changed what was read before.
std::vector<Request> Talk::compare_and_set() {
  ask(Action::kIncr, pair_->left);
  ask(Action::kIncr, pair_->right);
  const std::string next = std::to_string(value_ + 1);
  return transaction({{"SET", pair_->left, next}, {"SET", pair_->right, next}});
}

std::vector<Request> Talk::on_reply(const Answer& answer) {
  if (expected_.empty()) {
    world_.fail("protocol", "a reply that nobody asked for: " + checker::readable(answer));
    return {};
  }
  const Reply reply = expected_.front();
  expected_.pop_front();
  const bool failed = answer.kind == Answer::Kind::kError;
  if (reply == Reply::kExec) {
    on_exec(answer);
  } else if (reply == Reply::kElement) {
    on_element(answer);
  } else if (failed) {
    note_refusal(answer);
  }
  if (reply != Reply::kFirstRead) return {};
  workload_.answered(operations_.front(), answer);
  operations_.pop_front();
  if (refused_) return {};
  if (answer.kind == Answer::Kind::kBulk) value_ = base::parse_int64(answer.text).value_or(0);
  return compare_and_set();
}

void Talk::note_refusal(const Answer& answer) {
  refused_ = true;
  if (refusal_.kind != Answer::Kind::kError) refusal_ = answer;
}

// The same for all that was queued.
void Talk::end_all(const Answer& answer) {
  for (const Workload::Number number : std::exchange(operations_, {})) workload_.answered(number, answer);
}

void Talk::on_exec(const Answer& answer) {
  if (answer.kind == Answer::Kind::kError) {
    const bool aborted = answer.text.starts_with("EXECABORT");
    if (answer.text.starts_with("UNKNOWN")) ++pair_->unknown;
    note_refusal(answer);
    // Why it was aborted was told before, or is in its text.
    if (aborted && refusal_ == answer) return end_all({.kind = answer.kind, .text = "CLUSTERDOWN " + answer.text});
    return end_all(aborted ? refusal_ : answer);
  }
  if (answer.kind != Answer::Kind::kArray) return world_.fail("protocol", "EXEC answered " + checker::readable(answer));
  if (answer.text == "-1") {
    world_.coverage.note(Reached::kTransactionUndone);
    for (const Workload::Number number : std::exchange(operations_, {})) workload_.undone(number);
    return;
  }
  if (answer.text != std::to_string(operations_.size())) return world_.fail("I14", "EXEC answered with " + answer.text + " elements");
  expected_.insert(expected_.begin(), operations_.size(), Reply::kElement);
}

void Talk::on_element(const Answer& answer) {
  const bool set = kind_ == Kind::kCompareAndSet && answer == Answer{.kind = Answer::Kind::kStatus, .text = "OK"};
  const Answer told = set ? Answer{.kind = Answer::Kind::kInteger, .text = std::to_string(value_ + 1)} : answer;
  workload_.answered(operations_.front(), told);
  operations_.pop_front();
  seen_.push_back(checker::readable(told));
  if (seen_.size() == 2 && seen_[0] != seen_[1]) {
    world_.fail("I14", "a transaction saw " + pair_->left + " = " + seen_[0] + " and " + pair_->right + " = " + seen_[1]);
  }
}

void Talk::lost(bool was_sent) {
  if (was_sent && !operations_.empty()) ++pair_->unknown;
  for (const Workload::Number number : std::exchange(operations_, {})) workload_.lost(number, was_sent);
  expected_.clear();
  refused_ = true;
}

}  // namespace leto::sim
