#include <doctest/doctest.h>

#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

using Calls = std::vector<std::string>;

TEST_CASE("cluster: JOIN hands on the address and the id, and what else it was told") {
  Fixture f;
  CHECK(f.run({"join", "127.0.0.1:16379", "id2"}) == "(later)");
  CHECK(f.run({"JOIN", "[::1]:16379", "id2", "18446744073709551615", "host:6379"}) == "(later)");
  CHECK(f.services.calls == Calls{"#7 join 127.0.0.1:16379 id2 0 ",
                                  "#7 join [::1]:16379 id2 18446744073709551615 host:6379"});
}

TEST_CASE("cluster: JOIN says of a learner that it is one") {
  Fixture f;
  CHECK(f.run({"join", "h:1", "id2", "learner"}) == "(later)");
  CHECK(f.run({"join", "h:1", "id2", "7", "h:2", "LEARNER"}) == "(later)");
  CHECK(f.run({"join", "h:1", "learner"}) == "(later)");
  CHECK(f.services.calls == Calls{"#7 join h:1 id2 0  learner", "#7 join h:1 id2 7 h:2 learner",
                                  "#7 join h:1 learner 0 "});
  CHECK(f.run({"join", "h:1", "id2", "7", "learner"}) == "-ERR wrong number of arguments for 'join' command\r\n");
}

TEST_CASE("cluster: TRANSFER names a node or none") {
  Fixture f;
  CHECK(f.run({"transfer"}) == "(later)");
  CHECK(f.run({"TRANSFER", "id2"}) == "(later)");
  CHECK(f.services.calls == Calls{"#7 transfer ", "#7 transfer id2"});
  CHECK(f.run({"transfer", ""}) == "-ERR invalid node id ''\r\n");
  CHECK(f.run({"transfer", "id2", "x"}) == "-ERR wrong number of arguments for 'transfer' command\r\n");
}

TEST_CASE("cluster: JOIN refuses what cannot be an address, an id or a uid") {
  Fixture f;
  const std::string arity = "-ERR wrong number of arguments for 'join' command\r\n";
  CHECK(f.run({"join", "h:1"}) == arity);
  CHECK(f.run({"join", "h:1", "id", "7"}) == arity);
  CHECK(f.run({"join", "h:1", "id", "7", "h:2", "x"}) == arity);
  for (const char* address : {"", "host", ":16379", "host:", "host:0", "host:65536", "host:a", "ho st:1"}) {
    CHECK(f.run({"join", address, "id"}) ==
          "-ERR invalid raft address '" + std::string(address) + "', expected host:port\r\n");
  }
  CHECK(f.run({"join", "h:1", ""}) == "-ERR invalid node id ''\r\n");
  CHECK(f.run({"join", "h:1", "a b"}) == "-ERR invalid node id 'a b'\r\n");
  CHECK(f.run({"join", "h:1", "x@y"}) == "-ERR invalid node id 'x@y'\r\n");
  CHECK(f.run({"join", "h:1", std::string(65, 'x')}).starts_with("-ERR invalid node id 'xxx"));
  const std::string too_long = std::string(252, 'h') + ":1234";
  CHECK(f.run({"join", too_long, "id"}).starts_with("-ERR invalid raft address 'hhh"));
  // It would be with the port that a node has.
  CHECK(f.run({"join", std::string(251, 'h') + ":9", "id"}).starts_with("-ERR invalid raft address 'hhh"));
  CHECK(f.run({"join", "h:1", "id", "7", std::string(251, 'h') + ":9"}) == "-ERR invalid uid or client address\r\n");
  CHECK(f.run({"join", "h:1", "id", "7", too_long}) == "-ERR invalid uid or client address\r\n");
  CHECK(f.run({"join", "h:1", std::string(129, 'x')}).starts_with("-ERR invalid node id 'xxx"));
  for (const char* uid : {"0", "-1", "x", "", "18446744073709551616"}) {
    CHECK(f.run({"join", "h:1", "id", uid, "h:2"}) == "-ERR invalid uid or client address\r\n");
  }
  CHECK(f.run({"join", "h:1", "id", "7", "h"}) == "-ERR invalid uid or client address\r\n");
  CHECK(f.services.calls.empty());
}

TEST_CASE("cluster: LEAVE and SNAPSHOT are answered later") {
  Fixture f;
  CHECK(f.run({"leave", "id2"}) == "(later)");
  CHECK(f.run({"snapshot"}) == "(later)");
  CHECK(f.services.calls == Calls{"#7 leave id2", "#7 snapshot"});
  f.services.calls.clear();
  CHECK(f.run({"leave", "id2", "FORCE"}) == "(later)");
  CHECK(f.services.calls == Calls{"#7 leave id2 force"});
  CHECK(f.run({"leave", "id2", "now"}) == "-ERR syntax error\r\n");
  CHECK(f.run({"leave", "id2", "force", "id3"}) == "-ERR wrong number of arguments for 'leave' command\r\n");
  CHECK(f.run({"leave", ""}) == "-ERR invalid node id ''\r\n");
  CHECK(f.run({"leave"}) == "-ERR wrong number of arguments for 'leave' command\r\n");
  CHECK(f.run({"snapshot", "x"}) == "-ERR wrong number of arguments for 'snapshot' command\r\n");
}

}  // namespace
}  // namespace leto::command
