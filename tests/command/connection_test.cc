#include <doctest/doctest.h>

#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

const std::string kNoAuth =
    "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> "
    "<pass> option can be used to authenticate the client and select the RESP protocol version at the same "
    "time\r\n";
const std::string kWrongPass = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";

std::string hello_reply(const std::string& first, int protocol, const std::string& role) {
  return first + "\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:" +
         std::to_string(protocol) + "\r\n$2\r\nid\r\n:3\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n" + role +
         "\r\n$7\r\nmodules\r\n*0\r\n";
}

TEST_CASE("connection: PING and ECHO answer what they are given") {
  Fixture f;
  CHECK(f.run({"ping"}) == "+PONG\r\n");
  CHECK(f.run({"PING", "hi"}) == "$2\r\nhi\r\n");
  CHECK(f.run({"ping", "a", "b"}) == "-ERR wrong number of arguments for 'ping' command\r\n");
  CHECK(f.run({"echo", ""}) == "$0\r\n\r\n");
  CHECK(f.run({"echo"}) == "-ERR wrong number of arguments for 'echo' command\r\n");
}

TEST_CASE("connection: SELECT knows sixteen databases, and a wrong one leaves the connection where it is") {
  Fixture f;
  for (const char* index : {"0", "1", "15", "7"}) CHECK(f.run({"select", index}) == "+OK\r\n");
  CHECK(f.client.database == 7);
  for (const char* index : {"16", "-1", "2147483647"}) {
    CHECK(f.run({"select", index}) == "-ERR DB index is out of range\r\n");
  }
  for (const char* index : {"a", "", "1.5", "99999999999999999999"}) {
    CHECK(f.run({"select", index}) == "-ERR value is not an integer or out of range\r\n");
  }
  CHECK(f.run({"select", "2147483648"}) ==
        "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n");
  CHECK(f.client.database == 7);
}

TEST_CASE("connection: AUTH without a password configured says so") {
  Fixture f;
  CHECK(f.run({"auth", "a"}) ==
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?\r\n");
  CHECK(f.run({"auth", "default", "x"}) == "+OK\r\n");
  CHECK(f.run({"auth", "a", "b"}) == kWrongPass);
  CHECK(f.run({"auth", "a", "b", "c"}) == "-ERR syntax error\r\n");
}

TEST_CASE("connection: AUTH lets in who knows the password, and a wrong one does not throw out") {
  Fixture f;
  f.services.password = "pw";
  f.client.authenticated = false;
  CHECK(f.run({"auth", "bad"}) == kWrongPass);
  CHECK_FALSE(f.client.authenticated);
  CHECK(f.run({"auth", "pw"}) == "+OK\r\n");
  CHECK(f.client.authenticated);
  CHECK(f.run({"auth", "bad"}) == kWrongPass);
  CHECK(f.client.authenticated);
}

TEST_CASE("connection: HELLO switches the protocol and says who is there") {
  Fixture f;
  CHECK(f.run({"hello"}) == hello_reply("*14", 2, "$6\r\nmaster"));
  CHECK(f.run({"hello", "3"}) == hello_reply("%7", 3, "$6\r\nmaster"));
  CHECK(f.client.protocol == 3);
  f.services.role_view.leader = false;
  CHECK(f.run({"hello"}) == hello_reply("%7", 3, "$7\r\nreplica"));
  CHECK(f.run({"hello", "2"}) == hello_reply("*14", 2, "$7\r\nreplica"));
}

TEST_CASE("connection: HELLO's mistakes leave everything as it was") {
  Fixture f;
  CHECK(f.run({"hello", "4"}) == "-NOPROTO unsupported protocol version\r\n");
  CHECK(f.run({"hello", "a"}) == "-ERR Protocol version is not an integer or out of range\r\n");
  CHECK(f.run({"hello", "3", "foo"}) == "-ERR Syntax error in HELLO option 'foo'\r\n");
  CHECK(f.run({"hello", "3", std::string("ab\0cd", 5)}) == "-ERR Syntax error in HELLO option 'ab'\r\n");
  CHECK(f.run({"hello", "3", "auth", "x"}) == "-ERR Syntax error in HELLO option 'auth'\r\n");
  CHECK(f.run({"hello", "3", "setname", "a", "setname"}) == "-ERR Syntax error in HELLO option 'setname'\r\n");
  CHECK(f.run({"hello", "3", "setname", "a b"}) ==
        "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
  CHECK(f.client.protocol == 2);
  CHECK(f.client.name == "");
}

TEST_CASE("connection: HELLO can authenticate and name in one go") {
  Fixture f;
  f.services.password = "pw";
  f.client.authenticated = false;
  CHECK(f.run({"hello", "3"}) == kNoAuth);
  CHECK(f.run({"hello", "3", "setname", "x"}) == kNoAuth);
  CHECK(f.client.name == "");
  CHECK(f.run({"hello", "3", "auth", "default", "bad", "setname", "x"}) == kWrongPass);
  CHECK(f.run({"hello", "3", "AUTH", "default", "pw", "SETNAME", "x"}) == hello_reply("%7", 3, "$6\r\nmaster"));
  CHECK(f.client.name == "x");
  CHECK(f.client.authenticated);
}

TEST_CASE("connection: QUIT closes after its reply") {
  Fixture f;
  CHECK(f.run({"quit"}) == "+OK\r\n");
  CHECK(f.client.close_after_reply);
  Fixture g;
  CHECK(g.run({"quit", "now"}) == "+OK\r\n");
  CHECK(g.client.close_after_reply);
}

TEST_CASE("connection: RESET makes the connection as new") {
  Fixture f;
  f.client.name = "x";
  f.client.readonly = true;
  f.client.protocol = 3;
  CHECK(f.run({"reset"}) == "+RESET\r\n");
  CHECK(f.client.name == "");
  CHECK_FALSE(f.client.readonly);
  CHECK(f.client.protocol == 2);
  CHECK(f.client.authenticated);
  f.services.password = "pw";
  CHECK(f.run({"reset"}) == "+RESET\r\n");
  CHECK_FALSE(f.client.authenticated);
}

TEST_CASE("connection: READONLY and READWRITE switch local reads") {
  Fixture f;
  CHECK(f.run({"readonly"}) == "+OK\r\n");
  CHECK(f.client.readonly);
  CHECK(f.run({"readwrite"}) == "+OK\r\n");
  CHECK_FALSE(f.client.readonly);
}

}  // namespace
}  // namespace leto::command
