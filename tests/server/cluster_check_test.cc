#include "server/cluster_check.h"

#include <doctest/doctest.h>

#include <optional>

#include "base/log.h"
#include "tests/server/loop_fixture.h"

namespace leto::server {
namespace {

using test::wait_for_condition;

// Takes one connection, keeps what it hears, and answers it with one text.
class AnsweringPort final : private StreamUser {
 public:
  explicit AnsweringPort(Loop& loop) : loop_(loop), listener_(loop) {
    REQUIRE(listener_.bind_tcp({.host = "127.0.0.1", .port = 0}, "listen").is_ok());
    REQUIRE(listener_.listen(8, [this](uv_stream_t* server, StreamKind kind) {
      stream_ = std::make_unique<Stream>(loop_, kind);
      REQUIRE(stream_->accept_from(server) == 0);
      stream_->set_user(this);
      stream_->start_reading();
    }).is_ok());
  }
  uint16_t port() const { return listener_.port(); }
  std::string answer;
  std::string heard;
  bool ended = false;

 private:
  void on_bytes(std::string_view bytes) override {
    heard.append(bytes);
    stream_->write(answer);
  }
  void on_end(int) override {
    ended = true;
    stream_.reset();
  }
  void on_written() override {}

  Loop& loop_;
  Listener listener_;
  std::unique_ptr<Stream> stream_;
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
  CHECK(it.port.heard == "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*2\r\n$4\r\nINFO\r\n$4\r\nraft\r\n");
}

TEST_CASE("who does not say which cluster it is in is left alone after a while, and nothing is found") {
  CheckUnderTest it;
  it.begin("-NOAUTH Authentication required.\r\n");
  REQUIRE(wait_for_condition(it.loop, [&] { return it.port.ended; }));
  CHECK_FALSE(it.found.has_value());
}

}  // namespace
}  // namespace leto::server
