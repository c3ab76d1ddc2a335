#include "tests/checker/history.h"

#include <utility>

#include "base/format.h"

namespace leto::checker {

namespace {

constexpr size_t kShown = 40;

std::string shortened(const std::string& text) {
  return text.size() <= kShown ? text : text.substr(0, kShown) + base::format("... (%zu bytes)", text.size());
}

}  // namespace

std::string readable(const Answer& answer) {
  switch (answer.kind) {
    case Answer::Kind::kNil: return "(nil)";
    case Answer::Kind::kStatus: return answer.text;
    case Answer::Kind::kInteger: return "(integer) " + answer.text;
    case Answer::Kind::kBulk: return "\"" + shortened(answer.text) + "\"";
    case Answer::Kind::kError: return "(error) " + answer.text;
    case Answer::Kind::kSomeInteger: return "(some integer)";
    case Answer::Kind::kArray: return "(array of " + answer.text + ")";
  }
  return "?";
}

const char* action_name(Action action) {
  static const char* const names[kActions] = {"GET", "SET", "INCR", "DEL", "EXISTS", "FLUSHALL"};
  return names[static_cast<size_t>(action)];
}

bool is_write(Action action) {
  return action == Action::kSet || action == Action::kIncr || action == Action::kDel || action == Action::kFlush;
}

std::string readable(const Operation& operation) {
  using Number = unsigned long long;
  std::string text = base::format("client %llu: %s %s", Number{operation.client}, action_name(operation.action),
                                  operation.key.c_str());
  if (operation.action == Action::kSet) text += " " + shortened(operation.argument);
  if (operation.outcome == Outcome::kOk) {
    text += base::format(" -> %s [%llu, %llu]", readable(operation.answer).c_str(), Number{operation.invoked},
                         Number{operation.returned});
  } else {
    text += base::format(" -> %s [%llu, ...)", operation.outcome == Outcome::kFailed ? "failed" : "UNKNOWN",
                         Number{operation.invoked});
  }
  if (operation.lane != 0) text += base::format(" lane %llu.%u", Number{operation.lane}, operation.place);
  return text;
}

History::Number History::begin(Operation operation) {
  operation.invoked = next_order_++;
  operation.outcome = Outcome::kUnknown;
  operations_.push_back(std::move(operation));
  return operations_.size() - 1;
}

void History::end(Number number, Outcome outcome, Answer answer) {
  Operation& operation = operations_[number];
  operation.returned = next_order_++;
  operation.outcome = outcome;
  operation.answer = std::move(answer);
}

std::map<std::string, std::vector<Operation>> History::by_key() const {
  std::map<std::string, std::vector<Operation>> keys;
  for (const Operation& operation : operations_) {
    if (!operation.local && operation.action != Action::kFlush) keys[operation.key].push_back(operation);
  }
  return with_flushes(std::move(keys));
}

std::map<std::string, std::vector<Operation>> History::local_by_key() const {
  std::map<std::string, std::vector<Operation>> keys;
  for (const Operation& operation : operations_) {
    const bool counts = operation.local || is_write(operation.action);
    if (counts && operation.action != Action::kFlush) keys[operation.key].push_back(operation);
  }
  return with_flushes(std::move(keys));
}

std::map<std::string, std::vector<Operation>> History::with_flushes(std::map<std::string, std::vector<Operation>> keys) const {
  for (const Operation& operation : operations_) {
    if (operation.action != Action::kFlush) continue;
    for (auto& [key, operations] : keys) operations.push_back(operation);
  }
  return keys;
}

}  // namespace leto::checker
