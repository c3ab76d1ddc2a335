#include <doctest/doctest.h>

#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

TEST_CASE("config: GET takes names and globs and gives a map") {
  Fixture f;
  CHECK(f.run({"config", "get", "save"}) == "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
  CHECK(f.run({"config", "get", "max*", "app*", "appendonly"}) ==
        "*4\r\n$10\r\nappendonly\r\n$2\r\nno\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n");
  CHECK(f.run({"config", "get", "foo"}) == "*0\r\n");
  f.client.protocol = 3;
  CHECK(f.run({"config", "get", "save"}) == "%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
}

TEST_CASE("config: SET takes pairs and hands on what is wrong with them") {
  Fixture f;
  CHECK(f.run({"config", "set", "maxmemory", "1", "save", "x"}) == "+OK\r\n");
  CHECK(f.services.options["maxmemory"] == "1");
  CHECK(f.services.options["save"] == "x");
  CHECK(f.run({"config", "set", "a", "b", "c"}) == "-ERR syntax error\r\n");
  CHECK(f.run({"config", "set", "a"}) == "-ERR wrong number of arguments for 'config|set' command\r\n");
  CHECK(f.run({"config", "set", "foo", "bar"}) ==
        "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n");
}

TEST_CASE("config: RESETSTAT, REWRITE and HELP answer as Redis does") {
  Fixture f;
  CHECK(f.run({"config", "resetstat"}) == "+OK\r\n");
  CHECK(f.services.calls == std::vector<std::string>{"reset-stat"});
  CHECK(f.run({"config", "rewrite"}) == "-ERR The server is running without a config file\r\n");
  CHECK(f.run({"config", "help"}) ==
        "*11\r\n+CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n+GET <pattern>\r\n"
        "+    Return parameters matching the glob-like <pattern> and their values.\r\n"
        "+SET <directive> <value>\r\n+    Set the configuration <directive> to <value>.\r\n"
        "+RESETSTAT\r\n+    Reset statistics reported by the INFO command.\r\n"
        "+REWRITE\r\n+    Rewrite the configuration file.\r\n+HELP\r\n+    Prints this help.\r\n");
}

}  // namespace
}  // namespace leto::command
