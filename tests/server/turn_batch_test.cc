#include "server/turn_batch.h"

#include <doctest/doctest.h>

namespace leto::server {
namespace {

void add(TurnBatch& batch, const SessionRef& session, size_t value_bytes) {
  const std::string value(value_bytes, 'v');
  const std::vector<std::string_view> arguments = {"set", "k", value};
  batch.add(session, 1, 0, arguments);
}

TEST_CASE("writes of a turn share an entry up to the target") {
  TurnBatch batch;
  const auto session = std::make_shared<Session>();
  for (int write = 0; write < 100; ++write) add(batch, session, 64);
  CHECK(batch.commands() == 100);
  CHECK(!batch.first_is_full());
  CHECK(batch.front().waiters.size() == 100);
  batch.pop_front();
  CHECK(batch.empty());
  CHECK(batch.commands() == 0);
  CHECK(batch.bytes() == 0);
}

TEST_CASE("an entry is cut at the target, and a larger command is an entry of its own") {
  TurnBatch batch;
  const auto session = std::make_shared<Session>();
  add(batch, session, 64);
  add(batch, session, 3 * kEntryBytesTarget);
  add(batch, session, 64);
  CHECK(batch.first_is_full());
  CHECK(batch.front().waiters.size() == 1);
  CHECK(batch.front().commands.bytes() < kEntryBytesTarget);
  batch.pop_front();
  CHECK(batch.front().commands.bytes() > 3 * kEntryBytesTarget);
  CHECK(batch.front().waiters.size() == 1);
  batch.pop_front();
  CHECK(batch.commands() == 1);
}

TEST_CASE("an entry has at most so many commands that applying it holds up nobody") {
  TurnBatch batch;
  const auto session = std::make_shared<Session>();
  for (size_t write = 0; write < kEntryCommandsMax + 1; ++write) add(batch, session, 1);
  CHECK(batch.first_is_full());
  CHECK(batch.front().waiters.size() == kEntryCommandsMax);
  batch.pop_front();
  CHECK(batch.front().waiters.size() == 1);
}

TEST_CASE("the bytes of an entry that was taken away count no more") {
  TurnBatch batch;
  const auto session = std::make_shared<Session>();
  add(batch, session, 3 * kEntryBytesTarget);
  add(batch, session, 64);
  batch.pop_front();
  CHECK(batch.bytes() > 0);
  CHECK(batch.bytes() < 1000);
}

}  // namespace
}  // namespace leto::server
