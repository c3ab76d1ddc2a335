#include "tests/sim/trial.h"

#include <doctest/doctest.h>

#include <csignal>

using leto::sim::judge_end;
using leto::sim::kind_of_violation;
using leto::sim::Trial;

namespace {

std::string kind_of(int status, const char* errors) {
  Trial trial;
  judge_end(status, errors, trial);
  return trial.kind;
}

// As wait(2) gives them.
int exited(int status) { return status << 8; }

}  // namespace

TEST_CASE("trial: violations of one invariant are of one kind, whatever the numbers") {
  CHECK(kind_of_violation("I5: machine 2 holds entry 4 of term 1 as committed, but no quorum has it durably") == "I5");
  CHECK(kind_of_violation("I5: machine 1 holds entry 9 of term 3 as committed, but no quorum has it durably") == "I5");
  CHECK(kind_of_violation("I14: key a is not linearizable, stuck at GET") == "I14");
}

TEST_CASE("trial: what was not in time is told apart by what it was") {
  CHECK(kind_of_violation("I16: not in time: a leader after the healing") !=
        kind_of_violation("I16: not in time: every key is read"));
}

TEST_CASE("trial: an assertion is known by its place, not by its numbers") {
  const int aborted = SIGABRT;
  const std::string kind = kind_of(aborted, "x\nASSERTION FAILED src/raft/raft.cc:88: a <= b (5, 4)\ny");
  CHECK(kind == "ASSERTION FAILED src/raft/raft.cc:88");
  CHECK(kind == kind_of(aborted, "ASSERTION FAILED src/raft/raft.cc:88: a <= b (7, 6)"));
  CHECK(kind != kind_of(aborted, "ASSERTION FAILED src/raft/raft.cc:89: a <= b (5, 4)"));
}

TEST_CASE("trial: a crash is known by its signal, or by what a sanitizer says of it") {
  CHECK(kind_of(SIGSEGV, "") == "signal 11");
  CHECK(kind_of(exited(1), "noise\nSUMMARY: AddressSanitizer: heap-use-after-free a.cc:3 in f\n") ==
        "SUMMARY: AddressSanitizer: heap-use-after-free a.cc:3 in f");
  CHECK(kind_of(exited(3), "") == "status 3");
}

TEST_CASE("trial: what ends well, or may follow from damage that nobody could notice, has no kind") {
  CHECK(kind_of(exited(0), "noise") == "");
  CHECK(kind_of(exited(leto::sim::kUnnoticedExit), "ASSERTION FAILED src/raft/raft.cc:88: a <= b (5, 4)") == "");
}

TEST_CASE("trial: a run that does not end in time is ended, and that is what it failed of") {
  const Trial trial = leto::sim::try_run({.run = {.seed = 5}, .seconds_max = 0.001});
  CHECK(trial.kind == "it does not end");
}
