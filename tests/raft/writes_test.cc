#include "raft/writes.h"

#include <doctest/doctest.h>

#include "raft/harness.h"

namespace leto::raft_test {
namespace {

using raft::WriteQueue;

Message reply_to(NodeId to, Index match) {
  return {.from = 1, .to = to, .term = 1,
          .body = raft::AppendEntriesReply{.accepted = true, .match = match, .previous_index = 0, .hint = {}, .read_counter = 0}};
}

TEST_CASE("everything between two takes is one write") {
  WriteQueue queue({.term = 1, .voted_for = 0}, 0);
  queue.append(make_entry(1, 1, "a"));
  queue.set_hard_state({.term = 1, .voted_for = 2});
  queue.append(make_entry(1, 2, "b"));
  queue.after_durable(reply_to(2, 2));
  const std::vector<raft::Write> writes = queue.take();
  REQUIRE(writes.size() == 1);
  CHECK(writes[0].append.size() == 2);
  CHECK(writes[0].hard_state->voted_for == 2);
  CHECK(writes[0].after_durable.size() == 1);
  CHECK(queue.take().empty());
}

TEST_CASE("an unchanged hard state is not written") {
  WriteQueue queue({.term = 1, .voted_for = 2}, 0);
  queue.set_hard_state({.term = 1, .voted_for = 2});
  CHECK_FALSE(queue.has_open());
}

TEST_CASE("how many messages wait for a slow disk is bounded") {
  constexpr size_t kBound = 4096;
  WriteQueue queue({.term = 1, .voted_for = 0}, 0);
  queue.append(make_entry(1, 1, "a"));
  const raft::WriteSeq seq = queue.take().back().seq;
  for (size_t i = 0; i < kBound + 10; ++i) queue.after_durable(reply_to(2, 1));
  std::vector<Message> released;
  queue.complete(seq, released);
  CHECK(released.size() == kBound);
}

TEST_CASE("one completion may cover several writes") {
  WriteQueue queue({.term = 1, .voted_for = 0}, 0);
  queue.append(make_entry(1, 1, "a"));
  queue.take();
  queue.append(make_entry(1, 2, "b"));
  const raft::WriteSeq last = queue.take().back().seq;
  std::vector<Message> released;
  queue.complete(last, released);
  CHECK(queue.durable_index() == 2);
  CHECK(queue.all_durable());
}

// Two writes of entries 1 to 3, the first of which ends at `first_last`.
std::string fingerprint_of_split(Index first_last) {
  WriteQueue queue({.term = 1, .voted_for = 0}, 0);
  for (Index index = 1; index <= 3; ++index) {
    queue.append(make_entry(1, index, "x"));
    if (index == first_last) queue.take();
  }
  queue.take();
  std::string bytes;
  queue.fingerprint(bytes);
  return bytes;
}

TEST_CASE("a search of all runs tells two queues apart that differ only in what each write makes durable") {
  CHECK(fingerprint_of_split(1) == fingerprint_of_split(1));
  CHECK(fingerprint_of_split(1) != fingerprint_of_split(2));
}

TEST_CASE("a message that needs no write of its own waits for the newest one in flight") {
  WriteQueue queue({.term = 1, .voted_for = 0}, 0);
  queue.append(make_entry(1, 1, "a"));
  const raft::WriteSeq first = queue.take().back().seq;
  queue.append(make_entry(1, 2, "b"));
  const raft::WriteSeq second = queue.take().back().seq;
  queue.after_durable(reply_to(2, 2));
  std::vector<Message> released;
  queue.complete(first, released);
  CHECK(released.empty());
  queue.complete(second, released);
  CHECK(released.size() == 1);
}

TEST_CASE("term and vote become durable with their write, not when they are asked for") {
  WriteQueue queue({.term = 1, .voted_for = 0}, 0);
  queue.set_hard_state({.term = 2, .voted_for = 3});
  CHECK(queue.hard_state().term == 2);
  CHECK(queue.durable_hard_state().term == 1);
  std::vector<Message> released;
  queue.complete(queue.take().back().seq, released);
  CHECK(queue.durable_hard_state() == HardState{.term = 2, .voted_for = 3});
}

raft::SnapshotInstall install_behind(Index index) {
  return {.last = {.term = 1, .index = index}, .configuration = {}, .keys_generation = 2};
}

TEST_CASE("D9: what replaces the log begins a write of its own, and appends behind it go along") {
  WriteQueue queue({.term = 1, .voted_for = 0}, 4);
  queue.append(make_entry(1, 5, "a"));
  queue.install(install_behind(9), 4);
  queue.append(make_entry(1, 10, "b"));
  queue.truncate_from(10);
  queue.append(make_entry(1, 10, "c"));
  const std::vector<raft::Write> writes = queue.take();
  REQUIRE(writes.size() == 3);
  CHECK_FALSE(writes[0].install.has_value());
  CHECK(writes[1].install->last.index == 9);
  CHECK_FALSE(writes[1].truncate_from.has_value());
  CHECK(writes[1].append.size() == 1);
  CHECK_FALSE(writes[2].install.has_value());
  CHECK(writes[2].truncate_from == 10);
}

TEST_CASE("D8, D9: with what replaces the log older writes raise the durable index no further") {
  WriteQueue queue({.term = 1, .voted_for = 0}, 4);
  queue.append(make_entry(1, 5, "a"));
  queue.append(make_entry(1, 6, "a"));
  const raft::WriteSeq older = queue.take().back().seq;
  queue.install(install_behind(9), 3);
  const raft::WriteSeq newer = queue.take().back().seq;
  CHECK(queue.durable_index() == 3);
  std::vector<Message> released;
  queue.complete(older, released);
  CHECK(queue.durable_index() == 3);
  queue.complete(newer, released);
  CHECK(queue.durable_index() == 9);
}

}  // namespace
}  // namespace leto::raft_test
