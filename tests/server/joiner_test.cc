#include "server/joiner.h"

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "peer/frame.h"
#include "tests/server/loop_fixture.h"

namespace leto::server {
namespace {

using test::wait_for_condition;

// A node of a cluster as a joiner sees it: takes requests, gives scripted answers.
class ScriptedNode final : public test::TestPort {
 public:
  using TestPort::TestPort;
  std::deque<std::string> answers;   // "": the connection is closed.
  std::vector<std::string> requests;
  void say(std::string text) { stream_->write(text); }

 private:
  void on_bytes(std::string_view bytes) override {
    requests.emplace_back(bytes);
    if (answers.empty()) return;
    std::string answer = answers.front();
    answers.pop_front();
    if (answer.empty()) {
      stream_.reset();
    } else {
      stream_->write(answer);
    }
  }
};

struct JoinerUnderTest {
  JoinerUnderTest() {
    base::set_log_sink([this](base::LogLevel level, std::string_view text) {
      if (level >= base::LogLevel::kWarning) warnings.emplace_back(text);
    });
    loop.start({});
    targets = {{.host = "127.0.0.1", .port = node.port()}};
    identity.id = "id2";
    identity.node = 42;
  }
  ~JoinerUnderTest() {
    joiner.reset();
    base::set_log_sink(nullptr);
  }
  void begin() {
    joiner = std::make_unique<Joiner>(loop, options, Joiner::Wish{.identity = identity, .targets = targets},
                                      Joiner::Hooks{.reached = [this](const std::string& host) { reached = host; },
                                                    .joined = [this] { joined = true; },
                                                    .gave_up = [this](const std::string& why) { gave_up = why; }});
  }
  std::string taken() const { return "-" + kTaken + "\r\n"; }
  const std::string kTaken = "ERR node id2 is alive at there:1; choose another -id or LEAVE id2 first";
  bool joins() {
    return wait_for_condition(loop, [this] { return joined; });
  }
  Loop loop;
  ScriptedNode node{loop};
  Options options;
  storage::Identity identity;
  std::vector<Address> targets;
  std::unique_ptr<Joiner> joiner;
  std::string reached;
  bool joined = false;
  std::string gave_up;
  std::vector<std::string> warnings;
};

const std::string kJoin =
    "*5\r\n$4\r\nJOIN\r\n$15\r\n127.0.0.1:15379\r\n$3\r\nid2\r\n$2\r\n42\r\n$14\r\n127.0.0.1:5379\r\n";

TEST_CASE("it says where it is and who, and is done when it is answered OK") {
  JoinerUnderTest it;
  it.node.answers = {"+OK\r\n"};
  it.begin();
  REQUIRE(it.joins());
  CHECK(it.node.requests == std::vector<std::string>{kJoin});
  CHECK(it.reached == "127.0.0.1");
}

TEST_CASE("one that is to be a learner says so") {
  JoinerUnderTest it;
  it.options.role = NodeRole::kLearner;
  it.node.answers = {"+OK\r\n"};
  it.begin();
  REQUIRE(it.joins());
  CHECK(it.node.requests.at(0).starts_with("*6\r\n$4\r\nJOIN\r\n"));
  CHECK(it.node.requests.at(0).ends_with("\r\n$7\r\nLEARNER\r\n"));
}

TEST_CASE("it authenticates with its own password, or with the one that was named for joining") {
  for (const bool named : {false, true}) {
    JoinerUnderTest it;
    it.options.requirepass = "own";
    if (named) {
      it.options.join_user = "root";
      it.options.join_password = "other";
    }
    it.node.answers = {"+OK\r\n", "+OK\r\n"};
    it.begin();
    REQUIRE(it.joins());
    CHECK(it.node.requests.at(0) == (named ? "*3\r\n$4\r\nAUTH\r\n$4\r\nroot\r\n$5\r\nother\r\n"
                                           : "*2\r\n$4\r\nAUTH\r\n$3\r\nown\r\n"));
    CHECK(it.node.requests.at(1) == kJoin);
  }
}

TEST_CASE("a follower is asked for its leader, and the leader is asked to join") {
  JoinerUnderTest it;
  ScriptedNode leader(it.loop);
  const std::string port = std::to_string(leader.port());
  it.node.answers = {"-not leader\r\n", "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:" + port +
                                            "\r\n$9\r\nconnected\r\n:12\r\n"};
  leader.answers = {"+OK\r\n"};
  it.begin();
  REQUIRE(it.joins());
  CHECK(it.node.requests.at(1) == "*1\r\n$4\r\nROLE\r\n");
  CHECK(leader.requests == std::vector<std::string>{kJoin});
}

TEST_CASE("whatever goes wrong is told in one line, and tried again") {
  for (const std::string answer : {"-CLUSTERDOWN no leader\r\n", "-DENIED set requirepass\r\n", ""}) {
    JoinerUnderTest it;
    it.node.answers = {answer, "+OK\r\n"};
    it.begin();
    REQUIRE(it.joins());
    CHECK(it.node.requests.size() == 2);
    REQUIRE(it.warnings.size() == 1);
    CHECK(it.warnings[0].starts_with("cannot join 127.0.0.1:" + std::to_string(it.node.port()) + ": "));
    CHECK(it.warnings[0].find(answer.empty() ? "closed" : answer.substr(1, answer.size() - 3)) != std::string::npos);
  }
}

TEST_CASE("who has no leader is given the time to say so") {
  Options options;
  options.request_timeout_ms = 5000;
  CHECK(Joiner::answer_timeout_ms(options) == Joiner::kAnswerTimeoutMsMin);
  options.request_timeout_ms = 30000;
  CHECK(Joiner::answer_timeout_ms(options) > 30000);
}

TEST_CASE("a follower that knows no leader is asked again later") {
  JoinerUnderTest it;
  it.node.answers = {"-not leader\r\n", "*5\r\n$5\r\nslave\r\n$0\r\n\r\n:0\r\n$7\r\nconnect\r\n:12\r\n", "+OK\r\n"};
  it.begin();
  REQUIRE(it.joins());
  CHECK(it.node.requests.size() == 3);
}

TEST_CASE("it asks to be taken in from JOIN to its answer, and at no other time") {
  JoinerUnderTest it;
  it.options.requirepass = "own";
  it.node.answers = {"+OK\r\n"};   // To AUTH; JOIN waits.
  it.begin();
  CHECK_FALSE(it.joiner->asks());
  REQUIRE(wait_for_condition(it.loop, [&] { return it.node.requests.size() == 1; }));
  CHECK_FALSE(it.joiner->asks());
  REQUIRE(wait_for_condition(it.loop, [&] { return it.node.requests.size() == 2; }));
  CHECK(it.joiner->asks());
  it.node.say("-CLUSTERDOWN no leader\r\n");
  REQUIRE(wait_for_condition(it.loop, [&] { return !it.warnings.empty(); }));
  CHECK_FALSE(it.joiner->asks());
}

TEST_CASE("a password that the cluster does not have is told with what to do") {
  JoinerUnderTest it;
  it.options.requirepass = "own";
  it.node.answers = {"-ERR AUTH <password> called without any password configured for the default user. Are you sure?\r\n"};
  it.begin();
  REQUIRE(wait_for_condition(it.loop, [&] { return !it.warnings.empty(); }));
  CHECK(it.warnings[0].find("(that cluster has no password, this node has one: ") != std::string::npos);
}

TEST_CASE("it goes from target to target until one answers") {
  JoinerUnderTest it;
  // Nobody listens there.
  it.targets.insert(it.targets.begin(), {.host = "127.0.0.1", .port = 1});
  it.node.answers = {"+OK\r\n"};
  it.begin();
  REQUIRE(it.joins());
  REQUIRE(it.warnings.size() == 1);
  CHECK(it.warnings[0].starts_with("cannot join 127.0.0.1:1: "));
}

TEST_CASE("a peers' port is known by its answer, and told from a clients' port") {
  JoinerUnderTest it;
  std::string frame;
  peer::put_frame(frame, peer::FrameType::kRefuse, "who are you");
  it.node.answers = {frame, "+OK\r\n"};
  it.begin();
  REQUIRE(it.joins());
  REQUIRE(it.warnings.size() == 1);
  const std::string told = ": that is a peers' port; -join names the clients' port (listen) of a node; trying again";
  CHECK(it.warnings[0].find(told) != std::string::npos);
}

TEST_CASE("it gives up once another node had its id, and lived, for ten election timeouts") {
  JoinerUnderTest it;
  // Before the pause between two attempts has grown beyond that: the third one would be after three seconds.
  it.options.election_timeout_ms = 120;
  it.node.answers.assign(9, it.taken());
  it.begin();
  const uint64_t began_us = it.loop.monotonic_us();
  REQUIRE(wait_for_condition(it.loop, [&it] { return !it.gave_up.empty(); }));
  CHECK(it.loop.monotonic_us() - began_us >= 1200000);
  CHECK(it.loop.monotonic_us() - began_us < 2900000);
  CHECK(it.gave_up == "cannot join 127.0.0.1:" + std::to_string(it.node.port()) + ": " + it.kTaken);
  CHECK(it.node.requests.size() >= 3);
}

TEST_CASE("another answer between shows that the node may have died since, and it waits anew") {
  JoinerUnderTest it;
  // It would give up half a second after the first answer of that kind: behind another one this is the third, not the first.
  it.options.election_timeout_ms = 50;
  it.node.answers = {it.taken(), "-CLUSTERDOWN no leader\r\n", it.taken()};
  size_t again = 0;
  const base::LogLevel before = base::log_level();
  base::set_log_level(base::LogLevel::kVerbose);
  base::set_log_sink([&](base::LogLevel, std::string_view text) { again += text.find("trying again") != std::string_view::npos; });
  it.begin();
  CHECK(wait_for_condition(it.loop, [&] { return again == 3 || !it.gave_up.empty(); }));
  base::set_log_level(before);
  CHECK(it.gave_up.empty());
}

TEST_CASE("who says that the id is another node's is asked again, not the next target") {
  JoinerUnderTest it;
  // Nobody listens there.
  it.targets.push_back({.host = "127.0.0.1", .port = 1});
  it.node.answers = {it.taken(), "+OK\r\n"};
  it.begin();
  REQUIRE(it.joins());
  CHECK(it.node.requests.size() == 2);
  CHECK(it.warnings.size() == 1);
}

}  // namespace
}  // namespace leto::server
