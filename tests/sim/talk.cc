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

Talk::Kind Talk::draw_kind(bool reads, base::Random& random) {
  static constexpr Kind kReads[] = {Kind::kUnwatch, Kind::kHello};
  static constexpr Kind kWrites[] = {Kind::kDiscard, Kind::kAbort, Kind::kReset, Kind::kSelect};
  const bool rare = random.chance(1, 4);
  if (reads) return rare ? kReads[random.below(2)] : Kind::kRead;
  if (rare) return kWrites[random.below(4)];
  return random.chance(1, 2) ? Kind::kIncrement : Kind::kCompareAndSet;
}

void Talk::add(std::vector<Request>& requests, Request request, Reply reply) {
  requests.push_back(std::move(request));
  expected_.push_back(reply);
}

void Talk::add_transaction(std::vector<Request>& requests, const std::vector<Request>& commands,
                           const std::vector<Reply>& elements) {
  add(requests, {"MULTI"}, Reply::kMulti);
  for (const Request& command : commands) add(requests, command, Reply::kQueued);
  add(requests, {"EXEC"}, Reply::kExec);
  elements_ = elements;
}

std::vector<Request> Talk::begin(base::Random& random) {
  world_.coverage.note(Reached::kTransaction);
  if (kind_ == Kind::kDiscard || kind_ == Kind::kAbort || kind_ == Kind::kReset) return never_done(random);
  if (kind_ == Kind::kSelect) return over_databases();
  std::vector<Request> requests;
  const bool usual = kind_ == Kind::kIncrement || kind_ == Kind::kRead;
  const bool watches = kind_ == Kind::kCompareAndSet || kind_ == Kind::kUnwatch || (usual && random.chance(1, 3));
  if (watches) add(requests, {"WATCH", pair_->left}, Reply::kWatch);
  if (kind_ == Kind::kUnwatch) add(requests, {"UNWATCH"}, Reply::kOk);
  if (kind_ == Kind::kHello) add(requests, {"HELLO", "3"}, Reply::kHello);
  if (kind_ == Kind::kCompareAndSet) {
    ask(Action::kGet, pair_->left);
    add(requests, {"GET", pair_->left}, Reply::kFirstRead);
    return requests;
  }
  const Action action = kind_ == Kind::kIncrement ? Action::kIncr : Action::kGet;
  ask(action, pair_->left);
  ask(action, pair_->right);
  const std::string name = checker::action_name(action);
  add_transaction(requests, {{name, pair_->left}, {name, pair_->right}}, {Reply::kElement, Reply::kElement});
  if (kind_ == Kind::kHello) add(requests, {"HELLO", "2"}, Reply::kHello);
  return requests;
}

// What is queued and given up; the operations must not happen.
std::vector<Request> Talk::never_done(base::Random& random) {
  std::vector<Request> requests;
  if (kind_ == Kind::kReset) add(requests, {"WATCH", pair_->left}, Reply::kWatch);
  ask(Action::kIncr, pair_->left);
  add(requests, {"MULTI"}, Reply::kMulti);
  add(requests, {"INCR", pair_->left}, Reply::kQueued);
  if (kind_ == Kind::kReset) {
    add(requests, {"RESET"}, Reply::kReset);
    last_read_ = workload_.ask({.action = Action::kGet, .key = pair_->right, .client = client_}).number;
    add(requests, {"GET", pair_->right}, Reply::kLastRead);
    return requests;
  }
  const Request bad = random.chance(1, 2) ? Request{"NOSUCHCOMMAND", pair_->left} : Request{"GET"};
  if (kind_ == Kind::kAbort) add(requests, bad, Reply::kBad);
  ask(Action::kIncr, pair_->right);
  add(requests, {"INCR", pair_->right}, Reply::kQueued);
  if (kind_ == Kind::kAbort) add(requests, {"EXEC"}, Reply::kAborted);
  else add(requests, {"DISCARD"}, Reply::kOk);
  return requests;
}

// The first INCR is of another key, of which others make what they like.
std::vector<Request> Talk::over_databases() {
  std::vector<Request> requests;
  ask(Action::kIncr, pair_->left);
  ask(Action::kIncr, pair_->right);
  add_transaction(requests,
                  {{"SELECT", "4"}, {"INCR", pair_->left}, {"SELECT", "0"}, {"INCR", pair_->left}, {"INCR", pair_->right}},
                  {Reply::kOk, Reply::kNumber, Reply::kOk, Reply::kElement, Reply::kElement});
  return requests;
}

// For the checker both SETs are increments: they happen only if nobody changed what was read before.
std::vector<Request> Talk::compare_and_set() {
  ask(Action::kIncr, pair_->left);
  ask(Action::kIncr, pair_->right);
  const std::string next = std::to_string(value_ + 1);
  std::vector<Request> requests;
  add_transaction(requests, {{"SET", pair_->left, next}, {"SET", pair_->right, next}}, {Reply::kElement, Reply::kElement});
  return requests;
}

// What says nothing of an operation of the history. False: it is of another kind.
bool Talk::takes_plain(Reply reply, const Answer& answer) {
  const bool failed = answer.kind == Answer::Kind::kError;
  bool right = true;
  switch (reply) {
    case Reply::kBad: right = failed; break;
    case Reply::kOk: right = answer == Answer{.kind = Answer::Kind::kStatus, .text = "OK"}; break;
    case Reply::kReset: right = answer == Answer{.kind = Answer::Kind::kStatus, .text = "RESET"}; break;
    case Reply::kNumber: right = answer.kind == Answer::Kind::kInteger; break;
    case Reply::kAborted: right = failed && answer.text.starts_with("EXECABORT"); break;
    case Reply::kAnything: break;
    case Reply::kHello:
      right = answer.kind == Answer::Kind::kArray;
      if (right) expected_.insert(expected_.begin(), static_cast<size_t>(base::parse_int64(answer.text).value_or(0)), Reply::kAnything);
      break;
    default: return false;
  }
  if (!right) world_.fail("protocol", "a client in a transaction was told " + checker::readable(answer));
  const bool given_up = reply == Reply::kReset || reply == Reply::kAborted || (reply == Reply::kOk && kind_ == Kind::kDiscard);
  if (given_up) undo_all();
  note_kind(reply);
  return true;
}

void Talk::note_kind(Reply reply) {
  if (reply == Reply::kReset) world_.coverage.note(Reached::kResets);
  if (reply == Reply::kAborted) world_.coverage.note(Reached::kAborted);
  if (reply == Reply::kHello) world_.coverage.note(Reached::kHello);
  if (reply == Reply::kNumber) world_.coverage.note(Reached::kSelected);
  if (reply == Reply::kOk && kind_ == Kind::kDiscard) world_.coverage.note(Reached::kDiscarded);
  if (reply == Reply::kOk && kind_ == Kind::kUnwatch) world_.coverage.note(Reached::kUnwatched);
}

void Talk::undo_all() {
  for (const Workload::Number number : std::exchange(operations_, {})) workload_.undone(number);
}

std::vector<Request> Talk::on_reply(const Answer& answer) {
  if (expected_.empty()) {
    world_.fail("protocol", "a reply that nobody asked for: " + checker::readable(answer));
    return {};
  }
  const Reply reply = expected_.front();
  expected_.pop_front();
  if (takes_plain(reply, answer)) return {};
  const bool failed = answer.kind == Answer::Kind::kError;
  if (reply == Reply::kLastRead) {
    workload_.answered(*std::exchange(last_read_, {}), answer);
  } else if (reply == Reply::kExec) {
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
  const bool undone = answer.kind == Answer::Kind::kNil || (answer.kind == Answer::Kind::kArray && answer.text == "-1");
  if (undone && kind_ == Kind::kUnwatch) return world_.fail("I14", "a transaction is undone that watches nothing any more");
  if (undone) {
    world_.coverage.note(Reached::kTransactionUndone);
    return undo_all();
  }
  if (answer.kind != Answer::Kind::kArray) return world_.fail("protocol", "EXEC answered " + checker::readable(answer));
  if (answer.text != std::to_string(elements_.size())) return world_.fail("I14", "EXEC answered with " + answer.text + " elements");
  expected_.insert(expected_.begin(), elements_.begin(), elements_.end());
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
  const bool may_happen = was_sent && kind_ != Kind::kDiscard && kind_ != Kind::kAbort && kind_ != Kind::kReset;
  for (const Workload::Number number : std::exchange(operations_, {})) workload_.lost(number, may_happen);
  if (last_read_) workload_.lost(*std::exchange(last_read_, {}), was_sent);
  expected_.clear();
  refused_ = true;
}

}  // namespace leto::sim
