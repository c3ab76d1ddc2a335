#include "raft/configuration.h"

#include <doctest/doctest.h>

#include <set>

#include "raft/harness.h"

namespace leto::raft_test {
namespace {

Configuration joint() {
  Configuration configuration = make_configuration({1, 2, 3, 4});
  configuration.members[2].role = MemberRole::kOutgoing;
  configuration.members[3].role = MemberRole::kIncoming;
  return configuration;
}

bool has_quorum(const Configuration& configuration, const std::set<NodeId>& nodes) {
  return configuration.has_quorum([&](NodeId node) { return nodes.contains(node); });
}

TEST_CASE("a configuration survives encoding") {
  Configuration configuration = joint();
  configuration.members[0].client_address = "[::1]:5379";
  Configuration decoded;
  REQUIRE(raft::decode_configuration(raft::encode_configuration(configuration), decoded));
  CHECK(decoded == configuration);
}

TEST_CASE("the texts of a member may be as long as the bound, and no longer") {
  Configuration configuration = joint();
  Configuration decoded;
  configuration.members[0].raft_address = std::string(raft::kMemberTextMax, 'a');
  CHECK(raft::decode_configuration(raft::encode_configuration(configuration), decoded));
  configuration.members[0].raft_address += 'a';
  CHECK_FALSE(raft::decode_configuration(raft::encode_configuration(configuration), decoded));
}

TEST_CASE("bytes that are not exactly one configuration are refused") {
  const std::string bytes = raft::encode_configuration(joint());
  Configuration decoded;
  for (size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(raft::decode_configuration(bytes.substr(0, size), decoded));
  CHECK_FALSE(raft::decode_configuration(bytes + "x", decoded));

  Configuration unsorted = joint();
  std::swap(unsorted.members[0], unsorted.members[1]);
  CHECK_FALSE(raft::decode_configuration(raft::encode_configuration(unsorted), decoded));
  Configuration doubled = joint();
  doubled.members[1] = doubled.members[0];
  CHECK_FALSE(raft::decode_configuration(raft::encode_configuration(doubled), decoded));
  Configuration nobody = joint();
  nobody.members[0].node = raft::kNobody;
  CHECK_FALSE(raft::decode_configuration(raft::encode_configuration(nobody), decoded));
  Configuration role = joint();
  role.members[0].role = static_cast<MemberRole>(9);
  CHECK_FALSE(raft::decode_configuration(raft::encode_configuration(role), decoded));
  Configuration wordy = joint();
  wordy.members[0].id = std::string(raft::kMemberTextMax + 1, 'x');
  CHECK_FALSE(raft::decode_configuration(raft::encode_configuration(wordy), decoded));
  std::vector<NodeId> many;
  for (NodeId node = 1; node <= raft::kMembersMax + 1; ++node) many.push_back(node);
  CHECK_FALSE(raft::decode_configuration(raft::encode_configuration(make_configuration(many)), decoded));
}

TEST_CASE("a joint configuration needs both majorities") {
  CHECK(joint().is_joint());
  CHECK(has_quorum(joint(), {1, 2}));
  CHECK_FALSE(has_quorum(joint(), {1, 3}));
  CHECK_FALSE(has_quorum(joint(), {1, 4}));
  CHECK(has_quorum(joint(), {1, 3, 4}));
}

TEST_CASE("learners and observers are in no majority, and nobody is none") {
  const Configuration configuration = make_configuration({1, 2, 3}, {4}, {5});
  CHECK_FALSE(has_quorum(configuration, {1, 4, 5}));
  CHECK(has_quorum(configuration, {1, 2}));
  CHECK(configuration.voter_count() == 3);
  CHECK_FALSE(has_quorum({}, {1, 2, 3}));
}

TEST_CASE("the history gives what was in force at an index, and truncation pops") {
  raft::ConfigurationHistory history({{.index = 0, .configuration = make_configuration({1})}});
  history.append(5, make_configuration({1, 2}));
  history.append(9, make_configuration({1, 2, 3}));
  CHECK(history.latest().members.size() == 3);
  CHECK(history.at(8).members.size() == 2);
  CHECK(history.at(4).members.size() == 1);
  history.truncate_from(9);
  CHECK(history.latest_index() == 5);
  history.append(9, make_configuration({1, 4}));
  history.forget_before(6);
  CHECK(history.at(6).members.size() == 2);
  CHECK(history.latest() == make_configuration({1, 4}));
  CHECK(raft::ConfigurationHistory({}).latest().members.empty());
}

}  // namespace
}  // namespace leto::raft_test
