#include "command/transaction.h"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/base/hex.h"
#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

using Words = std::vector<std::string>;
constexpr uint32_t kAllDatabases = keyspace::kDatabases;

// The bytes of the example.
std::string documented_exec() {
  std::ifstream file(LETO_SOURCE_DIR "/docs/protocol.md");
  std::string line, bytes;
  while (std::getline(file, line) && !line.starts_with("# An EXEC")) continue;
  while (std::getline(file, line) && !line.starts_with("```")) bytes += leto::test::from_hex(line.substr(0, line.find('#')));
  return bytes;
}

// An EXEC of `commands`, with what `transaction` watches.
class Exec {
 public:
  explicit Exec(const std::vector<Words>& commands, Transaction made = {}) : transaction(std::move(made)) {
    for (const Words& words : commands) {
      const std::vector<std::string_view> views(words.begin(), words.end());
      transaction.add(*find_command(words[0]), views);
    }
    locals = take_local_commands(transaction);
    conditions = transaction.watched.conditions();
    arguments = exec_arguments(transaction, conditions);
  }
  Transaction transaction;
  std::shared_ptr<LocalCommands> locals;
  std::string conditions;
  std::vector<std::string_view> arguments;
};

std::string apply(Fixture& test, const Exec& exec, bool unheard = false) {
  std::string out;
  resp::Reply reply(out, 2);
  ++test.stamp.version.index;
  Context context{.keyspace = test.keyspace, .services = nullptr, .client = nullptr, .arguments = exec.arguments,
                  .reply = reply, .stamp = test.stamp, .locals = exec.locals.get(), .unheard = unheard};
  exec_of_writes().handler(context);
  return out;
}

TEST_CASE("transaction: EXEC runs its commands in one go and answers with an array") {
  Fixture test;
  CHECK(apply(test, Exec({{"SET", "a", "1"}, {"INCR", "a"}, {"GET", "a"}, {"DEL", "a", "b"}, {"GET", "a"}})) ==
        "*5\r\n+OK\r\n:2\r\n$1\r\n2\r\n:1\r\n$-1\r\n");
  CHECK(apply(test, Exec({{"SET", "s", "x"}, {"INCR", "s"}, {"SET", "s", "y", "bogus"}, {"GET", "s"}})) ==
        "*4\r\n+OK\r\n-ERR value is not an integer or out of range\r\n-ERR syntax error\r\n$1\r\nx\r\n");
}

TEST_CASE("transaction: all that EXEC writes has the version of EXEC") {
  Fixture test;
  test.stamp.version = {.index = 6, .position = 3};
  apply(test, Exec({{"SET", "a", "1"}, {"SET", "b", "1"}}));
  CHECK(test.keyspace.find(0, "a")->version == keyspace::Version{.index = 7, .position = 3});
  CHECK(test.keyspace.find(0, "b")->version == keyspace::Version{.index = 7, .position = 3});
}

TEST_CASE("transaction: where nobody is answered the same is written") {
  Fixture heard, unheard;
  const Exec exec({{"SET", "a", "1"}, {"GET", "a"}, {"INCR", "a"}, {"DBSIZE"}});
  apply(heard, exec);
  apply(unheard, exec, true);
  CHECK(heard.keyspace.digest() == unheard.keyspace.digest());
  CHECK(heard.keyspace.size() == 1);
}

Transaction watching(Fixture& test, const Words& keys) {
  Words words{"WATCH"};
  words.insert(words.end(), keys.begin(), keys.end());
  CHECK(test.run(words) == "+OK\r\n");
  return std::exchange(test.client.transaction, {});
}

TEST_CASE("transaction: EXEC does nothing if a watched key was written, or appeared, or vanished, or is another one of the same value") {
  const std::vector<std::pair<Words, bool>> cases = {
      {{"SET", "there", "2"}, true}, {{"SET", "there", "1"}, true},  {{"DEL", "there"}, true}, {{"SET", "absent", "1"}, true},
      {{"SET", "other", "1"}, false}, {{"DEL", "absent"}, false}, {{"GET", "there"}, false}};
  for (const auto& each : cases) {
    const Words& between = each.first;
    const bool aborts = each.second;
    CAPTURE(between[0] + " " + between[1]);
    Fixture test;
    test.run({"SET", "there", "1"});
    const Exec exec({{"SET", "done", "yes"}}, watching(test, {"there", "absent", "there"}));
    test.run(between);
    CHECK(apply(test, exec) == (aborts ? "*-1\r\n" : "*1\r\n+OK\r\n"));
    CHECK((test.keyspace.find(0, "done") == nullptr) == aborts);
    CHECK(exec.transaction.watched.touched() == aborts);
  }
}

TEST_CASE("transaction: a watched key is looked at in the database in which it was watched") {
  for (const bool changed : {false, true}) {
    CAPTURE(changed);
    Fixture test;
    test.run({"SELECT", "3"});
    test.run({"SET", "k", "1"});
    const Exec exec({{"SET", "done", "yes"}}, watching(test, {"k"}));
    if (changed) test.run({"SET", "k", "2"});
    test.run({"SELECT", "0"});
    test.run({"SET", "k", "of another one"});
    CHECK(apply(test, exec) == (changed ? "*-1\r\n" : "*1\r\n+OK\r\n"));
  }
}

TEST_CASE("transaction: a key that was made and removed again is known to be touched, though the condition holds") {
  Fixture test;
  const Exec exec({{"SET", "done", "yes"}}, watching(test, {"k"}));
  test.run({"SET", "k", "1"});
  test.run({"DEL", "k"});
  CHECK(exec.transaction.watched.touched());
  CHECK(apply(test, exec) == "*1\r\n+OK\r\n");
}

TEST_CASE("transaction: whoever watches no more is in no list") {
  Fixture test;
  for (const char* end : {"UNWATCH", "DISCARD", "RESET"}) {
    test.run({"WATCH", "a", "b", "a"});
    CHECK(test.keyspace.watches()->size() == 2);
    if (std::string(end) == "DISCARD") test.run({"MULTI"});
    test.run({end});
    CHECK(test.keyspace.watches()->size() == 0);
  }
  test.run({"WATCH", "a"});
  test.client = {};
  CHECK(test.keyspace.watches()->size() == 0);
}

TEST_CASE("transaction: MULTI, WATCH and DISCARD where they do not belong are told in Redis's words") {
  Fixture test;
  CHECK(test.run({"DISCARD"}) == "-ERR DISCARD without MULTI\r\n");
  CHECK(test.run({"MULTI"}) == "+OK\r\n");
  CHECK(test.run({"MULTI"}) == "-ERR MULTI calls can not be nested\r\n");
  CHECK(test.run({"WATCH", "a"}) == "-ERR WATCH inside MULTI is not allowed\r\n");
  CHECK(test.run({"DISCARD"}) == "+OK\r\n");
  CHECK(test.run({"WATCH"}) == "-ERR wrong number of arguments for 'watch' command\r\n");
  CHECK(test.run({"EXEC", "x"}) == "-ERR wrong number of arguments for 'exec' command\r\n");
}

TEST_CASE("transaction: commands that are not about keys run at their places, where the client is") {
  Fixture test;
  Exec exec({{"ECHO", "1"}, {"SET", "a", "1"}, {"ECHO", "2"}, {"PING"}, {"GET", "a"}, {"ECHO", "3"}});
  REQUIRE(exec.locals != nullptr);
  CHECK(exec.arguments.size() == 4);
  std::string order;
  exec.locals->run = [&](const Command& command, Arguments arguments, resp::Reply& reply) {
    order += std::string(arguments[0]) + (arguments.size() > 1 ? std::string(arguments[1]) : "") + " ";
    Context context{.keyspace = test.keyspace, .services = &test.services, .client = &test.client, .arguments = arguments,
                    .reply = reply, .stamp = {}};
    command.handler(context);
  };
  SUBCASE("where the keys are") {
    CHECK(apply(test, exec) == "*6\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n+PONG\r\n$1\r\n1\r\n$1\r\n3\r\n");
    CHECK(order == "ECHO1 ECHO2 PING ECHO3 ");
  }
  SUBCASE("where another node answered for the keys") {
    std::string out;
    resp::Reply reply(out, 2);
    CHECK(splice("*2\r\n+OK\r\n$1\r\n1\r\n", *exec.locals, reply));
    CHECK(out == "*6\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n+PONG\r\n$1\r\n1\r\n$1\r\n3\r\n");
  }
  SUBCASE("and not at all if nothing was done") {
    for (const char* none : {"*-1\r\n", "_\r\n", "-EXECABORT no\r\n"}) {
      std::string out;
      resp::Reply reply(out, 2);
      CHECK(splice(none, *exec.locals, reply));
      CHECK(out == none);
    }
    std::string out;
    resp::Reply reply(out, 2);
    CHECK_FALSE(splice("+OK\r\n", *exec.locals, reply));
    CHECK(out.empty());
    CHECK(order.empty());
  }
}

TEST_CASE("transaction: EXEC's bytes are those of docs/protocol.md") {
  Fixture test;
  test.stamp.version.index = 299;
  test.run({"SET", "w", "1"});
  const Exec exec({{"INCR", "a"}, {"SET", "b", "x"}}, watching(test, {"w", "v"}));
  std::string bytes;
  put_command(bytes, 0, exec.arguments);
  CHECK(leto::test::to_hex(bytes) == leto::test::to_hex(documented_exec()));
  CHECK(check_exec(exec.arguments, kAllDatabases) == "");
  CHECK(first_key_of(exec_of_writes(), exec.arguments) == "a");
  CHECK(exec.transaction.entry_bytes() >= bytes.size());
}

// If this fails, a log of an earlier version is applied otherwise: it is the code that is wrong, not the file.
TEST_CASE("transaction: the entry that tests/golden/entry-exec-v1.hex holds is still read, done, and written") {
  std::ifstream file(LETO_SOURCE_DIR "/tests/golden/entry-exec-v1.hex");
  REQUIRE(file.good());
  std::string hex;
  for (std::string line; std::getline(file, line);) hex += line.substr(0, line.find('#'));
  const std::string golden = leto::test::from_hex(hex);
  base::Result<EntryReader> entry = EntryReader::open(golden, 1);
  REQUIRE(entry.is_ok());
  CommandView view;
  REQUIRE(entry.value().next(view));
  CHECK(check_exec(view.arguments, kAllDatabases) == "");

  Fixture test;
  test.stamp.version.index = 299;
  test.run({"SET", "w", "1"});
  const Exec made({{"INCR", "a"}, {"SET", "b", "x"}}, watching(test, {"w", "v"}));
  EntryBuilder builder;
  builder.add(0, made.arguments);
  CHECK(leto::test::to_hex(builder.finish(entry.value().header())) == leto::test::to_hex(golden));

  Exec read({});
  read.arguments = view.arguments;
  CHECK(apply(test, read) == "*2\r\n:1\r\n+OK\r\n");
  // The version of w is another one now.
  test.run({"SET", "w", "1"});
  CHECK(apply(test, read) == "*-1\r\n");
  CHECK_FALSE(entry.value().next(view));
  CHECK_FALSE(entry.value().failed());
}

TEST_CASE("transaction: an EXEC of another node is taken only if it could have been made here") {
  const auto why = [](const std::vector<Words>& commands) { return check_exec(Exec(commands).arguments, 1); };
  CHECK(why({{"SET", "a", "1"}, {"GET", "a"}}) == "");
  CHECK(why({{"GET", "a"}}) != "");
  CHECK(why({}) != "");
  CHECK(why({{"SET", "a", "1"}, {"INCR", "a", "b"}}) == "ERR wrong number of arguments for 'incr' command");
  Transaction elsewhere;
  elsewhere.database = 3;
  CHECK(check_exec(Exec({{"SET", "a", "1"}}, std::move(elsewhere)).arguments, 1) != "");
  std::string local, unknown;
  put_command(local, 0, std::vector<std::string_view>{"PING"});
  put_command(unknown, 0, std::vector<std::string_view>{"NOSUCH"});
  const std::string conditions(1, '\0');
  CHECK(check_exec(std::vector<std::string_view>{"exec", conditions, local}, 1) != "");
  CHECK(check_exec(std::vector<std::string_view>{"exec", conditions, unknown}, 1) != "");
  CHECK(check_exec(std::vector<std::string_view>{"exec"}, 1) != "");
}

TEST_CASE("transaction: bytes of another node that are cut or changed are refused, or are an EXEC like any other") {
  Fixture test;
  test.run({"SET", "w", "1"});
  const Exec exec({{"INCR", "a"}, {"SET", "b", "x"}}, watching(test, {"w", "v"}));
  for (size_t which = 1; which < exec.arguments.size(); ++which) {
    const std::string whole(exec.arguments[which]);
    std::vector<std::string_view> arguments = exec.arguments;
    for (size_t size = 0; size < whole.size(); ++size) {
      arguments[which] = std::string_view(whole).substr(0, size);
      CHECK(check_exec(arguments, kAllDatabases) != "");
    }
    for (size_t at = 0; at < whole.size() * 8; ++at) {
      std::string flipped = whole;
      flipped[at / 8] = static_cast<char>(flipped[at / 8] ^ (1 << at % 8));
      arguments[which] = flipped;
      if (!check_exec(arguments, kAllDatabases).empty()) continue;
      Exec other({});
      other.arguments = arguments;
      Fixture fresh;
      CHECK(apply(fresh, other).starts_with('*'));
    }
  }
}

TEST_CASE("transaction: CLIENT LIST shows who is in a transaction, what is queued, and that it will not be done") {
  Fixture test;
  const auto shows = [&](std::string_view text) { return test.run({"CLIENT", "INFO"}).find(text) != std::string::npos; };
  CHECK(shows(" flags=N "));
  CHECK(shows(" multi=-1 "));
  test.run({"WATCH", "k"});
  test.run({"SET", "k", "1"});
  CHECK(shows(" flags=d "));
  test.run({"MULTI"});
  CHECK(shows(" flags=xd "));
  CHECK(shows(" multi=0 "));
  test.run({"DISCARD"});
  CHECK(shows(" flags=N "));
}

}  // namespace
}  // namespace leto::command
