#include "command/introspection.h"

#include <doctest/doctest.h>

#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

// As Redis 7.0.15 answers COMMAND INFO GET.
const std::string kInfoOfGet =
    "*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@read\r\n+@string\r\n+@fast\r\n"
    "*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n"
    "$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n"
    "$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n";

TEST_CASE("introspection: COMMAND INFO tells of commands, subcommands and what there is not") {
  Fixture f;
  CHECK(f.run({"command", "info", "foo", "GET"}) == "*2\r\n$-1\r\n" + kInfoOfGet);
  CHECK(f.run({"command", "info", "CONFIG|resetstat"}) ==
        "*1\r\n*10\r\n$16\r\nconfig|resetstat\r\n:2\r\n*4\r\n+admin\r\n+noscript\r\n+loading\r\n+stale\r\n:0\r\n:0\r\n"
        ":0\r\n*3\r\n+@admin\r\n+@slow\r\n+@dangerous\r\n*0\r\n*0\r\n*0\r\n");
  CHECK(f.run({"command", "info", "config|foo", "foo|get", "|", ""}) == "*4\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n");
}

TEST_CASE("introspection: COMMAND alone and COMMAND INFO without names tell of all") {
  Fixture f;
  const std::string all = f.run({"command"});
  CHECK(all == f.run({"command", "info"}));
  CHECK(all.starts_with("*" + std::to_string(commands().size()) + "\r\n*10\r\n$4\r\nauth\r\n"));
  CHECK(all.find(kInfoOfGet) != std::string::npos);
  CHECK(f.run({"command", "count"}) == ":" + std::to_string(commands().size()) + "\r\n");
}

TEST_CASE("introspection: RESP3 has sets and maps where Redis has them") {
  Fixture f;
  f.client.protocol = 3;
  CHECK(f.run({"command", "info", "config|resetstat"}) ==
        "*1\r\n*10\r\n$16\r\nconfig|resetstat\r\n:2\r\n~4\r\n+admin\r\n+noscript\r\n+loading\r\n+stale\r\n:0\r\n:0\r\n"
        ":0\r\n~3\r\n+@admin\r\n+@slow\r\n+@dangerous\r\n~0\r\n~0\r\n~0\r\n");
  CHECK(f.run({"command", "info", "foo"}) == "*1\r\n_\r\n");
  CHECK(f.run({"command", "docs", "get"}).starts_with("%1\r\n$3\r\nget\r\n%4\r\n$7\r\nsummary\r\n"));
}

TEST_CASE("introspection: COMMAND DOCS has summary, since, group and complexity") {
  Fixture f;
  CHECK(f.run({"command", "docs", "foo", "get"}) ==
        "*2\r\n$3\r\nget\r\n*8\r\n$7\r\nsummary\r\n$22\r\nGet the value of a key\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n"
        "$5\r\ngroup\r\n$6\r\nstring\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n");
  CHECK(f.run({"command", "docs", "config|foo"}) == "*0\r\n");
  const std::string config = f.run({"command", "docs", "config"});
  CHECK(config.find("$11\r\nsubcommands\r\n*10\r\n$10\r\nconfig|get\r\n*8\r\n") != std::string::npos);
  CHECK(f.run({"command", "docs"}).starts_with("*" + std::to_string(2 * commands().size()) + "\r\n$4\r\nauth\r\n"));
}

TEST_CASE("introspection: COMMAND LIST filters by pattern, category and module") {
  Fixture f;
  CHECK(f.run({"command", "list", "filterby", "pattern", "inC*"}) == "*1\r\n$4\r\nincr\r\n");
  CHECK(f.run({"command", "list", "filterby", "PATTERN", "config|re*"}) ==
        "*2\r\n$16\r\nconfig|resetstat\r\n$14\r\nconfig|rewrite\r\n");
  CHECK(f.run({"command", "list", "filterby", "aclcat", "string"}) ==
        "*3\r\n$3\r\nget\r\n$4\r\nincr\r\n$3\r\nset\r\n");
  CHECK(f.run({"command", "list", "filterby", "aclcat", "foo"}) == "*0\r\n");
  CHECK(f.run({"command", "list", "filterby", "module", "foo"}) == "*0\r\n");
  CHECK(f.run({"command", "list"}).find("$3\r\nget\r\n") != std::string::npos);
  for (const std::vector<std::string>& tail :
       {std::vector<std::string>{"foo"}, {"filterby"}, {"filterby", "foo"}, {"filterby", "foo", "x"}}) {
    std::vector<std::string> words = {"command", "list"};
    words.insert(words.end(), tail.begin(), tail.end());
    CHECK(f.run(words) == "-ERR syntax error\r\n");
  }
}

TEST_CASE("introspection: COMMAND GETKEYS finds the keys of a request") {
  Fixture f;
  CHECK(f.run({"command", "getkeys", "get", "a"}) == "*1\r\n$1\r\na\r\n");
  CHECK(f.run({"command", "getkeys", "SET", "a", "b"}) == "*1\r\n$1\r\na\r\n");
  CHECK(f.run({"command", "getkeys", "del", "a", "b"}) == "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
  CHECK(f.run({"command", "getkeys", "foo", "a"}) == "-ERR Invalid command specified\r\n");
  CHECK(f.run({"command", "getkeys", "config", "foo"}) == "-ERR Invalid command specified\r\n");
  CHECK(f.run({"command", "getkeys", "CLIENT", "FOO", "a"}) == "-ERR Invalid command specified\r\n");
  CHECK(f.run({"command", "getkeys", "config", "GET", "a"}) == "-ERR The command has no key arguments\r\n");
  CHECK(f.run({"command", "getkeys", "ping", "a"}) == "-ERR The command has no key arguments\r\n");
  CHECK(f.run({"command", "getkeys", "get", "a", "b"}) ==
        "-ERR Invalid number of arguments specified for command\r\n");
  CHECK(f.run({"command", "getkeysandflags", "set", "a", "b"}) == "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+OW\r\n+update\r\n");
  CHECK(f.run({"command", "getkeysandflags", "exists", "a"}) == "*1\r\n*2\r\n$1\r\na\r\n*1\r\n+RO\r\n");
}

TEST_CASE("introspection: every command with keys says what it does to them") {
  Fixture f;
  for (const Command& command : commands()) {
    if (command.first_key == 0) continue;
    CAPTURE(command.name);
    std::vector<std::string> words = {"command", "getkeysandflags", std::string(command.name)};
    for (int i = 1; i < std::abs(command.arity); ++i) words.push_back("k");
    const std::string head = "*" + std::to_string(command.last_key == 2 ? 2 : 1) + "\r\n*2\r\n$1\r\nk\r\n*";
    CHECK(f.run(words).starts_with(head));
  }
}

TEST_CASE("introspection: what RENAME does to its two keys is told of each") {
  Fixture f;
  CHECK(f.run({"command", "getkeysandflags", "rename", "a", "b"}) ==
        "*2\r\n*2\r\n$1\r\na\r\n*3\r\n+RW\r\n+access\r\n+delete\r\n*2\r\n$1\r\nb\r\n*2\r\n+OW\r\n+update\r\n");
}

TEST_CASE("introspection: every subcommand has a container, and a container has a HELP") {
  for (const Command& command : commands()) {
    const std::span<const Subcommand> subcommands = subcommands_of(command.name);
    if (subcommands.empty()) continue;
    CAPTURE(command.name);
    CHECK(find_subcommand(command.name, "HELP") != nullptr);
    for (const Subcommand& subcommand : subcommands) {
      CHECK(look_up(subcommand.name).subcommand == &subcommand);
    }
  }
}

}  // namespace
}  // namespace leto::command
