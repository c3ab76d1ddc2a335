#include "server/options.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "server/option_table.h"

namespace leto::server {
namespace {

using Words = std::vector<const char*>;

base::Result<CommandLine> parse(Words words) {
  words.insert(words.begin(), "bin/leto");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

std::string error_of(const Words& words) {
  base::Result<CommandLine> line = parse(words);
  return line.is_ok() ? "no error" : line.status().text();
}

std::string conf_error(std::string_view text) {
  Options options;
  const base::Status status = parse_conf(text, "leto.conf", options);
  return status.is_ok() ? "no error" : status.text();
}

std::string change(Options& options, std::initializer_list<std::string_view> pairs) {
  const base::Status status = config_set(options, {pairs.begin(), pairs.size()});
  return status.is_ok() ? "OK" : status.text();
}

using Parameters = std::vector<std::pair<std::string, std::string>>;

Parameters show(const Options& options, std::initializer_list<std::string_view> patterns) {
  return config_get(options, {patterns.begin(), patterns.size()});
}

// The table ------------------------------------------------------------------------------------

TEST_CASE("options: every default of the table is a value that the table accepts and shows again") {
  for (const auto& rows : {option_table(), inert_parameters()}) {
    for (const Option& option : rows) {
      CAPTURE(std::string(option.name));
      Options options;
      const std::string shown = option_text(options, option);
      CHECK(set_option(options, option, option.default_text).is_ok());
      CHECK(option_text(options, option) == shown);
      CHECK(set_option(options, option, shown).is_ok());
      CHECK(option_text(options, option) == shown);
    }
  }
}

TEST_CASE("options: no name is there twice, and none is what Redis calls another one") {
  std::vector<std::string> names;
  for (const auto& rows : {option_table(), inert_parameters()}) {
    for (const Option& option : rows) names.emplace_back(option.name);
  }
  for (const std::string& name : names) {
    CAPTURE(name);
    CHECK(std::count(names.begin(), names.end(), name) == 1);
    CHECK(name_in_leto(name).empty());
  }
}

TEST_CASE("options: a node without options has the documented defaults") {
  const Options options;
  CHECK(options.id.empty());
  CHECK_FALSE(options.join.is_set());
  CHECK(options.listen == Address{.host = "", .port = 5379});
  CHECK(options.raftbind == Address{.host = "", .port = 15379});
  CHECK(options.raftdir == "./");
  CHECK(options.protected_mode);
  CHECK(options.maxclients == 10000);
  CHECK(options.max_entry_bytes == 64u << 20);
  CHECK(options.client_output_buffer_limit.normal == OutputLimit{64u << 20, 64u << 20, 10});
  CHECK(options.request_timeout_ms == 5000);
  CHECK(options.read_consistency == ReadConsistency::kLinearizable);
  CHECK(options.loglevel == base::LogLevel::kNotice);
  CHECK(options.enable_debug_command == DebugCommand::kLocal);
}

TEST_CASE("options: the disk stall timeout follows the election timeout unless it is given") {
  Options options;
  CHECK(options.disk_stall_timeout_ms() == 800);
  options.election_timeout_ms = 1000;
  CHECK(options.disk_stall_timeout_ms() == 2000);
  CHECK(change(options, {"disk-stall-timeout", "300"}) == "OK");
  CHECK(options.disk_stall_timeout_ms() == 300);
}

// The command line -----------------------------------------------------------------------------

TEST_CASE("command line: -x v, -x=v, --x v and --x=v are the same") {
  for (const Words& words : {Words{"-id", "id2"}, Words{"-id=id2"}, Words{"--id", "id2"}, Words{"--id=id2"}}) {
    CHECK(parse(words).value().options.id == "id2");
  }
  Options options = parse({"-id", "id2", "-raftdir", "./id2", "-listen", ":6379", "-raftbind", ":16379", "-join",
                           "127.0.0.1:5379"}).value().options;
  CHECK(options.raftdir == "./id2");
  CHECK(options.listen.port == 6379);
  CHECK(options.raftbind.port == 16379);
  CHECK(options.join.text() == "127.0.0.1:5379");
}

TEST_CASE("command line: help and version end the reading") {
  CHECK(parse({"-h"}).value().help_wanted);
  CHECK(parse({"--help", "nonsense"}).value().help_wanted);
  CHECK(parse({"-v"}).value().version_wanted);
  CHECK(parse({"--check", "some/dir"}).value().check_wanted == "some/dir");
  CHECK(parse({"-check=some/dir"}).value().check_wanted == "some/dir");
  CHECK(parse({"-id", "x"}).value().check_wanted.empty());
  CHECK(parse({"--recover", "some/dir"}).value().recover_wanted == "some/dir");
  CHECK_FALSE(parse({"--recover", "some/dir"}).value().new_cluster);
  CHECK(parse({"--recover", "some/dir", "--new-cluster"}).value().new_cluster);
  CHECK(parse({"--new-cluster", "--recover", "some/dir"}).value().new_cluster);
  CHECK(parse({"-new-cluster", "--recover=some/dir"}).value().recover_wanted == "some/dir");
  CHECK(error_of({"--new-cluster", "--recover", "dir", "--new-cluster"}) ==
        "unexpected argument '--new-cluster': --recover DIR --new-cluster takes no more");
  CHECK(error_of({"--new-cluster"}) == "--new-cluster belongs to --recover DIR");
  CHECK(error_of({"--new-cluster", "-id", "x"}) == "--new-cluster belongs to --recover DIR");
  CHECK(error_of({"--recover", "--new-cluster"}) == "--recover needs a data directory");
  CHECK(error_of({"--recover", "dir", "-id"}) == "unexpected argument '-id': --recover DIR --new-cluster takes no more");
  CHECK(error_of({"--check"}) == "--check needs a data directory");
  CHECK_FALSE(parse({}).value().help_wanted);
}

TEST_CASE("command line: Redis's names are refused with Leto's") {
  CHECK(error_of({"-port", "1"}) == "unknown option 'port': Leto calls it 'listen'");
  CHECK(error_of({"--port=1"}) == "unknown option 'port': Leto calls it 'listen'");
  CHECK(error_of({"-bind", "::1"}) == "unknown option 'bind': Leto calls it 'listen'");
  CHECK(error_of({"-dir", "/"}) == "unknown option 'dir': Leto calls it 'raftdir'");
  CHECK(error_of({"-appendonly", "no"}) == "unknown option 'appendonly': it is Redis's and means nothing in Leto");
  CHECK(error_of({"-nosuch", "1"}) == "unknown option 'nosuch'; leto -h lists the options");
}

TEST_CASE("command line: each mistake is one sentence that names the option") {
  CHECK(error_of({"-id"}) == "option 'id' needs a value");
  CHECK(error_of({"-id", "-raftdir", "./x"}) == "option 'id' needs a value");
  CHECK(error_of({"-id", "a", "--id=b"}) == "option 'id' is given twice");
  CHECK(error_of({"-timeout", "abc"}) ==
        "bad value 'abc' for option 'timeout': argument couldn't be parsed into an integer");
  CHECK(error_of({"-listen", "host"}) ==
        "bad value 'host' for option 'listen': argument must be an address: port, :port, host:port or [ipv6]:port");
  CHECK(error_of({"-raft-advertise", ":1"}) ==
        "bad value ':1' for option 'raft-advertise': "
        "argument must be an address with a host: host:port or [ipv6]:port");
  const std::string rule = "for option 'id': argument must be a node's id: letters, digits, '_', '.', ':' and '-', 64 at most";
  for (const std::string& id : {std::string("a b"), std::string("x@y"), std::string(65, 'i')}) {
    CHECK(error_of({"-id", id.c_str()}) == "bad value '" + id + "' " + rule);
  }
  CHECK(parse({"-id", "a_b.c:d-1"}).is_ok());
  CHECK(error_of({"-id", "x", "leto.conf"}) == "unexpected argument 'leto.conf': options are written -name value, "
                                               "a configuration file comes before them");
  CHECK(error_of({"/no/such/leto.conf"}) == "cannot read /no/such/leto.conf: No such file or directory");
  CHECK(error_of({"/"}) == "cannot read /: Is a directory");
  CHECK(error_of({"--check", "dir", "--recover", "dir"}) == "unexpected argument '--recover': --check DIR takes no more");
}

// Redis refuses it, too, in words that do not show what is wrong.
TEST_CASE("leto.conf: a byte order mark is called so") {
  Options options;
  const base::Status status = parse_conf("\xef\xbb\xbfid x\n", "leto.conf", options);
  REQUIRE_FALSE(status.is_ok());
  CHECK(status.text() == "leto.conf:1: the file begins with a UTF-8 byte order mark; save it without one");
  CHECK(options.id.empty());
}

TEST_CASE("command line: values that do not fit together are refused") {
  CHECK(error_of({"-election-timeout", "100", "-heartbeat-interval", "60"}) ==
        "heartbeat-interval (60 ms) must be at most half of election-timeout (100 ms)");
  CHECK(error_of({"-listen", ":7000", "-raftbind", "7000"}) ==
        "listen and raftbind are both :7000; clients and peers need an address each");
  CHECK(error_of({"-raftdir", ""}) == "raftdir is empty; ./ is the directory in which leto was started");
}

TEST_CASE("command line: its options override the file's") {
  const std::string file = std::string(LETO_SOURCE_DIR) + "/leto.conf";
  base::Result<CommandLine> line = parse({file.c_str(), "-raftdir", "/elsewhere"});
  REQUIRE(line.is_ok());
  CHECK(line.value().conf_file == file);
  CHECK(line.value().options.raftdir == "/elsewhere");
}

// leto.conf ------------------------------------------------------------------------------------

TEST_CASE("leto.conf: lines are split and quoted as redis.conf's are") {
  Options options;
  REQUIRE(parse_conf("# a comment's quote\n\n  requirepass \"a b\\x21\"  \r\nID n1\nlogfile ''\n"
                     "client-output-buffer-limit normal 1mb 2k 3",
                     "leto.conf", options).is_ok());
  CHECK(options.requirepass == "a b!");
  CHECK(options.id == "n1");
  CHECK(options.client_output_buffer_limit.normal == OutputLimit{1 << 20, 2000, 3});
  CHECK(options.client_output_buffer_limit.pubsub == OutputLimit{32u << 20, 8u << 20, 60});
}

TEST_CASE("leto.conf: each mistake names the file and the line") {
  CHECK(conf_error("# fine\nport 6379\n") == "leto.conf:2: unknown option 'port': Leto calls it 'listen'");
  CHECK(conf_error("id") == "leto.conf:1: option 'id' needs a value");
  CHECK(conf_error("id a b") == "leto.conf:1: option 'id' takes one value; quote it if it has spaces in it");
  CHECK(conf_error("id a\n\nid a\n") == "leto.conf:3: option 'id' is given twice");
  CHECK(conf_error("id \"a") == "leto.conf:1: unbalanced quotes");
  CHECK(conf_error("loglevel loud") ==
        "leto.conf:1: bad value 'loud' for option 'loglevel': "
        "argument(s) must be one of the following: debug, verbose, notice, warning");
  CHECK(conf_error("databases 15") ==
        "leto.conf:1: bad value '15' for option 'databases': argument must be between 16 and 16 inclusive");
}

TEST_CASE("leto.conf: a file with a mistake changes nothing") {
  Options options;
  CHECK_FALSE(parse_conf("id a\nnosuch 1\n", "leto.conf", options).is_ok());
  CHECK(options.id.empty());
}

// -h -------------------------------------------------------------------------------------------

TEST_CASE("usage: the first options are those of the introduction, with their defaults") {
  const std::string text = usage();
  for (const char* line : {"  -id       node id (default: a random one, made once and kept in raftdir)\n",
                           "  -join     client address of any node of a cluster to join\n",
                           "  -listen   client address        (default \":5379\")\n",
                           "  -raftbind peer address          (default \":15379\")\n",
                           "  -raftdir  data directory        (default \"./\")\n", "  -h        usage\n"}) {
    CAPTURE(line);
    CHECK(text.find(line) != std::string::npos);
  }
}

TEST_CASE("usage: every option of the table has a line") {
  const std::string text = usage();
  for (const Option& option : option_table()) {
    CAPTURE(std::string(option.name));
    CHECK(text.find("  -" + std::string(option.name) + " ") != std::string::npos);
  }
}

// CONFIG GET -----------------------------------------------------------------------------------

TEST_CASE("CONFIG GET: several names and globs are answered, each once") {
  const Options options;
  CHECK(show(options, {"timeout"}) == Parameters{{"timeout", "0"}});
  CHECK(show(options, {"TIMEOUT", "time*"}) == Parameters{{"TIMEOUT", "0"}});
  CHECK(show(options, {"[st]imeout", "timeout", "save"}) == Parameters{{"timeout", "0"}, {"save", ""}});
  CHECK(show(options, {"nosuch"}).empty());
  CHECK(show(options, {"*"}).size() == option_table().size() + inert_parameters().size() + 3);
}

TEST_CASE("CONFIG GET: what redis-benchmark asks for is answered") {
  CHECK(show(Options(), {"save"}) == Parameters{{"save", ""}});
  CHECK(show(Options(), {"appendonly"}) == Parameters{{"appendonly", "yes"}});
}

TEST_CASE("CONFIG GET: port, bind and dir are derived") {
  Options options;
  options.raftdir = "/data";
  CHECK(show(options, {"port", "bind", "dir"}) == Parameters{{"port", "5379"}, {"bind", "* -::*"}, {"dir", "/data"}});
  options.listen = {.host = "::1", .port = 7000};
  CHECK(show(options, {"port", "bind", "listen"}) ==
        Parameters{{"port", "7000"}, {"bind", "::1"}, {"listen", "[::1]:7000"}});
}

TEST_CASE("CONFIG GET: sizes are shown in bytes, modes in octal") {
  Options options = parse({"-unixsocketperm", "0700"}).value().options;
  CHECK(show(options, {"proto-max-bulk-len", "unixsocketperm"}) ==
        Parameters{{"proto-max-bulk-len", "67108864"}, {"unixsocketperm", "700"}});
  CHECK(show(options, {"client-output-buffer-limit"}).front().second ==
        "normal 67108864 67108864 10 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
}

// CONFIG SET: the texts are those of a redis-server 7.0.15 ---------------------------------------

TEST_CASE("CONFIG SET: several values are set, or none") {
  Options options;
  CHECK(change(options, {"timeout", "7", "LOGLEVEL", "Debug", "maxclients", "12"}) == "OK");
  CHECK(options.timeout_seconds == 7);
  CHECK(options.loglevel == base::LogLevel::kDebug);
  CHECK(options.maxclients == 12);
  CHECK(change(options, {"timeout", "8", "maxclients", "abc"}) ==
        "ERR CONFIG SET failed (possibly related to argument 'maxclients') - "
        "argument couldn't be parsed into an integer");
  CHECK(options.timeout_seconds == 7);
}

TEST_CASE("CONFIG SET: names are judged before any value") {
  Options options;
  CHECK(change(options, {"timeout", "abc", "nosuch", "3"}) ==
        "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'");
  CHECK(change(options, {"timeout", "abc", "databases", "3"}) ==
        "ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config");
  CHECK(change(options, {"timeout", "1", "Timeout", "2"}) ==
        "ERR CONFIG SET failed (possibly related to argument 'Timeout') - duplicate parameter");
  CHECK(change(options, {"port", "1"}) ==
        "ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config");
}

TEST_CASE("CONFIG SET: bad values are refused in Redis's words") {
  struct Case {
    const char* name;
    const char* value;
    const char* reason;
  };
  static constexpr Case kCases[] = {
      {"timeout", "-1", "argument must be between 0 and 2147483647 inclusive"},
      {"timeout", "99999999999", "argument must be between 0 and 2147483647 inclusive"},
      {"timeout", "", "argument couldn't be parsed into an integer"},
      {"loglevel", "foo", "argument(s) must be one of the following: debug, verbose, notice, warning"},
      {"proto-max-bulk-len", "10zb", "argument must be a memory value"},
      {"proto-max-bulk-len", "-1", "argument must be a memory value"},
      {"protected-mode", "maybe", "argument must be 'yes' or 'no'"},
      {"appendonly", "", "argument must be 'yes' or 'no'"},
      {"client-output-buffer-limit", "normal 64mb 64mb",
       "Wrong number of arguments in buffer limit configuration."},
      {"client-output-buffer-limit", "foo 64mb 64mb 10",
       "Invalid client class specified in buffer limit configuration."},
      {"client-output-buffer-limit", "normal x 64mb 10",
       "Error in hard, soft or soft_seconds setting in buffer limit configuration."},
  };
  Options options;
  for (const Case& bad : kCases) {
    CAPTURE(bad.name);
    CAPTURE(bad.value);
    CHECK(change(options, {bad.name, bad.value}) == "ERR CONFIG SET failed (possibly related to argument '" +
                                                        std::string(bad.name) + "') - " + bad.reason);
  }
}

TEST_CASE("CONFIG SET: sizes take redis.conf's units") {
  Options options;
  struct Case {
    const char* text;
    uint64_t bytes;
  };
  static constexpr Case kCases[] = {{"2000000", 2000000}, {"2000000b", 2000000}, {"2000k", 2000000},
                                    {"2000KB", 2048000},  {"2m", 2000000},       {"2Mb", 2097152}};
  for (const Case& size : kCases) {
    CHECK(change(options, {"proto-max-bulk-len", size.text}) == "OK");
    CHECK(options.proto_max_bulk_len == size.bytes);
  }
  CHECK(change(options, {"maxmemory", "1g"}) == "OK");
  CHECK(show(options, {"maxmemory"}) == Parameters{{"maxmemory", "1000000000"}});
  CHECK(change(options, {"maxmemory", "99999999999gb"}) != "OK");
}

TEST_CASE("CONFIG SET: takes back all that CONFIG GET gave, and it stays the same") {
  Options options;
  const Parameters before = show(options, {"*"});
  for (const auto& parameter : before) {
    const std::string& name = parameter.first;
    const Option* option = find_option(name);
    if (option == nullptr ? find_inert_parameter(name) == nullptr : option->change == Change::kAtStart) continue;
    CAPTURE(name);
    CHECK(change(options, {name, parameter.second}) == "OK");
  }
  CHECK(show(options, {"*"}) == before);
}

TEST_CASE("CONFIG SET: parameters that mean nothing here are accepted and reported") {
  Options options;
  CHECK(change(options, {"save", "900 1", "appendonly", "no", "maxmemory-policy", "allkeys-lru"}) == "OK");
  CHECK(show(options, {"save", "appendonly", "maxmemory-policy"}) ==
        Parameters{{"save", "900 1"}, {"appendonly", "no"}, {"maxmemory-policy", "allkeys-lru"}});
}

}  // namespace
}  // namespace leto::server
