#include "server/cluster_check.h"

#include <doctest/doctest.h>

#include <optional>

#include "base/log.h"
#include "tests/server/loop_fixture.h"

namespace leto::server {
namespace {

using test::wait_for_condition;

// Keeps what it hears, and answers it with one text.
class AnsweringPort final : public test::TestPort {
 public:
  using TestPort::TestPort;
  std::string answer;
  std::string heard;
  bool ended = false;

 private:
  void on_bytes(std::string_view bytes) override {
    heard.append(bytes);
    stream_->write(answer);
  }
  void on_end(int error) override {
    ended = true;
    TestPort::on_end(error);
  }
};

struct CheckUnderTest {
  CheckUnderTest() {
    base::set_log_sink([](base::LogLevel, std::string_view) {});
    loop.start({});
    options.join = {.host = "127.0.0.1", .port = port.port()};
  }
  ~CheckUnderTest() {
    check.reset();
    base::set_log_sink(nullptr);
  }
  void begin(const std::string& answer) {
    port.answer = answer;
    check = std::make_unique<ClusterCheck>(loop, options, [this](const ClusterFound& given) { found = given; });
  }
  Loop loop;
  AnsweringPort port{loop};
  Options options;
  std::unique_ptr<ClusterCheck> check;
  std::optional<ClusterFound> found;
};

TEST_CASE("the cluster of who answers is read from INFO, after AUTH if there is a password") {
  CheckUnderTest it;
  it.options.requirepass = "secret";
  it.begin("+OK\r\n$60\r\n# Raft\r\nid:id7\r\nnode:12\r\ncluster_id:0a0b\r\nterm:4\r\nmembers:3\r\n\r\n");
  REQUIRE(wait_for_condition(it.loop, [&] { return it.found.has_value(); }));
  CHECK(it.found->cluster_id == "0a0b");
  CHECK(it.found->node_id == "id7");
  CHECK(it.found->members == 3);
  CHECK(it.found->founder);   // A program that does not say it may be one.
  CHECK(it.port.heard == "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*2\r\n$4\r\nINFO\r\n$4\r\nraft\r\n");
}

TEST_CASE("a member that came up empty and founded a cluster is no other cluster to end for, one that --recover made is") {
  for (const bool founder : {false, true}) {
    CheckUnderTest it;
    it.begin(std::string("$70\r\n# Raft\r\nid:id7\r\ncluster_id:0a0b\r\nfounder:") + (founder ? "1" : "0") + "\r\nmembers:1\r\n\r\n");
    REQUIRE(wait_for_condition(it.loop, [&] { return it.found.has_value(); }));
    CHECK(it.found->founder == founder);
    raft::Configuration members;
    CHECK(is_another_cluster(*it.found, "0c0d", members));
    members.members.push_back({.node = 7, .id = "id7", .raft_address = "", .client_address = ""});
    CHECK(is_another_cluster(*it.found, "0c0d", members) == !founder);
    CHECK_FALSE(is_another_cluster(*it.found, "0a0b", members));
    it.found->members = 2;
    CHECK(is_another_cluster(*it.found, "0c0d", members));
    it.found->cluster_id.clear();
    CHECK_FALSE(is_another_cluster(*it.found, "0c0d", members));
  }
}

TEST_CASE("who does not say which cluster it is in is left alone after a while, and nothing is found") {
  CheckUnderTest it;
  it.begin("-NOAUTH Authentication required.\r\n");
  REQUIRE(wait_for_condition(it.loop, [&] { return it.port.ended; }));
  CHECK_FALSE(it.found.has_value());
}

}  // namespace
}  // namespace leto::server
