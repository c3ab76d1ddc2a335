#include <doctest/doctest.h>

#include "tests/chaos/cluster.h"
#include "tests/chaos/evidence.h"

namespace leto::chaos {

TEST_CASE("who led which term is read from the logs of all nodes, and two leaders of one term are noticed") {
  Leaders leaders;
  add_leaders("10:M * raft: n1 is leader in term 2, leader n1: elected\n10:M * raft: n1 is follower in term 3, leader n2\n", leaders);
  add_leaders("11:M * raft: n2 is leader in term 3, leader n2: elected\n", leaders);
  CHECK(leaders == Leaders{{2, {"n1"}}, {3, {"n2"}}});
  CHECK(two_leaders(leaders).empty());
  add_leaders("12:M * raft: n3 is leader in term 3, leader n3: elected\n", leaders);
  CHECK(two_leaders(leaders) == "term 3: n2 n3");
}

TEST_CASE("the last lines of a text are shown, or all of it") {
  CHECK(last_lines("a\nb\nc\n", 2) == "b\nc\n");
  CHECK(last_lines("a\n", 5) == "a\n");
  CHECK(last_lines("", 5).empty());
}

TEST_CASE("INFO raft is read by the names of its fields") {
  const View view = parse_view("# Raft\r\nid:n2\r\nrole:follower\r\nleader:n1\r\nterm:7\r\nmember_role:voter\r\napplied_index:41\r\n"
                               "last_index:42\r\nmembers:3\r\ncluster_id:ab\r\n");
  CHECK(view.id == "n2");
  CHECK(view.role == "follower");
  CHECK(view.leader == "n1");
  CHECK(view.member_role == "voter");
  CHECK(view.cluster_id == "ab");
  CHECK(view.term == 7);
  CHECK(view.applied == 41);
  CHECK(view.last == 42);
  CHECK(view.members == 3);
}

}  // namespace leto::chaos
