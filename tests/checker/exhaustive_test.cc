// The judge compared with the definition itself: small histories, drawn, for which every order is tried.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"
#include "tests/checker/linearizability.h"
#include "tests/checker/model.h"

namespace leto::checker {
namespace {

constexpr size_t kOperations = 5;

// Whether `order` is one in which everything can have happened, with those of unknown outcome left out that
// are not in `taken`.
bool is_legal(const std::vector<Operation>& operations, const std::vector<size_t>& order, uint32_t taken) {
  KeyState state;
  for (size_t i = 0; i < order.size(); ++i) {
    const Operation& mine = operations[order[i]];
    const bool sure = mine.outcome == Outcome::kOk;
    if (!sure && ((taken >> order[i]) & 1) == 0) continue;
    for (size_t j = i + 1; j < order.size(); ++j) {
      const Operation& later = operations[order[j]];
      const bool later_happens = later.outcome == Outcome::kOk || ((taken >> order[j]) & 1) != 0;
      if (!later_happens) continue;
      if (later.outcome == Outcome::kOk && later.returned < mine.invoked) return false;
      if (mine.lane != 0 && later.lane == mine.lane && later.place < mine.place) return false;
    }
    const Answer answer = run(mine, state);
    if (sure && !fits(answer, mine.answer)) return false;
  }
  return true;
}

bool by_trying_all(const std::vector<Operation>& operations) {
  std::vector<size_t> order(operations.size());
  std::iota(order.begin(), order.end(), size_t{0});
  do {
    for (uint32_t taken = 0; taken < (1U << operations.size()); ++taken) {
      if (is_legal(operations, order, taken)) return true;
    }
  } while (std::next_permutation(order.begin(), order.end()));
  return false;
}

Answer draw_answer(base::Random& random, Action action) {
  if (action == Action::kSet || action == Action::kFlush) return {.kind = Answer::Kind::kStatus, .text = "OK"};
  if (action == Action::kGet && random.chance(1, 3)) return {};
  const bool counts = action == Action::kDel || action == Action::kExists;
  if (counts && random.chance(1, 4)) return {.kind = Answer::Kind::kSomeInteger};
  const std::string number = std::to_string(random.below(action == Action::kGet || action == Action::kIncr ? 3 : 2));
  return {.kind = action == Action::kGet ? Answer::Kind::kBulk : Answer::Kind::kInteger, .text = number};
}

std::vector<Operation> draw_history(base::Random& random) {
  std::vector<uint64_t> moments(2 * kOperations);
  std::iota(moments.begin(), moments.end(), uint64_t{1});
  for (size_t i = moments.size(); i > 1; --i) std::swap(moments[i - 1], moments[random.below(i)]);
  std::vector<Operation> operations;
  for (size_t i = 0; i < kOperations; ++i) {
    Operation operation;
    operation.action = static_cast<Action>(random.below(kActions));
    if (operation.action == Action::kSet) operation.argument = std::to_string(random.below(3));
    operation.invoked = std::min(moments[2 * i], moments[2 * i + 1]);
    operation.returned = std::max(moments[2 * i], moments[2 * i + 1]);
    operation.outcome = random.chance(1, 4) ? Outcome::kUnknown : Outcome::kOk;
    operation.answer = draw_answer(random, operation.action);
    operation.lane = random.below(3);
    operations.push_back(operation);
  }
  // Places of a lane are in the order of invocation.
  for (Operation& each : operations) each.place = static_cast<uint32_t>(each.invoked);
  return operations;
}

TEST_CASE("the judge agrees with trying every order, on thousands of small histories") {
  base::Random random(20);
  size_t right = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::vector<Operation> operations = draw_history(random);
    const bool expected = by_trying_all(operations);
    right += expected;
    std::string text;
    for (const Operation& operation : operations) text += readable(operation) + "\n";
    CAPTURE(text);
    REQUIRE((judge(operations).verdict == Verdict::kLinearizable) == expected);
  }
  CHECK(right > 200);
  CHECK(right < 3800);
}

}  // namespace
}  // namespace leto::checker
