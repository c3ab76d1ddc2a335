// The numbers under which a follower's reads are asked of the leader.
#include <doctest/doctest.h>

#include "fake_environment.h"

namespace leto::server::test {
namespace {

// The context of the first read of a process that began with this seed.
uint64_t first_context(uint64_t seed) {
  NodeStart start = NodeUnderTest::start_of(3);
  start.seed = seed;
  NodeUnderTest test(std::move(start));
  test.follow(2, 2);
  const SessionRef session = test.node->open_session();
  test.send(session, {"GET", "k"});
  test.turn();
  for (const raft::Message& message : test.network.sent) {
    const auto* request = std::get_if<raft::ReadIndexRequest>(&message.body);
    if (request != nullptr) return request->context;
  }
  return 0;
}

TEST_CASE("D13: a later process of a node does not ask under the numbers of an earlier one") {
  const uint64_t earlier = first_context(5);
  const uint64_t later = first_context(6);
  REQUIRE(earlier != 0);
  CHECK(earlier != later);
  CHECK(first_context(5) == earlier);
}

}  // namespace
}  // namespace leto::server::test
