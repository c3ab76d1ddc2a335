#include <doctest/doctest.h>

#include "tests/command/fake_services.h"

namespace leto::command {
namespace {

const std::string kBadName = "-ERR Client names cannot contain spaces, newlines or special characters.\r\n";

std::string bulk(const std::string& text) { return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n"; }

TEST_CASE("client: names are set, read and taken back") {
  Fixture f;
  CHECK(f.run({"client", "getname"}) == "$-1\r\n");
  CHECK(f.run({"client", "setname", "a~!"}) == "+OK\r\n");
  CHECK(f.run({"CLIENT", "GetName"}) == "$3\r\na~!\r\n");
  for (const char* name : {"a b", "a\n", "\xff", "\x7f"}) CHECK(f.run({"client", "setname", name}) == kBadName);
  CHECK(f.run({"client", "getname"}) == "$3\r\na~!\r\n");
  CHECK(f.run({"client", "setname", ""}) == "+OK\r\n");
  CHECK(f.run({"client", "getname"}) == "$-1\r\n");
  CHECK(f.run({"client", "id"}) == ":3\r\n");
}

TEST_CASE("client: the library's name and version are kept") {
  Fixture f;
  CHECK(f.run({"client", "setinfo", "LIB-NAME", "redis-py"}) == "+OK\r\n");
  CHECK(f.run({"client", "setinfo", "lib-ver", "5.0"}) == "+OK\r\n");
  CHECK(f.client.library_name == "redis-py");
  CHECK(f.client.library_version == "5.0");
  CHECK(f.run({"client", "setinfo", "foo", "x"}) == "-ERR Unrecognized option 'foo'\r\n");
  CHECK(f.run({"client", "setinfo", "LIB-NAME", "a b"}) ==
        "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n");
  CHECK(f.run({"client", "setinfo", "lib-name"}) ==
        "-ERR wrong number of arguments for 'client|setinfo' command\r\n");
}

TEST_CASE("client: LIST and INFO show the fields of Redis 7") {
  Fixture f;
  f.client.name = "n";
  f.client.created_ms = 1000;
  f.client.last_active_ms = 8500;
  f.client.query_buffer_bytes = 13;
  f.client.output_buffer_bytes = 5;
  f.client.library_name = "lib";
  f.client.library_version = "1.0";
  f.services.now_ms = 12'000;
  const std::string before_memory =
      "id=3 addr=127.0.0.1:50000 laddr=127.0.0.1:5379 fd=8 name=n age=11 idle=3 flags=N db=0 sub=0 psub=0 "
      "ssub=0 multi=-1 qbuf=13 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=5 tot-mem=" +
      std::to_string(18 + sizeof(Client)) + " events=r cmd=";
  const std::string after = " user=default redir=-1 resp=2 lib-name=lib lib-ver=1.0\n";
  CHECK(f.run({"client", "list"}) == bulk(before_memory + "client|list" + after));
  CHECK(f.run({"client", "info"}) == bulk(before_memory + "client|info" + after));
  CHECK(f.run({"client", "list", "type", "NORMAL"}) == bulk(before_memory + "client|list" + after));
  CHECK(f.run({"client", "list", "ID", "99", "3"}) == bulk(before_memory + "client|list" + after));
}

TEST_CASE("client: LIST can be asked for a part") {
  Fixture f;
  for (const char* type : {"replica", "SLAVE", "master", "pubsub"}) {
    CHECK(f.run({"client", "list", "type", type}) == "$0\r\n\r\n");
  }
  CHECK(f.run({"client", "list", "id", "0", "-1", "99"}) == "$0\r\n\r\n");
  CHECK(f.run({"client", "list", "type", "foo"}) == "-ERR Unknown client type 'foo'\r\n");
  CHECK(f.run({"client", "list", "id", "a"}) == "-ERR Invalid client ID\r\n");
  for (const std::vector<std::string>& tail :
       {std::vector<std::string>{"foo"}, {"id"}, {"type"}, {"type", "normal", "x"}}) {
    std::vector<std::string> words = {"client", "list"};
    words.insert(words.end(), tail.begin(), tail.end());
    CHECK(f.run(words) == "-ERR syntax error\r\n");
  }
}

TEST_CASE("client: flags tell of READONLY and of a unix socket") {
  Fixture f;
  f.client.address = "leto.sock:0";
  f.client.on_unix_socket = true;
  f.client.readonly = true;
  CHECK(f.run({"client", "info"}).find(" flags=Ur ") != std::string::npos);
}

TEST_CASE("client: HELP lists what there is") {
  Fixture f;
  const std::string help = f.run({"client", "help"});
  CHECK(help.starts_with("*19\r\n+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n+GETNAME\r\n"));
  CHECK(help.ends_with("+HELP\r\n+    Prints this help.\r\n"));
}

}  // namespace
}  // namespace leto::command
