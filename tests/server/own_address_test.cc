#include "server/own_address.h"

#include <doctest/doctest.h>

namespace leto::server {
namespace {

TEST_CASE("an address is the option, else a host to bind to, else the host that is known; with the port of the option") {
  Options options;
  options.raftbind = {.host = "", .port = 7000};
  CHECK(own_raft_address(options, "10.1.1.1") == "10.1.1.1:7000");
  CHECK(own_raft_address(options, "") == "127.0.0.1:7000");
  options.raftbind.host = "10.2.2.2";
  CHECK(own_raft_address(options, "10.1.1.1") == "10.2.2.2:7000");
  options.raft_advertise = {.host = "name.example", .port = 8000};
  CHECK(own_raft_address(options, "10.1.1.1") == "name.example:8000");
}

TEST_CASE("a node is told by the host it is known by, unless that is loopback or of another machine") {
  CHECK(told_host("name.example", "10.1.1.1") == "name.example");
  CHECK(told_host("127.0.0.1", "10.1.1.1") == "10.1.1.1");
  CHECK(told_host("192.0.2.7", "10.1.1.1") == "10.1.1.1");   // Reserved for documents: nobody has it.
  CHECK(told_host("192.0.2.7", "127.0.0.1") == "192.0.2.7");
  CHECK(told_host("192.0.2.7", "") == "192.0.2.7");
  CHECK(told_host("127.0.0.1", "127.0.0.1") == "127.0.0.1");
  CHECK(told_host("127.0.0.1", "") == "127.0.0.1");
  CHECK(told_host("", "10.1.1.1") == "10.1.1.1");
}

TEST_CASE("interfaces of this machine are known") {
  CHECK(may_be_here("127.0.0.1"));
  CHECK(may_be_here("some.name"));
  CHECK_FALSE(may_be_here("192.0.2.7"));
  CHECK_FALSE(may_be_here("2001:db8::7"));
}

TEST_CASE("a loopback address that another machine says is replaced by where it comes from") {
  CHECK(heard_address("127.0.0.1:15379", "127.0.0.1:15379", "10.1.1.1") == "10.1.1.1:15379");
  CHECK(heard_address("[::1]:15379", "", "2001:db8::1") == "[2001:db8::1]:15379");
  CHECK(heard_address("10.9.9.9:15379", "10.1.1.1:15379", "10.1.1.1") == "10.9.9.9:15379");
}

TEST_CASE("a loopback address does not take the place of a real one, but its port does") {
  CHECK(heard_address("127.0.0.1:16379", "10.1.1.1:15379", "127.0.0.1") == "10.1.1.1:16379");
  CHECK(heard_address("127.0.0.1:16379", "127.0.0.1:15379", "127.0.0.1") == "127.0.0.1:16379");
  CHECK(heard_address("127.0.0.1:16379", "", "127.0.0.1") == "127.0.0.1:16379");
}

TEST_CASE("who says nothing, or nonsense, says nothing") {
  CHECK(heard_address("", "10.1.1.1:15379", "10.1.1.1").empty());
  CHECK(heard_address("nonsense", "10.1.1.1:15379", "10.1.1.1").empty());
}

}  // namespace
}  // namespace leto::server
