// Local reads judged: histories written by hand.
#include "tests/checker/local_reads.h"

#include <doctest/doctest.h>

#include <utility>

namespace leto::checker {
namespace {

using Operations = std::vector<Operation>;

Operation write(Action action, const std::string& value, uint64_t from, uint64_t to) {
  return {.action = action, .key = "k", .argument = value, .invoked = from, .returned = to, .outcome = Outcome::kOk};
}
Operation set(const std::string& value, uint64_t from, uint64_t to) { return write(Action::kSet, value, from, to); }

Operation read(Answer answer, uint64_t at, uint64_t connection = 1) {
  return {.action = Action::kGet, .key = "k", .invoked = at, .returned = at + 1, .outcome = Outcome::kOk,
          .answer = std::move(answer), .local = true, .connection = connection};
}
Operation saw(const std::string& value, uint64_t at, uint64_t connection = 1) {
  return read({.kind = Answer::Kind::kBulk, .text = value}, at, connection);
}

TEST_CASE("a local read may be old, on one connection older than on another") {
  CHECK(judge_local_reads({set("a", 1, 2), set("b", 3, 4), saw("a", 10), saw("b", 12), saw("a", 14, 2), read({}, 16, 3)}).empty());
}

TEST_CASE("a local read of a value that nobody wrote, or that was refused, is wrong") {
  CHECK_FALSE(judge_local_reads({set("a", 1, 2), saw("x", 10)}).empty());
  Operation refused = set("a", 1, 2);
  refused.outcome = Outcome::kFailed;
  CHECK_FALSE(judge_local_reads({refused, saw("a", 10)}).empty());
}

TEST_CASE("a local read of what is written only later is wrong") {
  CHECK_FALSE(judge_local_reads({saw("a", 1), set("a", 5, 6)}).empty());
}

TEST_CASE("one connection that goes back to an older value is wrong") {
  CHECK_FALSE(judge_local_reads({set("a", 1, 2), set("b", 3, 4), saw("b", 10), saw("a", 12)}).empty());
}

TEST_CASE("one connection that sees a value again after another is wrong, whatever their order") {
  CHECK_FALSE(judge_local_reads({set("a", 1, 9), set("b", 2, 8), saw("a", 10), saw("b", 12), saw("a", 14)}).empty());
}

TEST_CASE("a local read finds nothing only before the first write, or after a deletion that may have come later") {
  CHECK_FALSE(judge_local_reads({set("a", 1, 2), saw("a", 10), read({}, 12)}).empty());
  CHECK_FALSE(judge_local_reads({write(Action::kDel, "", 1, 2), set("a", 3, 4), saw("a", 10), read({}, 12)}).empty());
  CHECK(judge_local_reads({set("a", 1, 2), write(Action::kDel, "", 3, 4), saw("a", 10), read({}, 12)}).empty());
  CHECK_FALSE(judge_local_reads({set("a", 1, 2), write(Action::kDel, "", 3, 4), saw("a", 10), read({}, 12), saw("a", 14)}).empty());
}

TEST_CASE("a value that was asked for twice may come back, and nothing that it replaced") {
  Operation unknown = set("a", 1, 0);
  unknown.outcome = Outcome::kUnknown;
  const Operations written{unknown, set("a", 3, 4), set("b", 5, 6)};
  const auto after = [&written](const Operations& reads) {
    Operations all = written;
    all.insert(all.end(), reads.begin(), reads.end());
    return judge_local_reads(all);
  };
  CHECK(after({saw("a", 10), saw("b", 12), saw("a", 14)}).empty());
  CHECK_FALSE(after({saw("a", 10), saw("b", 12), saw("a", 14), saw("b", 16)}).empty());
}

TEST_CASE("a local read may find nothing after a FLUSHALL") {
  CHECK(judge_local_reads({set("a", 1, 2), write(Action::kFlush, "", 3, 4), saw("a", 10), read({}, 12)}).empty());
}

}  // namespace
}  // namespace leto::checker
