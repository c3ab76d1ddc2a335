// The judge judged: histories written by hand, whose verdicts follow from the definition alone.
#include "tests/checker/linearizability.h"

#include <doctest/doctest.h>

#include <utility>

namespace leto::checker {
namespace {

using Operations = std::vector<Operation>;

const Answer kOk{.kind = Answer::Kind::kStatus, .text = "OK"};
const Answer kNil{};
Answer bulk(const std::string& text) { return {.kind = Answer::Kind::kBulk, .text = text}; }
Answer integer(int value) { return {.kind = Answer::Kind::kInteger, .text = std::to_string(value)}; }
Answer error(const std::string& text) { return {.kind = Answer::Kind::kError, .text = text}; }

// From when to when it was under way.
struct Span {
  uint64_t from = 0;
  uint64_t to = 0;
};

Operation done(Span span, Action action, Answer answer) {
  return {.action = action, .key = "k", .invoked = span.from, .returned = span.to, .outcome = Outcome::kOk,
          .answer = std::move(answer)};
}
Operation set(Span span, const std::string& value) {
  Operation operation = done(span, Action::kSet, kOk);
  operation.argument = value;
  return operation;
}
Operation get(Span span, Answer answer) { return done(span, Action::kGet, std::move(answer)); }
Operation incr(Span span, int value) { return done(span, Action::kIncr, integer(value)); }
Operation del(Span span, int count) { return done(span, Action::kDel, integer(count)); }
Operation exists(Span span, int count) { return done(span, Action::kExists, integer(count)); }

Operation unknown(uint64_t from, Operation operation) {
  operation.invoked = from;
  operation.returned = 0;
  operation.outcome = Outcome::kUnknown;
  return operation;
}
Operation failed(Operation operation) {
  operation.outcome = Outcome::kFailed;
  return operation;
}
Operation in_lane(uint32_t place, Operation operation) {
  operation.lane = 1;
  operation.place = place;
  return operation;
}

bool is_right(Operations operations) {
  const Judgement judgement = judge(std::move(operations));
  REQUIRE(judgement.verdict != Verdict::kUndecided);
  CHECK(judgement.stuck_at.empty() == (judgement.verdict == Verdict::kLinearizable));
  return judgement.verdict == Verdict::kLinearizable;
}

TEST_CASE("right: nothing happened") { CHECK(is_right({})); }

TEST_CASE("right: one client after the other") {
  CHECK(is_right({get({1, 2}, kNil), set({3, 4}, "a"), get({5, 6}, bulk("a")), del({7, 8}, 1), del({9, 10}, 0),
                  exists({11, 12}, 0)}));
}

TEST_CASE("wrong: a read misses a write that was acknowledged before it began") {
  CHECK_FALSE(is_right({set({1, 2}, "a"), get({3, 4}, kNil)}));
}

TEST_CASE("right: a read during a write sees the old value or the new one") {
  CHECK(is_right({set({1, 2}, "a"), set({3, 8}, "b"), get({4, 5}, bulk("a"))}));
  CHECK(is_right({set({1, 2}, "a"), set({3, 8}, "b"), get({4, 5}, bulk("b"))}));
}

TEST_CASE("wrong: two reads during a write see the new value, then the old one") {
  CHECK_FALSE(is_right({set({1, 2}, "a"), set({3, 10}, "b"), get({4, 5}, bulk("b")), get({6, 7}, bulk("a"))}));
}

TEST_CASE("right: two reads at once during a write may disagree") {
  CHECK(is_right({set({1, 2}, "a"), set({3, 10}, "b"), get({4, 7}, bulk("b")), get({5, 6}, bulk("a"))}));
}

TEST_CASE("wrong: a read gives a value that nobody wrote") {
  CHECK_FALSE(is_right({set({1, 2}, "a"), get({3, 4}, bulk("b"))}));
}

TEST_CASE("wrong: a read gives a value before it was written") {
  CHECK_FALSE(is_right({get({1, 2}, bulk("a")), set({3, 4}, "a")}));
}

TEST_CASE("wrong: an overwritten value comes back") {
  CHECK_FALSE(is_right({set({1, 2}, "a"), set({3, 4}, "b"), get({5, 6}, bulk("b")), get({7, 8}, bulk("a"))}));
}

TEST_CASE("right: two counters at once, in either order") {
  CHECK(is_right({incr({1, 5}, 2), incr({2, 4}, 1), get({6, 7}, bulk("2"))}));
}

TEST_CASE("wrong: two increments give the same number") {
  CHECK_FALSE(is_right({incr({1, 5}, 1), incr({2, 4}, 1)}));
}

TEST_CASE("wrong: an increment is lost") {
  CHECK_FALSE(is_right({incr({1, 2}, 1), incr({3, 4}, 2), get({5, 6}, bulk("1"))}));
}

TEST_CASE("wrong: an increment is applied twice") {
  CHECK_FALSE(is_right({incr({1, 2}, 1), get({3, 4}, bulk("2"))}));
}

TEST_CASE("right: an unknown write that is never seen") {
  CHECK(is_right({set({1, 2}, "a"), unknown(3, set({}, "b")), get({5, 6}, bulk("a")), get({7, 8}, bulk("a"))}));
}

TEST_CASE("right: an unknown write that took effect at once") {
  CHECK(is_right({unknown(1, set({}, "b")), get({5, 6}, bulk("b")), get({7, 8}, bulk("b"))}));
}

TEST_CASE("right: an unknown write that takes effect late, after later writes") {
  CHECK(is_right({unknown(1, set({}, "late")), set({2, 3}, "a"), get({4, 5}, bulk("a")), set({6, 7}, "b"),
                  get({8, 9}, bulk("b")), get({10, 11}, bulk("late")), get({12, 13}, bulk("late"))}));
}

TEST_CASE("wrong: an unknown write takes effect twice") {
  CHECK_FALSE(is_right({unknown(1, set({}, "u")), get({2, 3}, bulk("u")), set({4, 5}, "a"), get({6, 7}, bulk("u"))}));
}

TEST_CASE("wrong: an unknown write takes effect before it was sent") {
  CHECK_FALSE(is_right({get({1, 2}, bulk("u")), unknown(3, set({}, "u"))}));
}

TEST_CASE("right: an unknown increment explains a gap") {
  CHECK(is_right({incr({1, 2}, 1), unknown(3, incr({}, 0)), incr({4, 5}, 3)}));
}

TEST_CASE("wrong: one unknown increment explains only one") {
  CHECK_FALSE(is_right({incr({1, 2}, 1), unknown(3, incr({}, 0)), incr({4, 5}, 4)}));
}

TEST_CASE("right: an unknown read says nothing") {
  CHECK(is_right({set({1, 2}, "a"), unknown(3, get({}, kNil)), get({4, 5}, bulk("a"))}));
}

TEST_CASE("wrong: a write that was refused is seen") {
  CHECK_FALSE(is_right({failed(set({1, 2}, "no")), get({3, 4}, bulk("no"))}));
}

TEST_CASE("right: a write that was refused is not seen") {
  CHECK(is_right({failed(set({1, 2}, "no")), get({3, 4}, kNil)}));
}

TEST_CASE("wrong: a refused increment counts") {
  CHECK_FALSE(is_right({incr({1, 2}, 1), failed(incr({3, 4}, 0)), incr({5, 6}, 3)}));
}

TEST_CASE("right: two deletions at once, of which one finds the key") {
  CHECK(is_right({set({1, 2}, "a"), del({3, 6}, 0), del({4, 5}, 1), exists({7, 8}, 0)}));
}

TEST_CASE("wrong: two deletions both find the only key") {
  CHECK_FALSE(is_right({set({1, 2}, "a"), del({3, 6}, 1), del({4, 5}, 1)}));
}

TEST_CASE("right: what cannot be counted gives Redis's error") {
  CHECK(is_right({set({1, 2}, "x"), done({3, 4}, Action::kIncr, error("ERR value is not an integer or out of range")),
                  get({5, 6}, bulk("x"))}));
}

TEST_CASE("wrong: an increment of what cannot be counted") {
  CHECK_FALSE(is_right({set({1, 2}, "x"), incr({3, 4}, 1)}));
}

TEST_CASE("right: a pipeline answers in its order") {
  CHECK(is_right({in_lane(1, set({1, 10}, "a")), in_lane(2, get({2, 11}, bulk("a"))), in_lane(3, set({3, 12}, "b")),
                  in_lane(4, get({4, 13}, bulk("b")))}));
}

TEST_CASE("wrong: a read of a pipeline sees the write behind it") {
  CHECK_FALSE(is_right({in_lane(1, get({1, 10}, bulk("a"))), in_lane(2, set({2, 11}, "a"))}));
}

TEST_CASE("wrong: a read of a pipeline misses the write before it") {
  CHECK_FALSE(is_right({in_lane(1, set({1, 10}, "a")), in_lane(2, get({2, 11}, kNil))}));
}

TEST_CASE("right: without a lane, requests that overlap have no order") {
  CHECK(is_right({set({1, 10}, "a"), get({2, 11}, kNil)}));
}

TEST_CASE("wrong: an unknown write of a pipeline happens after what follows it there") {
  CHECK_FALSE(is_right({in_lane(1, unknown(1, set({}, "u"))), in_lane(2, set({2, 3}, "a")), get({4, 5}, bulk("a")),
                        get({6, 7}, bulk("u"))}));
}

TEST_CASE("a search that is too long is undecided, not right") {
  Operations operations;
  for (uint64_t i = 0; i < 12; ++i) operations.push_back(unknown(i + 1, set({}, std::to_string(i))));
  operations.push_back(get({20, 21}, bulk("never")));
  CHECK(judge(operations, 100).verdict == Verdict::kUndecided);
  CHECK(judge(operations).verdict == Verdict::kNotLinearizable);
}

TEST_CASE("a judgement names the operation at which it got stuck") {
  const Judgement judgement = judge({set({1, 2}, "a"), get({3, 4}, bulk("b"))});
  CHECK(judgement.stuck_at == "client 0: GET k -> \"b\" [3, 4] in state \"a\"");
}

TEST_CASE("right: of two keys one was deleted, and nobody knows which") {
  const Operation deleted = done({3, 4}, Action::kDel, {.kind = Answer::Kind::kSomeInteger});
  CHECK(is_right({set({1, 2}, "a"), deleted, get({5, 6}, kNil)}));
  CHECK(is_right({deleted, get({5, 6}, kNil)}));
  CHECK_FALSE(is_right({set({1, 2}, "a"), deleted, get({5, 6}, bulk("a"))}));
}

TEST_CASE("a history's FLUSHALL is one of every key, and happens to all of them or may") {
  History history;
  const auto write = [&history](const std::string& key) {
    history.end(history.begin({.action = Action::kSet, .key = key, .argument = "a"}), Outcome::kOk, kOk);
  };
  const auto read = [&history](const std::string& key, const Answer& answer) {
    history.end(history.begin({.action = Action::kGet, .key = key}), Outcome::kOk, answer);
  };
  write("x");
  write("y");
  history.end(history.begin({.action = Action::kFlush}), Outcome::kOk, kOk);
  read("x", kNil);
  read("y", bulk("a"));
  write("later");
  read("later", bulk("a"));
  auto keys = history.by_key();
  REQUIRE(keys.size() == 3);
  CHECK(is_right(keys["x"]));
  CHECK_FALSE(is_right(keys["y"]));
  CHECK(is_right(keys["later"]));
  CHECK(history.local_by_key()["y"].size() == 2);
}

}  // namespace
}  // namespace leto::checker
