#include <doctest/doctest.h>

#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

std::string unknown(const std::string& name) {
  return "-ERR unknown subcommand or wrong number of arguments for '" + name + "'. Try DEBUG HELP.\r\n";
}

TEST_CASE("debug: DIGEST is forty digits of the keys") {
  Fixture f;
  CHECK(f.run({"debug", "digest"}) == "+" + std::string(40, '0') + "\r\n");
  f.run({"set", "a", "b"});
  CHECK(f.run({"DEBUG", "DIGEST"}) == "+" + std::string(8, '0') + f.keyspace.digest().hex() + "\r\n");
}

TEST_CASE("debug: SLEEP takes seconds with decimals, and what is no number is no time") {
  Fixture f;
  for (const char* seconds : {"0", "1.5", "0.000001", "a", "-1", "nan", "1e99"}) {
    CHECK(f.run({"debug", "sleep", seconds}) == "+OK\r\n");
  }
  CHECK(f.services.calls == std::vector<std::string>{"sleep 0", "sleep 1500000", "sleep 1", "sleep 0", "sleep 0",
                                                     "sleep 0", "sleep 3600000000"});
}

TEST_CASE("debug: SYNC-DELAY takes milliseconds") {
  Fixture f;
  CHECK(f.run({"debug", "sync-delay", "250"}) == "+OK\r\n");
  CHECK(f.run({"debug", "sync-delay", "0"}) == "+OK\r\n");
  CHECK(f.services.calls == std::vector<std::string>{"sync-delay 250", "sync-delay 0"});
  for (const char* delay : {"a", "-1", "1.5", "600001"}) {
    CHECK(f.run({"debug", "sync-delay", delay}) == "-ERR value is not an integer or out of range\r\n");
  }
}

TEST_CASE("debug: switches that mean nothing here are accepted") {
  Fixture f;
  CHECK(f.run({"debug", "set-active-expire", "0"}) == "+OK\r\n");
  CHECK(f.run({"debug", "jmap"}) == "+OK\r\n");
  CHECK(f.services.calls.empty());
}

TEST_CASE("debug: unknown subcommands and arities are Redis's one error") {
  Fixture f;
  CHECK(f.run({"debug", "foo"}) == unknown("foo"));
  CHECK(f.run({"debug", "sleep"}) == unknown("sleep"));
  CHECK(f.run({"debug", "digest", "x"}) == unknown("digest"));
  CHECK(f.run({"debug"}) == "-ERR wrong number of arguments for 'debug' command\r\n");
}

TEST_CASE("debug: who may not is told how to change that") {
  Fixture f;
  f.services.allows_debug = false;
  CHECK(f.run({"debug", "sleep", "1"}) ==
        "-ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it "
        "from a local connection, otherwise you need to set this option in the configuration file, and then "
        "restart the server.\r\n");
  CHECK(f.services.calls.empty());
}

}  // namespace
}  // namespace leto::command
