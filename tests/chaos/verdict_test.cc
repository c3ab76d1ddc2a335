#include <doctest/doctest.h>

#include "tests/chaos/verdict.h"

namespace leto::chaos {

namespace {

using checker::Action;
using checker::Answer;
using checker::Outcome;

const Answer kOk{.kind = Answer::Kind::kStatus, .text = "OK"};

void add(checker::History& history, checker::Operation operation, const Answer& answer) {
  const checker::History::Number number = history.begin(std::move(operation));
  history.end(number, Outcome::kOk, answer);
}

}  // namespace

TEST_CASE("the verdict of a chaos run blames the key of an acknowledged write that was lost, and shows its operations") {
  checker::History history;
  add(history, {.action = Action::kSet, .key = "sound", .argument = "a", .client = 1}, kOk);
  add(history, {.action = Action::kSet, .key = "lost", .argument = "b", .client = 1}, kOk);
  add(history, {.action = Action::kGet, .key = "lost", .client = 2}, {});
  const Verdict verdict = judge(history);
  CHECK(verdict.violation.starts_with("key lost is not linearizable"));
  CHECK(verdict.operations.size() == 2);
}

TEST_CASE("the verdict of a chaos run finds a local read of what nobody wrote, and accepts a sound history") {
  const checker::Operation local_read{.action = Action::kGet, .key = "k", .client = 3, .local = true, .connection = 1};
  checker::History history;
  add(history, {.action = Action::kSet, .key = "k", .argument = "a", .client = 1}, kOk);
  add(history, local_read, {.kind = Answer::Kind::kBulk, .text = "a"});
  CHECK(judge(history).violation.empty());
  add(history, local_read, {.kind = Answer::Kind::kBulk, .text = "b"});
  CHECK(judge(history).violation.starts_with("a local read of key k"));
}

}  // namespace leto::chaos
