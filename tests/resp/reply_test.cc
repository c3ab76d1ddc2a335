#include "resp/reply.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace leto::resp {
namespace {

template <typename Write>
std::string written(int protocol, Write write) {
  std::string out;
  Reply reply(out, protocol);
  write(reply);
  return out;
}

template <typename Write>
void check(Write write, std::string_view resp2, std::string_view resp3) {
  CHECK(written(2, write) == resp2);
  CHECK(written(3, write) == resp3);
}

TEST_CASE("reply: what both protocols share is written the same in both") {
  check([](Reply& reply) { reply.ok(); }, "+OK\r\n", "+OK\r\n");
  check([](Reply& reply) { reply.status("PONG"); }, "+PONG\r\n", "+PONG\r\n");
  check([](Reply& reply) { reply.integer(-42); }, ":-42\r\n", ":-42\r\n");
  check([](Reply& reply) { reply.bulk("a\r\nb"); }, "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n");
  check([](Reply& reply) { reply.bulk(""); }, "$0\r\n\r\n", "$0\r\n\r\n");
  check([](Reply& reply) { reply.array(3); }, "*3\r\n", "*3\r\n");
}

TEST_CASE("reply: the types that RESP3 added fall back in RESP2") {
  check([](Reply& reply) { reply.nil(); }, "$-1\r\n", "_\r\n");
  check([](Reply& reply) { reply.nil_array(); }, "*-1\r\n", "_\r\n");
  check([](Reply& reply) { reply.map(2); }, "*4\r\n", "%2\r\n");
  check([](Reply& reply) { reply.set(2); }, "*2\r\n", "~2\r\n");
  check([](Reply& reply) { reply.push(2); }, "*2\r\n", ">2\r\n");
  check([](Reply& reply) { reply.boolean(true); }, ":1\r\n", "#t\r\n");
  check([](Reply& reply) { reply.boolean(false); }, ":0\r\n", "#f\r\n");
  check([](Reply& reply) { reply.verbatim("hello"); }, "$5\r\nhello\r\n", "=9\r\ntxt:hello\r\n");
}

TEST_CASE("reply: the ends of the integer range fit") {
  check([](Reply& reply) { reply.integer(std::numeric_limits<int64_t>::min()); },
        ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
  check([](Reply& reply) { reply.integer(std::numeric_limits<int64_t>::max()); },
        ":9223372036854775807\r\n", ":9223372036854775807\r\n");
}

TEST_CASE("reply: numbers have the shortest digits that read back the same") {
  check([](Reply& reply) { reply.number(3.141); }, "$5\r\n3.141\r\n", ",3.141\r\n");
  check([](Reply& reply) { reply.number(0.1); }, "$3\r\n0.1\r\n", ",0.1\r\n");
  check([](Reply& reply) { reply.number(10); }, "$2\r\n10\r\n", ",10\r\n");
  check([](Reply& reply) { reply.number(0.1 + 0.2); }, "$19\r\n0.30000000000000004\r\n",
        ",0.30000000000000004\r\n");
  check([](Reply& reply) { reply.number(-std::numeric_limits<double>::infinity()); }, "$4\r\n-inf\r\n",
        ",-inf\r\n");
  check([](Reply& reply) { reply.number(std::nan("")); }, "$3\r\nnan\r\n", ",nan\r\n");
}

TEST_CASE("reply: an error cannot end its line early, and is remembered") {
  std::string out;
  Reply reply(out, 2);
  CHECK_FALSE(reply.wrote_error());
  reply.error("ERR a\r\nb\nc");
  CHECK(out == "-ERR a  b c\r\n");
  CHECK(reply.wrote_error());
}

TEST_CASE("reply: bytes are appended, and the protocol can change on the way") {
  std::string out = "before";
  Reply reply(out, 2);
  reply.nil();
  reply.set_protocol(3);
  reply.nil();
  CHECK(out == "before$-1\r\n_\r\n");
}

}  // namespace
}  // namespace leto::resp
