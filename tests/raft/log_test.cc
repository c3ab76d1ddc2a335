#include "raft/log.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "raft/harness.h"

namespace leto::raft_test {
namespace {

using raft::EntryId;
using raft::Log;

// Terms 1 1 2 2 2 5 at indexes 1 to 6.
Log make_log() {
  Log log(raft::Recovered{});
  const Term terms[] = {1, 1, 2, 2, 2, 5};
  for (const Term term : terms) log.append(make_entry(term, log.last().index + 1, "xx"));
  return log;
}

TEST_CASE("a log knows the term of every entry from runs") {
  const Log log = make_log();
  CHECK(log.id_at(0) == EntryId{});
  CHECK(log.id_at(2).term == 1);
  CHECK(log.id_at(3).term == 2);
  CHECK(log.id_at(5).term == 2);
  CHECK(log.id_at(6).term == 5);
  CHECK(log.has({.term = 2, .index = 4}));
  CHECK_FALSE(log.has({.term = 1, .index = 4}));
  CHECK_FALSE(log.has({.term = 5, .index = 7}));
}

TEST_CASE("the last entry of at most a term is found across runs") {
  const Log log = make_log();
  CHECK(log.last_at_most(6, 5) == EntryId{.term = 5, .index = 6});
  CHECK(log.last_at_most(6, 4) == EntryId{.term = 2, .index = 5});
  CHECK(log.last_at_most(4, 2) == EntryId{.term = 2, .index = 4});
  CHECK(log.last_at_most(6, 1) == EntryId{.term = 1, .index = 2});
  CHECK(log.last_at_most(6, 0) == EntryId{});
  CHECK(log.last_at_most(99, 9) == EntryId{.term = 5, .index = 6});
}

TEST_CASE("truncation goes back through runs and beyond what is cached") {
  Log log = make_log();
  log.evict(7, 0);
  CHECK(log.cached(6) == nullptr);
  log.append(make_entry(5, 7, "y"));
  REQUIRE(log.cached(7) != nullptr);
  log.truncate_from(4);
  CHECK(log.last() == EntryId{.term = 2, .index = 3});
  CHECK(log.cached(3) == nullptr);
  CHECK(log.cache_bytes() == 0);
  log.append(make_entry(9, 4, "z"));
  CHECK(log.id_at(4).term == 9);
  CHECK(log.cached(4) != nullptr);
}

TEST_CASE("eviction drops the oldest entries and keeps what it is told to keep") {
  Log log = make_log();
  constexpr size_t kEach = 2 + raft::EntryCache::kOverheadBytes;
  CHECK(log.cache_bytes() == 6 * kEach);
  log.evict(3, 2 * kEach);
  CHECK(log.cache_first() == 3);
  log.evict(7, 2 * kEach);
  CHECK(log.cache_first() == 5);
  CHECK(log.cached(4) == nullptr);
  CHECK(log.cached(5) != nullptr);
}

TEST_CASE("a log may begin behind a base") {
  raft::Recovered recovered;
  recovered.base = {.term = 3, .index = 100};
  recovered.last = {.term = 4, .index = 102};
  recovered.terms = {{.first = 101, .term = 3}, {.first = 102, .term = 4}};
  const Log log(recovered);
  CHECK(log.first_index() == 101);
  CHECK(log.has({.term = 3, .index = 100}));
  CHECK_FALSE(log.has({.term = 3, .index = 99}));
  CHECK(log.last_at_most(102, 3) == EntryId{.term = 3, .index = 101});
  CHECK(log.last_at_most(102, 1) == EntryId{.term = 3, .index = 100});
}

// In a process of its own, which an assertion ends.
bool is_refused(std::vector<raft::TermRun> terms) {
  raft::Recovered recovered;
  recovered.last = {.term = 4, .index = 6};
  recovered.terms = std::move(terms);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);   // Not the handler of the tests.
    close(STDERR_FILENO);
    const Log log(recovered);
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

TEST_CASE("runs of terms that overlap, fall, leave a gap at the front or end elsewhere are no log") {
  CHECK_FALSE(is_refused({{.first = 1, .term = 3}, {.first = 2, .term = 4}}));
  CHECK(is_refused({{.first = 1, .term = 3}, {.first = 1, .term = 4}}));
  CHECK(is_refused({{.first = 1, .term = 5}, {.first = 2, .term = 4}}));
  CHECK(is_refused({{.first = 2, .term = 4}}));
  CHECK(is_refused({{.first = 1, .term = 4}, {.first = 7, .term = 4}}));
  CHECK(is_refused({{.first = 1, .term = 3}}));
  CHECK(is_refused({}));
}

TEST_CASE("a compacted log knows the terms of what is left, and of its base") {
  for (Index through = 0; through <= 6; ++through) {
    CAPTURE(through);
    const Log whole = make_log();
    Log log = make_log();
    log.compact(through);
    CHECK(log.base() == whole.id_at(through));
    CHECK(log.first_index() == through + 1);
    CHECK(log.last() == whole.last());
    for (Index index = through; index <= 6; ++index) CHECK(log.id_at(index) == whole.id_at(index));
    CHECK(log.cache_bytes() == (2 + raft::EntryCache::kOverheadBytes) * (6 - through));
    CHECK(log.cached(through) == nullptr);
    CHECK((log.cached(through + 1) != nullptr) == (through < 6));
    CHECK(log.last_at_most(6, 0) == log.base());
    log.append(make_entry(7, 7, "xx"));
    CHECK(log.id_at(7).term == 7);
    if (through < 6) CHECK(log.id_at(6).term == 5);
    log.truncate_from(through + 1);
    CHECK(log.last() == log.base());
  }
}

TEST_CASE("a reset log is empty behind its base") {
  Log log = make_log();
  log.reset({.term = 9, .index = 40});
  CHECK(log.base() == EntryId{.term = 9, .index = 40});
  CHECK(log.last() == log.base());
  CHECK(log.cache_bytes() == 0);
  CHECK_FALSE(log.has({.term = 5, .index = 6}));
  CHECK(log.has({.term = 9, .index = 40}));
  log.append(make_entry(9, 41, "xx"));
  CHECK(log.id_at(41).term == 9);
}

}  // namespace
}  // namespace leto::raft_test
