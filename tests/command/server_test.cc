#include <doctest/doctest.h>

#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

using Calls = std::vector<std::string>;

TEST_CASE("server: INFO asks for its sections in lower case") {
  Fixture f;
  CHECK(f.run({"info"}) == "$8\r\nsections\r\n");
  CHECK(f.run({"INFO", "Raft", "CLIENTS"}) == "$21\r\nsections:raft:clients\r\n");
  f.client.protocol = 3;
  CHECK(f.run({"info"}) == "=12\r\ntxt:sections\r\n");
}

TEST_CASE("server: ROLE of a leader lists its followers") {
  Fixture f;
  CHECK(f.run({"role"}) == "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
  f.services.role_view.offset = 17;
  f.services.role_view.replicas = {{"10.0.0.2", 6379, 16}, {"10.0.0.3", 7379, 17}};
  CHECK(f.run({"role"}) ==
        "*3\r\n$6\r\nmaster\r\n:17\r\n*2\r\n*3\r\n$8\r\n10.0.0.2\r\n$4\r\n6379\r\n$2\r\n16\r\n"
        "*3\r\n$8\r\n10.0.0.3\r\n$4\r\n7379\r\n$2\r\n17\r\n");
}

TEST_CASE("server: ROLE of a follower names its leader") {
  Fixture f;
  f.services.role_view = {.leader = false, .offset = 16, .leader_host = "10.0.0.1", .leader_port = 5379,
                          .link_state = "connected", .replicas = {}};
  CHECK(f.run({"role"}) == "*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.1\r\n:5379\r\n$9\r\nconnected\r\n:16\r\n");
}

TEST_CASE("server: SHUTDOWN is answered later, with what was asked for") {
  Fixture f;
  CHECK(f.run({"shutdown"}) == "(later)");
  CHECK(f.run({"SHUTDOWN", "NOSAVE"}) == "(later)");
  CHECK(f.run({"shutdown", "save", "now", "force"}) == "(later)");
  CHECK(f.run({"shutdown", "now", "now"}) == "(later)");
  CHECK(f.run({"shutdown", "abort"}) == "(later)");
  CHECK(f.services.calls ==
        Calls{"#7 shutdown", "#7 shutdown", "#7 shutdown now force", "#7 shutdown now", "#7 shutdown abort"});
}

TEST_CASE("server: SHUTDOWN's options must agree") {
  Fixture f;
  for (const Calls& words : {Calls{"shutdown", "foo"}, {"shutdown", "save", "nosave"}, {"shutdown", "abort", "now"},
                             {"shutdown", "nosave", "abort"}}) {
    CHECK(f.run(words) == "-ERR syntax error\r\n");
  }
  CHECK(f.services.calls.empty());
}

}  // namespace
}  // namespace leto::command
