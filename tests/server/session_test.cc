#include "server/session.h"

#include <doctest/doctest.h>

namespace leto::server {
namespace {

Session::Sequence push(const SessionRef& session, RequestState state) {
  Request request;
  request.state = state;
  return session->push(std::move(request));
}

void answer(const SessionRef& session, Session::Sequence sequence, std::string_view text) {
  session->reply_buffer(sequence).append(text);
  session->answered(sequence);
}

TEST_CASE("replies given out of order leave in order, each once") {
  const auto session = std::make_shared<Session>();
  const auto first = push(session, RequestState::kPending);
  const auto second = push(session, RequestState::kDeferred);
  const auto third = push(session, RequestState::kWaitsIndex);
  answer(session, third, "3");
  answer(session, second, "2");
  CHECK(session->output().empty());
  answer(session, first, "1");
  CHECK(session->output() == "123");
  CHECK(session->idle());
  CHECK(session->find(first) == nullptr);
  CHECK(session->find(third + 1) == nullptr);
}

TEST_CASE("what waiting requests take is known, of many empty arguments, too, and forgotten once they are answered") {
  const auto session = std::make_shared<Session>();
  const std::vector<std::string_view> none(1000);
  const Session::Sequence sequence = session->push({.state = RequestState::kWaitsIndex, .arguments = OwnedArguments(none)});
  CHECK(session->argument_bytes() >= none.size() * sizeof(size_t));
  answer(session, sequence, "1");
  CHECK(session->argument_bytes() == 0);
}

TEST_CASE("the first outstanding request writes straight into the output") {
  const auto session = std::make_shared<Session>();
  const auto first = push(session, RequestState::kPending);
  CHECK(&session->reply_buffer(first) == &session->output());
  const auto second = push(session, RequestState::kPending);
  CHECK(&session->reply_buffer(second) != &session->output());
}

TEST_CASE("the last write is the youngest that is not answered") {
  const auto session = std::make_shared<Session>();
  CHECK(session->last_write() == nullptr);
  const auto read = push(session, RequestState::kWaitsIndex);
  CHECK(session->last_write() == nullptr);
  const auto write = push(session, RequestState::kPending);
  push(session, RequestState::kFollowsWrite);
  REQUIRE(session->last_write() != nullptr);
  CHECK(session->last_write() == session->find(write));
  answer(session, write, "w");
  CHECK(session->last_write() == nullptr);
  answer(session, read, "r");
  CHECK(session->output() == "rw");
}

TEST_CASE("a request's time counts from when the one before it was served, not from when that failed or others were served") {
  const auto session = std::make_shared<Session>();
  const auto first = push(session, RequestState::kForwarded);
  const auto second = push(session, RequestState::kWaitsIndex);
  const auto local = push(session, RequestState::kDeferred);
  push(session, RequestState::kForwarded);
  CHECK(session->waits_since_us(10) == 10);
  answer(session, first, "1");
  session->note_served(20);
  session->note_served(30);
  CHECK(session->waits_since_us(10) == 20);
  CHECK(session->waits_since_us(25) == 25);
  answer(session, local, "PONG");
  session->note_served(40);
  CHECK(session->waits_since_us(10) == 20);
  session->fail(second, "ERR too late");
  session->note_served(50);
  CHECK(session->waits_since_us(10) == 20);
}

TEST_CASE("owned arguments give back what they were made of, empty and binary ones too") {
  const std::string binary("a\0\r\n", 4);
  const std::vector<std::string_view> arguments = {"SET", "", binary, "x"};
  const OwnedArguments owned{resp::Arguments(arguments)};
  CHECK(owned.views() == arguments);
  CHECK(owned.bytes() == 8 + 4 * sizeof(size_t));
}

TEST_CASE("a closed session forgets what was outstanding") {
  const auto session = std::make_shared<Session>();
  const auto first = push(session, RequestState::kPending);
  session->close();
  CHECK(session->closed());
  CHECK(session->find(first) == nullptr);
}

}  // namespace
}  // namespace leto::server
