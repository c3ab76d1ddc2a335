// Handing leadership over (thesis 3.10): to whom TimeoutNow goes, and when.
#include <doctest/doctest.h>

#include <algorithm>

#include "raft/solo.h"

namespace leto::raft_test {
namespace {

bool told_to_campaign(const std::vector<Message>& messages, NodeId node) {
  return std::any_of(messages.begin(), messages.end(), [node](const Message& message) {
    return message.to == node && std::holds_alternative<raft::TimeoutNow>(message.body);
  });
}

}  // namespace

TEST_CASE("a peer that lags is told to campaign only once it has everything") {
  Solo solo;
  solo.lead();
  solo.accept(2, 1, 1);
  REQUIRE(solo.propose("x") == raft::ProposeResult::kAccepted);
  solo.sync();
  solo.sent();
  REQUIRE(solo.raft().transfer(2) == raft::TransferResult::kAccepted);
  solo.tick(3);
  CHECK_FALSE(told_to_campaign(solo.sent(), 2));
  solo.accept(2, 1, 2);
  CHECK(told_to_campaign(solo.sent(), 2));
}

}  // namespace leto::raft_test
