#include "command/table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

using Words = std::vector<std::string>;

std::string check(const Words& words) {
  const std::vector<std::string_view> arguments(words.begin(), words.end());
  return check_request(find_command(arguments[0]), arguments);
}

TEST_CASE("command table: it is sorted, and every command is found under its name in any case") {
  CHECK(std::ranges::is_sorted(commands(), {}, &Command::name));
  for (const Command& command : commands()) {
    CHECK(find_command(command.name) == &command);
    std::string upper(command.name);
    for (char& character : upper) character = static_cast<char>(character - 'a' + 'A');
    CHECK(find_command(upper) == &command);
  }
}

TEST_CASE("command table: what is not in it is not found") {
  for (const char* name : {"", "ge", "gett", "get ", "GE\xd4", "config|get", "zzz", "averylongnamethatnocommandhas"}) {
    CAPTURE(name);
    CHECK(find_command(name) == nullptr);
  }
  CHECK(find_command(std::string_view("get\0", 4)) == nullptr);
}

TEST_CASE("command table: only writes, reads and WATCH have keys, and few writes have none") {
  for (const Command& command : commands()) {
    CAPTURE(command.name);
    const bool touches_keys = (command.flags & (kWrite | kReadOnly | kWatch)) != 0;
    // What answers later, or another way, cannot be an element of EXEC's reply.
    if ((command.flags & (kDeferred | kLeaderOnly)) != 0) CHECK((command.flags & kNoMulti) != 0);
    if ((command.flags & (kWatch | kExec)) != 0) CHECK((command.flags & kUnqueued) != 0);
    CHECK((command.first_key == 0 || touches_keys));
    const bool of_databases = command.name == "flushall" || command.name == "flushdb" || command.name == "swapdb";
    if ((command.flags & kWrite) != 0) CHECK((command.first_key > 0) != of_databases);
    if ((command.flags & kLeaderOnly) != 0) CHECK((command.flags & kDeferred) != 0);
  }
}

TEST_CASE("command table: requests of the wrong arity are told so, with the full name") {
  CHECK(check({"get"}) == "ERR wrong number of arguments for 'get' command");
  CHECK(check({"GET", "a", "b"}) == "ERR wrong number of arguments for 'get' command");
  CHECK(check({"get", "a"}) == "");
  CHECK(check({"set", "a"}) == "ERR wrong number of arguments for 'set' command");
  CHECK(check({"set", "a", "b", "c"}) == "");
  CHECK(check({"del"}) == "ERR wrong number of arguments for 'del' command");
  CHECK(check({"config"}) == "ERR wrong number of arguments for 'config' command");
  CHECK(check({"CONFIG", "GET"}) == "ERR wrong number of arguments for 'config|get' command");
  CHECK(check({"CONFIG", "Get", "a"}) == "");
  CHECK(check({"client", "id", "x"}) == "ERR wrong number of arguments for 'client|id' command");
  CHECK(check({"command"}) == "");
  CHECK(check({"command", "count", "x"}) == "ERR wrong number of arguments for 'command|count' command");
}

TEST_CASE("command table: unknown commands are told with what they began with") {
  CHECK(check({"foo"}) == "ERR unknown command 'foo', with args beginning with: ");
  CHECK(check({"foo", "bar", "b z"}) == "ERR unknown command 'foo', with args beginning with: 'bar' 'b z' ");
  CHECK(check({""}) == "ERR unknown command '', with args beginning with: ");
  CHECK(check({"foo", std::string("a\0b", 3)}) == "ERR unknown command 'foo', with args beginning with: 'a' ");
}

TEST_CASE("command table: long names and arguments are cut where Redis cuts them") {
  const auto times = [](size_t count, char character) { return std::string(count, character); };
  CHECK(check({times(200, 'x')}) == "ERR unknown command '" + times(128, 'x') + "', with args beginning with: ");
  CHECK(check({times(100, 'x'), times(100, 'y'), times(100, 'z'), "more"}) ==
        "ERR unknown command '" + times(100, 'x') + "', with args beginning with: '" + times(100, 'y') + "' '" +
            times(25, 'z') + "' ");
  CHECK(check({"config", times(200, 'x')}) ==
        "ERR unknown subcommand '" + times(128, 'x') + "'. Try CONFIG HELP.");
}

TEST_CASE("command table: unknown subcommands point to the help") {
  CHECK(check({"config", "foo"}) == "ERR unknown subcommand 'foo'. Try CONFIG HELP.");
  CHECK(check({"client", ""}) == "ERR unknown subcommand ''. Try CLIENT HELP.");
  CHECK(check({"command", "foo", "bar"}) == "ERR unknown subcommand 'foo'. Try COMMAND HELP.");
}

TEST_CASE("command table: a write that cannot succeed is refused before it is proposed") {
  const Words words = {"set", "a", "b", "ex", "10"};
  const std::vector<std::string_view> arguments(words.begin(), words.end());
  const Command& set = *find_command("set");
  CHECK(check_write(set, arguments) == "ERR syntax error");
  CHECK(check_write(set, Arguments(arguments).first(3)) == "");
  CHECK(check_write(*find_command("del"), arguments) == "");
}

TEST_CASE("command table: full names are those of commandstats") {
  const auto name_of = [](const Words& words) {
    const std::vector<std::string_view> arguments(words.begin(), words.end());
    return full_name(*find_command(words[0]), arguments);
  };
  CHECK(name_of({"GET", "a"}) == "get");
  CHECK(name_of({"Config", "GET", "a"}) == "config|get");
  CHECK(name_of({"Config", "foo"}) == "config");
  CHECK(name_of({"command"}) == "command");
  CHECK(name_of({"command", "DOCS"}) == "command|docs");
}

TEST_CASE("command table: every write gives the same on every node, without client and services") {
  // The same entry at different places, with different keyspaces of the same content.
  std::set<std::string> digests;
  for (int node = 0; node < 3; ++node) {
    Fixture fixture;
    for (int i = 0; i < node * 10; ++i) fixture.keyspace.set(1, std::to_string(i), {keyspace::make_string("x"), {}, 0});
    for (int i = 0; i < node * 10; ++i) fixture.keyspace.erase(1, std::to_string(i));
    std::string replies;
    for (const Command& command : commands()) {
      if ((command.flags & kWrite) == 0) continue;
      for (const Words& tail : {Words{"a"}, Words{"a", "1"}, Words{"a", "b", "c"}}) {
        Words words = {std::string(command.name)};
        words.insert(words.end(), tail.begin(), tail.end());
        replies += fixture.run(words);
      }
    }
    digests.insert(replies + fixture.keyspace.digest().hex());
  }
  CHECK(digests.size() == 1);
}

}  // namespace
}  // namespace leto::command
