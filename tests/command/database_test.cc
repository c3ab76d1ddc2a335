#include <doctest/doctest.h>

#include "command/table.h"
#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

constexpr const char* kSyntax = "-ERR syntax error\r\n";

TEST_CASE("database: DBSIZE counts the keys of the selected database") {
  Fixture f;
  CHECK(f.run({"dbsize"}) == ":0\r\n");
  f.run({"set", "a", "1"});
  f.run({"select", "1"});
  f.run({"set", "a", "1"});
  f.run({"set", "b", "1"});
  CHECK(f.run({"dbsize"}) == ":2\r\n");
  f.run({"select", "0"});
  CHECK(f.run({"dbsize"}) == ":1\r\n");
  CHECK(f.run({"dbsize", "x"}) == "-ERR wrong number of arguments for 'dbsize' command\r\n");
}

TEST_CASE("database: FLUSHDB empties the selected database, FLUSHALL every one") {
  Fixture f;
  for (const char* mode : {"", "async", "SYNC"}) {
    for (const char* database : {"0", "4", "15"}) {
      f.run({"select", database});
      f.run({"set", "a", "1"});
    }
    f.run({"select", "4"});
    CHECK(f.run(*mode == '\0' ? std::vector<std::string>{"flushdb"} : std::vector<std::string>{"flushdb", mode}) == "+OK\r\n");
    CHECK(f.keyspace.size(4) == 0);
    CHECK(f.keyspace.size() == 2);
    CHECK(f.run(*mode == '\0' ? std::vector<std::string>{"flushall"} : std::vector<std::string>{"flushall", mode}) == "+OK\r\n");
    CHECK(f.keyspace.size() == 0);
  }
}

TEST_CASE("database: SWAPDB exchanges two databases") {
  Fixture f;
  f.run({"set", "a", "of 0"});
  CHECK(f.run({"swapdb", "0", "9"}) == "+OK\r\n");
  CHECK(f.run({"get", "a"}) == "$-1\r\n");
  f.run({"select", "9"});
  CHECK(f.run({"get", "a"}) == "$4\r\nof 0\r\n");
  CHECK(f.run({"swapdb", "9", "9"}) == "+OK\r\n");
  CHECK(f.run({"get", "a"}) == "$4\r\nof 0\r\n");
}

TEST_CASE("database: what cannot be done whatever the state is costs no log entry, and does nothing if one has it") {
  const std::pair<std::vector<std::string>, const char*> wrong[] = {
      {{"flushdb", "x"}, kSyntax},
      {{"flushall", "async", "sync"}, kSyntax},
      {{"swapdb", "a", "1"}, "-ERR invalid first DB index\r\n"},
      {{"swapdb", "1", "2147483648"}, "-ERR invalid second DB index\r\n"},
      {{"swapdb", "1", "16"}, "-ERR DB index is out of range\r\n"},
      {{"swapdb", "-1", "1"}, "-ERR DB index is out of range\r\n"},
  };
  for (const auto& [words, text] : wrong) {
    Fixture f;
    f.run({"set", "a", "1"});
    CHECK(f.run(words) == text);
    const std::vector<std::string_view> arguments(words.begin(), words.end());
    const Command& command = *find_command(words[0]);
    CHECK_FALSE(check_write(command, arguments).empty());
    std::string out;
    resp::Reply reply(out, 2);
    Context context{.keyspace = f.keyspace, .services = nullptr, .client = nullptr, .arguments = arguments, .reply = reply, .stamp = {}};
    command.handler(context);
    CHECK(out == text);
    CHECK(f.keyspace.find(0, "a") != nullptr);
  }
}

}  // namespace
}  // namespace leto::command
