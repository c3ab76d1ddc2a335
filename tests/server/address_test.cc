#include "server/address.h"

#include <doctest/doctest.h>

#include <string>

namespace leto::server {
namespace {

void check_reads(std::string_view text, std::string_view host, uint16_t port) {
  CAPTURE(std::string(text));
  base::Result<Address> address = parse_address(text);
  REQUIRE(address.is_ok());
  CHECK(address.value().host == host);
  CHECK(address.value().port == port);
}

TEST_CASE("address: the four forms are read") {
  check_reads(":5379", "", 5379);
  check_reads("5379", "", 5379);
  check_reads("127.0.0.1:1", "127.0.0.1", 1);
  check_reads("node-1.example.org:65535", "node-1.example.org", 65535);
  check_reads("[::1]:6379", "::1", 6379);
  check_reads("[fe80::1%eth0]:6379", "fe80::1%eth0", 6379);
}

TEST_CASE("address: what is not clearly one is refused") {
  for (const char* text :
       {"", ":", ":0", "0", "65536", ":65536", "host", "host:", "host:port", "::1", "::1:6379", "[::1]", "[]:6379",
        "[host]:6379", "[::1]6379", "[::1:6379", "a b:1", "host:01", "host:+1", " :1", "1 ", "http://host:1",
        "host:1:2"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_address(text).is_ok());
  }
  CHECK_FALSE(parse_address(std::string(254, 'a') + ":1").is_ok());
}

// What a message between nodes can say.
TEST_CASE("address: one with the longest port has at most 256 bytes") {
  CHECK(parse_address(std::string(250, 'a') + ":5379").is_ok());
  CHECK(parse_address(std::string(250, 'a') + ":65535").is_ok());
  CHECK_FALSE(parse_address(std::string(251, 'a') + ":5").is_ok());
  CHECK_FALSE(parse_address("[" + std::string(250, ':') + "]:5379").is_ok());
}

TEST_CASE("address: text() is read back as the same address") {
  for (const char* text : {":5379", "example.org:80", "[::1]:6379"}) {
    CHECK(parse_address(text).value().text() == text);
  }
  CHECK(parse_address("5379").value().text() == ":5379");
  CHECK(Address{}.text().empty());
}

}  // namespace
}  // namespace leto::server
